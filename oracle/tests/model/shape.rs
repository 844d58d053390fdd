//! Operations that change which tables there are: protect, split, coalesce, annotate,
//! subtrees, and the end of a VM by ranges (sections T, W7, N, B, D).

use oracle::model::{Meaning, Model};
use oracle::operation::{
    Action, EntryContent, Execute, MemoryType, Operation, Outcome, Prot, Refusal,
};

use crate::support::*;

fn act(model: &mut Model, action: Action, ipa: u64, size: u64, available: u32) -> Outcome {
    let operation = Operation::Range {
        vm: 0,
        action,
        ipa,
        size,
    };
    model.apply(&operation, pages(available))
}

fn protect(model: &mut Model, ipa: u64, size: u64, prot: Prot, available: u32) -> Outcome {
    let operation = Operation::Protect {
        vm: 0,
        ipa,
        size,
        prot,
    };
    model.apply(&operation, pages(available))
}

fn annotate(model: &mut Model, ipa: u64, size: u64, owner: u8, available: u32) -> Outcome {
    let operation = Operation::Annotate {
        vm: 0,
        ipa,
        size,
        owner,
    };
    model.apply(&operation, pages(available))
}

fn build(ipa: u64, pa: u64, level: i8, pages_only: bool) -> Operation {
    Operation::Build {
        vm: 0,
        ipa,
        pa,
        level,
        prot: READ_WRITE,
        memory: MemoryType::Normal,
        software: 0,
        pages_only,
    }
}

/// A block of 1G at 1G.
fn with_a_gigabyte() -> Model {
    let mut model = vm_4k();
    Map::new(G, 4 * G, G).done(&mut model);
    model
}

#[test]
fn protect_splits_what_it_cuts_and_needs_pages_for_that() {
    let mut model = with_a_gigabyte();
    let none = Outcome::NoPages { done: 0, need: 2 };
    assert_eq!(protect(&mut model, G + 4 * K, 4 * K, READ, 1), none);
    assert_eq!(at(&model, G), Ok((4 * G, 1)));
    let done = protect(&mut model, G + 4 * K, 4 * K, READ, 2);
    assert_eq!(done, Outcome::Done);
    assert_eq!(prot_at(&model, G + 4 * K), READ);
    assert_eq!(prot_at(&model, G + 8 * K), READ_WRITE);
    assert_eq!(at(&model, G + 2 * M), Ok((4 * G + 2 * M, 2)));
}

#[test]
fn protect_cuts_no_mark() {
    let mut model = with_a_gigabyte();
    act(&mut model, Action::Soften, G, G, 0);
    let done = protect(&mut model, G + 4 * K, 4 * K, READ, 0);
    assert_eq!(done, Outcome::Done);
    act(&mut model, Action::Revive, G, 4 * K, 0);
    assert_eq!(prot_at(&model, G + 4 * K), READ_WRITE);
}

#[test]
fn protect_leaves_device_memory_execute_never() {
    let mut model = vm_4k();
    Map {
        memory: MemoryType::Device,
        ..Map::new(0, 6 * M, 4 * K)
    }
    .done(&mut model);
    assert_eq!(
        protect(&mut model, 0, 4 * K, READ_EXECUTE, 0),
        Outcome::Done
    );
    assert_eq!(prot_at(&model, 0), READ);
}

#[test]
fn execution_at_one_el_needs_xnx() {
    let el0 = Prot {
        execute: Execute::El0,
        ..READ
    };
    let refused = refused(Refusal::BadAttributes);
    let map = Map {
        prot: el0,
        ..Map::new(0, 6 * M, 4 * K)
    };
    assert_eq!(map.with(&mut vm_4k(), 9), refused);
    assert_eq!(protect(&mut vm_4k(), 0, 4 * K, el0, 0), refused);
    let mut model = vm_with_features();
    map.done(&mut model);
    assert_eq!(prot_at(&model, 0), el0);
}

#[test]
fn split_takes_a_page_for_each_step_and_stops_at_the_first_block() {
    let mut model = with_a_gigabyte();
    let stopped = |done| Outcome::NoPages { done, need: 1 };
    let split =
        |model: &mut Model, available| act(model, Action::Split, G + 2 * M, 4 * M, available);
    assert_eq!(split(&mut model, 0), stopped(0));
    assert_eq!(at(&model, G), Ok((4 * G, 1)));
    assert_eq!(split(&mut model, 2), stopped(2 * M));
    assert_eq!(at(&model, G + 2 * M), Ok((4 * G + 2 * M, 3)));
    assert_eq!(at(&model, G + 4 * M), Ok((4 * G + 4 * M, 2)));
    assert_eq!(split(&mut model, 1), Outcome::Done);
    assert_eq!(at(&model, G), Ok((4 * G, 2)));
}

#[test]
fn coalesce_joins_level_by_level_what_maps_the_same_memory() {
    let mut model = with_a_gigabyte();
    let tables = model.tables(0);
    act(&mut model, Action::Split, G, 4 * M, 9);
    assert_eq!(model.tables(0), tables + 3);
    // The table of the gigabyte does not lie wholly in the range.
    act(&mut model, Action::Coalesce, G, 4 * M, 0);
    assert_eq!(at(&model, G), Ok((4 * G, 2)));
    act(&mut model, Action::Coalesce, G, G, 0);
    assert_eq!(at(&model, G), Ok((4 * G, 1)));
    assert_eq!(model.tables(0), tables);
}

#[test]
fn coalesce_leaves_what_differs() {
    let changes: [fn(&mut Model); 4] = [
        |model| assert_eq!(protect(model, G + 4 * K, 4 * K, READ, 9), Outcome::Done),
        |model| assert_eq!(unmap(model, G + 4 * K, 4 * K, 9), Outcome::Done),
        |model| Map::new(G + 4 * K, 6 * G, 4 * K).done(model),
        |model| {
            Map {
                software: 1,
                ..Map::new(G + 4 * K, 4 * G + 4 * K, 4 * K)
            }
            .done(model);
        },
    ];
    for change in changes {
        let mut model = with_a_gigabyte();
        change(&mut model);
        act(&mut model, Action::Coalesce, G, G, 0);
        assert_eq!(at(&model, G), Ok((4 * G, 3)));
    }
}

#[test]
fn a_block_is_young_if_one_of_its_parts_was() {
    let mut model = with_a_gigabyte();
    act(&mut model, Action::Split, G, 4 * K, 9);
    act(&mut model, Action::ClearYoung, G, 2 * M - 4 * K, 0);
    act(&mut model, Action::Coalesce, G, 2 * M, 0);
    assert_eq!(at(&model, G), Ok((4 * G, 2)));
    act(&mut model, Action::Split, G, 4 * K, 9);
    act(&mut model, Action::ClearYoung, G, 2 * M, 0);
    act(&mut model, Action::Coalesce, G, 2 * M, 0);
    assert_eq!(model.lookup(0, G), Meaning::Old { level: 2 });
}

#[test]
fn an_annotation_is_as_large_as_it_can_be_and_splits_as_a_block_does() {
    let mut model = vm_4k();
    assert_eq!(annotate(&mut model, G, G, 0, 9), refused(Refusal::BadOwner));
    assert_eq!(annotate(&mut model, G, G, 3, 0), Outcome::Done);
    let root = model.tables(0);
    assert_eq!(
        model.lookup(0, G + 5 * M),
        Meaning::Unmapped { fault_level: 1 }
    );
    // A part of it for the same owner takes nothing, for another one two tables.
    assert_eq!(annotate(&mut model, G, 4 * K, 3, 0), Outcome::Done);
    let none = Outcome::NoPages { done: 0, need: 2 };
    assert_eq!(annotate(&mut model, G, 4 * K, 4, 1), none);
    assert_eq!(annotate(&mut model, G, 4 * K, 4, 2), Outcome::Done);
    assert_eq!(model.tables(0), root + 2);
    let entry = |model: &mut Model, ipa| model.apply(&Operation::Leaf { vm: 0, ipa }, pages(0));
    let owner = |level, owner| Outcome::Entry {
        level,
        entry: EntryContent::Annotated { owner },
    };
    assert_eq!(entry(&mut model, G), owner(3, 4));
    assert_eq!(entry(&mut model, G + 4 * K), owner(3, 3));
    assert_eq!(entry(&mut model, G + 2 * M), owner(2, 3));
}

#[test]
fn a_subtree_maps_nothing_before_it_is_linked() {
    let mut model = vm_4k();
    Map::new(2 * M, 6 * M, 4 * K).done(&mut model);
    let tables = model.tables(0);
    let none = Outcome::NoPages { done: 0, need: 1 };
    let build = build(0, 8 * M, 2, false);
    assert_eq!(model.apply(&build, pages(0)), none);
    assert_eq!(model.apply(&build, pages(1)), Outcome::Done);
    assert_eq!(at(&model, 0), Err(2));
    assert_eq!(model.tables(0), tables + 1);
    assert_eq!(model.apply(&build, pages(9)), refused(Refusal::Busy));
    let link = Operation::Link { vm: 0 };
    assert_eq!(model.apply(&link, pages(0)), Outcome::Done);
    assert_eq!(at(&model, 4 * K), Ok((8 * M + 4 * K, 3)));
    assert_eq!(model.apply(&link, pages(0)), refused(Refusal::NothingBuilt));
}

#[test]
fn a_link_needs_tables_that_lead_to_the_entry() {
    let mut model = vm_4k();
    model.apply(&build(0, 8 * M, 2, false), pages(1));
    let link = Operation::Link { vm: 0 };
    assert_eq!(model.apply(&link, pages(0)), refused(Refusal::NoPath));
    Map::new(4 * M, 6 * M, 4 * K).done(&mut model);
    assert_eq!(model.apply(&link, pages(0)), Outcome::Done);
}

#[test]
fn build_has_its_refusals_in_order() {
    let mut model = vm_4k();
    let mut answer = |operation| model.apply(&operation, pages(9));
    for level in [-1, 0, 3, 4] {
        let bad = build(1, 1, level, false);
        assert_eq!(answer(bad), refused(Refusal::BadLevel));
    }
    assert_eq!(
        answer(build(4 * K, 0, 2, false)),
        refused(Refusal::Misaligned)
    );
    let top = 0u64.wrapping_sub(2 * M);
    assert_eq!(answer(build(top, 0, 2, false)), refused(Refusal::Wraps));
    let end = 1 << 40;
    assert_eq!(answer(build(end, 0, 2, false)), refused(Refusal::IpaRange));
    assert_eq!(answer(build(0, end, 2, false)), refused(Refusal::PaRange));
    assert_eq!(answer(build(0, POOL, 2, false)), refused(Refusal::Denied));
}

#[test]
fn a_subtree_of_pages_needs_a_table_for_each() {
    let mut model = vm_4k();
    let none = |need| Outcome::NoPages { done: 0, need };
    let gigabyte = |pages_only| build(0, 4 * G, 1, pages_only);
    assert_eq!(model.apply(&gigabyte(true), pages(512)), none(513));
    assert_eq!(model.apply(&gigabyte(false), pages(0)), none(1));
}

#[test]
fn a_dying_vm_answers_to_destroy_free_and_create_alone() {
    let mut model = with_a_gigabyte();
    let built = model.apply(&build(0, 8 * G, 1, false), pages(1));
    assert_eq!(built, Outcome::Done);
    let tables = model.tables(0);
    let destroy = |model: &mut Model, ipa, size| act(model, Action::Destroy, ipa, size, 0);
    assert_eq!(destroy(&mut model, 0, 0), refused(Refusal::Empty));
    assert!(!model.is_dying(0));
    assert_eq!(destroy(&mut model, 0, 4 * K), Outcome::Done);
    assert_eq!(model.tables(0), tables - 1);
    assert_eq!(at(&model, G), Ok((4 * G, 1)));
    assert_eq!(unmap(&mut model, G, G, 9), refused(Refusal::Dying));
    let conflict = Operation::Conflict { vm: 0 };
    assert_eq!(model.apply(&conflict, pages(0)), refused(Refusal::Dying));
    assert_eq!(create(&mut model, 0), refused(Refusal::Exists));
    assert_eq!(destroy(&mut model, G + 4 * K, 4 * K), Outcome::Done);
    assert_eq!(at(&model, G), Err(1));
    assert_eq!(free(&mut model, 0), Outcome::Freed { pages: 0 });
    assert_eq!(create(&mut model, 0), Outcome::Done);
    assert_eq!(model.apply(&conflict, pages(0)), Outcome::Done);
}
