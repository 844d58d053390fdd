//! Map: what it executes, what it skips, refuses, and leaves when pages run out.

use crate::bench::{
    BLOCK, PAGE, RX, incoherent, instructions, level, mapping, plain, shapes, with_el2,
};
use crate::support::{RO, RW};
use hyp::addr::{Pa, Va};
use hyp::descriptor::MemoryType;
use hyp::el2::{Configuration, MapError, Mapping, RangeError};
use hyp::geometry::{Features, Granule, Level};

#[test]
fn ranges_are_checked_in_the_order_of_the_contract() {
    with_el2(&plain(), 10, |bench, cpu| {
        let mut map = |va, pa, bytes| bench.el2.map(cpu, &mapping(va, pa, bytes, RW));
        let range = |error| Err(MapError::Range(error));
        assert_eq!(map(1, 1, 0), range(RangeError::Empty));
        assert_eq!(map(0, 1, PAGE), range(RangeError::Misaligned(1)));
        let high = u64::MAX - 4095;
        let wraps = Mapping {
            bytes: 2 * PAGE,
            ..mapping(high, 0, 0, RW)
        };
        assert_eq!(bench.el2.map(cpu, &wraps), range(RangeError::Wraps(high)));
        let mut map = |va, pa, bytes| bench.el2.map(cpu, &mapping(va, pa, bytes, RW));
        let end = Va::new(1 << 39 | PAGE);
        assert_eq!(
            map(1 << 39, 1 << 41, PAGE),
            range(RangeError::BeyondVaSize(end))
        );
        let end = Pa::new(1 << 40 | PAGE);
        assert_eq!(map(0, 1 << 40, PAGE), Err(MapError::BeyondOutputSize(end)));
        assert_eq!(map((1 << 39) - PAGE, (1 << 40) - PAGE, PAGE), Ok(()));
    });
}

#[test]
fn a_page_at_the_end_of_the_address_space_takes_a_table_for_each_level() {
    for configuration in shapes() {
        with_el2(&configuration, 10, |bench, cpu| {
            let page = configuration.granule.bytes();
            let va = (1 << configuration.va_bits) - page;
            bench.el2.map(cpu, &mapping(va, page, page, RW)).unwrap();
            let found = bench.el2.leaf(bench.machine, Va::new(va)).unwrap();
            assert_eq!(found.level, Level::PAGE);
            let levels = bench.el2.levels_below_root(bench.machine).unwrap();
            assert_eq!(bench.pages_in_use(cpu), usize::from(levels) + 1);
        });
    }
}

#[test]
fn the_vectors_page_is_made_fit_for_fetches_before_it_is_mapped() {
    with_el2(&plain(), 10, |bench, cpu| {
        let near = mapping(0x20_1000, 0x4020_1000, PAGE, RW);
        bench.el2.map(cpu, &near).unwrap();
        bench.machine.take_log();
        let vectors = Mapping::vectors(Va::new(0x20_0000), Pa::new(0x4020_0000), Granule::K4);
        bench.el2.map(cpu, &vectors).unwrap();
        let log = bench.machine.take_log();
        assert_eq!(
            log[..4],
            [
                "dc cvau 0x40200000 0x1000",
                "dsb ish",
                "ic ialluis",
                "dsb ish"
            ]
        );
        assert!(log[4].starts_with("stlr ") && log[4].ends_with(" 0x402007c3"));
        assert_eq!(log[5..], ["dsb ishst", "isb"]);
    });
}

#[test]
fn coherent_instruction_caches_need_no_maintenance() {
    let features = |idc, dic| Features {
        idc,
        dic,
        ..Features::default()
    };
    for (features, expected) in [
        (features(true, false), &["dsb", "ic", "dsb"][..]),
        (features(false, true), &["dc", "dsb"]),
        (features(true, true), &[]),
    ] {
        let machine = Configuration {
            features,
            ..plain()
        };
        with_el2(&machine, 10, |bench, cpu| {
            let code = mapping(0, 0x4000_0000, 1 << 30, RX);
            bench.el2.map(cpu, &code).unwrap();
            let log = bench.machine.take_log();
            let words = instructions(&log);
            assert_eq!(words[..expected.len()], *expected);
            assert_eq!(words[expected.len()..], ["stlr", "dsb", "isb"]);
        });
    }
}

#[test]
fn what_is_executable_already_is_not_maintained_again() {
    with_el2(&plain(), 10, |bench, cpu| {
        let code = mapping(0, 0x4000_0000, 2 * BLOCK, RX);
        bench.el2.map(cpu, &code).unwrap();
        bench.machine.take_log();
        bench.el2.map(cpu, &code).unwrap();
        assert_eq!(bench.machine.take_log(), [""; 0]);
    });
}

#[test]
fn map_stops_before_the_leaf_for_which_pages_are_lacking() {
    for configuration in shapes() {
        with_el2(&configuration, 0, |bench, cpu| {
            let levels = bench.el2.levels_below_root(bench.machine).unwrap();
            cpu.top_up(u32::from(levels));
            // The last page of one table of pages, and the first one of the next.
            let page = configuration.granule.bytes();
            let table = u64::from(configuration.granule.entries()) * page;
            let two = mapping(table - page, table - page, 2 * page, RW);
            let stopped = bench.el2.map(cpu, &two);
            let (done, need) = (page, 1);
            assert_eq!(stopped, Err(MapError::NoPages { done, need }));
            let last = bench
                .machine
                .take_log()
                .split_off(2 * usize::from(levels) + 1);
            assert_eq!(last, ["dsb ishst", "isb"]);
            let beyond = bench.el2.leaf(bench.machine, Va::new(table)).unwrap();
            assert_eq!(beyond.leaf, None);
            cpu.top_up(1);
            assert_eq!(bench.el2.map(cpu, &two), Ok(()));
        });
    }
}

#[test]
fn without_pages_nothing_is_done() {
    for configuration in shapes() {
        with_el2(&configuration, 0, |bench, cpu| {
            let need = bench.el2.levels_below_root(bench.machine).unwrap();
            cpu.top_up(u32::from(need) - 1);
            let page = configuration.granule.bytes();
            let stopped = bench.el2.map(cpu, &mapping(0, 0, page, RW));
            assert_eq!(stopped, Err(MapError::NoPages { done: 0, need }));
            assert_eq!(bench.machine.take_log(), [""; 0]);
            assert_eq!(bench.pages_in_use(cpu), 1);
        });
    }
}

#[test]
fn what_is_mapped_otherwise_is_refused_and_nothing_has_changed() {
    let there = || mapping(0x20_3000, 0x5000_3000, PAGE, RW);
    let wide = |prot, offset: u64| mapping(0x20_0000, 0x5000_0000 + offset, 8 * PAGE, prot);
    let device = Mapping {
        memory: MemoryType::DeviceNgnre,
        ..wide(RW, 0)
    };
    let software = Mapping {
        software: 1,
        ..wide(RW, 0)
    };
    for other in [wide(RO, 0), wide(RX, 0), wide(RW, PAGE), device, software] {
        with_el2(&plain(), 10, |bench, cpu| {
            bench.el2.map(cpu, &there()).unwrap();
            bench.machine.take_log();
            let refused = bench.el2.map(cpu, &other);
            assert_eq!(refused, Err(MapError::Mapped(Va::new(0x20_3000))));
            assert_eq!(bench.machine.take_log(), [""; 0]);
            assert_eq!(cpu.cached(), 8);
        });
    }
}

#[test]
fn a_block_that_maps_otherwise_is_found_where_the_range_begins() {
    with_el2(&plain(), 10, |bench, cpu| {
        let block = mapping(BLOCK, 0x5000_0000, BLOCK, RW);
        bench.el2.map(cpu, &block).unwrap();
        let inside = mapping(BLOCK + PAGE, 0x5000_0000, PAGE, RW);
        let refused = bench.el2.map(cpu, &inside);
        assert_eq!(refused, Err(MapError::Mapped(Va::new(BLOCK + PAGE))));
    });
}

#[test]
fn what_is_mapped_as_asked_for_is_skipped_whatever_its_level() {
    with_el2(&plain(), 10, |bench, cpu| {
        let pages = Mapping {
            pages_only: true,
            ..mapping(BLOCK + 4 * PAGE, 0x5020_4000, 2 * PAGE, RW)
        };
        bench
            .el2
            .map(cpu, &mapping(0, 0x5000_0000, BLOCK, RW))
            .unwrap();
        bench.el2.map(cpu, &pages).unwrap();
        bench.machine.take_log();
        let all = mapping(0, 0x5000_0000, 3 * BLOCK, RW);
        bench.el2.map(cpu, &all).unwrap();
        let log = bench.machine.take_log();
        // The rest of the table, and the third block. The table stays.
        let stores = log.iter().filter(|line| line.starts_with("stlr")).count();
        assert_eq!((stores, log.len()), (511 - 1 + 1, 511 + 2));
        let at = |va| bench.el2.leaf(bench.machine, Va::new(va)).unwrap();
        assert_eq!(at(PAGE).level, level(2));
        assert_eq!(at(BLOCK).level, Level::PAGE);
        assert_eq!(at(2 * BLOCK).level, level(2));
        assert_eq!(at(BLOCK + 4 * PAGE).leaf.unwrap().pa, Pa::new(0x5020_4000));
    });
}

#[test]
fn new_tables_are_in_memory_before_they_are_linked_for_a_walker_that_is_not_coherent() {
    with_el2(&incoherent(), 10, |bench, cpu| {
        bench
            .el2
            .map(cpu, &mapping(0, 0x5000_0000, PAGE, RW))
            .unwrap();
        let log = bench.machine.take_log();
        let words = instructions(&log);
        // 64 lines of a new table, and one of the entry that leads to it.
        let table = 1 + 64 + 1 + 1 + 1;
        for at in [0, table] {
            assert_eq!(words[at], "zero");
            assert!(words[at + 1..at + 65].iter().all(|&word| word == "dc"));
            assert_eq!(words[at + 65..at + table], ["dsb", "stlr", "dc"]);
            assert_eq!(log[at + 65], "dsb ish");
        }
        assert_eq!(words[2 * table..], ["stlr", "dc", "dsb", "isb"]);
        assert_eq!(log[2 * table + 2], "dsb ish");
    });
}

#[test]
fn the_need_for_pages_is_that_of_the_leaf() {
    with_el2(&plain(), 0, |bench, cpu| {
        let block = mapping(0, 0x5000_0000, BLOCK, RW);
        let pages = Mapping {
            pages_only: true,
            ..block
        };
        for (request, need) in [(block, 1), (pages, 2)] {
            let stopped = bench.el2.map(cpu, &request);
            assert_eq!(stopped, Err(MapError::NoPages { done: 0, need }));
        }
    });
}
