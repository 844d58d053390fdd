//! Short words for machines, operations and answers.

use oracle::arch::{Features, Granule};
use oracle::model::{Meaning, Model, Supply};
use oracle::operation::{
    Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Regime, Span,
};

pub(crate) const K: u64 = 1 << 10;
pub(crate) const M: u64 = 1 << 20;
pub(crate) const G: u64 = 1 << 30;

/// The pool of [`machine`]; the hypervisor's memory follows it.
pub(crate) const POOL: u64 = G;
pub(crate) const HYPERVISOR: u64 = POOL + 16 * M;
pub(crate) const HYPERVISOR_END: u64 = HYPERVISOR + M;

pub(crate) const READ: Prot = Prot {
    read: true,
    write: false,
    execute: Execute::Never,
};
pub(crate) const READ_WRITE: Prot = Prot {
    write: true,
    ..READ
};
pub(crate) const WRITE: Prot = Prot {
    read: false,
    ..READ_WRITE
};
pub(crate) const READ_EXECUTE: Prot = Prot {
    execute: Execute::Both,
    ..READ
};

pub(crate) fn machine(
    granule: Granule,
    start_level: Option<i8>,
    ipa_bits: u8,
    pa_bits: u8,
) -> Machine {
    Machine {
        regime: Regime::Stage2,
        granule,
        pa_bits,
        ipa_bits,
        start_level,
        ds: false,
        features: Features::of_contract(pa_bits),
        contiguous: false,
        ttl: false,
        tlb_range: false,
        vmid16: false,
        idc: false,
        dic: false,
        coherent_walks: true,
        bbm: 0,
        cache_pages: None,
        pool: Span {
            base: POOL,
            bytes: HYPERVISOR - POOL,
        },
        hypervisor: Span {
            base: HYPERVISOR,
            bytes: HYPERVISOR_END - HYPERVISOR,
        },
        sentinel: Span { base: 0, bytes: 0 },
    }
}

/// VM 0 on a 4K machine with start level 1, 40 bits of IPA and of PA: two root
/// tables.
pub(crate) fn vm_4k() -> Model {
    vm(machine(Granule::K4, Some(1), 40, 40))
}

/// The same with every feature that the model looks at.
pub(crate) fn vm_with_features() -> Model {
    vm(with_features(machine(Granule::K4, Some(1), 40, 40)))
}

/// A machine with FEAT_HAFDBS in full, FEAT_XNX, FEAT_LPA2 and FEAT_TTST.
pub(crate) fn with_features(machine: Machine) -> Machine {
    let features = Features {
        haf: true,
        dbm: true,
        xnx: true,
        lpa2_4k: true,
        lpa2_16k: true,
        ttst: true,
        ..machine.features
    };
    Machine {
        features,
        ..machine
    }
}

/// VM 0 on a machine.
pub(crate) fn vm(machine: Machine) -> Model {
    let mut model = Model::new(&machine);
    assert_eq!(create(&mut model, 0), Outcome::Done);
    model
}

pub(crate) fn pages(available: u32) -> Supply {
    Supply {
        available,
        root_failed: false,
    }
}

pub(crate) fn create(model: &mut Model, vm: usize) -> Outcome {
    model.apply(&Operation::Create { vm, vmid: 1 }, pages(0))
}

pub(crate) fn free(model: &mut Model, vm: usize) -> Outcome {
    model.apply(&Operation::Free { vm }, pages(0))
}

/// A map of VM 0.
#[derive(Clone, Copy)]
pub(crate) struct Map {
    pub(crate) ipa: u64,
    pub(crate) pa: u64,
    pub(crate) size: u64,
    pub(crate) prot: Prot,
    pub(crate) memory: MemoryType,
    pub(crate) software: u8,
    pub(crate) pages_only: bool,
}

impl Map {
    /// Normal memory to read and write, with blocks.
    pub(crate) fn new(ipa: u64, pa: u64, size: u64) -> Map {
        Map {
            ipa,
            pa,
            size,
            prot: READ_WRITE,
            memory: MemoryType::Normal,
            software: 0,
            pages_only: false,
        }
    }

    pub(crate) fn in_pages(self) -> Map {
        Map {
            pages_only: true,
            ..self
        }
    }

    pub(crate) fn of(self, vm: usize) -> Operation {
        Operation::Map {
            vm,
            ipa: self.ipa,
            pa: self.pa,
            size: self.size,
            prot: self.prot,
            memory: self.memory,
            software: self.software,
            pages_only: self.pages_only,
        }
    }

    pub(crate) fn with(self, model: &mut Model, available: u32) -> Outcome {
        model.apply(&self.of(0), pages(available))
    }

    /// With as many pages as anyone could need.
    pub(crate) fn done(self, model: &mut Model) {
        assert_eq!(self.with(model, u32::MAX), Outcome::Done);
    }
}

/// An unmap of VM 0.
pub(crate) fn unmap(model: &mut Model, ipa: u64, size: u64, available: u32) -> Outcome {
    model.apply(&Operation::Unmap { vm: 0, ipa, size }, pages(available))
}

pub(crate) fn refused(why: Refusal) -> Outcome {
    Outcome::Refused(why)
}

/// PA and level of the leaf at an IPA of VM 0, or the level of the fault.
pub(crate) fn at(model: &Model, ipa: u64) -> Result<(u64, i8), i8> {
    match model.lookup(0, ipa) {
        Meaning::Mapped { pa, level, .. } => Ok((pa, level)),
        Meaning::Unmapped { fault_level } => Err(fault_level),
        other => panic!("{other:?} at {ipa:#x}"),
    }
}

/// Permissions at an IPA of VM 0.
pub(crate) fn prot_at(model: &Model, ipa: u64) -> Prot {
    match model.lookup(0, ipa) {
        Meaning::Mapped { prot, .. } => prot,
        other => panic!("{other:?} at {ipa:#x}"),
    }
}
