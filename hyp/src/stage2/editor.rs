//! One operation at work on the tables of a guest: the CPU that executes it, and
//! what it has stored and broken so far. How entries change is here, once for all
//! operations; which ones is theirs.

use super::invalidate::Invalidation;
use super::space::Space;
use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Descriptor, Kind};
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Slot, Table};

/// The context of one operation. `finish` ends it.
pub(super) struct Editor<'e, 'c, P, S> {
    pub(super) cpu: &'e mut Cpu<'c, P, S>,
    pub(super) space: &'e Space,
    pub(super) pending: Invalidation,
    /// Whether something was made that no barrier has published yet.
    stored: bool,
    /// Whether hardware records stores that the dirty log must hear of (H3).
    reports: bool,
}

impl<'e, 'c, P: Platform, S: PageSource> Editor<'e, 'c, P, S> {
    /// An operation that has done nothing.
    pub(super) fn new(cpu: &'e mut Cpu<'c, P, S>, space: &'e Space) -> Editor<'e, 'c, P, S> {
        Editor {
            cpu,
            space,
            pending: Invalidation::new(),
            stored: false,
            reports: space.geometry.hardware_dirty(),
        }
    }

    /// An operation that takes away what nobody will ask for again: the dirty log
    /// hears nothing.
    pub(super) fn without_reports(cpu: &'e mut Cpu<'c, P, S>, space: &'e Space) -> Self {
        let mut editor = Editor::new(cpu, space);
        editor.reports = false;
        editor
    }

    /// Makes everything that was done hold for every walker (G3, G6, G7).
    pub(super) fn finish(mut self) {
        self.flush();
        if self.stored {
            // A walker that finds a new entry invalid may not do so after this.
            self.space.tables.barrier(self.cpu.platform());
        }
    }

    /// Invalidates what was broken, and gives the pages of unlinked tables back.
    pub(super) fn flush(&mut self) {
        if self.pending.is_pending() {
            // Its first barrier publishes what was made before it.
            self.stored = false;
        }
        self.pending.flush(self.cpu, self.space);
    }

    /// Reads an entry, once.
    #[inline]
    pub(super) fn read(&self, at: Pa) -> Descriptor {
        self.space.tables.read(self.cpu.platform(), at)
    }

    /// The table to which the first entry of `run` leads, if it leads to one.
    #[inline]
    pub(super) fn table_below(&self, run: &Run) -> Option<Table> {
        let found = self.read(run.at());
        let level = run.table().level;
        (found.kind(level) == Kind::Table).then(|| self.space.tables.child(found, level))
    }

    /// Makes an entry that is invalid, or was broken and invalidated.
    pub(super) fn make(&mut self, at: Pa, descriptor: Descriptor) {
        self.space.tables.make(self.cpu.platform(), at, descriptor);
        self.space
            .tables
            .clean(self.cpu.platform(), at, DESCRIPTOR_BYTES);
        self.stored = true;
    }

    /// Counts entries of a table that were stored by `Tables::make`, and cleans the
    /// part of the table that they are in.
    pub(super) fn made(&mut self, run: &Run, part: u16, count: u16) {
        if count > 0 {
            self.cpu.pages().add_references(run.table().page, count);
        }
        self.stored_in(run, part);
    }

    /// Cleans the first `part` entries of `run`, some of which were stored.
    pub(super) fn stored_in(&mut self, run: &Run, part: u16) {
        let bytes = u64::from(part) * DESCRIPTOR_BYTES;
        self.space
            .tables
            .clean(self.cpu.platform(), run.at(), bytes);
        self.stored = true;
    }

    /// Stores `invalid` over an entry that was read as `found`, and returns what it held
    /// in the end (H4).
    #[inline]
    pub(super) fn break_entry(&self, at: Pa, found: Descriptor, invalid: Descriptor) -> Descriptor {
        self.space
            .break_entry(self.cpu.platform(), at, found, invalid)
    }

    /// Tells the dirty log of a leaf, valid or softened, that is gone for good with
    /// what it had recorded. Clause H3.
    #[inline]
    pub(super) fn report(&self, ipa: Ipa, bytes: u64, gone: Descriptor) {
        if self.reports && gone.is_dirty() {
            self.cpu.platform().mark_dirty(ipa, bytes);
        }
    }

    /// Stores `invalid` over an entry of `run` that holds `found`, and takes away
    /// what was below it. The caller counts references and cleans.
    #[inline]
    pub(super) fn remove_entry(
        &mut self,
        run: &Run,
        slot: Slot,
        found: Descriptor,
        invalid: Descriptor,
    ) {
        let level = run.table().level;
        match found.kind(level) {
            Kind::Table => return self.remove_table(run, slot, found, invalid),
            Kind::Leaf => self.pending.add_leaves(slot.ipa, run.entry_bytes(), level),
            // A mark: no walker has ever used it.
            Kind::Invalid => {}
        }
        let gone = self.break_entry(slot.at, found, invalid);
        self.report(slot.ipa, run.entry_bytes(), gone);
    }

    /// Breaks the entry of a table, and retires it with all tables below.
    fn remove_table(&mut self, run: &Run, slot: Slot, found: Descriptor, invalid: Descriptor) {
        let child = self.space.tables.child(found, run.table().level);
        let bytes = run.entry_bytes();
        if self.reports {
            // Hardware goes on to record stores in leaves until they are broken
            // themselves.
            self.remove_below(child, IpaRange::between(slot.ipa, slot.ipa.forward(bytes)));
            self.break_entry(slot.at, found, invalid);
            self.pending.add_table(slot.ipa, bytes);
            self.pending.retire(self.cpu.pages(), child.page);
        } else {
            self.break_entry(slot.at, found, invalid);
            self.pending.add_subtree(slot.ipa, bytes);
            self.retire(child);
        }
    }

    fn remove_below(&mut self, table: Table, covered: IpaRange) {
        let run = Run::new(self.space.geometry.shape(), table, covered);
        self.remove_entries(&run, self.space.geometry.granule().entries());
    }

    /// Removes what the first `count` entries of `run` hold.
    pub(super) fn remove_entries(&mut self, run: &Run, count: u16) {
        let held = self.cpu.pages().references(run.table().page);
        let mut removed = 0;
        let mut next = 0;
        while next < count && removed < held {
            let slot = Slot::of(run, next);
            let leaves = self.break_leaves(run, slot, (count - next).min(held - removed));
            removed += leaves;
            next += leaves;
            if leaves == 0 {
                let found = self.read(slot.at);
                if found != Descriptor::INVALID {
                    self.remove_entry(run, slot, found, Descriptor::INVALID);
                    removed += 1;
                }
                next += 1;
            }
        }
        if removed > 0 {
            self.cpu.pages().drop_references(run.table().page, removed);
            self.stored_in(run, next);
        }
    }

    /// Breaks the leaves in a row that begin at `first`, at most `most`, and returns how
    /// many there are.
    fn break_leaves(&mut self, run: &Run, first: Slot, most: u16) -> u16 {
        let level = run.table().level;
        let mut broken = 0;
        let mut slot = first;
        while broken < most {
            let found = self.read(slot.at);
            if found.kind(level) != Kind::Leaf {
                break;
            }
            let gone = self.break_entry(slot.at, found, Descriptor::INVALID);
            self.report(slot.ipa, run.entry_bytes(), gone);
            slot = slot.next(run);
            broken += 1;
        }
        if broken > 0 {
            let bytes = u64::from(broken) * run.entry_bytes();
            self.pending.add_leaves(first.ipa, bytes, level);
        }
        broken
    }

    /// Unlinks a table that became empty, to which the first entry of `run` leads.
    pub(super) fn unlink_empty(&mut self, run: &Run, child: Table) {
        let table = self.space.format.table(child.page);
        self.break_entry(run.at(), table, Descriptor::INVALID);
        self.stored_in(run, 1);
        self.pending.add_table(run.entry_start(), run.entry_bytes());
        self.pending.retire(self.cpu.pages(), child.page);
        self.cpu.pages().drop_references(run.table().page, 1);
    }

    /// Retires the pages of a table that was unlinked and of all tables below it:
    /// they are given back after the next invalidation.
    pub(super) fn retire(&mut self, table: Table) {
        self.space.tables.retire(self.cpu, table, &mut self.pending);
    }

    /// Takes a page from the cache as an empty table, `None` where it holds none.
    pub(super) fn new_table(&mut self) -> Option<Pa> {
        self.space.tables.new_table(self.cpu)
    }

    /// Links an empty table into the first entry of `run`, which is empty.
    pub(super) fn link_empty(&mut self, run: &Run) -> Option<Table> {
        let table = self.space.tables.link_table(self.cpu, run)?;
        self.stored = true;
        Some(table)
    }
}
