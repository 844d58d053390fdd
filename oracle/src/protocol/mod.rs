//! The order of stores, invalidations, barriers and cache maintenance, held against
//! a TLB and walk cache as hostile as the architecture allows.
//!
//! Whatever was valid in a table that walkers could reach is in a TLB until an
//! invalidation for its VMID that covers it is complete. `TLBI` operands are decoded
//! as the architecture does, under the `VTTBR_EL2` that holds at that moment. All
//! events count as those of one CPU. Invalidation that nothing needed is counted and
//! is no fault.

mod bbm;
mod explain;
mod lines;
mod operand;
mod pending;
mod release;
mod sorted;
mod store;

use crate::arch::Granule;
use crate::event::{Barrier, CacheOperation, Event, Record, Tlbi};
use crate::ledger::{Live, Place, Tables};
use crate::operation::Machine;
use crate::verdict::{Class, Finding};
use crate::walk::Stage2;

pub use bbm::Discipline;
use explain::{located, name};
use lines::Lines;
pub use operand::{Hint, Operand};
use pending::{Pending, Time};

/// What TLBs may hold of one VM.
#[derive(Clone, Debug)]
struct Space {
    vm: usize,
    vmid: u16,
    vttbr: u64,
    pending: Pending,
}

/// What an observer in the inner shareable domain may hold and see.
#[derive(Clone, Debug)]
pub struct Protocol {
    granule: Granule,
    coherent: bool,
    bbm: u8,
    discipline: Discipline,
    spaces: Vec<Space>,
    lines: Lines,
    now: Time,
    /// The last `DSB` of either kind.
    barrier: Time,
    /// The last `DSB ISH`.
    full_barrier: Time,
    vtcr: u64,
    vttbr: u64,
    /// A register was written, and no `ISB` followed.
    unsynchronized: bool,
    /// The last valid descriptor that no barrier has followed.
    unpublished: Option<(u64, Place)>,
    needless: u64,
    last_operand: Option<Operand>,
}

impl Protocol {
    /// No VM exists, and `VTTBR_EL2` holds 0.
    pub fn new(machine: &Machine) -> Protocol {
        Protocol {
            granule: machine.granule,
            coherent: machine.coherent_walks,
            bbm: machine.bbm,
            discipline: Discipline::default(),
            spaces: Vec::new(),
            lines: Lines::default(),
            now: 0,
            barrier: 0,
            full_barrier: 0,
            vtcr: 0,
            vttbr: 0,
            unsynchronized: false,
            unpublished: None,
            needless: 0,
            last_operand: None,
        }
    }

    /// As [`Protocol::new`], but keeps the buffers and the discipline.
    pub fn reset(&mut self, machine: &Machine) {
        self.lines.reset();
        *self = Protocol {
            spaces: std::mem::take(&mut self.spaces),
            lines: std::mem::take(&mut self.lines),
            discipline: self.discipline,
            ..Protocol::new(machine)
        };
        self.spaces.clear();
    }

    /// How live descriptors are changed; [`Discipline::Contract`] unless it is said.
    pub fn judge_by(&mut self, discipline: Discipline) {
        self.discipline = discipline;
    }

    /// A VM exists now, with the `VTTBR_EL2` that stands for it.
    pub fn enter(&mut self, vm: usize, vmid: u16, vttbr: u64) {
        let pending = Pending::default();
        self.spaces.push(Space {
            vm,
            vmid,
            vttbr,
            pending,
        });
    }

    /// A VM does not exist any more.
    pub fn leave(&mut self, vm: usize) {
        self.spaces.retain(|space| space.vm != vm);
    }

    /// What was last written to `VTCR_EL2`, or 0.
    pub fn vtcr(&self) -> u64 {
        self.vtcr
    }

    /// What `VTTBR_EL2` holds.
    pub fn vttbr(&self) -> u64 {
        self.vttbr
    }

    /// Whether a register was written and no `ISB` followed.
    pub fn is_unsynchronized(&self) -> bool {
        self.unsynchronized
    }

    /// Invalidations since the last reset that covered nothing.
    pub fn needless(&self) -> u64 {
        self.needless
    }

    /// An operation starts. What the last one invalidated is settled.
    pub fn begin(&mut self) {
        self.now = 0;
        self.barrier = 0;
        self.full_barrier = 0;
        self.unpublished = None;
        self.last_operand = None;
        self.lines.clear();
        for space in &mut self.spaces {
            space.pending.clear();
        }
    }

    /// One event, after the ledger has seen it; `live` is the ledger's answer.
    ///
    /// # Errors
    /// The rule that is broken; what is said afterwards is not to be relied on.
    pub fn event(
        &mut self,
        record: &Record,
        live: Option<Live>,
        tables: &Tables,
    ) -> Result<(), Finding> {
        self.now += 1;
        match record.event {
            Event::Store { at, release, .. } => self.store(at, release, live, tables),
            Event::Zero { at, bytes } => {
                self.zero(at, bytes, tables);
                Ok(())
            }
            Event::Tlbi { operation, operand } => self.tlbi(operation, operand, tables.stage2()),
            Event::Barrier(barrier) => self.barrier(barrier, tables),
            Event::Cache {
                operation: CacheOperation::Cvac,
                at,
            } => {
                self.lines.clean(tables, at);
                Ok(())
            }
            Event::WriteVtcr(value) => {
                self.vtcr = value;
                self.unsynchronized = true;
                Ok(())
            }
            Event::WriteVttbr(value) => {
                self.vttbr = value;
                self.unsynchronized = true;
                Ok(())
            }
            Event::Release { .. } => self.release(tables),
            Event::Allocate { .. } | Event::AllocateFailed { .. } => Ok(()),
        }
    }

    /// The operation is over.
    ///
    /// # Errors
    /// Something that it removed can still be held, or something that it stored need
    /// not be visible.
    pub fn end(&mut self, tables: &Tables) -> Result<(), Finding> {
        for space in &self.spaces {
            if let Some((item, progress)) = space.pending.first_open() {
                let (class, why) = self.explain(space.vmid, progress);
                let what = format!("on return, {}: {why}", name(&item));
                return Err(located(Finding::new(class, "G3", what), &item, tables));
            }
        }
        if let Some((at, place)) = self.unpublished {
            let what = format!("no DSB ISHST or DSB ISH follows the store to {at:#x}");
            let finding = Finding::new(Class::Barrier, "G7", what);
            let bytes = tables.stage2().entry_bytes(place.level);
            return Err(finding.at(place.vm, place.ipa, bytes));
        }
        self.publish(tables)
    }

    /// A root is complete: walkers find it in memory.
    ///
    /// # Errors
    /// Lines of it were not cleaned, and walks are not coherent.
    pub fn root_is_ready(&self, tables: &Tables, root: u64, pages: usize) -> Result<(), Finding> {
        let Some(first) = tables.number(root) else {
            return Ok(());
        };
        (first..first + pages).try_for_each(|number| self.is_clean(tables, number))
    }

    fn publish(&mut self, tables: &Tables) -> Result<(), Finding> {
        match self.lines.publish(tables) {
            None => Ok(()),
            Some(line) => {
                let what = format!(
                    "a barrier publishes descriptors in the line at {line:#x}, and completes no clean of it"
                );
                let number = tables.number(line).unwrap_or_default();
                let place = tables.entry_place(number, line);
                Err(Finding::new(Class::Cache, "G5", what).at(place.vm, place.ipa, 0))
            }
        }
    }

    fn barrier(&mut self, barrier: Barrier, tables: &Tables) -> Result<(), Finding> {
        match barrier {
            Barrier::Isb => {
                self.unsynchronized = false;
                return Ok(());
            }
            Barrier::DsbIshst => {}
            Barrier::DsbIsh => {
                self.full_barrier = self.now;
                self.lines.complete(tables);
                for space in &mut self.spaces {
                    space.pending.complete();
                }
            }
        }
        self.barrier = self.now;
        self.unpublished = None;
        self.publish(tables)
    }

    /// The VMID that `VTTBR_EL2` selects; `VTCR_EL2.VS` is 0 (R1).
    fn vmid(&self) -> u16 {
        (self.vttbr >> 48) as u16 & 0xff
    }

    fn tlbi(&mut self, operation: Tlbi, operand: u64, stage2: &Stage2) -> Result<(), Finding> {
        if self.unsynchronized {
            let what = "no ISB between the write of VTTBR_EL2 or VTCR_EL2 and the TLBI after it";
            return Err(Finding::new(Class::Barrier, "G8", what.into()));
        }
        let vmid = self.vmid();
        let (now, barrier, full_barrier) = (self.now, self.barrier, self.full_barrier);
        let operand = Operand::new(operand, self.granule);
        let mut useful = false;
        for Space {
            vmid: own, pending, ..
        } in &mut self.spaces
        {
            match (operation, *own == vmid) {
                (Tlbi::Ipas2e1is, true) => {
                    useful |= pending.invalidate(stage2, operand, barrier, now) != 0;
                }
                (Tlbi::Ipas2e1is, false) => pending.invalidate_elsewhere(stage2, operand, vmid),
                (Tlbi::Vmalls12e1is, true) => {
                    useful |= !pending.is_empty();
                    pending.invalidate_whole(barrier, now);
                }
                (Tlbi::Vmalls12e1is, false) => pending.invalidate_whole_elsewhere(vmid, now),
                (Tlbi::Vmalle1is, true) => {
                    useful |= !pending.is_empty();
                    pending.invalidate_stage1(full_barrier, now);
                }
                (Tlbi::Vmalle1is, false) => {}
            }
        }
        if operation == Tlbi::Ipas2e1is {
            self.last_operand = Some(operand);
        }
        self.needless += u64::from(!useful);
        Ok(())
    }
}
