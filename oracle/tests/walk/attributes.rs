//! Memory attributes of both stages, as `PAR_EL1` reports them.

use crate::support::*;

/// ATTR and SH of a leaf with this MemAttr and SH.
fn reported(hcr: u64, mem_attr: u64, sh: u64) -> (u8, u8) {
    let leaf = PAGE & !MEM_ATTR & !(0b11 << 8) | mem_attr << 2 | sh << 8;
    let setup = Setup::page(leaf).with(|setup| setup.registers.hcr |= hcr);
    let found = translation(setup.read(0x1000));
    (found.attributes, found.shareability)
}

const NSH: u64 = 0b00;
const OSH: u64 = 0b10;
const ISH: u64 = 0b11;

#[test]
fn stage_1_device_wins_over_everything_without_fwb() {
    for mem_attr in [0b0000, 0b0001, 0b0011, 0b0101, 0b1010, 0b1111] {
        assert_eq!(reported(0, mem_attr, ISH), (0x00, 2), "{mem_attr:#b}");
    }
}

#[test]
fn stage_2_decides_over_default_cacheable_memory() {
    for (mem_attr, expected) in [
        (0b0000, (0x00, 2)),
        (0b0001, (0x04, 2)),
        (0b0010, (0x08, 2)),
        (0b0011, (0x0c, 2)),
        (0b0101, (0x44, 2)),
        (0b0111, (0x4f, 3)),
        (0b1101, (0xf4, 3)),
        (0b1010, (0xbb, 3)),
        (0b1011, (0xbf, 3)),
        (0b1111, (0xff, 3)),
    ] {
        assert_eq!(reported(DC, mem_attr, ISH), expected, "{mem_attr:#b}");
    }
}

#[test]
fn the_wider_shareability_wins() {
    // Stage 1 is Non-shareable with DC.
    assert_eq!(reported(DC, 0b1111, NSH), (0xff, 0));
    assert_eq!(reported(DC, 0b1111, ISH), (0xff, 3));
    assert_eq!(reported(DC, 0b1111, OSH), (0xff, 2));
}

#[test]
fn fwb_forces_keeps_or_weakens_the_type_of_stage_1() {
    for (mem_attr, off, default_cacheable) in [
        (0b0000, (0x00, 2), (0x00, 2)),
        (0b0011, (0x00, 2), (0x0c, 2)),
        (0b0101, (0x00, 2), (0x44, 2)),
        (0b0110, (0xff, 2), (0xff, 3)),
        (0b0111, (0x00, 2), (0xff, 3)),
    ] {
        assert_eq!(reported(FWB, mem_attr, ISH), off, "{mem_attr:#b}");
        assert_eq!(
            reported(FWB | DC, mem_attr, ISH),
            default_cacheable,
            "{mem_attr:#b}"
        );
    }
}

#[test]
fn fwb_needs_its_feature() {
    let mut setup = Setup::page(PAGE & !MEM_ATTR | 0b0110 << 2);
    setup.registers.hcr |= FWB | DC;
    assert_eq!(translation(setup.read(0x1000)).attributes, 0xff);
    setup.features.fwb = false;
    assert_eq!(translation(setup.read(0x1000)).attributes, 0x4b);
}

#[test]
fn ds_takes_shareability_from_vtcr() {
    let leaf = LEAF & !(0b11 << 8);
    let mut setup = Setup::new(WIDE, vtcr(TG0_4K, 39, 1, PS_52) | DS);
    setup.registers.hcr |= DC;
    setup.set(ROOT, leaf);
    assert_eq!(translation(setup.read(0)).shareability, 3);
    setup.registers.vtcr &= !(0b11 << 12);
    assert_eq!(translation(setup.read(0)).shareability, 0);
}

#[test]
fn cd_makes_data_non_cacheable() {
    assert_eq!(reported(DC | CD, 0b1111, NSH), (0x44, 2));
    assert_eq!(reported(DC | CD, 0b0001, NSH), (0x04, 2));
}

#[test]
fn stage_1_is_reported_alone_where_stage_2_is_off() {
    let setup = Setup::k4().with(|setup| setup.registers.hcr = RW);
    let found = translation(setup.read(0x1000));
    assert_eq!((found.attributes, found.shareability), (0x00, 2));
}
