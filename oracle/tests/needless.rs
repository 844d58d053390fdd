//! Instructions that nothing needed: each trace is correct, and differs from one that
//! has no such instruction in one event.

mod trace;

use oracle::event::Event;
use oracle::ledger::Work;
use oracle::protocol::Needless;
use trace::*;

/// A page unmapped by IPA.
fn unmap() -> Vec<Event> {
    let mut events = vec![store(L3, page(GUEST), 0)];
    events.extend(invalidate(0));
    events
}

/// A page unmapped by the whole VMID.
fn unmap_whole() -> Vec<Event> {
    vec![store(L3, page(GUEST), 0), ISHST, VMALLS12, ISH]
}

#[track_caller]
fn assert_needless(events: &[Event], invalidations: u64, barriers: u64) {
    let mut observer = mapped();
    let before = observer.protocol.needless();
    assert_eq!(before, Needless::default());
    let mut all = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    all.extend(events);
    run(&mut observer, CHANGE, &all).unwrap();
    let expected = Needless {
        invalidations,
        barriers,
    };
    assert_eq!(observer.protocol.needless(), expected);
}

fn inserted(events: &[Event], index: usize, event: Event) -> Vec<Event> {
    let mut events = events.to_vec();
    events.insert(index, event);
    events
}

#[test]
fn what_is_needed_is_not_counted() {
    assert_needless(&unmap(), 0, 0);
    assert_needless(&unmap_whole(), 0, 0);
}

#[test]
fn an_ipa_that_is_covered_already_is_needless() {
    assert_needless(&inserted(&unmap(), 3, ipas2(0)), 1, 0);
    assert_needless(&inserted(&unmap(), 3, ipas2(8 << 20)), 1, 0);
}

#[test]
fn a_second_stage_1_invalidation_is_needless() {
    assert_needless(&inserted(&unmap(), 5, VMALLE1), 1, 0);
}

#[test]
fn stage_1_has_nothing_to_do_before_an_invalidation_by_ipa_is_complete() {
    assert_needless(&inserted(&unmap(), 2, VMALLE1), 1, 0);
    assert_needless(&inserted(&unmap(), 3, VMALLE1), 1, 0);
}

#[test]
fn a_second_batch_needs_stage_1_again() {
    let mut events = unmap();
    events.push(store(L3 + 8, page(GUEST + PAGE), 0));
    events.extend(invalidate(PAGE));
    assert_needless(&events, 0, 0);
}

#[test]
fn the_whole_vmid_needs_no_stage_1() {
    assert_needless(&inserted(&unmap_whole(), 3, VMALLE1), 1, 0);
    assert_needless(&inserted(&unmap_whole(), 3, VMALLS12), 1, 0);
    // By IPA, then all: stage 1 is covered with it.
    let all = [
        vec![store(L3, page(GUEST), 0), ISHST, ipas2(0), ISH],
        vec![VMALLS12, VMALLE1, ISH],
    ];
    assert_needless(&all.concat(), 1, 0);
}

#[test]
fn the_whole_vmid_after_stage_1_is_needless() {
    assert_needless(&inserted(&unmap(), 5, VMALLS12), 1, 0);
}

#[test]
fn a_barrier_after_a_barrier_is_needless() {
    assert_needless(&inserted(&unmap(), 2, ISHST), 0, 1);
    assert_needless(&inserted(&unmap(), 2, ISH), 0, 1);
    assert_needless(&inserted(&unmap(), 6, ISH), 0, 1);
    // It waits for stores only.
    assert_needless(&inserted(&unmap(), 3, ISHST), 0, 1);
}

#[test]
fn an_isb_follows_a_register_or_an_invalidation() {
    assert_needless(&inserted(&unmap(), 6, ISB), 0, 0);
    assert_needless(&inserted(&unmap(), 1, ISB), 0, 1);
}

#[test]
fn free_invalidates_whatever_was_mapped() {
    let free = |whole: &[Event]| {
        let mut observer = bench();
        let mut events = whole.to_vec();
        events.extend([ISH, Event::WriteVttbr(0), ISB]);
        events.push(Event::Release {
            page: ROOT,
            order: 1,
        });
        run(&mut observer, Work::Free { vm: 0 }, &events).unwrap();
        observer.protocol.needless().invalidations
    };
    assert_eq!(free(&[VMALLS12]), 0);
    assert_eq!(free(&[VMALLS12, VMALLS12]), 1);
}
