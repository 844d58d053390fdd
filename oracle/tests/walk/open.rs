//! What descriptors leave open, each beside its nearest case that is not.

use oracle::walk::{Access, FaultKind, Why};

use crate::support::*;

const CONTIGUOUS_IS_OPEN: Short = Short::Open(Why::Contiguous);

#[test]
fn a_contiguous_page_must_have_its_place_in_the_region() {
    // IPA 0x1000 is entry 1 of 16.
    let page = |pa| short(Setup::page(pa | PAGE | CONTIGUOUS).read(0x1008));
    assert_eq!(page(0x8_1000), Short::Pa(0x8_1008));
    assert_eq!(page(0x8_0000), CONTIGUOUS_IS_OPEN);
    assert_eq!(page(0x8_2000), CONTIGUOUS_IS_OPEN);
}

#[test]
fn a_contiguous_region_must_fit_the_ipa_size() {
    for (ipa_bits, expected) in [(33, CONTIGUOUS_IS_OPEN), (34, Short::Pa(0))] {
        let mut setup = Setup::new(FEATURES, vtcr(TG0_4K, ipa_bits, 1, PS_48));
        setup.set(ROOT, LEAF | CONTIGUOUS);
        assert_eq!(short(setup.read(0)), expected, "{ipa_bits}");
    }
}

#[test]
fn contiguous_regions_have_the_size_of_their_granule_and_level() {
    for (tg0, sl0, ipa_bits, descriptor, entries) in [
        (TG0_4K, 0, 30, LEAF, 16),
        (TG0_4K, 3, 21, PAGE, 16),
        (TG0_16K, 1, 36, LEAF, 32),
        (TG0_16K, 0, 25, PAGE, 128),
        (TG0_64K, 1, 42, LEAF, 32),
        (TG0_64K, 0, 29, PAGE, 32),
    ] {
        let mut setup = Setup::new(FEATURES, vtcr(tg0, ipa_bits, sl0, PS_48));
        let stage2 = setup.stage2();
        let bytes = stage2.entry_bytes(stage2.start_level().unwrap());
        // The region's size apart, IPA and PA agree; half of it, they do not.
        setup.set(ROOT, (entries * bytes) | descriptor | CONTIGUOUS);
        assert_eq!(short(setup.read(0)), Short::Pa(entries * bytes));
        setup.set(ROOT, (entries / 2 * bytes) | descriptor | CONTIGUOUS);
        assert_eq!(short(setup.read(0)), CONTIGUOUS_IS_OPEN);
    }
}

#[test]
fn the_contiguous_bit_is_ignored_at_the_highest_block_levels() {
    let leaf = LEAF & !(0b11 << 8) | CONTIGUOUS;
    for (vtcr, pa) in [
        (vtcr(TG0_4K, 48, 2, PS_52) | DS, 1 << 39),
        (vtcr(TG0_16K, 47, 2, PS_52) | DS, 1 << 36),
        (vtcr(TG0_64K, 48, 2, PS_52), 1 << 42),
    ] {
        let mut setup = Setup::new(WIDE, vtcr);
        setup.set(ROOT, pa | leaf);
        assert_eq!(short(setup.read(8)), Short::Pa(pa | 8), "{vtcr:#x}");
    }
}

#[test]
fn nt_is_open_in_blocks_with_bbm_level_1_or_2() {
    for (bbm, expected) in [
        (0, Short::Pa(0)),
        (1, Short::Open(Why::BlockNt)),
        (2, Short::Open(Why::BlockNt)),
    ] {
        let mut setup = Setup::k4();
        setup.features.bbm = bbm;
        setup.set(ROOT, LEAF | NT);
        assert_eq!(short(setup.read(0)), expected);
    }
    let page = Setup::page(PAGE | NT).with(|setup| setup.features.bbm = 2);
    assert_eq!(short(page.read(0x1000)), Short::Pa(NT));
}

fn with_mem_attr(hcr: u64, mem_attr: u64) -> Setup {
    Setup::page(PAGE & !MEM_ATTR | mem_attr << 2).with(|setup| setup.registers.hcr |= hcr)
}

#[test]
fn reserved_memory_types_are_open() {
    let open = |hcr| {
        (0..16)
            .filter(|&mem_attr| {
                short(with_mem_attr(hcr, mem_attr).read(0x1000)) == Short::Open(Why::MemAttr)
            })
            .collect::<Vec<u64>>()
    };
    assert_eq!(open(0), [0b0100, 0b1000, 0b1100]);
    assert_eq!(open(FWB), [4, 8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn the_reserved_shareability_is_open() {
    let setup = Setup::page(PAGE & !(0b11 << 8) | 0b01 << 8);
    assert_eq!(short(setup.read(0x1000)), Short::Open(Why::Shareability));
}

#[test]
fn a_permitted_fetch_from_device_memory_is_open() {
    let fetch = |setup: Setup| short(setup.ask(0x1000, FETCH));
    let open = Short::Open(Why::FetchFromDevice);
    assert_eq!(fetch(with_mem_attr(0, 0b0001)), open);
    assert_eq!(fetch(with_mem_attr(0, 0b0101)), Short::Pa(0));
    assert_eq!(fetch(with_mem_attr(FWB, 0b0001)), open);
    assert_eq!(fetch(with_mem_attr(FWB, 0b0111)), Short::Pa(0));
    let denied = Setup::page(PAGE & !MEM_ATTR | XN);
    assert_eq!(fetch(denied), Short::Fault(FaultKind::Permission, 3));
    assert_eq!(
        short(with_mem_attr(0, 0b0001).ask(0x1000, Access::Write)),
        Short::Pa(0)
    );
}
