//! Destroying by ranges, and the answer to a TLB conflict (section D).

mod trace;

use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::protocol::Needless;
use oracle::verdict::{Class, Finding};
use trace::*;

const DESTROY: Work = Work::Discard { vm: 0 };

/// Both pages with their tables, and the VM's VTTBR_EL2.
fn destroy() -> Vec<Event> {
    let mut events = vec![store(ROOT, table(L2), 0), ISHST, VMALLS12, ISH];
    events.extend([release(L3), release(L2), Event::WriteVttbr(0), ISB]);
    events
}

fn destroyed() -> Observer {
    let mut observer = mapped();
    run(&mut observer, DESTROY, &destroy()).unwrap();
    observer
}

#[test]
fn a_destroyed_range_is_invalidated() {
    destroyed();
    for missing in [1, 3] {
        let events = without(&destroy(), missing);
        // The tables go back first.
        let result = run(&mut mapped(), DESTROY, &events);
        assert_found(result, Class::UseAfterFree, "G6");
    }
}

#[test]
fn destroy_allocates_nothing() {
    let events = [vec![allocate(POOL + 6 * PAGE)], destroy()].concat();
    assert_found(run(&mut mapped(), DESTROY, &events), Class::Leak, "P1");
}

#[test]
fn a_dying_vm_is_freed_by_its_vmid() {
    let free = |whole: &[Event]| {
        let mut observer = destroyed();
        let load = [Event::WriteVttbr(VTTBR), ISB];
        let root = Event::Release {
            page: ROOT,
            order: 1,
        };
        let leave = [Event::WriteVttbr(0), ISB, root];
        let events = [&load, whole, &leave].concat();
        run(&mut observer, Work::Free { vm: 0 }, &events)
    };
    free(&[VMALLS12, ISH]).unwrap();
    assert_found(free(&[ISH]), Class::StaleTlb, "F2");
}

/// A conflict is answered with these events.
fn conflict(events: &[Event]) -> (Result<(), Finding>, Needless) {
    let mut observer = mapped();
    run(&mut observer, Work::Other, events).unwrap();
    let result = observer.protocol.whole_vmid_is_invalidated(0);
    (result, observer.protocol.needless())
}

#[test]
fn a_conflict_takes_the_whole_vmid() {
    let (result, needless) = conflict(&[VMALLS12, ISH]);
    result.unwrap();
    assert_eq!(needless, Needless::default());
    for events in [&[VMALLS12][..], &[VMALLS12, ISHST], &[VMALLE1, ISH], &[]] {
        assert_found(conflict(events).0, Class::StaleTlb, "D3");
    }
}

#[test]
fn a_conflict_is_of_one_vmid() {
    let other = [Event::WriteVttbr(OTHER_VTTBR), ISB, VMALLS12, ISH];
    assert_found(conflict(&other).0, Class::StaleTlb, "D3");
}

#[test]
fn one_invalidation_answers_a_conflict() {
    let (_, needless) = conflict(&[VMALLS12, VMALLS12, ISH]);
    assert_eq!(needless.invalidations, 1);
}
