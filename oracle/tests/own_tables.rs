//! Tables of the hypervisor's own, EL2's (section E) and Hyp mode's (section Z), as pairs
//! of traces that differ in one event.

mod trace;

use oracle::arch::Features;
use oracle::event::{Event, Tlbi};
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::{Machine, Regime};
use oracle::protocol::{InPlace, Needless};
use oracle::regime::Walker;
use oracle::stage1::{Registers, Stage1};
use oracle::verdict::{Class, Finding};
use trace::machines::with_hints;
use trace::{
    CHANGE, GUEST, ISB, ISH, ISHST, L2, L3, PAGE, POOL, ROOT, VMALLE1, VMALLS12, allocate,
    assert_found, block, map_two_own_pages, page, release, release_store, run, run_as, store,
    table, top_up, with, without, zero,
};

/// 39 bits of VA: the root is one table of level 1. RES1 bits 31 and 23.
const TCR: u64 = 1 << 31 | 1 << 23 | 2 << 16 | 0x3500 | 25;
const MAIR: u64 = 0x0044_04ff;

/// AP[2]: a page may not be written. Bit 6 is AP[1], RES1.
const READ_ONLY: u64 = 1 << 7;

const ALL: Event = Event::Tlbi {
    operation: Tlbi::Alle2is,
    operand: 0,
};

fn by_va(operand: u64) -> Event {
    Event::Tlbi {
        operation: Tlbi::Vae2is,
        operand,
    }
}

fn by_range(operand: u64) -> Event {
    Event::Tlbi {
        operation: Tlbi::Rvae2is,
        operand,
    }
}

fn observer(regime: Regime) -> Observer {
    let machine = Machine {
        regime,
        ..with_hints()
    };
    let features = oracle::stage1::Features {
        both: Features::of_contract(40),
        lva: false,
        hpds: false,
        pauth: false,
        xs: false,
        mte2: false,
    };
    let registers = Registers {
        tcr: TCR,
        ttbr0: ROOT,
        mair: MAIR,
        sctlr: 1,
    };
    let walker = Walker::El2(Stage1::new(features, registers));
    Observer::new(&machine, walker)
}

/// Two pages at VA 0.
fn mapped_in(regime: Regime) -> Observer {
    let mut observer = observer(regime);
    let create = [allocate(ROOT), zero(ROOT)];
    run(&mut observer, Work::Create { vm: 0, order: 0 }, &create).unwrap();
    observer.protocol.enter(0, 0, ROOT);
    let load = [
        Event::WriteMair(MAIR),
        Event::WriteTcr(TCR),
        Event::WriteTtbr0(ROOT),
        ISB,
    ];
    run(&mut observer, Work::Other, &load).unwrap();
    run(&mut observer, CHANGE, &map_two_own_pages()).unwrap();
    observer
}

fn change_in(regime: Regime, events: &[Event]) -> Result<(), Finding> {
    let mut all = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    all.extend(events);
    run(&mut mapped_in(regime), CHANGE, &all)
}

fn change(events: &[Event]) -> Result<(), Finding> {
    change_in(Regime::El2, events)
}

/// The second page, unmapped.
fn unmap(invalidation: Event) -> Vec<Event> {
    vec![
        store(L3 + 8, page(GUEST + PAGE), 0),
        ISHST,
        invalidation,
        ISH,
        ISB,
    ]
}

#[test]
fn registers_hold_what_was_written() {
    let observer = mapped_in(Regime::El2);
    let protocol = &observer.protocol;
    let held = (protocol.mair(0), protocol.tcr(0), protocol.ttbr0(0));
    assert_eq!(held, (MAIR, TCR, ROOT));
    assert!(!protocol.is_unsynchronized(0));
}

#[test]
fn a_page_is_invalidated_by_va_by_range_or_all() {
    let pages = by_range(1 << 46);
    for invalidation in [by_va(1), pages, ALL] {
        let events = unmap(invalidation);
        change(&events).unwrap();
        for missing in [1, 3] {
            assert_found(change(&without(&events, missing)), Class::Barrier, "G3");
        }
        assert_found(change(&without(&events, 2)), Class::StaleTlb, "G3");
        assert_found(change(&without(&events, 4)), Class::Barrier, "E6");
    }
}

#[test]
fn an_isb_comes_last() {
    let mut events = unmap(by_va(1));
    events.swap(3, 4);
    assert_found(change(&events), Class::Barrier, "E6");
}

#[test]
fn another_address_or_a_wrong_hint_covers_nothing() {
    let level = |ttl: u64| by_va(ttl << 44 | 1);
    change(&unmap(level(0b0111))).unwrap();
    for wrong in [by_va(0), by_va(PAGE), level(0b0110), by_va(1 << 48 | 1)] {
        assert_found(change(&unmap(wrong)), Class::StaleTlb, "G3");
    }
}

#[test]
fn what_is_for_guests_concerns_no_page_of_el2() {
    let guests = |operation| {
        let operand = 1;
        unmap(Event::Tlbi { operation, operand })
    };
    for operation in [Tlbi::Ipas2e1is, Tlbi::Ripas2e1is] {
        assert_found(change(&guests(operation)), Class::StaleTlb, "G3");
    }
    for whole in [VMALLE1, VMALLS12] {
        assert_found(change(&unmap(whole)), Class::StaleTlb, "G3");
    }
}

#[test]
fn an_entry_changes_to_invalid_alone() {
    let writable = page(GUEST + PAGE) & !READ_ONLY;
    let may = InPlace {
        flags: true,
        splits: true,
        coalesces: true,
        contiguous: true,
    };
    for new in [writable, page(GUEST + PAGE) ^ 1 << 10, page(GUEST)] {
        let events = with(&unmap(by_va(1)), 0, store(L3 + 8, page(GUEST + PAGE), new));
        let result = run_as(&mut mapped_in(Regime::El2), Work::Other, may, &events);
        assert_found(result, Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn a_new_value_waits_for_the_invalidation() {
    let mut events = unmap(by_va(1));
    events.extend([store(L3 + 8, 0, page(GUEST + 2 * PAGE)), ISHST, ISB]);
    change(&events).unwrap();
    for missing in [1, 2, 3] {
        let early = change(&without(&events, missing));
        assert_found(early, Class::BreakBeforeMake, "G4");
    }
}

#[test]
fn a_table_goes_back_after_its_invalidation() {
    let mut events = vec![
        store(L3, page(GUEST), 0),
        store(L3 + 8, page(GUEST + PAGE), 0),
        store(L2, table(L3), 0),
        ISHST,
        by_va(0),
        by_va(1),
        ISH,
        ISB,
        release(L3),
    ];
    change(&events).unwrap();
    events.swap(6, 8);
    assert_found(change(&events), Class::UseAfterFree, "G6");
}

#[test]
fn tables_are_linked_as_a_guests_are() {
    let events = [
        zero(trace::SPARE),
        release_store(L2 + 8, 0, table(trace::SPARE)),
        ISHST,
        ISB,
    ];
    change(&events).unwrap();
    let plain = with(&events, 1, store(L2 + 8, 0, table(trace::SPARE)));
    assert_found(change(&plain), Class::Barrier, "G5");
    let block = [store(L2 + 8, 0, block(0x8000_0000)), ISHST, ISB];
    change(&block).unwrap();
    assert_found(change(&block[..1]), Class::Barrier, "G7");
}

#[test]
fn an_isb_follows_what_is_published() {
    for regime in [Regime::El2, Regime::Aarch32Hyp] {
        for barrier in [ISHST, ISH] {
            let good = [store(L2 + 8, 0, block(0x8000_0000)), barrier, ISB];
            change_in(regime, &good).unwrap();
            let bad = change_in(regime, &good[..2]);
            assert_found(bad, Class::Barrier, "E6");
            let early = [good[0], ISB, barrier];
            assert_found(change_in(regime, &early), Class::Barrier, "E6");
        }
    }
    let needless = mapped_in(Regime::El2).protocol.needless();
    assert_eq!(needless, Needless::default());
}

/// Free of the tables.
fn free(whole: Event, leave: &[Event]) -> Result<(), Finding> {
    let mut events = vec![store(ROOT, table(L2), 0), ISHST, whole, ISH, ISB];
    events.extend(leave);
    events.extend([release(L3), release(L2), release(ROOT)]);
    let work = Work::Free { vm: 0 };
    run(&mut mapped_in(Regime::El2), work, &events)
}

#[test]
fn the_root_goes_back_after_all_of_it() {
    let leave = [Event::WriteTtbr0(0), ISB];
    free(ALL, &leave).unwrap();
    assert_found(free(ALL, &[]), Class::UseAfterFree, "F2");
    assert_found(free(VMALLS12, &leave), Class::UseAfterFree, "G6");
    let empty = |whole: &[Event]| {
        let mut observer = observer(Regime::El2);
        let create = [allocate(ROOT), zero(ROOT)];
        run(&mut observer, Work::Create { vm: 0, order: 0 }, &create).unwrap();
        observer.protocol.enter(0, 0, ROOT);
        let events = [whole, &[ISH, ISB, release(ROOT)]].concat();
        run(&mut observer, Work::Free { vm: 0 }, &events)?;
        assert_eq!(observer.protocol.needless().invalidations, 0);
        Ok(())
    };
    empty(&[ALL]).unwrap();
    assert_found(empty(&[]), Class::StaleTlb, "F2");
}

#[test]
fn what_nothing_needs_is_counted() {
    let mut observer = mapped_in(Regime::El2);
    let mut events = unmap(by_va(1));
    events.splice(3..3, [by_va(1), ALL]);
    run(&mut observer, Work::Other, &events).unwrap();
    let needless = Needless {
        invalidations: 2,
        barriers: 0,
    };
    assert_eq!(observer.protocol.needless(), needless);
}

#[test]
fn hyp_mode_names_an_address() {
    let unmap_in_hyp = |invalidation| change_in(Regime::Aarch32Hyp, &unmap(invalidation));
    unmap_in_hyp(by_va(PAGE)).unwrap();
    unmap_in_hyp(ALL).unwrap();
    assert_found(unmap_in_hyp(by_va(1)), Class::StaleTlb, "G3");
}
