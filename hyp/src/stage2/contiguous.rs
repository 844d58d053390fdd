//! The contiguous hint: which new leaves may carry it, and what is done before one
//! of a group changes alone. Section O.

use super::editor::Editor;
use super::space::Space;
use crate::addr::{IpaRange, Pa};
use crate::descriptor::{Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Slot};

impl Space {
    /// The part of `range` whose leaves of `level` may carry the hint, where IPAs lack
    /// `offset` to their PAs. Clause O1.
    pub(super) fn contiguous_part(&self, level: Level, range: IpaRange, offset: u64) -> IpaRange {
        let nothing = range.split_at(range.start()).0;
        if !self.uses_contiguous() {
            return nothing;
        }
        match self.group_bytes(level) {
            Some(bytes) if Pa::new(offset).is_aligned(bytes) => range.aligned_part(bytes),
            _ => nothing,
        }
    }

    fn group_bytes(&self, level: Level) -> Option<u64> {
        let entries = self.geometry.shape().contiguous_entries(level)?;
        Some(u64::from(entries) * self.geometry.shape().entry_bytes(level))
    }
}

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// Breaks up the groups that a range covers only in part, where the leaf at its
    /// end `changes`. To be called before the leaves of the range change. Clause O2.
    pub(super) fn isolate(
        &mut self,
        range: IpaRange,
        mut changes: impl FnMut(&Run, Descriptor) -> bool,
    ) {
        if !self.space.uses_contiguous() {
            return;
        }
        let granule = self.space.geometry.granule().bytes();
        for ipa in [range.start(), range.last_aligned(granule)] {
            let platform = self.cpu.platform();
            let (run, found) = self.space.tables.descend_to(platform, ipa, Level::PAGE);
            let is_leaf = found.kind(run.table().level) == Kind::Leaf;
            if is_leaf && found.is_contiguous() && changes(&run, found) {
                let group = self.group_around(&run);
                let covered = group.covered_by(group.whole_entries());
                if !range.covers(covered.start(), covered.bytes()) {
                    self.break_group(&run);
                }
            }
        }
    }

    /// Takes the hint from the group of the first entry of `run`: breaks all of it,
    /// invalidates, and makes it again. Members of a group are equal but for their
    /// place, since hardware does not change them (O3).
    pub(super) fn break_group(&mut self, run: &Run) {
        let group = self.group_around(run);
        let (level, entries) = (run.table().level, group.whole_entries());
        let covered = group.covered_by(entries);
        let first = self.read(group.at());
        self.each_slot(&group, |editor, slot| {
            editor.break_entry(slot.at, first, Descriptor::INVALID);
        });
        self.stored_in(&group, entries);
        self.pending
            .add_leaves(covered.start(), covered.bytes(), level);
        self.flush();

        let attributes = self.space.format.attributes(first);
        let mut pa = self.space.format.address(first);
        self.each_slot(&group, |editor, slot| {
            let leaf = editor.space.format.leaf(level, pa, attributes);
            editor
                .space
                .tables
                .make(editor.cpu.platform(), slot.at, leaf);
            pa = pa.forward(run.entry_bytes());
        });
        self.stored_in(&group, entries);
    }

    /// The group that the first entry of `run` is in.
    fn group_around(&self, run: &Run) -> Run {
        let level = run.table().level;
        let bytes = self.space.group_bytes(level).unwrap_or(run.entry_bytes());
        let start = run.entry_start().align_down(bytes);
        let range = IpaRange::between(start, start.forward(bytes));
        Run::new(self.space.geometry.shape(), run.table(), range)
    }

    fn each_slot(&mut self, run: &Run, mut action: impl FnMut(&mut Self, Slot)) {
        let mut slot = Slot::of(run, 0);
        for _ in 0..run.whole_entries() {
            action(self, slot);
            slot = slot.next(run);
        }
    }
}
