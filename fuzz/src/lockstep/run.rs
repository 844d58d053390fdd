//! What a sequence came to: answers, counts, and how far it reached.

use crate::text::Text;
use ops::{AccessOutcome, Outcome, VMS};
use oracle::judge::Judged;
use oracle::regime::Registers;
use oracle::walk::Why;
use std::fmt::{self, Display};

/// The answer to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the subject answered.
    pub outcome: Outcome,
    /// What the access comes to, where the operation was one that the subject let
    /// through. `None` there: the architecture leaves it open.
    pub access: Option<AccessOutcome>,
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Some(access) => Text(access).fmt(f),
            None => Text(&self.outcome).fmt(f),
        }
    }
}

/// Which configuration the sequence created a VM in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// None: no create succeeded.
    #[default]
    Nothing,
    /// One that the contract does not allow.
    Illegal,
    /// A legal one of another regime than Stage-2 in AArch64: those are not listed.
    Unlisted,
    /// The one of this index among `oracle::model::legal::configurations()`.
    Legal(usize),
}

/// How much was done and compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations executed, those of the stub included.
    pub operations: u64,
    /// Translations that were compared.
    pub compared: u64,
    /// Translations that were not, by the reason that the architecture gives.
    pub not_comparable: Vec<(Why, u64)>,
}

/// A sequence's run. Where it ended in a verdict, what came before.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Answers to the operations of the stub; empty without one.
    pub stub: Vec<Answer>,
    /// Answers to the steps, in order.
    pub answers: Vec<Answer>,
    /// The registers of each VM that exists at the end.
    pub registers: [Option<Registers>; VMS],
    /// How much was done and compared.
    pub counts: Counts,
    /// How far it reached.
    pub reached: Reached,
}

impl Run {
    /// Forgets everything, and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.stub.clear();
        self.answers.clear();
        self.registers = [None; VMS];
        self.counts.clear();
        self.reached = Reached::Nothing;
    }
}

impl Counts {
    /// Adds the counts of another run, for a total over many.
    pub fn add(&mut self, other: &Counts) {
        self.operations += other.operations;
        self.compared += other.compared;
        for &(why, times) in &other.not_comparable {
            self.skip(why, times);
        }
    }

    /// Counts the comparisons of one operation.
    pub(super) fn add_judged(&mut self, judged: &Judged) {
        self.compared += u64::from(judged.compared);
        for &why in &judged.not_comparable {
            self.skip(why, 1);
        }
    }

    fn skip(&mut self, why: Why, times: u64) {
        match self
            .not_comparable
            .iter_mut()
            .find(|(other, _)| *other == why)
        {
            Some((_, count)) => *count += times,
            None => self.not_comparable.push((why, times)),
        }
    }

    fn clear(&mut self) {
        self.operations = 0;
        self.compared = 0;
        self.not_comparable.clear();
    }
}
