//! Which clause of the contract decides: what addresses mean, what is answered, and that
//! nothing has changed.

use crate::operation::{Action, Operation, Outcome, Refusal};

/// The clause that says what addresses mean after an operation.
pub(super) fn promise(operation: &Operation, outcome: Outcome) -> &'static str {
    match (operation, outcome) {
        (_, Outcome::Refused(_)) => "G2",
        (Operation::Map { .. }, Outcome::Done) => "M15",
        (Operation::Unmap { .. }, Outcome::Done) => "U7",
        (Operation::Annotate { .. }, Outcome::Done) => "N3",
        (_, Outcome::NoPages { .. }) => need(operation),
        _ => effect(operation),
    }
}

/// The clause that says what an operation does.
fn effect(operation: &Operation) -> &'static str {
    match operation {
        Operation::Create { .. } => "C4",
        Operation::Map { .. } => "M9",
        Operation::Unmap { .. } => "U7",
        Operation::Range { action, .. } => match action {
            Action::UnmapWhole => "W2",
            Action::WriteProtect => "W3",
            Action::Soften | Action::Revive => "W4",
            Action::Flush => "W5",
            Action::TestYoung | Action::ClearYoung => "W6",
            Action::Coalesce => "W7",
            Action::Split => "T2",
            Action::Destroy => "D2",
        },
        Operation::Protect { .. } => "T1",
        Operation::Annotate { .. } => "N2",
        Operation::Relax { .. } => "Y4",
        Operation::MakeYoung { .. } => "Y3",
        Operation::Leaf { .. } => "Y5",
        Operation::Build { .. } => "B2",
        Operation::Link { .. } => "B3",
        Operation::Discard { .. } => "B4",
        Operation::Conflict { .. } => "D3",
        Operation::Free { .. } => "F2",
        Operation::Access { .. } => "A3",
    }
}

/// The clause that says how many pages are needed.
fn need(operation: &Operation) -> &'static str {
    match operation {
        Operation::Unmap { .. } => "U6",
        Operation::Protect { .. } => "T1",
        Operation::Annotate { .. } => "N2",
        Operation::Build { .. } => "B2",
        Operation::Range { .. } => "T2",
        _ => "M14",
    }
}

/// The clause by which an operation with this answer has changed nothing, if any does.
/// Split may have split something before the first leaf that is no page.
pub(super) fn nothing_changed(operation: &Operation, outcome: Outcome) -> Option<&'static str> {
    match (outcome, operation) {
        (Outcome::Refused(_), _) => Some("G2"),
        (Outcome::NoPages { .. }, Operation::Range { .. }) => None,
        (Outcome::NoPages { done: 0, .. }, _) => Some(need(operation)),
        _ => None,
    }
}

/// The clause that decides an answer: the one behind the demanded refusal, else the
/// one behind the refusal that was given without reason.
pub(super) fn of_answer(operation: &Operation, demanded: Outcome, given: Outcome) -> &'static str {
    match (demanded, given) {
        (Outcome::Refused(refusal), _) => of_refusal(operation, refusal),
        (Outcome::NoPages { .. }, _) | (_, Outcome::NoPages { .. }) => need(operation),
        (Outcome::Freed { .. }, _) => "F3",
        (Outcome::Young(_), Outcome::Young(_)) => "W6",
        (Outcome::Entry { .. }, Outcome::Entry { .. }) => "Y5",
        (_, Outcome::Refused(refusal)) => of_refusal(operation, refusal),
        _ => "G1",
    }
}

/// The section of preconditions that an operation has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// M1 to M8.
    Map,
    /// U1 to U5.
    Range,
    /// Y1.
    Leaf,
    /// B1, and M4 to M8.
    Build,
    Other(&'static str),
}

fn kind(operation: &Operation) -> Kind {
    match operation {
        Operation::Map { .. } => Kind::Map,
        Operation::Unmap { .. }
        | Operation::Range { .. }
        | Operation::Protect { .. }
        | Operation::Annotate { .. } => Kind::Range,
        Operation::Relax { .. } | Operation::MakeYoung { .. } | Operation::Leaf { .. } => {
            Kind::Leaf
        }
        Operation::Build { .. } => Kind::Build,
        Operation::Link { .. } => Kind::Other("B3"),
        Operation::Discard { .. } => Kind::Other("B4"),
        Operation::Conflict { .. } => Kind::Other("D3"),
        Operation::Access { .. } => Kind::Other("A1"),
        Operation::Create { .. } | Operation::Free { .. } => Kind::Other("G1"),
    }
}

fn of_refusal(operation: &Operation, refusal: Refusal) -> &'static str {
    let kind = kind(operation);
    let of = |map, range| match kind {
        Kind::Range => range,
        Kind::Leaf => "Y1",
        Kind::Map | Kind::Build | Kind::Other(_) => map,
    };
    match refusal {
        Refusal::NoVm => match kind {
            Kind::Other(clause) => clause,
            Kind::Build => "B1",
            Kind::Map | Kind::Range | Kind::Leaf => of("M1", "U1"),
        },
        Refusal::Exists => "C1",
        Refusal::IllegalConfiguration => "C2",
        Refusal::NoMemory => "C3",
        Refusal::Empty => of("M2", "U2"),
        Refusal::Misaligned if kind == Kind::Build => "B1",
        Refusal::Misaligned => of("M3", "U3"),
        Refusal::Wraps => of("M4", "U4"),
        Refusal::IpaRange => of("M5", "U5"),
        Refusal::PaRange => "M6",
        Refusal::BadAttributes => match operation {
            Operation::Protect { .. } => "T1",
            Operation::Relax { .. } => "Y4",
            _ => "M7",
        },
        Refusal::Denied => "M8",
        Refusal::Dying => "D1",
        Refusal::NotMapped => "Y2",
        Refusal::BadOwner => "N1",
        Refusal::Busy | Refusal::BadLevel => "B1",
        Refusal::NothingBuilt => match kind {
            Kind::Other(clause) => clause,
            _ => "B3",
        },
        Refusal::NoPath => "B3",
        Refusal::Mapped => "E4",
        Refusal::CutsBlock => "E5",
        Refusal::NotHere => "E",
    }
}
