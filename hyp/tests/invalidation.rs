//! Which invalidations an operation issues, by what the machine has.

mod support;

use hyp::addr::Ipa;
use hyp::geometry::{Configuration, Features};
use hyp::stage2::{Error, Stage2};
use support::{Machine, RO, RW, TestCpu, configuration, mapping, vmid, with_vm, with_vm_of};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
/// `TTL` of 4K pages.
const TTL_PAGE: u64 = 0b0111 << 44;
/// `TG` of the 4K granule in a range.
const RANGE_4K: u64 = 1 << 46;

/// The `TLBI`s that `operation` issues on a VM that maps the first pages of an
/// address space.
fn tlbi(
    features: Features,
    pages: u64,
    operation: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>),
) -> Vec<String> {
    let c = Configuration {
        features,
        ..configuration(true)
    };
    let mut issued = Vec::new();
    with_vm_of(&c, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, pages * PAGE, RW))
            .unwrap();
        machine.take_log();
        operation(vm, cpu);
        issued = tlbi_of(machine);
    });
    issued
}

fn tlbi_of(machine: &Machine) -> Vec<String> {
    let log = machine.take_log();
    let tlbi = log.iter().filter_map(|line| line.strip_prefix("tlbi "));
    tlbi.map(str::to_owned).collect()
}

fn unmap(pages: u64) -> impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>) {
    move |vm, cpu| vm.unmap(cpu, Ipa::new(0), pages * PAGE).unwrap()
}

fn none() -> Features {
    Features::default()
}

fn ttl() -> Features {
    Features {
        ttl: true,
        ..none()
    }
}

fn ranges() -> Features {
    Features {
        tlb_range: true,
        ..ttl()
    }
}

#[test]
fn a_leaf_is_hinted_at_where_its_table_stays() {
    let page = format!("ipas2e1is {TTL_PAGE:#x}");
    assert_eq!(tlbi(ttl(), 8, unmap(1)), [&page, "vmalle1is"]);
    assert_eq!(tlbi(none(), 8, unmap(1)), ["ipas2e1is 0x0", "vmalle1is"]);
}

#[test]
fn one_instruction_without_hint_covers_a_page_and_its_emptied_tables() {
    assert_eq!(tlbi(ttl(), 1, unmap(1)), ["ipas2e1is 0x0", "vmalle1is"]);
}

#[test]
fn an_emptied_table_has_its_own_instruction_where_the_pages_began_before_it() {
    let table = BLOCK / PAGE;
    let issued = tlbi(ttl(), table + 1, |vm, cpu| {
        vm.unmap(cpu, Ipa::new(BLOCK - PAGE), 2 * PAGE).unwrap();
    });
    let page = |number: u64| format!("ipas2e1is {:#x}", TTL_PAGE | number);
    let emptied = format!("ipas2e1is {table:#x}");
    assert_eq!(
        issued,
        [&page(table - 1), &page(table), &emptied, "vmalle1is"]
    );
}

#[test]
fn the_last_page_of_a_table_covers_it_too() {
    with_vm_of(&configuration(true), |vm, cpu, machine| {
        let last = mapping(BLOCK - PAGE, 0x5000_0000, PAGE, RW);
        vm.map(cpu, &last).unwrap();
        machine.take_log();
        vm.unmap(cpu, last.ipa, PAGE).unwrap();
        assert_eq!(tlbi_of(machine), ["ipas2e1is 0x1ff", "vmalle1is"]);
    });
}

#[test]
fn tables_that_hold_other_pages_take_no_part() {
    let issued = tlbi(ttl(), 8, |vm, cpu| {
        vm.map(cpu, &mapping(0, 0x5000_1000, PAGE, RO)).unwrap();
    });
    assert_eq!(issued, [&format!("ipas2e1is {TTL_PAGE:#x}"), "vmalle1is"]);
}

#[test]
fn pages_in_a_row_are_a_range_and_a_rest() {
    let issued = tlbi(ranges(), 512, unmap(511));
    // 7 * 64, 31 * 2 and 1 pages; level 3.
    let hint = 3 << 37;
    let large = RANGE_4K | 1 << 44 | 6 << 39 | hint;
    let small = RANGE_4K | 30 << 39 | hint | 448;
    let rest = TTL_PAGE | 510;
    assert_eq!(
        issued,
        [
            format!("ripas2e1is {large:#x}"),
            format!("ripas2e1is {small:#x}"),
            format!("ipas2e1is {rest:#x}"),
            "vmalle1is".to_owned(),
        ]
    );
}

#[test]
fn two_pages_go_one_by_one_where_a_range_takes_no_fewer() {
    let ds = Configuration {
        ds: true,
        features: Features {
            lpa2_4k: true,
            ..ranges()
        },
        ..configuration(true)
    };
    with_vm_of(&ds, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 64 * PAGE, RW))
            .unwrap();
        machine.take_log();
        // From the multiple of 64 KiB before it on, it is 16 pages and 1.
        vm.unmap(cpu, Ipa::new(15 * PAGE), 2 * PAGE).unwrap();
        let single = |page: u64| format!("ipas2e1is {:#x}", TTL_PAGE | page);
        assert_eq!(tlbi_of(machine), [&single(15), &single(16), "vmalle1is"]);
        vm.unmap(cpu, Ipa::new(17 * PAGE), 3 * PAGE).unwrap();
        let range = RANGE_4K | 1 << 39 | 3 << 37 | 1;
        assert_eq!(
            tlbi_of(machine),
            [&format!("ripas2e1is {range:#x}"), "vmalle1is"]
        );
    });
}

#[test]
fn a_table_that_leaves_with_its_pages_is_a_range_without_a_hint() {
    let table = BLOCK / PAGE;
    let range = RANGE_4K | 1 << 44 | 7 << 39;
    let issued = tlbi(ranges(), table + 1, unmap(table));
    assert_eq!(issued, [&format!("ripas2e1is {range:#x}"), "vmalle1is"]);
    assert_eq!(tlbi(ttl(), table + 1, unmap(table)), ["vmalls12e1is"]);
}

#[test]
fn more_than_sixteen_stretches_are_the_whole_vmid() {
    let remap_every_other = |count: u64| {
        move |vm: &Stage2<'_>, cpu: &mut TestCpu<'_>| {
            for page in 0..count {
                vm.map(cpu, &mapping(2 * page * PAGE, 0x6000_0000, PAGE, RO))
                    .unwrap();
            }
            // One operation that changes them all, and no others.
            vm.map(cpu, &mapping(0, 0x5000_1000, 2 * count * PAGE, RW))
                .unwrap();
        }
    };
    let last = |count| tlbi(ttl(), 64, remap_every_other(count)).pop();
    assert_eq!(last(16).as_deref(), Some("vmalle1is"));
    assert_eq!(last(17).as_deref(), Some("vmalls12e1is"));
}

#[test]
fn a_conflict_empties_the_vmid_under_its_own_vmid() {
    with_vm(true, |vm, cpu, machine| {
        let absent = Stage2::new();
        assert_eq!(absent.conflict(cpu), Err(Error::NoSpace));
        assert_eq!(machine.take_log(), [""; 0]);
        let other = Stage2::new();
        other
            .create(cpu, &configuration(true), vmid(2), &[])
            .unwrap();
        other.load(cpu).unwrap();
        machine.take_log();
        vm.conflict(cpu).unwrap();
        let log = machine.take_log();
        let words: Vec<&str> = log
            .iter()
            .map(|line| line.split(" 0x").next().unwrap())
            .collect();
        assert_eq!(
            words,
            [
                "dsb ishst",
                "vttbr",
                "isb",
                "tlbi vmalls12e1is",
                "dsb ish",
                "isb",
                "vttbr",
                "isb"
            ]
        );
        assert!(log[1].starts_with("vttbr 0x10000"), "{log:?}");
        assert!(log[6].starts_with("vttbr 0x20000"), "{log:?}");
    });
}
