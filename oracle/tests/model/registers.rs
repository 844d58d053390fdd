//! Section R.

use oracle::arch::Granule;
use oracle::model::legal::{Configuration, Request, check};
use oracle::model::registers;
use oracle::operation::Machine;

use crate::support::machine;

fn wanted(granule: Granule, start: i8, ipa: u8, pa: u8) -> Request {
    Request::of(&machine(granule, Some(start), ipa, pa))
}

fn configuration(granule: Granule, start: i8, ipa: u8, pa: u8) -> Configuration {
    check(&wanted(granule, start, ipa, pa)).unwrap()
}

/// With FEAT_LPA2 and FEAT_TTST.
fn with_features(ds: bool, granule: Granule, start: i8, ipa: u8, pa: u8) -> Configuration {
    let request = Request {
        ds,
        lpa2: true,
        ttst: true,
        ..wanted(granule, start, ipa, pa)
    };
    check(&request).unwrap()
}

/// A machine whose features beside FEAT_LPA2 and FEAT_TTST are none.
fn plain() -> Machine {
    machine(Granule::K4, None, 40, 40)
}

fn vtcr(configuration: &Configuration) -> u64 {
    registers::vtcr(configuration, &plain())
}

fn vttbr(configuration: &Configuration, vmid: u16, root: u64) -> Option<u64> {
    registers::vttbr(configuration, &plain(), vmid, root)
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

#[test]
fn start_levels_of_lpa2_and_ttst_have_their_encodings() {
    let of = |ds, granule, start, ipa| vtcr(&with_features(ds, granule, start, ipa, 52));
    let ds = 1 << 32;
    let common = COMMON | 6 << 16 | ds;
    let sl2 = 1 << 33;
    assert_eq!(of(true, Granule::K4, -1, 52), common | sl2 | 12);
    assert_eq!(of(true, Granule::K4, 0, 48), common | 2 << 6 | 16);
    assert_eq!(
        of(true, Granule::K16, 0, 52),
        common | 2 << 14 | 3 << 6 | 12
    );
    assert_eq!(
        of(false, Granule::K4, 3, 20),
        COMMON | 5 << 16 | 3 << 6 | 44
    );
}

#[test]
fn features_in_use_have_their_bits() {
    let configuration = configuration(Granule::K4, 1, 40, 40);
    let of = |change: fn(&mut Machine)| {
        let mut machine = plain();
        change(&mut machine);
        registers::vtcr(&configuration, &machine) ^ vtcr(&configuration)
    };
    assert_eq!(of(|machine| machine.vmid16 = true), 1 << 19);
    assert_eq!(of(|machine| machine.features.haf = true), 1 << 21);
    assert_eq!(of(|machine| machine.features.dbm = true), 0);
    let both = |machine: &mut Machine| {
        machine.features.haf = true;
        machine.features.dbm = true;
    };
    assert_eq!(of(both), 1 << 22 | 1 << 21);
}

#[test]
fn a_vmid_of_16_bits_has_room_with_vs() {
    let configuration = configuration(Granule::K4, 1, 40, 40);
    let machine = Machine {
        vmid16: true,
        ..plain()
    };
    let value = registers::vttbr(&configuration, &machine, 0x100, 0x1000);
    assert_eq!(value, Some(0x0100_0000_0000_1000));
}

#[test]
fn vttbr_has_the_52_bit_format_with_ds_whatever_ps_is() {
    let root = 0x000a_8765_4321_0000;
    for pa in [48, 52] {
        let configuration = with_features(true, Granule::K4, 0, 48, pa);
        let value = vttbr(&configuration, 1, root);
        assert_eq!(value, Some(0x0001_8765_4321_0028));
    }
}
