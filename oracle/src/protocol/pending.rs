//! Descriptors of one VM that TLBs may still hold, and how far their invalidation
//! has come.
//!
//! A barrier or an invalidation of the whole VMID concerns all of them at once. So
//! each keeps the times of its store and of its own invalidation, the list keeps the
//! time up to which everything is covered, and no event touches more than the
//! descriptors that it names.

use super::cpus::Cpus;
use super::levels::Levels;
use super::operand::{Hint, Operand};
use super::sorted::Addressed;
use crate::ledger::{Broken, Format, Place};

/// The number of an event within an operation, from 1. 0 is before all.
pub(super) type Time = u32;

/// A descriptor that went from valid to another value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) table: bool,
    pub(super) descriptor: u64,
    /// It became another valid value at once.
    pub(super) in_place: bool,
    /// One entry of a TLB may stand for its whole contiguous group.
    pub(super) hinted: bool,
    pub(super) stored: Time,
    stored_by: u8,
    /// When an ordered invalidation by IPA first covered it. A later one of another CPU
    /// does not count.
    invalidated: Time,
    invalidated_by: u8,
    flaw: Flaw,
}

/// Why an invalidation that names the descriptor's region does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    NotOrdered,
    WrongVmid(u16),
    WrongHint(Operand),
    Local,
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
    /// The invalidation was not broadcast.
    Local,
    /// By IPA, and no `VMALLE1IS` after it.
    NoStage1,
    /// By IPA and `VMALLE1IS` with no `DSB ISH` between them.
    Stage1TooEarly,
    /// Only the last `DSB ISH` is missing.
    NotComplete,
}

impl Addressed for Item {
    fn address(&self) -> u64 {
        self.place.ipa
    }
}

/// The list.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    items: Levels<Item>,
    count: usize,
    /// Items without an own invalidation.
    uncovered: usize,
    /// The length at which items that are done are dropped.
    sweep_at: usize,
    cpus: Vec<Cpu>,
    /// No TLB combines these with another stage: what is invalidated by address is done
    /// once it is complete.
    one_stage: bool,
    /// The last `VMALLE1IS`.
    stage1_seen: Time,
    /// The last `VMALLE1`.
    stage1_local: Time,
    /// The last `VMALLS12E1IS`.
    whole_seen: Time,
    /// A `VMALLS12E1IS` is complete.
    whole_vmid_done: bool,
    /// The last one for another VMID.
    foreign_whole: Option<(Time, u16)>,
}

/// How far one CPU's stores and invalidations of this VM have come.
#[derive(Clone, Debug, Default)]
struct Cpu {
    /// Its last store that broke a descriptor.
    stored: Time,
    /// Its last invalidation by IPA that covered one.
    invalidated: Time,
    /// The same, where stage 1 is to follow.
    awaiting: Time,
    /// The same, where a `DSB ISH` of its own has followed.
    completed: Time,
    /// What it stored, or invalidated by IPA, before these is covered.
    covered: Times,
    /// The same, and complete.
    done: Times,
    /// What its own invalidations cover of each CPU, once a `DSB ISH` of its own
    /// completes them.
    issued: Vec<Times>,
    issued_whole: bool,
}

/// Up to when all is covered by an invalidation.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// Invalidations by IPA, by `VMALLE1IS`.
    stage1: Time,
    /// Stores, by `VMALLS12E1IS`.
    whole: Time,
}

impl Times {
    fn raise(&mut self, to: Times) {
        self.stage1 = self.stage1.max(to.stage1);
        self.whole = self.whole.max(to.whole);
    }
}

impl Cpu {
    fn clear(&mut self) {
        self.issued.clear();
        *self = Cpu {
            issued: std::mem::take(&mut self.issued),
            ..Cpu::default()
        };
    }

    /// Everything that it stored, or everything that it invalidated, is done.
    fn all_stores_done(&self) -> bool {
        self.stored == 0 || self.stored < self.done.whole
    }

    fn all_by_ipa_done(&self) -> bool {
        self.invalidated == 0 || self.invalidated < self.done.stage1
    }
}

impl Pending {
    /// Nothing is held, of a regime with one stage or with two.
    pub(super) fn new(one_stage: bool) -> Pending {
        Pending {
            one_stage,
            ..Pending::default()
        }
    }

    /// Forgets all, and starts time anew.
    pub(super) fn clear(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        let mut cpus = std::mem::take(&mut self.cpus);
        cpus.iter_mut().for_each(Cpu::clear);
        *self = Pending {
            items,
            cpus,
            ..Pending::new(self.one_stage)
        };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether an invalidation of the whole VMID is complete.
    pub(super) fn whole_vmid_done(&self) -> bool {
        self.whole_vmid_done
    }

    fn cpu(&mut self, cpu: u8) -> &mut Cpu {
        let index = usize::from(cpu);
        if index >= self.cpus.len() {
            self.cpus.resize_with(index + 1, Cpu::default);
        }
        &mut self.cpus[index]
    }

    /// A descriptor is broken, or changed in place. `group` is the region of its
    /// contiguous group, where a TLB may hold that as one.
    pub(super) fn push(
        &mut self,
        broken: &Broken,
        (by, now): (u8, Time),
        in_place: bool,
        group: Option<(u64, u64)>,
    ) {
        if let Some(group) = group {
            self.renew(broken.place.level, group, by, now);
        }
        let item = Item {
            place: broken.place,
            table: broken.table,
            descriptor: broken.descriptor,
            in_place,
            hinted: group.is_some(),
            stored: now,
            stored_by: by,
            invalidated: 0,
            invalidated_by: 0,
            flaw: Flaw::None,
        };
        self.items.push(broken.place.level, item);
        self.count += 1;
        self.uncovered += 1;
        self.cpu(by).stored = now;
    }

    /// While one member of a group was still there, a TLB could take the whole group from
    /// it again: what was done to the others before counts for nothing.
    fn renew(&mut self, level: i8, group: (u64, u64), by: u8, now: Time) {
        let mut open_again = 0;
        self.items.for_each_of(level, group, |item| {
            if item.hinted {
                open_again += usize::from(item.invalidated != 0);
                (item.stored, item.stored_by) = (now, by);
                (item.invalidated, item.flaw) = (0, Flaw::None);
            }
        });
        self.uncovered += open_again;
    }

    /// By IPA for this VMID by a CPU. How many descriptors it covers.
    pub(super) fn invalidate(
        &mut self,
        format: &Format,
        operand: Operand,
        cpus: &Cpus,
        by: u8,
        now: Time,
    ) -> usize {
        let mut covered = 0;
        self.concerned(format, operand, |item| {
            if item.invalidated != 0 {
            } else if !admits(operand.hint, item) {
                item.flaw = Flaw::WrongHint(operand);
            } else if item.stored >= cpus.of(item.stored_by).barrier {
                item.flaw = Flaw::NotOrdered;
            } else {
                item.invalidated = now;
                item.invalidated_by = by;
                covered += 1;
            }
        });
        self.uncovered -= covered;
        if covered != 0 {
            let one_stage = self.one_stage;
            let cpu = self.cpu(by);
            cpu.invalidated = now;
            cpu.awaiting = now;
            if one_stage {
                cpu.covered.stage1 = now + 1;
            }
        }
        covered
    }

    /// `IPAS2E1` for this VMID: other CPUs keep what they hold.
    pub(super) fn invalidate_locally(&mut self, format: &Format, operand: Operand) {
        self.concerned(format, operand, |item| item.flaw = Flaw::Local);
    }

    /// By IPA for another VMID.
    pub(super) fn invalidate_elsewhere(&mut self, format: &Format, operand: Operand, vmid: u16) {
        self.concerned(format, operand, |item| item.flaw = Flaw::WrongVmid(vmid));
    }

    /// The descriptors that translate an address which an operand names.
    fn concerned(&mut self, format: &Format, operand: Operand, act: impl FnMut(&mut Item)) {
        if let Some(last) = operand.last() {
            self.items.for_each_over(format, (operand.ipa, last), act);
        }
    }

    /// `VMALLE1IS` for this VMID by a CPU. Whether it covers what no earlier one does.
    pub(super) fn invalidate_stage1(&mut self, cpus: &Cpus, by: u8, now: Time) -> bool {
        self.stage1_seen = now;
        let awaits = |cpu: &Cpu| cpu.completed != 0 && cpu.completed >= cpu.covered.stage1;
        let useful = self.cpus.iter().any(awaits);
        self.issue(by, |cpu| Times {
            stage1: cpus.of(cpu).full_barrier,
            whole: 0,
        });
        useful
    }

    /// `VMALLE1` for this VMID: other CPUs keep what they hold.
    pub(super) fn invalidate_stage1_locally(&mut self, now: Time) {
        self.stage1_local = now;
    }

    /// `VMALLS12E1IS` for this VMID by a CPU. Whether it covers what no earlier
    /// invalidation does.
    pub(super) fn invalidate_whole(&mut self, cpus: &Cpus, by: u8, now: Time) -> bool {
        self.whole_seen = now;
        let is_open = |cpu: &Cpu| cpu.stored != 0 && cpu.stored >= cpu.covered.whole;
        let by_ipa = |cpu: &Cpu| cpu.invalidated == 0 || cpu.invalidated < cpu.covered.stage1;
        let all_by_ipa = self.uncovered == 0 && self.cpus.iter().all(by_ipa);
        let useful = self.count != 0 && !all_by_ipa && self.cpus.iter().any(is_open);
        self.issue(by, |cpu| Times {
            stage1: 0,
            whole: cpus.of(cpu).barrier,
        });
        self.cpu(by).issued_whole = true;
        if !self.cpus.iter().any(is_open) {
            // What was invalidated by IPA need not wait for stage 1 any more.
            for cpu in &mut self.cpus {
                (cpu.awaiting, cpu.completed) = (0, 0);
            }
        }
        useful
    }

    fn issue(&mut self, by: u8, times: impl Fn(u8) -> Times) {
        self.cpu(by);
        let mut issued = std::mem::take(&mut self.cpu(by).issued);
        issued.resize(self.cpus.len(), Times::default());
        for ((issued, cpu), number) in issued.iter_mut().zip(&mut self.cpus).zip(0..=u8::MAX) {
            let times = times(number);
            issued.raise(times);
            cpu.covered.raise(times);
        }
        self.cpu(by).issued = issued;
    }

    /// `VMALLS12E1IS` for another VMID.
    pub(super) fn invalidate_whole_elsewhere(&mut self, vmid: u16, now: Time) {
        self.foreign_whole = Some((now, vmid));
    }

    /// `DSB ISH` of a CPU: it completes what the CPU issued. What is done is kept while
    /// it may have to be done again (see [`Pending::renew`]).
    pub(super) fn complete(&mut self, by: u8, keep: bool) {
        let one_stage = self.one_stage;
        let cpu = self.cpu(by);
        cpu.completed = cpu.awaiting;
        if one_stage {
            cpu.done.stage1 = cpu.covered.stage1;
        }
        let whole = std::mem::take(&mut cpu.issued_whole);
        let issued = std::mem::take(&mut cpu.issued);
        for (times, cpu) in issued.iter().zip(&mut self.cpus) {
            cpu.done.raise(*times);
        }
        self.cpu(by).issued = issued;
        self.whole_vmid_done |= whole;
        if self.count == 0 || keep {
            return;
        }
        let by_ipa = self.uncovered == 0 && self.cpus.iter().all(Cpu::all_by_ipa_done);
        if by_ipa || self.cpus.iter().all(Cpu::all_stores_done) {
            self.items.clear();
            self.count = 0;
            self.uncovered = 0;
        } else if self.count > self.sweep_at {
            self.sweep();
        }
    }

    /// Drops what is done. The next sweep is due when as much again has been added, so
    /// that the cost stays in proportion to what is added.
    fn sweep(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.retain(|item| self.progress(item) != Progress::Done);
        self.uncovered = items.iter().filter(|item| item.invalidated == 0).count();
        self.count = items.len();
        self.sweep_at = 2 * self.count + 64;
        self.items = items;
    }

    pub(super) fn progress(&self, item: &Item) -> Progress {
        let times = |by: u8| self.cpus.get(usize::from(by));
        let times = |by| times(by).map_or_else(Default::default, |c| (c.done, c.covered));
        let (whole_done, whole) = times(item.stored_by);
        let (stage1_done, stage1) = times(item.invalidated_by);
        let by_ipa = item.invalidated != 0;
        if item.stored < whole_done.whole || by_ipa && item.invalidated < stage1_done.stage1 {
            Progress::Done
        } else if item.stored < whole.whole || by_ipa && item.invalidated < stage1.stage1 {
            Progress::NotComplete
        } else if by_ipa && item.invalidated < self.stage1_seen {
            Progress::Stage1TooEarly
        } else if by_ipa && item.invalidated < self.stage1_local {
            Progress::Local
        } else if by_ipa {
            Progress::NoStage1
        } else {
            self.flaw(item)
        }
    }

    fn flaw(&self, item: &Item) -> Progress {
        match item.flaw {
            Flaw::NotOrdered => Progress::NotOrdered,
            _ if item.stored < self.whole_seen => Progress::NotOrdered,
            Flaw::Local => Progress::Local,
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
        self.open(self.items.iter()).next()
    }

    /// Descriptors that are not done and share an address with an entry.
    pub(super) fn open_over(
        &self,
        format: &Format,
        entry: Place,
    ) -> impl Iterator<Item = (Item, Progress)> {
        self.open(self.items.over(format, entry))
    }

    /// Those of one level from an address on that are not done.
    pub(super) fn open_of(
        &self,
        level: i8,
        region: (u64, u64),
    ) -> impl Iterator<Item = (Item, Progress)> {
        self.open(self.items.of(level, region))
    }

    /// A table descriptor above a table that is not done.
    pub(super) fn open_above(&self, format: &Format, table: Place) -> Option<(Item, Progress)> {
        let above = self.items.above(format, table);
        self.open(above.filter(|item| item.table)).next()
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
