//! What the syndrome registers hold, by exact encodings written out from the
//! descriptions of `ESR_EL2`, `HPFAR_EL2` and `PAR_EL1`.

use oracle::report::{
    Abort, Instruction, Known, Origin, Size, Stage1Walk, Transfer, el2_abort, par_s1e2, par_s12e1,
    stage2_abort,
};
use oracle::{stage1, walk};

const FETCH: walk::Access = walk::Access::Execute { el0: false };

fn fault(kind: walk::FaultKind, level: i8) -> walk::Fault {
    walk::Fault {
        kind,
        level,
        permitted_update: None,
    }
}

const ORIGIN: Origin = Origin {
    va: 0xffff_8000_1234_5678,
    ipa: 0x0008_0765_4321_5678,
    walk: None,
    instruction: Instruction::NoSyndrome,
};

fn abort(kind: walk::FaultKind, level: i8, access: walk::Access, origin: Origin) -> Abort {
    stage2_abort(&fault(kind, level), access, &origin).expect("an exception to EL2")
}

const fn exactly(value: u64) -> Known {
    Known {
        value,
        mask: u64::MAX,
    }
}

const fn all_but(value: u64, unknown: u64) -> Known {
    Known {
        value,
        mask: !unknown,
    }
}

/// FIPA and NS of `HPFAR_EL2`.
const UNKNOWN_HPFAR: Known = all_but(0, 0x8000_ffff_ffff_fff0);

#[test]
fn esr_tells_class_status_and_direction() {
    use walk::Access::{Read, Write};
    use walk::FaultKind::{AccessFlag, AddressSize, Permission, Translation};
    for (kind, level, access, esr) in [
        (Translation, 0, Read, 0x9200_0004),
        (Translation, 3, Write, 0x9200_0047),
        (Translation, -1, Read, 0x9200_002b),
        (Translation, 2, FETCH, 0x8200_0006),
        (AddressSize, 1, Read, 0x9200_0001),
        (AddressSize, -1, Write, 0x9200_0069),
        (AccessFlag, 3, Write, 0x9200_004b),
        (AccessFlag, 1, FETCH, 0x8200_0009),
        (Permission, 2, Write, 0x9200_004e),
        (Permission, 3, FETCH, 0x8200_000f),
    ] {
        let found = abort(kind, level, access, ORIGIN).esr;
        assert_eq!(found, exactly(esr), "{kind:?} {level} {access:?}");
    }
}

#[test]
fn fetches_of_el1_and_el0_are_reported_alike() {
    let of = |el0| {
        let access = walk::Access::Execute { el0 };
        abort(walk::FaultKind::Permission, 3, access, ORIGIN)
    };
    assert_eq!(of(true), of(false));
}

#[test]
fn an_external_abort_leaves_ea_and_the_ipa_open() {
    let found = abort(walk::FaultKind::ExternalAbort, 2, FETCH, ORIGIN);
    assert_eq!(found.esr, all_but(0x8200_0016, 1 << 9));
    assert_eq!(found.hpfar, UNKNOWN_HPFAR);
    let instruction = Instruction::Transfer(TRANSFER);
    let origin = Origin {
        instruction,
        ..ORIGIN
    };
    // No instruction syndrome.
    let found = abort(
        walk::FaultKind::ExternalAbort,
        -1,
        walk::Access::Read,
        origin,
    );
    assert_eq!(found.esr, all_but(0x9200_0013, 1 << 9));
}

const TRANSFER: Transfer = Transfer {
    size: Size::Doubleword,
    sign_extend: false,
    register: 0,
    sixty_four: true,
    acquire_release: false,
};

#[test]
fn the_syndrome_of_an_instruction_stands_in_bits_24_to_14() {
    let esr = |access, instruction| {
        let origin = Origin {
            instruction,
            ..ORIGIN
        };
        abort(walk::FaultKind::Translation, 3, access, origin).esr
    };
    use walk::Access::{Read, Write};
    let ldrsb_w5 = Transfer {
        size: Size::Byte,
        sign_extend: true,
        register: 5,
        sixty_four: false,
        acquire_release: false,
    };
    let ldarh_w30 = Transfer {
        size: Size::Halfword,
        register: 30,
        sixty_four: false,
        acquire_release: true,
        ..TRANSFER
    };
    let str_wzr = Transfer {
        size: Size::Word,
        register: 31,
        sixty_four: false,
        ..TRANSFER
    };
    for (access, transfer, expected) in [
        (Read, TRANSFER, 0x93c0_8007),
        (Read, ldrsb_w5, 0x9325_0007),
        (Read, ldarh_w30, 0x935e_4007),
        (Write, str_wzr, 0x939f_0047),
    ] {
        let found = esr(access, Instruction::Transfer(transfer));
        assert_eq!(found, exactly(expected), "{transfer:?}");
    }
    let untold = esr(Write, Instruction::Untold);
    assert_eq!(untold, all_but(0x9200_0047, 0x01ff_c000));
    // An instruction abort has none.
    assert_eq!(
        esr(FETCH, Instruction::Transfer(TRANSFER)),
        exactly(0x8200_0007)
    );
}

#[test]
fn far_is_the_address_of_the_access() {
    let found = abort(walk::FaultKind::Permission, 3, walk::Access::Read, ORIGIN);
    assert_eq!(found.far, exactly(0xffff_8000_1234_5678));
}

#[test]
fn hpfar_holds_the_ipa_except_after_a_permission_fault() {
    use walk::FaultKind::{AccessFlag, AddressSize, Permission, Translation};
    let hpfar = |kind| abort(kind, 3, walk::Access::Read, ORIGIN).hpfar;
    for kind in [Translation, AddressSize, AccessFlag] {
        assert_eq!(hpfar(kind), exactly(0x0000_0807_6543_2150), "{kind:?}");
    }
    assert_eq!(hpfar(Permission), UNKNOWN_HPFAR);
}

#[test]
fn a_fault_on_a_stage_1_walk_sets_s1ptw_and_its_ipa_is_valid() {
    use walk::Access::{Read, Write};
    let on_walk = |access, walk| {
        let origin = Origin {
            walk: Some(walk),
            instruction: Instruction::Transfer(TRANSFER),
            ..ORIGIN
        };
        abort(walk::FaultKind::Permission, 2, access, origin)
    };
    for (access, walk, esr) in [
        (Read, Stage1Walk::Read, exactly(0x9200_008e)),
        (Write, Stage1Walk::Update, exactly(0x9200_00ce)),
        (Read, Stage1Walk::Update, all_but(0x9200_008e, 1 << 6)),
        (Write, Stage1Walk::Read, all_but(0x9200_008e, 1 << 6)),
        (FETCH, Stage1Walk::Update, exactly(0x8200_008e)),
    ] {
        let found = on_walk(access, walk);
        assert_eq!(found.esr, esr, "{access:?} {walk:?}");
        assert_eq!(found.hpfar.mask, u64::MAX);
    }
}

#[test]
fn faults_that_do_not_reach_el2_have_no_syndrome_there() {
    let of = |kind, access| stage2_abort(&fault(kind, 0), access, &ORIGIN);
    let stage1 = walk::FaultKind::Stage1AddressSize;
    assert_eq!(of(stage1, walk::Access::Read), None);
    let translation = walk::FaultKind::Translation;
    assert_eq!(of(translation, walk::Access::AtWrite), None);
    assert_ne!(of(translation, walk::Access::Write), None);
}

/// EC 0x25, CM and WnR: `AT` is an instruction of EL2.
#[test]
fn an_external_abort_on_the_walk_of_at_is_taken() {
    let esr = all_but(0x9600_0157, 1 << 9);
    let found = abort(
        walk::FaultKind::ExternalAbort,
        3,
        walk::Access::AtRead,
        ORIGIN,
    );
    assert_eq!(found.esr, esr);
    let found = el2_abort(
        &el2_fault(stage1::FaultKind::ExternalAbort, 3),
        stage1::Access::AtRead,
        0,
    );
    assert_eq!(found.expect("an exception").esr, esr);
}

fn el2_fault(kind: stage1::FaultKind, level: i8) -> stage1::Fault {
    stage1::Fault {
        kind,
        level,
        permitted_update: None,
    }
}

#[test]
fn el2_reports_its_own_faults_as_of_the_same_level_without_an_ipa() {
    use stage1::Access::{Execute, Read, Write};
    use stage1::FaultKind::{AccessFlag, AddressSize, Permission, Translation};
    for (kind, level, access, esr) in [
        (Translation, 3, Read, 0x9600_0007),
        (Translation, -1, Write, 0x9600_006b),
        (AddressSize, 0, Read, 0x9600_0000),
        (AccessFlag, 2, Execute, 0x8600_000a),
        (Permission, 3, Write, 0x9600_004f),
        (Permission, 1, Execute, 0x8600_000d),
    ] {
        let found = el2_abort(&el2_fault(kind, level), access, 0x1_2345).expect("an exception");
        assert_eq!(found.esr, exactly(esr), "{kind:?} {level} {access:?}");
        assert_eq!(found.far, exactly(0x1_2345));
        assert_eq!(found.hpfar, UNKNOWN_HPFAR);
    }
    let at = el2_abort(&el2_fault(Translation, 3), stage1::Access::AtRead, 0);
    assert_eq!(at, None);
}

fn stage2_success(pa: u64, attributes: u8, shareability: u8) -> walk::Answer {
    walk::Answer::Translation(walk::Translation {
        pa,
        level: 3,
        size: 0x1000,
        read: true,
        write: true,
        execute_el1: true,
        execute_el0: true,
        attributes,
        shareability,
        update: None,
    })
}

/// NS, an IMPLEMENTATION DEFINED bit, and NSE with FEAT_RME.
const OPEN_IN_PAR: u64 = 0b111 << 9;

#[test]
fn par_of_a_success_holds_address_attributes_and_shareability() {
    for (pa, attributes, shareability, par) in [
        (0x8000_1abc, 0xff, 3, 0xff00_0000_8000_1180),
        (0x000f_ffff_ffff_ffff, 0x04, 2, 0x040f_ffff_ffff_f100),
        (0, 0x44, 2, 0x4400_0000_0000_0100),
        (0x1000, 0xbb, 0, 0xbb00_0000_0000_1000),
    ] {
        let found = par_s12e1(&stage2_success(pa, attributes, shareability));
        assert_eq!(found, Some(all_but(par, OPEN_IN_PAR)), "{pa:#x}");
    }
    let el2 = stage1::Answer::Translation(stage1::Translation {
        pa: 0x8000_1abc,
        level: 3,
        size: 0x1000,
        read: true,
        write: true,
        execute: true,
        guarded: false,
        attributes: 0xff,
        shareability: 3,
        update: None,
    });
    let expected = all_but(0xff00_0000_8000_1180, OPEN_IN_PAR);
    assert_eq!(par_s1e2(&el2), Some(expected));
}

#[test]
fn par_of_a_fault_holds_status_and_stage() {
    use walk::FaultKind::{AddressSize, Permission, Stage1AddressSize, Translation};
    let above = 0xffff << 48;
    for (kind, level, par) in [
        (Translation, 0, 0xa09),
        (Translation, -1, 0xa57),
        (AddressSize, 2, 0xa05),
        (Permission, 3, 0xa1f),
        (Stage1AddressSize, 0, 0x801),
    ] {
        let found = par_s12e1(&walk::Answer::Fault(fault(kind, level)));
        assert_eq!(found, Some(all_but(par, above)), "{kind:?} {level}");
    }
    let el2 = stage1::Answer::Fault(el2_fault(stage1::FaultKind::AccessFlag, 1));
    assert_eq!(par_s1e2(&el2), Some(all_but(0x813, above)));
}

#[test]
fn par_is_unknown_after_an_external_abort_and_not_told_where_the_answer_is_open() {
    let abort = fault(walk::FaultKind::ExternalAbort, 1);
    let stage2 = walk::Answer::Fault(abort);
    assert_eq!(par_s12e1(&stage2), Some(Known::UNKNOWN));
    let el2 = stage1::Answer::Fault(el2_fault(stage1::FaultKind::ExternalAbort, 1));
    assert_eq!(par_s1e2(&el2), Some(Known::UNKNOWN));
    let open = walk::Why::BlockNt;
    assert_eq!(par_s12e1(&walk::Answer::Unpredictable(open)), None);
    assert_eq!(par_s1e2(&stage1::Answer::Unpredictable(open)), None);
}

#[test]
fn known_bits_alone_are_compared() {
    let known = all_but(0x10, 0xf);
    assert!(known.allows(0x10));
    assert!(known.allows(0x1f));
    assert!(!known.allows(0x30));
    assert!(Known::UNKNOWN.allows(!0));
}
