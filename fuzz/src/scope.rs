//! Small scopes: every sequence up to a length over a few operations at the edges
//! of tables, so that within the scope there is no divergence, not just none found.
//!
//! Each scope is one machine with one VM, and has one of two alphabets (`letters`).
//! One maps and unmaps at the edges; it leaves out guest accesses, since the judge
//! compares whole tables after each operation. The other changes what is mapped, in
//! one block and its last page, by every operation that there is. Both leave out
//! failing allocations, which `sweep` has.

mod letters;

use crate::lockstep::Lockstep;
use crate::{Sequence, Step};
use ops::{Granule, Machine, Operation, Vm, Window};
use oracle::verdict::Verdict;
use std::fmt;

/// A machine, and the operations of which sequences are made.
#[derive(Clone, Debug)]
pub struct Scope {
    machine: Machine,
    letters: Vec<Operation>,
}

/// A sequence on which subject and oracle differ.
#[derive(Debug)]
pub struct Divergence {
    /// The sequence.
    pub sequence: Sequence,
    /// How they differ.
    pub verdict: Box<Verdict>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.verdict, self.sequence)
    }
}

impl std::error::Error for Divergence {}

/// Granule, IPA size, physical address size, pages of the cache: for each granule a root
/// of one table and one of two, and a cache too small for some of the places.
const CONFIGURATIONS: [(Granule, u8, u8, Option<u16>); 7] = [
    (Granule::K4, 39, 40, None),
    (Granule::K4, 40, 40, None),
    (Granule::K4, 40, 40, Some(1)),
    (Granule::K16, 36, 40, None),
    (Granule::K16, 37, 40, None),
    (Granule::K64, 42, 42, None),
    (Granule::K64, 43, 44, None),
];

/// Options of the scopes in which what is mapped is changed: the contiguous hint,
/// hardware's own updates, changes in place.
const CHANGING: [u16; 3] = [CONTIGUOUS, HAF | HD, BBM2];

/// Bits of `Machine::options`.
const HAF: u16 = 1 << 5;
const HD: u16 = 1 << 6;
const BBM2: u16 = 2 << 12;
const CONTIGUOUS: u16 = 1 << 15;

/// Guest memory. Blocks of all granules fit behind it at 2 GiB.
const MEMORY: Window = Window {
    base: 0x5000_0000,
    bytes: 64 << 20,
};

/// All scopes.
#[must_use]
pub fn scopes() -> Vec<Scope> {
    mapping_scopes().chain(changing_scopes()).collect()
}

fn mapping_scopes() -> impl Iterator<Item = Scope> {
    let machines = CONFIGURATIONS
        .into_iter()
        .map(|(granule, ipa_bits, pa_bits, cache_pages)| Machine {
            granule,
            ipa_bits,
            pa_bits,
            cache_pages,
            memory: MEMORY,
            ..Machine::PLAIN
        });
    machines.map(|machine| Scope {
        machine,
        letters: letters::mapping(&machine),
    })
}

fn changing_scopes() -> impl Iterator<Item = Scope> {
    let machines = CHANGING.into_iter().map(|options| Machine {
        ipa_bits: 36,
        memory: MEMORY,
        ..Machine::PLAIN.with_options(options)
    });
    machines.map(|machine| Scope {
        machine,
        letters: letters::changing(&machine),
    })
}

impl Scope {
    /// How many sequences have exactly `length` operations, the creation of the VM
    /// before them aside.
    #[must_use]
    pub fn sequences(&self, length: u32) -> u64 {
        (self.letters.len() as u64).saturating_pow(length)
    }

    /// Runs every sequence of exactly `length` operations behind the creation of the
    /// VM, and answers how many there were. `progress` is told of each how many are
    /// done.
    ///
    /// # Errors
    /// The first sequence on which subject and oracle differ.
    ///
    /// # Panics
    /// When the subject panics.
    pub fn run(
        &self,
        lockstep: &mut Lockstep,
        length: usize,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, Box<Divergence>> {
        let mut word = vec![0; length];
        let mut sequence = self.first(length);
        let mut done = 0;
        loop {
            if let Err(verdict) = lockstep.run(&sequence) {
                return Err(Box::new(Divergence { sequence, verdict }));
            }
            done += 1;
            progress(done);
            if !self.advance(&mut word, &mut sequence) {
                return Ok(done);
            }
        }
    }

    /// The first letter, so many times.
    fn first(&self, length: usize) -> Sequence {
        let create = Step::from(Operation::Create { vm: Vm::A });
        let mut steps = vec![create];
        steps.resize(1 + length, Step::from(self.letters[0]));
        Sequence {
            machine: self.machine,
            steps,
        }
    }

    /// The next word and its sequence, the last letter being the fastest to change;
    /// `false` behind the last word.
    fn advance(&self, word: &mut [usize], sequence: &mut Sequence) -> bool {
        for (digit, step) in word.iter_mut().zip(&mut sequence.steps[1..]).rev() {
            *digit = (*digit + 1) % self.letters.len();
            *step = Step::from(self.letters[*digit]);
            if *digit != 0 {
                return true;
            }
        }
        false
    }
}

impl fmt::Display for Scope {
    /// The machine in the words of a sequence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::Text(&self.machine).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Shape;
    use std::collections::HashSet;

    #[test]
    fn every_word_comes_once() {
        let scope = &scopes()[0];
        let mut word = vec![0; 2];
        let mut sequence = scope.first(2);
        let mut seen = HashSet::from([sequence.to_string()]);
        while scope.advance(&mut word, &mut sequence) {
            assert!(seen.insert(sequence.to_string()), "twice:\n{sequence}");
        }
        assert_eq!(seen.len() as u64, scope.sequences(2));
        assert_eq!(scope.sequences(2), 32 * 32);
    }

    #[test]
    fn every_scope_has_as_many_letters() {
        assert!(scopes().iter().all(|scope| scope.letters.len() == 32));
    }

    #[test]
    fn the_empty_word_is_one_sequence() {
        let scope = &scopes()[0];
        let mut lockstep = Lockstep::new();
        assert_eq!(scope.run(&mut lockstep, 0, |_| ()).expect("it agrees"), 1);
    }

    #[test]
    fn every_letter_is_accepted_by_a_new_vm_with_pages_enough() {
        for scope in mapping_scopes().filter(|scope| scope.machine.cache_pages.is_none()) {
            let mut lockstep = Lockstep::new();
            for letter in &scope.letters[1..] {
                let mut sequence = scope.first(1);
                sequence.steps[1] = Step::from(*letter);
                let run = lockstep.run(&sequence).expect("it agrees");
                let answer = run.answers[1].outcome;
                let is_ok = matches!(answer, ops::Outcome::Done | ops::Outcome::Freed { .. });
                assert!(is_ok, "{answer:?} in\n{sequence}");
            }
        }
    }

    #[test]
    fn roots_have_one_table_and_two() {
        let mut roots = Vec::new();
        let mut lockstep = Lockstep::new();
        for scope in mapping_scopes() {
            lockstep.run(&scope.first(0)).expect("it agrees");
            let shape = Shape::new(&scope.machine);
            roots.push(shape.space() / shape.root_table());
        }
        assert_eq!(roots, [1, 2, 2, 1, 2, 1, 2]);
    }
}
