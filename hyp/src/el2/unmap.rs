//! Unmap: exactly the range, of which no block may be cut. Clauses E5 and U8.

use super::space::Space;
use crate::addr::IpaRange;
use crate::cpu::Cpu;
use crate::descriptor::{Descriptor, Kind};
use crate::invalidate::Invalidation;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Slot, Table, Visitor, walk};
use core::convert::Infallible;

/// Breaks every entry of a range that cuts no block, unlinks the tables that become
/// empty, and leaves the invalidation to the caller.
pub(super) fn remove<P: Platform, S: PageSource>(
    cpu: &mut Cpu<'_, P, S>,
    space: &Space,
    range: IpaRange,
    pending: &mut Invalidation,
) {
    let tables = &space.tables;
    let mut visitor = Unmap {
        cpu,
        space,
        pending,
    };
    let Ok(()) = walk(&tables.shape, tables.root, range, &mut visitor);
}

struct Unmap<'m, 'c, P, S> {
    cpu: &'m mut Cpu<'c, P, S>,
    space: &'m Space,
    pending: &'m mut Invalidation,
}

impl<P: Platform, S: PageSource> Visitor for Unmap<'_, '_, P, S> {
    type Stop = Infallible;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Infallible> {
        let level = run.table().level;
        while !run.range().is_empty() {
            let whole = run.whole_entries();
            if whole > 0 {
                self.remove_entries(run, whole);
                run.skip(whole);
                continue;
            }
            // An entry that the range cuts: a table, or nothing.
            let found = self.space.tables.read(self.cpu.platform(), run.at());
            if found.kind(level) == Kind::Table {
                return Ok(Some(self.space.tables.child(found, level)));
            }
            run.skip(1);
        }
        Ok(None)
    }

    fn leave(&mut self, run: &Run, child: Table) -> Result<(), Infallible> {
        if self.cpu.pages().references(child.page) == 0 {
            let (platform, tables) = (self.cpu.platform(), &self.space.tables);
            tables.break_entry(platform, run.at());
            tables.clean(platform, run.at(), DESCRIPTOR_BYTES);
            self.pending.add_table(run.entry_start(), run.entry_bytes());
            self.pending.retire(self.cpu.pages(), child.page);
            self.cpu.pages().drop_references(run.table().page, 1);
        }
        Ok(())
    }
}

impl<P: Platform, S: PageSource> Unmap<'_, '_, P, S> {
    /// Breaks the first `count` entries of `run`, all within the range.
    fn remove_entries(&mut self, run: &Run, count: u16) {
        let (platform, tables) = (self.cpu.platform(), &self.space.tables);
        let valid = self.cpu.pages().references(run.table().page);
        let mut removed = 0;
        let mut slot = Slot::of(run, 0);
        for _ in 0..count {
            if removed == valid {
                break;
            }
            let found = tables.read(platform, slot.at);
            if found.is_valid() {
                tables.break_entry(platform, slot.at);
                self.forget(run, slot, found);
                removed += 1;
            }
            slot = slot.next(run);
        }
        if removed > 0 {
            tables.clean(platform, run.at(), u64::from(count) * DESCRIPTOR_BYTES);
            self.cpu.pages().drop_references(run.table().page, removed);
        }
    }

    /// Notes what an entry that was broken led to. The entries of a table that it led
    /// to went with it, and stay as they are.
    fn forget(&mut self, run: &Run, slot: Slot, found: Descriptor) {
        let level = run.table().level;
        if found.kind(level) == Kind::Table {
            self.pending.add_subtree(slot.ipa, run.entry_bytes());
            let table = self.space.tables.child(found, level);
            self.space.tables.retire(self.cpu, table, self.pending);
        } else {
            self.pending.add_leaves(slot.ipa, run.entry_bytes(), level);
        }
    }
}
