//! Coalesce: tables that map what one block can map become that block. Clause W7.

use super::Stage2;
use super::editor::Editor;
use super::error::Error;
use crate::addr::Ipa;
use crate::cpu::Cpu;
use crate::descriptor::{Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Table, Visitor, walk};
use core::convert::Infallible;

impl Stage2<'_> {
    /// Makes one block of each table that lies wholly in a range and maps what a block
    /// can map, from the pages upwards. It needs no page. Clause W7.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn coalesce<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            let (shape, root) = (*editor.space.geometry.shape(), editor.space.tables.root);
            let Ok(()) = walk(&shape, root, range, &mut Coalesce { editor });
            Ok(())
        })
    }
}

struct Coalesce<'v, 'e, 'c, P, S> {
    editor: &'v mut Editor<'e, 'c, P, S>,
}

impl<P: Platform, S: PageSource> Visitor for Coalesce<'_, '_, '_, P, S> {
    type Stop = Infallible;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Infallible> {
        while run.table().level < Level::PAGE && !run.range().is_empty() {
            if let Some(table) = self.editor.table_below(run) {
                return Ok(Some(table));
            }
            run.skip(1);
        }
        Ok(None)
    }

    fn leave(&mut self, run: &Run, child: Table) -> Result<(), Infallible> {
        if run.whole_entries() > 0
            && let Some(block) = self.editor.block_like(run.table().level, child)
        {
            self.editor.replace_table(run, child, block);
        }
        Ok(())
    }
}

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// The block of `level` that maps what `table` maps, if there is one.
    fn block_like(&self, level: Level, table: Table) -> Option<Descriptor> {
        let (space, format) = (self.space, &self.space.format);
        let shape = space.geometry.shape();
        let first = self.read(table.page);
        let pa = format.address(first);
        let is_leaf = first.kind(table.level) == Kind::Leaf;
        if !is_leaf || !shape.holds_leaves(level) || !pa.is_aligned(shape.entry_bytes(level)) {
            return None;
        }
        let attributes = format.attributes(first.as_made());
        let mut block = format.leaf(level, pa, attributes).without_record();
        let (mut at, mut pa) = (table.page, pa);
        for _ in 0..space.geometry.granule().entries() {
            let found = self.read(at);
            let expected = format.leaf(table.level, pa, attributes);
            if found.as_made().without_contiguous() != expected {
                return None;
            }
            block = block.with_record_of(found);
            at = at.forward(DESCRIPTOR_BYTES);
            pa = pa.forward(shape.entry_bytes(table.level));
        }
        Some(block)
    }

    /// Puts `block` in the place of `table`, which maps the same, in the first entry of
    /// `run`. Clause G4.
    fn replace_table(&mut self, run: &Run, table: Table, block: Descriptor) {
        let hardware = self.space.is_updated_by_hardware();
        if self.space.geometry.features().bbm >= 2 && !hardware {
            self.make(run.at(), block);
            self.pending
                .add_subtree(run.entry_start(), run.entry_bytes());
        } else {
            let link = self.space.format.table(table.page);
            self.break_entry(run.at(), link, Descriptor::INVALID);
            self.stored_in(run, 1);
            self.pending
                .add_subtree(run.entry_start(), run.entry_bytes());
            // Hardware records accesses in the leaves until they are out of its reach:
            // only then are they read for good. In place, what it recorded between
            // reading and the store would be lost.
            self.flush();
            let last = self.block_like(run.table().level, table);
            self.make(run.at(), last.unwrap_or(block));
        }
        self.pending.retire(self.cpu.pages(), table.page);
        self.flush();
    }
}
