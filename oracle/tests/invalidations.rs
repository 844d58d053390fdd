//! Invalidations by range and with hints, as pairs of traces that differ in one event.

mod trace;

use oracle::event::{Event, Tlbi};
use oracle::operation::{Machine, Regime};
use oracle::protocol::Needless;
use oracle::verdict::{Class, Finding};
use trace::machines::{NOTHING, change_on, mapped_on, range, raw_range, with_hints};
use trace::*;

const GRANULE_4K: u64 = 1 << 46;

fn change(events: &[Event]) -> Result<(), Finding> {
    change_on(&with_hints(), NOTHING, events)
}

/// Both pages unmapped, and this invalidation.
fn unmap_pages(by_range: Event) -> Vec<Event> {
    vec![
        store(L3, page(GUEST), 0),
        store(L3 + 8, page(GUEST + PAGE), 0),
        ISHST,
        by_range,
        ISH,
        VMALLE1,
        ISH,
    ]
}

#[test]
fn a_range_covers_its_pages() {
    change(&unmap_pages(range(0, 0))).unwrap();
    // It starts a page too late.
    let finding = assert_found(change(&unmap_pages(range(PAGE, 0))), Class::StaleTlb, "G3");
    assert_eq!(finding.ipa, Some(0), "{finding}");
}

#[test]
fn a_range_ends() {
    let unmap = |by_range: Event| {
        let third = store(L3 + 8 * 3, 0, page(GUEST));
        let mut observer = mapped_on(&with_hints());
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.extend([third, ISHST]);
        run(&mut observer, CHANGE, &events).unwrap();
        let mut events = unmap_pages(by_range);
        events[0] = store(L3 + 8 * 3, page(GUEST), 0);
        run(&mut observer, CHANGE, &events)
    };
    // Pages 1 and 3 go: four pages from 0 are both, and no two are.
    unmap(range(0, 1)).unwrap();
    for first in 0..4 {
        assert_found(unmap(range(first * PAGE, 0)), Class::StaleTlb, "G3");
    }
}

#[test]
fn a_scale_widens_a_range() {
    // 64 pages from 0.
    change(&unmap_pages(raw_range(GRANULE_4K | 1 << 44))).unwrap();
}

#[test]
fn a_range_is_completed_like_an_address() {
    let events = unmap_pages(range(0, 0));
    for missing in [2, 4, 6] {
        assert_found(change(&without(&events, missing)), Class::Barrier, "G3");
    }
    for missing in [3, 5] {
        assert_found(change(&without(&events, missing)), Class::StaleTlb, "G3");
    }
}

#[test]
fn a_range_for_another_granule_covers_nothing() {
    for granule in [0, 2, 3] {
        let finding = assert_found(
            change(&unmap_pages(raw_range(granule << 46))),
            Class::StaleTlb,
            "G3",
        );
        assert_eq!(finding.ipa, Some(0), "{finding}");
    }
}

#[test]
fn a_range_may_be_hinted() {
    let hinted = |level: u64| change(&unmap_pages(raw_range(GRANULE_4K | level << 37)));
    hinted(3).unwrap();
    let finding = assert_found(hinted(2), Class::StaleTlb, "G3");
    assert!(finding.what.contains("level 2"), "{finding}");
}

#[test]
fn a_range_covers_a_block_and_tables_that_it_touches() {
    let remove = |by_range: Event| {
        let mut events = unmap_pages(by_range);
        events.insert(2, store(L2, table(L3), 0));
        events.push(release(L3));
        change(&events)
    };
    remove(range(0, 0)).unwrap();
    let hinted = remove(raw_range(GRANULE_4K | 3 << 37));
    assert_found(hinted, Class::UseAfterFree, "G6");
}

#[test]
fn a_range_is_for_the_vmid_in_vttbr() {
    let mut events = vec![Event::WriteVttbr(OTHER_VTTBR), ISB];
    events.extend(unmap_pages(range(0, 0)));
    let finding = assert_found(change(&events), Class::StaleTlb, "G3");
    assert!(finding.what.contains("VMID 2"), "{finding}");
}

#[test]
fn a_machine_without_ranges_has_none() {
    let without = Machine {
        tlb_range: false,
        ..with_hints()
    };
    let result = change_on(&without, NOTHING, &unmap_pages(range(0, 0)));
    let finding = assert_found(result, Class::StaleTlb, "G3");
    assert!(finding.what.contains("UNDEFINED"), "{finding}");
}

#[test]
fn a_machine_without_hints_takes_none() {
    let hinted = |machine: &Machine| {
        let mut events = vec![store(L3, page(GUEST), 0)];
        events.extend(invalidate(0));
        events[2] = raw_ipas2(0b0111 << 44);
        change_on(machine, NOTHING, &events)
    };
    hinted(&with_hints()).unwrap();
    assert_found(hinted(&machine()), Class::StaleTlb, "G3");
}

#[test]
fn an_aarch32_hypervisor_invalidates_its_guests_by_ipa() {
    let aarch32 = Machine {
        regime: Regime::Aarch32,
        ..machine()
    };
    let unmap = |invalidation: Event| {
        let mut events = vec![store(L3 + 8, page(GUEST + PAGE), 0)];
        events.extend(invalidate(PAGE));
        change_on(&aarch32, NOTHING, &with(&events, 2, invalidation))
    };
    unmap(ipas2(PAGE)).unwrap();
    assert_found(unmap(raw_ipas2(PAGE)), Class::StaleTlb, "G3");
}

#[test]
fn what_is_for_el2_concerns_no_guest() {
    for operation in [Tlbi::Vae2is, Tlbi::Rvae2is, Tlbi::Alle2is] {
        let of_el2 = Event::Tlbi {
            operation,
            operand: GRANULE_4K,
        };
        assert_found(change(&unmap_pages(of_el2)), Class::StaleTlb, "G3");
    }
}

#[test]
fn a_range_over_nothing_is_needless() {
    let needless = |by_range: Event| {
        let mut observer = mapped_on(&with_hints());
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.extend(unmap_pages(range(0, 0)));
        events.insert(6, by_range);
        run(&mut observer, CHANGE, &events).unwrap();
        observer.protocol.needless()
    };
    let one = Needless {
        invalidations: 1,
        barriers: 0,
    };
    assert_eq!(needless(range(0, 0)), one);
    assert_eq!(needless(range(8 << 20, 31)), one);
}
