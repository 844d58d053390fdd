//! What another CPU may see while an operation runs, as pairs of traces that differ in
//! one event.

mod trace;

use oracle::event::{Event, Record};
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::Machine;
use oracle::protocol::{Discipline, InPlace};
use oracle::verdict::{Class, Finding};
use trace::machines::{FLAGS, NOTHING, exchange, mapped_on, with_bbm, with_updates};
use trace::*;

const BLOCK_PA: u64 = 0x6000_0000;
const BLOCK_IPA: u64 = 4 << 20;
const READ_ONLY: u64 = 1 << 7;

/// [`mapped`], with a block of 2M at IPA 4M, and a cache that is full.
fn with_block() -> Observer {
    with_block_on(&machine())
}

fn with_block_on(machine: &Machine) -> Observer {
    let mut observer = mapped_on(machine);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(L2 + 16, 0, block(BLOCK_PA)), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    observer
}

fn leaf(index: u64) -> u64 {
    page(BLOCK_PA + index * PAGE)
}

/// The block's pages in a table, all but some.
fn fill(without: &[u64]) -> Vec<Event> {
    let filled = (0..512).filter(|index| !without.contains(index));
    let mut events = vec![zero(SPARE)];
    events.extend(filled.map(|index| store(SPARE + 8 * index, 0, leaf(index))));
    events
}

fn break_block() -> Vec<Event> {
    let mut events = vec![store(L2 + 16, block(BLOCK_PA), 0)];
    events.extend(invalidate(BLOCK_IPA));
    events
}

const LINK: Event = Event::Store {
    at: L2 + 16,
    old: 0,
    new: SPARE | 0b11,
    release: true,
};

fn change_block(parts: &[Vec<Event>]) -> Result<(), Finding> {
    run(&mut with_block(), CHANGE, &parts.concat())
}

#[test]
fn a_split_keeps_what_the_block_mapped() {
    change_block(&[fill(&[]), break_block(), vec![LINK, ISHST]]).unwrap();
    let late = vec![LINK, store(SPARE + 8 * 7, 0, leaf(7)), ISHST];
    let result = change_block(&[fill(&[7]), break_block(), late]);
    let finding = assert_found(result, Class::TornUpdate, "G10");
    assert_eq!(finding.ipa, Some(BLOCK_IPA + 7 * PAGE), "{finding}");
}

#[test]
fn a_split_may_leave_out_what_is_unmapped() {
    change_block(&[fill(&[7]), break_block(), vec![LINK, ISHST]]).unwrap();
}

#[test]
fn a_page_of_a_split_is_the_old_one_until_it_is_broken() {
    let replace = |first: u64| {
        let mut filled = fill(&[]);
        filled[1 + 7] = store(SPARE + 8 * 7, 0, first);
        let mut tail = vec![LINK, store(SPARE + 8 * 7, first, 0)];
        tail.extend(invalidate(BLOCK_IPA + 7 * PAGE));
        tail.extend([store(SPARE + 8 * 7, 0, page(GUEST)), ISHST]);
        change_block(&[filled, break_block(), tail])
    };
    replace(leaf(7)).unwrap();
    assert_found(replace(leaf(8)), Class::TornUpdate, "G10");
    let read_only = replace(leaf(7) & !READ_ONLY);
    assert_found(read_only, Class::TornUpdate, "G10");
}

/// A new page, by way of another value that is broken again.
fn detour(first: u64, last: u64) -> Result<(), Finding> {
    let mut events = vec![store(L3 + 16, 0, first), ISHST, store(L3 + 16, first, 0)];
    events.extend(invalidate(2 * PAGE));
    events.extend([store(L3 + 16, 0, last), ISHST]);
    change(&events)
}

#[test]
fn a_value_in_between_is_the_old_or_the_new_one() {
    let wanted = page(GUEST + 2 * PAGE);
    detour(wanted, wanted).unwrap();
    // Software bits are no part of the meaning.
    detour(wanted | 1 << 55, wanted).unwrap();
    for wrong in [page(GUEST), wanted & !READ_ONLY] {
        let finding = assert_found(detour(wrong, wanted), Class::TornUpdate, "G10");
        assert_eq!(finding.ipa, Some(2 * PAGE), "{finding}");
    }
}

#[test]
fn a_mapping_that_comes_and_goes_was_never_meant() {
    let wanted = page(GUEST + 2 * PAGE);
    let mut events = vec![store(L3 + 16, 0, wanted), ISHST, store(L3 + 16, wanted, 0)];
    events.extend(invalidate(2 * PAGE));
    assert_found(change(&events), Class::TornUpdate, "G10");
    change(&events[..2]).unwrap();
}

#[test]
fn a_block_in_between_is_compared_page_by_page() {
    // A block over the table with its two pages, then its table again.
    let coalesce = |second: u64| {
        let mut first = mapped();
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.push(store(L3 + 8, page(GUEST + PAGE), 0));
        events.extend(invalidate(PAGE));
        events.extend((1..512).map(|index| {
            let pa = if index == 1 {
                second
            } else {
                GUEST + index * PAGE
            };
            store(L3 + 8 * index, 0, page(pa))
        }));
        events.push(ISHST);
        run(&mut first, CHANGE, &events).unwrap();
        let mut events = vec![store(L2, table(L3), 0), ISHST, VMALLS12, ISH, release(L3)];
        events.extend([
            store(L2, 0, block(GUEST)),
            ISHST,
            store(L2, block(GUEST), 0),
        ]);
        events.extend([ISHST, VMALLS12, ISH]);
        run(&mut first, Work::Other, &events)
    };
    coalesce(GUEST + PAGE).unwrap();
    let finding = assert_found(coalesce(GUEST), Class::TornUpdate, "G10");
    assert_eq!(finding.ipa, Some(PAGE), "{finding}");
}

fn link_plainly(before: Event) -> Result<(), Finding> {
    let mut observer = mapped();
    observer.protocol.judge_by(Discipline::Architecture);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([zero(SPARE), before, store(L2 + 8, 0, table(SPARE)), ISHST]);
    run(&mut observer, CHANGE, &events)
}

#[test]
fn a_plain_link_follows_a_barrier() {
    link_plainly(ISHST).unwrap();
    assert_found(link_plainly(ISB), Class::TornUpdate, "G10");
    // A store-release orders what precedes it, and nothing that follows it.
    let elsewhere = release_store(L3 + 16, 0, page(GUEST));
    assert_found(link_plainly(elsewhere), Class::TornUpdate, "G10");
}

#[test]
fn a_release_orders_the_stores_of_its_own_cpu() {
    let link = |ordered_by: u8| {
        let mut observer = mapped();
        observer.begin(CHANGE, InPlace::default());
        let records = [
            (1, zero(SPARE)),
            (0, store(SPARE, 0, page(GUEST))),
            (ordered_by, ISHST),
            (0, release_store(L2 + 8, 0, table(SPARE))),
        ];
        records
            .into_iter()
            .try_for_each(|(cpu, event)| observer.event(&Record { cpu, event }).map(|_| ()))
    };
    link(1).unwrap();
    assert_found(link(0), Class::TornUpdate, "G10");
}

/// The level 3 table unlinked, and a store to it.
fn unlink_and_store(new: u64, after: usize) -> Result<(), Finding> {
    let mut events = vec![
        store(L2, table(L3), 0),
        ISHST,
        ipas2(0),
        ipas2(PAGE),
        ISH,
        VMALLE1,
        ISH,
        release(L3),
    ];
    events.insert(after, store(L3 + 16, 0, new));
    change(&events)
}

#[test]
fn an_unlinked_table_gets_nothing_valid_until_it_is_invalidated() {
    unlink_and_store(page(GUEST), 7).unwrap();
    let early = unlink_and_store(page(GUEST), 6);
    assert_found(early, Class::TornUpdate, "G10");
    unlink_and_store(POOL, 6).unwrap();
}

#[test]
fn an_empty_table_where_nothing_was_mapped_is_as_meant() {
    change(&[zero(SPARE), release_store(L2 + 8, 0, table(SPARE)), ISHST]).unwrap();
}

/// What split, and coalesce, may do in place on a machine of BBM level 2.
const SPLITS: InPlace = InPlace {
    splits: true,
    ..NOTHING
};
const COALESCES: InPlace = InPlace {
    coalesces: true,
    ..NOTHING
};

/// The block's pages, of which this is the eighth, in a table that takes its place.
fn split_in_place(eighth: u64) -> Vec<Event> {
    let mut events = fill(&[]);
    events[1 + 7] = store(SPARE + 8 * 7, 0, eighth);
    events.push(release_store(L2 + 16, block(BLOCK_PA), table(SPARE)));
    events.extend([ISHST, VMALLS12, ISH]);
    events
}

#[test]
fn a_split_in_place_is_the_old_meaning() {
    let machine = with_bbm(2);
    let split = |tail: &[Event]| {
        let mut observer = with_block_on(&machine);
        let events = [split_in_place(leaf(7)), tail.to_vec()].concat();
        run_as(&mut observer, CHANGE, SPLITS, &events)
    };
    split(&[]).unwrap();
    // And then one of its pages goes, or becomes another.
    let mut gone = vec![store(SPARE + 8 * 7, leaf(7), 0)];
    gone.extend(invalidate(BLOCK_IPA + 7 * PAGE));
    split(&gone).unwrap();
    let by_way_of = |between: u64| {
        let mut tail = gone.clone();
        tail.push(store(SPARE + 8 * 7, 0, between));
        tail.push(store(SPARE + 8 * 7, between, 0));
        tail.extend(invalidate(BLOCK_IPA + 7 * PAGE));
        split(&tail)
    };
    by_way_of(leaf(7)).unwrap();
    assert_found(by_way_of(leaf(8)), Class::TornUpdate, "G10");
}

#[test]
fn a_coalesce_in_place_is_the_old_meaning() {
    let machine = with_bbm(2);
    let coalesce = |tail: &[Event]| {
        let mut observer = with_block_on(&machine);
        run_as(&mut observer, CHANGE, SPLITS, &split_in_place(leaf(7))).unwrap();
        let mut events = vec![store(L2 + 16, table(SPARE), block(BLOCK_PA))];
        events.extend([ISHST, VMALLS12, ISH, release(SPARE)]);
        events.extend(tail);
        run_as(&mut observer, Work::Other, COALESCES, &events)
    };
    coalesce(&[]).unwrap();
    let replace = |other: u64| {
        let mut tail = vec![store(L2 + 16, block(BLOCK_PA), 0)];
        tail.extend(invalidate(BLOCK_IPA));
        tail.extend([
            store(L2 + 16, 0, block(other)),
            store(L2 + 16, block(other), 0),
        ]);
        tail.extend(invalidate(BLOCK_IPA));
        coalesce(&tail)
    };
    replace(BLOCK_PA).unwrap();
    assert_found(replace(BLOCK_PA + (2 << 20)), Class::TornUpdate, "G10");
}

/// The first page's flags by way of others, in place.
fn flags_by_way_of(machine: &Machine, between: u64, last: u64) -> Result<(), Finding> {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([
        exchange(L3, page(GUEST), between),
        exchange(L3, between, last),
    ]);
    events.extend(invalidate(0));
    run_as(&mut mapped_on(machine), CHANGE, FLAGS, &events)
}

#[test]
fn flags_in_between_are_the_old_or_the_new_ones() {
    let read_only = page(GUEST) & !READ_ONLY;
    let never = read_only & !(1 << 6);
    for between in [page(GUEST) | 1 << 55, read_only] {
        flags_by_way_of(&machine(), between, read_only).unwrap();
    }
    let wrong = flags_by_way_of(&machine(), never, read_only);
    assert_found(wrong, Class::TornUpdate, "G10");
}

#[test]
fn what_hardware_sets_is_no_other_meaning() {
    const ACCESS_FLAG: u64 = 1 << 10;
    let read_only = page(GUEST) & !READ_ONLY;
    let between = read_only & !ACCESS_FLAG;
    flags_by_way_of(&with_updates(), between, read_only).unwrap();
    let without = flags_by_way_of(&machine(), between, read_only);
    assert_found(without, Class::TornUpdate, "G10");
}

/// An annotation.
const MARK: u64 = 7 << 12 | 0b100;

#[test]
fn a_leaf_is_annotated_by_one_store() {
    let annotate = |between: Option<u64>| {
        let mut events = Vec::new();
        let mut old = page(GUEST);
        if let Some(between) = between {
            events.push(store(L3, old, 0));
            events.extend(invalidate(0));
            events.push(store(L3, 0, between));
            old = between;
        }
        events.push(store(L3, old, MARK));
        events.extend(invalidate(0));
        change(&events)
    };
    annotate(None).unwrap();
    annotate(Some(page(GUEST))).unwrap();
    let other = annotate(Some(page(GUEST + 2 * PAGE)));
    assert_found(other, Class::TornUpdate, "G10");
}

#[test]
fn a_table_of_marks_keeps_what_stays_mapped() {
    // The block's first page is annotated, and the others stay.
    let annotate = |filled: &[Event], late: &[Event]| {
        let events = [filled, &break_block(), &[LINK], late, &[ISHST]].concat();
        change_block(&[events])
    };
    let mut filled = fill(&[]);
    filled[1] = store(SPARE, 0, MARK);
    annotate(&filled, &[]).unwrap();
    let mut marked = filled.clone();
    marked[1 + 7] = store(SPARE + 8 * 7, 0, MARK);
    let late = store(SPARE + 8 * 7, MARK, leaf(7));
    assert_found(annotate(&marked, &[late]), Class::TornUpdate, "G10");
}
