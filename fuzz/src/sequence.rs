//! A sequence: a machine, and what happens on it step by step.
//!
//! Its two written forms are in `text` and `wire`.

use ops::{AccessOutcome, Machine, Operation, Outcome};

/// A machine and a list of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The machine. `Machine::operation_0` comes before the first step.
    pub machine: Machine,
    /// The operations, in order.
    pub steps: Vec<Step>,
}

/// An operation, and what its author expects of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is asked for.
    pub operation: Operation,
    /// What should come of it, where somebody said so.
    pub expected: Option<Expectation>,
}

/// What should come of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The subject's answer: for a guest access, its refusal.
    Outcome(Outcome),
    /// What the guest's access comes to.
    Access(AccessOutcome),
}

impl From<Operation> for Step {
    fn from(operation: Operation) -> Step {
        Step {
            operation,
            expected: None,
        }
    }
}

impl Sequence {
    /// The operations without what is expected of them.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &Operation> {
        self.steps.iter().map(|step| &step.operation)
    }
}
