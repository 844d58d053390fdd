//! What the subject answered, and what the walker says to a guest access.

use ops::{AccessOutcome, Entry, FaultKind, LeafContent, Outcome, Refusal};
use oracle::{operation, walk};

use super::{memory_type, prot};

/// What the subject answered. An access that was let through is done as far as
/// the subject goes: what it comes to is the walker's to say.
#[must_use]
pub fn outcome(outcome: Outcome) -> operation::Outcome {
    match outcome {
        Outcome::Done | Outcome::Nothing => operation::Outcome::Done,
        Outcome::Freed { pages } => operation::Outcome::Freed { pages },
        Outcome::Young(young) => operation::Outcome::Young(young),
        Outcome::Entry { level, entry } => operation::Outcome::Entry {
            level,
            entry: self::entry(entry),
        },
        Outcome::NoPages { done, need } => operation::Outcome::NoPages { done, need },
        Outcome::Refused(refusal) => operation::Outcome::Refused(self::refusal(refusal)),
    }
}

fn entry(entry: Entry) -> operation::EntryContent {
    match entry {
        Entry::Empty => operation::EntryContent::Empty,
        Entry::Annotated { owner } => operation::EntryContent::Annotated { owner },
        Entry::Leaf(content) => operation::EntryContent::Leaf(leaf(content)),
        Entry::Softened(content) => operation::EntryContent::Softened(leaf(content)),
    }
}

fn leaf(content: LeafContent) -> operation::LeafContent {
    operation::LeafContent {
        pa: content.pa,
        prot: prot(content.prot),
        memory: memory_type(content.memory),
        software: content.software,
        young: content.young,
        dirty: content.dirty,
    }
}

fn refusal(refusal: Refusal) -> operation::Refusal {
    match refusal {
        Refusal::NoVm => operation::Refusal::NoVm,
        Refusal::Exists => operation::Refusal::Exists,
        Refusal::IllegalConfiguration => operation::Refusal::IllegalConfiguration,
        Refusal::NoMemory => operation::Refusal::NoMemory,
        Refusal::Empty => operation::Refusal::Empty,
        Refusal::Misaligned => operation::Refusal::Misaligned,
        Refusal::Wraps => operation::Refusal::Wraps,
        Refusal::IpaRange => operation::Refusal::IpaRange,
        Refusal::PaRange => operation::Refusal::PaRange,
        Refusal::BadAttributes => operation::Refusal::BadAttributes,
        Refusal::Denied => operation::Refusal::Denied,
        Refusal::Dying => operation::Refusal::Dying,
        Refusal::NotMapped => operation::Refusal::NotMapped,
        Refusal::BadOwner => operation::Refusal::BadOwner,
        Refusal::Busy => operation::Refusal::Busy,
        Refusal::BadLevel => operation::Refusal::BadLevel,
        Refusal::NothingBuilt => operation::Refusal::NothingBuilt,
        Refusal::NoPath => operation::Refusal::NoPath,
        Refusal::Mapped => operation::Refusal::Mapped,
        Refusal::CutsBlock => operation::Refusal::CutsBlock,
        Refusal::NotHere => operation::Refusal::NotHere,
    }
}

/// What a guest access comes to, from the walker's answer to it. `None` for an
/// external abort and for what the architecture leaves open: neither can be
/// expected by a sequence.
#[must_use]
pub fn access_outcome(answer: &walk::Answer) -> Option<AccessOutcome> {
    match answer {
        walk::Answer::Translation(translation) => Some(AccessOutcome::Ok { pa: translation.pa }),
        walk::Answer::Fault(fault) => {
            let kind = fault_kind(fault.kind)?;
            Some(AccessOutcome::Fault {
                kind,
                level: fault.level,
            })
        }
        walk::Answer::Unpredictable(_) => None,
    }
}

fn fault_kind(kind: walk::FaultKind) -> Option<FaultKind> {
    match kind {
        walk::FaultKind::Translation => Some(FaultKind::Translation),
        walk::FaultKind::AddressSize => Some(FaultKind::AddressSize),
        walk::FaultKind::AccessFlag => Some(FaultKind::AccessFlag),
        walk::FaultKind::Permission => Some(FaultKind::Permission),
        walk::FaultKind::Stage1AddressSize => Some(FaultKind::Stage1AddressSize),
        walk::FaultKind::ExternalAbort => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: walk::FaultKind) -> walk::Answer {
        walk::Answer::Fault(walk::Fault {
            kind,
            level: 2,
            permitted_update: None,
        })
    }

    #[test]
    fn a_fault_keeps_kind_and_level() {
        let told = access_outcome(&fault(walk::FaultKind::Permission));
        assert_eq!(
            told,
            Some(AccessOutcome::Fault {
                kind: FaultKind::Permission,
                level: 2
            })
        );
    }

    #[test]
    fn what_a_sequence_cannot_expect_is_no_outcome() {
        assert_eq!(access_outcome(&fault(walk::FaultKind::ExternalAbort)), None);
        let open = walk::Answer::Unpredictable(walk::Why::MemAttr);
        assert_eq!(access_outcome(&open), None);
    }
}
