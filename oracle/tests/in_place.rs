//! What the contract lets an operation change in place (G4), as pairs of traces that
//! differ in one event.

mod trace;

use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::{Action, Execute, Machine, Operation, Prot};
use oracle::protocol::InPlace;
use oracle::verdict::{Class, Finding};
use trace::machines::{
    FLAGS, NOTHING, change_on, exchange, mapped_on, with_bbm, with_hints, with_updates,
};
use trace::*;

const WRITE: u64 = 1 << 7;
const ACCESS_FLAG: u64 = 1 << 10;
const MODIFIER: u64 = 1 << 51;
const CONTIGUOUS: u64 = 1 << 52;
const EXECUTE_NEVER: u64 = 0b11 << 53;
const SOFTWARE: u64 = 1 << 55;
const BLOCK_PA: u64 = 0x6000_0000;
const BLOCK_IPA: u64 = 4 << 20;

/// The first page changed in place, and invalidated.
fn to(new: u64) -> Vec<Event> {
    let mut events = vec![store(L3, page(GUEST), new)];
    events.extend(invalidate(0));
    events
}

fn with_flags(events: &[Event]) -> Result<(), Finding> {
    change_on(&machine(), FLAGS, events)
}

#[test]
fn flags_change_in_place_where_the_operation_may() {
    for bit in [WRITE, ACCESS_FLAG, MODIFIER, EXECUTE_NEVER, SOFTWARE] {
        let events = to(page(GUEST) ^ bit);
        with_flags(&events).unwrap();
        assert_found(change(&events), Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn nothing_else_changes_in_place() {
    let memory_type = page(GUEST) & !(0b1111 << 2);
    let moved = page(GUEST + 2 * PAGE);
    for new in [memory_type, moved, page(GUEST) | CONTIGUOUS] {
        assert_found(with_flags(&to(new)), Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn an_old_meaning_is_invalidated() {
    let events = to(page(GUEST) & !WRITE);
    assert_found(with_flags(&events[..2]), Class::StaleTlb, "G3");
    assert_found(with_flags(&without(&events, 1)), Class::Barrier, "G3");
    assert_found(with_flags(&without(&events, 4)), Class::StaleTlb, "G3");
}

#[test]
fn an_access_flag_that_is_set_needs_nothing() {
    for machine in [machine(), with_updates()] {
        let mut observer = mapped_on(&machine);
        let old = page(GUEST) & !ACCESS_FLAG;
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.push(exchange(L3, page(GUEST), old));
        events.extend(invalidate(0));
        run_as(&mut observer, CHANGE, FLAGS, &events).unwrap();
        let young = |new| {
            let events = [exchange(L3, old, new)];
            run_as(&mut observer.clone(), CHANGE, FLAGS, &events)
        };
        young(page(GUEST)).unwrap();
        assert_found(young(page(GUEST) & !WRITE), Class::StaleTlb, "G3");
    }
}

#[test]
fn a_second_change_in_place_need_not_wait_for_the_first() {
    let (first, second) = (page(GUEST) & !WRITE, page(GUEST) & !(WRITE | ACCESS_FLAG));
    let mut events = vec![store(L3, page(GUEST), first)];
    events.extend(to(second));
    events[1] = store(L3, first, second);
    // Nobody asked for what could be seen in between.
    assert_found(with_flags(&events), Class::TornUpdate, "G10");
    events[1] = store(L3, first, first | SOFTWARE);
    with_flags(&events).unwrap();
}

#[test]
fn what_was_broken_is_not_changed_in_place() {
    let mut events = vec![store(L3, page(GUEST), 0)];
    events.extend(to(page(GUEST) & !WRITE));
    events[1] = store(L3, 0, page(GUEST) & !WRITE);
    assert_found(with_flags(&events), Class::BreakBeforeMake, "G4");
}

#[test]
fn another_address_waits_for_what_changed_in_place() {
    let changed = page(GUEST) & !WRITE;
    let mut events = vec![store(L3, page(GUEST), changed), store(L3, changed, 0)];
    events.extend(invalidate(0));
    events.extend([store(L3, 0, page(GUEST + 2 * PAGE)), ISHST]);
    // The first value is as much to be invalidated as the second.
    let result = with_flags(&without(&events, 3));
    assert_found(result, Class::BreakBeforeMake, "G4");
}

/// What these may do in place on a machine of BBM level 2.
const SPLITS: InPlace = InPlace {
    splits: true,
    contiguous: true,
    ..NOTHING
};
const COALESCES: InPlace = InPlace {
    coalesces: true,
    contiguous: true,
    ..NOTHING
};

/// [`mapped`] on a machine of BBM level 2, with a block of 2M at IPA 4M.
fn with_block() -> Observer {
    let machine = Machine {
        bbm: 2,
        ..with_hints()
    };
    let mut observer = mapped_on(&machine);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(L2 + 16, 0, block(BLOCK_PA)), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    observer
}

fn leaf(index: u64) -> u64 {
    page(BLOCK_PA + index * PAGE)
}

/// The block's pages in a table that takes its place.
fn split() -> Vec<Event> {
    let mut events = vec![zero(SPARE)];
    events.extend((0..512).map(|index| store(SPARE + 8 * index, 0, leaf(index))));
    events.push(release_store(L2 + 16, block(BLOCK_PA), table(SPARE)));
    events.extend(invalidate(BLOCK_IPA));
    events
}

fn split_as(in_place: InPlace, events: &[Event]) -> Result<(), Finding> {
    run_as(&mut with_block(), CHANGE, in_place, events)
}

#[test]
fn a_table_takes_the_place_of_a_block_that_maps_alike() {
    split_as(SPLITS, &split()).unwrap();
    for in_place in [NOTHING, FLAGS, COALESCES] {
        let result = split_as(in_place, &split());
        assert_found(result, Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn a_split_block_is_invalidated() {
    let events = without(&split(), 513 + 2);
    assert_found(split_as(SPLITS, &events), Class::StaleTlb, "G3");
}

#[test]
fn a_table_that_maps_otherwise_does_not_take_a_blocks_place() {
    let hole = without(&split(), 1 + 7);
    assert_found(split_as(SPLITS, &hole), Class::BreakBeforeMake, "G4");
    for wrong in [leaf(8), leaf(7) & !WRITE, leaf(7) | SOFTWARE] {
        let events = with(&split(), 1 + 7, store(SPARE + 8 * 7, 0, wrong));
        assert_found(split_as(SPLITS, &events), Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn a_page_of_a_split_waits_for_the_block() {
    let replace = |in_between: &[Event]| {
        let mut events = split();
        events.truncate(514);
        events.push(store(SPARE + 8 * 7, leaf(7), 0));
        events.extend(in_between);
        events.extend([store(SPARE + 8 * 7, 0, page(GUEST)), ISHST]);
        split_as(SPLITS, &events)
    };
    let of_the_page = BLOCK_IPA + 7 * PAGE;
    // The block is in a TLB as long as the page is.
    replace(&invalidate(of_the_page)).unwrap();
    let hinted = raw_ipas2(0b0111 << 44 | of_the_page >> 12);
    let result = replace(&with(&invalidate(of_the_page), 1, hinted));
    assert_found(result, Class::BreakBeforeMake, "G4");
}

#[test]
fn a_page_of_a_split_may_change_its_flags_at_once() {
    let protects = InPlace {
        flags: true,
        ..SPLITS
    };
    let mut events = split();
    events.insert(514, store(SPARE, leaf(0), leaf(0) & !WRITE));
    split_as(protects, &events).unwrap();
    assert_found(split_as(SPLITS, &events), Class::BreakBeforeMake, "G4");
}

/// The table of a split back to its block.
fn coalesce(new: u64) -> Vec<Event> {
    vec![
        store(L2 + 16, table(SPARE), new),
        ISHST,
        raw_range(BLOCK_IPA),
        ISH,
        VMALLE1,
        ISH,
        release(SPARE),
    ]
}

/// `RIPAS2E1IS` of 2M.
fn raw_range(ipa: u64) -> Event {
    machines::raw_range(1 << 46 | 1 << 44 | 7 << 39 | ipa >> 12)
}

fn coalesce_as(in_place: InPlace, fill: &[Event], events: &[Event]) -> Result<(), Finding> {
    let mut observer = with_block();
    run_as(&mut observer, CHANGE, SPLITS, &split()).unwrap();
    let top_up = top_up(&[POOL + 10 * PAGE]);
    run(&mut observer, CHANGE, &[&top_up, fill].concat()).unwrap();
    run_as(&mut observer, Work::Other, in_place, events)
}

#[test]
fn a_block_takes_the_place_of_a_table_that_maps_alike() {
    let events = coalesce(block(BLOCK_PA));
    coalesce_as(COALESCES, &[], &events).unwrap();
    for in_place in [NOTHING, FLAGS, SPLITS] {
        let result = coalesce_as(in_place, &[], &events);
        assert_found(result, Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn every_page_of_a_coalesced_table_is_invalidated() {
    let events = with(&coalesce(block(BLOCK_PA)), 2, ipas2(BLOCK_IPA));
    let finding = assert_found(coalesce_as(COALESCES, &[], &events), Class::StaleTlb, "G3");
    assert_eq!(finding.ipa, Some(BLOCK_IPA + PAGE), "{finding}");
    let early = with(&events[..3], 2, release(SPARE));
    assert_found(
        coalesce_as(COALESCES, &[], &early),
        Class::UseAfterFree,
        "G6",
    );
}

#[test]
fn a_block_that_maps_otherwise_does_not_take_a_tables_place() {
    for wrong in [block(BLOCK_PA) & !WRITE, block(BLOCK_PA + (2 << 20))] {
        let result = coalesce_as(COALESCES, &[], &coalesce(wrong));
        assert_found(result, Class::BreakBeforeMake, "G4");
    }
    let mut hole = vec![store(SPARE + 8 * 7, leaf(7), 0)];
    hole.extend(invalidate(BLOCK_IPA + 7 * PAGE));
    let result = coalesce_as(COALESCES, &hole, &coalesce(block(BLOCK_PA)));
    assert_found(result, Class::BreakBeforeMake, "G4");
}

#[test]
fn a_coalesced_block_may_be_younger() {
    let mut events = coalesce(block(BLOCK_PA));
    let old = block(BLOCK_PA) & !ACCESS_FLAG;
    coalesce_as(
        COALESCES,
        &[],
        &with(&events, 0, store(L2 + 16, table(SPARE), old)),
    )
    .unwrap();
    events[0] = store(L2 + 16, table(SPARE), old & !WRITE);
    let result = coalesce_as(COALESCES, &[], &events);
    assert_found(result, Class::BreakBeforeMake, "G4");
}

#[test]
fn the_operations_of_the_contract_may_do_what_it_says() {
    let of = |operation, bbm| InPlace::of(&operation, bbm);
    let (vm, ipa, size) = (0, 0, PAGE);
    let action = |action| Operation::Range {
        vm,
        action,
        ipa,
        size,
    };
    let prot = Prot {
        read: true,
        write: false,
        execute: Execute::Never,
    };
    let protect = Operation::Protect {
        vm,
        ipa,
        size,
        prot,
    };
    assert_eq!(of(protect, 1), FLAGS);
    assert_eq!(of(action(Action::WriteProtect), 0), FLAGS);
    assert_eq!(of(action(Action::ClearYoung), 0), FLAGS);
    assert_eq!(of(Operation::MakeYoung { vm, ipa }, 0), FLAGS);
    assert_eq!(of(Operation::Relax { vm, ipa, prot }, 0), FLAGS);
    assert_eq!(of(Operation::Unmap { vm, ipa, size }, 1), NOTHING);
    assert_eq!(of(Operation::Unmap { vm, ipa, size }, 2), SPLITS);
    assert_eq!(of(action(Action::Split), 2), SPLITS);
    assert_eq!(of(action(Action::Coalesce), 1), NOTHING);
    assert_eq!(of(action(Action::Coalesce), 2), COALESCES);
    assert_eq!(of(action(Action::Soften), 1), NOTHING);
}

#[test]
fn below_level_2_sizes_change_through_invalid() {
    let table_over_block = |bbm: u8| {
        let mut observer = mapped_on(&with_bbm(bbm));
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.extend([store(L2 + 16, 0, block(BLOCK_PA)), ISHST]);
        run(&mut observer, CHANGE, &events).unwrap();
        let unmap = Operation::Unmap {
            vm: 0,
            ipa: BLOCK_IPA,
            size: PAGE,
        };
        run_as(&mut observer, CHANGE, InPlace::of(&unmap, bbm), &split())
    };
    table_over_block(2).unwrap();
    for bbm in [0, 1] {
        assert_found(table_over_block(bbm), Class::BreakBeforeMake, "G4");
    }
}
