//! Sequences with any value in any field, from a seed. The library's own
//! generator is not used: it never makes most of these.

use fastrand::Rng;
use fuzz::{Expectation, Sequence, Step};
use ops::{
    AccessKind, AccessOutcome, FaultKind, Granule, Machine, MemoryType, Operation, Outcome, Pool,
    Prot, Refusal, Vm, Window,
};

pub(crate) fn sequence(seed: u64) -> Sequence {
    let mut rng = Rng::with_seed(seed);
    let steps = (0..rng.usize(0..24)).map(|_| step(&mut rng)).collect();
    Sequence {
        machine: machine(&mut rng),
        steps,
    }
}

fn machine(rng: &mut Rng) -> Machine {
    let memory_page = 0x5000 + rng.u64(0..0x2000);
    Machine {
        granule: pick(rng, &Granule::ALL),
        pa_bits: pick(rng, &Machine::PA_BITS),
        ipa_bits: rng.u8(..),
        start_level: maybe(rng, |rng| rng.i8(..)),
        coherent_walks: rng.bool(),
        cache_pages: maybe(rng, |rng| rng.u16(..)),
        pool: Pool {
            base: 0x4800_0000,
            pages: rng.u16(1..=Machine::MAX_POOL_PAGES),
        },
        memory: Window {
            base: memory_page << 16,
            bytes: rng.u64(1 << 16..1 << 28),
        },
        stub: maybe(rng, number),
    }
}

fn step(rng: &mut Rng) -> Step {
    let operation = operation(rng);
    let expected = maybe(rng, |rng| expectation(rng, &operation));
    Step {
        operation,
        expected,
    }
}

fn operation(rng: &mut Rng) -> Operation {
    let vm = Vm::new(rng.u8(0..4)).unwrap();
    match rng.u8(0..6) {
        0 => Operation::Create { vm },
        1 => Operation::Map {
            vm,
            ipa: number(rng),
            pa: number(rng),
            size: number(rng),
            prot: Prot {
                read: rng.bool(),
                write: rng.bool(),
                execute: rng.bool(),
            },
            memory: pick(rng, &[MemoryType::Normal, MemoryType::Device]),
            pages_only: rng.bool(),
        },
        2 => Operation::Unmap {
            vm,
            ipa: number(rng),
            size: number(rng),
        },
        3 => Operation::Free { vm },
        4 => Operation::Access {
            vm,
            ipa: number(rng),
            kind: pick(
                rng,
                &[AccessKind::Read, AccessKind::Write, AccessKind::Execute],
            ),
        },
        _ => Operation::Fail { after: rng.u16(..) },
    }
}

fn expectation(rng: &mut Rng, operation: &Operation) -> Expectation {
    match operation {
        Operation::Fail { .. } => Expectation::Outcome(Outcome::Nothing),
        Operation::Access { .. } => match rng.u8(0..4) {
            0 => Expectation::Access(AccessOutcome::Ok { pa: number(rng) }),
            1 => Expectation::Outcome(Outcome::Refused(Refusal::NoVm)),
            2 => Expectation::Outcome(Outcome::Nothing),
            _ => Expectation::Access(AccessOutcome::Fault {
                kind: pick(rng, &FAULTS),
                level: rng.i8(..),
            }),
        },
        _ => Expectation::Outcome(match rng.u8(0..4) {
            0 => Outcome::Done,
            1 => Outcome::Freed { pages: rng.u32(..) },
            2 => Outcome::NoPages {
                done: number(rng),
                need: rng.u16(..),
            },
            _ => Outcome::Refused(pick(rng, &REFUSALS)),
        }),
    }
}

const FAULTS: [FaultKind; 5] = [
    FaultKind::Translation,
    FaultKind::AddressSize,
    FaultKind::AccessFlag,
    FaultKind::Permission,
    FaultKind::Stage1AddressSize,
];

const REFUSALS: [Refusal; 11] = [
    Refusal::NoVm,
    Refusal::Exists,
    Refusal::IllegalConfiguration,
    Refusal::NoMemory,
    Refusal::Empty,
    Refusal::Misaligned,
    Refusal::Wraps,
    Refusal::IpaRange,
    Refusal::PaRange,
    Refusal::BadAttributes,
    Refusal::Denied,
];

/// Any number, with short ones, round ones and huge ones alike often.
fn number(rng: &mut Rng) -> u64 {
    rng.u64(..) >> rng.u32(0..64) << rng.u32(0..64)
}

fn pick<T: Copy>(rng: &mut Rng, values: &[T]) -> T {
    values[rng.usize(0..values.len())]
}

fn maybe<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| value(rng))
}
