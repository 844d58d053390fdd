//! Smaller sequences that show the same.
//!
//! A candidate is the sequence at hand with one thing made plainer; where it still
//! shows what the sequence shows, it takes its place, and so on until nothing that
//! is tried helps. "Plainer" is an order (`measure`) without endless descents, so
//! this ends, and the result of a result is itself. Nothing here is random or looks
//! at a clock: the same sequence shrinks to the same one everywhere.
//!
//! What is tried: fewer operations; no expectations; the plain machine, whose
//! addresses are then carried over (`carry`); smaller sizes; lower addresses, whole
//! groups of neighbours first, so that what lies in one table stays in one; plainer
//! attributes, and VM a. An operation is never made one of another kind.

mod attributes;
mod carry;
mod failure;
mod machine;
mod measure;
mod place;
mod size;
mod steps;

pub use failure::{Failure, Reduced, divergence};

use crate::sequence::Sequence;
use crate::target::work;
use measure::Measure;

/// Evaluations after which the shrinking of a crash ends, within the fuzzer: about
/// three seconds' worth with the address sanitizer, and much less without.
pub const CRASH_EVALUATIONS: u32 = 10_000;

/// Descriptors that the maps of a candidate may write for each evaluation that it
/// counts as: one of that size takes as long as the rest of an evaluation.
const WORK_OF_EVALUATION: u64 = 1024;

/// Descriptors that any candidate may write: what fills a table of 64K. More is
/// only for a sequence that wrote more from the start.
const FREE_WORK: u64 = 1 << 13;

/// What shrinking came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest sequence that was found.
    pub sequence: Sequence,
    /// How many evaluations that took. A candidate counts as one, and as one more
    /// for every 1024 descriptors that its maps may write.
    pub evaluations: u32,
    /// Whether everything was tried: otherwise the bound came first.
    pub is_finished: bool,
}

/// Shrinks `sequence` to a smaller one of which `shows` is true, in at most `most`
/// evaluations. `sequence` itself is taken to show it, and is the result where
/// nothing smaller does. Candidates have a machine that can run (`Machine::check`)
/// and at most as many operations, those of the stub included, as `sequence`.
pub fn shrink(sequence: &Sequence, most: u32, shows: impl FnMut(&Sequence) -> bool) -> Shrunk {
    let mut search = Search {
        work: work(sequence).max(FREE_WORK),
        measure: Measure::of(sequence),
        best: sequence.clone(),
        evaluations: 0,
        most,
        is_out: false,
        shows,
    };
    search.descend();
    Shrunk {
        sequence: search.best,
        evaluations: search.evaluations,
        is_finished: !search.is_out,
    }
}

/// The descent from one sequence to the next.
struct Search<F> {
    best: Sequence,
    measure: Measure,
    /// The most that a candidate's maps may write.
    work: u64,
    evaluations: u32,
    most: u32,
    /// Whether a candidate was left out because of `most`.
    is_out: bool,
    shows: F,
}

impl<F: FnMut(&Sequence) -> bool> Search<F> {
    fn descend(&mut self) {
        loop {
            let before = self.measure.clone();
            steps::pass(self);
            machine::pass(self);
            size::pass(self);
            place::pass(self);
            attributes::pass(self);
            if self.is_out || self.measure == before {
                return;
            }
        }
    }

    /// Tries the best sequence after `change`. Whether it took its place.
    fn attempt(&mut self, change: impl FnOnce(&mut Sequence)) -> bool {
        if self.is_out {
            return false;
        }
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.attempt_whole(candidate)
    }

    fn attempt_whole(&mut self, candidate: Sequence) -> bool {
        let measure = Measure::of(&candidate);
        if measure >= self.measure || candidate.machine.check().is_err() {
            return false;
        }
        let work = work(&candidate);
        if work > self.work || !self.affords(work) || !(self.shows)(&candidate) {
            return false;
        }
        self.best = candidate;
        self.measure = measure;
        true
    }

    /// Counts an evaluation, if there is one left.
    fn affords(&mut self, work: u64) -> bool {
        let cost = 1 + u32::try_from(work / WORK_OF_EVALUATION).unwrap_or(u32::MAX - 1);
        match self.evaluations.checked_add(cost) {
            Some(sum) if sum <= self.most => self.evaluations = sum,
            _ => self.is_out = true,
        }
        !self.is_out
    }
}

/// Smaller numbers than `value`, from the smallest on: `least`, and then less and
/// less below `value`, in steps that halve down to `unit`. Whatever the smallest
/// number that does is, repeating this comes to it in few trials.
fn below(value: u64, least: u64, unit: u64) -> impl Iterator<Item = u64> {
    let room = value.saturating_sub(least);
    let largest = room.checked_ilog2().unwrap_or(0);
    let steps = (unit.ilog2()..=largest).rev().map(|bit| 1_u64 << bit);
    let nearer = steps.filter(move |step| *step <= room);
    let all = std::iter::once(least).chain(nearer.map(move |step| value - step));
    all.filter(move |smaller| *smaller < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_numbers_start_at_the_least_and_end_one_unit_below() {
        assert_eq!(below(13, 2, 1).collect::<Vec<_>>(), [2, 5, 9, 11, 12]);
        assert_eq!(
            below(0x5000, 0, 0x1000).collect::<Vec<_>>(),
            [0, 0x1000, 0x3000, 0x4000]
        );
    }

    #[test]
    fn nothing_is_below_the_least() {
        assert_eq!(
            below(7, 7, 1).count() + below(3, 7, 1).count() + below(0, 0, 8).count(),
            0
        );
    }
}
