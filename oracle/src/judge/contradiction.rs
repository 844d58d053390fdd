//! Two parts of the oracle that say different things of the same state. Neither then
//! counts against a subject: the verdict is about the oracle.

use crate::ledger::{Ledger, State, Tables};
use crate::ranges::{Meaning, Range};
use crate::regime::Walker;
use crate::verdict::{Class, Finding, PageCounts, Shown};
use crate::walk::{Access, Answer, FaultKind, Memory, Translation};

/// What the walker and the range list are compared over.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a, M: ?Sized> {
    pub(super) vm: usize,
    pub(super) walker: &'a Walker,
    pub(super) memory: &'a M,
}

impl<M: Memory + ?Sized> Tree<'_, M> {
    /// The walker at both ends of each range.
    pub(super) fn check_ranges(&self, ranges: &[Range]) -> Result<(), Finding> {
        for range in ranges {
            self.check(range.ipa, Some(range))?;
            let last = range.ipa.saturating_add(range.bytes - 1);
            self.check(last, Some(range))?;
        }
        Ok(())
    }

    /// The walker against the range list at one address. Tables with more descriptors
    /// than `budget` have no range list, and are not compared.
    pub(super) fn check_address(&self, ipa: u64, budget: u64) -> Result<(), Finding> {
        let Ok(ranges) = self.walker.ranges_within(self.memory, budget) else {
            return Ok(());
        };
        let holds = |range: &&Range| ipa.checked_sub(range.ipa).is_some_and(|o| o < range.bytes);
        self.check(ipa, ranges.iter().find(holds))
    }

    fn check(&self, ipa: u64, range: Option<&Range>) -> Result<(), Finding> {
        let meaning = range.map(|range| range.meaning);
        let access = access(meaning);
        let answer = self.walker.translate(self.memory, ipa, access);
        let offset = range.map_or(0, |range| ipa - range.ipa);
        if agree(meaning, offset, &answer) {
            return Ok(());
        }
        let listed = meaning.map_or("an unmapped range".into(), |meaning| {
            format!("{meaning:x?}")
        });
        let what = format!(
            "the oracle contradicts itself at IPA {ipa:#x}: its walker says `{}`, and its range list {listed}",
            Shown(&answer)
        );
        let finding = Finding::new(Class::OracleDiffers, "walker-ranges", what);
        Err(finding.at(self.vm, ipa, 0))
    }
}

/// An access that succeeds where any does, so that its answer shows all permissions.
fn access(meaning: Option<Meaning>) -> Access {
    match meaning {
        Some(Meaning::Mapped { read: true, .. }) | None => Access::Read,
        Some(Meaning::Mapped { write: true, .. }) => Access::Write,
        Some(Meaning::Mapped {
            execute_el1: true, ..
        }) => Access::Execute { el0: false },
        Some(Meaning::Mapped {
            execute_el0: true, ..
        }) => Access::Execute { el0: true },
        Some(_) => Access::Read,
    }
}

/// Whether an answer is that of an address `offset` bytes into a range.
fn agree(meaning: Option<Meaning>, offset: u64, answer: &Answer) -> bool {
    match (meaning, answer) {
        (Some(mapped @ Meaning::Mapped { .. }), Answer::Translation(found)) => {
            mapped == as_meaning(found, offset)
        }
        (
            Some(Meaning::Mapped {
                read,
                write,
                execute_el1,
                execute_el0,
                ..
            }),
            Answer::Fault(fault),
        ) => fault.kind == FaultKind::Permission && !(read || write || execute_el1 || execute_el0),
        (Some(Meaning::Fault { kind, level }), Answer::Fault(fault)) => {
            (kind, level) == (fault.kind, fault.level)
        }
        (Some(Meaning::Unpredictable(listed)), Answer::Unpredictable(why)) => listed == *why,
        // Beyond the physical address size, no walk starts.
        (None, Answer::Fault(fault)) => matches!(
            fault.kind,
            FaultKind::Translation | FaultKind::Stage1AddressSize
        ),
        _ => false,
    }
}

/// The meaning of a range that starts `offset` bytes below what was translated.
fn as_meaning(found: &Translation, offset: u64) -> Meaning {
    Meaning::Mapped {
        pa: found.pa.wrapping_sub(offset),
        read: found.read,
        write: found.write,
        execute_el1: found.execute_el1,
        execute_el0: found.execute_el0,
        attributes: found.attributes,
        shareability: found.shareability,
    }
}

/// The ledger's counts against the states of its pages.
pub(super) fn check_counts(ledger: &Ledger) -> Result<(), Finding> {
    compare_counts(recount(ledger.tables()), ledger.counts())
}

fn recount(tables: &Tables) -> PageCounts {
    let mut counts = PageCounts::default();
    for &number in tables.touched() {
        match tables.state(number) {
            State::Free => {}
            State::Cached => counts.cached += 1,
            State::Root => counts.roots += 1,
            State::Linked { .. } => counts.linked += 1,
            State::Built => counts.built += 1,
            State::Unlinked => counts.unlinked += 1,
        }
    }
    let used = counts.cached + counts.roots + counts.linked + counts.built + counts.unlinked;
    let all = u32::try_from(tables.len()).unwrap_or(u32::MAX);
    counts.free = all.saturating_sub(used);
    counts
}

fn compare_counts(states: PageCounts, counts: PageCounts) -> Result<(), Finding> {
    if states == counts {
        return Ok(());
    }
    let what = format!(
        "the oracle contradicts itself: its ledger counts {counts:?}, and the states of its pages are {states:?}"
    );
    Err(Finding::new(Class::OracleDiffers, "ledger-counts", what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::{Fault, Why};

    const MAPPED: Meaning = Meaning::Mapped {
        pa: 0x5000_0000,
        read: true,
        write: false,
        execute_el1: false,
        execute_el0: false,
        attributes: 0xff,
        shareability: 3,
    };

    fn translation(pa: u64) -> Answer {
        Answer::Translation(Translation {
            pa,
            level: 3,
            size: 4096,
            read: true,
            write: false,
            execute_el1: false,
            execute_el0: false,
            attributes: 0xff,
            shareability: 3,
            update: None,
        })
    }

    fn fault(kind: FaultKind) -> Answer {
        Answer::Fault(Fault::new(kind, 3))
    }

    #[test]
    fn a_range_and_a_translation_agree_in_every_field() {
        assert!(agree(Some(MAPPED), 0x18, &translation(0x5000_0018)));
        assert!(!agree(Some(MAPPED), 0x18, &translation(0x5000_0020)));
        let Answer::Translation(right) = translation(0x5000_0000) else {
            unreachable!("it is one")
        };
        let write = true;
        let wrong = Translation { write, ..right };
        assert!(!agree(Some(MAPPED), 0, &Answer::Translation(wrong)));
    }

    #[test]
    fn a_range_that_permits_something_takes_no_fault() {
        assert!(!agree(Some(MAPPED), 0, &fault(FaultKind::Permission)));
        assert!(!agree(Some(MAPPED), 0, &fault(FaultKind::Translation)));
    }

    #[test]
    fn where_no_range_is_nothing_translates() {
        assert!(agree(None, 0, &fault(FaultKind::Translation)));
        assert!(!agree(None, 0, &fault(FaultKind::AccessFlag)));
        assert!(!agree(None, 0, &translation(0)));
    }

    #[test]
    fn faults_and_what_is_open_must_be_the_same() {
        let listed = Some(Meaning::Fault {
            kind: FaultKind::AccessFlag,
            level: 3,
        });
        assert!(agree(listed, 0, &fault(FaultKind::AccessFlag)));
        assert!(!agree(listed, 0, &fault(FaultKind::AddressSize)));
        let open = Some(Meaning::Unpredictable(Why::MemAttr));
        assert!(agree(open, 0, &Answer::Unpredictable(Why::MemAttr)));
        assert!(!agree(open, 0, &Answer::Unpredictable(Why::Granule)));
    }

    #[test]
    fn a_count_that_no_state_explains_is_the_oracles() {
        let states = PageCounts {
            free: 4,
            ..PageCounts::default()
        };
        assert_eq!(compare_counts(states, states), Ok(()));
        let finding = compare_counts(states, PageCounts { free: 3, ..states }).unwrap_err();
        assert_eq!(
            (finding.class, finding.rule),
            (Class::OracleDiffers, "ledger-counts")
        );
    }
}
