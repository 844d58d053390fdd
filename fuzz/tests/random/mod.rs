//! Sequences with any value in any field, from a seed. The library's own
//! generator is not used: it never makes most of these.

use fastrand::Rng;
use fuzz::{Expectation, Sequence, Step};
use ops::{
    AccessKind, AccessOutcome, Action, Entry, Execute, FaultKind, Granule, LeafContent, Machine,
    MemoryType, Operation, Outcome, Pool, Prot, Refusal, Regime, Vm, Window,
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
    let machine = Machine {
        regime: pick(rng, &Regime::ALL),
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
        ..Machine::PLAIN
    };
    // FEAT_BBM has no level 3.
    let options = rng.u16(..) & !(1 << rng.u8(12..14));
    machine.with_options(if rng.bool() { options } else { 0 })
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
    let [ipa, pa, size] = [number(rng), number(rng), number(rng)];
    let prot = prot(rng);
    let memory = pick(rng, &MemoryType::ALL);
    let (software, pages_only) = (rng.u8(0..16) & rng.u8(..), rng.bool());
    match rng.u8(0..16) {
        0 => Operation::Create { vm },
        1 => Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot,
            memory,
            software,
            pages_only,
        },
        2 => Operation::Unmap { vm, ipa, size },
        3 => Operation::Free { vm },
        4 => Operation::Access {
            vm,
            ipa,
            kind: pick(
                rng,
                &[AccessKind::Read, AccessKind::Write, AccessKind::Execute],
            ),
        },
        5 => Operation::Range {
            vm,
            action: pick(rng, &Action::ALL),
            ipa,
            size,
        },
        6 => Operation::Protect {
            vm,
            ipa,
            size,
            prot,
        },
        7 => Operation::Annotate {
            vm,
            ipa,
            size,
            owner: rng.u8(..),
        },
        8 => Operation::Relax { vm, ipa, prot },
        9 => Operation::MakeYoung { vm, ipa },
        10 => Operation::Leaf { vm, ipa },
        11 => Operation::Build {
            vm,
            ipa,
            pa,
            level: rng.i8(..),
            prot,
            memory,
            software,
            pages_only,
        },
        12 => Operation::Link { vm },
        13 => Operation::Discard { vm },
        14 => Operation::Conflict { vm },
        _ => Operation::Fail { after: rng.u16(..) },
    }
}

fn prot(rng: &mut Rng) -> Prot {
    Prot {
        read: rng.bool(),
        write: rng.bool(),
        execute: pick(rng, &Execute::ALL),
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
        _ if rng.bool() => Expectation::Outcome(Outcome::Refused(pick(rng, &Refusal::ALL))),
        Operation::Range {
            action: Action::TestYoung | Action::ClearYoung,
            ..
        } => Expectation::Outcome(Outcome::Young(rng.bool())),
        Operation::Leaf { .. } => Expectation::Outcome(Outcome::Entry {
            level: rng.i8(..),
            entry: entry(rng),
        }),
        _ => Expectation::Outcome(match rng.u8(0..3) {
            0 => Outcome::Done,
            1 => Outcome::Freed { pages: rng.u32(..) },
            _ => Outcome::NoPages {
                done: number(rng),
                need: rng.u16(..),
            },
        }),
    }
}

fn entry(rng: &mut Rng) -> Entry {
    let content = LeafContent {
        pa: number(rng),
        prot: prot(rng),
        memory: pick(rng, &MemoryType::ALL),
        software: rng.u8(0..16),
        young: rng.bool(),
        dirty: rng.bool(),
    };
    match rng.u8(0..4) {
        0 => Entry::Empty,
        1 => Entry::Annotated { owner: rng.u8(..) },
        2 => Entry::Leaf(content),
        _ => Entry::Softened(content),
    }
}

const FAULTS: [FaultKind; 5] = [
    FaultKind::Translation,
    FaultKind::AddressSize,
    FaultKind::AccessFlag,
    FaultKind::Permission,
    FaultKind::Stage1AddressSize,
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
