//! Permissions, and the updates of descriptors by hardware.

use oracle::walk::{Access, Answer, FaultKind, Update};

use crate::support::*;

const DENIED: Short = Short::Fault(FaultKind::Permission, 3);

fn permitted(setup: &Setup) -> Vec<Access> {
    let is_permitted = |access: &Access| short(setup.ask(0x1000, *access)) != DENIED;
    ALL.into_iter().filter(is_permitted).collect()
}

#[test]
fn s2ap_permits_loads_and_stores_each_by_its_own_bit() {
    use Access::{AtRead, AtWrite, Read, Write};
    for (s2ap, expected) in [
        (0b00, &[][..]),
        (0b01, &[Read, AtRead]),
        (0b10, &[Write, AtWrite]),
        (0b11, &[Read, Write, AtRead, AtWrite]),
    ] {
        let setup = Setup::page(PAGE & !S2AP | s2ap << 6 | XN);
        assert_eq!(permitted(&setup), expected, "{s2ap:#b}");
    }
}

#[test]
fn xn_permits_fetches_by_exception_level() {
    for (xn, with_xnx, without) in [
        (0, &[FETCH, FETCH_EL0][..], &[FETCH, FETCH_EL0][..]),
        (XNX, &[FETCH_EL0], &[FETCH, FETCH_EL0]),
        (XN, &[], &[]),
        (XN | XNX, &[FETCH], &[]),
    ] {
        let mut setup = Setup::page(PAGE & !S2AP | xn);
        assert_eq!(permitted(&setup), with_xnx, "{xn:#x}");
        setup.features.xnx = false;
        assert_eq!(permitted(&setup), without, "{xn:#x}");
    }
}

const AT: u64 = 0x5000_1008;
const CLEAN: u64 = PAGE & !(0b10 << 6) | DBM;

fn dirty(vtcr_bits: u64, descriptor: u64) -> Setup {
    Setup::page(descriptor).with(|setup| setup.registers.vtcr |= vtcr_bits)
}

fn update(setup: &Setup, access: Access) -> Option<Update> {
    translation(setup.ask(0x1000, access)).update
}

#[test]
fn a_store_to_a_clean_page_sets_dirty_state() {
    let setup = dirty(HA | HD, CLEAN);
    let new = Some(Update {
        at: AT,
        new: PAGE | DBM,
    });
    assert_eq!(update(&setup, Access::Write), new);
    assert_eq!(update(&setup, Access::Read), None);
    assert_eq!(update(&setup, FETCH), None);
}

#[test]
fn at_reports_a_clean_page_as_writable_and_leaves_it_clean() {
    assert_eq!(update(&dirty(HA | HD, CLEAN), Access::AtWrite), None);
}

#[test]
fn dirty_state_needs_ha_hd_dbm_and_the_feature() {
    let write = |setup: Setup| short(setup.ask(0x1000, Access::Write));
    assert_eq!(write(dirty(HA | HD, CLEAN)), Short::Pa(0));
    assert_eq!(write(dirty(HD, CLEAN)), DENIED);
    assert_eq!(write(dirty(HA, CLEAN)), DENIED);
    assert_eq!(write(dirty(HA | HD, CLEAN & !DBM)), DENIED);
    let without = dirty(HA | HD, CLEAN).with(|setup| setup.features.dbm = false);
    assert_eq!(write(without), DENIED);
}

#[test]
fn every_access_sets_the_access_flag_where_ha_is_set() {
    let setup = dirty(HA, PAGE & !AF);
    for access in ALL {
        let expected = Some(Update { at: AT, new: PAGE });
        assert_eq!(update(&setup, access), expected, "{access:?}");
    }
}

#[test]
fn an_access_flag_that_is_clear_faults_without_ha_or_the_feature() {
    let clear = Short::Fault(FaultKind::AccessFlag, 3);
    assert_eq!(short(Setup::page(PAGE & !AF).read(0x1000)), clear);
    let without = dirty(HA, PAGE & !AF).with(|setup| setup.features.haf = false);
    assert_eq!(short(without.read(0x1000)), clear);
}

#[test]
fn access_flag_and_dirty_state_are_one_update() {
    let setup = dirty(HA | HD, CLEAN & !AF);
    let new = Some(Update {
        at: AT,
        new: PAGE | DBM,
    });
    assert_eq!(update(&setup, Access::Write), new);
}

#[test]
fn a_permission_fault_may_set_the_access_flag() {
    let may_set = |descriptor| match dirty(HA, descriptor).read(0x1000) {
        Answer::Fault(fault) => fault.permitted_update,
        other => panic!("{other:?}"),
    };
    let denied = PAGE & !S2AP;
    assert_eq!(
        may_set(denied & !AF),
        Some(Update {
            at: AT,
            new: denied
        })
    );
    assert_eq!(may_set(denied), None);
}
