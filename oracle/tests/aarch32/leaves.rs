//! Descriptors of stage 2: addresses, permissions, attributes, and the order of faults.

use oracle::walk::{Access, FaultKind, Why};

use crate::support::*;

const DENIED: Short = Short::Fault(FaultKind::Permission, 3);

fn permitted(guest: &Guest) -> Vec<Access> {
    let is_permitted = |access: &Access| short(guest.ask(0x1000, *access)) != DENIED;
    ALL.into_iter().filter(is_permitted).collect()
}

/// A 39-bit stage 2 with a block at level 1 for the second GiB, and one at level 2 for
/// the second 2 MiB.
fn blocks(level_1: u64, level_2: u64) -> Guest {
    let mut guest = Guest::new(39, 1);
    guest.ram.set(ROOT, L2 | TABLE);
    guest.ram.set(ROOT + 8, level_1);
    guest.ram.set(L2 + 8, level_2);
    guest
}

#[test]
fn blocks_are_1_gib_and_2_mib_and_pages_4_kib() {
    let guest = blocks(0xff_c000_0000 | LEAF, 0xff_ffe0_0000 | LEAF);
    let found = translation(guest.ask(0x7fff_fff8, Access::Read));
    assert_eq!(
        (found.pa, found.size, found.level),
        (0xff_ffff_fff8, 1 << 30, 1)
    );
    let found = translation(guest.ask(0x3f_fff8, Access::Read));
    assert_eq!(
        (found.pa, found.size, found.level),
        (0xff_ffff_fff8, 1 << 21, 2)
    );
    let guest = Guest::page(0xff_ffff_f000 | PAGE);
    let found = translation(guest.ask(0x1ff8, Access::Read));
    assert_eq!(
        (found.pa, found.size, found.level),
        (0xff_ffff_fff8, 1 << 12, 3)
    );
}

#[test]
fn address_bits_below_a_block_are_ignored() {
    let guest = blocks(0x3fff_f000 | LEAF, 0x1f_f000 | LEAF);
    assert_eq!(guest.read(0x4000_0000), Short::Pa(0));
    assert_eq!(guest.read(0x20_0000), Short::Pa(0));
}

#[test]
fn a_block_at_level_3_is_invalid() {
    let guest = Guest::page(0x8000_0000 | LEAF);
    assert_eq!(guest.read(0x1000), Short::Fault(FaultKind::Translation, 3));
}

#[test]
fn bits_47_to_40_of_a_descriptor_are_an_address_size_fault_at_its_level() {
    let oversize = |level| Short::Fault(FaultKind::AddressSize, level);
    for bit in (40..48).map(|number| 1 << number) {
        assert_eq!(blocks(LEAF | bit, 0).read(0x4000_0000), oversize(1));
        assert_eq!(blocks(TABLE | bit, 0).read(0x4000_0000), oversize(1));
        assert_eq!(blocks(0, LEAF | bit).read(0x20_0000), oversize(2));
        assert_eq!(blocks(0, TABLE | bit).read(0x20_0000), oversize(2));
        assert_eq!(Guest::page(PAGE | bit).read(0x1000), oversize(3));
    }
}

#[test]
fn an_invalid_entry_may_hold_any_address() {
    let guest = Guest::page(1 << 47 | 0b10);
    assert_eq!(guest.read(0x1000), Short::Fault(FaultKind::Translation, 3));
}

#[test]
fn bits_without_a_meaning_change_nothing() {
    // In AArch64: nG and FnXS, nT, address bits of other formats, GP, DBM, and what
    // software may use.
    let ignored = 1 << 11 | 0b11 << 48 | 1 << 50 | 1 << 51 | 0xff << 55;
    let plain = Guest::page(0x8000_0000 | PAGE & !WRITE);
    let guest = Guest::page(0x8000_0000 | PAGE & !WRITE | ignored);
    for access in ALL {
        assert_eq!(guest.ask(0x1000, access), plain.ask(0x1000, access));
    }
    let guest = blocks(0x8000_0000 | LEAF | 1 << 16, 0);
    assert_eq!(guest.read(0x4000_0000), Short::Pa(0x8000_0000));
}

#[test]
fn table_descriptors_restrict_nothing() {
    let mut guest = Guest::page(0x8000_0000 | PAGE);
    guest
        .ram
        .set(ROOT, L2 | TABLE | 0b1_1111 << 59 | 0xff << 51 | 0x3ff << 2);
    assert_eq!(permitted(&guest), ALL);
}

#[test]
fn the_access_flag_is_software_s() {
    let guest = Guest::page(0x8000_0000 | PAGE & !AF);
    for access in ALL {
        let answer = short(guest.ask(0x1000, access));
        assert_eq!(answer, Short::Fault(FaultKind::AccessFlag, 3));
    }
}

#[test]
fn address_size_comes_before_access_flag_and_that_before_permission() {
    let nothing = PAGE & !AF & !READ & !WRITE;
    let guest = Guest::page(nothing | 1 << 40);
    assert_eq!(guest.read(0x1000), Short::Fault(FaultKind::AddressSize, 3));
    let guest = Guest::page(nothing);
    assert_eq!(guest.read(0x1000), Short::Fault(FaultKind::AccessFlag, 3));
    let guest = Guest::page(nothing | AF);
    assert_eq!(guest.read(0x1000), DENIED);
}

#[test]
fn s2ap_permits_loads_and_stores_each_by_its_own_bit() {
    use Access::{AtRead, AtWrite, Read, Write};
    for (s2ap, expected) in [
        (0, &[][..]),
        (READ, &[Read, AtRead]),
        (WRITE, &[Write, AtWrite]),
        (READ | WRITE, &[Read, Write, AtRead, AtWrite]),
    ] {
        let guest = Guest::page(PAGE & !READ & !WRITE | s2ap | XN);
        assert_eq!(permitted(&guest), expected, "{s2ap:#x}");
    }
}

#[test]
fn a_fetch_needs_read_permission() {
    for xnx in [false, true] {
        let guest = Guest::page(PAGE & !READ).with(|guest| guest.features.xnx = xnx);
        assert_eq!(permitted(&guest), [Access::Write, Access::AtWrite]);
    }
}

#[test]
fn xn_permits_fetches_by_exception_level_with_xnx() {
    for (xn, with_xnx, without) in [
        (0, &[FETCH, FETCH_EL0][..], &[FETCH, FETCH_EL0][..]),
        (XNX, &[FETCH_EL0], &[FETCH, FETCH_EL0]),
        (XN, &[], &[]),
        (XN | XNX, &[FETCH], &[]),
    ] {
        let fetches = |guest: &Guest| {
            let mut found = permitted(guest);
            found.retain(|access| matches!(access, Access::Execute { .. }));
            found
        };
        let mut guest = Guest::page(PAGE | xn);
        assert_eq!(fetches(&guest), without, "{xn:#x}");
        guest.features.xnx = true;
        assert_eq!(fetches(&guest), with_xnx, "{xn:#x}");
    }
}

#[test]
fn the_weaker_memory_of_both_stages_wins() {
    for (mem_attr, attributes) in [
        (0b0000, 0x00),
        (0b0001, 0x04),
        (0b0010, 0x08),
        (0b0011, 0x0c),
        (0b0101, 0x44),
        // With FWB this would be Write-Back throughout.
        (0b0110, 0x4b),
        (0b0111, 0x4f),
        (0b1010, 0xbb),
        (0b1111, 0xff),
    ] {
        let guest =
            Guest::page(PAGE & !MEM_ATTR | mem_attr << 2).with(|guest| guest.registers.hcr |= DC);
        let found = translation(guest.ask(0x1000, Access::Read));
        assert_eq!(found.attributes, attributes, "{mem_attr:#b}");
    }
}

#[test]
fn a_stage_1_that_is_off_makes_everything_device() {
    let found = translation(Guest::page(PAGE).ask(0x1000, Access::Read));
    assert_eq!((found.attributes, found.shareability), (0x00, 0b10));
}

#[test]
fn cd_makes_normal_memory_non_cacheable() {
    let guest = Guest::page(PAGE).with(|guest| {
        guest.registers.hcr |= DC;
        guest.registers.hcr2 |= CD;
    });
    let found = translation(guest.ask(0x1000, Access::Read));
    assert_eq!((found.attributes, found.shareability), (0x44, 0b10));
}

#[test]
fn shareability_is_the_leaf_s() {
    for (sh, expected) in [(0b00, 0b00), (0b10, 0b10), (0b11, 0b11)] {
        let guest = Guest::page(PAGE & !SH | sh << 8).with(|guest| guest.registers.hcr |= DC);
        let found = translation(guest.ask(0x1000, Access::Read));
        assert_eq!(u64::from(found.shareability), expected);
    }
}

#[test]
fn reserved_attributes_are_open() {
    for mem_attr in [0b0100, 0b1000, 0b1100] {
        let guest = Guest::page(PAGE & !MEM_ATTR | mem_attr << 2);
        assert_eq!(guest.read(0x1000), Short::Open(Why::MemAttr));
    }
    let guest = Guest::page(PAGE & !SH | 0b01 << 8);
    assert_eq!(guest.read(0x1000), Short::Open(Why::Shareability));
}

#[test]
fn a_permitted_fetch_from_device_memory_is_open() {
    let device = PAGE & !MEM_ATTR;
    let answer = short(Guest::page(device).ask(0x1000, FETCH));
    assert_eq!(answer, Short::Open(Why::FetchFromDevice));
    let answer = short(Guest::page(device & !READ).ask(0x1000, FETCH));
    assert_eq!(answer, DENIED);
}

#[test]
fn a_contiguous_leaf_that_fits_its_place_is_like_any_other() {
    let guest = Guest::page(0x8000_1000 | PAGE | CONTIGUOUS);
    assert_eq!(guest.read(0x1008), Short::Pa(0x8000_1008));
}

#[test]
fn a_contiguous_leaf_out_of_its_place_is_open() {
    let guest = Guest::page(0x8000_2000 | PAGE | CONTIGUOUS);
    assert_eq!(guest.read(0x1000), Short::Open(Why::Contiguous));
}

#[test]
fn a_contiguous_region_beyond_the_ipa_size_is_open() {
    // Sixteen blocks of 1 GiB need 34 bits.
    for (ipa_bits, expected) in [(33, Short::Open(Why::Contiguous)), (34, Short::Pa(0))] {
        let mut guest = Guest::new(ipa_bits, 1);
        guest.ram.set(ROOT, LEAF | CONTIGUOUS);
        assert_eq!(guest.read(0), expected, "{ipa_bits} bits");
    }
}

#[test]
fn an_unreadable_descriptor_is_an_external_abort_at_its_level() {
    for (level, at) in [(1, ROOT), (2, L2), (3, L3 + 8)] {
        let guest = Guest::page(PAGE).with(|guest| guest.ram.hole = Some(at));
        let expected = Short::Fault(FaultKind::ExternalAbort, level);
        assert_eq!(guest.read(0x1000), expected);
    }
}

#[test]
fn faults_have_the_codes_of_the_long_descriptor_format() {
    let code = |guest: &Guest, ipa| match guest.ask(ipa, Access::Write) {
        oracle::walk::Answer::Fault(fault) => fault.fsc(),
        other => panic!("no fault: {other:?}"),
    };
    assert_eq!(code(&Guest::new(32, 3), 0), 0b00_0101);
    assert_eq!(code(&Guest::page(0), 0x1000), 0b00_0111);
    assert_eq!(code(&Guest::page(PAGE & !AF), 0x1000), 0b00_1011);
    assert_eq!(code(&Guest::page(PAGE & !WRITE), 0x1000), 0b00_1111);
    assert_eq!(code(&Guest::page(PAGE | 1 << 40), 0x1000), 0b00_0011);
}
