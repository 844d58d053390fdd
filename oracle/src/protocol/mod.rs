//! The order of stores, exchanges, invalidations, barriers and cache maintenance, held
//! against a TLB and walk cache as hostile as the architecture allows.
//!
//! Whatever was valid in a table that walkers could reach is in a TLB until an
//! invalidation for its VMID that covers it is complete: by address or by range, with the
//! TTL hint that the operand has, or of the whole VMID. A mark, which is invalid and not
//! zero, is in none. `TLBI` operands are decoded as the architecture does, under the
//! `VTTBR_EL2` that the CPU holds at that moment; in a regime of the hypervisor's own
//! there is no VMID. Each CPU orders its own stores and completes its own invalidations
//! and cleans; what is broadcast reaches all. It leaves out what orders CPUs among each
//! other (locks). Invalidations and barriers that nothing needed are counted and are no
//! fault.

mod bbm;
mod cpus;
mod explain;
mod groups;
mod half_done;
mod in_place;
mod invalidate;
mod levels;
mod lines;
mod maintenance;
mod operand;
mod pending;
mod release;
mod sorted;
mod store;

use crate::event::{Barrier, CacheOperation, Event, Record};
use crate::ledger::{Ledger, Live, Tables};
use crate::operation::{Machine, Regime};
use crate::verdict::{Class, Finding};

pub use bbm::Discipline;
use cpus::{Cpus, OwnTlb, Registers};
use explain::{located, name};
use groups::Groups;
use half_done::HalfDone;
pub use in_place::InPlace;
use lines::Lines;
pub(crate) use maintenance::{Maintenance, Ranges};
pub use operand::{Encoding, Hint, Operand};
use pending::{Pending, Time};
use store::Store;

/// What TLBs may hold of one VM.
#[derive(Clone, Debug)]
struct Space {
    vm: usize,
    vmid: u16,
    vttbr: u64,
    pending: Pending,
    /// The first `VMALLS12E1IS` of this operation covered nothing.
    idle_whole: bool,
}

/// Instructions that nothing needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needless {
    /// `TLBI`s that covered nothing that was still to be covered.
    pub invalidations: u64,
    /// `DSB`s with no store, invalidation or clean of their CPU before them that they
    /// order, and `ISB`s with no register write or invalidation, and no published
    /// descriptor of the hypervisor's own.
    pub barriers: u64,
}

/// What an observer in the inner shareable domain may hold and see.
#[derive(Clone, Debug)]
pub struct Protocol {
    regime: Regime,
    encoding: Encoding,
    tlb_range: bool,
    vmid16: bool,
    /// Whether the contiguous hint is used.
    hints: bool,
    coherent: bool,
    bbm: u8,
    discipline: Discipline,
    in_place: InPlace,
    spaces: Vec<Space>,
    lines: Lines,
    now: Time,
    cpus: Cpus,
    half_done: HalfDone,
    groups: Groups,
    needless: Needless,
    last_operand: Option<Operand>,
}

impl Protocol {
    /// No VM exists, and `VTTBR_EL2` holds 0.
    pub fn new(machine: &Machine) -> Protocol {
        Protocol {
            regime: machine.regime,
            encoding: Encoding::of(machine),
            tlb_range: machine.tlb_range,
            vmid16: machine.vmid16,
            hints: machine.contiguous,
            coherent: machine.coherent_walks,
            bbm: machine.bbm,
            discipline: Discipline::default(),
            in_place: InPlace::default(),
            spaces: Vec::new(),
            lines: Lines::default(),
            now: 0,
            cpus: Cpus::default(),
            half_done: HalfDone::default(),
            groups: Groups::default(),
            needless: Needless::default(),
            last_operand: None,
        }
    }

    /// As [`Protocol::new`], but keeps the buffers and the discipline.
    pub fn reset(&mut self, machine: &Machine) {
        self.lines.reset();
        self.cpus.reset();
        *self = Protocol {
            spaces: std::mem::take(&mut self.spaces),
            lines: std::mem::take(&mut self.lines),
            cpus: std::mem::take(&mut self.cpus),
            half_done: std::mem::take(&mut self.half_done),
            groups: std::mem::take(&mut self.groups),
            discipline: self.discipline,
            ..Protocol::new(machine)
        };
        self.spaces.clear();
    }

    /// How live descriptors are changed; [`Discipline::Contract`] unless it is said.
    pub fn judge_by(&mut self, discipline: Discipline) {
        self.discipline = discipline;
    }

    /// A VM exists now, with the `VTTBR_EL2` that stands for it. In a regime of the
    /// hypervisor's own that is its `TTBR0_EL2`, and there is no VMID.
    pub fn enter(&mut self, vm: usize, vmid: u16, vttbr: u64) {
        let pending = Pending::new(self.is_hypervisors_own());
        self.spaces.push(Space {
            vm,
            vmid,
            vttbr,
            pending,
            idle_whole: false,
        });
    }

    /// A VM does not exist any more.
    pub fn leave(&mut self, vm: usize) {
        self.spaces.retain(|space| space.vm != vm);
    }

    /// What a CPU last wrote to `VTCR_EL2`, or 0.
    pub fn vtcr(&self, cpu: u8) -> u64 {
        self.cpus.of(cpu).registers.vtcr
    }

    /// What a CPU's `VTTBR_EL2` holds.
    pub fn vttbr(&self, cpu: u8) -> u64 {
        self.cpus.of(cpu).registers.vttbr
    }

    /// What a CPU last wrote to `TCR_EL2` (HTCR), or 0.
    pub fn tcr(&self, cpu: u8) -> u64 {
        self.cpus.of(cpu).registers.tcr
    }

    /// What a CPU's `TTBR0_EL2` (HTTBR) holds.
    pub fn ttbr0(&self, cpu: u8) -> u64 {
        self.cpus.of(cpu).registers.ttbr0
    }

    /// What a CPU last wrote to `MAIR_EL2` (HMAIR0), or 0.
    pub fn mair(&self, cpu: u8) -> u64 {
        self.cpus.of(cpu).registers.mair
    }

    /// Whether a CPU wrote a register and no `ISB` followed.
    pub fn is_unsynchronized(&self, cpu: u8) -> bool {
        self.cpus.of(cpu).unsynchronized
    }

    /// What was needless since the last reset.
    pub fn needless(&self) -> Needless {
        self.needless
    }

    /// An operation starts, which may change live descriptors as `in_place` says; in a
    /// regime of the hypervisor's own none does (E4). What the last one invalidated is
    /// settled.
    pub fn begin(&mut self, in_place: InPlace) {
        self.in_place = if self.is_hypervisors_own() {
            InPlace::default()
        } else {
            in_place
        };
        self.now = 0;
        self.cpus.begin();
        self.half_done.begin();
        self.groups.begin();
        self.last_operand = None;
        self.lines.clear();
        for space in &mut self.spaces {
            space.pending.clear();
            space.idle_whole = false;
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
        let by = record.cpu;
        match record.event {
            Event::Store {
                at, new, release, ..
            } => {
                let store = Store {
                    by,
                    at,
                    new,
                    release,
                    atomic: false,
                };
                self.store(store, live, tables)
            }
            Event::Exchange { at, new, .. } => {
                let store = Store {
                    by,
                    at,
                    new,
                    release: true,
                    atomic: true,
                };
                self.store(store, live, tables)
            }
            Event::Zero { at, bytes } => self.zero(by, at, bytes, tables),
            Event::Tlbi { operation, operand } => {
                self.tlbi(by, operation, operand, tables.format())
            }
            Event::Barrier(barrier) => self.barrier(by, barrier, tables),
            Event::Cache {
                operation: CacheOperation::Cvac | CacheOperation::Civac,
                at,
                bytes,
            } => {
                self.cpus.get(by).has_maintained = true;
                let stretch = at..at.saturating_add(bytes);
                self.lines.clean(tables, by, stretch);
                Ok(())
            }
            Event::Cache {
                operation: CacheOperation::Cvau,
                ..
            }
            | Event::InstructionCaches => {
                self.cpus.get(by).has_maintained = true;
                Ok(())
            }
            Event::WriteVtcr(value) => self.write(by, |registers| registers.vtcr = value),
            Event::WriteVttbr(value) => self.write(by, |registers| registers.vttbr = value),
            Event::WriteTcr(value) => self.write(by, |registers| registers.tcr = value),
            Event::WriteTtbr0(value) => self.write(by, |registers| registers.ttbr0 = value),
            Event::WriteMair(value) => self.write(by, |registers| registers.mair = value),
            Event::Release { .. } => self.release(tables),
            Event::Dirty { .. } | Event::Allocate { .. } | Event::AllocateFailed { .. } => Ok(()),
        }
    }

    /// The operation is over.
    ///
    /// # Errors
    /// Something that it removed can still be held, something that it stored need not
    /// be visible, or something that could be seen in between was never meant.
    pub fn end(&mut self, ledger: &Ledger) -> Result<(), Finding> {
        let tables = ledger.tables();
        for space in &self.spaces {
            if let Some((item, progress)) = space.pending.first_open() {
                let (class, why) = self.explain(space.vmid, progress);
                let what = format!("on return, {}: {why}", name(&item));
                return Err(located(Finding::new(class, "G3", what), &item, tables));
            }
        }
        if self.cpus.iter().any(|cpu| cpu.own_tlb != OwnTlb::Clean) {
            let what = "no ISB follows the DSB ISH that completes the last TLBI";
            return Err(Finding::new(Class::Barrier, "E6", what.into()));
        }
        if self.cpus.iter().any(|cpu| cpu.own_published) {
            let what = "no ISB follows the DSB that publishes the last descriptor";
            return Err(Finding::new(Class::Barrier, "E6", what.into()));
        }
        if let Some((at, place)) = self.cpus.iter().find_map(|cpu| cpu.unpublished) {
            let what = format!("no DSB ISHST or DSB ISH follows the store to {at:#x}");
            let finding = Finding::new(Class::Barrier, "G7", what);
            let bytes = tables.format().entry_bytes(place.level);
            return Err(finding.at(place.vm, place.ipa, bytes));
        }
        Protocol::published(self.lines.publish_all(tables), tables)?;
        self.groups.end(tables)?;
        self.half_done.end(ledger)
    }

    /// Section O is the contract's; the walker knows what the architecture leaves open.
    fn judges_groups(&self) -> bool {
        self.hints && self.discipline == Discipline::Contract
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

    fn write(&mut self, by: u8, register: impl FnOnce(&mut Registers)) -> Result<(), Finding> {
        let cpu = self.cpus.get(by);
        register(&mut cpu.registers);
        cpu.unsynchronized = true;
        Ok(())
    }

    fn published(dirty: Option<u64>, tables: &Tables) -> Result<(), Finding> {
        match dirty {
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

    fn barrier(&mut self, by: u8, barrier: Barrier, tables: &Tables) -> Result<(), Finding> {
        let own_regime = self.is_hypervisors_own();
        let cpu = self.cpus.get(by);
        let useful = match barrier {
            Barrier::Isb => cpu.unsynchronized || cpu.has_invalidated || cpu.own_published,
            Barrier::DsbIshst => cpu.has_stored,
            Barrier::DsbIsh => cpu.has_stored || cpu.has_maintained,
        };
        self.needless.barriers += u64::from(!useful);
        if barrier == Barrier::Isb {
            cpu.unsynchronized = false;
            cpu.has_invalidated = false;
            cpu.own_published = false;
            if cpu.own_tlb == OwnTlb::Completed {
                cpu.own_tlb = OwnTlb::Clean;
            }
            return Ok(());
        }
        cpu.barrier = self.now;
        cpu.own_published |= own_regime && cpu.unpublished.is_some();
        cpu.unpublished = None;
        cpu.has_stored = false;
        if barrier == Barrier::DsbIsh {
            cpu.full_barrier = self.now;
            cpu.has_maintained = false;
            if cpu.own_tlb == OwnTlb::Invalidating {
                cpu.own_tlb = OwnTlb::Completed;
            }
            self.lines.complete(tables, by);
            let keep = self.groups.is_any_open(tables);
            for space in &mut self.spaces {
                space.pending.complete(by, keep);
            }
        }
        Protocol::published(self.lines.publish(tables, by), tables)
    }
}
