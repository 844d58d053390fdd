//! Ranges, by small examples. `random` holds them against the walker.

use oracle::ranges::BudgetExceeded;
use oracle::stage1::{FaultKind, Meaning, Range, Why, ranges, ranges_within};

use crate::support::*;

fn all(setup: &Setup) -> Vec<Range> {
    ranges(&setup.stage1(), &setup.ram).expect("the tables are small")
}

/// What `LEAF` and `PAGE` mean at this physical address.
fn mapped(pa: u64) -> Meaning {
    Meaning::Mapped {
        pa,
        write: true,
        execute: true,
        guarded: false,
        attributes: 0xff,
        shareability: 3,
    }
}

fn range(va: u64, bytes: u64, meaning: Meaning) -> Range {
    Range { va, bytes, meaning }
}

#[test]
fn nothing_mapped_is_no_range() {
    assert_eq!(all(&Setup::k4()), []);
}

#[test]
fn pages_merge_while_physical_address_and_meaning_continue() {
    let mut setup = Setup::page(0x9000 | PAGE);
    setup.set(L3, 0x8000 | PAGE);
    setup.set(L3 + 16, 0xa000 | PAGE | GP);
    setup.set(L3 + 24, 0xb000 | PAGE | GP);
    let guarded = Meaning::Mapped {
        pa: 0xa000,
        write: true,
        execute: true,
        guarded: true,
        attributes: 0xff,
        shareability: 3,
    };
    let expected = [
        range(0, 0x2000, mapped(0x8000)),
        range(0x2000, 0x2000, guarded),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn the_restrictions_of_a_table_part_ranges() {
    let mut setup = Setup::k4();
    let mib2 = 1 << 21;
    setup.set(ROOT, 0x5000_0000 | TABLE);
    setup.set(ROOT + 8, 0x5000_1000 | TABLE | XN_TABLE);
    setup.set(0x5000_0000 + 511 * 8, LEAF);
    setup.set(0x5000_1000, mib2 | LEAF);
    let first = (1 << 30) - mib2;
    let restricted = Meaning::Mapped {
        pa: mib2,
        write: true,
        execute: false,
        guarded: false,
        attributes: 0xff,
        shareability: 3,
    };
    let expected = [
        range(first, mib2, mapped(0)),
        range(1 << 30, mib2, restricted),
    ];
    assert_eq!(all(&setup), expected);
    setup.registers.tcr |= HPD;
    assert_eq!(all(&setup), [range(first, 2 * mib2, mapped(0))]);
}

#[test]
fn leaves_that_cannot_be_used_are_meanings_of_their_own() {
    let fault = |kind| Meaning::Fault { kind, level: 3 };
    let mut setup = Setup::page(PAGE & !AF);
    for (index, descriptor) in (2..).zip([1 << 40 | PAGE, PAGE | RESERVED, PAGE]) {
        setup.set(L3 + 8 * index, descriptor);
    }
    setup.registers.tcr = tcr(TG0_4K, 39, PS_36);
    setup.ram.hole = Some(L3 + 32);
    let expected = [
        range(0x1000, 0x1000, fault(FaultKind::AccessFlag)),
        range(0x2000, 0x1000, fault(FaultKind::AddressSize)),
        range(0x3000, 0x1000, Meaning::Unpredictable(Why::MemAttr)),
        range(0x4000, 0x1000, fault(FaultKind::ExternalAbort)),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn a_page_beyond_the_output_size_says_nothing_of_the_next_one() {
    let mut setup = Setup::page(1 << 36 | PAGE);
    setup.set(L3 + 16, 0x2000 | PAGE);
    setup.registers.tcr = tcr(TG0_4K, 39, PS_36);
    let beyond = Meaning::Fault {
        kind: FaultKind::AddressSize,
        level: 3,
    };
    let expected = [
        range(0x1000, 0x1000, beyond),
        range(0x2000, 0x1000, mapped(0x2000)),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn the_configuration_may_decide_for_the_whole_space() {
    let device = Meaning::Mapped {
        pa: 0,
        write: true,
        execute: true,
        guarded: false,
        attributes: 0x00,
        shareability: 2,
    };
    let off = Setup::k4().with(|setup| setup.registers.sctlr = 0);
    assert_eq!(all(&off), [range(0, 1 << 48, device)]);
    let invalid = Setup::new(WIDE, tcr(TG0_4K, 52, PS_48));
    assert_eq!(all(&invalid), []);
    let open = Setup::new(FEATURES, tcr(TG0_4K, 39, 7));
    let meaning = Meaning::Unpredictable(Why::OutputSize);
    assert_eq!(all(&open), [range(0, 1 << 39, meaning)]);
    let reserved = Setup::new(FEATURES, tcr(3 << 14, 39, PS_48));
    let meaning = Meaning::Unpredictable(Why::Granule);
    assert_eq!(all(&reserved), [range(0, 1 << 39, meaning)]);
    let oversize =
        Setup::new(FEATURES, tcr(TG0_4K, 39, PS_32)).with(|setup| setup.registers.ttbr0 = 1 << 32);
    let meaning = Meaning::Fault {
        kind: FaultKind::AddressSize,
        level: 0,
    };
    assert_eq!(all(&oversize), [range(0, 1 << 39, meaning)]);
}

#[test]
fn the_budget_counts_descriptors() {
    let setup = Setup::page(PAGE);
    let within = |budget| ranges_within(&setup.stage1(), &setup.ram, budget);
    assert_eq!(within(3 * 512), Ok(all(&setup)));
    let budget = 3 * 512 - 1;
    assert_eq!(within(budget), Err(BudgetExceeded { budget }));
}
