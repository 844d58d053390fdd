//! Any value of the vocabulary that has a wire form.

use ops::{
    AccessKind, Action, Barrier, CacheOperation, Entry, Event, Execute, Granule, LeafContent,
    Machine, MemoryType, Operation, Outcome, Pool, Prot, Record, Refusal, Regime, Tlbi, Vm, Window,
};
use proptest::prelude::*;
use proptest::sample::select;

fn vm() -> impl Strategy<Value = Vm> {
    (0u8..4).prop_map(|index| Vm::new(index).unwrap())
}

/// Options with a FEAT_BBM level that there is.
fn options() -> impl Strategy<Value = u16> {
    const BBM: u16 = 3 << 12;
    any::<u16>().prop_map(|bits| if bits & BBM == BBM { bits & !BBM } else { bits })
}

pub(crate) fn machine() -> impl Strategy<Value = Machine> {
    let configuration = (
        select(Regime::ALL.to_vec()),
        select(Granule::ALL.to_vec()),
        select(Machine::PA_BITS.to_vec()),
        any::<u8>(),
        any::<Option<i8>>(),
        any::<bool>(),
        options(),
    );
    let rest = (
        any::<Option<u16>>(),
        1..=Machine::MAX_POOL_PAGES,
        0x1000u64..0x4000,
        1u64..1 << 30,
        any::<Option<u64>>(),
    );
    (configuration, rest).prop_map(
        |(
            (regime, granule, pa_bits, ipa_bits, start_level, coherent_walks, options),
            (cache_pages, pages, at, bytes, stub),
        )| {
            let machine = Machine {
                regime,
                granule,
                pa_bits,
                ipa_bits,
                start_level,
                coherent_walks,
                cache_pages,
                // The pool ends at 0x4c00_0000 at most, the memory at 2^32.
                pool: Pool {
                    base: 0x4800_0000,
                    pages,
                },
                memory: Window {
                    base: 0x5000_0000 + (at << 16),
                    bytes: bytes.max(granule.bytes()),
                },
                stub,
                ..Machine::PLAIN
            };
            machine.with_options(options)
        },
    )
}

fn prot() -> impl Strategy<Value = Prot> {
    (any::<[bool; 2]>(), select(Execute::ALL.to_vec())).prop_map(|([read, write], execute)| Prot {
        read,
        write,
        execute,
    })
}

fn memory() -> impl Strategy<Value = MemoryType> {
    select(MemoryType::ALL.to_vec())
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![mapping(), range(), one_address(), of_the_vm()]
}

fn mapping() -> impl Strategy<Value = Operation> {
    let what = (vm(), any::<[u64; 3]>(), any::<Option<i8>>());
    (what, prot(), memory(), 0..16u8, any::<bool>()).prop_map(
        |((vm, [ipa, pa, size], level), prot, memory, software, pages_only)| match level {
            None => Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                software,
                pages_only,
            },
            Some(level) => Operation::Build {
                vm,
                ipa,
                pa,
                level,
                prot,
                memory,
                software,
                pages_only,
            },
        },
    )
}

fn range() -> impl Strategy<Value = Operation> {
    let place = || (vm(), any::<u64>(), any::<u64>());
    let action = select(Action::ALL.to_vec());
    prop_oneof![
        place().prop_map(|(vm, ipa, size)| Operation::Unmap { vm, ipa, size }),
        (place(), action).prop_map(|((vm, ipa, size), action)| Operation::Range {
            vm,
            action,
            ipa,
            size
        }),
        (place(), prot()).prop_map(|((vm, ipa, size), prot)| Operation::Protect {
            vm,
            ipa,
            size,
            prot
        }),
        (place(), any::<u8>()).prop_map(|((vm, ipa, size), owner)| Operation::Annotate {
            vm,
            ipa,
            size,
            owner
        }),
    ]
}

fn one_address() -> impl Strategy<Value = Operation> {
    let place = || (vm(), any::<u64>());
    let kind = select(vec![
        AccessKind::Read,
        AccessKind::Write,
        AccessKind::Execute,
    ]);
    prop_oneof![
        (place(), prot()).prop_map(|((vm, ipa), prot)| Operation::Relax { vm, ipa, prot }),
        place().prop_map(|(vm, ipa)| Operation::MakeYoung { vm, ipa }),
        place().prop_map(|(vm, ipa)| Operation::Leaf { vm, ipa }),
        (place(), kind).prop_map(|((vm, ipa), kind)| Operation::Access { vm, ipa, kind }),
    ]
}

fn of_the_vm() -> impl Strategy<Value = Operation> {
    prop_oneof![
        vm().prop_map(|vm| Operation::Create { vm }),
        vm().prop_map(|vm| Operation::Free { vm }),
        vm().prop_map(|vm| Operation::Link { vm }),
        vm().prop_map(|vm| Operation::Discard { vm }),
        vm().prop_map(|vm| Operation::Conflict { vm }),
        any::<u16>().prop_map(|after| Operation::Fail { after }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let leaf = || {
        (any::<u64>(), prot(), memory(), 0..16u8, any::<[bool; 2]>()).prop_map(
            |(pa, prot, memory, software, [young, dirty])| LeafContent {
                pa,
                prot,
                memory,
                software,
                young,
                dirty,
            },
        )
    };
    prop_oneof![
        Just(Entry::Empty),
        any::<u8>().prop_map(|owner| Entry::Annotated { owner }),
        leaf().prop_map(Entry::Leaf),
        leaf().prop_map(Entry::Softened),
    ]
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        any::<u32>().prop_map(|pages| Outcome::Freed { pages }),
        any::<bool>().prop_map(Outcome::Young),
        (any::<i8>(), entry()).prop_map(|(level, entry)| Outcome::Entry { level, entry }),
        any::<(u64, u16)>().prop_map(|(done, need)| Outcome::NoPages { done, need }),
        select(Refusal::ALL.to_vec()).prop_map(Outcome::Refused),
        Just(Outcome::Nothing),
    ]
}

fn table_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<([u64; 3], bool)>().prop_map(|([at, old, new], release)| Event::Store {
            at,
            old,
            new,
            release
        }),
        any::<[u64; 3]>().prop_map(|[at, old, new]| Event::Exchange { at, old, new }),
        any::<[u64; 2]>().prop_map(|[at, bytes]| Event::Zero { at, bytes }),
        any::<[u64; 2]>().prop_map(|[ipa, bytes]| Event::Dirty { ipa, bytes }),
        any::<(u64, u8)>().prop_map(|(page, order)| Event::Allocate { page, order }),
        any::<(u8, bool)>().prop_map(|(order, injected)| Event::AllocateFailed { order, injected }),
        any::<(u64, u8)>().prop_map(|(page, order)| Event::Release { page, order }),
    ]
}

fn instruction_event() -> impl Strategy<Value = Event> {
    let tlbi = select(Tlbi::ALL.to_vec());
    let cache = select(CacheOperation::ALL.to_vec());
    prop_oneof![
        (tlbi, any::<u64>()).prop_map(|(operation, operand)| Event::Tlbi { operation, operand }),
        select(Barrier::ALL.to_vec()).prop_map(Event::Barrier),
        (cache, any::<[u64; 2]>()).prop_map(|(operation, [at, bytes])| Event::Cache {
            operation,
            at,
            bytes
        }),
        Just(Event::InstructionCaches),
        any::<u64>().prop_map(Event::WriteVtcr),
        any::<u64>().prop_map(Event::WriteVttbr),
        any::<u64>().prop_map(Event::WriteTcr),
        any::<u64>().prop_map(Event::WriteTtbr0),
        any::<u64>().prop_map(Event::WriteMair),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let event = prop_oneof![table_event(), instruction_event()];
    (any::<u8>(), event).prop_map(|(cpu, event)| Record { cpu, event })
}
