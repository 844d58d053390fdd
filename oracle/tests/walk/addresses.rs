//! Descriptor types, address fields, and the size of addresses.

use oracle::walk::{Access, Decision, Entry, FaultKind, trace};

use crate::support::*;

/// AArch64.BlockDescSupported
#[test]
fn blocks_exist_at_the_levels_of_their_granule() {
    let lpa = oracle::arch::Features {
        pa_bits: 52,
        ..FEATURES
    };
    for (features, vtcr, levels) in [
        (FEATURES, vtcr(TG0_4K, 48, 2, PS_48), &[1, 2][..]),
        (WIDE, vtcr(TG0_4K, 48, 2, PS_48), &[1, 2]),
        (WIDE, vtcr(TG0_4K, 52, 0, PS_52) | DS | SL2, &[0, 1, 2]),
        (FEATURES, vtcr(TG0_16K, 48, 2, PS_48), &[2]),
        (WIDE, vtcr(TG0_16K, 52, 3, PS_52) | DS, &[1, 2]),
        (FEATURES, vtcr(TG0_64K, 48, 2, PS_48), &[2]),
        (lpa, vtcr(TG0_64K, 48, 2, PS_32), &[1, 2]),
    ] {
        let stage2 = Setup::new(features, vtcr).stage2();
        let found: Vec<i8> = (-1..=3)
            .filter(|&level| matches!(stage2.entry(level, LEAF), Entry::Leaf { .. }))
            .collect();
        assert_eq!(found, levels, "{vtcr:#x}");
    }
}

#[test]
fn a_block_that_its_level_does_not_have_is_a_translation_fault_there() {
    let mut setup = Setup::new(FEATURES, vtcr(TG0_4K, 48, 2, PS_48));
    setup.set(ROOT, LEAF);
    assert_eq!(
        short(setup.read(0)),
        Short::Fault(FaultKind::Translation, 0)
    );
}

#[test]
fn encoding_0b01_is_reserved_at_level_3() {
    assert_eq!(short(Setup::page(PAGE).read(0x1008)), Short::Pa(8));
    let reserved = Setup::page(LEAF);
    assert_eq!(
        short(reserved.read(0x1008)),
        Short::Fault(FaultKind::Translation, 3)
    );
}

#[test]
fn levels_that_the_granule_does_not_have_hold_nothing() {
    let stage2 = Setup::new(WIDE, vtcr(TG0_64K, 52, 2, PS_52)).stage2();
    for level in [i8::MIN, -2, -1, 0, 4, i8::MAX] {
        assert_eq!(stage2.entry(level, PAGE), Entry::Invalid);
        assert_eq!(stage2.entry_bytes(level), 0);
    }
    assert_eq!(stage2.entry_bytes(1), 1 << 42);
    assert_eq!(stage2.entries_per_table(), 8192);
}

#[test]
fn attributes_of_table_descriptors_do_not_exist() {
    let mut setup = Setup::page(PAGE);
    let ignored = 0xfff0_0000_0000_0000 | 0x0008_0000_0000_0ffc;
    for at in [ROOT, 0x5000_0000] {
        let table = setup.ram.words[&at];
        setup.set(at, table | ignored);
    }
    assert_eq!(short(setup.ask(0x1000, Access::Write)), Short::Pa(0));
}

#[test]
fn bits_49_and_48_are_no_address_without_ds() {
    let mut setup = Setup::k4();
    setup.set(ROOT, LEAF | 0b11 << 48);
    assert_eq!(short(setup.read(0x18)), Short::Pa(0x18));
}

#[test]
fn the_64k_granule_keeps_bits_51_to_48_in_15_to_12() {
    let mut setup = Setup::new(WIDE, vtcr(TG0_64K, 46, 1, PS_52));
    setup.set(ROOT, 0xa << 12 | 0x2000_0000 | LEAF);
    assert_eq!(short(setup.read(0x88)), Short::Pa(0xa << 48 | 0x2000_0088));
    // They are decoded whatever PS says, and do not fit then.
    setup.registers.vtcr = vtcr(TG0_64K, 46, 1, PS_48);
    assert_eq!(
        short(setup.read(0x88)),
        Short::Fault(FaultKind::AddressSize, 2)
    );
}

#[test]
fn ds_keeps_bits_51_and_50_in_9_and_8() {
    let mut setup = Setup::new(WIDE, vtcr(TG0_4K, 39, 1, PS_52) | DS);
    let leaf = LEAF & !(0b11 << 8);
    setup.set(ROOT, leaf | 0b10 << 8 | 0b01 << 48);
    assert_eq!(short(setup.read(0x88)), Short::Pa(0b1001 << 48 | 0x88));
    setup.registers.vtcr = vtcr(TG0_4K, 39, 1, PS_48) | DS;
    assert_eq!(
        short(setup.read(0x88)),
        Short::Fault(FaultKind::AddressSize, 1)
    );
}

#[test]
fn a_table_beyond_the_output_size_reports_the_level_of_its_descriptor() {
    let mut setup = Setup::page(PAGE);
    setup.registers.vtcr = vtcr(TG0_4K, 39, 1, PS_36);
    assert_eq!(short(setup.read(0x1000)), Short::Pa(0));
    setup.set(0x5000_0000, 1 << 36 | TABLE);
    assert_eq!(
        short(setup.read(0x1000)),
        Short::Fault(FaultKind::AddressSize, 2)
    );
}

/// StageOA: bits of the IPA below the block's size count too.
#[test]
fn the_final_address_must_fit_and_not_the_field_alone() {
    let mut setup = Setup::new(WIDE, vtcr(TG0_4K, 48, 2, PS_36) | DS);
    setup.set(ROOT, LEAF & !(0b11 << 8));
    assert_eq!(short(setup.read((1 << 36) - 8)), Short::Pa((1 << 36) - 8));
    assert_eq!(
        short(setup.read(1 << 36)),
        Short::Fault(FaultKind::AddressSize, 0)
    );
}

#[test]
fn the_first_index_is_as_wide_as_the_concatenated_root() {
    let mut setup = Setup::new(FEATURES, vtcr(TG0_4K, 40, 1, PS_48));
    setup.set(ROOT + 512 * 8, 0x8000_0000 | LEAF);
    assert_eq!(short(setup.read(1 << 39 | 0x28)), Short::Pa(0x8000_0028));
    assert_eq!(
        short(setup.read(0x28)),
        Short::Fault(FaultKind::Translation, 1)
    );
}

#[test]
fn a_walk_from_level_minus_1_reads_five_descriptors() {
    let mut setup = Setup::new(WIDE, vtcr(TG0_4K, 52, 0, PS_52) | DS | SL2);
    let page = PAGE & !(0b11 << 8);
    for (at, descriptor) in [
        (ROOT + 8 * 15, 0x5000_0000 | TABLE),
        (0x5000_0000, 0x5000_1000 | TABLE),
        (0x5000_1000, 0x5000_2000 | TABLE),
        (0x5000_2000, 0x5000_3000 | TABLE),
        (0x5000_3000, 0x9000_0000 | page),
    ] {
        setup.set(at, descriptor);
    }
    let ipa = 15 << 48 | 0xff8;
    assert_eq!(short(setup.read(ipa)), Short::Pa(0x9000_0ff8));
    assert_eq!(
        short(setup.read(0)),
        Short::Fault(FaultKind::Translation, -1)
    );
    let steps = trace(&setup.stage2(), &setup.ram, ipa, Access::Read);
    let levels: Vec<i8> = steps.iter().map(|step| step.level).collect();
    assert_eq!(levels, [-1, 0, 1, 2, 3]);
    assert_eq!(steps[1].at, 0x5000_0000);
    assert_eq!(steps[1].decision, Decision::Table { next: 0x5000_1000 });
    assert_eq!(steps[4].decision, Decision::End(setup.read(ipa)));
}

#[test]
fn a_trace_has_no_step_where_no_descriptor_is_read() {
    let setup = Setup::k4();
    assert!(trace(&setup.stage2(), &setup.ram, 1 << 39, Access::Read).is_empty());
}
