//! What the operations execute, in order, and what errors leave behind.

mod support;

use hyp::addr::{Ipa, Pa, PaRange};
use hyp::geometry::Granule;
use hyp::pages::PageSource;
use hyp::stage2::{CreateError, Error, RangeError, Stage2};
use support::{RO, RW, configuration, mapping, vmid, with_vm};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;

#[test]
fn a_new_page_is_linked_top_down_and_published_by_one_barrier() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
            .unwrap();
        let log = machine.take_log();
        let words: Vec<&str> = log
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let cleaned = ["dc", "dsb"];
        assert_eq!(words[..4], ["zero", "stlr", "zero", "stlr"]);
        assert_eq!(words[4..6], cleaned);
        assert_eq!(words[6..], ["stlr", "dsb"]);
    });
}

#[test]
fn an_identical_remap_executes_nothing() {
    with_vm(true, |vm, cpu, machine| {
        let page = mapping(0x1000, 0x5000_0000, PAGE, RW);
        vm.map(cpu, &page).unwrap();
        machine.take_log();
        vm.map(cpu, &page).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_part_of_an_identical_block_is_left_alone() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW)).unwrap();
        machine.take_log();
        vm.map(cpu, &mapping(PAGE, 0x5000_1000, PAGE, RW)).unwrap();
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_changed_page_goes_through_invalid_and_two_stages_of_invalidation() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
            .unwrap();
        vm.load(cpu).unwrap();
        machine.take_log();
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RO))
            .unwrap();
        let log = machine.take_log();
        assert!(
            log[0].starts_with("str ") && log[0].ends_with(" 0x0"),
            "{log:?}"
        );
        assert_eq!(
            log[1..7],
            [
                "dsb ishst",
                "tlbi ipas2e1is 0x1",
                "dsb ish",
                "tlbi vmalle1is",
                "dsb ish",
                "isb"
            ]
        );
        assert_eq!(log[7..9], ["dc civac 0x50000000 0x1000", "dsb ish"]);
        assert!(log[9].starts_with("stlr "), "{log:?}");
        assert_eq!(log[10..], ["dsb ishst"]);
    });
}

#[test]
fn invalidation_runs_under_the_vmid_of_the_vm_and_restores_what_was_loaded() {
    with_vm(true, |vm, cpu, machine| {
        let other = Stage2::new();
        other
            .create(cpu, &configuration(true), vmid(2), &[])
            .unwrap();
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
            .unwrap();
        other.load(cpu).unwrap();
        machine.take_log();
        vm.unmap(cpu, Ipa::new(0x1000), PAGE).unwrap();
        let log = machine.take_log();
        let loads: Vec<&String> = log
            .iter()
            .filter(|line| line.starts_with("vttbr"))
            .collect();
        assert!(loads[0].starts_with("vttbr 0x10000"), "{log:?}");
        assert!(loads[1].starts_with("vttbr 0x20000"), "{log:?}");
    });
}

#[test]
fn many_entries_are_invalidated_by_vmid() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 64 * PAGE, RW))
            .unwrap();
        machine.take_log();
        vm.unmap(cpu, Ipa::new(0), 63 * PAGE).unwrap();
        let log = machine.take_log();
        let tlbi: Vec<&String> = log.iter().filter(|line| line.starts_with("tlbi")).collect();
        assert_eq!(tlbi, ["tlbi vmalls12e1is"]);
    });
}

#[test]
fn an_emptied_table_and_its_parents_go_but_the_root_stays() {
    with_vm(true, |vm, cpu, _| {
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
            .unwrap();
        vm.unmap(cpu, Ipa::new(0x1000), PAGE).unwrap();
        // Two tables went to the pool, the cache holds the other eight.
        assert_eq!(cpu.cached(), 8);
        assert!(vm.registers(cpu.platform()).is_some());
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
            .unwrap();
        assert_eq!(cpu.cached(), 6);
    });
}

#[test]
fn each_concatenated_root_table_counts_its_own_entries() {
    with_vm(true, |vm, cpu, _| {
        let root = Pa::new(vm.registers(cpu.platform()).unwrap().vttbr & 0xffff_ffff_f000);
        let counts = |cpu: &support::TestCpu<'_>| {
            [root, root.forward(PAGE)].map(|page| cpu.pages().references(page))
        };
        vm.map(cpu, &mapping(512 << 30, 0x5000_0000, PAGE, RW))
            .unwrap();
        assert_eq!(counts(cpu), [0, 1]);
        vm.unmap(cpu, Ipa::new(512 << 30), PAGE).unwrap();
        assert_eq!(counts(cpu), [0, 0]);
    });
}

#[test]
fn map_stops_where_the_cache_cannot_hold_the_whole_path() {
    with_vm(true, |vm, cpu, _| {
        // One table short of a second path: level 2 and level 3 for the next GiB.
        cpu.drain();
        cpu.top_up(3);
        let range = mapping((1 << 30) - PAGE, 0x5000_0000, 2 * PAGE, RW);
        let stopped = Error::NoPages {
            done: PAGE,
            need: 2,
        };
        assert_eq!(vm.map(cpu, &range), Err(stopped));
        assert_eq!(cpu.cached(), 1);
        cpu.top_up(2);
        vm.map(cpu, &mapping(1 << 30, 0x5000_1000, PAGE, RW))
            .unwrap();
    });
}

#[test]
fn unmap_of_a_cut_block_with_an_empty_cache_changes_nothing() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x4000_0000, 1 << 30, RW)).unwrap();
        cpu.drain();
        machine.take_log();
        let ends_in_different_tables = vm.unmap(cpu, Ipa::new(PAGE), BLOCK);
        assert_eq!(
            ends_in_different_tables,
            Err(Error::NoPages { done: 0, need: 3 })
        );
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn both_ends_in_one_block_share_their_tables() {
    with_vm(true, |vm, cpu, _| {
        vm.map(cpu, &mapping(0, 0x4000_0000, 1 << 30, RW)).unwrap();
        cpu.drain();
        cpu.top_up(2);
        vm.unmap(cpu, Ipa::new(PAGE), PAGE).unwrap();
        assert_eq!(cpu.cached(), 0);
    });
}

#[test]
fn tables_are_cleaned_line_by_line_for_a_walker_that_is_not_coherent() {
    with_vm(false, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
            .unwrap();
        let log = machine.take_log();
        let cleans = log
            .iter()
            .filter(|line| line.starts_with("dc cvac"))
            .count();
        // Two new tables of 64 lines, and the line of each of three entries.
        assert_eq!(cleans, 2 * 64 + 3);
        // A DSB for stores alone completes no clean.
        assert_eq!(log.last().unwrap(), "dsb ish");
        assert!(!log.contains(&"dsb ishst".to_owned()));
    });
}

#[test]
fn a_failed_creation_holds_no_page() {
    with_vm(true, |_, cpu, _| {
        cpu.drain();
        while cpu.pages().allocate(0).is_some() {}
        let refused = Stage2::new().create(cpu, &configuration(true), vmid(2), &[]);
        assert_eq!(refused, Err(CreateError::NoMemory { order: 1 }));
    });
}

#[test]
fn creating_what_exists_is_refused() {
    with_vm(true, |vm, cpu, _| {
        let refused = vm.create(cpu, &configuration(true), vmid(1), &[]);
        assert_eq!(refused, Err(CreateError::Exists));
    });
}

#[test]
fn a_page_source_of_another_page_size_is_refused() {
    with_vm(true, |_, cpu, _| {
        let mut wrong = configuration(true);
        wrong.granule = Granule::K64;
        let refused = Stage2::new().create(cpu, &wrong, vmid(2), &[]);
        assert_eq!(refused, Err(CreateError::PageSize(4096)));
    });
}

#[test]
fn changes_of_one_table_are_invalidated_together() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 8 * PAGE, RW)).unwrap();
        for page in [1, 3, 5] {
            vm.unmap(cpu, Ipa::new(page * PAGE), PAGE).unwrap();
        }
        machine.take_log();
        vm.map(cpu, &mapping(0, 0x5000_1000, 8 * PAGE, RO)).unwrap();
        let log = machine.take_log();
        let by_ipa = log.iter().filter(|line| line.starts_with("tlbi ipas2e1is"));
        let by_vmid = log.iter().filter(|line| *line == "tlbi vmalle1is");
        assert_eq!((by_ipa.count(), by_vmid.count()), (5, 1));
    });
}

#[test]
fn freeing_gives_everything_back_and_freeing_twice_has_no_effect() {
    with_vm(true, |vm, cpu, machine| {
        vm.map(cpu, &mapping(0, 0x5000_1000, 64 * PAGE, RW))
            .unwrap();
        vm.load(cpu).unwrap();
        vm.free(cpu);
        assert_eq!(machine.take_log().iter().rev().nth(1).unwrap(), "vttbr 0x0");
        vm.free(cpu);
        assert_eq!(machine.take_log(), [""; 0]);
        cpu.drain();
        let lent = std::iter::from_fn(|| cpu.pages().allocate(0)).count();
        assert_eq!(lent, support::POOL_PAGES);
    });
}

#[test]
fn memory_that_no_guest_may_have_is_denied() {
    with_vm(true, |_, cpu, _| {
        let denied = [PaRange::new(Pa::new(support::POOL), 64 * PAGE).unwrap()];
        let vm = Stage2::new();
        vm.create(cpu, &configuration(true), vmid(2), &denied)
            .unwrap();
        let last_page = support::POOL + 63 * PAGE;
        let refused = vm.map(cpu, &mapping(0, last_page, 2 * PAGE, RW));
        assert_eq!(refused, Err(Error::Denied(denied[0])));
    });
}

#[test]
fn ranges_are_checked_in_the_order_of_the_contract() {
    with_vm(true, |vm, cpu, _| {
        let mut refused = |ipa, bytes| vm.unmap(cpu, Ipa::new(ipa), bytes);
        let error = |reason| Err(Error::Range(reason));
        let (top, last) = (1 << 40, u64::MAX - PAGE + 1);
        assert_eq!(refused(1, 0), error(RangeError::Empty));
        assert_eq!(refused(0x1001, PAGE), error(RangeError::Misaligned(0x1001)));
        assert_eq!(refused(last, PAGE), error(RangeError::Wraps(last)));
        let beyond = RangeError::BeyondIpaSize(Ipa::new(top + PAGE));
        assert_eq!(refused(top - PAGE, 2 * PAGE), error(beyond));
    });
}
