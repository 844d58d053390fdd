//! Whole operations of a hypervisor in AArch32 (section Z), good ones and bad ones.

mod trace;

use oracle::event::{Event, Tlbi};
use oracle::judge::Judged;
use oracle::operation::{
    AccessKind, Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Regime,
};
use oracle::verdict::{Class, Finding};
use oracle::walk::{Answer, FaultKind};
use trace::session::*;
use trace::*;

/// T0SZ = -8 with its sign, SL0 = 1.
const VTCR_32: u64 = 0x8000_3558;
/// T0SZ = 0.
const HTCR: u64 = 0x8080_3500;
const HMAIR0: u64 = 0x0044_04ff;

/// FEAT_TTL's hint, which `TLBIIPAS2IS` has no room for.
const LEVEL_3_OF_4K: u64 = 0b0111 << 44;

fn guests() -> Machine {
    Machine {
        regime: Regime::Aarch32,
        ..machine()
    }
}

fn hyp() -> Machine {
    Machine {
        regime: Regime::Aarch32Hyp,
        ipa_bits: 32,
        ..machine()
    }
}

fn load_guest() -> Vec<Event> {
    vec![Event::WriteVtcr(VTCR_32), Event::WriteVttbr(VTTBR), ISB]
}

fn load_hyp() -> Vec<Event> {
    vec![
        Event::WriteMair(HMAIR0),
        Event::WriteTcr(HTCR),
        Event::WriteTtbr0(ROOT),
        ISB,
    ]
}

/// A guest's memory, in use.
fn loaded() -> Session {
    let mut session = Session::on(guests());
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    session.step(READ, Outcome::Done, &load_guest()).unwrap();
    session
}

fn mapped() -> Session {
    let mut session = loaded();
    session.step(MAP, Outcome::Done, &map_two_pages()).unwrap();
    session
}

fn created_hyp() -> Session {
    let mut session = Session::on(hyp());
    let root = [allocate(ROOT), zero(ROOT)];
    session.step(CREATE, Outcome::Done, &root).unwrap();
    session
}

/// A page of Hyp mode's, read and write, not executable.
fn hyp_page(pa: u64) -> u64 {
    pa | 0b11 | 1 << 6 | 0b11 << 8 | 1 << 10 | 1 << 54
}

fn mapped_hyp() -> Session {
    let mut session = created_hyp();
    session.step(READ, Outcome::Done, &load_hyp()).unwrap();
    let events = with(&map_two_own_pages(), 8, store(L3, 0, hyp_page(GUEST)));
    let events = with(&events, 9, store(L3 + 8, 0, hyp_page(GUEST + PAGE)));
    session.step_as_is(MAP, Outcome::Done, &events).unwrap();
    session
}

#[test]
fn what_aarch32_has_not_is_illegal() {
    let illegal = Outcome::Refused(Refusal::IllegalConfiguration);
    for machine in [guests(), hyp()] {
        let with_ttl = Machine {
            ttl: true,
            ..machine
        };
        let wide = Machine {
            pa_bits: 48,
            ..machine
        };
        for machine in [with_ttl, wide] {
            let mut session = Session::on(machine);
            session.step(CREATE, illegal, &[]).unwrap();
            let result = session.step(CREATE, Outcome::Done, &create_events());
            assert_found(result, Class::Leak, "P1");
        }
        let result = Session::on(machine).step(CREATE, illegal, &[]);
        assert_found(result, Class::ReturnValue, "C2");
    }
}

#[test]
fn a_guests_registers_are_compared() {
    let load = |events: &[Event]| {
        let mut session = Session::on(guests());
        session
            .step(CREATE, Outcome::Done, &create_events())
            .unwrap();
        session.step(READ, Outcome::Done, events)
    };
    load(&load_guest()).unwrap();
    let without_sign = Event::WriteVtcr(VTCR_32 & !(1 << 4));
    let result = load(&with(&load_guest(), 0, without_sign));
    assert_found(result, Class::Register, "Z1");
    let other_root = Event::WriteVttbr(VTTBR + PAGE);
    let result = load(&with(&load_guest(), 1, other_root));
    assert_found(result, Class::Register, "Z1");
    assert_found(load(&load_guest()[..2]), Class::Barrier, "A2");
    let of_hyp = [load_guest(), vec![Event::WriteTcr(HTCR), ISB]].concat();
    assert_found(load(&of_hyp), Class::Register, "A2");
}

#[test]
fn a_guests_translations_leave_both_stages() {
    let unmap = |events: &[Event]| {
        let mut all = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        all.push(store(L3, page(GUEST), 0));
        all.extend(events);
        mapped().step(UNMAP, Outcome::Done, &all)
    };
    unmap(&invalidate(0)).unwrap();
    let result = unmap(&without(&invalidate(0), 3));
    assert_found(result, Class::StaleTlb, "G3");
    let result = unmap(&with(&invalidate(0), 1, raw_ipas2(LEVEL_3_OF_4K)));
    assert_found(result, Class::StaleTlb, "G3");
}

/// A page for execution alone.
fn execute_only() -> (Operation, Vec<Event>) {
    let operation = Operation::Map {
        vm: 0,
        ipa: 0,
        pa: GUEST,
        size: 2 * PAGE,
        prot: Prot {
            read: false,
            write: false,
            execute: Execute::Both,
        },
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    };
    let execute_only = |pa| page(pa) & !(1 << 54 | 0b11 << 6);
    let events = with(&map_two_pages(), 8, store(L3, 0, execute_only(GUEST)));
    let events = with(&events, 9, store(L3 + 8, 0, execute_only(GUEST + PAGE)));
    (operation, events)
}

#[test]
fn a_fetch_needs_the_permission_to_read() {
    let (operation, events) = execute_only();
    let mut session = loaded();
    session.step(operation, Outcome::Done, &events).unwrap();
    session.judge.finish(&session.words).unwrap();
    let fetch = Operation::Access {
        vm: 0,
        ipa: 0,
        kind: AccessKind::Execute,
    };
    let judged = session.step(fetch, Outcome::Done, &[]).unwrap();
    assert_fault(judged, FaultKind::Permission, 3);
    // In AArch64 it needs none.
    let mut session = Session::loaded();
    session.step(operation, Outcome::Done, &events).unwrap();
    let judged = session.step(fetch, Outcome::Done, &[]).unwrap();
    assert!(matches!(judged.access, Some(Answer::Translation(_))));
}

#[track_caller]
fn assert_fault(judged: Judged, kind: FaultKind, level: i8) {
    let Some(Answer::Fault(fault)) = judged.access else {
        panic!("{judged:?}");
    };
    assert_eq!((fault.kind, fault.level), (kind, level));
}

#[test]
fn addresses_beyond_the_size_fault_at_level_1() {
    let read = |ipa| Operation::Access {
        vm: 0,
        ipa,
        kind: AccessKind::Read,
    };
    let mut session = Session::on(Machine {
        ipa_bits: 36,
        ..guests()
    });
    session
        .step(CREATE, Outcome::Done, &[allocate(ROOT), zero(ROOT)])
        .unwrap();
    // T0SZ = -4, SL0 = 1.
    let load = with(&load_guest(), 0, Event::WriteVtcr(0x8000_355c));
    let judged = session.step(read(1 << 36), Outcome::Done, &load).unwrap();
    assert_fault(judged, FaultKind::Translation, 1);
    let judged = mapped_hyp().step(read(1 << 32), Outcome::Done, &[]);
    assert_fault(judged.unwrap(), FaultKind::Translation, 1);
}

#[test]
fn hyp_modes_registers_are_compared() {
    let load = |events: &[Event]| created_hyp().step(READ, Outcome::Done, events);
    load(&load_hyp()).unwrap();
    for (index, wrong) in [
        (0, Event::WriteMair(0xff)),
        (1, Event::WriteTcr(HTCR | 1)),
        (2, Event::WriteTtbr0(VTTBR)),
    ] {
        let result = load(&with(&load_hyp(), index, wrong));
        assert_found(result, Class::Register, "Z3");
    }
    assert_found(load(&load_hyp()[..3]), Class::Barrier, "E2");
}

/// The first page, unmapped.
fn unmap_hyp(operation: Tlbi, operand: u64, last: &[Event]) -> Result<Judged, Finding> {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend([store(L3 + 8, hyp_page(GUEST + PAGE), 0), ISHST]);
    events.extend([Event::Tlbi { operation, operand }, ISH]);
    events.extend(last);
    let second = Operation::Unmap {
        vm: 0,
        ipa: PAGE,
        size: PAGE,
    };
    mapped_hyp().step(second, Outcome::Done, &events)
}

#[test]
fn hyp_mode_names_addresses_not_page_numbers() {
    unmap_hyp(Tlbi::Vae2is, PAGE, &[ISB]).unwrap();
    unmap_hyp(Tlbi::Alle2is, 0, &[ISB]).unwrap();
    let result = unmap_hyp(Tlbi::Vae2is, PAGE >> 12, &[ISB]);
    assert_found(result, Class::StaleTlb, "G3");
    assert_found(unmap_hyp(Tlbi::Vae2is, PAGE, &[]), Class::Barrier, "E6");
}

#[test]
fn hyp_modes_live_entries_stay() {
    let twice = [store(L3, hyp_page(GUEST), 0), ISHST];
    let again = [store(L3, 0, hyp_page(GUEST)), ISHST, ISB];
    let tlbi = Event::Tlbi {
        operation: Tlbi::Alle2is,
        operand: 0,
    };
    let events = [
        &top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE])[..],
        &twice,
        &[tlbi, ISH, ISB],
        &again,
    ];
    let result = mapped_hyp().step_as_is(MAP, Outcome::Done, &events.concat());
    assert_found(result, Class::BreakBeforeMake, "E4");
}
