//! Contiguous groups (section O), as pairs of traces that differ in one event.

mod trace;

use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::Machine;
use oracle::protocol::{Discipline, InPlace};
use oracle::verdict::{Class, Finding};
use trace::machines::{FLAGS, NOTHING, mapped_on, with_groups, with_hints};
use trace::*;

const CONTIGUOUS: u64 = 1 << 52;
const WRITE: u64 = 1 << 7;

/// IPA and PA of a group of 16 pages, and the index of its first entry.
const IPA: u64 = 32 * PAGE;
const PA: u64 = 0x6000_0000;
const FIRST: u64 = 32;

fn at(index: u64) -> u64 {
    L3 + 8 * (FIRST + index)
}

/// A member, with the bit.
fn member(index: u64) -> u64 {
    page(PA + index * PAGE) | CONTIGUOUS
}

/// A group as `leaf` has its members.
fn make(leaf: impl Fn(u64) -> u64) -> Vec<Event> {
    let stores = (0..16).filter(|&index| leaf(index) != 0);
    let mut events: Vec<_> = stores
        .map(|index| store(at(index), 0, leaf(index)))
        .collect();
    events.push(ISHST);
    events
}

/// A machine with ranges that uses the hint.
fn grouped() -> Machine {
    Machine {
        contiguous: true,
        ..with_hints()
    }
}

/// [`mapped`], with a full cache, and a group.
fn with_group() -> Observer {
    let mut observer = mapped_on(&grouped());
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(make(member));
    run(&mut observer, CHANGE, &events).unwrap();
    observer
}

fn after_group(in_place: InPlace, events: &[Event]) -> Result<(), Finding> {
    run_as(&mut with_group(), CHANGE, in_place, events)
}

fn made(leaf: impl Fn(u64) -> u64) -> Result<(), Finding> {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(make(leaf));
    run(&mut mapped_on(&grouped()), CHANGE, &events)
}

#[test]
fn a_group_is_made_of_members_alike() {
    made(member).unwrap();
    made(|index| member(index) & !CONTIGUOUS).unwrap();
    let odd = |seventh: u64| made(move |index| if index == 7 { seventh } else { member(index) });
    odd(member(7)).unwrap();
    odd(member(7) | 1 << 55).unwrap();
    for wrong in [0, member(8), member(7) & !WRITE, member(7) & !CONTIGUOUS] {
        let finding = assert_found(odd(wrong), Class::WrongAttributes, "O1");
        assert_eq!(finding.ipa, Some(IPA), "{finding}");
    }
}

#[test]
fn a_group_is_aligned_in_physical_memory() {
    let shifted = made(|index| member(index + 1));
    assert_found(shifted, Class::WrongAttributes, "O1");
}

#[test]
fn a_group_in_a_new_table_is_made_alike() {
    let link = |last: u64| {
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.push(zero(SPARE));
        events.extend((0..16).map(|index| {
            let leaf = if index == 15 { last } else { member(index) };
            store(SPARE + 8 * index, 0, leaf)
        }));
        events.extend([release_store(L2 + 8, 0, table(SPARE)), ISHST]);
        run(&mut mapped_on(&grouped()), CHANGE, &events)
    };
    link(member(15)).unwrap();
    assert_found(link(0), Class::WrongAttributes, "O1");
}

#[test]
fn a_group_lies_within_the_input_addresses() {
    // 16 blocks of 1G, of which the root of 32 bits of IPA has four.
    let machine = Machine {
        ipa_bits: 32,
        ..grouped()
    };
    let stage2 = |t0sz: u64| {
        let registers = oracle::walk::Registers {
            vtcr: VTCR & !0x3f | t0sz,
            vttbr: 0,
            hcr: 1 << 31 | 1,
        };
        oracle::walk::Stage2::new(machine.features, registers)
    };
    let blocks = |t0sz: u64, hint: u64| {
        let mut observer = Observer::new(&machine, stage2(t0sz));
        create(&mut observer, 0, ROOT);
        observer.protocol.enter(0, 1, VTTBR);
        let mut events = top_up(&[L2, L3, SPARE, SPARE_2]);
        events.extend((0..16).map(|index| {
            let pa = (16 + index) << 30;
            store(ROOT + 8 * index, 0, block(pa) | hint)
        }));
        events.push(ISHST);
        run(&mut observer, CHANGE, &events)
    };
    blocks(24, CONTIGUOUS).unwrap();
    blocks(32, 0).unwrap();
    assert_found(blocks(32, CONTIGUOUS), Class::WrongAttributes, "O1");
}

/// All of the group, broken.
fn break_group() -> Vec<Event> {
    (0..16)
        .map(|index| store(at(index), member(index), 0))
        .collect()
}

/// Each page by itself.
fn by_page() -> Vec<Event> {
    let mut events = vec![ISHST];
    events.extend((0..16).map(|index| ipas2(IPA + index * PAGE)));
    events.extend([ISH, VMALLE1, ISH]);
    events
}

fn by_range() -> Vec<Event> {
    vec![ISHST, machines::range(IPA, 7), ISH, VMALLE1, ISH]
}

/// What stays, without the hint.
fn make_again() -> Vec<Event> {
    let leaf = |index: u64| member(index) & !CONTIGUOUS;
    let mut events: Vec<_> = (1..16)
        .map(|index| store(at(index), 0, leaf(index)))
        .collect();
    events.push(ISHST);
    events
}

#[test]
fn one_page_of_a_group_goes_by_way_of_all() {
    for invalidated in [by_page(), by_range(), vec![ISHST, VMALLS12, ISH]] {
        after_group(
            NOTHING,
            &[break_group(), invalidated, make_again()].concat(),
        )
        .unwrap();
    }
    let mut alone = vec![store(at(0), member(0), 0)];
    alone.extend(invalidate(IPA));
    let finding = assert_found(after_group(NOTHING, &alone), Class::BreakBeforeMake, "O2");
    assert_eq!(finding.ipa, Some(IPA), "{finding}");
}

#[test]
fn each_page_of_a_group_is_invalidated() {
    let events = [break_group(), without(&by_page(), 8)].concat();
    let finding = assert_found(after_group(NOTHING, &events), Class::StaleTlb, "G3");
    assert_eq!(finding.ipa, Some(IPA + 7 * PAGE), "{finding}");
}

#[test]
fn no_page_of_a_group_is_made_again_before_all_are_invalidated() {
    let events = [break_group(), without(&by_page(), 8), make_again()].concat();
    // The first of them waits for the eighth.
    assert_found(after_group(NOTHING, &events), Class::BreakBeforeMake, "O2");
}

#[test]
fn what_is_invalidated_while_a_member_is_left_comes_back() {
    let first = vec![store(at(0), member(0), 0)];
    let rest = break_group()[1..].to_vec();
    let early = [first.clone(), invalidate(IPA), rest.clone()].concat();
    after_group(NOTHING, &[early.clone(), by_page()].concat()).unwrap();
    // All pages but the first, which was invalidated before.
    let result = after_group(NOTHING, &[early, without(&by_page(), 1)].concat());
    let finding = assert_found(result, Class::StaleTlb, "G3");
    assert_eq!(finding.ipa, Some(IPA), "{finding}");
    let whole = [first, vec![ISHST, VMALLS12, ISH], rest].concat();
    let result = after_group(NOTHING, &[whole, without(&by_page(), 1)].concat());
    assert_found(result, Class::StaleTlb, "G3");
}

#[test]
fn a_group_that_the_operation_made_is_broken_as_a_whole_too() {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(make(member));
    events.push(store(at(0), member(0), 0));
    events.extend(invalidate(IPA));
    let result = run(&mut mapped_on(&grouped()), CHANGE, &events);
    assert_found(result, Class::BreakBeforeMake, "O2");
}

#[test]
fn the_hint_goes_through_invalid() {
    let plain = |index: u64| member(index) & !CONTIGUOUS;
    let mut events: Vec<_> = (0..16)
        .map(|index| store(at(index), member(index), plain(index)))
        .collect();
    events.extend(by_page());
    assert_found(after_group(FLAGS, &events), Class::BreakBeforeMake, "G4");
    let level_2 = InPlace {
        contiguous: true,
        ..NOTHING
    };
    after_group(level_2, &events).unwrap();
    // The last one keeps it.
    let result = after_group(level_2, &without(&events, 15));
    assert_found(result, Class::BreakBeforeMake, "O2");
}

#[test]
fn members_may_change_in_place_alike() {
    let read_only = |index: u64| member(index) & !WRITE;
    let mut events: Vec<_> = (0..16)
        .map(|index| store(at(index), member(index), read_only(index)))
        .collect();
    events.extend(by_page());
    after_group(FLAGS, &events).unwrap();
    let all_but_one = without(&events, 15);
    assert_found(
        after_group(FLAGS, &all_but_one),
        Class::BreakBeforeMake,
        "O2",
    );
    // An invalidation that comes too early is for nothing.
    let mut early = events.clone();
    early.splice(15..15, by_page());
    after_group(FLAGS, &early).unwrap();
    early.truncate(early.len() - by_page().len());
    assert_found(after_group(FLAGS, &early), Class::StaleTlb, "G3");
}

#[test]
fn a_group_may_go_with_its_table() {
    let mut events = vec![store(L2, table(L3), 0), ISHST, VMALLS12, ISH];
    events.push(release(L3));
    after_group(NOTHING, &events).unwrap();
}

#[test]
fn without_the_hint_in_use_groups_are_not_looked_at() {
    // R4 is who has a say then.
    let mut observer = mapped();
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(at(0), 0, member(0)), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
}

#[test]
fn the_architecture_leaves_groups_to_the_walker() {
    let mut observer = mapped_on(&with_groups());
    observer.protocol.judge_by(Discipline::Architecture);
    let events = [store(at(0), 0, member(0)), ISHST];
    run(&mut observer, Work::Other, &events).unwrap();
}
