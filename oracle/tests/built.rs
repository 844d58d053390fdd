//! Subtrees that are built in one operation and linked or discarded in another
//! (section B), as pairs of traces that differ in one event.

mod trace;

use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::Machine;
use oracle::verdict::{Class, Finding};
use trace::*;

const BUILD: Work = Work::Build {
    vm: 0,
    capacity: CAPACITY,
};
const DISCARD: Work = Work::Discard { vm: 0 };
const FIRST: u64 = POOL + 6 * PAGE;
const SECOND: u64 = POOL + 7 * PAGE;

/// A table of level 2 with a table of level 3 and a page.
fn fill() -> Vec<Event> {
    vec![
        zero(SPARE),
        zero(SPARE_2),
        store(SPARE_2, 0, page(GUEST)),
        store(SPARE, 0, table(SPARE_2)),
    ]
}

fn build_on(observer: &mut Observer, events: &[Event]) -> Result<(), Finding> {
    let mut all = top_up(&[FIRST, SECOND]);
    all.extend(events);
    run(observer, BUILD, &all)
}

/// [`mapped`], with something built.
fn built() -> Observer {
    let mut observer = mapped();
    build_on(&mut observer, &fill()).unwrap();
    observer
}

fn link() -> Vec<Event> {
    vec![release_store(ROOT + 8, 0, table(SPARE)), ISHST]
}

#[test]
fn what_is_built_is_in_use_and_in_no_table() {
    let observer = built();
    let counts = observer.ledger.counts();
    assert_eq!((counts.cached, counts.built, counts.linked), (2, 2, 2));
    assert_eq!(observer.ledger.in_use(), 6);
    assert_eq!(observer.ledger.held_by(0), 6);
}

#[test]
fn pages_that_build_only_zeroes_stay_in_the_cache() {
    let mut observer = mapped();
    build_on(&mut observer, &fill()[..2]).unwrap();
    assert_eq!(observer.ledger.counts().built, 0);
    // Another operation builds nothing.
    let mut observer = mapped();
    let mut events = top_up(&[FIRST, SECOND]);
    events.extend(fill());
    run(&mut observer, CHANGE, &events).unwrap();
    assert_eq!(observer.ledger.counts().built, 0);
}

#[test]
fn references_are_counted_to_what_is_built() {
    let counts = |of_top| [(ROOT, 1), (L2, 1), (L3, 2), (SPARE, of_top), (SPARE_2, 1)];
    let observer = built();
    let references = |of_top| observer.ledger.references(counts(of_top).into_iter());
    references(1).unwrap();
    assert_found(references(0), Class::UseAfterFree, "G9");
    assert_found(references(2), Class::Leak, "G9");
}

#[test]
fn what_is_built_is_linked_later() {
    let mut observer = built();
    run(&mut observer, Work::Other, &link()).unwrap();
    let counts = observer.ledger.counts();
    assert_eq!((counts.built, counts.linked), (0, 4));
    let plain = with(&link(), 0, store(ROOT + 8, 0, table(SPARE)));
    assert_found(run(&mut built(), Work::Other, &plain), Class::Barrier, "G5");
}

#[test]
fn all_of_it_is_linked() {
    // The table of level 3 is linked alone, in the place of that which leads to it.
    let part = [release_store(L2 + 8, 0, table(SPARE_2)), ISHST];
    let result = run(&mut built(), Work::Other, &part);
    let finding = assert_found(result, Class::Leak, "B3");
    assert!(finding.what.contains(&format!("{SPARE:#x}")), "{finding}");
}

#[test]
fn what_was_built_in_an_earlier_operation_is_ordered_by_the_release() {
    let records = |release_on| {
        let mut observer = built();
        let event = link()[0];
        observer.begin(Work::Other, Default::default());
        let record = oracle::event::Record {
            cpu: release_on,
            event,
        };
        observer.event(&record).map(|_| ())
    };
    records(0).unwrap();
    records(1).unwrap();
}

#[test]
fn another_vm_does_not_link_it() {
    let mut observer = built();
    create(&mut observer, 1, OTHER_ROOT);
    observer.protocol.enter(1, 2, OTHER_VTTBR);
    let own = run(&mut observer.clone(), Work::Other, &link());
    own.unwrap();
    let event = release_store(OTHER_ROOT + 8, 0, table(SPARE));
    let other = run(&mut observer, Work::Other, &[event, ISHST]);
    assert_found(other, Class::UseAfterFree, "P1");
}

#[test]
fn walks_that_are_not_coherent_find_it_cleaned() {
    let machine = Machine {
        coherent_walks: false,
        ..machine()
    };
    let build = |cleaned: &[u64]| {
        let mut observer = bench_on(&machine);
        let mut events = top_up(&[SPARE, SPARE_2, FIRST, SECOND]);
        events.extend(fill());
        for &page in cleaned {
            events.extend(clean_page(page));
        }
        events.push(ISH);
        run(&mut observer, BUILD, &events).unwrap();
        let events = [link()[0], clean(ROOT), ISH];
        run(&mut observer, Work::Other, &events)
    };
    build(&[SPARE, SPARE_2]).unwrap();
    assert_found(build(&[SPARE]), Class::Cache, "G5");
}

#[test]
fn what_is_discarded_needs_no_invalidation() {
    let both = [release(SPARE_2), release(SPARE)];
    run(&mut built(), DISCARD, &both).unwrap();
    run(&mut built(), DISCARD, &[]).unwrap();
    let part = run(&mut built(), DISCARD, &both[..1]);
    assert_found(part, Class::Leak, "B4");
}

#[test]
fn nothing_else_takes_it_away() {
    let both = [release(SPARE_2), release(SPARE)];
    for work in [Work::Other, Work::Discard { vm: 1 }] {
        let result = run(&mut built(), work, &both);
        assert_found(result, Class::UseAfterFree, "G6");
    }
}

#[test]
fn free_takes_it_too() {
    let free = |built_pages: &[Event]| {
        let mut events = vec![store(ROOT, table(L2), 0), ISHST, VMALLS12, ISH];
        events.extend([Event::WriteVttbr(0), ISB]);
        events.extend(built_pages);
        events.extend([release(L3), release(L2)]);
        events.push(Event::Release {
            page: ROOT,
            order: 1,
        });
        run(&mut built(), Work::Free { vm: 0 }, &events)
    };
    free(&[release(SPARE), release(SPARE_2)]).unwrap();
    assert_found(free(&[release(SPARE)]), Class::Leak, "B4");
    assert_found(free(&[]), Class::Leak, "B4");
}
