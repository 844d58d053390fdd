//! Whole operations: answers, registers, translations, and what the judge says.

mod trace;

use oracle::event::Event;
use oracle::judge::Judged;
use oracle::operation::{
    AccessKind, Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal,
};
use oracle::verdict::{Class, Finding};
use oracle::walk::Answer;
use trace::session::*;
use trace::*;

#[test]
fn a_correct_sequence_agrees() {
    let mut session = Session::mapped();
    session.judge.finish(&session.words).unwrap();
    session.step(UNMAP, Outcome::Done, &unmap_events()).unwrap();
    session.judge.finish(&session.words).unwrap();
    session
        .step(FREE, Outcome::Freed { pages: 0 }, &free_events())
        .unwrap();
    session.judge.finish(&session.words).unwrap();
}

#[test]
fn a_judge_can_be_used_again() {
    let mut session = Session::mapped();
    session.judge.reset(machine());
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    session.step(READ, Outcome::Done, &load_events()).unwrap();
    session.step(MAP, Outcome::Done, &map_two_pages()).unwrap();
    session.judge.finish(&session.words).unwrap();
}

#[test]
fn an_access_has_the_walkers_answer() {
    let judged = Session::mapped().step(READ, Outcome::Done, &[]).unwrap();
    let Some(Answer::Translation(translation)) = judged.access else {
        panic!("{judged:?}");
    };
    assert_eq!(translation.pa, GUEST + 8);
    assert!(judged.compared > 0);
    assert!(judged.not_comparable.is_empty());
}

#[test]
fn another_answer_is_found_with_its_clause() {
    let refused = Outcome::Refused(Refusal::PaRange);
    let result = Session::loaded().step(MAP, refused, &[]);
    assert_found(result, Class::ReturnValue, "M6");
    let result = Session::loaded().step(
        map(1, GUEST, PAGE),
        Outcome::Done,
        &top_up(&[L2, L3, SPARE, SPARE_2]),
    );
    assert_found(result, Class::ReturnValue, "M3");
    let freed = Outcome::Freed { pages: 1 };
    let result = Session::mapped().step(FREE, freed, &free_events());
    assert_found(result, Class::ReturnValue, "F3");
}

#[test]
fn a_refused_operation_changes_nothing() {
    let refused = Outcome::Refused(Refusal::Misaligned);
    let operation = map(1, GUEST, PAGE);
    let top_up = top_up(&[L2, L3, SPARE, SPARE_2]);
    Session::loaded().step(operation, refused, &top_up).unwrap();
    Session::loaded().step(operation, refused, &[]).unwrap();
    let changes = [
        map_two_pages(),
        vec![VMALLS12],
        [top_up, vec![release(L3)]].concat(),
    ];
    for events in changes {
        let result = Session::loaded().step(operation, refused, &events);
        assert_found(result, Class::PartialOnError, "G2");
    }
}

#[test]
fn a_refused_create_takes_nothing() {
    let again = Operation::Create { vm: 0, vmid: 3 };
    let refused = Outcome::Refused(Refusal::Exists);
    Session::created().step(again, refused, &[]).unwrap();
    let result = Session::created().step(again, refused, &[allocate(L2)]);
    assert_found(result, Class::Leak, "P1");
}

#[test]
fn a_root_is_not_lost_when_create_is_refused() {
    // leaked-root
    let refused = Outcome::Refused(Refusal::NoMemory);
    let result = Session::new().step(CREATE, refused, &create_events());
    assert_found(result, Class::PartialOnError, "G2");
}

#[test]
fn a_vm_that_is_gone_has_no_tables() {
    // use-after-destroy
    let mut session = Session::mapped();
    let freed = Outcome::Freed { pages: 0 };
    session.step(FREE, freed, &free_events()).unwrap();
    let refused = Outcome::Refused(Refusal::NoVm);
    session.step(UNMAP, refused, &[]).unwrap();
    session.step(FREE, freed, &[]).unwrap();
    let result = session.step(UNMAP, refused, &[store(L3, page(GUEST), 0)]);
    assert_found(result, Class::UseAfterFree, "P1");
}

#[test]
fn a_failed_root_is_no_memory() {
    let failed = [Event::AllocateFailed {
        order: 1,
        injected: true,
    }];
    let refused = Outcome::Refused(Refusal::NoMemory);
    Session::new().step(CREATE, refused, &failed).unwrap();
    let result = Session::new().step(CREATE, Outcome::Done, &failed);
    assert_found(result, Class::ReturnValue, "C3");
}

#[test]
fn unmap_without_pages_changes_nothing() {
    // A block of 1G, and room for no table to split it.
    let machine = Machine {
        cache_pages: Some(0),
        ..machine()
    };
    let mut session = Session::on(machine);
    session
        .step(CREATE, Outcome::Done, &create_events())
        .unwrap();
    session.step(READ, Outcome::Done, &load_events()).unwrap();
    let (size, pa) = (1 << 30, 0x8000_0000);
    let events = [store(ROOT, 0, block(pa)), ISHST];
    session
        .step(map(0, pa, size), Outcome::Done, &events)
        .unwrap();
    let none = Outcome::NoPages { done: 0, need: 2 };
    session.step(UNMAP, none, &[]).unwrap();
    let events = [store(ROOT, block(pa), 0), ISHST, VMALLS12, ISH];
    assert_found(
        session.step(UNMAP, none, &events),
        Class::PartialOnError,
        "U6",
    );
}

/// The map of two pages with another second leaf.
fn map_with(second: u64) -> Result<Judged, Finding> {
    let mut events = map_two_pages();
    events[9] = store(L3 + 8, 0, second);
    Session::loaded().step(MAP, Outcome::Done, &events)
}

#[test]
fn leaves_are_compared_with_the_model() {
    map_with(page(GUEST + PAGE)).unwrap();
    assert_found(map_with(0), Class::LostMapping, "M15");
    assert_found(map_with(page(GUEST)), Class::WrongPa, "M15");
    assert_found(map_with(page(GUEST + 2 * PAGE)), Class::Isolation, "M15");
    assert_found(map_with(page(SENTINEL)), Class::UseAfterFree, "M15");
    let read_only = page(GUEST + PAGE) & !(1 << 7);
    assert_found(map_with(read_only), Class::WrongAttributes, "M15");
    let executable = page(GUEST + PAGE) & !(1 << 54);
    assert_found(map_with(executable), Class::WrongAttributes, "M15");
    let device = page(GUEST + PAGE) & !(0b11_0011_1000) | 1 << 2;
    let finding = assert_found(map_with(device), Class::WrongAttributes, "M15");
    assert_eq!(finding.differences[0].field, "attributes");
}

#[test]
fn the_other_attribute_bits_of_a_leaf_are_checked() {
    let right = page(GUEST + PAGE);
    for bit in [11, 48, 51, 53, 59, 63] {
        assert_found(map_with(right | 1 << bit), Class::WrongAttributes, "R4");
    }
    for bit in [55, 58] {
        let finding = assert_found(map_with(right | 1 << bit), Class::WrongAttributes, "R4");
        assert_eq!(finding.differences[0].field, "software");
    }
    assert_found(map_with(right | 1 << 52), Class::WrongAttributes, "O1");
    assert_found(map_with(right & !(1 << 10)), Class::WrongAttributes, "G7");
    assert_found(map_with(right & !(1 << 9)), Class::WrongAttributes, "R4");
}

#[test]
fn the_attribute_bits_of_leaves_built_before_they_are_linked_are_checked() {
    let build = |second| {
        let events = [
            top_up(&[L2, L3, SPARE, SPARE_2]),
            vec![zero(L2), release_store(ROOT, 0, table(L2)), zero(L3)],
            vec![store(L3, 0, page(GUEST)), store(L3 + 8, 0, second)],
            vec![release_store(L2, 0, table(L3)), ISHST],
        ];
        Session::loaded().step(MAP, Outcome::Done, &events.concat())
    };
    build(page(GUEST + PAGE)).unwrap();
    let contiguous = page(GUEST + PAGE) | 1 << 52;
    let finding = assert_found(build(contiguous), Class::WrongAttributes, "O1");
    assert_eq!(finding.ipa, Some(PAGE));
}

#[test]
fn a_mapping_beyond_the_range_is_isolation() {
    let mut events = map_two_pages();
    events.insert(10, store(L3 + 16, 0, page(GUEST + 2 * PAGE)));
    let result = Session::loaded().step(MAP, Outcome::Done, &events);
    assert_found(result, Class::Isolation, "M15");
}

#[test]
fn a_table_that_stays_empty_is_a_leak() {
    let both = Operation::Unmap {
        vm: 0,
        ipa: 0,
        size: 2 * PAGE,
    };
    let mut events = unmap_events();
    events.insert(3, store(L3 + 8, page(GUEST + PAGE), 0));
    events.insert(6, ipas2(PAGE));
    let result = Session::mapped().step(both, Outcome::Done, &events);
    assert_found(result, Class::Leak, "U8");
}

#[test]
fn registers_are_compared_with_the_model() {
    let load = |events: &[Event]| Session::created().step(READ, Outcome::Done, events);
    load(&load_events()).unwrap();
    let wrong_vtcr = with(&load_events(), 0, Event::WriteVtcr(VTCR & !(3 << 12)));
    assert_found(load(&wrong_vtcr), Class::Register, "R1");
    let wrong_vmid = with(&load_events(), 1, Event::WriteVttbr(2 << 48 | ROOT));
    assert_found(load(&wrong_vmid), Class::Register, "R3");
    assert_found(load(&without(&load_events(), 0)), Class::Register, "A2");
    assert_found(load(&without(&load_events(), 1)), Class::Register, "A2");
    assert_found(load(&without(&load_events(), 2)), Class::Barrier, "A2");
    let swapped = [load_events()[1], load_events()[0], ISB];
    assert_found(load(&swapped), Class::Register, "A2");
}

#[test]
fn create_writes_no_register() {
    let mut events = create_events();
    events.push(Event::WriteVtcr(VTCR));
    let result = Session::new().step(CREATE, Outcome::Done, &events);
    assert_found(result, Class::Register, "C4");
}

/// VM 1 is loaded, and a page of VM 0 unmapped.
fn unmap_under_another(events: &[Event]) -> Result<Judged, Finding> {
    let mut session = Session::mapped();
    let other = Operation::Create { vm: 1, vmid: 2 };
    let root = [
        Event::Allocate {
            page: OTHER_ROOT,
            order: 1,
        },
        Event::Zero {
            at: OTHER_ROOT,
            bytes: 2 * PAGE,
        },
    ];
    session.step(other, Outcome::Done, &root).unwrap();
    let read = Operation::Access {
        vm: 1,
        ipa: 0,
        kind: AccessKind::Read,
    };
    let load = [Event::WriteVtcr(VTCR), Event::WriteVttbr(OTHER_VTTBR), ISB];
    session.step(read, Outcome::Done, &load).unwrap();
    session.step(UNMAP, Outcome::Done, events)
}

#[test]
fn vttbr_is_restored() {
    let mut events = vec![Event::WriteVttbr(VTTBR), ISB];
    events.extend(unmap_events());
    assert_found(unmap_under_another(&events), Class::Register, "G8");
    events.extend([Event::WriteVttbr(OTHER_VTTBR), ISB]);
    unmap_under_another(&events).unwrap();
}

#[test]
fn free_leaves_vttbr_0() {
    let mut events = free_events();
    events.extend([Event::WriteVttbr(VTTBR), ISB]);
    let result = Session::mapped().step(FREE, Outcome::Freed { pages: 0 }, &events);
    assert_found(result, Class::Register, "F2");
}

#[test]
fn the_end_compares_every_address() {
    // A leaf that no operation was asked for, stored where nobody looks.
    let mut session = Session::mapped();
    let far = L3 + 8 * 300;
    let mut events = unmap_events();
    events.extend([store(far, 0, page(GUEST)), ISHST]);
    session.step(UNMAP, Outcome::Done, &events).unwrap();
    let finding = assert_found(
        session.judge.finish(&session.words),
        Class::Isolation,
        "M15",
    );
    assert_eq!((finding.ipa, finding.bytes), (Some(300 * PAGE), PAGE));
}

#[test]
fn the_end_finds_lost_and_changed_ranges() {
    let changed = |at, value| {
        let mut session = Session::mapped();
        session.words.set(at, value);
        session.judge.finish(&session.words)
    };
    assert_found(changed(L3 + 8, 0), Class::LostMapping, "M15");
    assert_found(changed(L3, page(SENTINEL)), Class::UseAfterFree, "M15");
    let wrong = assert_found(changed(L3, page(GUEST + PAGE)), Class::WrongPa, "M15");
    assert_eq!(wrong.ipa, Some(0));
    let read_only = page(GUEST + PAGE) & !(1 << 7);
    let wrong = assert_found(changed(L3 + 8, read_only), Class::WrongAttributes, "M15");
    assert_eq!((wrong.ipa, wrong.bytes), (Some(PAGE), PAGE));
}

#[test]
fn the_end_compares_table_memory_with_the_events() {
    let mut session = Session::mapped();
    // An invalid descriptor: it changes no translation.
    session.words.set(L3 + 24, 0b10);
    let result = session.judge.finish(&session.words);
    assert_found(result, Class::TornUpdate, "G3");
}

#[test]
fn a_verdict_fits_a_screen_and_puts_the_cause_first() {
    let mut session = Session::loaded();
    let mut events = map_two_pages();
    events[9] = store(L3 + 8, 0, page(GUEST));
    let finding = session.step(MAP, Outcome::Done, &events).unwrap_err();
    let text = "map a ipa=0x0 pa=0x50000000 size=8K prot=rw- mem=normal";
    let verdict = session.judge.explain(finding, 3, text, &session.words);
    let expected = format!(
        "\
{} wrong-pa: IPA 0x1000 translates to 0x50000000
  machine    granule=4K pa=40 ipa=40 pool=0x48000000+0x40000 walks coherent
  VTCR_EL2   0x80023558: T0SZ=24 SL0=1 IRGN0=1 ORGN0=1 SH0=3 TG0=0 PS=2 VS=0 HA=0 HD=0 DS=0 SL2=0
  operation  3: {text}
  range      ipa=0x1000 size=0x1000
  differs    pa: contract 0x50001000, found 0x50000000
  model      0x1000: pa=0x50001000 rw- normal level=3
  walk       level 1: [0x48000000] = 0x0000000048002003, table at 0x48002000, stored by operation 3
  walk       level 2: [0x48002000] = 0x0000000048003003, table at 0x48003000, stored by operation 3
  walk       level 3: [0x48003008] = 0x00400000500007ff, stored by operation 3
  walk       ends: pa=0x50000000 rw- attributes=0xff sh=3 level=3
  reach      0x1000 bytes are mapped wrongly
  rule       docs/contract.md, M15
  pages      58 free, 2 cached, 2 in roots, 2 in tables, 0 built, 0 unlinked",
        verdict.id()
    );
    assert_eq!(verdict.to_string(), expected);
}

#[test]
fn a_verdicts_name_depends_on_no_number() {
    let verdict = |page_number: u64| {
        let mut session = Session::mapped();
        let descriptor = page(GUEST + page_number * PAGE);
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.push(store(L3 + 8 * page_number, descriptor, descriptor ^ 1 << 7));
        let finding = session.step(UNMAP, Outcome::Done, &events).unwrap_err();
        session.judge.explain(finding, 4, "unmap", &session.words)
    };
    let (one, two) = (verdict(0), verdict(1));
    assert_ne!(one.to_string(), two.to_string());
    assert_eq!(one.id(), two.id());
    let mut free = one.clone();
    free.guilty.as_mut().unwrap().operation = FREE;
    assert_ne!(one.id(), free.id());
}

#[test]
fn a_root_reads_zero() {
    let events = with(&create_events(), 1, zero(ROOT));
    let result = Session::new().step(CREATE, Outcome::Done, &events);
    assert_found(result, Class::UseAfterFree, "C4");
}

#[test]
fn without_coherence_a_root_is_cleaned_by_create() {
    let machine = Machine {
        coherent_walks: false,
        ..machine()
    };
    let cleans = [clean_page(ROOT), clean_page(ROOT + PAGE)].concat();
    let events = [create_events(), cleans, vec![ISH]].concat();
    let create = |events: &[Event]| Session::on(machine).step(CREATE, Outcome::Done, events);
    create(&events).unwrap();
    assert_found(create(&without(&events, 100)), Class::Cache, "G5");
}

#[test]
fn a_table_that_nobody_needs_is_a_leak() {
    let mut events = map_two_pages();
    let far = ROOT + 8 * 300;
    events.splice(10..10, [zero(SPARE), release_store(far, 0, table(SPARE))]);
    let result = Session::loaded().step(MAP, Outcome::Done, &events);
    assert_found(result, Class::Leak, "U8");
}

/// A map of 2M that fits one block, done in pages.
fn map_in_pages(prot: Prot, leaf: impl Fn(u64) -> u64) -> Result<Judged, Finding> {
    let mut events = top_up(&[L2, L3, SPARE, SPARE_2]);
    events.extend([zero(L2), release_store(ROOT, 0, table(L2))]);
    events.extend([zero(L3), release_store(L2, 0, table(L3))]);
    events.extend((0..512).map(|index| store(L3 + 8 * index, 0, leaf(GUEST + index * PAGE))));
    events.push(ISHST);
    let operation = Operation::Map {
        vm: 0,
        ipa: 0,
        pa: GUEST,
        size: 512 * PAGE,
        prot,
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    };
    Session::loaded().step(operation, Outcome::Done, &events)
}

#[test]
fn the_level_of_a_leaf_is_compared() {
    let writable = Prot {
        read: true,
        write: true,
        execute: Execute::Never,
    };
    let finding = assert_found(map_in_pages(writable, page), Class::WrongAttributes, "M15");
    assert_eq!(finding.differences[0].field, "level");
}

#[test]
fn the_level_of_a_permission_fault_is_compared() {
    let execute_only = Prot {
        read: false,
        write: false,
        execute: Execute::Both,
    };
    let leaf = |pa| page(pa) & !(0b11 << 6 | 1 << 54);
    assert_found(map_in_pages(execute_only, leaf), Class::WrongFault, "M15");
}

#[test]
fn translations_are_those_of_memory_not_of_events() {
    let mut session = Session::mapped();
    session.words.set(L3, page(GUEST) & !(1 << 8));
    let result = session.step(READ, Outcome::Done, &[]);
    let finding = assert_found(result, Class::WrongAttributes, "A3");
    assert_eq!(finding.differences[0].field, "sh");
}
