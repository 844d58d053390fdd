//! The order of faults, their levels, and their status codes.

use oracle::walk::{Access, Answer, Fault, FaultKind};

use crate::support::*;

#[test]
fn an_abort_on_a_descriptor_reports_its_level() {
    for (hole, level) in [(ROOT, 1), (0x5000_0000, 2), (0x5000_1008, 3)] {
        let setup = Setup::page(PAGE).with(|setup| setup.ram.hole = Some(hole));
        let expected = Short::Fault(FaultKind::ExternalAbort, level);
        assert_eq!(short(setup.read(0x1000)), expected);
    }
}

#[test]
fn address_size_comes_before_access_flag_and_that_before_permission() {
    let mut setup = Setup::page(1 << 40 | PAGE & !AF & !S2AP);
    setup.registers.vtcr = vtcr(TG0_4K, 39, 1, PS_36);
    let mut found = Vec::new();
    for repaired in [0, 1 << 40, AF] {
        let descriptor = setup.ram.words[&0x5000_1008];
        setup.set(0x5000_1008, descriptor ^ repaired);
        found.push(short(setup.read(0x1000)));
    }
    let expected = [
        FaultKind::AddressSize,
        FaultKind::AccessFlag,
        FaultKind::Permission,
    ];
    assert_eq!(found, expected.map(|kind| Short::Fault(kind, 3)));
}

#[test]
fn an_invalid_descriptor_faults_whatever_else_it_holds() {
    let setup = Setup::page(!1);
    assert_eq!(
        short(setup.read(0x1000)),
        Short::Fault(FaultKind::Translation, 3)
    );
}

#[test]
fn a_reserved_memory_type_does_not_hide_a_permission_fault() {
    let setup = Setup::page(PAGE & !S2AP & !MEM_ATTR | 0b0100 << 2);
    assert_eq!(
        short(setup.read(0x1000)),
        Short::Fault(FaultKind::Permission, 3)
    );
}

/// EncodeLDFSC
#[test]
fn status_codes_are_those_of_the_long_descriptor_format() {
    let code = |kind, level| {
        Fault {
            kind,
            level,
            permitted_update: None,
        }
        .fsc()
    };
    for (kind, codes) in [
        (FaultKind::AddressSize, [0x29, 0x00, 0x01, 0x02, 0x03]),
        (FaultKind::Translation, [0x2b, 0x04, 0x05, 0x06, 0x07]),
        (FaultKind::ExternalAbort, [0x13, 0x14, 0x15, 0x16, 0x17]),
    ] {
        assert_eq!([-1, 0, 1, 2, 3].map(|level| code(kind, level)), codes);
    }
    assert_eq!(code(FaultKind::AccessFlag, 3), 0x0b);
    assert_eq!(code(FaultKind::Permission, 1), 0x0d);
    assert_eq!(code(FaultKind::Stage1AddressSize, 0), 0x00);
}

#[test]
fn the_stage_1_fault_alone_is_not_of_stage_2() {
    let is_stage2 = |answer| match answer {
        Answer::Fault(fault) => fault.is_stage2(),
        other => panic!("{other:?}"),
    };
    assert!(is_stage2(Setup::k4().ask(0, Access::Write)));
    assert!(!is_stage2(Setup::k4().ask(1 << 48, Access::Write)));
}
