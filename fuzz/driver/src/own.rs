//! The hypervisor's own tables, EL2's or Hyp mode's: contract, section E.

use hyp::addr::{Pa, Va};
use hyp::cpu::Cpu;
use hyp::descriptor::Prot;
use hyp::el2::{
    Configuration, CreateError, El2, EntryError, MapError, Mapping, RangeError, UnmapError,
};
use hyp::geometry::ExecutionState;
use hyp::pages::PageSource;
use hyp::platform::Platform;
use ops::{Machine, Operation, Outcome, Refusal, Regime, Vm};

use crate::convert::{features, granule, leaf_content, memory_type, prot};

pub(crate) fn configuration(machine: &Machine) -> Configuration {
    Configuration {
        state: state(machine.regime),
        granule: granule(machine.granule),
        va_bits: machine.ipa_bits,
        pa_bits: machine.pa_bits,
        start_level: machine.start_level,
        ds: machine.ds,
        coherent_walks: machine.coherent_walks,
        features: features(machine.features),
    }
}

/// The state in which the hypervisor of a regime executes.
pub(crate) fn state(regime: Regime) -> ExecutionState {
    match regime {
        Regime::Stage2 | Regime::El2 => ExecutionState::Aarch64,
        Regime::Aarch32 | Regime::Aarch32Hyp => ExecutionState::Aarch32,
    }
}

/// Whether the regime has this operation, and for this VM.
pub(crate) fn is_here(operation: &Operation) -> bool {
    let known = matches!(
        operation,
        Operation::Create { .. }
            | Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Free { .. }
            | Operation::Access { .. }
            | Operation::Leaf { .. }
    );
    known && operation.vm() == Some(Vm::A)
}

/// Executes an operation that `is_here`. Free answers `Done`: how many pages are in
/// use is the caller's to say.
pub(crate) fn execute<P: Platform, S: PageSource>(
    own: &El2,
    cpu: &mut Cpu<'_, P, S>,
    configuration: &Configuration,
    operation: &Operation,
) -> Outcome {
    match *operation {
        Operation::Create { .. } => own
            .create(cpu, configuration)
            .map_or_else(not_created, |()| Outcome::Done),
        Operation::Map {
            ipa,
            pa,
            size,
            prot: wanted,
            memory,
            software,
            pages_only,
            ..
        } => {
            let mapping = Mapping {
                va: Va::new(ipa),
                pa: Pa::new(pa),
                bytes: size,
                prot: prot(wanted),
                memory: memory_type(memory),
                software,
                pages_only,
            };
            own.map(cpu, &mapping)
                .map_or_else(not_mapped, |()| Outcome::Done)
        }
        Operation::Unmap { ipa, size, .. } => own
            .unmap(cpu, Va::new(ipa), size)
            .map_or_else(not_unmapped, |()| Outcome::Done),
        Operation::Free { .. } => {
            own.free(cpu);
            Outcome::Done
        }
        Operation::Leaf { ipa, .. } => leaf(own, cpu, Va::new(ipa)),
        Operation::Access { .. } if own.load(cpu) => Outcome::Nothing,
        Operation::Access { .. } => Outcome::Refused(Refusal::NoVm),
        _ => Outcome::Refused(Refusal::NotHere),
    }
}

fn leaf<P: Platform, S: PageSource>(own: &El2, cpu: &Cpu<'_, P, S>, va: Va) -> Outcome {
    match own.leaf(cpu.platform(), va) {
        Ok(entry) => Outcome::Entry {
            level: entry.level.number(),
            entry: entry.leaf.map_or(ops::Entry::Empty, |leaf| {
                let prot: Prot = leaf.prot;
                let (young, dirty) = (true, false);
                let content = leaf_content(leaf.pa, prot, leaf.memory, leaf.software, young, dirty);
                ops::Entry::Leaf(content)
            }),
        },
        Err(EntryError::NoSpace) => Outcome::Refused(Refusal::NoVm),
        Err(EntryError::BeyondVaSize(_)) => Outcome::Refused(Refusal::IpaRange),
    }
}

fn not_created(error: CreateError) -> Outcome {
    Outcome::Refused(match error {
        CreateError::Exists => Refusal::Exists,
        CreateError::NoMemory => Refusal::NoMemory,
        CreateError::Configuration(_) | CreateError::PageSize(_) | CreateError::Root(_) => {
            Refusal::IllegalConfiguration
        }
    })
}

fn not_mapped(error: MapError) -> Outcome {
    Outcome::Refused(match error {
        MapError::NoPages { done, need } => {
            let need = need.into();
            return Outcome::NoPages { done, need };
        }
        MapError::NoSpace => Refusal::NoVm,
        MapError::Range(error) => range(error),
        MapError::BeyondOutputSize(_) => Refusal::PaRange,
        MapError::Attributes(_) => Refusal::BadAttributes,
        MapError::Mapped(_) => Refusal::Mapped,
    })
}

fn not_unmapped(error: UnmapError) -> Outcome {
    Outcome::Refused(match error {
        UnmapError::NoSpace => Refusal::NoVm,
        UnmapError::Range(error) => range(error),
        UnmapError::CutsBlock(_) => Refusal::CutsBlock,
    })
}

fn range(error: RangeError) -> Refusal {
    match error {
        RangeError::Empty => Refusal::Empty,
        RangeError::Misaligned(_) => Refusal::Misaligned,
        RangeError::Wraps(_) => Refusal::Wraps,
        RangeError::BeyondVaSize(_) => Refusal::IpaRange,
    }
}
