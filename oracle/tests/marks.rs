//! Marks: invalid descriptors that are not zero. A TLB never holds one, and a page
//! source counts one, as pairs of traces that differ in one event.

mod trace;

use oracle::event::Event;
use oracle::verdict::{Class, Finding};
use trace::*;

/// An annotation: an owner in a descriptor whose bit 0 is 0.
const MARK: u64 = 7 << 12 | 0b100;

/// The first page, annotated.
fn annotate() -> Vec<Event> {
    let mut events = vec![store(L3, page(GUEST), MARK)];
    events.extend(invalidate(0));
    events
}

#[test]
fn a_leaf_that_becomes_a_mark_is_invalidated() {
    change(&annotate()).unwrap();
    assert_found(change(&without(&annotate(), 2)), Class::StaleTlb, "G3");
    assert_found(change(&without(&annotate(), 1)), Class::Barrier, "G3");
}

#[test]
fn a_table_that_becomes_a_mark_is_invalidated() {
    let mut events = vec![store(L2, table(L3), MARK), ISHST];
    events.extend([ipas2(0), ipas2(PAGE), ISH, VMALLE1, ISH, release(L3)]);
    change(&events).unwrap();
    assert_found(change(&without(&events, 3)), Class::StaleTlb, "G3");
    assert_found(change(&events[..1]), Class::StaleTlb, "G3");
}

/// The third page marked, and then this.
fn after_a_mark(events: &[Event]) -> Result<(), Finding> {
    let mut observer = mapped();
    let mut mark = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    mark.push(store(L3 + 16, 0, MARK));
    run(&mut observer, CHANGE, &mark).unwrap();
    run(&mut observer, CHANGE, events)
}

#[test]
fn a_mark_needs_no_invalidation() {
    after_a_mark(&[store(L3 + 16, MARK, 0)]).unwrap();
    after_a_mark(&[store(L3 + 16, MARK, MARK | 1 << 12)]).unwrap();
}

#[test]
fn a_leaf_takes_a_marks_place_at_once() {
    let events = [store(L3 + 16, MARK, page(GUEST)), ISHST];
    after_a_mark(&events).unwrap();
    assert_found(after_a_mark(&events[..1]), Class::Barrier, "G7");
}

#[test]
fn a_leaf_waits_for_what_was_there_before_the_mark() {
    let mut events = annotate();
    events.extend([store(L3, MARK, page(GUEST + 2 * PAGE)), ISHST]);
    change(&events).unwrap();
    for missing in 1..=5 {
        let early = change(&without(&events, missing));
        assert_found(early, Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn a_table_takes_a_marks_place_at_once() {
    let link = |filled: Event| {
        let mut observer = mapped();
        let mut mark = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        mark.push(store(L2 + 8, 0, MARK));
        run(&mut observer, CHANGE, &mark).unwrap();
        let events = [
            zero(SPARE),
            filled,
            release_store(L2 + 8, MARK, table(SPARE)),
            ISHST,
        ];
        run(&mut observer, CHANGE, &events)
    };
    // Marks in it are nothing that a walker could hold.
    link(store(SPARE + 8, 0, MARK)).unwrap();
    link(store(SPARE + 8, 0, page(GUEST))).unwrap();
}

#[test]
fn a_mark_in_an_unlinked_table_is_seen_by_nobody() {
    let mut events = vec![
        store(L2, table(L3), 0),
        store(L3 + 16, 0, MARK),
        ISHST,
        VMALLS12,
        ISH,
        release(L3),
    ];
    change(&events).unwrap();
    events[1] = store(L3 + 16, 0, page(GUEST));
    assert_found(change(&events), Class::TornUpdate, "G10");
}

#[test]
fn a_mark_is_a_reference() {
    let mut observer = mapped();
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(annotate());
    events.push(store(L3 + 16, 0, MARK));
    run(&mut observer, CHANGE, &events).unwrap();
    let with = |of_l3| {
        let counts = [(ROOT, 1), (L2, 1), (L3, of_l3)];
        observer.ledger.references(counts.into_iter())
    };
    with(3).unwrap();
    assert_found(with(1), Class::UseAfterFree, "G9");
    assert_found(with(4), Class::Leak, "G9");
}
