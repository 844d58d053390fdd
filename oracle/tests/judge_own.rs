//! Whole operations in the other regimes: EL2's own stage 1 (section E), and AArch32
//! (section Z).

mod trace;

use oracle::event::{Event, Tlbi};
use oracle::judge::Judged;
use oracle::operation::{
    AccessKind, Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Regime,
};
use oracle::verdict::{Class, Finding};
use oracle::walk::Answer;
use trace::session::*;
use trace::*;

const MAIR: u64 = 0x0044_04ff;
/// Of a VA size of 39 bits and 40 bits of physical address.
const TCR: u64 = 0x8082_3519;

/// A page, read and write, normal memory, not executable.
fn own_page(pa: u64) -> u64 {
    pa | 0b11 | 1 << 6 | 0b11 << 8 | 1 << 10 | 1 << 54
}

/// The same, executable and read-only.
fn own_code(pa: u64) -> u64 {
    own_page(pa) & !(1 << 54) | 1 << 7
}

fn create_own() -> Vec<Event> {
    vec![allocate(ROOT), zero(ROOT)]
}

fn load_own() -> Vec<Event> {
    vec![
        Event::WriteMair(MAIR),
        Event::WriteTcr(TCR),
        Event::WriteTtbr0(ROOT),
        ISB,
    ]
}

fn invalidate_own(va: u64) -> Vec<Event> {
    let tlbi = Event::Tlbi {
        operation: Tlbi::Vae2is,
        operand: va >> 12,
    };
    vec![ISHST, tlbi, ISH, ISB]
}

/// EL2's address space, created.
fn created_own() -> Session {
    let machine = Machine {
        regime: Regime::El2,
        ipa_bits: 39,
        ..machine()
    };
    let mut session = Session::on(machine);
    session.step(CREATE, Outcome::Done, &create_own()).unwrap();
    session
}

/// And in use.
fn loaded_own() -> Session {
    let mut session = created_own();
    session.step(READ, Outcome::Done, &load_own()).unwrap();
    session
}

/// The events of a map of two pages.
fn map_own_with(leaves: [u64; 2]) -> Vec<Event> {
    let events = map_two_pages();
    let events = with(&events, 8, store(L3, 0, leaves[0]));
    with(&events, 9, store(L3 + 8, 0, leaves[1]))
}

fn map_own() -> Vec<Event> {
    map_own_with([own_page(GUEST), own_page(GUEST + PAGE)])
}

/// And with two pages mapped.
fn mapped_own() -> Session {
    let mut session = loaded_own();
    session.step_as_is(MAP, Outcome::Done, &map_own()).unwrap();
    session
}

#[test]
fn a_correct_sequence_in_el2s_own_space_agrees() {
    let mut session = mapped_own();
    session.judge.finish(&session.words).unwrap();
    let judged = session.step(READ, Outcome::Done, &[]).unwrap();
    let Some(Answer::Translation(found)) = judged.access else {
        panic!("{judged:?}");
    };
    assert_eq!((found.pa, found.write, found.level), (GUEST + 8, true, 3));
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(L3, own_page(GUEST), 0));
    events.extend(invalidate_own(0));
    session.step(UNMAP, Outcome::Done, &events).unwrap();
    session.judge.finish(&session.words).unwrap();
    let all = Event::Tlbi {
        operation: Tlbi::Alle2is,
        operand: 0,
    };
    let mut events = vec![store(ROOT, table(L2), 0), ISHST, all, ISH, ISB];
    events.extend([Event::WriteTtbr0(0), ISB]);
    events.extend([release(L3), release(L2), release(ROOT)]);
    let freed = Outcome::Freed { pages: 0 };
    session.step(FREE, freed, &events).unwrap();
}

#[test]
fn el2s_registers_are_compared() {
    let load = |events: &[Event]| created_own().step(READ, Outcome::Done, events);
    load(&load_own()).unwrap();
    for index in 0..3 {
        assert_found(load(&without(&load_own(), index)), Class::Register, "E2");
    }
    assert_found(load(&without(&load_own(), 3)), Class::Barrier, "E2");
    for (index, wrong) in [
        (0, Event::WriteMair(MAIR | 1 << 32)),
        (1, Event::WriteTcr(TCR | 1 << 20)),
        (2, Event::WriteTtbr0(ROOT | 1 << 48)),
    ] {
        let result = load(&with(&load_own(), index, wrong));
        assert_found(result, Class::Register, "E2");
    }
    let foreign = [load_own(), vec![Event::WriteVtcr(VTCR), ISB]].concat();
    assert_found(load(&foreign), Class::Register, "E2");
}

fn map_leaf(second: u64) -> Result<Judged, Finding> {
    let events = map_own_with([own_page(GUEST), second]);
    loaded_own().step_as_is(MAP, Outcome::Done, &events)
}

#[test]
fn el2s_leaves_have_el2s_attributes() {
    let right = own_page(GUEST + PAGE);
    map_leaf(right).unwrap();
    for wrong in [
        right & !(1 << 6),
        right | 1 << 5,
        right | 1 << 11,
        right | 1 << 53,
        right | 4 << 2,
        right & !(1 << 9),
    ] {
        assert_found(map_leaf(wrong), Class::WrongAttributes, "E3");
    }
    assert_found(map_leaf(right & !(1 << 10)), Class::WrongAttributes, "G7");
    let read_only = right | 1 << 7;
    assert_found(map_leaf(read_only), Class::WrongAttributes, "M15");
    let device = right & !(0b11 << 8) | 1 << 2;
    assert_found(map_leaf(device), Class::WrongAttributes, "M15");
}

#[test]
fn el2s_tables_have_no_attributes() {
    let limited = table(L3) | 1 << 60;
    let events = with(&map_own(), 7, release_store(L2, 0, limited));
    let result = loaded_own().step_as_is(MAP, Outcome::Done, &events);
    assert_found(result, Class::WrongAttributes, "E3");
}

#[test]
fn el2s_memory_is_maintained_where_it_becomes_executable() {
    let code = |maintenance: &[Event]| {
        let operation = Operation::Map {
            vm: 0,
            ipa: 0,
            pa: GUEST,
            size: 2 * PAGE,
            prot: Prot {
                read: true,
                write: false,
                execute: Execute::Both,
            },
            memory: MemoryType::Normal,
            software: 0,
            pages_only: false,
        };
        let mut events = map_own_with([own_code(GUEST), own_code(GUEST + PAGE)]);
        events.splice(4..4, maintenance.iter().copied());
        loaded_own().step_as_is(operation, Outcome::Done, &events)
    };
    let clean = Event::Cache {
        operation: oracle::event::CacheOperation::Cvau,
        at: GUEST,
        bytes: 2 * PAGE,
    };
    code(&[clean, ISH, Event::InstructionCaches, ISH]).unwrap();
    assert_found(code(&[]), Class::Cache, "K2");
}

#[test]
fn what_el2_does_not_have_is_refused_first() {
    let operation = Operation::Access {
        vm: 1,
        ipa: 0,
        kind: AccessKind::Read,
    };
    let not_here = Outcome::Refused(Refusal::NotHere);
    created_own().step(operation, not_here, &[]).unwrap();
    let no_vm = Outcome::Refused(Refusal::NoVm);
    let result = created_own().step(operation, no_vm, &[]);
    assert_found(result, Class::ReturnValue, "E");
}

#[test]
fn a_correct_sequence_in_aarch32_agrees() {
    let machine = Machine {
        regime: Regime::Aarch32,
        ..machine()
    };
    let mut session = Session::on(machine);
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    // T0SZ = -8 with its sign, SL0 = 1, as Z1 has it.
    let vtcr = 0x8000_3558;
    let load = [Event::WriteVtcr(vtcr), Event::WriteVttbr(VTTBR), ISB];
    let wrong = [Event::WriteVtcr(VTCR), Event::WriteVttbr(VTTBR), ISB];
    let result = session.step(READ, Outcome::Done, &wrong);
    assert_found(result, Class::Register, "Z1");
    let mut session = Session::on(machine);
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    session.step(READ, Outcome::Done, &load).unwrap();
    session.step(MAP, Outcome::Done, &map_two_pages()).unwrap();
    session.step(UNMAP, Outcome::Done, &unmap_events()).unwrap();
    session.judge.finish(&session.words).unwrap();
}

#[test]
fn a_correct_sequence_in_hyp_mode_agrees() {
    let machine = Machine {
        regime: Regime::Aarch32Hyp,
        ipa_bits: 32,
        ..machine()
    };
    let mut session = Session::on(machine);
    session.step(CREATE, Outcome::Done, &create_own()).unwrap();
    let load = [
        Event::WriteMair(MAIR),
        Event::WriteTcr(0x8080_3500),
        Event::WriteTtbr0(ROOT),
        ISB,
    ];
    session.step(READ, Outcome::Done, &load).unwrap();
    session.step_as_is(MAP, Outcome::Done, &map_own()).unwrap();
    let judged = session.step(READ, Outcome::Done, &[]).unwrap();
    let Some(Answer::Translation(found)) = judged.access else {
        panic!("{judged:?}");
    };
    assert_eq!(found.pa, GUEST + 8);
    session.judge.finish(&session.words).unwrap();
}
