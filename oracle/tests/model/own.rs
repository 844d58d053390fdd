//! The hypervisor's own address space (section E), and what AArch32 has (section Z).

use oracle::arch::Granule;
use oracle::model::legal::{Configuration, Illegal, Request, check};
use oracle::model::{Model, registers};
use oracle::operation::{
    Action, Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Regime,
};

use crate::support::*;

fn own_machine() -> Machine {
    Machine {
        regime: Regime::El2,
        ..machine(Granule::K4, None, 40, 48)
    }
}

fn own() -> Model {
    vm(own_machine())
}

fn of(regime: Regime, start: Option<i8>, bits: u8) -> Result<Configuration, Illegal> {
    check(&Request::of(&Machine {
        regime,
        ..machine(Granule::K4, start, bits, 40)
    }))
}

#[test]
fn the_start_level_is_what_the_va_size_gives() {
    let start = |granule, bits, ds| {
        let wide = Request {
            ds,
            lpa2: true,
            ttst: true,
            ..Request::of(&Machine {
                regime: Regime::El2,
                ..machine(granule, None, bits, 52)
            })
        };
        let configuration = check(&wide).unwrap();
        assert_eq!(configuration.root_tables(), 1);
        configuration.start_level()
    };
    let of_4k = [
        (21, 3),
        (22, 2),
        (30, 2),
        (31, 1),
        (39, 1),
        (40, 0),
        (48, 0),
    ];
    for (bits, level) in of_4k {
        assert_eq!(start(Granule::K4, bits, false), level);
    }
    assert_eq!(start(Granule::K4, 49, true), -1);
    assert_eq!(start(Granule::K16, 47, false), 1);
    assert_eq!(start(Granule::K16, 48, false), 0);
    assert_eq!(start(Granule::K64, 42, false), 2);
    assert_eq!(start(Granule::K64, 52, false), 1);
}

#[test]
fn a_va_may_be_wider_than_physical_addresses_and_the_start_level_is_no_choice() {
    assert!(of(Regime::El2, None, 48).is_ok());
    assert!(of(Regime::El2, Some(0), 48).is_ok());
    assert_eq!(of(Regime::El2, Some(1), 48), Err(Illegal::StartLevel(1)));
}

#[test]
fn aarch32_has_its_sizes_and_levels_and_no_features() {
    let start = |regime, bits| of(regime, None, bits).map(|c| (c.start_level(), c.root_tables()));
    assert_eq!(start(Regime::Aarch32, 40), Ok((1, 2)));
    assert_eq!(start(Regime::Aarch32, 34), Ok((2, 16)));
    assert_eq!(of(Regime::Aarch32, Some(1), 31).unwrap().root_tables(), 1);
    for level in [-1, 0, 3] {
        let refused = Err(Illegal::StartLevel(level));
        assert_eq!(of(Regime::Aarch32, Some(level), 40), refused);
    }
    assert!(of(Regime::Aarch32, None, 41).is_err());
    assert_eq!(start(Regime::Aarch32Hyp, 32), Ok((1, 1)));
    assert_eq!(start(Regime::Aarch32Hyp, 30), Ok((2, 1)));
    assert!(of(Regime::Aarch32Hyp, None, 33).is_err());
    assert!(of(Regime::Aarch32Hyp, None, 24).is_err());
    for regime in [Regime::Aarch32, Regime::Aarch32Hyp] {
        let mut featured = Machine {
            regime,
            ..machine(Granule::K4, None, 32, 40)
        };
        assert!(check(&Request::of(&featured)).is_ok());
        featured.ttl = true;
        let refused = check(&Request::of(&featured));
        assert_eq!(refused, Err(Illegal::Aarch32));
        let large = machine(Granule::K64, None, 32, 40);
        let refused = check(&Request::of(&Machine { regime, ..large }));
        assert_eq!(refused, Err(Illegal::Aarch32));
    }
}

#[test]
fn control_registers_of_each_regime() {
    let control = |regime, bits| {
        let machine = Machine {
            regime,
            ..machine(Granule::K4, None, bits, 40)
        };
        registers::control(&check(&Request::of(&machine)).unwrap(), &machine)
    };
    assert_eq!(control(Regime::El2, 40), 0x8082_3518);
    // T0SZ = -8, S = 1, SL0 = 1.
    assert_eq!(control(Regime::Aarch32, 40), 0x8000_3558);
    // T0SZ = 0, S = 0, SL0 = 0.
    assert_eq!(control(Regime::Aarch32, 32), 0x8000_3500);
    assert_eq!(control(Regime::Aarch32Hyp, 32), 0x8080_3500);
    assert_eq!(control(Regime::Aarch32Hyp, 25), 0x8080_3507);
}

#[test]
fn what_section_e_does_not_have_is_not_here() {
    let mut model = own();
    let not_here = refused(Refusal::NotHere);
    let range = |action| Operation::Range {
        vm: 0,
        action,
        ipa: 1,
        size: 0,
    };
    let others = [
        range(Action::Split),
        Operation::Conflict { vm: 0 },
        Operation::MakeYoung { vm: 0, ipa: 0 },
        Operation::Create { vm: 1, vmid: 2 },
        Operation::Free { vm: 1 },
    ];
    for operation in others {
        assert_eq!(model.apply(&operation, pages(9)), not_here);
    }
    assert_eq!(unmap(&mut model, 0, 0, 9), refused(Refusal::Empty));
}

#[test]
fn attributes_are_those_that_el2_can_have() {
    let mut model = own();
    let mut map = |prot, memory| {
        Map {
            prot,
            memory,
            ..Map::new(0, 6 * M, 4 * K)
        }
        .with(&mut model, 9)
    };
    let bad = refused(Refusal::BadAttributes);
    let all = Prot {
        write: true,
        ..READ_EXECUTE
    };
    let el1 = Prot {
        execute: Execute::El1,
        ..READ
    };
    for prot in [WRITE, all, el1] {
        assert_eq!(map(prot, MemoryType::Normal), bad);
    }
    assert_eq!(map(READ_EXECUTE, MemoryType::Device), bad);
    assert_eq!(map(READ, MemoryType::Device), Outcome::Done);
}

#[test]
fn the_hypervisors_memory_is_its_own_to_map() {
    Map::new(HYPERVISOR, HYPERVISOR, M).done(&mut own());
}

#[test]
fn what_is_mapped_otherwise_refuses_the_whole_range() {
    let mut model = own();
    Map::new(4 * K, 6 * M + 4 * K, 4 * K).done(&mut model);
    let tables = model.tables(0);
    let other = Map::new(0, 8 * M, 8 * K);
    assert_eq!(other.with(&mut model, 9), refused(Refusal::Mapped));
    assert_eq!(at(&model, 0), Err(3));
    assert_eq!(model.tables(0), tables);
}

#[test]
fn no_block_takes_the_place_of_a_table_in_use() {
    let mut model = own();
    Map::new(4 * K, 6 * M + 4 * K, 4 * K).done(&mut model);
    Map::new(0, 6 * M, 6 * M).done(&mut model);
    assert_eq!(at(&model, 0), Ok((6 * M, 3)));
    assert_eq!(at(&model, 2 * M), Ok((8 * M, 2)));
    assert_eq!(at(&model, 4 * M), Ok((10 * M, 2)));
}

#[test]
fn pages_in_a_block_that_maps_the_same_are_skipped() {
    let mut model = own();
    Map::new(2 * M, 6 * M, 2 * M).done(&mut model);
    let pages = Map::new(2 * M, 6 * M, 4 * K).in_pages();
    assert_eq!(pages.with(&mut model, 0), Outcome::Done);
    assert_eq!(at(&model, 2 * M), Ok((6 * M, 2)));
}

#[test]
fn map_stops_where_the_pages_are_used_up() {
    let mut model = own();
    let map = Map::new(0, 8 * M, 2 * M + 4 * K);
    let stopped = Outcome::NoPages {
        done: 2 * M,
        need: 1,
    };
    assert_eq!(map.with(&mut model, 2), stopped);
    assert_eq!(map.with(&mut model, 1), Outcome::Done);
}

#[test]
fn unmap_cuts_no_block() {
    let mut model = own();
    Map::new(2 * M, 6 * M, 2 * M + 8 * K).done(&mut model);
    let cuts = refused(Refusal::CutsBlock);
    assert_eq!(unmap(&mut model, 2 * M, 4 * K, 9), cuts);
    assert_eq!(unmap(&mut model, 3 * M, 4 * M, 9), cuts);
    assert_eq!(unmap(&mut model, 4 * M, 4 * K, 0), Outcome::Done);
    assert_eq!(at(&model, 4 * M), Err(3));
    assert_eq!(unmap(&mut model, 2 * M, 4 * M, 0), Outcome::Done);
    assert_eq!(model.tables(0), 1);
}
