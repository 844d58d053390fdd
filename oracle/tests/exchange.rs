//! Atomic exchanges, and descriptors that hardware updates, as pairs of traces that
//! differ in one event.

mod trace;

use oracle::event::Event;
use oracle::operation::Machine;
use oracle::protocol::Discipline;
use oracle::verdict::{Class, Finding};
use trace::machines::{NOTHING, change_on, exchange, mapped_on, with_updates};
use trace::*;

const ACCESS_FLAG: u64 = 1 << 10;
const DIRTY: u64 = 1 << 7;
const MODIFIER: u64 = 1 << 51;

/// The first page, unmapped by an exchange.
fn unmap_page(old: u64) -> Vec<Event> {
    let mut events = vec![exchange(L3, old, 0)];
    events.extend(invalidate(0));
    events
}

#[test]
fn an_exchange_is_a_store() {
    change(&unmap_page(page(GUEST))).unwrap();
    let open = without(&unmap_page(page(GUEST)), 2);
    assert_found(change(&open), Class::StaleTlb, "G3");
    let direct = [exchange(L3, page(GUEST), page(GUEST + 2 * PAGE)), ISHST];
    assert_found(change(&direct), Class::BreakBeforeMake, "G4");
}

#[test]
fn an_exchange_releases() {
    let link = |event| change(&[zero(SPARE), event, ISHST]);
    link(exchange(L2 + 8, 0, table(SPARE))).unwrap();
    let plain = link(store(L2 + 8, 0, table(SPARE)));
    assert_found(plain, Class::Barrier, "G5");
}

#[test]
fn an_exchange_finds_what_was_stored() {
    let other = change(&unmap_page(page(GUEST) & !ACCESS_FLAG));
    assert_found(other, Class::TornUpdate, "G3");
}

/// An operation that makes the first page `made`, on a machine, and one that finds it as
/// `found`.
fn find(machine: &Machine, made: u64, found: u64) -> Result<(), Finding> {
    let mut observer = mapped_on(machine);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(unmap_page(page(GUEST)));
    events.extend([store(L3, 0, made), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    run(&mut observer, CHANGE, &unmap_page(found))
}

#[test]
fn hardware_sets_the_access_flag() {
    let (old, young) = (page(GUEST) & !ACCESS_FLAG, page(GUEST));
    find(&with_updates(), old, young).unwrap();
    let cleared = find(&with_updates(), young, old);
    assert_found(cleared, Class::TornUpdate, "G3");
    assert_found(find(&machine(), old, young), Class::TornUpdate, "G3");
}

#[test]
fn hardware_makes_a_leaf_dirty_that_has_the_modifier() {
    let clean = page(GUEST) & !DIRTY | MODIFIER;
    find(&with_updates(), clean, clean | DIRTY).unwrap();
    let without = clean & !MODIFIER;
    let result = find(&with_updates(), without, without | DIRTY);
    assert_found(result, Class::TornUpdate, "G3");
    let washed = find(&with_updates(), clean | DIRTY, clean);
    assert_found(washed, Class::TornUpdate, "G3");
}

#[test]
fn hardware_sets_nothing_else() {
    let moved = find(&with_updates(), page(GUEST), page(GUEST + PAGE));
    assert_found(moved, Class::TornUpdate, "G3");
    let mark = 0b1110;
    let marked = find(&with_updates(), mark, mark | ACCESS_FLAG);
    assert_found(marked, Class::TornUpdate, "G3");
}

#[test]
fn with_hardware_updates_a_valid_descriptor_is_changed_by_exchange() {
    let events = unmap_page(page(GUEST));
    let by_store = with(&events, 0, store(L3, page(GUEST), 0));
    change(&by_store).unwrap();
    let change = |events: &[Event]| change_on(&with_updates(), NOTHING, events);
    change(&events).unwrap();
    assert_found(change(&by_store), Class::TornUpdate, "H4");
    let zeroed = Event::Zero { at: L3, bytes: 8 };
    assert_found(change(&with(&events, 0, zeroed)), Class::TornUpdate, "H4");
    // What was invalid is stored to plainly.
    change(&[store(L3 + 16, 0, page(GUEST)), ISHST]).unwrap();
}

#[test]
fn the_architecture_asks_for_no_exchange() {
    let mut observer = mapped_on(&with_updates());
    observer.protocol.judge_by(Discipline::Architecture);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(L3, page(GUEST), 0));
    events.extend(invalidate(0));
    run(&mut observer, CHANGE, &events).unwrap();
}

#[test]
fn an_access_may_have_updated_a_descriptor() {
    let mut observer = mapped_on(&with_updates());
    let (clean, old) = (page(GUEST) & !DIRTY | MODIFIER, page(GUEST) & !ACCESS_FLAG);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(L3 + 16, 0, clean), store(L3 + 24, 0, old), ISHST]);
    run(&mut observer, CHANGE, &events).unwrap();
    let updated = |at, new| observer.clone().ledger.updated_by_hardware(at, new);
    updated(L3 + 16, clean | DIRTY).unwrap();
    updated(L3 + 24, page(GUEST)).unwrap();
    assert_found(updated(L3, 0), Class::TornUpdate, "G3");
    assert_found(updated(L3 + 24, old & !DIRTY), Class::TornUpdate, "G3");
    assert_found(updated(SPARE, ACCESS_FLAG), Class::TornUpdate, "G3");
    assert_found(updated(GUEST, 0), Class::UseAfterFree, "P1");
    observer
        .ledger
        .updated_by_hardware(L3 + 24, page(GUEST))
        .unwrap();
    let mut events = vec![exchange(L3 + 24, page(GUEST), 0)];
    events.extend(invalidate(3 * PAGE));
    run(&mut observer, CHANGE, &events).unwrap();
}
