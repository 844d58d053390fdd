//! Map (M9 to M15) and unmap (U6 to U8) on one address space.
//!
//! The preconditions are checked before: see `apply`.

use super::Run;
use super::edges::Edges;
use super::legal::{Configuration, PAGE_LEVEL};
use super::space::{Leaves, Space};
use crate::operation::Outcome;

impl Space {
    /// Maps what `wanted` says, drawing on `available` pages.
    ///
    /// The cost follows the tables that are touched: all leaves that lie in one
    /// table, or that are skipped in one run, are done together.
    pub(super) fn map(
        &mut self,
        wanted: &Run,
        pages_only: bool,
        mut available: u32,
        edges: &mut Edges,
    ) -> Outcome {
        self.add_neighbours(wanted.ipa, wanted.end(), edges);
        let mut at = wanted.ipa;
        while at < wanted.end() {
            let rest = wanted.part(at, wanted.end());
            let (level, stretch_end) = if pages_only {
                (PAGE_LEVEL, rest.end())
            } else {
                stretch(self.configuration(), &rest)
            };
            edges.add(stretch_end);
            if let Some(end) = self.identical_until(&rest, level) {
                at = end.min(stretch_end);
                continue;
            }
            let need = (level - self.deepest_table(at)).max(0).unsigned_abs();
            let Some(left) = available.checked_sub(u32::from(need)) else {
                edges.add_stop(at);
                return Outcome::NoPages {
                    done: at - wanted.ipa,
                    need: u16::from(need),
                };
            };
            available = left;
            self.add_block_edges(at, edges);
            let table_end = (at + 1).next_multiple_of(self.configuration().table_bytes(level));
            let end = table_end.min(stretch_end);
            let run = wanted.part(at, end);
            self.overwrite(at, end, Some(Leaves { run, level }));
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
        edges: &mut Edges,
    ) -> Outcome {
        self.add_neighbours(from, to, edges);
        let need = self.unmap_need(from, to);
        if u32::from(need) > available {
            return Outcome::NoPages { done: 0, need };
        }
        self.add_block_edges(from, edges);
        self.add_block_edges(to, edges);
        self.overwrite(from, to, None);
        Outcome::Done
    }

    /// M10: how far `rest` need not be mapped, since leaves of `level` or larger
    /// ones map the same already.
    fn identical_until(&self, rest: &Run, level: i8) -> Option<u64> {
        let leaves = self.covering(rest.ipa)?;
        let identical = leaves.level <= level && leaves.run.agrees_with(rest);
        identical.then(|| leaves.run.end())
    }

    /// U6: the tables that splitting at both ends takes.
    fn unmap_need(&self, from: u64, to: u64) -> u16 {
        let mut need = 0;
        for level in self.configuration().start_level() + 1..=PAGE_LEVEL {
            let bytes = self.configuration().table_bytes(level);
            let at_start = self.cut_takes_table(from, level);
            let at_end = self.cut_takes_table(to, level);
            let shared = at_start && at_end && from / bytes == to / bytes;
            need += u16::from(at_start) + u16::from(at_end) - u16::from(shared);
        }
        need
    }

    /// Whether a cut at `cut` needs a table at `level` in the place of a block,
    /// or of an entry of a table that itself takes a block's place.
    fn cut_takes_table(&self, cut: u64, level: i8) -> bool {
        let inside = !cut.is_multiple_of(self.configuration().table_bytes(level));
        inside
            && self
                .covering(cut)
                .is_some_and(|leaves| leaves.level < level)
    }

    /// Adds where the nearest leaves outside a range begin and end: what shares
    /// its tables.
    fn add_neighbours(&self, from: u64, to: u64, edges: &mut Edges) {
        let (below, above) = self.nearest_outside(from, to);
        for edge in [below, above].into_iter().flatten() {
            edges.add(edge);
        }
    }

    /// Adds the ends of the leaf that `ipa` cuts.
    fn add_block_edges(&self, ipa: u64, edges: &mut Edges) {
        if let Some(leaves) = self.covering(ipa) {
            let bytes = self.configuration().entry_bytes(leaves.level);
            let start = ipa / bytes * bytes;
            edges.add(start);
            edges.add(start + bytes);
        }
    }
}

/// M9: the level of the first leaf of `rest`, and how far its leaves have that
/// level: until a larger one fits, or its own size does not any more.
fn stretch(configuration: &Configuration, rest: &Run) -> (i8, u64) {
    let supported = |level: &i8| configuration.leaf_supported(*level);
    let mut end = rest.end();
    for level in (configuration.start_level()..PAGE_LEVEL).filter(supported) {
        let bytes = configuration.entry_bytes(level);
        let first = rest.ipa.next_multiple_of(bytes);
        let in_step = rest.ipa % bytes == rest.pa % bytes;
        let fits = in_step && end.saturating_sub(first) >= bytes;
        if fits && first == rest.ipa {
            return (level, first + (end - first) / bytes * bytes);
        }
        if fits {
            end = first;
        }
    }
    (PAGE_LEVEL, end)
}
