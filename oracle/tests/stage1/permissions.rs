//! Permissions of leaves and tables, and the updates of descriptors by hardware.

use oracle::stage1::{Access, Answer, FaultKind, Update};

use crate::support::*;

use Access::{AtRead, AtWrite, Execute, Read, Write};

const DENIED: Short = Short::Fault(FaultKind::Permission, 3);

fn permitted(setup: &Setup) -> Vec<Access> {
    let is_permitted = |access: &Access| short(setup.ask(0x1000, *access)) != DENIED;
    ALL.into_iter().filter(is_permitted).collect()
}

#[test]
fn ap_2_forbids_stores_and_xn_forbids_fetches() {
    for (bits, expected) in [
        (0, &[Read, Write, Execute, AtRead, AtWrite][..]),
        (READ_ONLY, &[Read, Execute, AtRead]),
        (XN, &[Read, Write, AtRead, AtWrite]),
        (READ_ONLY | XN, &[Read, AtRead]),
    ] {
        assert_eq!(permitted(&Setup::page(PAGE | bits)), expected, "{bits:#x}");
    }
}

#[test]
fn ap_1_bit_53_and_ng_mean_nothing_at_el2() {
    let setup = Setup::page(PAGE & !(1 << 6) | 1 << 53 | 1 << 11);
    assert_eq!(permitted(&setup), ALL);
}

/// AArch64.S1ApplyTablePerms
#[test]
fn tables_of_every_level_restrict_all_below_them() {
    for (bit, expected) in [
        (AP_TABLE_1, &[Read, Execute, AtRead][..]),
        (XN_TABLE, &[Read, Write, AtRead, AtWrite]),
        (1 << 61 | 1 << 59, &ALL),
    ] {
        for at in [ROOT, L2] {
            let mut setup = Setup::page(PAGE);
            let table = setup.ram.words[&at];
            setup.set(at, table | bit);
            assert_eq!(permitted(&setup), expected, "{bit:#x} at {at:#x}");
        }
    }
}

#[test]
fn hpd_lifts_the_restrictions_of_tables() {
    let mut setup = Setup::page(PAGE);
    setup.set(ROOT, L2 | TABLE | AP_TABLE_1 | XN_TABLE);
    assert_eq!(permitted(&setup), [Read, AtRead]);
    setup.registers.tcr |= HPD;
    assert_eq!(permitted(&setup), ALL);
    setup.features.hpds = false;
    assert_eq!(permitted(&setup), [Read, AtRead]);
}

#[test]
fn a_restriction_does_not_reach_the_next_table() {
    let mut setup = Setup::page(PAGE);
    setup.set(ROOT + 8, L2 | TABLE | XN_TABLE);
    assert_eq!(permitted(&setup), ALL);
    assert_eq!(short(setup.ask(1 << 30 | 0x1000, Execute)), DENIED);
}

/// AArch64.S1ComputePermissions
#[test]
fn wxn_forbids_fetches_where_stores_are_permitted() {
    let with_wxn = |descriptor| Setup::page(descriptor).with(|setup| setup.registers.sctlr |= WXN);
    let mut setup = with_wxn(PAGE);
    assert_eq!(permitted(&setup), [Read, Write, AtRead, AtWrite]);
    assert_eq!(
        permitted(&with_wxn(PAGE | READ_ONLY)),
        [Read, Execute, AtRead]
    );
    // What a table makes read-only may be executed.
    setup.set(L2, L3 | TABLE | AP_TABLE_1);
    assert_eq!(permitted(&setup), [Read, Execute, AtRead]);
}

#[test]
fn wxn_counts_a_clean_page_as_writable() {
    let mut setup = Setup::page(CLEAN);
    setup.registers.sctlr |= WXN;
    assert_eq!(permitted(&setup), [Read, Execute, AtRead]);
    setup.registers.tcr |= HA | HD;
    assert_eq!(permitted(&setup), [Read, Write, AtRead, AtWrite]);
}

const CLEAN: u64 = PAGE | READ_ONLY | DBM;

fn dirty(tcr_bits: u64, descriptor: u64) -> Setup {
    Setup::page(descriptor).with(|setup| setup.registers.tcr |= tcr_bits)
}

fn update(setup: &Setup, access: Access) -> Option<Update> {
    translation(setup.ask(0x1000, access)).update
}

fn becomes(new: u64) -> Option<Update> {
    Some(Update { at: L3 + 8, new })
}

#[test]
fn a_store_alone_to_a_clean_page_clears_ap_2() {
    let setup = dirty(HA | HD, CLEAN);
    assert_eq!(update(&setup, Write), becomes(PAGE | DBM));
    for access in [Read, Execute, AtRead, AtWrite] {
        assert_eq!(update(&setup, access), None, "{access:?}");
    }
}

#[test]
fn dirty_state_needs_ha_hd_dbm_and_the_feature() {
    let write = |setup: Setup| short(setup.ask(0x1000, Write));
    assert_eq!(write(dirty(HA | HD, CLEAN)), Short::Pa(0));
    assert_eq!(write(dirty(HD, CLEAN)), DENIED);
    assert_eq!(write(dirty(HA, CLEAN)), DENIED);
    assert_eq!(write(dirty(HA | HD, CLEAN & !DBM)), DENIED);
    let without = dirty(HA | HD, CLEAN).with(|setup| setup.features.both.dbm = false);
    assert_eq!(write(without), DENIED);
}

#[test]
fn a_read_only_table_keeps_a_clean_page_clean() {
    let setup = dirty(HA | HD, CLEAN).with(|setup| setup.set(L2, L3 | TABLE | AP_TABLE_1));
    assert_eq!(short(setup.ask(0x1000, Write)), DENIED);
}

#[test]
fn every_access_sets_the_access_flag_where_ha_is_set() {
    for access in ALL {
        let setup = dirty(HA, PAGE & !AF);
        assert_eq!(update(&setup, access), becomes(PAGE), "{access:?}");
    }
    assert_eq!(
        update(&dirty(HA | HD, CLEAN & !AF), Write),
        becomes(PAGE | DBM)
    );
}

#[test]
fn an_access_flag_that_is_clear_faults_without_ha_or_the_feature() {
    let clear = Short::Fault(FaultKind::AccessFlag, 3);
    assert_eq!(Setup::page(PAGE & !AF).read(0x1000), clear);
    let without = dirty(HA, PAGE & !AF).with(|setup| setup.features.both.haf = false);
    assert_eq!(without.read(0x1000), clear);
}

/// AArch64.SettingAccessFlagPermitted
#[test]
fn a_permission_fault_may_set_the_access_flag() {
    let may_set = |descriptor| match dirty(HA, descriptor).ask(0x1000, Write) {
        Answer::Fault(fault) => fault.permitted_update,
        other => panic!("{other:?}"),
    };
    assert_eq!(may_set(PAGE & !AF | READ_ONLY), becomes(PAGE | READ_ONLY));
    assert_eq!(may_set(PAGE | READ_ONLY), None);
}

#[test]
fn gp_marks_a_guarded_page() {
    let guarded = |descriptor| translation(Setup::page(descriptor).ask(0x1000, Read)).guarded;
    assert!(guarded(PAGE | GP));
    assert!(!guarded(PAGE));
}
