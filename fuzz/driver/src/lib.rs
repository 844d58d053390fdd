//! Drives `hyp` through the operations of a sequence: the same code on the host
//! and at EL2, so that the two can only differ by what the machine does.
//!
//! It is a hypervisor in the small: it owns the page pool, up to four VMs, and
//! one CPU's context. It adds what a test needs around `hyp` and never inside: a
//! log of every instruction (`Recorder`), and a page source that fails where the
//! sequence says so and poisons what it takes back (`Source`).

#![no_std]
#![forbid(unsafe_code)]

mod convert;
mod loans;
mod own;
mod recorder;
mod source;

pub use recorder::Recorder;
pub use source::Source;

use hyp::addr::{Ipa, Pa, PaRange};
use hyp::cpu::{Cpu, OwnRegisters, Registers};
use hyp::el2::El2;
use hyp::geometry::Configuration;
use hyp::pages::PageInfo;
use hyp::platform::Platform;
use hyp::stage2::Stage2;
use hyp::vmid::Vmid;
use ops::{Action, HYPERVISOR, Machine, Operation, Outcome, Refusal, VMS, Vm};

use convert::{configuration, created, decision, done, mapping, pa_range, prot, refused, young};

/// The event log of one CPU.
pub trait Log {
    /// Appends an event; the log knows which CPU it belongs to.
    fn record(&self, event: ops::Event);
}

/// A machine for sequences: beside what `hyp` asks of it, it fills table memory
/// at once.
pub trait Testbed: Platform {
    /// Stores `value` to every 8 bytes of a range that is a multiple of a page.
    fn fill(&self, at: Pa, bytes: u64, value: u64);

    /// Notes that the subject asked for a page that it does not have.
    fn stray(&self, at: Pa);
}

/// Everything that outlives a single operation of a sequence.
///
/// `Lab` holds what the CPU context and the VMs borrow; see `Lab::driver`.
#[derive(Debug)]
pub struct Lab<'a, P, L> {
    configuration: Configuration,
    /// In a regime of the hypervisor's own.
    own: Option<hyp::el2::Configuration>,
    cache_pages: Option<u16>,
    recorder: Recorder<'a, P, L>,
    source: Source<'a, P, L>,
    denied: [PaRange; 2],
}

/// Why a machine cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabError {
    /// `Machine::check` refuses it.
    Machine(ops::MachineError),
    /// Fewer page notes than the pool has pages.
    TooFewNotes(usize),
}

impl<'a, P: Testbed, L: Log> Lab<'a, P, L> {
    /// Sets up the pool of a machine, all pages free. `info` has a note for each
    /// page of the pool; the pool's memory must be all poison.
    ///
    /// # Errors
    /// `LabError`, if the machine cannot be run.
    pub fn new(
        machine: &Machine,
        platform: &'a P,
        log: &'a L,
        info: &'a [PageInfo],
    ) -> Result<Lab<'a, P, L>, LabError> {
        machine.check().map_err(LabError::Machine)?;
        let notes = info
            .get(..usize::from(machine.pool.pages))
            .ok_or(LabError::TooFewNotes(info.len()))?;
        let pool = machine.pool_window();
        Ok(Lab {
            configuration: configuration(machine),
            own: machine.regime.is_own().then(|| own::configuration(machine)),
            cache_pages: machine.cache_pages,
            recorder: Recorder::new(platform, log),
            source: Source::new(machine, platform, log, notes)?,
            denied: [pa_range(HYPERVISOR)?, pa_range(pool)?],
        })
    }

    /// A driver for one sequence. `VTTBR_EL2` must hold 0.
    pub fn driver(&self) -> Driver<'_, 'a, P, L> {
        Driver {
            lab: self,
            cpu: Cpu::new(&self.recorder, &self.source),
            vms: [const { Stage2::new() }; VMS],
            own: El2::new(),
        }
    }
}

type DriverCpu<'l, 'a, P, L> = Cpu<'l, Recorder<'a, P, L>, Source<'a, P, L>>;

/// Executes operations, one after the other.
#[derive(Debug)]
pub struct Driver<'l, 'a, P, L> {
    lab: &'l Lab<'a, P, L>,
    cpu: DriverCpu<'l, 'a, P, L>,
    vms: [Stage2<'l>; VMS],
    own: El2,
}

impl<P: Testbed, L: Log> Driver<'_, '_, P, L> {
    /// Executes one operation. A guest access only loads the VM, the access
    /// itself is the caller's.
    pub fn execute(&mut self, operation: &Operation) -> Outcome {
        if let Operation::Fail { after } = *operation {
            self.lab.source.fail_after(after);
            return Outcome::Nothing;
        }
        if let Some(configuration) = &self.lab.own {
            return self.execute_own(configuration, operation);
        }
        let Some(vm) = operation.vm() else {
            return Outcome::Nothing;
        };
        if needs_pages(operation) {
            self.top_up(self.vms[vm.index()].levels_below_root(&self.lab.recorder));
        }
        let (guest, cpu) = (&self.vms[vm.index()], &mut self.cpu);
        if let Some(mapping) = mapping(*operation) {
            return done(match *operation {
                Operation::Build { level, .. } => guest.build(cpu, &mapping, level),
                _ => guest.map(cpu, &mapping),
            });
        }
        match *operation {
            Operation::Create { .. } => self.create(vm),
            Operation::Free { .. } => self.free(vm),
            Operation::Range {
                action, ipa, size, ..
            } => self.range(vm, action, Ipa::new(ipa), size),
            Operation::Link { .. } => done(guest.link(cpu)),
            Operation::Discard { .. } => done(guest.discard(cpu)),
            Operation::Conflict { .. } => done(guest.conflict(cpu)),
            Operation::Unmap { ipa, size, .. } => done(guest.unmap(cpu, Ipa::new(ipa), size)),
            Operation::Protect {
                ipa,
                size,
                prot: wanted,
                ..
            } => done(guest.protect(cpu, Ipa::new(ipa), size, prot(wanted))),
            Operation::Annotate {
                ipa, size, owner, ..
            } => done(guest.annotate(cpu, Ipa::new(ipa), size, owner)),
            Operation::Relax {
                ipa, prot: added, ..
            } => done(guest.relax(cpu, Ipa::new(ipa), prot(added))),
            Operation::MakeYoung { ipa, .. } => done(guest.make_young(cpu, Ipa::new(ipa))),
            Operation::Leaf { ipa, .. } => decision(guest.leaf(cpu, Ipa::new(ipa))),
            Operation::Access { .. } => guest.load(cpu).map_or_else(refused, |()| Outcome::Nothing),
            // Answered above.
            Operation::Map { .. } | Operation::Build { .. } | Operation::Fail { .. } => {
                Outcome::Nothing
            }
        }
    }

    /// Section E of the contract.
    fn execute_own(
        &mut self,
        configuration: &hyp::el2::Configuration,
        operation: &Operation,
    ) -> Outcome {
        if !own::is_here(operation) {
            return Outcome::Refused(Refusal::NotHere);
        }
        if needs_pages(operation) {
            self.top_up(self.own.levels_below_root(&self.lab.recorder));
        }
        match own::execute(&self.own, &mut self.cpu, configuration, operation) {
            Outcome::Done if matches!(operation, Operation::Free { .. }) => self.freed(),
            outcome => outcome,
        }
    }

    /// An operation on every entry that a range overlaps.
    fn range(&mut self, vm: Vm, action: Action, ipa: Ipa, bytes: u64) -> Outcome {
        let (guest, cpu) = (&self.vms[vm.index()], &mut self.cpu);
        match action {
            Action::UnmapWhole => done(guest.unmap_whole(cpu, ipa, bytes)),
            Action::WriteProtect => done(guest.write_protect(cpu, ipa, bytes)),
            Action::Soften => done(guest.soften(cpu, ipa, bytes)),
            Action::Revive => done(guest.revive(cpu, ipa, bytes)),
            Action::Flush => done(guest.flush(cpu, ipa, bytes)),
            Action::TestYoung => young(guest.test_young(cpu, ipa, bytes)),
            Action::ClearYoung => young(guest.clear_young(cpu, ipa, bytes)),
            Action::Coalesce => done(guest.coalesce(cpu, ipa, bytes)),
            Action::Split => done(guest.split(cpu, ipa, bytes)),
            Action::Destroy => done(guest.destroy(cpu, ipa, bytes)),
        }
    }

    /// The registers that select a VM, if it exists.
    pub fn registers(&self, vm: Vm) -> Option<Registers> {
        self.vms[vm.index()].registers(&self.lab.recorder)
    }

    /// The registers that select the hypervisor's own tables, if they exist.
    pub fn own_registers(&self) -> Option<OwnRegisters> {
        self.own.registers(&self.lab.recorder)
    }

    /// Each page that is not free, by physical address, and the references that the
    /// page source counts to it.
    pub fn references(&self) -> impl Iterator<Item = (u64, u16)> {
        self.lab.source.references_by_page()
    }

    fn create(&mut self, vm: Vm) -> Outcome {
        let configuration = &self.lab.configuration;
        let vmid = Vmid::new(vm.vmid(configuration.features.vmid16))
            .expect("no VM of a sequence has VMID 0");
        let guest = &self.vms[vm.index()];
        created(guest.create(&mut self.cpu, configuration, vmid, &self.lab.denied))
    }

    fn free(&mut self, vm: Vm) -> Outcome {
        self.vms[vm.index()].free(&mut self.cpu);
        self.freed()
    }

    /// Contract F3.
    fn freed(&self) -> Outcome {
        Outcome::Freed {
            pages: self.lab.source.lent().wrapping_sub(self.cpu.cached()),
        }
    }

    /// Fills the page cache for an operation on a space that exists, which has so many
    /// levels below its root: to the machine's capacity, or to what a path at both ends
    /// of a range takes.
    fn top_up(&mut self, levels: Option<u8>) {
        let Some(levels) = levels else {
            return;
        };
        let capacity = self.lab.cache_pages.unwrap_or(2 * u16::from(levels));
        self.cpu.top_up(u32::from(capacity));
    }
}

/// Contract P2.
fn needs_pages(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Protect { .. }
            | Operation::Annotate { .. }
            | Operation::Build { .. }
            | Operation::Range {
                action: Action::Split,
                ..
            }
    )
}
