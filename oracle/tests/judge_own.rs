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
    let events = map_two_own_pages();
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

/// A third page is mapped. `meanwhile` is done before.
fn map_third(meanwhile: &[Event]) -> Result<Judged, Finding> {
    let operation = map(2 * PAGE, GUEST + 2 * PAGE, PAGE);
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.extend(meanwhile);
    events.extend([store(L3 + 16, 0, own_page(GUEST + 2 * PAGE)), ISHST, ISB]);
    mapped_own().step_as_is(operation, Outcome::Done, &events)
}

/// The second page is broken, invalidated and made again, as a guest's might be.
fn remake_second() -> Vec<Event> {
    let second = own_page(GUEST + PAGE);
    let mut events = vec![store(L3 + 8, second, 0)];
    events.extend(invalidate_own(PAGE));
    events.extend([store(L3 + 8, 0, second), ISHST, ISB]);
    events
}

#[test]
fn map_changes_no_live_entry() {
    map_third(&[]).unwrap();
    let result = map_third(&remake_second());
    assert_found(result, Class::BreakBeforeMake, "E4");
}

#[test]
fn unmap_takes_nothing_beyond_its_range() {
    let unmap = |meanwhile: &[Event]| {
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.extend(meanwhile);
        events.push(store(L3, own_page(GUEST), 0));
        events.extend(invalidate_own(0));
        mapped_own().step(UNMAP, Outcome::Done, &events)
    };
    unmap(&[]).unwrap();
    let result = unmap(&remake_second());
    assert_found(result, Class::BreakBeforeMake, "E5");
}

#[test]
fn tables_go_with_the_last_of_what_they_map() {
    let all = Operation::Unmap {
        vm: 0,
        ipa: 0,
        size: 2 * PAGE,
    };
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(ROOT, table(L2), 0));
    events.extend(invalidate_own(0));
    events.extend(&invalidate_own(PAGE)[1..]);
    events.extend([release(L3), release(L2)]);
    mapped_own().step(all, Outcome::Done, &events).unwrap();
    let half = mapped_own().step(UNMAP, Outcome::Done, &events);
    assert_found(half, Class::BreakBeforeMake, "E5");
}

/// EL2's address space with a block at 2 MiB.
fn with_block() -> Session {
    let mut session = loaded_own();
    let mut events = top_up(&[L2, L3, SPARE, SPARE_2]);
    events.extend([zero(L2), release_store(ROOT, 0, table(L2))]);
    events.extend([store(L2 + 8, 0, own_page(GUEST) & !0b10), ISHST, ISB]);
    let operation = map(2 << 20, GUEST, 2 << 20);
    session
        .step_as_is(operation, Outcome::Done, &events)
        .unwrap();
    session
}

#[test]
fn a_block_is_not_cut() {
    let cut = Operation::Unmap {
        vm: 0,
        ipa: 2 << 20,
        size: PAGE,
    };
    let cuts_block = Outcome::Refused(Refusal::CutsBlock);
    let topped_up = [allocate(POOL + 6 * PAGE)];
    with_block().step(cut, cuts_block, &topped_up).unwrap();
    let result = with_block().step(cut, Outcome::Done, &topped_up);
    assert_found(result, Class::ReturnValue, "E5");
}

#[test]
fn what_is_mapped_stays_mapped_as_it_is() {
    let topped_up = [allocate(POOL + 6 * PAGE)];
    let same = map((2 << 20) + PAGE, GUEST + PAGE, PAGE);
    with_block()
        .step_as_is(same, Outcome::Done, &topped_up)
        .unwrap();
    let other = map((2 << 20) + PAGE, GUEST, PAGE);
    let mapped = Outcome::Refused(Refusal::Mapped);
    with_block().step(other, mapped, &topped_up).unwrap();
    let result = with_block().step_as_is(other, Outcome::Done, &topped_up);
    assert_found(result, Class::ReturnValue, "E4");
}

#[test]
fn what_el2_cannot_have_is_a_clause_of_its_own() {
    let Operation::Map {
        vm,
        ipa,
        pa,
        size,
        memory,
        software,
        pages_only,
        prot,
    } = MAP
    else {
        unreachable!("it is one");
    };
    let execute = Execute::Both;
    let writable_code = Operation::Map {
        vm,
        ipa,
        pa,
        size,
        memory,
        software,
        pages_only,
        prot: Prot { execute, ..prot },
    };
    let refused = Outcome::Refused(Refusal::BadAttributes);
    loaded_own().step(writable_code, refused, &[]).unwrap();
    let topped_up = top_up(&[L2, L3, SPARE, SPARE_2]);
    let result = loaded_own().step_as_is(writable_code, Outcome::Done, &topped_up);
    assert_found(result, Class::ReturnValue, "E4");
}

#[test]
fn registers_are_written_by_access_and_free_alone() {
    let result = map_third(&[Event::WriteTtbr0(ROOT), ISB]);
    assert_found(result, Class::Register, "E2");
}

#[test]
fn free_leaves_no_root_in_the_register() {
    let free = |leave: &[Event]| {
        let all = Event::Tlbi {
            operation: Tlbi::Alle2is,
            operand: 0,
        };
        let mut events = vec![store(ROOT, table(L2), 0), ISHST, all, ISH, ISB];
        events.extend([release(L3), release(L2)]);
        events.extend(leave);
        events.push(release(ROOT));
        let freed = Outcome::Freed { pages: 0 };
        mapped_own().step(FREE, freed, &events)
    };
    free(&[Event::WriteTtbr0(0), ISB]).unwrap();
    assert_found(free(&[Event::WriteTtbr0(0)]), Class::Barrier, "E2");
    assert_found(free(&[]), Class::UseAfterFree, "F2");
}

#[test]
fn an_operation_that_is_not_here_tops_nothing_up() {
    let split = Operation::Range {
        vm: 0,
        action: oracle::operation::Action::Split,
        ipa: 0,
        size: PAGE,
    };
    let not_here = Outcome::Refused(Refusal::NotHere);
    mapped_own().step(split, not_here, &[]).unwrap();
    let result = mapped_own().step(split, not_here, &[allocate(POOL + 6 * PAGE)]);
    assert_found(result, Class::Leak, "P1");
}

#[test]
fn hardware_sets_no_flags_in_el2s_tables() {
    let mut machine = Machine {
        regime: Regime::El2,
        ipa_bits: 39,
        ..machine()
    };
    (machine.features.haf, machine.features.dbm) = (true, true);
    let mut session = Session::on(machine);
    session.step(CREATE, Outcome::Done, &create_own()).unwrap();
    session.step(READ, Outcome::Done, &load_own()).unwrap();
    session.step_as_is(MAP, Outcome::Done, &map_own()).unwrap();
    let write = Operation::Access {
        vm: 0,
        ipa: 8,
        kind: AccessKind::Write,
    };
    session.step(write, Outcome::Done, &[]).unwrap();
    // A plain store, and nothing to tell the dirty log.
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(L3, own_page(GUEST), 0));
    events.extend(invalidate_own(0));
    session.step(UNMAP, Outcome::Done, &events).unwrap();
    session.judge.finish(&session.words).unwrap();
}

#[test]
fn a_verdict_names_el2s_register() {
    let mut session = mapped_own();
    let finding = session.step_as_is(MAP, Outcome::Refused(Refusal::Mapped), &[]);
    let verdict = session
        .judge
        .explain(finding.unwrap_err(), 3, "map", &session.words);
    let text = verdict.to_string();
    let line = "TCR_EL2    0x80823519: T0SZ=25 IRGN0=1 ORGN0=1 SH0=3 TG0=0 PS=2";
    assert!(text.contains(line), "{text}");
}

/// E8: the hypervisor's code and data, mapped to themselves in blocks of 2 MiB.
#[test]
fn the_hypervisor_maps_its_own_memory() {
    const CODE: u64 = 0x4000_0000;
    const BLOCK: u64 = 2 << 20;
    let prot = |write| Prot {
        read: true,
        write,
        execute: if write { Execute::Never } else { Execute::Both },
    };
    let own = |from, size, write| Operation::Map {
        vm: 0,
        ipa: from,
        pa: from,
        size,
        prot: prot(write),
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    };
    let mut session = created_own();
    let clean = Event::Cache {
        operation: oracle::event::CacheOperation::Cvau,
        at: CODE,
        bytes: BLOCK,
    };
    let mut events = top_up(&[L2, L3, SPARE, SPARE_2]);
    events.extend([clean, ISH, Event::InstructionCaches, ISH, zero(L2)]);
    events.push(release_store(ROOT + 8, 0, table(L2)));
    events.extend([store(L2, 0, own_code(CODE) & !0b10), ISHST, ISB]);
    session
        .step_as_is(own(CODE, BLOCK, false), Outcome::Done, &events)
        .unwrap();
    let mut events = top_up(&[POOL + 6 * PAGE]);
    for index in 1..64 {
        let block = own_page(CODE + index * BLOCK) & !0b10;
        events.push(store(L2 + 8 * index, 0, block));
    }
    events.extend([ISHST, ISB]);
    let data = own(CODE + BLOCK, 63 * BLOCK, true);
    session.step_as_is(data, Outcome::Done, &events).unwrap();
    session.step(READ, Outcome::Done, &load_own()).unwrap();
    session.judge.finish(&session.words).unwrap();
}
