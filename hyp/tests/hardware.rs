//! Flags that hardware sets in descriptors: contract section H.

mod support;

use hyp::addr::Ipa;
use hyp::descriptor::MemoryType;
use hyp::geometry::{Configuration, Features};
use hyp::stage2::{Entry, Stage2};
use support::tables::{ACCESS_FLAG, S2AP_WRITE, assert_counted, decision, entry, leaf, set};
use support::{Machine, RO, RW, TestCpu, mapping, with_features, with_vm_of};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;

fn recording() -> Configuration {
    with_features(Features {
        haf: true,
        hd: true,
        ..Features::default()
    })
}

fn reports(log: &[String]) -> Vec<&str> {
    log.iter()
        .filter_map(|line| line.strip_prefix("dirty "))
        .collect()
}

/// What the dirty log hears of when `operation` meets four pages from IPA 0 on, of
/// which the second and third were written, in a table with a fifth.
fn reported(operation: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>)) -> Vec<String> {
    let mut heard = Vec::new();
    with_vm_of(&recording(), |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 5 * PAGE, RW)).unwrap();
        set(vm, machine, PAGE, S2AP_WRITE);
        set(vm, machine, 2 * PAGE, S2AP_WRITE);
        machine.take_log();
        operation(vm, cpu);
        heard = reports(&machine.take_log())
            .iter()
            .map(|&s| s.to_owned())
            .collect();
        assert_counted(vm, cpu, machine);
    });
    heard
}

const BOTH: [&str; 2] = ["0x1000 0x1000", "0x2000 0x1000"];

#[test]
fn what_takes_a_dirty_leaf_or_its_permission_reports_it_once() {
    let all = 4 * PAGE;
    let at = Ipa::new(0);
    assert_eq!(reported(|vm, cpu| vm.unmap(cpu, at, all).unwrap()), BOTH);
    assert_eq!(
        reported(|vm, cpu| vm.unmap_whole(cpu, at, all).unwrap()),
        BOTH
    );
    assert_eq!(
        reported(|vm, cpu| vm.annotate(cpu, at, all, 1).unwrap()),
        BOTH
    );
    assert_eq!(
        reported(|vm, cpu| vm.protect(cpu, at, all, RO).unwrap()),
        BOTH
    );
    assert_eq!(
        reported(|vm, cpu| {
            vm.write_protect(cpu, at, all).unwrap();
            vm.unmap(cpu, at, all).unwrap();
        }),
        BOTH
    );
    let moved = mapping(0, 0x6000_0000, all, RW);
    assert_eq!(reported(|vm, cpu| vm.map(cpu, &moved).unwrap()), BOTH);
}

#[test]
fn leaves_below_a_table_that_goes_are_reported() {
    let whole = 0..BLOCK;
    let from = Ipa::new(whole.start);
    assert_eq!(
        reported(|vm, cpu| vm.unmap(cpu, from, whole.end).unwrap()),
        BOTH
    );
    let block = mapping(0, 0x6000_0000, BLOCK, RW);
    assert_eq!(reported(|vm, cpu| vm.map(cpu, &block).unwrap()), BOTH);
    assert_eq!(
        reported(|vm, cpu| vm.annotate(cpu, from, BLOCK, 1).unwrap()),
        BOTH
    );
    assert_eq!(
        reported(|vm, cpu| {
            vm.build(cpu, &block, 2).unwrap();
            vm.link(cpu).unwrap();
        }),
        BOTH
    );
}

#[test]
fn what_keeps_the_record_or_ends_the_vm_reports_nothing() {
    let at = Ipa::new(0);
    let none = [""; 0];
    assert_eq!(
        reported(|vm, cpu| vm.protect(cpu, at, 4 * PAGE, RW).unwrap()),
        none
    );
    assert_eq!(
        reported(|vm, cpu| {
            vm.soften(cpu, at, 4 * PAGE).unwrap();
            vm.revive(cpu, at, 4 * PAGE).unwrap();
            assert!(leaf(vm, cpu, PAGE).1.dirty);
        }),
        none
    );
    assert_eq!(
        reported(|vm, cpu| {
            assert_eq!(vm.clear_young(cpu, at, 4 * PAGE), Ok(true));
            assert!(leaf(vm, cpu, PAGE).1.dirty);
        }),
        none
    );
    assert_eq!(
        reported(|vm, cpu| vm.destroy(cpu, at, BLOCK).unwrap()),
        none
    );
}

#[test]
fn a_softened_dirty_leaf_is_reported_when_it_goes() {
    let at = Ipa::new(0);
    assert_eq!(
        reported(|vm, cpu| {
            vm.soften(cpu, at, 4 * PAGE).unwrap();
            vm.unmap(cpu, at, 4 * PAGE).unwrap();
        }),
        BOTH
    );
}

#[test]
fn permission_to_write_that_is_given_again_starts_clean() {
    with_vm_of(&recording(), |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, PAGE, RW)).unwrap();
        set(vm, machine, 0, S2AP_WRITE);
        vm.protect(cpu, Ipa::new(0), PAGE, RO).unwrap();
        vm.relax(cpu, Ipa::new(0), RW).unwrap();
        let (_, page) = leaf(vm, cpu, 0);
        assert_eq!((page.prot, page.dirty), (RW, false));
    });
}

#[test]
fn a_dirty_device_page_is_reported_like_any_other() {
    with_vm_of(&recording(), |vm, cpu, machine| {
        let mut device = mapping(0, 0x900_0000, PAGE, RW);
        device.memory = MemoryType::DeviceNgnre;
        vm.map(cpu, &device).unwrap();
        set(vm, machine, 0, S2AP_WRITE);
        machine.take_log();
        vm.unmap(cpu, Ipa::new(0), PAGE).unwrap();
        assert_eq!(reports(&machine.take_log()), ["0x0 0x1000"]);
    });
}

#[test]
fn valid_descriptors_change_by_exchanges_only() {
    with_vm_of(&recording(), |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        let entry = entry(vm, machine, 0);
        let exchanges = |log: Vec<String>| {
            let to_entry = log
                .into_iter()
                .filter(|line| line.contains(&format!(" {entry} ")));
            to_entry
                .map(|line| line[..4].to_owned())
                .collect::<Vec<_>>()
        };
        machine.take_log();
        vm.clear_young(cpu, Ipa::new(0), PAGE).unwrap();
        assert_eq!(exchanges(machine.take_log()), ["cas "]);
        vm.split(cpu, Ipa::new(0), PAGE).unwrap();
        assert_eq!(exchanges(machine.take_log()), ["swp ", "stlr"]);
        vm.coalesce(cpu, Ipa::new(0), BLOCK).unwrap();
        assert_eq!(exchanges(machine.take_log()), ["swp ", "stlr"]);
        vm.unmap(cpu, Ipa::new(0), BLOCK).unwrap();
        assert_eq!(exchanges(machine.take_log()), ["swp "]);
    });
}

/// Runs `operation` on an old block at IPA 0, which hardware makes young and dirty
/// between the time it is read and its exchange.
fn raced(features: Features, operation: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>, &Machine)) {
    let features = Features {
        haf: true,
        hd: true,
        ..features
    };
    with_vm_of(&with_features(features), |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        vm.clear_young(cpu, Ipa::new(0), BLOCK).unwrap();
        machine.take_log();
        machine.interfere(entry(vm, machine, 0), ACCESS_FLAG | S2AP_WRITE);
        operation(vm, cpu, machine);
        assert_counted(vm, cpu, machine);
    });
}

#[test]
fn a_store_that_hardware_records_in_the_last_moment_is_not_lost() {
    let at = Ipa::new(0);
    let whole = "0x0 0x200000";
    raced(Features::default(), |vm, cpu, machine| {
        vm.write_protect(cpu, at, BLOCK).unwrap();
        assert_eq!(reports(&machine.take_log()), [whole]);
        assert!(leaf(vm, cpu, 0).1.young);
    });
    raced(Features::default(), |vm, cpu, machine| {
        vm.unmap(cpu, at, BLOCK).unwrap();
        assert_eq!(reports(&machine.take_log()), [whole]);
    });
    raced(Features::default(), |vm, cpu, _| {
        vm.soften(cpu, at, BLOCK).unwrap();
        let (_, Entry::Softened(content)) = decision(vm, cpu, 0) else {
            panic!("it is softened");
        };
        assert!(content.young && content.dirty);
    });
}

#[test]
fn the_parts_of_a_block_are_what_it_was_in_the_end() {
    for bbm in [0, 2] {
        let features = Features {
            bbm,
            ..Features::default()
        };
        raced(features, |vm, cpu, _| {
            vm.split(cpu, Ipa::new(0), BLOCK).unwrap();
            let (level, page) = leaf(vm, cpu, PAGE);
            assert_eq!((level, page.young, page.dirty), (3, true, true));
        });
    }
}

#[test]
fn a_block_is_dirty_if_one_of_its_pages_was() {
    for bbm in [0, 2] {
        let features = Features {
            haf: true,
            hd: true,
            bbm,
            ..Features::default()
        };
        with_vm_of(&with_features(features), |vm, cpu, machine| {
            vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
            vm.split(cpu, Ipa::new(0), BLOCK).unwrap();
            // In the last moment, with the table still linked.
            machine.interfere(entry(vm, machine, 7 * PAGE), S2AP_WRITE);
            machine.take_log();
            vm.coalesce(cpu, Ipa::new(0), BLOCK).unwrap();
            assert!(machine.take_log()[0].starts_with("swp "));
            let (level, block) = leaf(vm, cpu, 0);
            assert_eq!((level, block.dirty), (2, true));
            assert_counted(vm, cpu, machine);
        });
    }
}

#[test]
fn an_identical_remap_of_a_dirty_leaf_leaves_it_dirty() {
    with_vm_of(&recording(), |vm, cpu, machine| {
        let page = mapping(0, 0x5000_0000, PAGE, RW);
        vm.map(cpu, &page).unwrap();
        set(vm, machine, 0, S2AP_WRITE);
        machine.take_log();
        vm.map(cpu, &page).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}
