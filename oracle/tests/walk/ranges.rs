//! Ranges, by small examples. `random` holds them against the walker.

use oracle::ranges::{BudgetExceeded, Meaning, Range, ranges, ranges_within};
use oracle::walk::{FaultKind, Why};

use crate::support::*;

fn all(setup: &Setup) -> Vec<Range> {
    ranges(&setup.stage2(), &setup.ram).expect("the tables are small")
}

/// What `LEAF` and `PAGE` mean at this physical address.
fn mapped(pa: u64) -> Meaning {
    Meaning::Mapped {
        pa,
        read: true,
        write: true,
        execute_el1: true,
        execute_el0: true,
        attributes: 0x00,
        shareability: 2,
    }
}

fn range(ipa: u64, bytes: u64, meaning: Meaning) -> Range {
    Range {
        ipa,
        bytes,
        meaning,
    }
}

/// `Setup::page` with a number of descriptors from IPA 0 on.
fn pages(descriptors: &[u64]) -> Setup {
    let mut setup = Setup::page(0);
    for (at, &descriptor) in (0x5000_1000..).step_by(8).zip(descriptors) {
        setup.set(at, descriptor);
    }
    setup
}

#[test]
fn nothing_mapped_is_no_range() {
    assert_eq!(all(&Setup::k4()), []);
}

#[test]
fn pages_merge_while_physical_address_and_attributes_continue() {
    let setup = pages(&[
        0x8000 | PAGE,
        0x9000 | PAGE,
        0xa000 | PAGE | XN,
        0x3000 | PAGE,
        0,
        0x4000 | PAGE,
    ]);
    let found = all(&setup);
    assert_eq!(found[0], range(0, 0x2000, mapped(0x8000)));
    assert_eq!((found[1].ipa, found[1].bytes), (0x2000, 0x1000));
    assert_eq!(found[2], range(0x3000, 0x1000, mapped(0x3000)));
    assert_eq!(found[3], range(0x5000, 0x1000, mapped(0x4000)));
    assert_eq!(found.len(), 4);
}

#[test]
fn bits_that_mean_nothing_do_not_part_ranges() {
    let software = 0b1111 << 55;
    let setup = pages(&[0x8000 | PAGE, 0x9000 | PAGE | software]);
    assert_eq!(all(&setup), [range(0, 0x2000, mapped(0x8000))]);
}

#[test]
fn ranges_merge_across_tables_levels_and_concatenated_roots() {
    let mut setup = Setup::new(FEATURES, vtcr(TG0_4K, 40, 1, PS_48));
    let gib = 1 << 30;
    setup.set(ROOT + 511 * 8, gib | LEAF);
    setup.set(ROOT + 512 * 8, 0x5000_0000 | TABLE);
    setup.set(0x5000_0000, (2 * gib) | LEAF);
    let expected = range(511 * gib, gib + (1 << 21), mapped(gib));
    assert_eq!(all(&setup), [expected]);
}

#[test]
fn leaves_that_cannot_be_used_are_meanings_of_their_own() {
    let fault = |kind| Meaning::Fault { kind, level: 3 };
    let mut setup = pages(&[
        PAGE & !AF,
        0x1000 | PAGE & !AF,
        1 << 40 | PAGE,
        PAGE & !MEM_ATTR | 0b0100 << 2,
        PAGE,
    ]);
    setup.registers.vtcr = vtcr(TG0_4K, 39, 1, PS_36);
    setup.ram.hole = Some(0x5000_1020);
    let expected = [
        range(0, 0x2000, fault(FaultKind::AccessFlag)),
        range(0x2000, 0x1000, fault(FaultKind::AddressSize)),
        range(0x3000, 0x1000, Meaning::Unpredictable(Why::MemAttr)),
        range(0x4000, 0x1000, fault(FaultKind::ExternalAbort)),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn a_table_that_cannot_be_reached_is_a_fault_over_its_whole_entry() {
    let mut setup = Setup::k4();
    setup.registers.vtcr = vtcr(TG0_4K, 39, 1, PS_36);
    setup.set(ROOT, 1 << 36 | TABLE);
    let meaning = Meaning::Fault {
        kind: FaultKind::AddressSize,
        level: 1,
    };
    assert_eq!(all(&setup), [range(0, 1 << 30, meaning)]);
}

#[test]
fn a_block_larger_than_the_output_size_ends_there() {
    let mut setup = Setup::new(WIDE, vtcr(TG0_4K, 48, 2, PS_36) | DS);
    setup.set(ROOT, LEAF & !(0b11 << 8));
    let beyond = Meaning::Fault {
        kind: FaultKind::AddressSize,
        level: 0,
    };
    let limit = 1 << 36;
    let expected = [
        range(0, limit, mapped(0)),
        range(limit, (1 << 39) - limit, beyond),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn a_run_of_pages_ends_where_the_output_size_does() {
    let mut setup = pages(&[0xf_ffff_e000 | PAGE, 0xf_ffff_f000 | PAGE, 1 << 36 | PAGE]);
    setup.registers.vtcr = vtcr(TG0_4K, 39, 1, PS_36);
    let beyond = Meaning::Fault {
        kind: FaultKind::AddressSize,
        level: 3,
    };
    let expected = [
        range(0, 0x2000, mapped(0xf_ffff_e000)),
        range(0x2000, 0x1000, beyond),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn a_carry_out_of_bit_47_is_no_continuation() {
    let last = 0xffff_ffff_f000 | PAGE;
    let setup = pages(&[last, last + 0x1000]);
    let expected = [
        range(0, 0x1000, mapped(0xffff_ffff_f000)),
        range(0x1000, 0x1000, mapped(0)),
    ];
    // Bit 48, where the sum carries to, means nothing without DS.
    assert_eq!(all(&setup), expected);
}

#[test]
fn the_place_of_each_contiguous_page_counts() {
    let page = PAGE | CONTIGUOUS;
    let setup = pages(&[0x1_0000 | page, 0x1_1000 | page, 0x1_8000 | page]);
    let expected = [
        range(0, 0x2000, mapped(0x1_0000)),
        range(0x2000, 0x1000, Meaning::Unpredictable(Why::Contiguous)),
    ];
    assert_eq!(all(&setup), expected);
}

#[test]
fn the_configuration_may_decide_for_the_whole_space() {
    let off = Setup::k4().with(|setup| setup.registers.hcr = RW);
    assert_eq!(all(&off), [range(0, 1 << 48, mapped(0))]);
    let invalid = Setup::new(FEATURES, vtcr(TG0_64K, 39, 3, PS_48));
    assert_eq!(all(&invalid), []);
    let open = Setup::new(FEATURES, vtcr(TG0_4K, 39, 1, 7));
    let meaning = Meaning::Unpredictable(Why::OutputSize);
    assert_eq!(all(&open), [range(0, 1 << 39, meaning)]);
    let reserved = Setup::new(FEATURES, vtcr(3 << 14, 39, 1, PS_48));
    let meaning = Meaning::Unpredictable(Why::Granule);
    assert_eq!(all(&reserved), [range(0, 1 << 48, meaning)]);
    let oversize = Setup::new(FEATURES, vtcr(TG0_4K, 39, 1, PS_32))
        .with(|setup| setup.registers.vttbr = 1 << 32);
    let meaning = Meaning::Fault {
        kind: FaultKind::AddressSize,
        level: 0,
    };
    assert_eq!(all(&oversize), [range(0, 1 << 39, meaning)]);
}

#[test]
fn tables_that_lead_back_to_themselves_end_in_the_budget() {
    let mut setup = Setup::k4();
    for index in 0..512 {
        setup.set(ROOT + index * 8, ROOT | TABLE);
    }
    let exceeded = Err(BudgetExceeded { budget: 10_000 });
    assert_eq!(ranges_within(&setup.stage2(), &setup.ram, 10_000), exceeded);
}

#[test]
fn the_budget_counts_descriptors() {
    let setup = Setup::page(PAGE);
    let within = |budget| ranges_within(&setup.stage2(), &setup.ram, budget);
    assert_eq!(within(3 * 512), Ok(all(&setup)));
    let budget = 3 * 512 - 1;
    assert_eq!(within(budget), Err(BudgetExceeded { budget }));
}
