//! Map: the largest leaves that fit, in ascending order. Clauses M9 to M15.

use super::invalidate::Invalidation;
use super::space::Space;
use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Attributes, Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Slot, Table, Visitor, walk};

/// A map request that passed its checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) range: IpaRange,
    pub(super) pa: Pa,
    pub(super) attributes: Attributes,
    pub(super) pages_only: bool,
}

/// Where map stopped, and for want of how many pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) at: Ipa,
    pub(super) need: u8,
}

/// Maps a range. On `Stopped`, everything before `at` is mapped and nothing else
/// has changed.
pub(super) fn map<P: Platform, S: PageSource>(
    cpu: &mut Cpu<'_, P, S>,
    space: &Space<'_>,
    request: &Request,
) -> Result<(), Stopped> {
    // Both addresses are below 2^52, and so is their difference modulo 2^64
    // once it is added to an IPA of the range.
    let offset = request.pa.raw().wrapping_sub(request.range.start().raw());
    let largest = largest_leaf(space, offset, request.pages_only);
    let pending = Invalidation::new();
    let mut visitor = Map {
        cpu,
        space,
        request,
        offset,
        largest,
        pending,
        stored: false,
    };
    let result = walk(
        space.geometry.shape(),
        space.root,
        request.range,
        &mut visitor,
    );
    if visitor.stored {
        // A walker that finds a new entry invalid may not do so after this.
        space.barrier(visitor.cpu.platform());
    }
    result
}

/// The level of the largest leaf for which IPA and PA are aligned alike.
fn largest_leaf(space: &Space<'_>, offset: u64, pages_only: bool) -> Level {
    let mut level = space.geometry.shape().start();
    while level < Level::PAGE {
        let aligned = Pa::new(offset).is_aligned(space.geometry.shape().entry_bytes(level));
        if !pages_only && aligned && space.geometry.shape().holds_leaves(level) {
            break;
        }
        level = level.below();
    }
    level
}

struct Map<'m, 'c, 's, P, S> {
    cpu: &'m mut Cpu<'c, P, S>,
    space: &'m Space<'s>,
    request: &'m Request,
    /// What an IPA of the range lacks to its PA, modulo 2^64.
    offset: u64,
    largest: Level,
    pending: Invalidation,
    stored: bool,
}

impl<P: Platform, S: PageSource> Visitor for Map<'_, '_, '_, P, S> {
    type Stop = Stopped;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Stopped> {
        while !run.range().is_empty() {
            let whole = run.whole_entries();
            if whole > 0 && run.table().level >= self.largest {
                self.write_leaves(run, whole);
                run.skip(whole);
                continue;
            }
            let descriptor = self.space.read(self.cpu.platform(), run.at());
            match descriptor.kind(run.table().level) {
                Kind::Table => return Ok(Some(self.space.child(descriptor, run.table().level))),
                Kind::Leaf if descriptor == self.leaf(run.table().level, run.entry_start()) => {
                    run.skip(1);
                }
                kind => return self.table_for(run, kind, descriptor).map(Some),
            }
        }
        Ok(None)
    }

    fn leave(&mut self, _: &Run, _: Table) -> Result<(), Stopped> {
        Ok(())
    }
}

impl<P: Platform, S: PageSource> Map<'_, '_, '_, P, S> {
    /// The leaf that maps the entry of `level` at `ipa` as requested.
    #[inline]
    fn leaf(&self, level: Level, ipa: Ipa) -> Descriptor {
        let pa = Pa::new(ipa.raw().wrapping_add(self.offset));
        self.space.format.leaf(level, pa, self.request.attributes)
    }

    /// Puts a table into the first entry of `run`, empty or with the parts of
    /// the block that is there, if the cache suffices for the whole path.
    fn table_for(
        &mut self,
        run: &Run,
        kind: Kind,
        descriptor: Descriptor,
    ) -> Result<Table, Stopped> {
        let at = run.range().start();
        let need = self.pages_to_leaf(run);
        let stopped = Stopped { at, need };
        if self.cpu.cached() < u32::from(need) {
            return Err(stopped);
        }
        self.stored = true;
        let table = if kind == Kind::Leaf {
            self.space
                .split(self.cpu, run, descriptor, &mut self.pending)
        } else {
            self.space.link_table(self.cpu, run)
        };
        table.ok_or(stopped)
    }

    /// Tables from the one of `run` down to the leaf at its first address.
    fn pages_to_leaf(&self, run: &Run) -> u8 {
        let level = run.table().level;
        let at = run.range().start();
        let left = self.request.range.split_at(at).1.bytes();
        let below = level.below().max(self.largest);
        level.distance_to(self.space.geometry.shape().leaf_level(below, at, left))
    }

    /// Writes the first `count` entries of `run`, all within the range.
    fn write_leaves(&mut self, run: &Run, count: u16) {
        let level = run.table().level;
        let (platform, space) = (self.cpu.platform(), *self.space);
        let (offset, attributes) = (self.offset, self.request.attributes);
        let mut made = 0;
        let mut slot = Slot::of(run, 0);
        let mut left = count;
        while left > 0 {
            let pa = Pa::new(slot.ipa.raw().wrapping_add(offset));
            let wanted = space.format.leaf(level, pa, attributes);
            let found = space.read(platform, slot.at);
            if found.is_valid() {
                if found != wanted {
                    // It comes back here as an invalid one.
                    self.break_changed(run, slot, left);
                    continue;
                }
            } else {
                space.make(platform, slot.at, wanted);
                made += 1;
            }
            slot = slot.next(run);
            left -= 1;
        }
        if made > 0 {
            self.stored = true;
            self.cpu.pages().add_references(run.table().page, made);
            self.space.clean(
                self.cpu.platform(),
                run.at(),
                u64::from(count) * DESCRIPTOR_BYTES,
            );
        }
    }

    /// Breaks the valid entries that are to change, `first` and those among the
    /// `left` entries from it on, and invalidates them together.
    // Out of line: it would take registers from the loop over new entries.
    #[inline(never)]
    fn break_changed(&mut self, run: &Run, first: Slot, left: u16) {
        let level = run.table().level;
        let mut broken = 0;
        let mut slot = first;
        for _ in 0..left {
            let found = self.space.read(self.cpu.platform(), slot.at);
            if found.is_valid() && found != self.leaf(level, slot.ipa) {
                self.break_for_replacement(run, slot, found);
                broken += 1;
            }
            slot = slot.next(run);
        }
        self.cpu.pages().drop_references(run.table().page, broken);
        // From the start of the run: the flush publishes entries made before these.
        let bytes = slot.at.raw() - run.at().raw();
        self.space.clean(self.cpu.platform(), run.at(), bytes);
        self.pending.flush(self.cpu, self.space);
    }

    fn break_for_replacement(&mut self, run: &Run, slot: Slot, found: Descriptor) {
        let level = run.table().level;
        self.space.break_entry(self.cpu.platform(), slot.at);
        if found.kind(level) == Kind::Table {
            self.pending.add_subtree(slot.ipa, run.entry_bytes());
            self.space
                .retire(self.cpu, self.space.child(found, level), &mut self.pending);
        } else {
            self.pending.add_leaves(slot.ipa, run.entry_bytes(), level);
        }
    }
}
