//! The shapes of well-known configurations, and what is refused.

use super::*;

fn configuration(granule: Granule, ipa_bits: u8, pa_bits: u8) -> Configuration {
    Configuration {
        granule,
        ipa_bits,
        pa_bits,
        start_level: None,
        coherent_walks: true,
    }
}

fn geometry(granule: Granule, ipa_bits: u8, pa_bits: u8) -> Geometry {
    Geometry::new(&configuration(granule, ipa_bits, pa_bits)).unwrap()
}

fn vmid(number: u16) -> Vmid {
    Vmid::new(number).unwrap()
}

#[test]
fn the_default_of_kvm_starts_at_level_1_with_two_tables() {
    let g = geometry(Granule::K4, 40, 40);
    assert_eq!(
        (g.start().number(), g.root_order(), g.levels_below_root()),
        (1, 1, 2)
    );
}

#[test]
fn the_default_of_kvm_with_64k_pages_needs_one_page_below_the_root() {
    let g = geometry(Granule::K64, 40, 40);
    assert_eq!(
        (g.start().number(), g.root_order(), g.levels_below_root()),
        (2, 0, 1)
    );
}

#[test]
fn a_48_bit_ipa_with_16k_pages_must_concatenate_two_tables_at_level_1() {
    let g = geometry(Granule::K16, 48, 48);
    assert_eq!((g.start().number(), g.root_order()), (1, 1));
}

#[test]
fn a_40_bit_machine_with_16k_pages_concatenates_sixteen_tables() {
    let g = geometry(Granule::K16, 40, 40);
    assert_eq!((g.start().number(), g.root_order()), (2, 4));
}

#[test]
fn vtcr_of_a_40_bit_ipa() {
    // T0SZ=24, SL0=1, IRGN0=ORGN0=1, SH0=3, TG0=0, PS=2, RES1.
    assert_eq!(geometry(Granule::K4, 40, 40).vtcr(), 0x8002_3558);
}

#[test]
fn the_output_size_is_clamped_to_48_bits_without_lpa2() {
    assert_eq!(geometry(Granule::K4, 40, 52).vtcr() >> 16 & 7, 5);
    assert_eq!(geometry(Granule::K64, 40, 52).vtcr() >> 16 & 7, 6);
}

#[test]
fn only_lpa_gives_64k_pages_a_level_1_block() {
    assert!(geometry(Granule::K64, 48, 52).holds_leaves(Level(1)));
    assert!(!geometry(Granule::K64, 48, 48).holds_leaves(Level(1)));
}

#[test]
fn an_ipa_size_past_the_physical_address_size_is_refused() {
    let refused = Geometry::new(&configuration(Granule::K4, 41, 40));
    assert_eq!(refused, Err(GeometryError::IpaSize(41)));
}

#[test]
fn level_0_is_refused_below_44_bits() {
    let mut c = configuration(Granule::K4, 42, 42);
    c.start_level = Some(0);
    assert_eq!(Geometry::new(&c), Err(GeometryError::StartLevel(0)));
}

#[test]
fn a_misaligned_root_is_refused() {
    let g = geometry(Granule::K4, 40, 40);
    let root = Pa::new(0x4800_1000);
    assert_eq!(g.vttbr(root, vmid(1)), Err(RootError::Misaligned(root)));
}

#[test]
fn a_root_past_the_output_size_is_refused() {
    let g = geometry(Granule::K4, 40, 40);
    let root = Pa::new(1 << 40);
    assert_eq!(
        g.vttbr(root, vmid(1)),
        Err(RootError::BeyondOutputSize(root))
    );
}

#[test]
fn vttbr_holds_the_high_bits_of_a_52_bit_root_at_bit_2() {
    let g = geometry(Granule::K64, 42, 52);
    assert_eq!(
        g.vttbr(Pa::new(0xa_0000_0001_0000), vmid(3)),
        Ok(3 << 48 | 0x1_0000 | 0xa << 2)
    );
}
