//! Unmap: exactly the range, cut blocks split at its ends. Clauses U6 to U8.

use super::invalidate::Invalidation;
use super::space::{Cut, Space};
use crate::addr::IpaRange;
use crate::cpu::Cpu;
use crate::descriptor::{Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Slot, Table, Visitor, walk};
use core::convert::Infallible;

/// Unmaps a range.
///
/// # Errors
/// The pages that splitting needs, where the cache holds fewer; nothing has
/// changed then.
pub(super) fn unmap<P: Platform, S: PageSource>(
    cpu: &mut Cpu<'_, P, S>,
    space: &Space<'_>,
    range: IpaRange,
) -> Result<(), u8> {
    let need = pages_to_split(cpu.platform(), space, range);
    if cpu.cached() < u32::from(need) {
        return Err(need);
    }
    let mut pending = Invalidation::new();
    remove(cpu, space, range, &mut pending);
    pending.flush(cpu, space);
    Ok(())
}

/// Breaks every entry of the range and unlinks the tables that become empty, and
/// leaves the invalidation to the caller.
pub(super) fn remove<P: Platform, S: PageSource>(
    cpu: &mut Cpu<'_, P, S>,
    space: &Space<'_>,
    range: IpaRange,
    pending: &mut Invalidation,
) {
    let mut visitor = Unmap {
        cpu,
        space,
        pending,
    };
    let Ok(()) = walk(space.geometry.shape(), space.root, range, &mut visitor);
}

/// Tables that splitting takes at both ends of a range together.
fn pages_to_split<P: Platform>(platform: &P, space: &Space<'_>, range: IpaRange) -> u8 {
    let start = space.block_cut_at(platform, range.start());
    let end = space.block_cut_at(platform, range.end());
    let pages = |cut: &Option<Cut>| cut.as_ref().map_or(0, |cut| pages_below(space, cut));
    pages(&start) + pages(&end) - shared_pages(space, start, end)
}

/// Tables from a block down to the level at which the cut is a boundary.
fn pages_below(space: &Space<'_>, cut: &Cut) -> u8 {
    let mut level = cut.level;
    while !cut
        .ipa
        .is_aligned(space.geometry.shape().entry_bytes(level))
    {
        level = level.below();
    }
    cut.level.distance_to(level)
}

/// Tables that both cuts need: those that cover both addresses.
fn shared_pages(space: &Space<'_>, start: Option<Cut>, end: Option<Cut>) -> u8 {
    let (Some(start), Some(end)) = (start, end) else {
        return 0;
    };
    let most = pages_below(space, &start).min(pages_below(space, &end));
    let mut level = start.level;
    let mut shared = 0;
    while shared < most {
        let entry_bytes = space.geometry.shape().entry_bytes(level);
        if start.ipa.align_down(entry_bytes) != end.ipa.align_down(entry_bytes) {
            break;
        }
        shared += 1;
        level = level.below();
    }
    shared
}

struct Unmap<'m, 'c, 's, P, S> {
    cpu: &'m mut Cpu<'c, P, S>,
    space: &'m Space<'s>,
    pending: &'m mut Invalidation,
}

impl<P: Platform, S: PageSource> Visitor for Unmap<'_, '_, '_, P, S> {
    type Stop = Infallible;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Infallible> {
        while !run.range().is_empty() {
            let whole = run.whole_entries();
            if whole > 0 {
                self.remove_entries(run, whole);
                run.skip(whole);
            } else if let Some(table) = self.table_below(run) {
                return Ok(Some(table));
            } else {
                run.skip(1);
            }
        }
        Ok(None)
    }

    fn leave(&mut self, run: &Run, child: Table) -> Result<(), Infallible> {
        if self.cpu.pages().references(child.page) == 0 {
            self.space.break_entry(self.cpu.platform(), run.at());
            self.space
                .clean(self.cpu.platform(), run.at(), DESCRIPTOR_BYTES);
            self.pending.add_table(run.entry_start(), run.entry_bytes());
            self.pending.retire(self.cpu.pages(), child.page);
            self.cpu.pages().drop_references(run.table().page, 1);
        }
        Ok(())
    }
}

impl<P: Platform, S: PageSource> Unmap<'_, '_, '_, P, S> {
    /// The table below the first entry of `run`, which the range covers in part;
    /// `None` where nothing is mapped.
    fn table_below(&mut self, run: &Run) -> Option<Table> {
        let descriptor = self.space.read(self.cpu.platform(), run.at());
        match descriptor.kind(run.table().level) {
            Kind::Invalid => None,
            Kind::Table => Some(self.space.child(descriptor, run.table().level)),
            // The cache was checked to hold what this takes.
            Kind::Leaf => self.space.split(self.cpu, run, descriptor, self.pending),
        }
    }

    /// Breaks the first `count` entries of `run`, all within the range.
    fn remove_entries(&mut self, run: &Run, count: u16) {
        let (platform, space) = (self.cpu.platform(), *self.space);
        let level = run.table().level;
        let valid = self.cpu.pages().references(run.table().page);
        let mut removed = 0;
        let mut slot = Slot::of(run, 0);
        for _ in 0..count {
            if removed == valid {
                break;
            }
            let found = space.read(platform, slot.at);
            if found.is_valid() {
                space.break_entry(platform, slot.at);
                if found.kind(level) == Kind::Table {
                    self.pending.add_subtree(slot.ipa, run.entry_bytes());
                    self.retire_table(found, level);
                } else {
                    self.pending.add_leaves(slot.ipa, run.entry_bytes(), level);
                }
                removed += 1;
            }
            slot = slot.next(run);
        }
        if removed > 0 {
            space.clean(platform, run.at(), u64::from(count) * DESCRIPTOR_BYTES);
            self.cpu.pages().drop_references(run.table().page, removed);
        }
    }

    /// Retires a table that was unlinked with all that is below it. Breaking its
    /// entry broke them all, and its own entries stay as they are.
    fn retire_table(&mut self, found: Descriptor, level: Level) {
        let table = self.space.child(found, level);
        self.space.retire(self.cpu, table, self.pending);
    }
}
