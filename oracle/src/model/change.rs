//! Map (M9 to M15), annotate (N2), unmap (U6 to U8) and protect (T1) on one address
//! space.
//!
//! The preconditions are checked before: see `apply`.

use super::Effects;
use super::content::{Content, Stretch};
use super::legal::{Configuration, PAGE_LEVEL};
use super::space::Space;
use super::whole::is_device;
use crate::operation::{Execute, MemoryType, Outcome, Prot};

/// What an operation wants a range to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) ipa: u64,
    pub(super) bytes: u64,
    /// What an entry at the first IPA holds.
    pub(super) content: Content,
    pub(super) pages_only: bool,
}

impl Wanted {
    pub(super) fn end(&self) -> u64 {
        self.ipa + self.bytes
    }

    pub(super) fn content_at(&self, ipa: u64) -> Content {
        self.content.advanced(ipa - self.ipa)
    }
}

impl Space {
    /// Makes a range hold what is wanted, drawing on `available` pages.
    ///
    /// The cost follows the tables that are touched: all entries that lie in one
    /// table, or that are skipped in one stretch, are done together.
    pub(super) fn put(
        &mut self,
        wanted: &Wanted,
        mut available: u32,
        effects: &mut Effects,
    ) -> Outcome {
        self.add_neighbours(wanted.ipa, wanted.end(), effects);
        let mut at = wanted.ipa;
        while at < wanted.end() {
            let root = self.configuration.start_level();
            let (level, alike_until) = alike(&self.configuration, wanted, at, root);
            effects.edges.add(alike_until);
            if let Some(end) = self.served_until(wanted, at, level) {
                at = end.min(alike_until);
                continue;
            }
            let need = (level - self.deepest_table(at)).max(0).unsigned_abs();
            let Some(left) = available.checked_sub(u32::from(need)) else {
                effects.edges.add_stop(at);
                return Outcome::NoPages {
                    done: at - wanted.ipa,
                    need: u16::from(need),
                };
            };
            available = left;
            self.add_block_edges(at, effects);
            let table_end = (at + 1).next_multiple_of(self.configuration.table_bytes(level));
            let end = self.next_served(wanted, at, table_end.min(alike_until), level);
            self.cut(at);
            self.cut(end);
            let new = Stretch {
                ipa: at,
                bytes: end - at,
                level,
                content: wanted.content_at(at),
            };
            self.replace(at, end, Some(new), &mut effects.dirty);
            at = end;
        }
        Outcome::Done
    }

    /// Unmaps `[from, to)`, drawing on `available` pages.
    pub(super) fn unmap(
        &mut self,
        from: u64,
        to: u64,
        available: u32,
        effects: &mut Effects,
    ) -> Outcome {
        self.add_neighbours(from, to, effects);
        let need = self.need_of_cuts(from, to, |_| true);
        if u32::from(need) > available {
            return Outcome::NoPages { done: 0, need };
        }
        for edge in [from, to] {
            self.add_block_edges(edge, effects);
            self.cut(edge);
        }
        self.replace(from, to, None, &mut effects.dirty);
        Outcome::Done
    }

    /// T1, drawing on `available` pages.
    pub(super) fn protect(
        &mut self,
        from: u64,
        to: u64,
        prot: Prot,
        available: u32,
        effects: &mut Effects,
    ) -> Outcome {
        self.add_neighbours(from, to, effects);
        let need = self.need_of_cuts(from, to, Content::is_leaf);
        if u32::from(need) > available {
            return Outcome::NoPages { done: 0, need };
        }
        for edge in [from, to] {
            self.add_block_edges(edge, effects);
            if self.covering(edge).is_some_and(|old| old.content.is_leaf()) {
                self.cut(edge);
            }
        }
        self.set_prot(from, to, effects, |_, memory| permitted(prot, memory));
        Outcome::Done
    }

    /// Gives all leaves in a range other permissions. One that loses the permission to
    /// write is clean, and told to the dirty log where it was not.
    pub(super) fn set_prot(
        &mut self,
        from: u64,
        to: u64,
        effects: &mut Effects,
        prot: impl Fn(Prot, MemoryType) -> Prot,
    ) {
        let configuration = self.configuration;
        self.change(from, to, |old| {
            let Content::Leaf(mut leaf) = old.content else {
                return Some(old.content);
            };
            leaf.prot = prot(leaf.prot, leaf.memory);
            if !leaf.prot.write {
                effects.dirty.gone(old, &configuration);
                leaf.dirty = false;
            }
            Some(Content::Leaf(leaf))
        });
    }

    /// M10, N2: how far nothing need be stored from `at` on, since entries of `level`
    /// or larger ones hold what is wanted.
    fn served_until(&self, wanted: &Wanted, at: u64, level: i8) -> Option<u64> {
        let old = self.covering(at)?;
        let serves = old.level <= level && old.content_at(at).serves_as(&wanted.content_at(at));
        serves.then(|| old.end())
    }

    /// The first address behind `at` and before `end` for which nothing need be stored,
    /// or `end`. All lie in one table of the level that is wanted.
    fn next_served(&self, wanted: &Wanted, at: u64, end: u64, level: i8) -> u64 {
        let mut old = self.stretches[self.overlapping(at, end)].iter();
        let serves = |old: &&Stretch| {
            old.ipa > at && old.level <= level && old.content.serves_as(&wanted.content_at(old.ipa))
        };
        old.find(serves).map_or(end, |old| old.ipa)
    }

    /// U6: the tables that splitting at both ends takes, of what `splits` says.
    fn need_of_cuts(&self, from: u64, to: u64, splits: impl Fn(&Content) -> bool) -> u16 {
        let takes_table = |cut: u64, level: i8| {
            let inside = !cut.is_multiple_of(self.configuration.table_bytes(level));
            let old = self.covering(cut).filter(|_| inside);
            old.is_some_and(|old| old.level < level && splits(&old.content))
        };
        let mut need = 0;
        for level in self.configuration.start_level() + 1..=PAGE_LEVEL {
            let bytes = self.configuration.table_bytes(level);
            let at_start = takes_table(from, level);
            let at_end = takes_table(to, level);
            let shared = at_start && at_end && from / bytes == to / bytes;
            need += u16::from(at_start) + u16::from(at_end) - u16::from(shared);
        }
        need
    }

    /// Adds where the nearest entries outside a range begin and end: what shares
    /// its tables.
    pub(super) fn add_neighbours(&self, from: u64, to: u64, effects: &mut Effects) {
        let (below, above) = self.nearest_outside(from, to);
        for edge in [below, above].into_iter().flatten() {
            effects.edges.add(edge);
        }
    }

    /// Adds the ends of the entry that `ipa` cuts.
    pub(super) fn add_block_edges(&self, ipa: u64, effects: &mut Effects) {
        if let Some(old) = self.covering(ipa) {
            let bytes = self.configuration.entry_bytes(old.level);
            let start = ipa / bytes * bytes;
            effects.edges.add(start);
            effects.edges.add(start + bytes);
        }
    }
}

/// T1: a leaf of device memory stays execute-never.
fn permitted(prot: Prot, memory: MemoryType) -> Prot {
    let execute = match is_device(memory) {
        true => Execute::Never,
        false => prot.execute,
    };
    Prot { execute, ..prot }
}

/// M9, N2: the level of the entry at `at`, `highest` at the highest, and how far entries
/// have that level: until a larger one fits, or its own size does not any more.
pub(super) fn alike(
    configuration: &Configuration,
    wanted: &Wanted,
    at: u64,
    highest: i8,
) -> (i8, u64) {
    let mut end = wanted.end();
    if wanted.pages_only {
        return (PAGE_LEVEL, end);
    }
    let pa = match wanted.content_at(at) {
        Content::Leaf(leaf) | Content::Softened(leaf) => leaf.pa,
        Content::Annotation { .. } => at,
    };
    let supported = |level: &i8| configuration.leaf_supported(*level);
    for level in (highest..PAGE_LEVEL).filter(supported) {
        let bytes = configuration.entry_bytes(level);
        let first = at.next_multiple_of(bytes);
        let in_step = at % bytes == pa % bytes;
        let fits = in_step && end.saturating_sub(first) >= bytes;
        if fits && first == at {
            return (level, first + (end - first) / bytes * bytes);
        }
        if fits {
            end = first;
        }
    }
    (PAGE_LEVEL, end)
}
