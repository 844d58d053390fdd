//! Section R.

use oracle::arch::Granule;
use oracle::model::legal::{Configuration, check};
use oracle::model::registers::{vtcr, vttbr};

fn configuration(granule: Granule, start: i8, ipa: u8, pa: u8) -> Configuration {
    check(granule, Some(start), ipa, pa).unwrap()
}

/// RES1, SH0 inner, ORGN0 and IRGN0 write-back.
const COMMON: u64 = 0x8000_3500;

#[test]
fn vtcr_of_4k() {
    let of = |start, ipa, pa| vtcr(&configuration(Granule::K4, start, ipa, pa));
    assert_eq!(of(0, 48, 48), COMMON | 5 << 16 | 2 << 6 | 16);
    assert_eq!(of(1, 40, 40), COMMON | 2 << 16 | 1 << 6 | 24);
    assert_eq!(of(2, 32, 32), COMMON | 32);
}

#[test]
fn vtcr_of_16k() {
    let of = |start, ipa, pa| vtcr(&configuration(Granule::K16, start, ipa, pa));
    assert_eq!(of(1, 48, 48), COMMON | 5 << 16 | 2 << 14 | 2 << 6 | 16);
    assert_eq!(of(2, 36, 42), COMMON | 3 << 16 | 2 << 14 | 1 << 6 | 28);
}

#[test]
fn vtcr_of_64k() {
    let of = |start, ipa, pa| vtcr(&configuration(Granule::K64, start, ipa, pa));
    assert_eq!(of(1, 48, 52), COMMON | 6 << 16 | 1 << 14 | 2 << 6 | 16);
    assert_eq!(of(2, 42, 44), COMMON | 4 << 16 | 1 << 14 | 1 << 6 | 22);
    assert_eq!(of(3, 33, 36), COMMON | 1 << 16 | 1 << 14 | 31);
}

#[test]
fn output_size_is_48_bits_at_most_for_4k_and_16k() {
    for (granule, start, bits) in [
        (Granule::K4, 0, 48),
        (Granule::K16, 1, 48),
        (Granule::K64, 1, 52),
    ] {
        let configuration = configuration(granule, start, 48, 52);
        assert_eq!(configuration.output_bits(), bits);
        let ps = vtcr(&configuration) >> 16 & 7;
        assert_eq!(ps, if bits == 52 { 6 } else { 5 });
    }
}

#[test]
fn vttbr_holds_vmid_and_root() {
    let configuration = configuration(Granule::K4, 1, 40, 40);
    let value = vttbr(&configuration, 0xab, 0x12_3456_6000);
    assert_eq!(value, Some(0x00ab_0012_3456_6000));
}

#[test]
fn vttbr_has_the_52_bit_format_where_ps_is_6() {
    let wide = configuration(Granule::K64, 2, 42, 52);
    let root = 0x000a_8765_4321_0000;
    assert_eq!(vttbr(&wide, 1, root), Some(0x0001_8765_4321_0028));
    let narrow = configuration(Granule::K4, 0, 48, 52);
    assert_eq!(vttbr(&narrow, 1, root), None);
}

#[test]
fn vttbr_has_no_room_for_a_vmid_of_9_bits_or_an_odd_root() {
    let configuration = configuration(Granule::K4, 1, 40, 40);
    assert_eq!(vttbr(&configuration, 0x100, 0x1000), None);
    assert_eq!(vttbr(&configuration, 1, 0x1001), None);
    assert_eq!(vttbr(&configuration, 1, 1 << 48), None);
}
