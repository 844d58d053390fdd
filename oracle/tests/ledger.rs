//! Each rule about pages, as a pair of traces that differ in one event.

mod trace;

use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::{Machine, Span};
use oracle::verdict::{Class, Finding};
use trace::*;

const FREE_PAGE: u64 = POOL + 20 * PAGE;

/// The level 3 table of `mapped`, emptied and removed.
fn remove_table() -> Vec<Event> {
    vec![
        store(L3, page(GUEST), 0),
        store(L3 + 8, page(GUEST + PAGE), 0),
        store(L2, table(L3), 0),
        ISHST,
        VMALLS12,
        ISH,
        release(L3),
    ]
}

#[test]
fn states_follow_the_events() {
    let mut observer = mapped();
    let counts = observer.ledger.counts();
    assert_eq!((counts.free, counts.cached), (58, 2));
    assert_eq!((counts.roots, counts.linked, counts.unlinked), (2, 2, 0));
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(remove_table());
    run(&mut observer, CHANGE, &events).unwrap();
    let counts = observer.ledger.counts();
    assert_eq!((counts.cached, counts.linked), (4, 1));
    assert_eq!(observer.ledger.in_use(), 3);
}

#[test]
fn a_reset_frees_all_pages() {
    let mut observer = mapped();
    observer.reset(&machine(), stage2());
    assert_eq!(observer.ledger.counts().free, 64);
    create(&mut observer, 0, ROOT);
    assert_eq!(observer.ledger.counts().roots, 2);
}

#[test]
fn a_store_to_a_free_page_is_use_after_free() {
    let events = [store(FREE_PAGE, 0, 0)];
    assert_found(change(&events), Class::UseAfterFree, "P1");
    assert_found(change(&[zero(FREE_PAGE)]), Class::UseAfterFree, "P1");
    change(&[zero(SPARE), store(SPARE, 0, 0)]).unwrap();
}

#[test]
fn a_store_outside_the_pool_is_use_after_free() {
    // absent-root-entry: address 0 taken for a table.
    assert_found(change(&[store(0, 0, 0)]), Class::UseAfterFree, "P1");
}

#[test]
fn a_removed_table_goes_back_to_the_page_source() {
    // valid-update-get
    change(&remove_table()).unwrap();
    assert_found(change(&without(&remove_table(), 6)), Class::Leak, "G6");
}

#[test]
fn a_table_below_a_removed_one_goes_back_as_well() {
    let events = [
        store(ROOT, table(L2), 0),
        ISHST,
        VMALLS12,
        ISH,
        release(L2),
        release(L3),
    ];
    change(&events).unwrap();
    assert_found(change(&without(&events, 5)), Class::Leak, "G6");
}

#[test]
fn a_linked_page_does_not_go_back() {
    // walk-into-freed, el2-early-refcount
    assert_found(change(&[release(L3)]), Class::UseAfterFree, "G6");
    change(&[release(SPARE)]).unwrap();
}

#[test]
fn a_page_goes_back_once() {
    let mut events = remove_table();
    events.push(release(L3));
    assert_found(change(&events), Class::UseAfterFree, "G6");
}

fn link(next: u64) -> Result<(), Finding> {
    change(&[zero(SPARE), release_store(L2 + 8, 0, table(next)), ISHST])
}

#[test]
fn a_page_is_linked_once() {
    link(SPARE).unwrap();
    assert_found(link(L3), Class::UseAfterFree, "P1");
    assert_found(link(ROOT), Class::UseAfterFree, "P1");
}

#[test]
fn a_linked_page_was_allocated() {
    assert_found(link(FREE_PAGE), Class::UseAfterFree, "P1");
    assert_found(link(GUEST), Class::UseAfterFree, "P1");
}

#[test]
fn an_unlinked_page_is_not_linked_again() {
    let mut events = remove_table();
    events.insert(6, release_store(L2, 0, table(L3)));
    assert_found(change(&events), Class::UseAfterFree, "P1");
}

#[test]
fn a_subtree_built_before_it_is_linked_is_known() {
    let events = [
        zero(SPARE),
        zero(SPARE_2),
        store(SPARE_2, 0, page(GUEST)),
        store(SPARE, 0, table(SPARE_2)),
        release_store(ROOT + 8, 0, table(SPARE)),
        ISHST,
    ];
    change(&events).unwrap();
    let unknown = with(&events, 3, store(SPARE, 0, table(FREE_PAGE)));
    assert_found(change(&unknown), Class::UseAfterFree, "P1");
}

#[test]
fn a_descriptor_changes_by_stores_alone() {
    let events = [store(L3 + 16, 8, page(GUEST)), ISHST];
    assert_found(change(&events), Class::TornUpdate, "G3");
    change(&with(&events, 0, store(L3 + 16, 0, page(GUEST)))).unwrap();
}

fn top_up_with(events: &[Event]) -> Result<(), Finding> {
    run(&mut bench(), CHANGE, events)
}

#[test]
fn the_page_source_hands_out_free_pages() {
    let good = top_up(&[L2, L3, SPARE, SPARE_2]);
    top_up_with(&good).unwrap();
    for taken in [allocate(ROOT), allocate(L2)] {
        let bad = with(&good, 3, taken);
        assert_found(top_up_with(&bad), Class::UseAfterFree, "P4");
    }
}

#[test]
fn the_page_source_hands_out_pages_of_the_pool() {
    let bad = top_up(&[L2, L3, SPARE, POOL + 64 * PAGE]);
    assert_found(top_up_with(&bad), Class::UseAfterFree, "P4");
}

#[test]
fn a_top_up_reaches_the_stated_capacity_and_stops() {
    // cache-minimum
    let short = top_up(&[L2, L3, SPARE]);
    assert_found(top_up_with(&short), Class::ReturnValue, "P2");
    let long = top_up(&[L2, L3, SPARE, SPARE_2, FREE_PAGE]);
    assert_found(top_up_with(&long), Class::Leak, "P2");
}

#[test]
fn a_top_up_may_end_at_a_failure() {
    let failed = |injected| Event::AllocateFailed { order: 0, injected };
    let mut events = top_up(&[L2, L3, SPARE]);
    events.push(failed(true));
    top_up_with(&events).unwrap();
    events[3] = failed(false);
    assert_found(top_up_with(&events), Class::Leak, "P4");
}

#[test]
fn a_top_up_comes_first() {
    let mut events = map_two_pages();
    let page = events.remove(3);
    events.insert(5, page);
    assert_found(top_up_with(&events), Class::ReturnValue, "P1");
}

/// A pool of eight pages, of which all but two, not adjacent or adjacent, are taken.
fn root_fails(free: [u64; 2]) -> Result<(), Finding> {
    let machine = Machine {
        pool: Span {
            base: POOL,
            bytes: 8 * PAGE,
        },
        ..machine()
    };
    let mut observer = Observer::new(&machine, stage2());
    let taken = (0..8).filter(|page| !free.contains(page));
    let events: Vec<_> = taken.map(|page| allocate(POOL + page * PAGE)).collect();
    let work = Work::Change { capacity: 6 };
    run(&mut observer, work, &events).unwrap();
    let failed = Event::AllocateFailed {
        order: 1,
        injected: false,
    };
    run(&mut observer, Work::Create { vm: 0, order: 1 }, &[failed])
}

#[test]
fn a_root_fails_only_without_an_aligned_run() {
    root_fails([1, 2]).unwrap();
    root_fails([0, 7]).unwrap();
    assert_found(root_fails([2, 3]), Class::Leak, "P4");
}

fn create_with(order: u8) -> Result<(), Finding> {
    let mut observer = Observer::new(&machine(), stage2());
    let page = ROOT;
    let events = [Event::Allocate { page, order }];
    run(&mut observer, Work::Create { vm: 0, order: 1 }, &events)
}

#[test]
fn a_root_has_its_size() {
    create_with(1).unwrap();
    assert_found(create_with(0), Class::UseAfterFree, "C3");
    assert_found(create_with(2), Class::Leak, "C3");
}

#[test]
fn a_root_is_zeroed() {
    let mut observer = Observer::new(&machine(), stage2());
    create(&mut observer, 0, ROOT);
    observer.ledger.root_is_zero(0).unwrap();
    let mut observer = Observer::new(&machine(), stage2());
    let events = [
        Event::Allocate {
            page: ROOT,
            order: 1,
        },
        zero(ROOT),
    ];
    run(&mut observer, Work::Create { vm: 0, order: 1 }, &events).unwrap();
    assert_found(observer.ledger.root_is_zero(0), Class::UseAfterFree, "C4");
}

/// Free of the VM of `mapped`.
fn free(releases: &[Event]) -> Result<(), Finding> {
    let mut events = vec![store(ROOT, table(L2), 0), ISHST, VMALLS12, ISH];
    events.extend([Event::WriteVttbr(0), ISB, release(L3), release(L2)]);
    events.extend(releases);
    run(&mut mapped(), Work::Free { vm: 0 }, &events)
}

#[test]
fn free_gives_the_whole_root_back() {
    let whole = Event::Release {
        page: ROOT,
        order: 1,
    };
    free(&[whole]).unwrap();
    free(&[release(ROOT), release(ROOT + PAGE)]).unwrap();
    assert_found(free(&[release(ROOT)]), Class::Leak, "F2");
}

#[test]
fn a_root_stays_with_its_vm() {
    // freed-root, root-tail-refcount
    assert_found(change(&[release(ROOT)]), Class::UseAfterFree, "G6");
    assert_found(change(&[release(ROOT + PAGE)]), Class::UseAfterFree, "G6");
}

#[test]
fn pages_go_back_as_they_were_allocated() {
    let run_of_two = Event::Release {
        page: SPARE,
        order: 1,
    };
    assert_found(change(&[run_of_two]), Class::Leak, "G6");
    change(&[release(SPARE), release(SPARE_2)]).unwrap();
}

#[test]
fn free_takes_no_page() {
    let whole = Event::Release {
        page: ROOT,
        order: 1,
    };
    let result = free(&[whole, allocate(FREE_PAGE)]);
    assert_found(result, Class::Leak, "F2");
}

#[test]
fn a_top_up_takes_single_pages() {
    let pair = Event::Allocate {
        page: SPARE,
        order: 1,
    };
    let events = [allocate(L2), allocate(L3), pair];
    assert_found(top_up_with(&events), Class::ReturnValue, "P2");
}

#[test]
fn a_vm_has_one_root() {
    let mut observer = Observer::new(&machine(), stage2());
    let root = |page| Event::Allocate { page, order: 1 };
    let events = [root(ROOT), root(OTHER_ROOT)];
    let result = run(&mut observer, Work::Create { vm: 0, order: 1 }, &events);
    assert_found(result, Class::Leak, "C3");
}

#[test]
fn a_root_goes_back_empty() {
    // root-loop-bound: the second root table is left as it is.
    let upper = ROOT + PAGE;
    let mut observer = mapped();
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(upper, 0, block(0x8000_0000)), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    let mut events = vec![
        store(ROOT, table(L2), 0),
        store(upper, block(0x8000_0000), 0),
        ISHST,
        VMALLS12,
        ISH,
        Event::WriteVttbr(0),
        ISB,
        release(L3),
        release(L2),
    ];
    events.push(Event::Release {
        page: ROOT,
        order: 1,
    });
    let work = Work::Free { vm: 0 };
    run(&mut observer.clone(), work, &events).unwrap();
    let result = run(&mut observer, work, &without(&events, 1));
    assert_found(result, Class::UseAfterFree, "G6");
}

#[test]
fn what_is_no_page_of_the_pool_does_not_go_back() {
    // free-wrong-level: a leaf taken for a table.
    let mut events = remove_table();
    events.push(release(GUEST));
    assert_found(change(&events), Class::UseAfterFree, "P4");
}

/// G9 for [`mapped`], with these counts.
fn references(counts: &[(u64, u16)]) -> Result<(), Finding> {
    mapped().ledger.references(counts.iter().copied())
}

#[test]
fn references_are_the_valid_entries_of_each_page() {
    let good = [(ROOT, 1), (ROOT + PAGE, 0), (L2, 1), (L3, 2), (SPARE, 0)];
    references(&good).unwrap();
    for (index, (page, count)) in good.into_iter().enumerate() {
        let mut bad = good;
        bad[index] = (page, count + 1);
        // valid-update-get
        let finding = assert_found(references(&bad), Class::Leak, "G9");
        assert!(finding.what.contains(&format!("{page:#x}")), "{finding}");
        if count > 0 {
            bad[index] = (page, count - 1);
            assert_found(references(&bad), Class::UseAfterFree, "G9");
        }
    }
}

#[test]
fn each_root_table_is_counted_by_itself() {
    // root-tail-refcount: the second root table's entry is counted to the first.
    let mut observer = mapped();
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(ROOT + PAGE, 0, block(0x8000_0000)), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    let with_roots = |first, second| {
        let counts = [(ROOT, first), (ROOT + PAGE, second), (L2, 1), (L3, 2)];
        observer.ledger.references(counts.into_iter())
    };
    with_roots(1, 1).unwrap();
    assert_found(with_roots(2, 0), Class::Leak, "G9");
}

#[test]
fn a_table_without_a_count_has_none() {
    references(&[(ROOT, 1), (L2, 1), (L3, 2)]).unwrap();
    let left_out = references(&[(ROOT, 1), (L2, 1)]);
    assert_found(left_out, Class::UseAfterFree, "G9");
}

#[test]
fn references_are_to_pages_of_the_pool() {
    let good = [(ROOT, 1), (L2, 1), (L3, 2), (FREE_PAGE, 0)];
    references(&good).unwrap();
    for page in [GUEST, FREE_PAGE + 8] {
        let mut bad = good;
        bad[3].0 = page;
        assert_found(references(&bad), Class::UseAfterFree, "G9");
    }
}
