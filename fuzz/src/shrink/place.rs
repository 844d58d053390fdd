//! Lower addresses: IPAs towards 0, PAs towards the start of guest memory.
//!
//! From the root's entries down to pages, and to bytes where an address is in no
//! page's first: all addresses under one entry move together, so that what is
//! below it stays as it is.

use std::ops::RangeInclusive;

use ops::{Machine, Operation};

use super::{Search, below};
use crate::generate::Shape;
use crate::mutate::ipa_of;
use crate::sequence::Sequence;

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    lower(search, Kind::Ipa);
    meet(search);
    lower(search, Kind::Pa);
    to_memory(search);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ipa,
    Pa,
}

/// The PA of a map.
pub(super) fn pa_of(operation: &mut Operation) -> Option<&mut u64> {
    operation.parts().pa
}

fn address_of(operation: &mut Operation, kind: Kind) -> Option<&mut u64> {
    match kind {
        Kind::Ipa => ipa_of(operation),
        Kind::Pa => pa_of(operation),
    }
}

/// All different addresses of a kind, the stub's included, in order.
fn addresses(sequence: &Sequence, kind: Kind) -> Vec<u64> {
    let address =
        |mut operation: Operation| address_of(&mut operation, kind).map(|address| *address);
    let stub = sequence.machine.stub.filter(|_| kind == Kind::Ipa);
    let steps = sequence
        .operations()
        .filter_map(|operation| address(*operation));
    let mut all: Vec<u64> = steps.chain(stub).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Level by level: first all that is in one table together, and then what is under
/// each of its entries.
fn lower<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>, kind: Kind) {
    let shape = Shape::new(&search.best.machine);
    let mut tables = Units::ALL;
    for entry in shape.levels().map(|level| shape.entry(level)).chain([1]) {
        let entries = Units::of(entry);
        for table in tables.in_use(search, kind) {
            let lowest = addresses(&search.best, kind)
                .into_iter()
                .find(|at| table.contains(at));
            let at = entries.around(lowest.unwrap_or(0));
            descend(search, kind, &table, *at.start(), *table.start(), entry);
        }
        for group in entries.in_use(search, kind) {
            let least = *tables.around(*group.start()).start();
            descend(search, kind, &group, *group.start(), least, entry);
        }
        tables = entries;
    }
}

/// Address space in pieces of a power of two.
#[derive(Clone, Copy)]
struct Units {
    /// Bits of an address within a piece.
    mask: u64,
}

impl Units {
    const ALL: Units = Units { mask: u64::MAX };

    fn of(bytes: u64) -> Units {
        Units { mask: bytes - 1 }
    }

    fn around(self, address: u64) -> RangeInclusive<u64> {
        address & !self.mask..=address | self.mask
    }

    /// Those with an address in them, highest first.
    fn in_use<F>(self, search: &Search<F>, kind: Kind) -> Vec<RangeInclusive<u64>> {
        let addresses = addresses(&search.best, kind).into_iter();
        let mut pieces: Vec<_> = addresses.map(|address| self.around(address)).collect();
        pieces.dedup();
        pieces.reverse();
        pieces
    }
}

/// Moves all of `group` down so that `at` comes to the lowest place possible, but
/// not below `least` or the start of guest memory.
fn descend<F: FnMut(&Sequence) -> bool>(
    search: &mut Search<F>,
    kind: Kind,
    group: &RangeInclusive<u64>,
    at: u64,
    least: u64,
    unit: u64,
) {
    let least = match kind {
        Kind::Ipa => least,
        // Bases of memory are below 2^52.
        Kind::Pa => least.max(search.best.machine.memory.base.next_multiple_of(unit)),
    };
    below(at, least, unit).any(|new| {
        let down = at - new;
        search.attempt(|sequence| move_down(sequence, kind, group, down, false))
            || kind == Kind::Ipa
                && search.attempt(|sequence| move_down(sequence, kind, group, down, true))
    });
}

/// `with_pa`: where an IPA moves, the PA of its map does as well, so that they stay
/// aligned alike.
fn move_down(
    sequence: &mut Sequence,
    kind: Kind,
    group: &RangeInclusive<u64>,
    down: u64,
    with_pa: bool,
) {
    let stub = sequence
        .machine
        .stub
        .iter_mut()
        .filter(|_| kind == Kind::Ipa);
    for address in stub.filter(|address| group.contains(address)) {
        *address -= down;
    }
    for step in &mut sequence.steps {
        let address = address_of(&mut step.operation, kind);
        let Some(address) = address.filter(|address| group.contains(address)) else {
            continue;
        };
        *address -= down;
        if let Some(pa) = pa_of(&mut step.operation).filter(|_| with_pa) {
            *pa = pa.wrapping_sub(down);
        }
    }
}

/// Moves single operations to a lower IPA that another one has.
fn meet<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    for index in 0..search.best.steps.len() {
        addresses(&search.best, Kind::Ipa).into_iter().any(|other| {
            search.attempt(|sequence| {
                if let Some(ipa) = ipa_of(&mut sequence.steps[index].operation) {
                    *ipa = other;
                }
            })
        });
    }
}

/// Moves PAs to the first place in guest memory that does: all of one PA, or one.
fn to_memory<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    for index in 0..search.best.steps.len() {
        let mut operation = search.best.steps[index].operation;
        let parts = operation.parts();
        let (Some(&mut ipa), Some(&mut old)) = (parts.ipa, parts.pa) else {
            continue;
        };
        places(&search.best.machine, ipa).into_iter().any(|new| {
            search.attempt(|sequence| {
                let pas = sequence
                    .steps
                    .iter_mut()
                    .filter_map(|step| pa_of(&mut step.operation));
                pas.filter(|pa| **pa == old).for_each(|pa| *pa = new);
            }) || search.attempt(|sequence| {
                pa_of(&mut sequence.steps[index].operation)
                    .into_iter()
                    .for_each(|pa| *pa = new);
            })
        });
    }
}

/// PAs for a map of `ipa`: the first of guest memory, those a page and a block
/// behind it, and the first that is aligned as the IPA is, for each level.
fn places(machine: &Machine, ipa: u64) -> Vec<u64> {
    let shape = Shape::new(machine);
    let base = machine.memory.base;
    let behind = [0, shape.page(), shape.block()].map(|offset| base + offset);
    let entries = shape.levels().rev().map(|level| shape.entry(level));
    let alike = entries.map(|entry| base.next_multiple_of(entry) + ipa % entry);
    behind.into_iter().chain(alike).collect()
}
