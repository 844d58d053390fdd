//! What the summary says, and how long it is.

use std::cell::Cell;

use oracle::event::Event;
use oracle::operation::Operation;
use oracle::verdict::{Class, Finding, Verdict};
use oracle::walk::Memory;

use crate::support::{MAP, Session, verdict_of_map, wrong_second_page};
use crate::trace::*;

const UNMAP: Operation = Operation::Unmap {
    vm: 0,
    ipa: 0,
    size: PAGE,
};

/// The events of an unmap of the first page.
fn unmap_first() -> Vec<Event> {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(L3, page(GUEST), 0));
    events.extend(invalidate(0));
    events
}

/// By whom the descriptors of a verdict's walk were stored.
fn writers(verdict: &Verdict) -> Vec<Option<usize>> {
    let views = verdict.views.as_ref().expect("the finding names an IPA");
    views.steps.iter().map(|lookup| lookup.stored_by).collect()
}

/// The verdict at the end of a sequence, for an IPA.
fn verdict_at(session: &Session, ipa: u64) -> Verdict {
    let finding = Finding::new(Class::LostMapping, "M15", "as the test says".into());
    session.explain(finding.at(0, ipa, PAGE))
}

#[test]
fn each_descriptor_names_the_operation_that_stored_it_last() {
    let mut session = Session::mapped();
    session.step(UNMAP, &unmap_first()).unwrap();
    assert_eq!(
        writers(&verdict_at(&session, 0)),
        [Some(3), Some(3), Some(4)]
    );
    assert_eq!(writers(&verdict_at(&session, PAGE)), [Some(3); 3]);
    // In the root, which create zeroed, and beside the pages, in a table that map did.
    assert_eq!(writers(&verdict_at(&session, 1 << 39)), [Some(1)]);
    assert_eq!(writers(&verdict_at(&session, 9 * PAGE)), [Some(3); 3]);
}

#[test]
fn a_descriptor_that_changed_by_itself_has_no_writer() {
    let session = Session::mapped();
    session.words.set(L3, page(SENTINEL));
    let verdict = verdict_at(&session, 0);
    assert_eq!(writers(&verdict), [Some(3), Some(3), None]);
    assert!(verdict.to_string().contains(", stored by no operation\n"));
}

#[test]
fn the_callers_numbers_are_used() {
    let mut session = Session::loaded();
    session.judge.number_next(17);
    session.step(MAP, &map_two_pages()).unwrap();
    session.step(UNMAP, &unmap_first()).unwrap();
    assert_eq!(
        writers(&verdict_at(&session, 0)),
        [Some(17), Some(17), Some(18)]
    );
}

#[test]
fn writers_of_another_sequence_are_forgotten() {
    let mut session = Session::mapped();
    session.judge.reset(machine());
    session.begin();
    // The first sequence's tables are still in memory, and nothing stored them since.
    session.words.set(ROOT, table(L2));
    let verdict = verdict_at(&session, 0);
    assert_eq!(writers(&verdict), [None; 3]);
}

#[test]
fn the_reach_counts_every_range_that_differs() {
    let mut session = Session::mapped();
    for index in [1, 2, 100] {
        session.words.set(L3 + 8 * index, page(GUEST + 0x10_0000));
    }
    let finding = session.judge.finish(&session.words).unwrap_err();
    let verdict = session.explain(finding);
    let reach = verdict.reach.expect("the model has applied everything");
    assert_eq!((reach.ranges, reach.bytes), (2, 3 * PAGE));
    assert!(
        verdict
            .to_string()
            .contains("\n  reach      0x3000 bytes in 2 ranges are mapped wrongly\n")
    );
}

#[test]
fn the_reach_is_not_known_before_the_model_has_applied_the_operation() {
    let mut events = map_two_pages();
    events.pop();
    assert_eq!(verdict_of_map(&events).reach, None);
}

#[test]
fn the_callers_machine_line_is_shown_as_it_is() {
    let mut verdict = verdict_of_map(&wrong_second_page());
    verdict.machine_line = Some("machine granule=4K pool=0x48000000+64".into());
    let text = verdict.to_string();
    assert_eq!(
        text.lines().nth(1),
        Some("  machine granule=4K pool=0x48000000+64")
    );
    assert!(!text.contains("walks coherent"));
}

#[test]
fn no_summary_is_longer_than_25_lines() {
    let mut verdict = verdict_of_map(&wrong_second_page());
    let mut finding = verdict.finding.clone();
    for _ in 0..20 {
        finding = finding.differs("field", "this".into(), "that".into());
    }
    verdict.finding = finding;
    let views = verdict.views.as_mut().expect("the finding names an IPA");
    views.steps = views.steps.iter().cycle().take(20).copied().collect();
    let lines = verdict.to_string().lines().count();
    // The whole of it, and one line for what a caller adds.
    assert!((20..25).contains(&lines), "{lines} lines:\n{verdict}");
}

/// Memory in which one descriptor changes with each read.
struct Flickers<'a> {
    words: &'a Words,
    reads: Cell<u64>,
}

impl Memory for Flickers<'_> {
    fn read(&self, at: u64) -> Option<u64> {
        if at != L3 + 8 {
            return self.words.read(at);
        }
        self.reads.set(self.reads.get() + 1);
        Some(page(GUEST + PAGE * (self.reads.get() % 2)))
    }
}

#[test]
fn a_walker_and_ranges_that_disagree_are_the_oracles_affair() {
    let mut session = Session::loaded();
    let finding = session.step(MAP, &wrong_second_page()).unwrap_err();
    assert_eq!(finding.class, Class::WrongPa);
    let memory = Flickers {
        words: &session.words,
        reads: Cell::new(0),
    };
    let verdict = session.explain_with(finding, &memory);
    assert_eq!(
        (verdict.finding.class, verdict.finding.rule),
        (Class::OracleDiffers, "walker-ranges")
    );
    let text = verdict.to_string();
    assert!(
        text.contains("the oracle contradicts itself at IPA 0x1"),
        "{text}"
    );
    assert!(text.contains("without that it would be wrong-pa"), "{text}");
    assert!(
        text.contains("rule       the oracle against itself, walker-ranges"),
        "{text}"
    );
}

#[test]
fn the_end_of_a_sequence_finds_such_a_disagreement_too() {
    let mut session = Session::mapped();
    let memory = Flickers {
        words: &session.words,
        reads: Cell::new(0),
    };
    let finding = session.judge.finish(&memory).unwrap_err();
    assert_eq!(finding.class, Class::OracleDiffers, "{finding}");
}
