//! What differs from subject to subject: its discipline, its CPUs, its reference counts.

mod trace;

use oracle::event::Record;
use oracle::operation::{Execute, Machine, MemoryType, Operation, Outcome, Prot};
use oracle::protocol::Discipline;
use oracle::verdict::Class;
use trace::session::*;
use trace::*;

#[test]
fn references_are_judged_between_operations() {
    let mut session = Session::mapped();
    let counts = |l3| [(ROOT, 1), (L2, 1), (L3, l3)].into_iter();
    session.judge.references(counts(2)).unwrap();
    assert_found(session.judge.references(counts(3)), Class::Leak, "G9");
    session.step(UNMAP, Outcome::Done, &unmap_events()).unwrap();
    session.judge.references(counts(1)).unwrap();
}

#[test]
fn a_subject_may_be_judged_by_the_architecture() {
    let read_only = Operation::Map {
        vm: 0,
        ipa: 0,
        pa: GUEST,
        size: PAGE,
        prot: Prot {
            read: true,
            write: false,
            execute: Execute::Never,
        },
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    };
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(L3, page(GUEST), page(GUEST) & !(1 << 7)));
    events.extend(invalidate(0));
    let in_place = |discipline| {
        let mut session = Session::mapped();
        session.judge.judge_by(discipline);
        session.step(read_only, Outcome::Done, &events)
    };
    in_place(Discipline::Architecture).unwrap();
    let result = in_place(Discipline::Contract);
    assert_found(result, Class::BreakBeforeMake, "G4");
}

#[test]
fn registers_are_those_of_the_cpu_that_ran_the_operation() {
    let load_on = |isb_on: u8| {
        let mut session = Session::mapped();
        let records = load_events().into_iter().map(|event| Record {
            cpu: if event == ISB { isb_on } else { 1 },
            event,
        });
        let Session { judge, words } = &mut session;
        judge.operation(&READ, Outcome::Done, records, words)
    };
    load_on(1).unwrap();
    assert_found(load_on(0), Class::Barrier, "A2");
}

#[test]
fn a_verdict_names_the_machines_level_of_break_before_make() {
    let line = |bbm: u8| {
        let mut session = Session::on(Machine { bbm, ..machine() });
        let result = session.step(CREATE, Outcome::Done, &create_events()[..1]);
        let finding = assert_found(result, Class::UseAfterFree, "C4");
        let judge = &session.judge;
        judge
            .explain(finding, 0, "create", &session.words)
            .to_string()
    };
    assert!(line(2).contains("ipa=40 bbm=2 pool="), "{}", line(2));
    assert!(line(0).contains("ipa=40 pool="), "{}", line(0));
}
