//! Which changes of a live descriptor the architecture allows in place, as pairs of
//! traces that differ in one event, and what a contract that always breaks makes of
//! the same changes.

mod trace;

use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::Machine;
use oracle::protocol::Discipline;
use oracle::verdict::{Class, Finding};
use trace::*;

const CONTIGUOUS: u64 = 1 << 52;
const NT: u64 = 1 << 16;
const SOFTWARE: u64 = 1 << 55;
const READ_ONLY: u64 = 1 << 7;
const ACCESS_FLAG: u64 = 1 << 10;
const MEM_ATTR: u64 = 0b1111 << 2;
const SH: u64 = 0b11 << 8;

/// [`mapped`] on a machine with this FEAT_BBM level, by the architecture alone.
fn mapped_on(bbm: u8) -> Observer {
    let machine = Machine { bbm, ..machine() };
    let mut observer = bench_on(&machine);
    observer.protocol.judge_by(Discipline::Architecture);
    run(&mut observer, CHANGE, &map_two_pages()).unwrap();
    observer
}

/// An operation after the one that makes the first page's descriptor `old`.
fn change_from(bbm: u8, old: u64, events: &[Event]) -> Result<(), Finding> {
    let mut observer = mapped_on(bbm);
    let mut prepare = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    prepare.extend([store(L3, page(GUEST), 0)]);
    prepare.extend(invalidate(0));
    prepare.extend([store(L3, 0, old), ISHST]);
    run(&mut observer, CHANGE, &prepare).unwrap();
    run(&mut observer, CHANGE, events)
}

/// The first page changed in place, and invalidated.
fn in_place(bbm: u8, old: u64, new: u64) -> Result<(), Finding> {
    let mut events = vec![store(L3, old, new)];
    events.extend(invalidate(0));
    change_from(bbm, old, &events)
}

fn assert_breaks(result: Result<(), Finding>, why: &str) {
    let finding = assert_found(result, Class::BreakBeforeMake, "R_WHZWS");
    assert!(finding.what.contains(why), "{finding}");
    assert_eq!(finding.source(), "DDI 0487 K.a");
}

#[test]
fn permissions_may_change_in_place_once_invalidated() {
    let (old, new) = (page(GUEST), page(GUEST) & !READ_ONLY);
    in_place(0, old, new).unwrap();
    let events = [store(L3, old, new), ISHST];
    assert_found(change_from(0, old, &events), Class::StaleTlb, "G3");
}

#[test]
fn a_contract_that_always_breaks_allows_no_change_in_place() {
    let new = page(GUEST) & !READ_ONLY;
    let mut events = vec![store(L3, page(GUEST), new)];
    events.extend(invalidate(0));
    assert_found(change(&events), Class::BreakBeforeMake, "G4");
}

#[test]
fn a_reset_keeps_the_discipline() {
    let mut observer = mapped_on(0);
    observer.reset(&machine(), stage2());
    create(&mut observer, 0, ROOT);
    observer.protocol.enter(0, 1, VTTBR);
    run(&mut observer, CHANGE, &map_two_pages()).unwrap();
    let mut events = vec![Event::WriteVttbr(VTTBR), ISB];
    events.push(store(L3, page(GUEST), page(GUEST) & !READ_ONLY));
    events.extend(invalidate(0));
    run(&mut observer, Work::Other, &events).unwrap();
}

#[test]
fn software_bits_need_no_invalidation() {
    let old = page(GUEST);
    let set = [store(L3, old, old | SOFTWARE), ISHST];
    change_from(0, old, &set).unwrap();
    let with_permission = with(&set, 0, store(L3, old, (old | SOFTWARE) & !READ_ONLY));
    assert_found(change_from(0, old, &with_permission), Class::StaleTlb, "G3");
}

#[test]
fn an_access_flag_that_is_set_needs_no_invalidation() {
    let (young, old) = (page(GUEST), page(GUEST) & !ACCESS_FLAG);
    change_from(0, old, &[store(L3, old, young), ISHST]).unwrap();
    let cleared = change_from(0, young, &[store(L3, young, old), ISHST]);
    assert_found(cleared, Class::StaleTlb, "G3");
    in_place(0, young, old).unwrap();
}

#[test]
fn an_output_address_is_broken_whatever_the_access_flag() {
    for flag in [0, ACCESS_FLAG] {
        let old = page(GUEST) & !ACCESS_FLAG | flag;
        let new = page(GUEST + 2 * PAGE);
        assert_breaks(in_place(2, old, new), "output address");
        assert_breaks(in_place(2, old, new & !ACCESS_FLAG), "output address");
    }
}

#[test]
fn a_memory_type_is_broken() {
    let device = page(GUEST) & !MEM_ATTR | 1 << 2;
    assert_breaks(in_place(2, page(GUEST), device), "memory type");
    let write_through = page(GUEST) & !MEM_ATTR | 0b1010 << 2;
    assert_breaks(in_place(2, page(GUEST), write_through), "cacheability");
}

#[test]
fn a_shareability_is_broken_where_it_counts() {
    let new = page(GUEST) & !SH | 0b10 << 8;
    assert_breaks(in_place(2, page(GUEST), new), "shareability");
    for mem_attr in [0b0001, 0b0101] {
        let of = |descriptor: u64| descriptor & !MEM_ATTR | mem_attr << 2;
        in_place(2, of(page(GUEST)), of(new)).unwrap();
    }
}

#[test]
fn a_contiguous_bit_is_broken_below_level_2() {
    let (old, new) = (page(GUEST), page(GUEST) | CONTIGUOUS);
    for bbm in [0, 1] {
        assert_breaks(in_place(bbm, old, new), "Contiguous");
    }
    in_place(2, old, new).unwrap();
}

/// A block with these bits over the table of level 3, which holds two pages of it.
fn coalesce(bbm: u8, bits: u64, pa: u64) -> Result<(), Finding> {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(L2, table(L3), block(pa) | bits), ISHST]);
    events.extend([ipas2(0), ipas2(PAGE), ISH, VMALLE1, ISH, release(L3)]);
    run(&mut mapped_on(bbm), CHANGE, &events)
}

#[test]
fn a_block_over_a_table_is_broken_below_level_2() {
    for bbm in [0, 1] {
        assert_breaks(coalesce(bbm, 0, GUEST), "size");
    }
    coalesce(2, 0, GUEST).unwrap();
}

#[test]
fn level_1_takes_a_block_with_nt() {
    coalesce(1, NT, GUEST).unwrap();
    assert_breaks(coalesce(0, NT, GUEST), "size");
}

#[test]
fn a_block_of_another_size_keeps_its_output_address() {
    assert_breaks(coalesce(2, 0, GUEST + (2 << 20)), "output address");
}

/// A block of 2M at IPA 4M, and a table of its pages but for the last one over it.
fn split(bbm: u8, last: u64) -> Result<(), Finding> {
    let mut observer = mapped_on(bbm);
    let pa = 0x6000_0000;
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(L2 + 16, 0, block(pa)), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    let leaf = |index: u64| if index == 511 { last } else { index };
    let mut events = vec![zero(SPARE)];
    events.extend((0..512).map(|index| store(SPARE + 8 * index, 0, page(pa + leaf(index) * PAGE))));
    events.extend([release_store(L2 + 16, block(pa), table(SPARE)), ISHST]);
    events.extend([ipas2(4 << 20), ISH, VMALLE1, ISH]);
    run(&mut observer, CHANGE, &events)
}

#[test]
fn a_table_over_a_block_maps_what_the_block_mapped() {
    split(2, 511).unwrap();
    assert_breaks(split(2, 512), "output address");
    assert_breaks(split(1, 511), "size");
}

#[test]
fn a_value_that_is_still_held_counts_though_another_came_between() {
    let (old, other) = (page(GUEST), page(GUEST + 2 * PAGE));
    let between = old | CONTIGUOUS;
    let mut events = vec![store(L3, old, between), store(L3, between, 0)];
    events.extend(invalidate(0));
    events.extend([store(L3, 0, other), ISHST]);
    change_from(2, old, &events).unwrap();
    assert_breaks(change_from(2, old, &without(&events, 4)), "output address");
}

#[test]
fn a_table_descriptor_that_leads_to_the_same_table_is_the_same_table() {
    let ignored = 1 << 55;
    let same = [store(L2, table(L3), table(L3) | ignored), ISHST];
    run(&mut mapped_on(0), Work::Other, &same).unwrap();
    let other = [
        zero(SPARE),
        release_store(L2, table(L3), table(SPARE)),
        ISHST,
    ];
    let mut observer = mapped_on(2);
    let result = run(&mut observer, Work::Other, &other);
    assert_breaks(result, "another table");
}
