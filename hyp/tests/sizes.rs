//! Blocks that become tables, and tables that become blocks: protect and split
//! (contract section T), coalesce (W7), and G4 with FEAT_BBM at level 2.

mod support;

use hyp::addr::{Ipa, Pa};
use hyp::descriptor::{AttributesError, Execute, MemoryType, Prot};
use hyp::geometry::Features;
use hyp::stage2::{Entry, Error};
use support::tables::{assert_counted, decision, leaf, raw};
use support::{RO, RW, RX, mapping, with_features, with_vm, with_vm_of};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

#[test]
fn protect_changes_exactly_the_range() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * BLOCK, RW))
            .unwrap();
        vm.protect(cpu, Ipa::new(PAGE), BLOCK, RO).unwrap();
        let prots = [0, PAGE, BLOCK, BLOCK + PAGE].map(|ipa| leaf(vm, cpu, ipa).1.prot);
        assert_eq!(prots, [RW, RO, RO, RW]);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn protect_of_a_cut_block_with_an_empty_cache_changes_nothing() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x4000_0000, GIB, RW)).unwrap();
        cpu.drain();
        machine.take_log();
        let refused = vm.protect(cpu, Ipa::new(PAGE), BLOCK, RO);
        assert_eq!(refused, Err(Error::NoPages { done: 0, need: 3 }));
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn protect_does_not_store_what_is_so_already() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RO)).unwrap();
        machine.take_log();
        vm.protect(cpu, Ipa::new(0), BLOCK, RO).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn protect_keeps_a_device_from_execution() {
    with_vm(true, |vm, cpu, machine| {
        let mut device = mapping(0, 0x900_0000, PAGE, RW);
        device.memory = MemoryType::DeviceNgnre;
        vm.map(cpu, &device).unwrap();
        vm.protect(cpu, Ipa::new(0), PAGE, RX).unwrap();
        assert_eq!(leaf(vm, cpu, 0).1.prot, RO);
        let execute_only = Prot { read: false, ..RX };
        vm.protect(cpu, Ipa::new(0), PAGE, execute_only).unwrap();
        assert_eq!(leaf(vm, cpu, 0).1.prot, Prot { read: false, ..RO });
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn protect_refuses_permissions_that_permit_nothing() {
    with_vm(true, |vm, cpu, _| {
        let nothing = Prot { read: false, ..RO };
        let reason = AttributesError::NothingPermitted;
        let refused = vm.protect(cpu, Ipa::new(0), PAGE, nothing);
        assert_eq!(refused, Err(Error::Attributes(reason)));
        let el1 = Prot {
            execute: Execute::El1,
            ..RO
        };
        let reason = AttributesError::NoXnx(Execute::El1);
        let refused = vm.protect(cpu, Ipa::new(0), PAGE, el1);
        assert_eq!(refused, Err(Error::Attributes(reason)));
    });
}

#[test]
fn split_leaves_pages_that_are_what_the_block_was() {
    with_vm(true, |vm, cpu, machine| {
        let mut block = mapping(GIB, 0x4000_0000, GIB, RO);
        block.software = 3;
        vm.map(cpu, &block).unwrap();
        vm.clear_young(cpu, Ipa::new(GIB), PAGE).unwrap();
        vm.split(cpu, Ipa::new(GIB + PAGE), PAGE).unwrap();
        let (level, page) = leaf(vm, cpu, GIB + PAGE);
        assert_eq!((level, page.pa), (3, Pa::new(0x4000_1000)));
        assert_eq!((page.prot, page.software, page.young), (RO, 3, false));
        // Other blocks of the new table are not in the range.
        assert_eq!(leaf(vm, cpu, GIB + BLOCK).0, 2);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn split_stops_at_the_first_leaf_that_is_no_page() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 3 * BLOCK, RW))
            .unwrap();
        cpu.drain();
        cpu.top_up(2);
        let (from, bytes) = (Ipa::new(PAGE), 3 * BLOCK - PAGE);
        let stopped = Error::NoPages {
            done: 2 * BLOCK - PAGE,
            need: 1,
        };
        assert_eq!(vm.split(cpu, from, bytes), Err(stopped));
        assert_eq!(leaf(vm, cpu, BLOCK).0, 3);
        assert_eq!(leaf(vm, cpu, 2 * BLOCK).0, 2);
        cpu.top_up(1);
        vm.split(cpu, from, bytes).unwrap();
        assert_eq!(leaf(vm, cpu, 2 * BLOCK).0, 3);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn split_leaves_marks_alone() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        vm.soften(cpu, Ipa::new(0), BLOCK).unwrap();
        machine.take_log();
        vm.split(cpu, Ipa::new(0), BLOCK).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_split_goes_through_invalid_below_bbm_2_and_in_place_from_it_on() {
    let stores_to_the_entry = |bbm| {
        let features = Features {
            bbm,
            ..Features::default()
        };
        let mut stores = Vec::new();
        with_vm_of(&with_features(features), |vm, cpu, machine| {
            vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
            let entry = format!(" {} ", support::tables::entry(vm, machine, 0));
            machine.take_log();
            vm.split(cpu, Ipa::new(0), BLOCK).unwrap();
            let interesting = |line: &String| line.contains(&entry) || line.starts_with("tlbi ip");
            let log = machine.take_log();
            let lines = log.into_iter().filter(interesting);
            stores = lines.map(|line| line[..4].to_owned()).collect();
        });
        stores
    };
    assert_eq!(stores_to_the_entry(1), ["str ", "tlbi", "stlr"]);
    assert_eq!(stores_to_the_entry(2), ["stlr", "tlbi"]);
}

#[test]
fn coalesce_makes_blocks_from_the_pages_upwards() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x4000_0000, GIB, RW)).unwrap();
        vm.split(cpu, Ipa::new(BLOCK), BLOCK).unwrap();
        assert_eq!(leaf(vm, cpu, BLOCK).0, 3);
        let cached = cpu.cached();
        vm.coalesce(cpu, Ipa::new(0), GIB).unwrap();
        let (level, block) = leaf(vm, cpu, BLOCK);
        assert_eq!((level, block.pa), (1, Pa::new(0x4000_0000)));
        // The pages went to the source, not to the cache.
        assert_eq!(cpu.cached(), cached);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn coalesce_takes_only_tables_that_lie_wholly_in_the_range() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * BLOCK, RW))
            .unwrap();
        vm.split(cpu, Ipa::new(0), 2 * BLOCK).unwrap();
        vm.coalesce(cpu, Ipa::new(PAGE), 2 * BLOCK - PAGE).unwrap();
        assert_eq!(leaf(vm, cpu, 0).0, 3);
        assert_eq!(leaf(vm, cpu, BLOCK).0, 2);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn coalesce_leaves_a_table_that_no_block_can_stand_for() {
    type Spoil = fn(&hyp::stage2::Stage2<'_>, &mut support::TestCpu<'_>);
    let spoilt: [Spoil; 5] = [
        |vm, cpu| vm.protect(cpu, Ipa::new(PAGE), PAGE, RO).unwrap(),
        |vm, cpu| vm.unmap(cpu, Ipa::new(PAGE), PAGE).unwrap(),
        |vm, cpu| vm.soften(cpu, Ipa::new(PAGE), PAGE).unwrap(),
        |vm, cpu| vm.annotate(cpu, Ipa::new(PAGE), PAGE, 1).unwrap(),
        |vm, cpu| {
            let elsewhere = mapping(PAGE, 0x6000_0000, PAGE, RW);
            vm.map(cpu, &elsewhere).unwrap();
        },
    ];
    for spoil in spoilt {
        with_vm(true, |vm, cpu, machine| {
            vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
            vm.split(cpu, Ipa::new(0), BLOCK).unwrap();
            spoil(vm, cpu);
            machine.take_log();
            vm.coalesce(cpu, Ipa::new(0), BLOCK).unwrap();
            assert_eq!(machine.take_log(), [""; 0]);
        });
    }
}

#[test]
fn coalesce_leaves_pages_that_are_not_aligned_to_a_block() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, BLOCK, RW)).unwrap();
        machine.take_log();
        vm.coalesce(cpu, Ipa::new(0), BLOCK).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_block_is_young_if_one_of_its_pages_was() {
    with_vm(true, |vm, cpu, _| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * BLOCK, RW))
            .unwrap();
        vm.clear_young(cpu, Ipa::new(0), 2 * BLOCK).unwrap();
        vm.split(cpu, Ipa::new(0), 2 * BLOCK).unwrap();
        vm.make_young(cpu, Ipa::new(5 * PAGE)).unwrap();
        vm.coalesce(cpu, Ipa::new(0), 2 * BLOCK).unwrap();
        let young = [0, BLOCK].map(|ipa| leaf(vm, cpu, ipa));
        assert_eq!(
            young.map(|(level, leaf)| (level, leaf.young)),
            [(2, true), (2, false)]
        );
    });
}

#[test]
fn coalesce_breaks_the_table_before_it_makes_the_block_below_bbm_2() {
    for (bbm, first) in [(0, "str "), (2, "stlr")] {
        let features = Features {
            bbm,
            ..Features::default()
        };
        with_vm_of(&with_features(features), |vm, cpu, machine| {
            vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
            let block = raw(vm, machine, 0);
            vm.split(cpu, Ipa::new(0), BLOCK).unwrap();
            machine.take_log();
            vm.coalesce(cpu, Ipa::new(0), BLOCK).unwrap();
            assert!(machine.take_log()[0].starts_with(first));
            assert_eq!(raw(vm, machine, 0), block);
        });
    }
}

#[test]
fn an_annotated_block_is_split_into_annotations() {
    with_vm(true, |vm, cpu, machine| {
        vm.annotate(cpu, Ipa::new(0), BLOCK, 7).unwrap();
        assert_eq!(decision(vm, cpu, 0).0, 2);
        vm.map(cpu, &mapping(PAGE, 0x5000_0000, PAGE, RW)).unwrap();
        let seven = Entry::Annotated(7.try_into().unwrap());
        assert_eq!(decision(vm, cpu, 0), (3, seven));
        assert_eq!(decision(vm, cpu, BLOCK - PAGE), (3, seven));
        assert_counted(vm, cpu, machine);
    });
}
