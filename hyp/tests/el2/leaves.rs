//! What leaves say, and where they stand.

use crate::bench::{
    BLOCK, PAGE, ROOT, RX, configuration, level, mapping, memory, plain, with_el2, with_lpa2,
};
use crate::support::{RO, RW};
use hyp::addr::{Pa, Va};
use hyp::descriptor::el2::AttributesError;
use hyp::descriptor::{Execute, MemoryType, Prot};
use hyp::el2::{El2, Entry, EntryError, Leaf, MapError, Mapping};
use hyp::geometry::{Granule, Level};

#[test]
fn leaves_have_the_bits_that_el2_asks_for() {
    let device = MemoryType::DeviceNgnre;
    for (prot, memory, software, attributes) in [
        // AttrIndx, AP[1], AP[2], SH, AF and XN.
        (RX, MemoryType::Normal, 0, 0x7c3_u64),
        (RO, MemoryType::Normal, 0, 0x0040_0000_0000_07c3),
        (RW, MemoryType::Normal, 0, 0x0040_0000_0000_0743),
        (RW, MemoryType::Normal, 9, 0x04c0_0000_0000_0743),
        (RO, MemoryType::NonCacheable, 0, 0x0040_0000_0000_07cb),
        (RW, device, 0, 0x0040_0000_0000_0447),
        (RW, MemoryType::DeviceNgnrne, 0, 0x0040_0000_0000_044f),
    ] {
        with_el2(&plain(), 10, |bench, cpu| {
            let page = Mapping {
                memory,
                software,
                ..mapping(0x1000, 0x5000_0000, PAGE, prot)
            };
            bench.el2.map(cpu, &page).unwrap();
            let log = bench.machine.take_log();
            let last = log.iter().rfind(|line| line.starts_with("stlr"));
            let leaf = format!("{:#x}", 0x5000_0000 | attributes);
            assert!(last.unwrap().ends_with(&leaf), "{log:?} {leaf}");
            let read = bench.el2.leaf(bench.machine, Va::new(0x1fff)).unwrap();
            let expected = Leaf {
                pa: Pa::new(0x5000_0000),
                prot,
                memory,
                software,
            };
            assert_eq!(read.leaf, Some(expected));
        });
    }
}

#[test]
fn with_ds_leaves_have_no_shareability() {
    with_el2(&with_lpa2(Granule::K4, 39, 52), 10, |bench, cpu| {
        let block = mapping(0, 0xc_0000_0000_0000, 1 << 30, RW);
        bench.el2.map(cpu, &block).unwrap();
        // PA[51:50] = 3 stands in bits 9:8.
        assert_eq!(bench.word(ROOT), 0x0040_0000_0000_0741);
    });
}

#[test]
fn attributes_that_el2_cannot_have_are_refused() {
    let none = Prot { read: false, ..RX };
    let both = Prot { write: true, ..RX };
    let el1 = Prot {
        execute: Execute::El1,
        ..RX
    };
    for (prot, memory, software, error) in [
        (none, MemoryType::Normal, 0, AttributesError::NotReadable),
        (
            both,
            MemoryType::Normal,
            0,
            AttributesError::WritableAndExecutable,
        ),
        (
            RX,
            MemoryType::DeviceNgnre,
            0,
            AttributesError::ExecutableDevice(Execute::Both),
        ),
        (
            el1,
            MemoryType::Normal,
            0,
            AttributesError::NoSuchExecute(Execute::El1),
        ),
        (RW, MemoryType::Normal, 16, AttributesError::Software(16)),
    ] {
        with_el2(&plain(), 10, |bench, cpu| {
            let page = Mapping {
                memory,
                software,
                ..mapping(0x1000, 0x5000_0000, PAGE, prot)
            };
            let refused = bench.el2.map(cpu, &page);
            assert_eq!(refused, Err(MapError::Attributes(error)));
            assert_eq!(bench.machine.take_log(), [""; 0]);
        });
    }
}

#[test]
fn identity_is_mapped_with_the_largest_blocks() {
    for (configuration, block_level, entry) in [
        (configuration(Granule::K4, 39, 40), 2, BLOCK),
        (configuration(Granule::K4, 48, 48), 2, BLOCK),
        (configuration(Granule::K16, 47, 44), 2, 32 << 20),
        (configuration(Granule::K64, 42, 42), 2, 512 << 20),
    ] {
        with_el2(&configuration, 10, |bench, cpu| {
            let all = Mapping::identity(memory(0x4000_0000, 512 << 20), RX);
            bench.el2.map(cpu, &all).unwrap();
            for va in [0x4000_0000, 0x4000_0000 + (511 << 20) + 12] {
                let found = bench.el2.leaf(bench.machine, Va::new(va)).unwrap();
                assert_eq!(found.level, level(block_level));
                assert_eq!(found.leaf.unwrap().pa, Pa::new(va / entry * entry));
            }
        });
    }
}

#[test]
fn the_upper_half_of_48_bits_is_the_second_entry_of_a_16k_root() {
    with_el2(&configuration(Granule::K16, 48, 48), 10, |bench, cpu| {
        bench
            .el2
            .map(cpu, &mapping(1 << 47, 0, 0x4000, RW))
            .unwrap();
        assert_eq!(bench.word(ROOT), 0);
        assert_eq!(bench.word(ROOT.forward(8)) & 3, 3);
    });
}

#[test]
fn registers_of_a_device_are_mapped_as_device_memory() {
    with_el2(&plain(), 10, |bench, cpu| {
        let uart = Mapping::io(Va::new(0x10_0000), memory(0x900_0000, 2 * PAGE));
        bench.el2.map(cpu, &uart).unwrap();
        let found = bench.el2.leaf(bench.machine, Va::new(0x10_1000)).unwrap();
        let expected = Entry {
            level: Level::PAGE,
            leaf: Some(Leaf {
                pa: Pa::new(0x900_1000),
                prot: RW,
                memory: MemoryType::DeviceNgnre,
                software: 0,
            }),
        };
        assert_eq!(found, expected);
        let log = bench.machine.take_log();
        assert!(!log.iter().any(|line| line.starts_with("dc")), "{log:?}");
    });
}

#[test]
fn an_address_past_the_va_size_has_no_entry() {
    with_el2(&plain(), 0, |bench, _| {
        let beyond = Va::new(1 << 39);
        let refused = bench.el2.leaf(bench.machine, beyond);
        assert_eq!(refused, Err(EntryError::BeyondVaSize(beyond)));
        let last = bench.el2.leaf(bench.machine, Va::new((1 << 39) - 1));
        let nothing = Entry {
            level: level(1),
            leaf: None,
        };
        assert_eq!(last, Ok(nothing));
        let none = El2::new().leaf(bench.machine, Va::new(0));
        assert_eq!(none, Err(EntryError::NoSpace));
    });
}
