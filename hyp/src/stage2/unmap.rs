//! Removal of ranges: unmap (section U), unmap-whole (W2) and destroy (section D).

use super::editor::Editor;
use super::error::Error;
use super::split::Cuts;
use super::{Stage2, check};
use crate::addr::{Ipa, IpaRange};
use crate::cpu::Cpu;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Table, Visitor, walk};
use core::convert::Infallible;

impl Stage2<'_> {
    /// Unmaps exactly a range, splitting the blocks and marks that it cuts. Clauses
    /// U1 to U8.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`; `NoPages` with `done` 0 where the cache holds
    /// fewer pages than splitting needs.
    pub fn unmap<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            editor.split_ends(range, Cuts::All)?;
            editor.remove(range);
            Ok(())
        })
    }

    /// Removes every leaf and mark that a range overlaps, whole. It needs no page.
    /// Clause W2.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn unmap_whole<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            editor.remove(range);
            Ok(())
        })
    }

    /// Takes a range of tables away from a guest that will not run any more: as
    /// `unmap_whole`, but nothing is marked dirty. From then on only `destroy` and
    /// `free` are possible. No other CPU may have the address space loaded. Clauses
    /// D1 and D2.
    ///
    /// # Errors
    /// `NoSpace`, `Range`.
    pub fn destroy<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.with(cpu.platform(), |slot| {
            let guest = slot.as_mut().ok_or(Error::NoSpace)?;
            let range = check::range(&guest.space.geometry, ipa, bytes)?;
            guest.dying = true;
            let mut editor = Editor::without_reports(cpu, &guest.space);
            editor.discard(&mut guest.built);
            editor.remove(range);
            editor.finish();
            cpu.unload(guest.space.registers);
            Ok(())
        })
    }
}

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// Removes every leaf and mark that `range` overlaps and the tables that become
    /// empty. The invalidation is left to `finish`.
    pub(super) fn remove(&mut self, range: IpaRange) {
        self.isolate(range, |_, _| true);
        let (shape, root) = (*self.space.geometry.shape(), self.space.tables.root);
        let Ok(()) = walk(&shape, root, range, &mut Remove { editor: self });
    }
}

struct Remove<'v, 'e, 'c, P, S> {
    editor: &'v mut Editor<'e, 'c, P, S>,
}

impl<P: Platform, S: PageSource> Visitor for Remove<'_, '_, '_, P, S> {
    type Stop = Infallible;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Infallible> {
        while !run.range().is_empty() {
            let whole = run.whole_entries();
            // Only a table can be covered in part.
            if whole == 0
                && let Some(table) = self.editor.table_below(run)
            {
                return Ok(Some(table));
            }
            let count = whole.max(1);
            self.editor.remove_entries(run, count);
            run.skip(count);
        }
        Ok(None)
    }

    /// Clause U8.
    fn leave(&mut self, run: &Run, child: Table) -> Result<(), Infallible> {
        if self.editor.cpu.pages().references(child.page) == 0 {
            self.editor.unlink_empty(run, child);
        }
        Ok(())
    }
}
