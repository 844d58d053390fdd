//! Leaves that change in place, or are only looked at: one visitor for all
//! operations that do the same to each leaf of a range. Section W.

use super::editor::Editor;
use crate::addr::IpaRange;
use crate::descriptor::{Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Slot, Table, Visitor, walk};
use core::convert::Infallible;

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// Shows each leaf that a range overlaps, with its level.
    pub(super) fn for_each_leaf(
        &mut self,
        range: IpaRange,
        mut action: impl FnMut(Level, Descriptor),
    ) {
        self.change_entries(range, |level, found| {
            if found.is_valid() {
                action(level, found);
            }
            found
        });
    }

    /// Gives each leaf that a range overlaps the value that `change` has for it. It may
    /// be asked more than once for the same one.
    pub(super) fn change_leaves(
        &mut self,
        range: IpaRange,
        change: impl Fn(Descriptor) -> Descriptor,
    ) {
        self.isolate(range, |_, found| change(found) != found);
        self.change_entries(range, |_, found| {
            if found.is_valid() {
                change(found)
            } else {
                found
            }
        });
    }

    /// Gives each leaf and mark that a range overlaps the value that `change` has for
    /// it. It may be asked more than once for the same one.
    pub(super) fn change_entries(
        &mut self,
        range: IpaRange,
        change: impl FnMut(Level, Descriptor) -> Descriptor,
    ) {
        let (shape, root) = (*self.space.geometry.shape(), self.space.root);
        let mut visitor = Change {
            editor: self,
            change,
        };
        let Ok(()) = walk(&shape, root, range, &mut visitor);
    }
}

struct Change<'v, 'e, 'c, P, S, F> {
    editor: &'v mut Editor<'e, 'c, P, S>,
    change: F,
}

impl<P, S, F> Visitor for Change<'_, '_, '_, P, S, F>
where
    P: Platform,
    S: PageSource,
    F: FnMut(Level, Descriptor) -> Descriptor,
{
    type Stop = Infallible;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Infallible> {
        let level = run.table().level;
        let entries = run.overlapped_entries();
        let mut slot = Slot::of(run, 0);
        let mut changed = false;
        for index in 0..entries {
            let found = self.editor.read(slot.at);
            if found.kind(level) == Kind::Table {
                self.pass(run, index, changed);
                return Ok(Some(self.editor.space.child(found, level)));
            }
            if found != Descriptor::INVALID {
                changed |= self.change_entry(run, slot, found);
            }
            slot = slot.next(run);
        }
        self.pass(run, entries, changed);
        Ok(None)
    }

    fn leave(&mut self, _: &Run, _: Table) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<P, S, F> Change<'_, '_, '_, P, S, F>
where
    P: Platform,
    S: PageSource,
    F: FnMut(Level, Descriptor) -> Descriptor,
{
    /// Goes on behind entries that were handled.
    fn pass(&mut self, run: &mut Run, entries: u16, changed: bool) {
        if changed {
            self.editor.stored_in(run, entries);
        }
        run.skip(entries);
    }

    /// Changes one entry, and returns whether anything was stored.
    #[inline]
    fn change_entry(&mut self, run: &Run, slot: Slot, mut found: Descriptor) -> bool {
        let level = run.table().level;
        let new = loop {
            let new = (self.change)(level, found);
            if new == found {
                return false;
            }
            match self.editor.exchange(slot.at, found, new) {
                Ok(()) => break new,
                Err(now) => found = now,
            }
        };
        // An entry whose access flag is clear is never cached (G3).
        if found.is_valid() && new != found.with_young() {
            let pending = &mut self.editor.pending;
            pending.add_leaves(slot.ipa, run.entry_bytes(), level);
        }
        if !new.is_dirty() {
            self.editor.report(slot.ipa, run.entry_bytes(), found);
        }
        true
    }
}
