//! What Hyp mode's syndrome registers hold, by exact encodings.

use oracle::aarch32::report::{Abort, hyp_abort, stage2_abort};
use oracle::report::{Instruction, Known, Origin, Size, Stage1Walk, Transfer};
use oracle::stage1 as el2;
use oracle::walk::{self, Access, Answer};

use crate::support::*;

const ORIGIN: Origin = Origin {
    va: 0x8123_4567,
    ipa: 0xab_cdef_1567,
    walk: None,
    instruction: Instruction::NoSyndrome,
};
/// `IPA[39:12]` in its place.
const HPFAR: u64 = 0xabcd_ef10;
const IL: u64 = 1 << 25;
const ISV_GROUP: u64 = 0x7ff << 14;

const fn all_but(value: u64, unknown: u64) -> Known {
    Known {
        value,
        mask: !unknown,
    }
}

const UNKNOWN_ADDRESS: Known = all_but(0, 0xffff_ffff);

/// The abort of an access to a page of `descriptor`.
fn abort(descriptor: u64, access: Access, origin: Origin) -> Option<Abort> {
    match Guest::page(descriptor).ask(0x1000, access) {
        Answer::Fault(fault) => stage2_abort(&fault, access, &origin),
        other => panic!("no fault: {other:?}"),
    }
}

#[test]
fn hsr_tells_class_status_and_direction() {
    for (descriptor, access, hsr) in [
        (0, Access::Read, 0x9200_0007),
        (0, Access::Write, 0x9200_0047),
        (0, FETCH, 0x8200_0007),
        (PAGE & !AF, Access::Write, 0x9200_004b),
        (PAGE & !READ, FETCH_EL0, 0x8200_000f),
        (PAGE | 1 << 40, Access::Read, 0x9200_0003),
    ] {
        let found = abort(descriptor, access, ORIGIN).expect("an abort");
        assert_eq!(found.hsr, all_but(hsr, 0), "{access:?}");
    }
}

#[test]
fn the_address_is_in_the_register_of_its_side() {
    let data = abort(0, Access::Read, ORIGIN).expect("an abort");
    assert_eq!(
        (data.hdfar, data.hifar),
        (all_but(ORIGIN.va, 0), UNKNOWN_ADDRESS)
    );
    let fetch = abort(0, FETCH, ORIGIN).expect("an abort");
    assert_eq!(
        (fetch.hdfar, fetch.hifar),
        (UNKNOWN_ADDRESS, all_but(ORIGIN.va, 0))
    );
}

#[test]
fn hpfar_is_unknown_after_a_permission_fault_of_an_ordinary_access() {
    let hpfar =
        |descriptor, origin| abort(descriptor, Access::Write, origin).map(|abort| abort.hpfar);
    assert_eq!(hpfar(0, ORIGIN), Some(all_but(HPFAR, 0)));
    assert_eq!(hpfar(PAGE & !AF, ORIGIN), Some(all_but(HPFAR, 0)));
    assert_eq!(hpfar(PAGE & !WRITE, ORIGIN), Some(all_but(0, 0xffff_fff0)));
    let on_walk = Origin {
        walk: Some(Stage1Walk::Read),
        ..ORIGIN
    };
    assert_eq!(hpfar(PAGE & !WRITE, on_walk), Some(all_but(HPFAR, 0)));
}

#[test]
fn a_transfer_is_described_without_sf_and_without_its_size() {
    let origin = Origin {
        instruction: Instruction::Transfer(Transfer {
            size: Size::Word,
            sign_extend: false,
            register: 14,
            sixty_four: true,
            acquire_release: false,
        }),
        ..ORIGIN
    };
    let found = abort(0, Access::Read, origin).expect("an abort");
    let hsr = 0x24 << 26 | 1 << 24 | 0b10 << 22 | 14 << 16 | 7;
    assert_eq!(found.hsr, all_but(hsr, IL));
}

#[test]
fn an_external_abort_on_the_walk_leaves_isv_open() {
    let guest = Guest::page(PAGE).with(|guest| guest.ram.hole = Some(L2));
    let Answer::Fault(fault) = guest.ask(0x1000, Access::Read) else {
        panic!("the table cannot be read");
    };
    let found = stage2_abort(&fault, Access::Read, &ORIGIN).expect("an abort");
    let external_type = 1 << 9;
    let unknown = ISV_GROUP | IL | external_type;
    assert_eq!(found.hsr, all_but(0x24 << 26 | 0b01_0110, unknown));
}

#[test]
fn par_reports_what_address_translation_instructions_find() {
    assert_eq!(abort(0, Access::AtRead, ORIGIN), None);
    let fault = walk::Fault {
        kind: walk::FaultKind::Stage1AddressSize,
        level: 0,
        permitted_update: None,
    };
    assert_eq!(stage2_abort(&fault, Access::Read, &ORIGIN), None);
}

#[test]
fn an_abort_of_hyp_mode_is_of_the_same_exception_level() {
    let hyp = Hyp::page(HYP_PAGE | READ_ONLY | XN);
    for (access, hsr) in [
        (el2::Access::Write, 0x9600_004f),
        (el2::Access::Execute, 0x8600_000f),
    ] {
        let el2::Answer::Fault(fault) = hyp.ask(0x1000, access) else {
            panic!("{access:?} is denied");
        };
        let found = hyp_abort(&fault, access, 0x1000).expect("an abort");
        assert_eq!(found.hsr, all_but(hsr, 0), "{access:?}");
        assert_eq!(found.hpfar, all_but(0, 0xffff_fff0));
        let far = if access == el2::Access::Execute {
            found.hifar
        } else {
            found.hdfar
        };
        assert_eq!(far, all_but(0x1000, 0));
    }
}
