//! Operations on whole entries and on single leaves: contract sections W and Y.

mod support;

use hyp::addr::{Ipa, Pa};
use hyp::descriptor::{AttributesError, Execute, MemoryType, Prot};
use hyp::geometry::Features;
use hyp::stage2::{Entry, Error, RangeError};
use support::tables::{assert_counted, decision, leaf, raw};
use support::{RO, RW, RX, mapping, with_features, with_vm, with_vm_of};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;

fn first_words(log: &[String]) -> Vec<&str> {
    log.iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect()
}

#[test]
fn unmap_whole_takes_what_it_only_cuts_without_a_page() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 3 * BLOCK, RW))
            .unwrap();
        cpu.drain();
        let (from, bytes) = (Ipa::new(BLOCK - PAGE), 2 * PAGE);
        vm.unmap_whole(cpu, from, bytes).unwrap();
        assert_eq!(decision(vm, cpu, 0), (2, Entry::Empty));
        assert_eq!(decision(vm, cpu, BLOCK), (2, Entry::Empty));
        assert_eq!(leaf(vm, cpu, 2 * BLOCK).0, 2);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn unmap_whole_unlinks_tables_that_become_empty() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0x3000, 0x5000_0000, PAGE, RW))
            .unwrap();
        vm.unmap_whole(cpu, Ipa::new(0x3000), PAGE).unwrap();
        assert_eq!(decision(vm, cpu, 0x3000), (1, Entry::Empty));
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn write_protect_takes_writing_and_nothing_else_in_place() {
    with_vm(true, |vm, cpu, machine| {
        let mut block = mapping(0, 0x5000_0000, BLOCK, RW);
        block.software = 9;
        block.prot.execute = Execute::Both;
        vm.map(cpu, &block).unwrap();
        machine.take_log();
        vm.write_protect(cpu, Ipa::new(PAGE), PAGE).unwrap();
        let log = machine.take_log();
        assert_eq!(
            first_words(&log),
            ["stlr", "dsb", "vtcr", "vttbr", "isb"]
                .iter()
                .chain(&["tlbi", "dsb", "tlbi", "dsb", "isb", "vttbr", "isb"])
                .copied()
                .collect::<Vec<_>>()
        );
        let (level, leaf) = leaf(vm, cpu, 0);
        assert_eq!((level, leaf.prot, leaf.software), (2, RX, 9));
    });
}

#[test]
fn write_protect_of_what_is_read_only_stores_nothing() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, PAGE, RO)).unwrap();
        machine.take_log();
        vm.write_protect(cpu, Ipa::new(0), PAGE).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_leaf_that_may_only_be_written_is_left_without_permission() {
    with_vm(true, |vm, cpu, machine| {
        let nothing = Prot {
            write: false,
            read: false,
            execute: Execute::Never,
        };
        let write_only = Prot {
            write: true,
            ..nothing
        };
        let mut device = mapping(0, 0x900_0000, PAGE, write_only);
        device.memory = MemoryType::DeviceNgnrne;
        vm.map(cpu, &device).unwrap();
        vm.write_protect(cpu, Ipa::new(0), PAGE).unwrap();
        vm.soften(cpu, Ipa::new(0), PAGE).unwrap();
        vm.revive(cpu, Ipa::new(0), PAGE).unwrap();
        assert_eq!(leaf(vm, cpu, 0).1.prot, nothing);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn what_is_softened_faults_until_it_is_revived_as_it_was() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK + PAGE, RW))
            .unwrap();
        let before = [0, BLOCK].map(|ipa| raw(vm, machine, ipa));
        let content = leaf(vm, cpu, 0).1;
        vm.soften(cpu, Ipa::new(PAGE), BLOCK).unwrap();
        assert_eq!(decision(vm, cpu, 0), (2, Entry::Softened(content)));
        assert!(!raw(vm, machine, BLOCK).is_valid());
        assert_counted(vm, cpu, machine);
        machine.take_log();
        vm.revive(cpu, Ipa::new(0), BLOCK + PAGE).unwrap();
        assert_eq!(first_words(&machine.take_log()), ["stlr", "stlr", "dsb"]);
        assert_eq!([0, BLOCK].map(|ipa| raw(vm, machine, ipa)), before);
    });
}

#[test]
fn operations_on_leaves_pass_softened_ones_by() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, PAGE, RW)).unwrap();
        vm.soften(cpu, Ipa::new(0), PAGE).unwrap();
        let softened = raw(vm, machine, 0);
        machine.take_log();
        vm.write_protect(cpu, Ipa::new(0), PAGE).unwrap();
        vm.protect(cpu, Ipa::new(0), PAGE, RO).unwrap();
        vm.flush(cpu, Ipa::new(0), PAGE).unwrap();
        assert_eq!(vm.clear_young(cpu, Ipa::new(0), PAGE), Ok(false));
        assert_eq!(vm.make_young(cpu, Ipa::new(0)), not_mapped(0));
        assert_eq!(machine.take_log(), [""; 0]);
        assert_eq!(raw(vm, machine, 0), softened);
    });
}

fn not_mapped(ipa: u64) -> Result<(), Error> {
    Err(Error::NotMapped(Ipa::new(ipa)))
}

#[test]
fn unmapping_a_softened_block_in_part_keeps_the_rest_softened() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        vm.soften(cpu, Ipa::new(0), BLOCK).unwrap();
        machine.take_log();
        vm.unmap(cpu, Ipa::new(PAGE), PAGE).unwrap();
        // Nothing was valid.
        assert!(
            !machine
                .take_log()
                .iter()
                .any(|line| line.starts_with("tlbi"))
        );
        assert_eq!(decision(vm, cpu, PAGE), (3, Entry::Empty));
        vm.revive(cpu, Ipa::new(0), BLOCK).unwrap();
        let (level, page) = leaf(vm, cpu, 2 * PAGE);
        assert_eq!((level, page.pa, page.prot), (3, Pa::new(0x5000_2000), RW));
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn a_mapping_takes_the_place_of_a_softened_leaf_without_invalidation() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * PAGE, RW)).unwrap();
        vm.soften(cpu, Ipa::new(0), PAGE).unwrap();
        machine.take_log();
        vm.map(cpu, &mapping(0, 0x5000_0000, 2 * PAGE, RW)).unwrap();
        let log = machine.take_log();
        assert!(!log.iter().any(|line| line.starts_with("tlbi")), "{log:?}");
        assert_eq!(leaf(vm, cpu, 0).1.prot, RW);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn young_leaves_are_found_and_made_old_once() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 4 * PAGE, RW)).unwrap();
        let (from, bytes) = (Ipa::new(PAGE), 2 * PAGE);
        assert_eq!(vm.test_young(cpu, from, bytes), Ok(true));
        assert_eq!(vm.clear_young(cpu, from, bytes), Ok(true));
        assert_eq!(vm.test_young(cpu, from, bytes), Ok(false));
        machine.take_log();
        assert_eq!(vm.clear_young(cpu, from, bytes), Ok(false));
        assert_eq!(machine.take_log(), [""; 0]);
        let young = [0, PAGE, 2 * PAGE, 3 * PAGE].map(|ipa| leaf(vm, cpu, ipa).1.young);
        assert_eq!(young, [true, false, false, true]);
    });
}

#[test]
fn nothing_is_young_where_nothing_is_mapped() {
    with_vm(true, |vm, cpu, _| {
        assert_eq!(vm.test_young(cpu, Ipa::new(0), 1 << 40), Ok(false));
    });
}

#[test]
fn make_young_needs_no_invalidation_and_stores_once() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        vm.clear_young(cpu, Ipa::new(0), BLOCK).unwrap();
        machine.take_log();
        vm.make_young(cpu, Ipa::new(0x12345)).unwrap();
        assert_eq!(first_words(&machine.take_log()), ["stlr", "dsb"]);
        vm.make_young(cpu, Ipa::new(0)).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn an_identical_remap_of_an_old_leaf_leaves_it_old() {
    with_vm(true, |vm, cpu, machine| {
        let pages = mapping(0, 0x5000_1000, 2 * PAGE, RW);
        vm.map(cpu, &pages).unwrap();
        vm.clear_young(cpu, Ipa::new(0), PAGE).unwrap();
        machine.take_log();
        vm.map(cpu, &pages).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
        assert!(!leaf(vm, cpu, 0).1.young);
    });
}

#[test]
fn relax_adds_permissions_and_touches_nothing_else() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RO)).unwrap();
        vm.clear_young(cpu, Ipa::new(0), BLOCK).unwrap();
        vm.relax(cpu, Ipa::new(0xfff), RW).unwrap();
        let (level, block) = leaf(vm, cpu, 0);
        assert_eq!((level, block.prot, block.young), (2, RW, false));
        machine.take_log();
        vm.relax(cpu, Ipa::new(0xfff), RO).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn relax_adds_execution_at_el1_and_el0_up() {
    let xnx = with_features(Features {
        xnx: true,
        ..Features::default()
    });
    with_vm_of(&xnx, |vm, cpu, _| {
        let at = |execute| Prot { execute, ..RO };
        vm.map(cpu, &mapping(0, 0x5000_0000, PAGE, at(Execute::El0)))
            .unwrap();
        vm.relax(cpu, Ipa::new(0), at(Execute::El1)).unwrap();
        assert_eq!(leaf(vm, cpu, 0).1.prot, RX);
    });
}

#[test]
fn relax_is_refused_in_the_order_of_the_contract() {
    with_vm(true, |vm, cpu, machine| {
        let mut device = mapping(0, 0x900_0000, PAGE, RW);
        device.memory = MemoryType::DeviceNgnre;
        vm.map(cpu, &device).unwrap();
        machine.take_log();
        let nothing = Prot { read: false, ..RO };
        let beyond = Ipa::new(1 << 40);
        let refused = vm.relax(cpu, beyond, nothing);
        let reason = AttributesError::NothingPermitted;
        assert_eq!(refused, Err(Error::Attributes(reason)));
        let reason = RangeError::BeyondIpaSize(beyond);
        assert_eq!(vm.relax(cpu, beyond, RX), Err(Error::Range(reason)));
        assert_eq!(vm.relax(cpu, Ipa::new(PAGE), RX), not_mapped(PAGE));
        let reason = AttributesError::ExecutableDevice(Execute::Both);
        assert_eq!(
            vm.relax(cpu, Ipa::new(0), RX),
            Err(Error::Attributes(reason))
        );
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn leaf_tells_what_was_asked_for() {
    with_vm(true, |vm, cpu, _| {
        let mut block = mapping(BLOCK, 0x5000_0000, BLOCK, RO);
        (block.memory, block.software) = (MemoryType::NonCacheable, 5);
        vm.map(cpu, &block).unwrap();
        let (level, leaf) = leaf(vm, cpu, BLOCK + 0x1234);
        assert_eq!((level, leaf.pa), (2, block.pa));
        assert_eq!((leaf.prot, leaf.memory), (RO, block.memory));
        assert_eq!((leaf.software, leaf.young, leaf.dirty), (5, true, false));
    });
}
