//! The words of a sequence in those of `hyp`, and its answers back.

use hyp::addr::{Ipa, Pa, PaRange};
use hyp::descriptor::{Execute, MemoryType, Prot};
use hyp::geometry::{Configuration, Features, Granule};
use hyp::stage2::{CreateError, Decision, Entry, Error, Leaf, Mapping, RangeError};
use ops::{LeafContent, Machine, Operation, Outcome, Refusal, Window};

use crate::{LabError, own};

pub(crate) fn configuration(machine: &Machine) -> Configuration {
    Configuration {
        state: own::state(machine.regime),
        granule: granule(machine.granule),
        ipa_bits: machine.ipa_bits,
        pa_bits: machine.pa_bits,
        start_level: machine.start_level,
        ds: machine.ds,
        contiguous: machine.contiguous,
        coherent_walks: machine.coherent_walks,
        features: features(machine.features),
    }
}

pub(crate) fn granule(granule: ops::Granule) -> Granule {
    match granule {
        ops::Granule::K4 => Granule::K4,
        ops::Granule::K16 => Granule::K16,
        ops::Granule::K64 => Granule::K64,
    }
}

pub(crate) fn features(features: ops::Features) -> Features {
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

pub(crate) fn pa_range(window: Window) -> Result<PaRange, LabError> {
    let place = ops::MachineError::PoolPlace(window.base);
    PaRange::new(Pa::new(window.base), window.bytes).ok_or(LabError::Machine(place))
}

/// What map and build map; `None` for other operations. The length of what build
/// maps is that of an entry, which `hyp` knows.
pub(crate) fn mapping(mut operation: Operation) -> Option<Mapping> {
    let parts = operation.parts();
    Some(Mapping {
        ipa: Ipa::new(*parts.ipa?),
        pa: Pa::new(*parts.pa?),
        bytes: parts.size.map_or(0, |size| *size),
        prot: prot(*parts.prot?),
        memory: memory_type(*parts.memory?),
        software: *parts.software?,
        pages_only: *parts.pages_only?,
    })
}

pub(crate) fn prot(prot: ops::Prot) -> Prot {
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

pub(crate) fn memory_type(memory: ops::MemoryType) -> MemoryType {
    match memory {
        ops::MemoryType::Normal => MemoryType::Normal,
        ops::MemoryType::Device => MemoryType::DeviceNgnre,
        ops::MemoryType::NonCacheable => MemoryType::NonCacheable,
        ops::MemoryType::DeviceStrict => MemoryType::DeviceNgnrne,
    }
}

/// The answer of create.
pub(crate) fn created(result: Result<(), CreateError>) -> Outcome {
    match result {
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

/// The answer of an operation that says nothing but that it is done.
pub(crate) fn done(result: Result<(), Error>) -> Outcome {
    result.map_or_else(refused, |()| Outcome::Done)
}

/// The answer of an operation that asks for access flags.
pub(crate) fn young(result: Result<bool, Error>) -> Outcome {
    result.map_or_else(refused, Outcome::Young)
}

/// The answer of leaf.
pub(crate) fn decision(result: Result<Decision, Error>) -> Outcome {
    result.map_or_else(refused, |decision| Outcome::Entry {
        level: decision.level.number(),
        entry: match decision.entry {
            Entry::Empty => ops::Entry::Empty,
            Entry::Annotated(owner) => ops::Entry::Annotated { owner: owner.get() },
            Entry::Softened(leaf) => ops::Entry::Softened(content(&leaf)),
            Entry::Leaf(leaf) => ops::Entry::Leaf(content(&leaf)),
        },
    })
}

fn content(leaf: &Leaf) -> LeafContent {
    let Leaf {
        pa,
        prot,
        memory,
        software,
        young,
        dirty,
        ..
    } = *leaf;
    leaf_content(pa, prot, memory, software, young, dirty)
}

pub(crate) fn leaf_content(
    pa: Pa,
    prot: Prot,
    memory: MemoryType,
    software: u8,
    young: bool,
    dirty: bool,
) -> LeafContent {
    LeafContent {
        pa: pa.raw(),
        prot: ops::Prot {
            read: prot.read,
            write: prot.write,
            execute: match prot.execute {
                Execute::Never => ops::Execute::Never,
                Execute::Both => ops::Execute::Both,
                Execute::El1 => ops::Execute::El1,
                Execute::El0 => ops::Execute::El0,
            },
        },
        memory: match memory {
            MemoryType::Normal => ops::MemoryType::Normal,
            MemoryType::NonCacheable => ops::MemoryType::NonCacheable,
            MemoryType::DeviceNgnre => ops::MemoryType::Device,
            MemoryType::DeviceNgnrne => ops::MemoryType::DeviceStrict,
        },
        software,
        young,
        dirty,
    }
}

/// What an error is in the words of a sequence.
pub(crate) fn refused(error: Error) -> Outcome {
    Outcome::Refused(match error {
        Error::NoPages { done, need } => return Outcome::NoPages { done, need },
        Error::NoSpace => Refusal::NoVm,
        Error::Dying => Refusal::Dying,
        Error::Range(RangeError::Empty) => Refusal::Empty,
        Error::Range(RangeError::Misaligned(_)) => Refusal::Misaligned,
        Error::Range(RangeError::Wraps(_)) => Refusal::Wraps,
        Error::Range(RangeError::BeyondIpaSize(_)) => Refusal::IpaRange,
        Error::BeyondOutputSize(_) => Refusal::PaRange,
        Error::Attributes(_) => Refusal::BadAttributes,
        Error::Denied(_) => Refusal::Denied,
        Error::NotMapped(_) => Refusal::NotMapped,
        Error::Owner(_) => Refusal::BadOwner,
        Error::Busy => Refusal::Busy,
        Error::Level(_) => Refusal::BadLevel,
        Error::NothingBuilt => Refusal::NothingBuilt,
        Error::NoPath(_) => Refusal::NoPath,
    })
}
