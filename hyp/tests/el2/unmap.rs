//! Unmap and free.

use crate::bench::{
    BLOCK, PAGE, ROOT, RX, incoherent, instructions, mapping, memory, plain, shapes, with_el2,
};
use crate::support::RW;
use hyp::addr::{Pa, Va};
use hyp::el2::{Configuration, MapError, Mapping, UnmapError};
use hyp::geometry::Features;

#[test]
fn tearing_down_what_was_never_mapped_has_no_effect() {
    for configuration in shapes() {
        with_el2(&configuration, 10, |bench, cpu| {
            let page = configuration.granule.bytes();
            bench.el2.map(cpu, &mapping(page, page, page, RW)).unwrap();
            bench.machine.take_log();
            let all = 1 << configuration.va_bits;
            for (va, bytes) in [(0, page), (2 * page, all - 2 * page), (all - page, page)] {
                assert_eq!(bench.el2.unmap(cpu, Va::new(va), bytes), Ok(()));
            }
            assert_eq!(bench.machine.take_log(), [""; 0]);
        });
    }
}

#[test]
fn unmap_refuses_to_cut_a_block_and_nothing_has_changed() {
    with_el2(&plain(), 10, |bench, cpu| {
        let blocks = mapping(BLOCK, 0x5000_0000, 2 * BLOCK, RW);
        bench.el2.map(cpu, &blocks).unwrap();
        bench.machine.take_log();
        for (from, bytes, cut) in [
            (BLOCK + PAGE, BLOCK, BLOCK + PAGE),
            (BLOCK, BLOCK + PAGE, 2 * BLOCK + PAGE),
            (0, BLOCK + PAGE, BLOCK + PAGE),
            (BLOCK + PAGE, PAGE, BLOCK + PAGE),
        ] {
            let refused = bench.el2.unmap(cpu, Va::new(from), bytes);
            assert_eq!(refused, Err(UnmapError::CutsBlock(Va::new(cut))));
        }
        assert_eq!(bench.machine.take_log(), [""; 0]);
        assert_eq!(bench.el2.unmap(cpu, Va::new(BLOCK), BLOCK), Ok(()));
    });
}

#[test]
fn a_page_is_invalidated_by_its_address_between_barriers() {
    with_el2(&plain(), 10, |bench, cpu| {
        let pages = mapping(0x40_0000_1000, 0x5000_0000, 2 * PAGE, RW);
        bench.el2.map(cpu, &pages).unwrap();
        bench.machine.take_log();
        bench.el2.unmap(cpu, Va::new(0x40_0000_1000), PAGE).unwrap();
        let log = bench.machine.take_log();
        assert!(log[0].starts_with("str ") && log[0].ends_with(" 0x0"));
        assert_eq!(
            log[1..],
            ["dsb ishst", "tlbi vae2is 0x4000001", "dsb ish", "isb"]
        );
    });
}

#[test]
fn many_pages_are_invalidated_with_everything_of_el2_or_by_range() {
    let ranges = Configuration {
        features: Features {
            tlb_range: true,
            ..Features::default()
        },
        ..plain()
    };
    // TG=1, SCALE=1, NUM=0: 64 pages from the page with number 0x100 on.
    for (machine, expected) in [
        (plain(), "tlbi alle2is".to_owned()),
        (
            ranges,
            format!("tlbi rvae2is {:#x}", 1_u64 << 46 | 1 << 44 | 0x100),
        ),
    ] {
        with_el2(&machine, 10, |bench, cpu| {
            let pages = mapping(0x10_0000, 0x5000_0000, 65 * PAGE, RW);
            bench.el2.map(cpu, &pages).unwrap();
            bench.machine.take_log();
            bench.el2.unmap(cpu, Va::new(0x10_0000), 64 * PAGE).unwrap();
            let log = bench.machine.take_log();
            let tlbi: Vec<&String> = log.iter().filter(|line| line.starts_with("tlbi")).collect();
            assert_eq!(tlbi, [&expected]);
        });
    }
}

#[test]
fn emptied_tables_go_at_every_level_but_the_root() {
    // With 48 bits the tables of level 1 are not the root, as they are in a Stage-2
    // of 40 bits.
    for configuration in shapes() {
        with_el2(&configuration, 10, |bench, cpu| {
            let page = configuration.granule.bytes();
            bench.el2.map(cpu, &mapping(page, page, page, RW)).unwrap();
            bench.el2.unmap(cpu, Va::new(page), page).unwrap();
            assert_eq!(bench.word(ROOT), 0);
            assert_eq!(bench.pages_in_use(cpu), 1);
        });
    }
}

#[test]
fn a_table_stays_while_anything_in_it_is_mapped() {
    with_el2(&plain(), 10, |bench, cpu| {
        // Mapped at boot, page by page.
        for number in 0..3 {
            let page = number * PAGE;
            let code = Mapping::identity(memory(page, PAGE), RX);
            bench.el2.map(cpu, &code).unwrap();
        }
        bench.el2.unmap(cpu, Va::new(0), PAGE).unwrap();
        bench.el2.unmap(cpu, Va::new(2 * PAGE), PAGE).unwrap();
        let left = bench.el2.leaf(bench.machine, Va::new(PAGE)).unwrap();
        assert_eq!(left.leaf.unwrap().pa, Pa::new(PAGE));
        assert_eq!(bench.pages_in_use(cpu), 3);
    });
}

#[test]
fn tables_that_are_not_loaded_are_freed_without_a_register() {
    for configuration in shapes() {
        with_el2(&configuration, 20, |bench, cpu| {
            let page = configuration.granule.bytes();
            for va in [0, (1 << configuration.va_bits) - page] {
                bench.el2.map(cpu, &mapping(va, 0, page, RX)).unwrap();
            }
            bench.machine.take_log();
            bench.el2.free(cpu);
            let log = bench.machine.take_log();
            assert!(!log.iter().any(|line| line.starts_with("ttbr0")), "{log:?}");
            assert_eq!(bench.pages_in_use(cpu), 0);
            bench.el2.free(cpu);
            assert_eq!(bench.machine.take_log(), [""; 0]);
            assert!(!bench.el2.load(cpu));
            let gone = bench.el2.map(cpu, &mapping(0, 0, page, RX));
            assert_eq!(gone, Err(MapError::NoSpace));
            let gone = bench.el2.unmap(cpu, Va::new(0), page);
            assert_eq!(gone, Err(UnmapError::NoSpace));
        });
    }
}

#[test]
fn broken_entries_are_in_memory_before_they_are_invalidated() {
    with_el2(&incoherent(), 10, |bench, cpu| {
        bench
            .el2
            .map(cpu, &mapping(0, 0x5000_0000, 2 * PAGE, RW))
            .unwrap();
        bench.machine.take_log();
        bench.el2.unmap(cpu, Va::new(PAGE), PAGE).unwrap();
        let log = bench.machine.take_log();
        assert_eq!(instructions(&log[..2]), ["str", "dc"]);
        assert_eq!(log[2..], ["dsb ish", "tlbi vae2is 0x1", "dsb ish", "isb"]);
    });
}

#[test]
fn a_hint_at_the_level_is_given_only_where_the_table_stays() {
    let ttl = Configuration {
        features: Features {
            ttl: true,
            ..Features::default()
        },
        ..plain()
    };
    with_el2(&ttl, 10, |bench, cpu| {
        bench
            .el2
            .map(cpu, &mapping(PAGE, 0x5000_0000, 2 * PAGE, RW))
            .unwrap();
        bench.machine.take_log();
        // TTL: the 4K granule and level 3.
        for (va, expected) in [(PAGE, 0b0111 << 44 | 1), (2 * PAGE, 2_u64)] {
            bench.el2.unmap(cpu, Va::new(va), PAGE).unwrap();
            let log = bench.machine.take_log();
            assert!(
                log.contains(&format!("tlbi vae2is {expected:#x}")),
                "{log:?}"
            );
        }
    });
}

#[test]
fn a_table_that_the_range_covers_goes_by_one_store_with_all_that_is_below_it() {
    with_el2(&plain(), 10, |bench, cpu| {
        // One table of level 2, and three of pages below it.
        let pages = mapping(0, 0x5000_1000, 2 * BLOCK + PAGE, RW);
        bench.el2.map(cpu, &pages).unwrap();
        assert_eq!(cpu.cached(), 6);
        bench.machine.take_log();
        bench.el2.unmap(cpu, Va::new(0), 1 << 30).unwrap();
        assert_eq!(
            bench.machine.take_log(),
            [
                "str 0x48000000 0x0",
                "dsb ishst",
                "tlbi alle2is",
                "dsb ish",
                "isb"
            ]
        );
        assert_eq!(bench.pages_in_use(cpu), 1);
    });
}

#[test]
fn free_invalidates_everything_even_where_nothing_is_mapped() {
    with_el2(&plain(), 0, |bench, cpu| {
        bench.el2.free(cpu);
        assert_eq!(
            bench.machine.take_log(),
            ["dsb ishst", "tlbi alle2is", "dsb ish", "isb"]
        );
    });
}

#[test]
fn the_entry_of_an_emptied_table_is_in_memory_before_it_is_invalidated() {
    with_el2(&incoherent(), 10, |bench, cpu| {
        bench
            .el2
            .map(cpu, &mapping(0, 0x5000_0000, PAGE, RW))
            .unwrap();
        bench.machine.take_log();
        bench.el2.unmap(cpu, Va::new(0), PAGE).unwrap();
        let log = bench.machine.take_log();
        let words = instructions(&log);
        assert_eq!(words[..6], ["str", "dc", "str", "dc", "str", "dc"]);
        assert_eq!(log[6..], ["dsb ish", "tlbi vae2is 0x0", "dsb ish", "isb"]);
    });
}
