//! The host engine: memory that starts as poison whatever came before, addresses
//! at which nothing is, and a journal of one operation.

use fuzz::host::{Engine, Memory, Reach, Stray};
use hyp::addr::Pa;
use hyp::platform::Platform;
use ops::{
    Event, Execute, Machine, MemoryType, Operation, Outcome, Prot, SENTINEL, Vm, Window, poison,
};

const POOL: Window = Window {
    base: 0x4900_0000,
    bytes: 0x1_0000,
};
const VM: Vm = Vm::A;

fn memory() -> Memory {
    let mut memory = Memory::default();
    memory.reset(POOL);
    memory
}

fn is_all_poison(memory: &Memory) -> bool {
    let end = memory.pool().end().expect("a pool ends below 2^64");
    (memory.pool().base..end)
        .step_by(8)
        .all(|at| memory.peek(at) == Some(poison()))
}

fn map() -> Operation {
    let prot = Prot {
        read: true,
        write: true,
        execute: Execute::Never,
    };
    Operation::Map {
        vm: VM,
        ipa: 0x1_0000,
        pa: 0x5001_0000,
        size: 0x1000,
        prot,
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    }
}

#[test]
fn what_is_stored_is_loaded() {
    let memory = memory();
    let last = Pa::new(POOL.base + POOL.bytes - 8);
    memory.store(Pa::new(POOL.base), 1);
    memory.store_release(last, 2);
    assert_eq!((memory.load(Pa::new(POOL.base)), memory.load(last)), (1, 2));
    assert_eq!(memory.take_stray(), None);
}

#[test]
fn an_exchange_takes_place_where_the_old_value_is_there() {
    let memory = memory();
    let at = Pa::new(POOL.base);
    memory.store(at, 1);
    assert_eq!(memory.compare_exchange(at, 2, 3), Err(1));
    assert_eq!(memory.compare_exchange(at, 1, 3), Ok(()));
    assert_eq!(memory.swap(at, 4), 3);
    assert_eq!(memory.load(at), 4);
    assert_eq!(memory.take_stray(), None);
}

#[test]
fn what_hardware_updates_is_poison_again_for_the_next_sequence() {
    let mut memory = memory();
    memory.update(POOL.base + 8, 7);
    assert_eq!(memory.peek(POOL.base + 8), Some(7));
    memory.reset(POOL);
    assert!(is_all_poison(&memory));
}

#[test]
fn an_exchange_outside_of_the_pool_is_a_stray_store() {
    let memory = memory();
    let at = Pa::new(0x5000_0000);
    assert_eq!(memory.compare_exchange(at, 0, 1), Ok(()));
    let stray = Stray {
        at: 0x5000_0000,
        reach: Reach::Store,
    };
    assert_eq!(memory.take_stray(), Some(stray));
}

#[test]
fn a_pool_is_poison_after_another_sequence_used_it() {
    let mut memory = memory();
    memory.zero(Pa::new(POOL.base + 0x3000), 0x2000);
    memory.store(Pa::new(POOL.base + 0x8008), 7);
    assert!(!is_all_poison(&memory));
    memory.reset(Window {
        base: 0x4a00_0000,
        ..POOL
    });
    assert!(is_all_poison(&memory));
}

#[test]
fn zeroing_covers_its_range_and_no_more() {
    let memory = memory();
    memory.zero(Pa::new(POOL.base + 0x1000), 0x1000);
    let words = [0xff8, 0x1000, 0x1ff8, 0x2000].map(|offset| memory.peek(POOL.base + offset));
    assert_eq!(words, [Some(poison()), Some(0), Some(0), Some(poison())]);
}

#[test]
fn a_load_of_the_sentinel_page_answers_poison_and_is_remembered() {
    let memory = memory();
    assert_eq!(memory.load(Pa::new(SENTINEL.base)), poison());
    let stray = memory.take_stray();
    assert_eq!(
        stray,
        Some(Stray {
            at: SENTINEL.base,
            reach: Reach::Load
        })
    );
    assert!(stray.is_some_and(|stray| stray.is_sentinel()));
}

#[test]
fn loads_and_stores_where_nothing_is_have_no_effect_and_are_remembered() {
    let outside = [
        0,
        POOL.base - 8,
        POOL.base + POOL.bytes,
        POOL.base + 4,
        u64::MAX,
    ];
    for at in outside {
        let memory = memory();
        assert_eq!(memory.load(Pa::new(at)), 0, "{at:#x}");
        assert_eq!(
            memory.take_stray(),
            Some(Stray {
                at,
                reach: Reach::Load
            })
        );
        memory.store(Pa::new(at), 1);
        assert_eq!(
            memory.take_stray(),
            Some(Stray {
                at,
                reach: Reach::Store
            })
        );
        assert!(is_all_poison(&memory), "{at:#x}");
    }
}

#[test]
fn zeroing_past_the_end_of_the_pool_has_no_effect_and_is_remembered() {
    for bytes in [0x2000, !0xfff] {
        let memory = memory();
        let at = POOL.base + POOL.bytes - 0x1000;
        memory.zero(Pa::new(at), bytes);
        assert_eq!(
            memory.take_stray(),
            Some(Stray {
                at,
                reach: Reach::Store
            })
        );
        assert!(is_all_poison(&memory));
    }
}

#[test]
fn the_first_of_several_strays_is_kept() {
    let memory = memory();
    memory.store(Pa::new(8), 0);
    memory.load(Pa::new(16));
    assert_eq!(
        memory.take_stray(),
        Some(Stray {
            at: 8,
            reach: Reach::Store
        })
    );
    assert_eq!(memory.take_stray(), None);
}

#[test]
fn the_journal_holds_the_last_operation_alone() {
    Engine::new().run(&Machine::PLAIN, |session| {
        assert_eq!(
            session.execute(&Operation::Create { vm: VM }),
            Outcome::Done
        );
        assert!(
            session
                .events()
                .iter()
                .any(|record| matches!(record.event, Event::Allocate { order: 1, .. }))
        );
        assert_eq!(
            session.execute(&Operation::Fail { after: 0 }),
            Outcome::Nothing
        );
        assert!(session.events().is_empty());
    });
}

#[test]
fn registers_are_there_as_long_as_the_vm() {
    Engine::new().run(&Machine::PLAIN, |session| {
        assert_eq!(session.registers(VM), None);
        session.execute(&Operation::Create { vm: VM });
        assert!(
            session
                .registers(VM)
                .is_some_and(|registers| registers.vttbr >> 48 == 1)
        );
        session.execute(&Operation::Free { vm: VM });
        assert_eq!(session.registers(VM), None);
    });
}

#[test]
fn an_engine_starts_every_sequence_from_nothing() {
    let mut engine = Engine::new();
    let operations = [Operation::Create { vm: VM }, map()];
    let mut run = |machine: &Machine| {
        engine.run(machine, |session| {
            assert!(is_all_poison(session.memory()));
            let outcomes = operations.map(|operation| session.execute(&operation));
            let first = session.memory().peek(machine.pool.base);
            (outcomes, first)
        })
    };
    let plain = run(&Machine::PLAIN);
    let mut elsewhere = Machine::PLAIN;
    elsewhere.pool.base += 0x100_0000;
    assert_eq!(run(&elsewhere).0, plain.0);
    assert_eq!(run(&Machine::PLAIN), plain);
}
