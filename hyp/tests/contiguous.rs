//! The contiguous hint: contract section O.

mod support;

use hyp::addr::Ipa;
use hyp::geometry::{Configuration, Features};
use hyp::stage2::Stage2;
use support::tables::{assert_counted, raw};
use support::{Machine, RO, RW, TestCpu, configuration, mapping, with_vm_of};

const PAGE: u64 = 4096;
const GROUP: u64 = 16 * PAGE;
const BLOCK: u64 = 2 << 20;

fn with_hints(test: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>, &Machine)) {
    let hints = Configuration {
        contiguous: true,
        ..configuration(true)
    };
    with_vm_of(&hints, test);
}

/// Which of the pages from `from` on carry the hint: their numbers.
fn hinted(vm: &Stage2<'_>, machine: &Machine, pages: std::ops::Range<u64>) -> Vec<u64> {
    pages
        .filter(|page| raw(vm, machine, page * PAGE).is_contiguous())
        .collect()
}

#[test]
fn aligned_groups_carry_the_hint_and_the_rest_does_not() {
    with_hints(|vm, cpu, machine| {
        let pages = mapping(8 * PAGE, 0x5000_8000, 40 * PAGE, RW);
        vm.map(cpu, &pages).unwrap();
        let groups: Vec<u64> = (16..48).collect();
        assert_eq!(hinted(vm, machine, 0..64), groups);
    });
}

#[test]
fn ipa_and_pa_must_be_aligned_alike() {
    with_hints(|vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 4 * GROUP, RW))
            .unwrap();
        assert_eq!(hinted(vm, machine, 0..64), [0; 0]);
    });
}

#[test]
fn a_group_that_holds_something_already_gets_no_hint() {
    with_hints(|vm, cpu, machine| {
        vm.map(cpu, &mapping(PAGE, 0x5000_1000, PAGE, RW)).unwrap();
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * GROUP, RW))
            .unwrap();
        let second: Vec<u64> = (16..32).collect();
        assert_eq!(hinted(vm, machine, 0..32), second);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn where_hardware_sets_flags_there_is_no_hint() {
    let both = Configuration {
        contiguous: true,
        features: Features {
            haf: true,
            ..Features::default()
        },
        ..configuration(true)
    };
    with_vm_of(&both, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, GROUP, RW)).unwrap();
        assert_eq!(hinted(vm, machine, 0..16), [0; 0]);
    });
}

/// Three groups in a row, the middle one met by `operation` in its third page; what
/// is left of the hints.
fn hints_after(operation: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>, Ipa)) -> Vec<u64> {
    let mut left = Vec::new();
    with_hints(|vm, cpu, machine| {
        let pages = mapping(0, 0x5000_0000, 3 * GROUP, RW);
        vm.map(cpu, &pages).unwrap();
        operation(vm, cpu, Ipa::new(18 * PAGE));
        assert_counted(vm, cpu, machine);
        left = hinted(vm, machine, 0..48);
    });
    left
}

#[test]
fn a_group_of_which_one_leaf_changes_loses_the_hint() {
    let others: Vec<u64> = (0..16).chain(32..48).collect();
    let moved = mapping(18 * PAGE, 0x6000_0000, PAGE, RW);
    assert_eq!(
        hints_after(|vm, cpu, at| vm.unmap(cpu, at, PAGE).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, at| vm.unmap_whole(cpu, at, PAGE).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, at| vm.write_protect(cpu, at, PAGE).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, at| vm.protect(cpu, at, PAGE, RO).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, at| vm.soften(cpu, at, PAGE).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, at| vm.annotate(cpu, at, PAGE, 1).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, _| vm.map(cpu, &moved).unwrap()),
        others
    );
    assert_eq!(
        hints_after(|vm, cpu, at| assert_eq!(vm.clear_young(cpu, at, PAGE), Ok(true))),
        others
    );
}

#[test]
fn a_group_that_changes_as_a_whole_keeps_the_hint() {
    let all: Vec<u64> = (0..48).collect();
    let group = Ipa::new(GROUP);
    assert_eq!(
        hints_after(|vm, cpu, _| vm.write_protect(cpu, group, GROUP).unwrap()),
        all
    );
    assert_eq!(
        hints_after(|vm, cpu, _| assert_eq!(vm.clear_young(cpu, group, GROUP), Ok(true))),
        all
    );
}

#[test]
fn a_group_in_which_nothing_changes_is_left_alone() {
    with_hints(|vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, GROUP, RO)).unwrap();
        machine.take_log();
        let at = Ipa::new(2 * PAGE);
        vm.write_protect(cpu, at, PAGE).unwrap();
        vm.protect(cpu, at, PAGE, RO).unwrap();
        vm.make_young(cpu, at).unwrap();
        vm.relax(cpu, at, RO).unwrap();
        vm.map(cpu, &mapping(2 * PAGE, 0x5000_2000, PAGE, RO))
            .unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_group_is_broken_as_a_whole_before_one_of_it_changes() {
    with_hints(|vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, GROUP, RW)).unwrap();
        machine.take_log();
        vm.write_protect(cpu, Ipa::new(2 * PAGE), PAGE).unwrap();
        let log = machine.take_log();
        let words: Vec<&str> = log.iter().map(|l| l.split(' ').next().unwrap()).collect();
        assert_eq!(words[..16], ["str"; 16]);
        let invalidated = words.iter().position(|&word| word == "tlbi").unwrap();
        let made = words.iter().position(|&word| word == "stlr").unwrap();
        assert!(invalidated < made, "{log:?}");
        // The leaves again, and the one that changed.
        assert_eq!(words.iter().filter(|&&word| word == "stlr").count(), 17);
    });
}

#[test]
fn a_block_of_a_group_is_split_after_the_group() {
    with_hints(|vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x4000_0000, 16 * BLOCK, RW))
            .unwrap();
        assert!(raw(vm, machine, 0).is_contiguous());
        vm.unmap(cpu, Ipa::new(BLOCK + PAGE), PAGE).unwrap();
        let hints = (0..16).filter(|block| raw(vm, machine, block * BLOCK).is_contiguous());
        assert_eq!(hints.count(), 0);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn a_built_table_carries_hints_and_coalesces_into_a_plain_block() {
    with_hints(|vm, cpu, machine| {
        vm.map(cpu, &mapping(BLOCK, 0x5000_0000, PAGE, RW)).unwrap();
        vm.build(cpu, &mapping(0, 0x6000_0000, 0, RW), 2).unwrap();
        vm.link(cpu).unwrap();
        assert_eq!(hinted(vm, machine, 0..512).len(), 512);
        vm.coalesce(cpu, Ipa::new(0), BLOCK).unwrap();
        assert!(!raw(vm, machine, 0).is_contiguous());
        assert_counted(vm, cpu, machine);
    });
}
