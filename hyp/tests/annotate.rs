//! Annotations: contract section N.

mod support;

use hyp::addr::Ipa;
use hyp::stage2::{Entry, Error, RangeError};
use support::tables::{assert_counted, decision, leaf, raw};
use support::{RW, mapping, with_vm};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;

fn owned_by(owner: u8) -> Entry {
    Entry::Annotated(owner.try_into().unwrap())
}

#[test]
fn a_range_is_annotated_in_the_largest_entries_that_fit() {
    with_vm(true, |vm, cpu, machine| {
        vm.annotate(cpu, Ipa::new(BLOCK - PAGE), BLOCK + PAGE, 9)
            .unwrap();
        assert_eq!(decision(vm, cpu, BLOCK - 2 * PAGE), (3, Entry::Empty));
        assert_eq!(decision(vm, cpu, BLOCK - PAGE), (3, owned_by(9)));
        assert_eq!(decision(vm, cpu, BLOCK), (2, owned_by(9)));
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn an_annotation_breaks_what_was_mapped_by_its_own_store() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * PAGE, RW)).unwrap();
        vm.load(cpu).unwrap();
        let entry = support::tables::entry(vm, machine, 0);
        machine.take_log();
        vm.annotate(cpu, Ipa::new(0), PAGE, 1).unwrap();
        let mark = raw(vm, machine, 0).raw();
        assert_eq!(
            machine.take_log(),
            [
                format!("str {entry} {mark:#x}").as_str(),
                "dsb ishst",
                "tlbi ipas2e1is 0x0",
                "dsb ish",
                "tlbi vmalle1is",
                "dsb ish",
                "isb"
            ]
        );
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn a_table_is_replaced_with_all_that_is_below() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 8 * PAGE, RW)).unwrap();
        vm.annotate(cpu, Ipa::new(0), BLOCK, 2).unwrap();
        assert_eq!(decision(vm, cpu, 0), (2, owned_by(2)));
        assert_counted(vm, cpu, machine);
        vm.unmap(cpu, Ipa::new(0), BLOCK).unwrap();
        assert_eq!(decision(vm, cpu, 0), (1, Entry::Empty));
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn what_the_owner_has_already_is_not_stored() {
    with_vm(true, |vm, cpu, machine| {
        vm.annotate(cpu, Ipa::new(0), BLOCK, 3).unwrap();
        machine.take_log();
        vm.annotate(cpu, Ipa::new(PAGE), PAGE, 3).unwrap();
        vm.annotate(cpu, Ipa::new(0), BLOCK, 3).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
        vm.annotate(cpu, Ipa::new(PAGE), PAGE, 4).unwrap();
        assert_eq!(decision(vm, cpu, 0), (3, owned_by(3)));
        assert_eq!(decision(vm, cpu, PAGE), (3, owned_by(4)));
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn the_rest_of_a_cut_block_stays_mapped() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        vm.annotate(cpu, Ipa::new(PAGE), PAGE, 5).unwrap();
        assert_eq!(leaf(vm, cpu, 2 * PAGE).0, 3);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn unmap_whole_takes_annotations() {
    with_vm(true, |vm, cpu, machine| {
        vm.annotate(cpu, Ipa::new(0), BLOCK, 6).unwrap();
        vm.unmap_whole(cpu, Ipa::new(PAGE), PAGE).unwrap();
        assert_eq!(decision(vm, cpu, 0), (1, Entry::Empty));
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn annotate_stops_where_the_cache_cannot_hold_the_whole_path() {
    with_vm(true, |vm, cpu, machine| {
        cpu.drain();
        cpu.top_up(1);
        let refused = vm.annotate(cpu, Ipa::new(0), PAGE, 1);
        assert_eq!(refused, Err(Error::NoPages { done: 0, need: 2 }));
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn the_owner_is_checked_after_the_range() {
    with_vm(true, |vm, cpu, _| {
        let refused = vm.annotate(cpu, Ipa::new(1), PAGE, 0);
        assert_eq!(refused, Err(Error::Range(RangeError::Misaligned(1))));
        let refused = vm.annotate(cpu, Ipa::new(0), PAGE, 0);
        assert_eq!(refused, Err(Error::Owner(0)));
    });
}
