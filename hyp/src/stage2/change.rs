//! Leaves that change in place, or are only looked at: one visitor for all
//! operations that do the same to each leaf of a range. Section W.

use super::editor::Editor;
use crate::addr::{Ipa, IpaRange};
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
        mut change: impl FnMut(Descriptor) -> Descriptor,
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
        let (shape, root) = (*self.space.geometry.shape(), self.space.tables.root);
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
        while !run.range().is_empty() {
            let found = self.editor.read(run.at());
            match found.kind(level) {
                Kind::Table => return Ok(Some(self.editor.space.tables.child(found, level))),
                Kind::Leaf => {
                    let leaves = self.change_leaves(run);
                    run.skip(leaves);
                }
                Kind::Invalid => {
                    if found != Descriptor::INVALID {
                        self.change_mark(run, found);
                    }
                    run.skip(1);
                }
            }
        }
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
    /// Changes the leaves in a row with which `run` begins, and returns how many there
    /// are.
    fn change_leaves(&mut self, run: &Run) -> u16 {
        let (platform, space) = (self.editor.cpu.platform(), *self.editor.space);
        let (level, most) = (run.table().level, run.overlapped_entries());
        let mut slot = Slot::of(run, 0);
        // Leaves from here up to `slot` are stale.
        let mut stale = slot.ipa;
        let (mut leaves, mut stored) = (0, false);
        while leaves < most {
            let mut found = space.tables.read(platform, slot.at);
            if found.kind(level) != Kind::Leaf {
                break;
            }
            let mut new = (self.change)(level, found);
            while new != found
                && let Err(now) = space.exchange(platform, slot.at, found, new)
            {
                found = now;
                new = (self.change)(level, found);
            }
            stored |= new != found;
            if !new.is_dirty() {
                self.editor.report(slot.ipa, run.entry_bytes(), found);
            }
            let next = slot.next(run);
            // An entry whose access flag is clear is never cached (G3).
            if new == found || new == found.with_young() {
                self.add_leaves(level, stale, slot.ipa);
                stale = next.ipa;
            }
            slot = next;
            leaves += 1;
        }
        self.add_leaves(level, stale, slot.ipa);
        if stored {
            self.editor.stored_in(run, leaves);
        }
        leaves
    }

    /// Leaves from `start` to `end` have changed in place.
    #[inline]
    fn add_leaves(&mut self, level: Level, start: Ipa, end: Ipa) {
        let stale = IpaRange::between(start, end);
        if !stale.is_empty() {
            self.editor.pending.add_leaves(start, stale.bytes(), level);
        }
    }

    /// Changes the mark with which `run` begins.
    fn change_mark(&mut self, run: &Run, found: Descriptor) {
        let new = (self.change)(run.table().level, found);
        if new != found {
            self.editor.make(run.at(), new);
        }
    }
}
