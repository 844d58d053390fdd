//! Operations on entries, as whole operations on a judge: dirty state and the dirty log,
//! cache maintenance, marks, and answers.

mod trace;

use oracle::arch::Features;
use oracle::event::{CacheOperation, Event};
use oracle::judge::Judged;
use oracle::operation::{
    AccessKind, Action, EntryContent, Execute, LeafContent, Machine, MemoryType, Operation,
    Outcome, Prot,
};
use oracle::verdict::{Class, Finding};
use oracle::walk::Answer;
use trace::session::*;
use trace::*;

fn range(action: Action) -> Operation {
    Operation::Range {
        vm: 0,
        action,
        ipa: 0,
        size: PAGE,
    }
}

fn exchange(at: u64, old: u64, new: u64) -> Event {
    Event::Exchange { at, old, new }
}

fn flush(pa: u64, bytes: u64) -> Event {
    Event::Cache {
        operation: CacheOperation::Civac,
        at: pa,
        bytes,
    }
}

/// With FEAT_HAFDBS, and two pages mapped.
fn with_dirty_state() -> Session {
    let machine = Machine {
        features: Features {
            haf: true,
            dbm: true,
            ..Features::of_contract(40)
        },
        ..machine()
    };
    let mut session = Session::on(machine);
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    let vtcr = VTCR | 1 << 21 | 1 << 22;
    let load = [Event::WriteVtcr(vtcr), Event::WriteVttbr(VTTBR), ISB];
    session.step(READ, Outcome::Done, &load).unwrap();
    let events = map_two_pages();
    let events = with(&events, 8, store(L3, 0, clean_leaf(GUEST)));
    let events = with(&events, 9, store(L3 + 8, 0, clean_leaf(GUEST + PAGE)));
    session.step(MAP, Outcome::Done, &events).unwrap();
    session
}

const WRITE: u64 = 1 << 7;
const DBM: u64 = 1 << 51;

/// A writable page that was not written to.
fn clean_leaf(pa: u64) -> u64 {
    page(pa) & !WRITE | DBM
}

fn write(session: &mut Session) {
    let operation = Operation::Access {
        vm: 0,
        ipa: 8,
        kind: AccessKind::Write,
    };
    let judged = session.step(operation, Outcome::Done, &[]).unwrap();
    let Some(Answer::Translation(translation)) = judged.access else {
        panic!("{judged:?}");
    };
    let update = translation.update.expect("hardware marks it dirty");
    session.words.set(update.at, update.new);
}

fn told(ipa: u64, bytes: u64) -> Event {
    Event::Dirty { ipa, bytes }
}

/// A write by the guest, and write-protect of the page with these events after the
/// exchange.
fn protect_dirty(after: &[Event]) -> Result<Judged, Finding> {
    let mut session = with_dirty_state();
    write(&mut session);
    let old = clean_leaf(GUEST) | WRITE;
    let new = page(GUEST) & !WRITE;
    let events = [vec![exchange(L3, old, new)], after.to_vec(), invalidate(0)].concat();
    let judged = session.step(range(Action::WriteProtect), Outcome::Done, &events)?;
    session.judge.finish(&session.words)?;
    Ok(judged)
}

#[test]
fn a_dirty_leaf_that_loses_the_permission_to_write_is_told_once() {
    protect_dirty(&[told(0, PAGE)]).unwrap();
    let wrong = [
        vec![],
        vec![told(0, PAGE), told(0, PAGE)],
        vec![told(PAGE, PAGE)],
        vec![told(0, 2 * PAGE)],
        vec![told(0, PAGE), told(PAGE, PAGE)],
    ];
    for events in wrong {
        assert_found(protect_dirty(&events), Class::ReturnValue, "H3");
    }
}

#[test]
fn a_clean_leaf_is_not_told() {
    let protect = |told: &[Event]| {
        let mut session = with_dirty_state();
        let new = page(GUEST) & !WRITE;
        let events = [exchange(L3, clean_leaf(GUEST), new)];
        let events = [&events[..], told, &invalidate(0)].concat();
        session.step(range(Action::WriteProtect), Outcome::Done, &events)
    };
    protect(&[]).unwrap();
    assert_found(protect(&[told(0, PAGE)]), Class::ReturnValue, "H3");
}

#[test]
fn what_hardware_wrote_is_kept_by_what_leaves_the_leaf_as_it_was() {
    // Clear-young drops the dirty state, though the exchange told it.
    let clear = |new| {
        let mut session = with_dirty_state();
        write(&mut session);
        let old = clean_leaf(GUEST) | WRITE;
        let events = [vec![exchange(L3, old, new)], invalidate(0)].concat();
        let young = Outcome::Young(true);
        session.step(range(Action::ClearYoung), young, &events)
    };
    let old = 1 << 10;
    clear((clean_leaf(GUEST) | WRITE) & !old).unwrap();
    let finding = assert_found(
        clear(clean_leaf(GUEST) & !old),
        Class::WrongAttributes,
        "H2",
    );
    assert_eq!(finding.differences[0].field, "dirty");
    assert_found(
        clear(clean_leaf(GUEST) | WRITE),
        Class::WrongAttributes,
        "H1",
    );
}

#[test]
fn a_leaf_is_made_clean() {
    let map = |leaf| {
        let mut session = with_dirty_state();
        let map = map(2 * PAGE, GUEST + 2 * PAGE, PAGE);
        let events = [
            top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]),
            vec![store(L3 + 16, 0, leaf), ISHST],
        ];
        session.step(map, Outcome::Done, &events.concat())
    };
    map(clean_leaf(GUEST + 2 * PAGE)).unwrap();
    let dirty = clean_leaf(GUEST + 2 * PAGE) | WRITE;
    assert_found(map(dirty), Class::WrongAttributes, "H2");
    assert_found(map(page(GUEST + 2 * PAGE)), Class::WrongAttributes, "H2");
}

/// A map of two pages, with these events before the first of its own.
fn map_after(maintenance: &[Event]) -> Result<Judged, Finding> {
    let mut events = map_two_pages();
    events.splice(4..4, maintenance.iter().copied());
    Session::loaded().step_as_is(MAP, Outcome::Done, &events)
}

#[test]
fn memory_is_flushed_before_it_is_mapped_without_fwb() {
    let whole = flush(GUEST, 2 * PAGE);
    map_after(&[whole, ISH]).unwrap();
    let lines: Vec<_> = (0..128).map(|line| flush(GUEST + 64 * line, 1)).collect();
    map_after(&[&lines[..], &[ISH]].concat()).unwrap();
    let clean = Event::Cache {
        operation: CacheOperation::Cvac,
        at: GUEST,
        bytes: 2 * PAGE,
    };
    for missing in [
        vec![],
        vec![whole],
        vec![whole, ISHST],
        vec![clean, ISH],
        vec![flush(GUEST, PAGE), ISH],
        [&lines[1..], &[ISH]].concat(),
    ] {
        assert_found(map_after(&missing), Class::Cache, "K1");
    }
}

#[test]
fn a_flush_that_comes_after_the_leaf_is_too_late() {
    let mut events = map_two_pages();
    events.extend([flush(GUEST, 2 * PAGE), ISH]);
    let result = Session::loaded().step_as_is(MAP, Outcome::Done, &events);
    assert_found(result, Class::Cache, "K1");
}

#[test]
fn nothing_else_is_maintained() {
    let result = map_after(&[flush(GUEST, 3 * PAGE), ISH]);
    assert_found(result, Class::Cache, "K3");
    let mut events = unmap_events();
    events.extend([flush(GUEST, PAGE), ISH]);
    let result = Session::mapped().step(UNMAP, Outcome::Done, &events);
    assert_found(result, Class::Cache, "K3");
}

/// Relax that adds execution to the first page, after these events.
fn execute_after(machine: Machine, maintenance: &[Event]) -> Result<Judged, Finding> {
    let mut session = Session::on(machine);
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    session.step(READ, Outcome::Done, &load_events()).unwrap();
    session.step(MAP, Outcome::Done, &map_two_pages()).unwrap();
    let relax = Operation::Relax {
        vm: 0,
        ipa: 8,
        prot: Prot {
            execute: Execute::Both,
            ..Prot::default()
        },
    };
    let change = store(L3, page(GUEST), page(GUEST) & !(1 << 54));
    let events = [maintenance, &[change], &invalidate(0)].concat();
    session.step(relax, Outcome::Done, &events)
}

#[test]
fn memory_that_becomes_executable_is_cleaned_and_fetched_anew() {
    let clean = Event::Cache {
        operation: CacheOperation::Cvau,
        at: GUEST,
        bytes: PAGE,
    };
    let fetch = Event::InstructionCaches;
    let on = |idc, dic, events: &[Event]| {
        let machine = Machine {
            idc,
            dic,
            ..machine()
        };
        execute_after(machine, events)
    };
    on(false, false, &[clean, ISH, fetch, ISH]).unwrap();
    on(false, true, &[clean, ISH]).unwrap();
    on(true, false, &[ISH, fetch, ISH]).unwrap();
    on(true, true, &[]).unwrap();
    for missing in [&[][..], &[clean, ISH], &[fetch, ISH], &[clean, fetch, ISH]] {
        assert_found(on(false, false, missing), Class::Cache, "K2");
    }
    assert_found(on(false, true, &[clean]), Class::Cache, "K2");
    for missing in [&[fetch, ISH][..], &[ISH, fetch]] {
        assert_found(on(true, false, missing), Class::Cache, "K2");
    }
}

#[test]
fn flush_covers_the_range_and_no_more_than_the_leaf() {
    let flushed = |events: &[Event]| {
        let operation = Operation::Range {
            vm: 0,
            action: Action::Flush,
            ipa: 0,
            size: PAGE,
        };
        Session::mapped().step(operation, Outcome::Done, events)
    };
    flushed(&[flush(GUEST, PAGE), ISH]).unwrap();
    assert_found(flushed(&[]), Class::Cache, "W5");
    assert_found(flushed(&[flush(GUEST, PAGE)]), Class::Cache, "W5");
    let half = [flush(GUEST, PAGE / 2), ISH];
    assert_found(flushed(&half), Class::Cache, "W5");
    let both = [flush(GUEST, 2 * PAGE), ISH];
    assert_found(flushed(&both), Class::Cache, "K3");
}

/// Some invalid descriptor that is not 0.
const MARK: u64 = 0xabc0;

fn soften(mark: u64) -> Result<Session, Finding> {
    let mut session = Session::mapped();
    let events = [vec![store(L3, page(GUEST), mark)], invalidate(0)].concat();
    session.step(range(Action::Soften), Outcome::Done, &events)?;
    session.judge.finish(&session.words)?;
    Ok(session)
}

#[test]
fn a_softened_leaf_is_a_mark_until_it_is_revived() {
    let mut session = soften(MARK).unwrap();
    let events = [store(L3, MARK, page(GUEST)), ISHST];
    session
        .step(range(Action::Revive), Outcome::Done, &events)
        .unwrap();
    session.judge.finish(&session.words).unwrap();
    let Err(finding) = soften(0) else {
        panic!("nothing was found");
    };
    assert_eq!((finding.class, finding.rule), (Class::LostMapping, "W4"));
}

#[test]
fn unmap_leaves_no_mark() {
    let mut session = soften(MARK).unwrap();
    let unmap = |session: &mut Session, new| {
        let events = [
            top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]),
            vec![store(L3, MARK, new), ISHST],
        ];
        session.step(UNMAP, Outcome::Done, &events.concat())
    };
    let result = unmap(&mut session, MARK + 0x100);
    assert_found(result, Class::WrongAttributes, "U7");
    unmap(&mut soften(MARK).unwrap(), 0).unwrap();
}

#[test]
fn an_annotation_that_is_not_stored_is_lost() {
    let annotate = Operation::Annotate {
        vm: 0,
        ipa: 2 * PAGE,
        size: 2 * PAGE,
        owner: 5,
    };
    let step = |second| {
        let events = [
            top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]),
            vec![store(L3 + 16, 0, MARK), store(L3 + 24, 0, second), ISHST],
        ];
        Session::mapped().step(annotate, Outcome::Done, &events.concat())
    };
    step(MARK).unwrap();
    assert_found(step(0), Class::LostMapping, "N3");
}

#[test]
fn answers_about_entries_are_compared() {
    let leaf = Operation::Leaf { vm: 0, ipa: 8 };
    let content = LeafContent {
        pa: GUEST,
        prot: Prot {
            read: true,
            write: true,
            execute: Execute::Never,
        },
        memory: MemoryType::Normal,
        software: 0,
        young: true,
        dirty: false,
    };
    let answer = |content| {
        let entry = EntryContent::Leaf(content);
        Session::mapped().step(leaf, Outcome::Entry { level: 3, entry }, &[])
    };
    answer(content).unwrap();
    let old = LeafContent {
        young: false,
        ..content
    };
    assert_found(answer(old), Class::ReturnValue, "Y5");
    let test = |young| {
        let outcome = Outcome::Young(young);
        Session::mapped().step(range(Action::TestYoung), outcome, &[])
    };
    test(true).unwrap();
    assert_found(test(false), Class::ReturnValue, "W6");
}

#[test]
fn a_conflict_is_answered_by_invalidating_the_whole_vmid() {
    let conflict = |events: &[Event]| {
        let operation = Operation::Conflict { vm: 0 };
        Session::mapped().step(operation, Outcome::Done, events)
    };
    conflict(&[VMALLS12, ISH]).unwrap();
    assert_found(conflict(&[]), Class::StaleTlb, "D3");
    assert_found(conflict(&[VMALLS12]), Class::StaleTlb, "D3");
}

#[test]
fn a_vm_that_is_destroyed_is_loaded_no_more() {
    let destroy = |after: &[Event]| {
        let events = [vec![store(L3, page(GUEST), 0)], invalidate(0)].concat();
        let events = [&events[..], after].concat();
        Session::mapped().step(range(Action::Destroy), Outcome::Done, &events)
    };
    destroy(&[Event::WriteVttbr(0), ISB]).unwrap();
    assert_found(destroy(&[]), Class::Register, "D2");
}
