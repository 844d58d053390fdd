//! Descriptors of one VM that TLBs may still hold, and how far their invalidation
//! has come.
//!
//! A barrier or an invalidation of the whole VMID concerns all of them at once. So
//! each keeps the times of its store and of its own invalidation, the list keeps the
//! time up to which everything is covered, and no event touches more than the
//! descriptors that it names.

use super::operand::{Hint, Operand};
use super::sorted::{Addressed, Sorted};
use crate::ledger::{Broken, Place};
use crate::walk::Stage2;

/// The number of an event within an operation, from 1. 0 is before all.
pub(super) type Time = u32;

/// A descriptor that went from valid to another value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) table: bool,
    pub(super) descriptor: u64,
    pub(super) stored: Time,
    /// When an ordered `IPAS2E1IS` first covered it.
    invalidated: Time,
    flaw: Flaw,
}

/// Why an invalidation that names the descriptor's region does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    NotOrdered,
    WrongVmid(u16),
    WrongHint(Operand),
}

/// How far the invalidation of one descriptor has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    /// Nothing covers it.
    NotInvalidated,
    /// No barrier between the store and the invalidation.
    NotOrdered,
    WrongVmid(u16),
    /// The TTL hint excludes it, or the operand is spoilt.
    WrongHint(Operand),
    /// `IPAS2E1IS`, and no `VMALLE1IS` after it.
    NoStage1,
    /// `IPAS2E1IS` and `VMALLE1IS` with no `DSB ISH` between them.
    Stage1TooEarly,
    /// Only the last `DSB ISH` is missing.
    NotComplete,
}

impl Addressed for Item {
    fn address(&self) -> u64 {
        self.place.ipa
    }
}

/// Levels -1 to 3.
const LEVELS: usize = 5;

/// The list.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// By level, the highest first.
    levels: [Sorted<Item>; LEVELS],
    count: usize,
    /// Items without an own invalidation.
    uncovered: usize,
    last_stored: Time,
    last_invalidated: Time,
    /// The length at which items that are done are dropped.
    sweep_at: usize,
    /// Items invalidated before this are covered by a `VMALLE1IS`.
    stage1: Time,
    /// The last `VMALLE1IS`.
    stage1_seen: Time,
    /// Items invalidated before this are done.
    stage1_done: Time,
    /// Items stored before this are covered by a `VMALLS12E1IS`.
    whole: Time,
    /// The last `VMALLS12E1IS`.
    whole_seen: Time,
    /// Items stored before this are done.
    whole_done: Time,
    /// The last one for another VMID.
    foreign_whole: Option<(Time, u16)>,
}

impl Pending {
    /// Forgets all, and starts time anew.
    pub(super) fn clear(&mut self) {
        let mut levels = std::mem::take(&mut self.levels);
        levels.iter_mut().for_each(Sorted::clear);
        *self = Pending {
            levels,
            ..Pending::default()
        };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether an invalidation of the whole VMID is complete.
    pub(super) fn whole_vmid_done(&self) -> bool {
        self.whole_done != 0
    }

    pub(super) fn push(&mut self, broken: &Broken, now: Time) {
        self.levels[index(broken.place.level)].push(Item {
            place: broken.place,
            table: broken.table,
            descriptor: broken.descriptor,
            stored: now,
            invalidated: 0,
            flaw: Flaw::None,
        });
        self.count += 1;
        self.uncovered += 1;
        self.last_stored = now;
    }

    /// `IPAS2E1IS` for this VMID, with a barrier last at `ordered`. How many
    /// descriptors it covers.
    pub(super) fn invalidate(
        &mut self,
        stage2: &Stage2,
        operand: Operand,
        ordered: Time,
        now: Time,
    ) -> usize {
        let mut covered = 0;
        self.for_each_over(stage2, operand.ipa, |item| {
            if item.invalidated != 0 {
            } else if !admits(operand.hint, item) {
                item.flaw = Flaw::WrongHint(operand);
            } else if item.stored >= ordered {
                item.flaw = Flaw::NotOrdered;
            } else {
                item.invalidated = now;
                covered += 1;
            }
        });
        self.uncovered -= covered;
        if covered != 0 {
            self.last_invalidated = now;
        }
        covered
    }

    /// `IPAS2E1IS` for another VMID.
    pub(super) fn invalidate_elsewhere(&mut self, stage2: &Stage2, operand: Operand, vmid: u16) {
        self.for_each_over(stage2, operand.ipa, |item| {
            item.flaw = Flaw::WrongVmid(vmid);
        });
    }

    /// `VMALLE1IS` for this VMID, with a `DSB ISH` last at `complete`.
    pub(super) fn invalidate_stage1(&mut self, complete: Time, now: Time) {
        self.stage1 = complete;
        self.stage1_seen = now;
    }

    /// `VMALLS12E1IS` for this VMID, with a barrier last at `ordered`.
    pub(super) fn invalidate_whole(&mut self, ordered: Time, now: Time) {
        // Without any barrier so far, what was stored before this operation is covered.
        self.whole = ordered.max(1);
        self.whole_seen = now;
    }

    /// `VMALLS12E1IS` for another VMID.
    pub(super) fn invalidate_whole_elsewhere(&mut self, vmid: u16, now: Time) {
        self.foreign_whole = Some((now, vmid));
    }

    /// `DSB ISH`.
    pub(super) fn complete(&mut self) {
        self.stage1_done = self.stage1;
        self.whole_done = self.whole;
        if self.count == 0 {
            return;
        }
        let by_ipa = self.uncovered == 0 && self.last_invalidated < self.stage1_done;
        if self.last_stored < self.whole_done || by_ipa {
            self.levels.iter_mut().for_each(Sorted::clear);
            self.count = 0;
            self.uncovered = 0;
        } else if self.count > self.sweep_at {
            self.sweep();
        }
    }

    /// Drops what is done. The next sweep is due when as much again has been added, so
    /// that the cost stays in proportion to what is added.
    fn sweep(&mut self) {
        let mut levels = std::mem::take(&mut self.levels);
        for level in &mut levels {
            level.retain(|item| self.progress(item) != Progress::Done);
        }
        let uncovered = |item: &&Item| item.invalidated == 0;
        let all = levels.iter().flat_map(Sorted::iter);
        self.uncovered = all.filter(uncovered).count();
        self.count = levels.iter().map(Sorted::len).sum();
        self.sweep_at = 2 * self.count + 64;
        self.levels = levels;
    }

    pub(super) fn progress(&self, item: &Item) -> Progress {
        if item.stored < self.whole_done
            || item.invalidated != 0 && item.invalidated < self.stage1_done
        {
            Progress::Done
        } else if item.stored < self.whole
            || item.invalidated != 0 && item.invalidated < self.stage1
        {
            Progress::NotComplete
        } else if item.invalidated != 0 && item.invalidated < self.stage1_seen {
            Progress::Stage1TooEarly
        } else if item.invalidated != 0 {
            Progress::NoStage1
        } else {
            self.flaw(item)
        }
    }

    fn flaw(&self, item: &Item) -> Progress {
        match item.flaw {
            Flaw::NotOrdered => Progress::NotOrdered,
            _ if item.stored < self.whole_seen => Progress::NotOrdered,
            Flaw::WrongVmid(vmid) => Progress::WrongVmid(vmid),
            Flaw::WrongHint(operand) => Progress::WrongHint(operand),
            Flaw::None => match self.foreign_whole {
                Some((time, vmid)) if item.stored < time => Progress::WrongVmid(vmid),
                _ => Progress::NotInvalidated,
            },
        }
    }

    /// A descriptor that is not done, of the highest level that has one.
    pub(super) fn first_open(&self) -> Option<(Item, Progress)> {
        self.open(self.levels.iter().flat_map(Sorted::iter)).next()
    }

    /// Descriptors that are not done and share an address with an entry.
    pub(super) fn open_over(
        &self,
        stage2: &Stage2,
        entry: Place,
    ) -> impl Iterator<Item = (Item, Progress)> {
        let bytes = stage2.entry_bytes(entry.level);
        let own = index(entry.level);
        let above = stage2.start_level().map(|start| start..entry.level);
        let above = above.into_iter().flatten().flat_map(move |level| {
            let ipa = entry_base(stage2, entry.ipa, level);
            self.levels[index(level)].within(ipa, 1)
        });
        let levels = self.levels[own..].iter();
        let here = levels.flat_map(move |level| level.within(entry.ipa, bytes));
        self.open(above.chain(here))
    }

    /// A table descriptor above a table that is not done.
    pub(super) fn open_above(&self, stage2: &Stage2, table: Place) -> Option<(Item, Progress)> {
        let above = stage2.start_level()?..table.level;
        let items = above.flat_map(|level| {
            let ipa = entry_base(stage2, table.ipa, level);
            self.levels[index(level)].within(ipa, 1)
        });
        self.open(items.filter(|item| item.table)).next()
    }

    fn open<'a>(
        &self,
        items: impl Iterator<Item = &'a Item>,
    ) -> impl Iterator<Item = (Item, Progress)> {
        items.filter_map(|item| {
            let progress = self.progress(item);
            (progress != Progress::Done).then_some((*item, progress))
        })
    }

    /// Every descriptor whose region holds an IPA.
    fn for_each_over(&mut self, stage2: &Stage2, ipa: u64, mut act: impl FnMut(&mut Item)) {
        let Some(start) = stage2.start_level() else {
            return;
        };
        for level in start..=3 {
            let base = entry_base(stage2, ipa, level);
            self.levels[index(level)].for_each_at(base, &mut act);
        }
    }
}

/// Where a level is kept. Tables have the levels -1 to 3.
fn index(level: i8) -> usize {
    usize::try_from(level + 1).map_or(0, |index| index.min(LEVELS - 1))
}

/// The first IPA of the entry of a level that translates an IPA.
fn entry_base(stage2: &Stage2, ipa: u64, level: i8) -> u64 {
    ipa & !(stage2.entry_bytes(level) - 1)
}

/// Whether a hint lets an invalidation concern a descriptor: a table is above leaves
/// of several levels, so that no hint is right for it.
fn admits(hint: Hint, item: &Item) -> bool {
    match hint {
        Hint::None => true,
        Hint::Level(level) => !item.table && level == item.place.level,
        Hint::OtherGranule | Hint::Reserved => false,
    }
}
