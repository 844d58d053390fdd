//! Operations on whole entries and on one leaf (sections W, Y), and what hardware does to
//! a leaf (section H).

use oracle::model::{Meaning, Model};
use oracle::operation::{
    AccessKind, Action, EntryContent, Execute, LeafContent, MemoryType, Operation, Outcome, Prot,
    Refusal,
};

use crate::support::*;

fn act(model: &mut Model, action: Action, ipa: u64, size: u64) -> Outcome {
    let operation = Operation::Range {
        vm: 0,
        action,
        ipa,
        size,
    };
    model.apply(&operation, pages(0))
}

fn access(model: &mut Model, ipa: u64, kind: AccessKind) {
    let operation = Operation::Access { vm: 0, ipa, kind };
    assert_eq!(model.apply(&operation, pages(0)), Outcome::Done);
}

fn relax(model: &mut Model, ipa: u64, prot: Prot) -> Outcome {
    model.apply(&Operation::Relax { vm: 0, ipa, prot }, pages(0))
}

fn entry(model: &mut Model, ipa: u64) -> (i8, EntryContent) {
    match model.apply(&Operation::Leaf { vm: 0, ipa }, pages(0)) {
        Outcome::Entry { level, entry } => (level, entry),
        other => panic!("{other:?}"),
    }
}

fn leaf(model: &mut Model, ipa: u64) -> LeafContent {
    match entry(model, ipa) {
        (_, EntryContent::Leaf(leaf)) => leaf,
        other => panic!("{other:?}"),
    }
}

fn dirty(model: &Model) -> Vec<(u64, u64)> {
    model.dirty().collect()
}

/// A block of 2M and the page behind it, both read-write.
fn block_and_page() -> Model {
    let mut model = vm_with_features();
    Map::new(2 * M, 6 * M, 2 * M + 4 * K).done(&mut model);
    model
}

#[test]
fn an_entry_that_the_range_only_cuts_is_unmapped_whole() {
    let mut model = block_and_page();
    let done = act(&mut model, Action::UnmapWhole, 3 * M, 4 * K);
    assert_eq!(done, Outcome::Done);
    assert_eq!(at(&model, 2 * M), Err(2));
    assert_eq!(at(&model, 4 * M), Ok((8 * M, 3)));
}

#[test]
fn a_leaf_that_is_written_by_the_guest_is_dirty_until_it_may_not_be_written() {
    let mut model = block_and_page();
    access(&mut model, 3 * M, AccessKind::Write);
    access(&mut model, 4 * M, AccessKind::Read);
    assert!(leaf(&mut model, 2 * M).dirty);
    assert!(!leaf(&mut model, 4 * M).dirty);
    act(&mut model, Action::WriteProtect, 2 * M, 4 * M);
    assert_eq!(dirty(&model), [(2 * M, 2 * M)]);
    assert!(!leaf(&mut model, 2 * M).dirty);
    assert_eq!(prot_at(&model, 2 * M), READ);
    relax(&mut model, 2 * M, WRITE);
    assert!(!leaf(&mut model, 2 * M).dirty);
}

#[test]
fn a_write_without_the_permission_leaves_no_trace() {
    let mut model = block_and_page();
    act(&mut model, Action::WriteProtect, 2 * M, 2 * M);
    access(&mut model, 2 * M, AccessKind::Write);
    assert!(!leaf(&mut model, 2 * M).dirty);
}

#[test]
fn a_dirty_block_that_is_cut_is_reported_page_by_page() {
    let mut model = block_and_page();
    access(&mut model, 2 * M, AccessKind::Write);
    assert_eq!(unmap(&mut model, 2 * M + 4 * K, 8 * K, 1), Outcome::Done);
    let page = |n: u64| (2 * M + n * 4 * K, 4 * K);
    assert_eq!(dirty(&model), [page(1), page(2)]);
    assert!(leaf(&mut model, 2 * M).dirty);
    act(&mut model, Action::UnmapWhole, 2 * M, 2 * M);
    assert_eq!(dirty(&model).len(), 510);
}

#[test]
fn a_map_over_a_dirty_leaf_reports_it_and_an_identical_one_does_not() {
    let mut model = block_and_page();
    access(&mut model, 4 * M, AccessKind::Write);
    Map::new(4 * M, 8 * M, 4 * K).done(&mut model);
    assert_eq!(dirty(&model), []);
    assert!(leaf(&mut model, 4 * M).dirty);
    Map::new(4 * M, 9 * M, 4 * K).done(&mut model);
    assert_eq!(dirty(&model), [(4 * M, 4 * K)]);
    assert!(!leaf(&mut model, 4 * M).dirty);
}

#[test]
fn softening_loses_no_dirty_state_and_unmapping_a_softened_leaf_reports_it() {
    let mut model = block_and_page();
    access(&mut model, 2 * M, AccessKind::Write);
    act(&mut model, Action::Soften, 2 * M, 2 * M);
    assert_eq!(dirty(&model), []);
    let unmapped = Meaning::Unmapped { fault_level: 2 };
    assert_eq!(model.lookup(0, 3 * M), unmapped);
    act(&mut model, Action::Revive, 3 * M, 4 * K);
    assert!(leaf(&mut model, 2 * M).dirty);
    act(&mut model, Action::Soften, 2 * M, 2 * M);
    act(&mut model, Action::UnmapWhole, 2 * M, 2 * M);
    assert_eq!(dirty(&model), [(2 * M, 2 * M)]);
}

#[test]
fn a_softened_leaf_keeps_its_table() {
    let mut model = block_and_page();
    act(&mut model, Action::Soften, 4 * M, 4 * K);
    let tables = model.tables(0);
    unmap(&mut model, 4 * M, 4 * K, 0);
    assert_eq!(model.tables(0), tables - 1);
}

#[test]
fn young_is_cleared_once_and_an_access_makes_it_again() {
    let mut model = block_and_page();
    let young = |model: &mut Model, action| act(model, action, 0, 8 * M);
    assert_eq!(young(&mut model, Action::TestYoung), Outcome::Young(true));
    assert_eq!(young(&mut model, Action::ClearYoung), Outcome::Young(true));
    assert_eq!(young(&mut model, Action::TestYoung), Outcome::Young(false));
    access(&mut model, 4 * M, AccessKind::Read);
    let of_block = act(&mut model, Action::TestYoung, 2 * M, 2 * M);
    assert_eq!(of_block, Outcome::Young(false));
    assert_eq!(young(&mut model, Action::ClearYoung), Outcome::Young(true));
}

#[test]
fn without_hardware_an_old_leaf_takes_an_access_flag_fault() {
    let mut model = vm_4k();
    Map::new(2 * M, 6 * M, 2 * M).done(&mut model);
    act(&mut model, Action::ClearYoung, 2 * M, 4 * K);
    assert_eq!(model.lookup(0, 3 * M), Meaning::Old { level: 2 });
    access(&mut model, 3 * M, AccessKind::Read);
    assert_eq!(model.lookup(0, 3 * M), Meaning::Old { level: 2 });
    let young = Operation::MakeYoung { vm: 0, ipa: 3 * M };
    assert_eq!(model.apply(&young, pages(0)), Outcome::Done);
    assert_eq!(at(&model, 2 * M), Ok((6 * M, 2)));
}

#[test]
fn relax_adds_permissions_and_takes_none() {
    let mut model = block_and_page();
    let execute = |execute| Prot {
        read: false,
        write: false,
        execute,
    };
    relax(&mut model, 3 * M, execute(Execute::El1));
    assert_eq!(prot_at(&model, 2 * M).execute, Execute::El1);
    relax(&mut model, 3 * M, execute(Execute::El0));
    assert_eq!(prot_at(&model, 2 * M).execute, Execute::Both);
    assert!(prot_at(&model, 2 * M).write);
    assert_eq!(prot_at(&model, 4 * M), READ_WRITE);
}

#[test]
fn relax_has_its_refusals_in_order() {
    let mut model = vm_4k();
    let none = Prot::default();
    let el1 = Prot {
        execute: Execute::El1,
        ..READ
    };
    let end = 1 << 40;
    for bad in [none, el1] {
        assert_eq!(relax(&mut model, end, bad), refused(Refusal::BadAttributes));
    }
    assert_eq!(relax(&mut model, end, READ), refused(Refusal::IpaRange));
    assert_eq!(relax(&mut model, 0, READ), refused(Refusal::NotMapped));
    Map {
        memory: MemoryType::DeviceStrict,
        ..Map::new(0, 6 * M, 4 * K)
    }
    .done(&mut model);
    let execute = relax(&mut model, 0, READ_EXECUTE);
    assert_eq!(execute, refused(Refusal::BadAttributes));
    assert_eq!(relax(&mut model, 0, READ), Outcome::Done);
}

#[test]
fn leaf_answers_what_the_entry_holds_from_its_first_byte() {
    let mut model = block_and_page();
    assert_eq!(entry(&mut model, 0), (2, EntryContent::Empty));
    assert_eq!(entry(&mut model, 1 << 39), (1, EntryContent::Empty));
    let block = LeafContent {
        pa: 6 * M,
        prot: READ_WRITE,
        memory: MemoryType::Normal,
        software: 0,
        young: true,
        dirty: false,
    };
    assert_eq!(entry(&mut model, 3 * M + 7), (2, EntryContent::Leaf(block)));
    act(&mut model, Action::Soften, 2 * M, 4 * K);
    assert_eq!(entry(&mut model, 3 * M), (2, EntryContent::Softened(block)));
    let annotate = Operation::Annotate {
        vm: 0,
        ipa: 4 * M,
        size: 4 * K,
        owner: 7,
    };
    model.apply(&annotate, pages(0));
    let owner = EntryContent::Annotated { owner: 7 };
    assert_eq!(entry(&mut model, 4 * M), (3, owner));
    let beyond = Operation::Leaf {
        vm: 0,
        ipa: 1 << 40,
    };
    assert_eq!(model.apply(&beyond, pages(0)), refused(Refusal::IpaRange));
}
