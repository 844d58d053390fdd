//! Subtrees that are built and linked or given back, and VMs that are destroyed
//! piece by piece: contract sections B and D.

mod support;

use hyp::addr::{Ipa, Pa};
use hyp::pages::PageSource;
use hyp::stage2::{CreateError, Entry, Error, Mapping, RangeError};
use support::tables::{assert_counted, decision, leaf};
use support::{POOL_PAGES, RW, configuration, mapping, vmid, with_vm};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

fn subtree(ipa: u64, pa: u64) -> Mapping {
    mapping(ipa, pa, 0, RW)
}

#[test]
fn what_is_built_is_out_of_reach_until_it_is_linked() {
    with_vm(true, |vm, cpu, machine| {
        vm.build(cpu, &subtree(GIB, 0x4000_0000), 1).unwrap();
        assert_eq!(decision(vm, cpu, GIB), (1, Entry::Empty));
        vm.link(cpu).unwrap();
        let (level, block) = leaf(vm, cpu, GIB + BLOCK);
        assert_eq!((level, block.pa), (2, Pa::new(0x4020_0000)));
        assert_counted(vm, cpu, machine);
        assert_eq!(vm.link(cpu), Err(Error::NothingBuilt));
    });
}

#[test]
fn a_subtree_of_pages_takes_the_place_of_a_block() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * BLOCK, RW))
            .unwrap();
        vm.build(cpu, &subtree(BLOCK, 0x6000_0000), 2).unwrap();
        machine.take_log();
        vm.link(cpu).unwrap();
        let log = machine.take_log();
        let broken = log.iter().position(|line| line.ends_with(" 0x0")).unwrap();
        let linked = log
            .iter()
            .position(|line| line.starts_with("stlr"))
            .unwrap();
        let done = log
            .iter()
            .position(|line| line.starts_with("tlbi"))
            .unwrap();
        assert!(broken < done && done < linked, "{log:?}");
        assert_eq!(leaf(vm, cpu, BLOCK).1.pa, Pa::new(0x6000_0000));
        assert_eq!(leaf(vm, cpu, 0).0, 2);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn a_subtree_takes_the_place_of_a_table_and_of_a_mark() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 2 * PAGE, RW)).unwrap();
        vm.annotate(cpu, Ipa::new(BLOCK), BLOCK, 1).unwrap();
        for ipa in [0, BLOCK] {
            vm.build(cpu, &subtree(ipa, 0x6000_0000), 2).unwrap();
            vm.link(cpu).unwrap();
            let (level, page) = leaf(vm, cpu, ipa + 5 * PAGE);
            assert_eq!((level, page.pa), (3, Pa::new(0x6000_5000)));
            assert_counted(vm, cpu, machine);
        }
    });
}

#[test]
fn building_counts_the_tables_of_pages() {
    with_vm(true, |vm, cpu, machine| {
        let mut pages = subtree(0, 0x4000_0000);
        pages.pages_only = true;
        let refused = vm.build(cpu, &pages, 1);
        let need = 513;
        assert_eq!(refused, Err(Error::NoPages { done: 0, need }));
        assert_eq!(machine.take_log(), [""; 0]);
        assert_eq!(vm.discard(cpu), Err(Error::NothingBuilt));
    });
}

#[test]
fn discarding_gives_the_pages_back_without_invalidation() {
    with_vm(true, |vm, cpu, machine| {
        let free = |cpu: &support::TestCpu<'_>| {
            let pages: Vec<Pa> = std::iter::from_fn(|| cpu.pages().allocate(0)).collect();
            pages.iter().for_each(|&page| cpu.pages().release(page, 0));
            pages.len()
        };
        vm.build(cpu, &subtree(0, 0x4000_0000), 1).unwrap();
        machine.take_log();
        let before = free(cpu);
        vm.discard(cpu).unwrap();
        assert_eq!(free(cpu), before + 1);
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn only_one_subtree_is_built_at_a_time() {
    with_vm(true, |vm, cpu, _| {
        vm.build(cpu, &subtree(0, 0x5000_0000), 2).unwrap();
        // Whatever else is wrong with it.
        assert_eq!(vm.build(cpu, &subtree(1, 1), 9), Err(Error::Busy));
        vm.discard(cpu).unwrap();
        assert_eq!(vm.build(cpu, &subtree(1, 1), 9), Err(Error::Level(9)));
        assert_eq!(vm.build(cpu, &subtree(0, 0), 0), Err(Error::Level(0)));
        assert_eq!(vm.build(cpu, &subtree(0, 0), 3), Err(Error::Level(3)));
        let misaligned = Err(Error::Range(RangeError::Misaligned(PAGE)));
        assert_eq!(vm.build(cpu, &subtree(PAGE, 0), 2), misaligned);
        let beyond = Err(Error::BeyondOutputSize(Pa::new((1 << 40) + BLOCK)));
        assert_eq!(vm.build(cpu, &subtree(0, 1 << 40), 2), beyond);
    });
}

#[test]
fn a_subtree_needs_tables_down_to_its_entry() {
    with_vm(true, |vm, cpu, machine| {
        vm.build(cpu, &subtree(GIB + BLOCK, 0x5000_0000), 2)
            .unwrap();
        let no_path = Err(Error::NoPath(Ipa::new(GIB + BLOCK)));
        assert_eq!(vm.link(cpu), no_path);
        vm.map(cpu, &mapping(GIB, 0x5000_0000, PAGE, RW)).unwrap();
        vm.link(cpu).unwrap();
        assert_eq!(leaf(vm, cpu, GIB + BLOCK).0, 3);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn a_dying_vm_can_only_be_destroyed_and_freed() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * BLOCK, RW))
            .unwrap();
        vm.build(cpu, &subtree(GIB, 0x4000_0000), 1).unwrap();
        vm.load(cpu).unwrap();
        machine.take_log();
        vm.destroy(cpu, Ipa::new(PAGE), PAGE).unwrap();
        let log = machine.take_log();
        assert_eq!(log[log.len() - 2..], ["vttbr 0x0", "isb"]);
        assert_counted(vm, cpu, machine);

        let at = Ipa::new(0);
        assert_eq!(vm.map(cpu, &subtree(0, 0)), Err(Error::Dying));
        assert_eq!(vm.unmap(cpu, at, 0), Err(Error::Dying));
        assert_eq!(vm.test_young(cpu, at, 0), Err(Error::Dying));
        assert_eq!(vm.leaf(cpu, at), Err(Error::Dying));
        assert_eq!(vm.link(cpu), Err(Error::Dying));
        assert_eq!(vm.load(cpu), Err(Error::Dying));
        assert_eq!(vm.conflict(cpu), Err(Error::Dying));
        let exists = vm.create(cpu, &configuration(true), vmid(1), &[]);
        assert_eq!(exists, Err(CreateError::Exists));

        vm.destroy(cpu, at, 1 << 40).unwrap();
        vm.free(cpu);
        assert_eq!(vm.destroy(cpu, at, PAGE), Err(Error::NoSpace));
    });
}

#[test]
fn a_refused_destruction_does_not_begin() {
    with_vm(true, |vm, cpu, _| {
        let refused = vm.destroy(cpu, Ipa::new(0), 0);
        assert_eq!(refused, Err(Error::Range(RangeError::Empty)));
        assert_eq!(vm.unmap(cpu, Ipa::new(0), PAGE), Ok(()));
    });
}

#[test]
fn freeing_gives_back_what_was_built() {
    with_vm(true, |vm, cpu, _| {
        vm.build(cpu, &subtree(0, 0x4000_0000), 1).unwrap();
        vm.free(cpu);
        cpu.drain();
        let lent = std::iter::from_fn(|| cpu.pages().allocate(0)).count();
        assert_eq!(lent, POOL_PAGES);
    });
}
