//! Drives `hyp` through the operations of a sequence: the same code on the host
//! and at EL2, so that the two can only differ by what the machine does.
//!
//! It is a hypervisor in the small: it owns the page pool, up to four VMs, and
//! one CPU's context. It adds what a test needs around `hyp` and never inside: a
//! log of every instruction (`Recorder`), and a page source that fails where the
//! sequence says so and poisons what it takes back (`Source`).

#![no_std]
#![forbid(unsafe_code)]

mod loans;
mod recorder;
mod source;

pub use recorder::Recorder;
pub use source::Source;

use hyp::addr::{Ipa, Pa, PaRange};
use hyp::cpu::{Cpu, Registers};
use hyp::descriptor::{Execute, MemoryType, Prot};
use hyp::geometry::{Configuration, Features, Granule};
use hyp::pages::PageInfo;
use hyp::platform::Platform;
use hyp::stage2::{CreateError, MapError, Mapping, RangeError, Stage2, UnmapError};
use hyp::vmid::Vmid;
use ops::{HYPERVISOR, Machine, Operation, Outcome, Refusal, VMS, Vm, Window};

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
}

impl<P: Testbed, L: Log> Driver<'_, '_, P, L> {
    /// Executes one operation. A guest access only loads the VM, the access
    /// itself is the caller's.
    pub fn execute(&mut self, operation: &Operation) -> Outcome {
        match *operation {
            Operation::Create { vm } => self.create(vm),
            Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                software,
                pages_only,
            } => {
                let mapping = Mapping {
                    ipa: Ipa::new(ipa),
                    pa: Pa::new(pa),
                    bytes: size,
                    prot: self::prot(prot),
                    memory: memory_type(memory),
                    software,
                    pages_only,
                };
                self.map(vm, &mapping)
            }
            Operation::Unmap { vm, ipa, size } => self.unmap(vm, Ipa::new(ipa), size),
            Operation::Free { vm } => self.free(vm),
            Operation::Access { vm, .. } => self.load(vm),
            Operation::Fail { after } => {
                self.lab.source.fail_after(after);
                Outcome::Nothing
            }
            _ => Outcome::Refused(Refusal::NotHere),
        }
    }

    /// The registers that select a VM, if it exists.
    pub fn registers(&self, vm: Vm) -> Option<Registers> {
        self.vms[vm.index()].registers(&self.lab.recorder)
    }

    /// Each page that is not free, by physical address, and the references that the
    /// page source counts to it.
    pub fn references(&self) -> impl Iterator<Item = (u64, u16)> {
        self.lab.source.references_by_page()
    }

    fn create(&mut self, vm: Vm) -> Outcome {
        let configuration = &self.lab.configuration;
        let vmid = Vmid::new(vm.vmid()).expect("VMIDs of a sequence are 1 to 4");
        let created =
            self.vms[vm.index()].create(&mut self.cpu, configuration, vmid, &self.lab.denied);
        match created {
            Ok(()) => Outcome::Done,
            Err(CreateError::Exists) => Outcome::Refused(Refusal::Exists),
            Err(
                CreateError::Configuration(_)
                | CreateError::Vmid(_)
                | CreateError::PageSize(_)
                | CreateError::Root(_),
            ) => Outcome::Refused(Refusal::IllegalConfiguration),
            Err(CreateError::NoMemory { .. }) => Outcome::Refused(Refusal::NoMemory),
        }
    }

    fn map(&mut self, vm: Vm, mapping: &Mapping) -> Outcome {
        self.top_up(vm);
        match self.vms[vm.index()].map(&mut self.cpu, mapping) {
            Ok(()) => Outcome::Done,
            Err(MapError::NoPages { done, need }) => Outcome::NoPages {
                done,
                need: need.into(),
            },
            Err(MapError::NoSpace) => Outcome::Refused(Refusal::NoVm),
            Err(MapError::Range(error)) => range_refusal(error),
            Err(MapError::BeyondOutputSize(_)) => Outcome::Refused(Refusal::PaRange),
            Err(MapError::Attributes(..)) => Outcome::Refused(Refusal::BadAttributes),
            Err(MapError::Denied(_)) => Outcome::Refused(Refusal::Denied),
        }
    }

    fn unmap(&mut self, vm: Vm, ipa: Ipa, bytes: u64) -> Outcome {
        self.top_up(vm);
        match self.vms[vm.index()].unmap(&mut self.cpu, ipa, bytes) {
            Ok(()) => Outcome::Done,
            Err(UnmapError::NoPages { need }) => Outcome::NoPages {
                done: 0,
                need: need.into(),
            },
            Err(UnmapError::NoSpace) => Outcome::Refused(Refusal::NoVm),
            Err(UnmapError::Range(error)) => range_refusal(error),
        }
    }

    fn free(&mut self, vm: Vm) -> Outcome {
        self.vms[vm.index()].free(&mut self.cpu);
        Outcome::Freed {
            pages: self.lab.source.lent().wrapping_sub(self.cpu.cached()),
        }
    }

    fn load(&mut self, vm: Vm) -> Outcome {
        if self.vms[vm.index()].load(&mut self.cpu) {
            Outcome::Nothing
        } else {
            Outcome::Refused(Refusal::NoVm)
        }
    }

    /// Fills the page cache for an operation on a VM that exists: to the
    /// machine's capacity, or to what a path at both ends of a range takes.
    fn top_up(&mut self, vm: Vm) {
        let Some(levels) = self.vms[vm.index()].levels_below_root(&self.lab.recorder) else {
            return;
        };
        let capacity = self.lab.cache_pages.unwrap_or(2 * u16::from(levels));
        self.cpu.top_up(u32::from(capacity));
    }
}

fn configuration(machine: &Machine) -> Configuration {
    Configuration {
        granule: match machine.granule {
            ops::Granule::K4 => Granule::K4,
            ops::Granule::K16 => Granule::K16,
            ops::Granule::K64 => Granule::K64,
        },
        ipa_bits: machine.ipa_bits,
        pa_bits: machine.pa_bits,
        start_level: machine.start_level,
        ds: machine.ds,
        contiguous: machine.contiguous,
        coherent_walks: machine.coherent_walks,
        features: features(machine.features),
    }
}

fn features(features: ops::Features) -> Features {
    Features {
        lpa2_4k: features.lpa2_4k,
        lpa2_16k: features.lpa2_16k,
        ttst: features.ttst,
        xnx: features.xnx,
        fwb: features.fwb,
        haf: features.haf,
        hd: features.hd,
        bbm: features.bbm,
        ttl: features.ttl,
        tlb_range: features.tlb_range,
        vmid16: features.vmid16,
        idc: features.idc,
        dic: features.dic,
    }
}

fn pa_range(window: Window) -> Result<PaRange, LabError> {
    let place = ops::MachineError::PoolPlace(window.base);
    PaRange::new(Pa::new(window.base), window.bytes).ok_or(LabError::Machine(place))
}

fn prot(prot: ops::Prot) -> Prot {
    Prot {
        read: prot.read,
        write: prot.write,
        execute: match prot.execute {
            ops::Execute::Never => Execute::Never,
            ops::Execute::Both => Execute::Both,
            ops::Execute::El1 => Execute::El1,
            ops::Execute::El0 => Execute::El0,
        },
    }
}

fn memory_type(memory: ops::MemoryType) -> MemoryType {
    match memory {
        ops::MemoryType::Normal => MemoryType::Normal,
        ops::MemoryType::Device => MemoryType::DeviceNgnre,
        ops::MemoryType::NonCacheable => MemoryType::NonCacheable,
        ops::MemoryType::DeviceStrict => MemoryType::DeviceNgnrne,
    }
}

fn range_refusal(error: RangeError) -> Outcome {
    Outcome::Refused(match error {
        RangeError::Empty => Refusal::Empty,
        RangeError::Misaligned(_) => Refusal::Misaligned,
        RangeError::Wraps(_) => Refusal::Wraps,
        RangeError::BeyondIpaSize(_) => Refusal::IpaRange,
    })
}
