//! Descriptor types, address fields, the size of addresses, and the order of faults.

use oracle::stage1::{Access, Entry, FaultKind, Why};

use crate::support::*;

/// AArch64.BlockDescSupported
#[test]
fn blocks_exist_at_the_levels_of_their_granule() {
    for (features, tcr, levels) in [
        (FEATURES, tcr(TG0_4K, 48, PS_48), &[1, 2][..]),
        (WIDE, tcr(TG0_4K, 52, PS_52) | DS, &[0, 1, 2]),
        (FEATURES, tcr(TG0_16K, 48, PS_48), &[2]),
        (WIDE, tcr(TG0_16K, 52, PS_52) | DS, &[1, 2]),
        (FEATURES, tcr(TG0_64K, 48, PS_48), &[2]),
        (WIDE, tcr(TG0_64K, 48, PS_32), &[1, 2]),
    ] {
        let stage1 = Setup::new(features, tcr).stage1();
        let found: Vec<i8> = (-1..=3)
            .filter(|&level| matches!(stage1.entry(level, LEAF), Entry::Leaf { .. }))
            .collect();
        assert_eq!(found, levels, "{tcr:#x}");
    }
}

#[test]
fn encoding_0b01_is_reserved_at_level_3() {
    assert_eq!(Setup::page(PAGE).read(0x1008), Short::Pa(8));
    let reserved = Short::Fault(FaultKind::Translation, 3);
    assert_eq!(Setup::page(LEAF).read(0x1008), reserved);
    assert_eq!(Setup::page(!1).read(0x1008), reserved);
}

#[test]
fn a_walk_from_level_minus_1_reads_five_descriptors() {
    let mut setup = Setup::new(WIDE, tcr(TG0_4K, 52, PS_52) | DS);
    let va = 15 << 48 | 0xff8;
    assert_eq!(setup.read(va), Short::Fault(FaultKind::Translation, -1));
    for (at, descriptor) in [
        (ROOT + 8 * 15, 0x5000_0000 | TABLE),
        (0x5000_0000, 0x5000_1000 | TABLE),
        (0x5000_1000, 0x5000_2000 | TABLE),
        (0x5000_2000, 0x5000_3000 | TABLE),
        (0x5000_3000, 0x9000_0000 | PAGE & !SH | 0b10 << 8),
    ] {
        setup.set(at, descriptor);
    }
    // Bits 9:8 are PA[51:50] with DS.
    let found = translation(setup.ask(va, Access::Read));
    assert_eq!((found.pa, found.level), (0b1000 << 48 | 0x9000_0ff8, 3));
    assert_eq!(found.size, 0x1000);
    setup.ram.hole = Some(ROOT + 8 * 15);
    assert_eq!(setup.read(va), Short::Fault(FaultKind::ExternalAbort, -1));
}

#[test]
fn an_oversize_table_of_level_minus_1_reports_its_level() {
    let mut setup = Setup::new(WIDE, tcr(TG0_4K, 52, PS_36) | DS);
    setup.set(ROOT, 1 << 36 | TABLE);
    assert_eq!(setup.read(0), Short::Fault(FaultKind::AddressSize, -1));
}

#[test]
fn the_64k_granule_keeps_bits_51_to_48_in_15_to_12() {
    let mut setup = Setup::new(WIDE, tcr(TG0_64K, 42, PS_52));
    setup.set(ROOT, 0xa << 12 | 0x2000_0000 | LEAF);
    assert_eq!(setup.read(0x88), Short::Pa(0xa << 48 | 0x2000_0088));
    // They are decoded whatever PS says, and do not fit then.
    setup.registers.tcr = tcr(TG0_64K, 42, PS_48);
    assert_eq!(setup.read(0x88), Short::Fault(FaultKind::AddressSize, 2));
}

#[test]
fn bits_49_and_48_are_no_address_without_ds() {
    let mut setup = Setup::k4();
    setup.set(ROOT, LEAF | 0b11 << 48);
    assert_eq!(setup.read(0x18), Short::Pa(0x18));
}

/// StageOA: bits of the address below the block's size count too.
#[test]
fn the_final_address_must_fit_and_not_the_field_alone() {
    let mut setup = Setup::new(WIDE, tcr(TG0_4K, 48, PS_36) | DS);
    setup.set(ROOT, LEAF & !SH);
    assert_eq!(setup.read((1 << 36) - 8), Short::Pa((1 << 36) - 8));
    assert_eq!(setup.read(1 << 36), Short::Fault(FaultKind::AddressSize, 0));
}

#[test]
fn an_abort_on_a_descriptor_reports_its_level() {
    for (hole, level) in [(ROOT, 1), (L2, 2), (L3 + 8, 3)] {
        let setup = Setup::page(PAGE).with(|setup| setup.ram.hole = Some(hole));
        assert_eq!(
            setup.read(0x1000),
            Short::Fault(FaultKind::ExternalAbort, level)
        );
    }
}

#[test]
fn address_size_comes_before_access_flag_and_that_before_permission() {
    let mut setup = Setup::page(1 << 40 | PAGE & !AF | READ_ONLY);
    setup.registers.tcr = tcr(TG0_4K, 39, PS_36);
    let mut found = Vec::new();
    for repaired in [0, 1 << 40, AF] {
        let descriptor = setup.ram.words[&(L3 + 8)];
        setup.set(L3 + 8, descriptor ^ repaired);
        found.push(short(setup.ask(0x1000, Access::Write)));
    }
    let expected = [
        FaultKind::AddressSize,
        FaultKind::AccessFlag,
        FaultKind::Permission,
    ];
    assert_eq!(found, expected.map(|kind| Short::Fault(kind, 3)));
}

#[test]
fn a_contiguous_page_must_have_its_place_in_the_region() {
    // Address 0x1000 is entry 1 of 16.
    let page = |pa| Setup::page(pa | PAGE | CONTIGUOUS).read(0x1008);
    assert_eq!(page(0x8_1000), Short::Pa(0x8_1008));
    assert_eq!(page(0x8_2000), Short::Open(Why::Contiguous));
}

#[test]
fn a_contiguous_region_must_fit_the_address_size() {
    for (va_bits, expected) in [(33, Short::Open(Why::Contiguous)), (34, Short::Pa(0))] {
        let mut setup = Setup::new(FEATURES, tcr(TG0_4K, va_bits, PS_48));
        setup.set(ROOT, LEAF | CONTIGUOUS);
        assert_eq!(setup.read(0), expected, "{va_bits}");
    }
}

#[test]
fn the_contiguous_bit_is_ignored_at_the_highest_block_levels() {
    for (tcr, pa) in [
        (tcr(TG0_4K, 48, PS_52) | DS, 1 << 39),
        (tcr(TG0_16K, 47, PS_52) | DS, 1 << 36),
        (tcr(TG0_64K, 48, PS_52), 1 << 42),
    ] {
        let mut setup = Setup::new(WIDE, tcr);
        setup.set(ROOT, pa | LEAF & !SH | CONTIGUOUS);
        assert_eq!(setup.read(8), Short::Pa(pa | 8), "{tcr:#x}");
    }
}

#[test]
fn nt_is_open_in_blocks_with_bbm_level_1_or_2() {
    let open = Short::Open(Why::BlockNt);
    for (bbm, expected) in [(0, Short::Pa(0)), (1, open)] {
        let mut setup = Setup::k4();
        setup.features.both.bbm = bbm;
        setup.set(ROOT, LEAF | NT);
        assert_eq!(setup.read(0), expected);
    }
    let page = Setup::page(PAGE | NT).with(|setup| setup.features.both.bbm = 2);
    assert_eq!(page.read(0x1000), Short::Pa(NT));
}

#[test]
fn ee_makes_tables_big_endian_and_updates_as_well() {
    let mut setup = Setup::page(0x7000 | PAGE & !AF);
    setup.registers.tcr |= HA;
    let little = translation(setup.ask(0x1000, Access::Read));
    for descriptor in setup.ram.words.values_mut() {
        *descriptor = descriptor.swap_bytes();
    }
    assert_eq!(setup.read(0x1000), Short::Fault(FaultKind::Translation, 1));
    setup.registers.sctlr |= EE;
    let big = translation(setup.ask(0x1000, Access::Read));
    assert_eq!(little.update.map(|update| update.new), Some(0x7000 | PAGE));
    assert_eq!(
        big.update.map(|update| update.new.swap_bytes()),
        Some(0x7000 | PAGE)
    );
    assert_eq!(big.pa, little.pa);
}
