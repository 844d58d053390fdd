//! Sections C, F and A, and the preconditions of M and U.

use oracle::arch::Granule;
use oracle::model::{Meaning, Model, Supply};
use oracle::operation::{AccessKind, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Span};

use crate::support::*;

#[test]
fn create_answers_exists_before_anything_else() {
    let mut model = vm_4k();
    let failed = Supply {
        root_failed: true,
        ..pages(0)
    };
    let again = model.apply(&Operation::Create { vm: 0, vmid: 2 }, failed);
    assert_eq!(again, refused(Refusal::Exists));
    assert_eq!(model.vmid(0), Some(1));
}

#[test]
fn create_refuses_an_illegal_configuration_before_it_allocates() {
    let mut model = Model::new(&machine(Granule::K4, Some(0), 40, 40));
    let failed = Supply {
        root_failed: true,
        ..pages(0)
    };
    let answer = model.apply(&Operation::Create { vm: 0, vmid: 1 }, failed);
    assert_eq!(answer, refused(Refusal::IllegalConfiguration));
    assert_eq!(model.root_order(), None);
    assert!(!model.exists(0));
}

#[test]
fn create_without_a_root_is_refused() {
    let mut model = Model::new(&machine(Granule::K4, None, 40, 40));
    let failed = Supply {
        root_failed: true,
        ..pages(9)
    };
    let answer = model.apply(&Operation::Create { vm: 0, vmid: 1 }, failed);
    assert_eq!(answer, refused(Refusal::NoMemory));
    assert_eq!(model.lookup(0, 0), Meaning::NoVm);
}

#[test]
fn a_new_vm_maps_nothing_and_has_its_root() {
    let model = vm_4k();
    assert_eq!(model.tables(0), 2);
    assert_eq!(at(&model, 0), Err(1));
    assert_eq!(model.lookup(0, 1 << 40), Meaning::OutOfRange);
    assert_eq!(model.runs(0).count(), 0);
    assert_eq!(model.edges(), [0, (1 << 40) - 8]);
}

#[test]
fn the_default_cache_is_twice_the_levels_below_the_root() {
    let capacity = |machine: &Machine| Model::new(machine).cache_capacity();
    let machine = machine(Granule::K4, Some(1), 40, 40);
    assert_eq!(capacity(&machine), Some(4));
    let stated = Machine {
        cache_pages: Some(1),
        ..machine
    };
    assert_eq!(capacity(&stated), Some(1));
    let illegal = Machine {
        ipa_bits: 64,
        ..machine
    };
    assert_eq!(capacity(&illegal), None);
}

#[test]
fn free_counts_the_pages_of_the_other_vms() {
    let mut model = vm_4k();
    create(&mut model, 7);
    Map::new(0, 2 * G, 4 * K).done(&mut model);
    assert_eq!(model.tables(0), 4);
    assert_eq!(free(&mut model, 7), Outcome::Freed { pages: 4 });
    assert_eq!(free(&mut model, 0), Outcome::Freed { pages: 0 });
}

#[test]
fn free_of_a_vm_that_does_not_exist_has_no_effect() {
    let mut model = vm_4k();
    assert_eq!(free(&mut model, 1), Outcome::Freed { pages: 2 });
    assert!(model.exists(0));
}

#[test]
fn a_vm_that_was_freed_can_be_created_anew_and_maps_nothing() {
    let mut model = vm_4k();
    Map::new(0, 2 * G, 4 * K).done(&mut model);
    free(&mut model, 0);
    assert_eq!(create(&mut model, 0), Outcome::Done);
    assert_eq!(at(&model, 0), Err(1));
    assert_eq!(model.tables(0), 2);
}

#[test]
fn reset_forgets_every_vm() {
    let mut model = vm_4k();
    Map::new(0, 2 * G, 4 * K).done(&mut model);
    model.reset(&machine(Granule::K64, None, 40, 40));
    assert!(!model.exists(0));
    assert_eq!(create(&mut model, 0), Outcome::Done);
    assert_eq!((model.tables(0), at(&model, 0)), (1, Err(2)));
}

#[test]
fn operations_need_a_vm() {
    let mut model = vm_4k();
    let map = Map::new(0, 0, 0).of(1);
    let unmap = Operation::Unmap {
        vm: 1,
        ipa: 1,
        size: 0,
    };
    let access = Operation::Access {
        vm: 1,
        ipa: 0,
        kind: AccessKind::Read,
    };
    for operation in [map, unmap, access] {
        let answer = model.apply(&operation, pages(0));
        assert_eq!(answer, refused(Refusal::NoVm), "{operation:?}");
        assert!(model.edges().is_empty());
    }
}

#[test]
fn an_access_is_for_the_walker_to_answer() {
    let mut model = vm_4k();
    let access = Operation::Access {
        vm: 0,
        ipa: 0x1234,
        kind: AccessKind::Write,
    };
    assert_eq!(model.apply(&access, pages(0)), Outcome::Done);
    assert_eq!(model.edges(), [0x1228, 0x1230]);
}

/// Each map breaks its own precondition and all that come after it.
#[test]
fn map_checks_its_preconditions_in_order() {
    let nothing = Prot::default();
    let map = |ipa, pa, size| Map {
        prot: nothing,
        ..Map::new(ipa, pa, size)
    };
    let top = u64::MAX - 0xfff;
    let cases = [
        (map(1, 1, 0), Refusal::Empty),
        (map(top, top, 0x1001), Refusal::Misaligned),
        (map(top, top + 1, 0x1000), Refusal::Misaligned),
        (map(0, 0x800, 0x1000), Refusal::Misaligned),
        (map(0x800, 0, 0x1000), Refusal::Misaligned),
        (map(top, 1 << 40, 0x1000), Refusal::Wraps),
        (map(1 << 40, top, 0x1000), Refusal::Wraps),
        (map(1 << 40, 1 << 40, 0x1000), Refusal::IpaRange),
        (map(0, 1 << 40, 0x1000), Refusal::PaRange),
        (map(0, POOL, 0x1000), Refusal::BadAttributes),
        (Map::new(0, POOL, 0x1000), Refusal::Denied),
    ];
    for (map, why) in cases {
        let mut model = vm_4k();
        assert_eq!(map.with(&mut model, 0), refused(why), "{:#x}", map.ipa);
    }
}

#[test]
fn map_reaches_the_last_byte_of_ipa_and_output_size() {
    let mut model = vm_4k();
    Map::new((1 << 40) - 4 * K, (1 << 40) - 4 * K, 4 * K).done(&mut model);
    let beyond = Map::new((1 << 40) - 4 * K, 0, 8 * K);
    assert_eq!(beyond.with(&mut model, 9), refused(Refusal::IpaRange));
    let beyond = Map::new(0, (1 << 40) - 4 * K, 8 * K);
    assert_eq!(beyond.with(&mut model, 9), refused(Refusal::PaRange));
}

#[test]
fn device_memory_is_never_executable() {
    let mut model = vm_4k();
    let device = |prot| Map {
        prot,
        memory: MemoryType::Device,
        ..Map::new(0, 2 * G, 4 * K)
    };
    let executable = device(READ_EXECUTE).with(&mut model, 9);
    assert_eq!(executable, refused(Refusal::BadAttributes));
    device(READ_WRITE).done(&mut model);
}

#[test]
fn the_hypervisor_s_memory_is_denied_to_the_byte() {
    let denied = refused(Refusal::Denied);
    let answer = |pa, size| Map::new(0, pa, size).with(&mut vm_4k(), 9);
    assert_eq!(answer(POOL - 4 * K, 4 * K), Outcome::Done);
    assert_eq!(answer(POOL - 4 * K, 8 * K), denied);
    assert_eq!(answer(HYPERVISOR_END - 4 * K, 4 * K), denied);
    assert_eq!(answer(HYPERVISOR_END, 4 * K), Outcome::Done);
    assert_eq!(answer(0, 4 * G), denied);
}

#[test]
fn one_shared_byte_is_enough_to_be_denied() {
    let page = 2 * G;
    let answer = |base| {
        let hypervisor = Span { base, bytes: 1 };
        let mut model = vm(Machine {
            hypervisor,
            ..machine(Granule::K4, Some(1), 40, 40)
        });
        Map::new(0, page, 4 * K).with(&mut model, 9)
    };
    assert_eq!(answer(page - 1), Outcome::Done);
    assert_eq!(answer(page), refused(Refusal::Denied));
    assert_eq!(answer(page + 4 * K - 1), refused(Refusal::Denied));
    assert_eq!(answer(page + 4 * K), Outcome::Done);
}

#[test]
fn unmap_checks_its_preconditions_in_order() {
    let mut model = vm_4k();
    let top = u64::MAX - 0xfff;
    for (ipa, size, why) in [
        (top + 1, 0, Refusal::Empty),
        (top + 1, 0x1000, Refusal::Misaligned),
        (top, 0x1800, Refusal::Misaligned),
        (top, 0x1000, Refusal::Wraps),
        (1 << 40, 0x1000, Refusal::IpaRange),
        ((1 << 40) - 0x1000, 0x2000, Refusal::IpaRange),
    ] {
        assert_eq!(unmap(&mut model, ipa, size, 0), refused(why), "{ipa:#x}");
    }
}

#[test]
fn a_refused_map_changes_nothing() {
    let mut model = vm_4k();
    Map::new(0, 2 * G, 4 * K).done(&mut model);
    let refused_map = Map::new(0, POOL, 4 * K).with(&mut model, 9);
    assert_eq!(refused_map, refused(Refusal::Denied));
    assert_eq!(at(&model, 0), Ok((2 * G, 3)));
    assert_eq!(model.edges(), [0, 4 * K - 8, 4 * K]);
}
