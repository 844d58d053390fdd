//! Each rule about order, as a pair of traces that differ in one event.

mod trace;

use oracle::event::Event;
use oracle::ledger::Work;
use oracle::protocol::Needless;
use oracle::verdict::Class;
use trace::machines::{NOTHING, change_on, with_hints};
use trace::*;

/// The first of the two pages, unmapped.
fn unmap_page() -> Vec<Event> {
    let mut events = vec![store(L3, page(GUEST), 0)];
    events.extend(invalidate(0));
    events
}

/// Both pages with their tables, unmapped by removing the table of level 2.
fn remove_tables() -> Vec<Event> {
    vec![
        store(ROOT, table(L2), 0),
        ISHST,
        ipas2(0),
        ipas2(PAGE),
        ISH,
        VMALLE1,
        ISH,
        release(L3),
        release(L2),
    ]
}

/// The first page replaced by another.
fn replace_page() -> Vec<Event> {
    let mut events = unmap_page();
    events.extend([store(L3, 0, page(GUEST + 2 * PAGE)), ISHST]);
    events
}

#[test]
fn complete_sequences_are_fine() {
    for events in [unmap_page(), remove_tables(), replace_page()] {
        change(&events).unwrap();
    }
}

#[test]
fn valid_to_valid_is_break_before_make() {
    let direct = [store(L3, page(GUEST), page(GUEST + 2 * PAGE)), ISHST];
    assert_found(change(&direct), Class::BreakBeforeMake, "G4");
}

#[test]
fn the_same_value_again_is_no_change() {
    change(&[store(L3, page(GUEST), page(GUEST))]).unwrap();
}

#[test]
fn a_block_over_a_live_table_is_break_before_make() {
    // coalesce-without-bbm
    let direct = [store(L2, table(L3), block(GUEST)), ISHST];
    assert_found(change(&direct), Class::BreakBeforeMake, "G4");
}

#[test]
fn a_new_value_waits_for_the_whole_invalidation() {
    for missing in 1..=5 {
        let events = without(&replace_page(), missing);
        assert_found(change(&events), Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn a_store_is_ordered_before_its_invalidation() {
    let events = without(&unmap_page(), 1);
    assert_found(change(&events), Class::Barrier, "G3");
}

#[test]
fn either_barrier_orders_the_store() {
    change(&with(&unmap_page(), 1, ISH)).unwrap();
}

#[test]
fn a_removed_page_is_invalidated() {
    let events = without(&unmap_page(), 2);
    assert_found(change(&events), Class::StaleTlb, "G3");
}

#[test]
fn an_invalidation_before_the_store_does_not_count() {
    let mut events = vec![ISHST, ipas2(0), ISH, VMALLE1, ISH];
    events.extend(without(&unmap_page(), 2));
    assert_found(change(&events), Class::StaleTlb, "G3");
}

#[test]
fn by_ipa_takes_a_barrier_before_stage_1() {
    let events = without(&unmap_page(), 3);
    assert_found(change(&events), Class::Barrier, "G3");
}

#[test]
fn by_ipa_takes_stage_1_as_well() {
    // no-combined-invalidation
    let events = without(&unmap_page(), 4);
    let finding = assert_found(change(&events), Class::StaleTlb, "G3");
    assert!(finding.what.contains("VMALLE1IS"), "{finding}");
}

#[test]
fn the_last_invalidation_is_completed() {
    let events = without(&unmap_page(), 5);
    assert_found(change(&events), Class::Barrier, "G3");
    let events = with(&unmap_page(), 5, ISHST);
    assert_found(change(&events), Class::Barrier, "G3");
}

#[test]
fn the_whole_vmid_is_enough_once_complete() {
    let events = [store(L3, page(GUEST), 0), ISHST, VMALLS12, ISH];
    change(&events).unwrap();
    assert_found(change(&without(&events, 3)), Class::Barrier, "G3");
    assert_found(change(&without(&events, 1)), Class::Barrier, "G3");
}

#[test]
fn the_operand_is_decoded() {
    // tlbi-operand: the address where the address >> 12 belongs.
    let second = [store(L3 + 8, page(GUEST + PAGE), 0)];
    let mut right = second.to_vec();
    right.extend(invalidate(PAGE));
    change(&right).unwrap();
    let finding = assert_found(
        change(&with(&right, 2, raw_ipas2(PAGE))),
        Class::StaleTlb,
        "G3",
    );
    assert!(
        finding.what.contains("operand 0x1000, IPA 0x1000000"),
        "{finding}"
    );
}

#[test]
fn reserved_operand_bits_spoil_it() {
    let events = with(&unmap_page(), 2, raw_ipas2(1 << 63));
    assert_found(change(&events), Class::StaleTlb, "G3");
}

#[test]
fn a_hint_must_be_the_leafs_level() {
    let level_3 = raw_ipas2(0b0111 << 44);
    let level_2 = raw_ipas2(0b0110 << 44);
    let level_3_of_64k = raw_ipas2(0b1111 << 44);
    let change = |events: &[Event]| change_on(&with_hints(), NOTHING, events);
    change(&with(&unmap_page(), 2, level_3)).unwrap();
    for wrong in [level_2, level_3_of_64k] {
        let events = with(&unmap_page(), 2, wrong);
        let finding = assert_found(change(&events), Class::StaleTlb, "G3");
        assert!(finding.what.contains("need not concern it"), "{finding}");
    }
}

#[test]
fn a_table_takes_no_hint() {
    // leaf-hint-on-table
    let mut events = vec![
        store(L3, page(GUEST), 0),
        store(L3 + 8, page(GUEST + PAGE), 0),
    ];
    let tail = [
        store(L2, table(L3), 0),
        ISHST,
        raw_ipas2(0),
        ipas2(PAGE),
        ISH,
        VMALLE1,
        ISH,
        release(L3),
    ];
    events.extend(tail);
    let change = |events: &[Event]| change_on(&with_hints(), NOTHING, events);
    change(&events).unwrap();
    let hint = 0b0111 << 44;
    let hinted = with(&events, 4, raw_ipas2(hint));
    // The other one has none, and covers the table.
    change(&hinted).unwrap();
    let both = with(&hinted, 5, raw_ipas2(hint | 1));
    assert_found(change(&both), Class::UseAfterFree, "G6");
    let own_level = with(&both, 4, raw_ipas2(0b0110 << 44));
    assert_found(change(&own_level), Class::UseAfterFree, "G6");
}

#[test]
fn each_leaf_below_a_removed_table_is_invalidated() {
    // table-to-block-one-ipa, block-over-table
    let events = without(&remove_tables(), 3);
    let finding = assert_found(change(&events), Class::StaleTlb, "G3");
    assert_eq!(finding.ipa, Some(PAGE));
}

#[test]
fn a_table_goes_back_after_its_invalidation() {
    // free-before-tlbi
    let mut events = remove_tables();
    let last = events.pop().unwrap();
    events.insert(1, last);
    assert_found(change(&events), Class::UseAfterFree, "G6");
}

#[test]
fn a_table_below_a_removed_one_waits_too() {
    let mut events = remove_tables();
    let early = events.remove(7);
    events.insert(6, early);
    assert_found(change(&events), Class::UseAfterFree, "G6");
}

#[test]
fn a_block_waits_for_every_leaf_it_replaces() {
    let mut events = vec![store(L2, table(L3), 0)];
    events.extend([ISHST, ipas2(0), ipas2(PAGE), ISH, VMALLE1, ISH]);
    events.extend([store(L2, 0, block(GUEST)), ISHST, release(L3)]);
    change(&events).unwrap();
    assert_found(change(&without(&events, 3)), Class::BreakBeforeMake, "G4");
}

#[test]
fn a_new_descriptor_is_published() {
    let events = [store(L3 + 16, 0, page(GUEST)), ISHST];
    change(&events).unwrap();
    assert_found(change(&without(&events, 1)), Class::Barrier, "G7");
}

#[test]
fn a_table_is_linked_with_release() {
    let events = [zero(SPARE), release_store(L2 + 8, 0, table(SPARE)), ISHST];
    change(&events).unwrap();
    let plain = with(&events, 1, store(L2 + 8, 0, table(SPARE)));
    assert_found(change(&plain), Class::Barrier, "G5");
}

#[test]
fn a_table_is_zeroed_since_it_was_allocated() {
    let events = [zero(SPARE), release_store(L2 + 8, 0, table(SPARE)), ISHST];
    assert_found(change(&without(&events, 0)), Class::UseAfterFree, "G5");
    let upper_half = Event::Zero {
        at: SPARE + PAGE / 2,
        bytes: PAGE / 2,
    };
    assert_found(
        change(&with(&events, 0, upper_half)),
        Class::UseAfterFree,
        "G5",
    );
}

fn incoherent(events: &[Event]) -> Result<(), oracle::verdict::Finding> {
    let machine = oracle::operation::Machine {
        coherent_walks: false,
        ..machine()
    };
    let mut all = top_up(&[L2, L3, SPARE, SPARE_2]);
    all.extend(events);
    run(&mut bench_on(&machine), CHANGE, &all)
}

/// An empty table is cleaned and linked: 64 cleans from index 1 on, the barrier
/// that completes them, the link, its clean, and the barrier that publishes it.
fn link_without_coherence(before_link: Event, publishing: Event) -> Vec<Event> {
    let mut events = vec![zero(L2)];
    events.extend(clean_page(L2));
    events.extend([
        before_link,
        release_store(ROOT, 0, table(L2)),
        clean(ROOT),
        publishing,
    ]);
    events
}

#[test]
fn without_coherence_a_new_table_is_cleaned_before_it_is_linked() {
    // table-not-cleaned
    let events = link_without_coherence(ISH, ISH);
    incoherent(&events).unwrap();
    assert_found(incoherent(&without(&events, 40)), Class::Cache, "G5");
}

#[test]
fn without_coherence_an_entry_is_cleaned_before_its_barrier() {
    let events = link_without_coherence(ISH, ISH);
    assert_found(incoherent(&without(&events, 67)), Class::Cache, "G5");
    let late = [events[..67].to_vec(), vec![ISH, clean(ROOT), ISH]].concat();
    assert_found(incoherent(&late), Class::Cache, "G5");
}

#[test]
fn a_barrier_for_stores_completes_no_clean_of_a_table() {
    let events = link_without_coherence(ISHST, ISH);
    assert_found(incoherent(&events), Class::Cache, "G5");
}

#[test]
fn a_barrier_for_stores_completes_no_clean_of_an_entry() {
    let events = link_without_coherence(ISH, ISHST);
    assert_found(incoherent(&events), Class::Cache, "G5");
}

#[test]
fn a_line_that_is_written_after_its_clean_is_not_clean() {
    let mut events = link_without_coherence(ISH, ISH);
    events.insert(65, store(L2, 0, 0));
    assert_found(incoherent(&events), Class::Cache, "G5");
}

#[test]
fn without_coherence_a_root_is_cleaned() {
    let machine = oracle::operation::Machine {
        coherent_walks: false,
        ..machine()
    };
    let cleaned = |lines: u64| {
        let mut observer = bench_on(&machine);
        let cleans = (0..lines).map(|line| clean(ROOT + 64 * line));
        let events: Vec<_> = cleans.chain([ISH]).collect();
        run(&mut observer, Work::Other, &events).unwrap();
        let tables = observer.ledger.tables();
        observer.protocol.root_is_ready(tables, ROOT, 2)
    };
    cleaned(128).unwrap();
    assert_found(cleaned(127), Class::Cache, "G5");
}

/// VM 0 as in `mapped`, and VM 1 with VMID 2.
fn unmap_with_two_vms(events: &[Event]) -> Result<(), oracle::verdict::Finding> {
    let mut observer = mapped();
    create(&mut observer, 1, OTHER_ROOT);
    observer.protocol.enter(1, 2, OTHER_VTTBR);
    let load = [Event::WriteVttbr(OTHER_VTTBR), ISB];
    run(&mut observer, Work::Other, &load).unwrap();
    let mut all = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    all.extend(events);
    run(&mut observer, CHANGE, &all)
}

fn unmap_in_the_other() -> Vec<Event> {
    let mut events = vec![Event::WriteVttbr(VTTBR), ISB];
    events.extend(unmap_page());
    events.extend([Event::WriteVttbr(OTHER_VTTBR), ISB]);
    events
}

#[test]
fn invalidations_are_for_the_vmid_in_vttbr() {
    // wrong-vmid
    unmap_with_two_vms(&unmap_in_the_other()).unwrap();
    let finding = assert_found(unmap_with_two_vms(&unmap_page()), Class::StaleTlb, "G3");
    assert!(finding.what.contains("VMID 2"), "{finding}");
    let whole = [store(L3, page(GUEST), 0), ISHST, VMALLS12, ISH];
    let finding = assert_found(unmap_with_two_vms(&whole), Class::StaleTlb, "G3");
    assert!(finding.what.contains("VMID 2"), "{finding}");
}

#[test]
fn a_register_write_is_synchronized_before_the_invalidation() {
    let events = without(&unmap_in_the_other(), 1);
    assert_found(unmap_with_two_vms(&events), Class::Barrier, "G8");
}

/// Free of the VM of `mapped`.
fn free() -> Vec<Event> {
    vec![
        store(ROOT, table(L2), 0),
        ISHST,
        VMALLS12,
        ISH,
        Event::WriteVttbr(0),
        ISB,
        release(L3),
        release(L2),
        Event::Release {
            page: ROOT,
            order: 1,
        },
    ]
}

fn free_with(events: &[Event]) -> Result<(), oracle::verdict::Finding> {
    run(&mut mapped(), Work::Free { vm: 0 }, events)
}

#[test]
fn a_root_goes_back_after_the_whole_vmid() {
    free_with(&free()).unwrap();
    let by_ipa = [
        vec![store(ROOT, table(L2), 0), ISHST, ipas2(0), ipas2(PAGE)],
        vec![ISH, VMALLE1, ISH],
        free()[4..].to_vec(),
    ];
    assert_found(free_with(&by_ipa.concat()), Class::StaleTlb, "F2");
}

#[test]
fn a_root_goes_back_after_vttbr_has_left_it() {
    assert_found(free_with(&without(&free(), 4)), Class::UseAfterFree, "F2");
}

#[test]
fn needless_invalidation_is_counted_and_fine() {
    let mut observer = mapped();
    let events = [
        top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]),
        unmap_page(),
        vec![ISH, ipas2(PAGE), ISH, VMALLE1, ISH],
    ];
    run(&mut observer, CHANGE, &events.concat()).unwrap();
    let expected = Needless {
        invalidations: 2,
        barriers: 1,
    };
    assert_eq!(observer.protocol.needless(), expected);
}

#[test]
fn many_open_descriptors_take_one_search_each() {
    // 512 leaves, broken in descending order, invalidated in ascending order.
    let mut observer = mapped();
    let leaf = |index: u64| page(GUEST + index * PAGE);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend((2..512).map(|index| store(L3 + 8 * index, 0, leaf(index))));
    events.push(ISHST);
    run(&mut observer, CHANGE, &events).unwrap();
    let mut events: Vec<_> = (0..512)
        .rev()
        .map(|index| store(L3 + 8 * index, leaf(index), 0))
        .collect();
    events.push(ISHST);
    events.extend((0..512).map(|index| ipas2(index * PAGE)));
    events.extend([ISH, VMALLE1, ISH]);
    run(&mut observer, CHANGE, &events).unwrap();
    assert_eq!(observer.protocol.needless(), Needless::default());
}
