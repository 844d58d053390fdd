//! A plainer machine, with the addresses as they are or carried over.

use ops::{Granule, Machine, Operation, Pool};

use super::{Search, below, carry::carry, place::pa_of};
use crate::sequence::{Sequence, Step};
use crate::wire::MAX_OPERATIONS;

/// IPA sizes, plainest first, of all legal configurations.
const IPA_BITS: [u8; 37] = [
    40, 39, 41, 38, 42, 37, 43, 36, 44, 35, 45, 34, 46, 33, 47, 32, 48, 31, 49, 30, 50, 29, 51, 28,
    52, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
];

/// Physical address sizes, plainest first.
const PA_BITS: [u8; 7] = [40, 42, 36, 44, 32, 48, 52];

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    drop_stub(search);
    while variants(&search.best.machine)
        .into_iter()
        .any(|machine| replace(search, machine))
    {}
}

/// Takes the stub away, or has its operations as steps: those that are needed.
fn drop_stub<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    let machine = search.best.machine;
    if machine.stub.is_none() {
        return;
    }
    let stub: Vec<Operation> = machine.operation_0().collect();
    for first in (0..=stub.len()).map(|count| &stub[..count]) {
        if search.best.steps.len() + first.len() > MAX_OPERATIONS {
            return;
        }
        let is_dropped = search.attempt(|sequence| {
            sequence.machine.stub = None;
            let first = first.iter().copied().map(Step::from);
            sequence.steps.splice(0..0, first);
        });
        if is_dropped {
            return;
        }
    }
}

/// Puts `machine` in the place of the best sequence's, if it is plainer.
fn replace<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>, machine: Machine) -> bool {
    let moved = machine
        .memory
        .base
        .wrapping_sub(search.best.machine.memory.base);
    let whole = carry(&search.best, machine);
    search.attempt(|sequence| sequence.machine = machine)
        || search.attempt_whole(whole)
        || moved != 0
            && search.attempt(|sequence| {
                let memory = sequence.machine.memory;
                sequence.machine = machine;
                for pa in sequence
                    .steps
                    .iter_mut()
                    .filter_map(|step| pa_of(&mut step.operation))
                {
                    if memory.contains(*pa) {
                        *pa = pa.wrapping_add(moved);
                    }
                }
            })
}

/// Machines that differ in one thing, after the plain one; also such as are not
/// plainer.
fn variants(machine: &Machine) -> Vec<Machine> {
    let machine = *machine;
    let plain = Machine::PLAIN;
    let mut variants = vec![Machine {
        stub: machine.stub,
        ..plain
    }];
    variants.extend(Granule::ALL.map(|granule| Machine { granule, ..machine }));
    let (pa_bits, ipa_bits) = (plain.pa_bits, plain.ipa_bits);
    variants.extend(Granule::ALL.map(|granule| Machine {
        granule,
        pa_bits,
        ipa_bits,
        ..machine
    }));
    variants.extend(fewer_options(machine));
    variants.push(Machine {
        start_level: None,
        ..machine
    });
    variants.extend(sizes(&machine));
    variants.push(Machine {
        coherent_walks: true,
        ..machine
    });
    variants.push(Machine {
        cache_pages: None,
        ..machine
    });
    variants.extend(
        machine
            .cache_pages
            .into_iter()
            .flat_map(fewer)
            .map(|pages| Machine {
                cache_pages: Some(pages),
                ..machine
            }),
    );
    variants.push(Machine {
        pool: plain.pool,
        ..machine
    });
    variants.push(Machine {
        pool: Pool {
            base: plain.pool.base,
            ..machine.pool
        },
        ..machine
    });
    variants.push(Machine {
        pool: Pool {
            pages: plain.pool.pages,
            ..machine.pool
        },
        ..machine
    });
    variants.push(Machine {
        memory: plain.memory,
        ..machine
    });
    variants
}

/// Without any option, and without each.
fn fewer_options(machine: Machine) -> impl Iterator<Item = Machine> {
    let options = machine.options();
    let each = (0..Machine::OPTIONS.len()).map(move |bit| options & !(1 << bit));
    let fewer = [0].into_iter().chain(each);
    fewer.map(move |options| machine.with_options(options))
}

/// All pairs of sizes, and with the start level that is found by itself.
fn sizes(machine: &Machine) -> impl Iterator<Item = Machine> {
    let machine = *machine;
    let pairs = PA_BITS
        .into_iter()
        .flat_map(|pa| IPA_BITS.map(|ipa| (pa, ipa)));
    pairs.flat_map(move |(pa_bits, ipa_bits)| {
        let sized = Machine {
            pa_bits,
            ipa_bits,
            ..machine
        };
        [
            Machine {
                start_level: None,
                ..sized
            },
            sized,
        ]
    })
}

fn fewer(pages: u16) -> impl Iterator<Item = u16> {
    let fewer = below(u64::from(pages), 0, 1);
    fewer.filter_map(|pages| u16::try_from(pages).ok())
}
