//! Cache maintenance: contract section K, and flush (W5).

mod support;

use hyp::addr::Ipa;
use hyp::descriptor::{Execute, MemoryType, Prot};
use hyp::geometry::Features;
use hyp::stage2::{Mapping, Stage2};
use support::{RO, RW, RX, TestCpu, mapping, with_features, with_vm, with_vm_of};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;

/// The log of `operation` from the first cache maintenance to the last barrier before
/// the next store.
fn maintenance(
    features: Features,
    setup: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>),
    operation: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>),
) -> Vec<String> {
    let mut lines = Vec::new();
    with_vm_of(&with_features(features), |vm, cpu, machine| {
        setup(vm, cpu);
        machine.take_log();
        operation(vm, cpu);
        let is_maintenance = |line: &String| line.starts_with("dc ") || line.starts_with("ic ");
        let log = machine.take_log().into_iter();
        let mut from_first = log.skip_while(|line| !is_maintenance(line)).peekable();
        while let Some(line) = from_first.next_if(|l| is_maintenance(l) || l == "dsb ish") {
            lines.push(line);
        }
        let rest = from_first.filter(is_maintenance).count();
        assert_eq!(rest, 0, "all of it comes before the first store");
    });
    lines
}

fn of_map(features: Features, mapping: &Mapping) -> Vec<String> {
    maintenance(features, |_, _| (), |vm, cpu| vm.map(cpu, mapping).unwrap())
}

fn none() -> Features {
    Features::default()
}

fn fwb() -> Features {
    Features {
        fwb: true,
        ..none()
    }
}

fn pages(prot: Prot, memory: MemoryType) -> Mapping {
    let mut pages = mapping(0, 0x5000_1000, 3 * PAGE, prot);
    pages.memory = memory;
    pages
}

#[test]
fn data_reaches_memory_before_a_guest_may_go_past_the_caches() {
    let whole_run = ["dc civac 0x50001000 0x3000", "dsb ish"];
    let nothing = [""; 0];
    let normal = pages(RW, MemoryType::Normal);
    let non_cacheable = pages(RW, MemoryType::NonCacheable);
    assert_eq!(of_map(none(), &normal), whole_run);
    assert_eq!(of_map(fwb(), &normal), nothing);
    assert_eq!(of_map(none(), &non_cacheable), whole_run);
    assert_eq!(of_map(fwb(), &non_cacheable), whole_run);
    assert_eq!(of_map(none(), &pages(RW, MemoryType::DeviceNgnre)), nothing);
}

#[test]
fn code_is_cleaned_and_instruction_caches_invalidated_unless_the_machine_need_not() {
    let code = pages(RX, MemoryType::Normal);
    let cvau = ["dc cvau 0x50001000 0x3000", "dsb ish"];
    let ic = ["ic ialluis", "dsb ish"];
    let civac = ["dc civac 0x50001000 0x3000", "dsb ish"];
    let with = |idc, dic| Features { idc, dic, ..fwb() };
    assert_eq!(of_map(none(), &code), [civac, ic].concat());
    assert_eq!(of_map(fwb(), &code), [cvau, ic].concat());
    assert_eq!(of_map(with(true, false), &code), ic);
    assert_eq!(of_map(with(false, true), &code), cvau);
    assert_eq!(of_map(with(true, true), &code), [""; 0]);
}

#[test]
fn only_what_is_stored_is_maintained() {
    let both_ends = |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
        let middle = mapping(PAGE, 0x5000_2000, PAGE, RW);
        vm.map(cpu, &middle).unwrap();
    };
    let lines = maintenance(none(), both_ends, |vm, cpu| {
        let first = mapping(0, 0x5000_1000, 2 * PAGE, RW);
        vm.map(cpu, &first).unwrap();
    });
    assert_eq!(lines, ["dc civac 0x50001000 0x1000", "dsb ish"]);
}

#[test]
fn protect_and_relax_maintain_what_becomes_executable() {
    let read_only = |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RO)).unwrap();
    };
    let expected = [
        "dc cvau 0x50000000 0x200000",
        "dsb ish",
        "ic ialluis",
        "dsb ish",
    ];
    let protect = |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
        vm.protect(cpu, Ipa::new(0), BLOCK, RX).unwrap();
    };
    let relax = |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
        vm.relax(cpu, Ipa::new(PAGE), RX).unwrap();
    };
    assert_eq!(maintenance(none(), read_only, protect), expected);
    assert_eq!(maintenance(none(), read_only, relax), expected);
}

#[test]
fn what_was_executable_is_not_maintained_again() {
    let code = |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
        let at_el1 = Prot {
            execute: Execute::El1,
            ..RO
        };
        vm.map(cpu, &mapping(0, 0x5000_0000, PAGE, at_el1)).unwrap();
    };
    let xnx = Features {
        xnx: true,
        ..none()
    };
    let protect = |execute| {
        move |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
            let prot = Prot { execute, ..RW };
            vm.protect(cpu, Ipa::new(0), PAGE, prot).unwrap();
        }
    };
    assert_eq!(maintenance(xnx, code, protect(Execute::El1)), [""; 0]);
    assert_eq!(maintenance(xnx, code, protect(Execute::Both)).len(), 4);
    assert_eq!(maintenance(xnx, code, protect(Execute::El0)).len(), 4);
}

#[test]
fn flush_cleans_whole_leaves_that_the_guest_may_reach_past_the_caches() {
    with_vm(true, |vm, cpu, machine| {
        let mut device = mapping(BLOCK, 0x900_0000, PAGE, RW);
        device.memory = MemoryType::DeviceNgnre;
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        vm.map(cpu, &device).unwrap();
        machine.take_log();
        vm.flush(cpu, Ipa::new(PAGE), 2 * BLOCK).unwrap();
        let whole = ["dc civac 0x50000000 0x200000", "dsb ish"];
        assert_eq!(machine.take_log(), whole);
    });
    with_vm_of(&with_features(fwb()), |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        machine.take_log();
        vm.flush(cpu, Ipa::new(0), BLOCK).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_built_table_is_maintained_in_one_range() {
    let lines = maintenance(
        none(),
        |_, _| (),
        |vm, cpu| vm.build(cpu, &mapping(0, 0x4000_0000, 0, RW), 1).unwrap(),
    );
    assert_eq!(lines, ["dc civac 0x40000000 0x40000000", "dsb ish"]);
}
