//! Memory attributes, as `PAR_EL1` reports them.

use oracle::stage1::{Access, FaultKind, Why};

use crate::support::*;

/// ATTR and SH of a leaf with this attribute in MAIR and this SH.
fn setup(attribute: u8, sh: u64) -> Setup {
    Setup::page(PAGE & !SH | sh << 8 | 7 << 2)
        .with(|setup| setup.registers.mair = u64::from(attribute) << 56)
}

fn reported(setup: &Setup) -> (u8, u8) {
    let found = translation(setup.ask(0x1000, Access::Read));
    (found.attributes, found.shareability)
}

const NSH: u64 = 0b00;
const OSH: u64 = 0b10;
const ISH: u64 = 0b11;

#[test]
fn attr_is_that_of_mair_and_sh_that_of_the_leaf() {
    for (attribute, sh, expected) in [
        (0xff, ISH, (0xff, 3)),
        (0xff, NSH, (0xff, 0)),
        (0xff, OSH, (0xff, 2)),
        (0x4f, ISH, (0x4f, 3)),
        (0x44, ISH, (0x44, 2)),
        (0x00, NSH, (0x00, 2)),
        (0x0c, ISH, (0x0c, 2)),
        (0xb7, ISH, (0xb7, 3)),
    ] {
        assert_eq!(reported(&setup(attribute, sh)), expected, "{attribute:#x}");
    }
}

#[test]
fn attrindx_selects_one_of_eight() {
    for (index, attribute) in [(0, 0xff), (1, 0x44), (2, 0x04), (3, 0xbb)] {
        let setup = Setup::page(PAGE | index << 2);
        assert_eq!(reported(&setup).0, attribute);
    }
}

#[test]
fn ds_takes_shareability_from_tcr() {
    let mut setup = Setup::new(WIDE, tcr(TG0_4K, 39, PS_52) | DS);
    setup.set(ROOT, LEAF & !SH);
    let shareability = |setup: &Setup| translation(setup.ask(0, Access::Read)).shareability;
    assert_eq!(shareability(&setup), 3);
    setup.registers.tcr &= !(0b11 << 12);
    assert_eq!(shareability(&setup), 0);
}

/// AArch64.S1DCacheEnabled
#[test]
fn normal_memory_is_non_cacheable_where_c_is_0() {
    let without_c = |attribute, xs| {
        let mut setup = setup(attribute, NSH);
        setup.registers.sctlr = M;
        setup.features.xs = xs;
        reported(&setup)
    };
    assert_eq!(without_c(0xff, false), (0x44, 2));
    assert_eq!(without_c(0x04, false), (0x04, 2));
    // FEAT_XS tells memory whose XS attribute was 0, which Write-Back is.
    assert_eq!(without_c(0xff, true), (0x40, 2));
    assert_eq!(without_c(0xbb, true), (0x44, 2));
}

/// S1ConstrainUnpredictableRESMAIR
#[test]
fn reserved_encodings_of_mair_are_open() {
    let open = |xs, mte2| {
        (0..=u8::MAX)
            .filter(|&attribute| {
                let mut setup = setup(attribute, ISH);
                setup.features.xs = xs;
                setup.features.mte2 = mte2;
                setup.read(0x1000) == Short::Open(Why::MemAttr)
            })
            .collect::<Vec<u8>>()
    };
    let device = [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15];
    let normal = (1..=15).map(|outer| outer << 4);
    let expected: Vec<u8> = device.into_iter().chain(normal).collect();
    assert_eq!(open(false, false), expected);
    let without = |defined: &[u8]| {
        let mut rest = expected.clone();
        rest.retain(|attribute| !defined.contains(attribute));
        rest
    };
    assert_eq!(open(true, false), without(&[1, 5, 9, 13, 0x40, 0xa0]));
    assert_eq!(open(false, true), without(&[0xf0]));
}

#[test]
fn the_reserved_shareability_is_open() {
    assert_eq!(
        setup(0xff, 0b01).read(0x1000),
        Short::Open(Why::Shareability)
    );
}

#[test]
fn a_permitted_fetch_from_device_memory_is_open() {
    let fetch = |bits| short(Setup::page(PAGE | bits).ask(0x1000, Access::Execute));
    assert_eq!(fetch(DEVICE), Short::Open(Why::FetchFromDevice));
    assert_eq!(fetch(NON_CACHEABLE), Short::Pa(0));
    assert_eq!(fetch(DEVICE | XN), Short::Fault(FaultKind::Permission, 3));
}

#[test]
fn a_reserved_attribute_does_not_hide_a_permission_fault() {
    let setup = Setup::page(PAGE | RESERVED | READ_ONLY);
    assert_eq!(
        short(setup.ask(0x1000, Access::Write)),
        Short::Fault(FaultKind::Permission, 3)
    );
    assert_eq!(setup.read(0x1000), Short::Open(Why::MemAttr));
}
