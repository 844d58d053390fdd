//! The wire forms: encoding and decoding are inverse, and hostile bytes end in a
//! value or an error.

use ops::wire::{self, Reader, WireError};
use ops::{
    AccessKind, Barrier, CacheOperation, Event, Granule, Machine, MemoryType, Operation, Outcome,
    Pool, Prot, Record, Refusal, Tlbi, Vm, Window,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

fn vm() -> impl Strategy<Value = Vm> {
    (0u8..4).prop_map(|index| Vm::new(index).unwrap())
}

fn machine() -> impl Strategy<Value = Machine> {
    let configuration = (
        select(Granule::ALL.to_vec()),
        select(Machine::PA_BITS.to_vec()),
        any::<u8>(),
        any::<Option<i8>>(),
        any::<bool>(),
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
            (granule, pa_bits, ipa_bits, start_level, coherent_walks),
            (cache_pages, pages, at, bytes, stub),
        )| Machine {
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
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let prot = any::<[bool; 3]>().prop_map(|[read, write, execute]| Prot {
        read,
        write,
        execute,
    });
    let memory = select(vec![MemoryType::Normal, MemoryType::Device]);
    let kind = select(vec![
        AccessKind::Read,
        AccessKind::Write,
        AccessKind::Execute,
    ]);
    prop_oneof![
        vm().prop_map(|vm| Operation::Create { vm }),
        (vm(), any::<[u64; 3]>(), prot, memory, any::<bool>()).prop_map(
            |(vm, [ipa, pa, size], prot, memory, pages_only)| Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                pages_only
            }
        ),
        (vm(), any::<[u64; 2]>()).prop_map(|(vm, [ipa, size])| Operation::Unmap { vm, ipa, size }),
        vm().prop_map(|vm| Operation::Free { vm }),
        (vm(), any::<u64>(), kind).prop_map(|(vm, ipa, kind)| Operation::Access { vm, ipa, kind }),
        any::<u16>().prop_map(|after| Operation::Fail { after }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let refusals = [
        Refusal::NoVm,
        Refusal::Exists,
        Refusal::IllegalConfiguration,
        Refusal::NoMemory,
        Refusal::Empty,
        Refusal::Misaligned,
        Refusal::Wraps,
        Refusal::IpaRange,
        Refusal::PaRange,
        Refusal::BadAttributes,
        Refusal::Denied,
    ];
    prop_oneof![
        Just(Outcome::Done),
        any::<u32>().prop_map(|pages| Outcome::Freed { pages }),
        any::<(u64, u16)>().prop_map(|(done, need)| Outcome::NoPages { done, need }),
        select(refusals.to_vec()).prop_map(Outcome::Refused),
        Just(Outcome::Nothing),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let tlbi = select(vec![Tlbi::Ipas2e1is, Tlbi::Vmalle1is, Tlbi::Vmalls12e1is]);
    let barrier = select(vec![Barrier::DsbIshst, Barrier::DsbIsh, Barrier::Isb]);
    let event = prop_oneof![
        any::<([u64; 3], bool)>().prop_map(|([at, old, new], release)| Event::Store {
            at,
            old,
            new,
            release
        }),
        any::<[u64; 2]>().prop_map(|[at, bytes]| Event::Zero { at, bytes }),
        (tlbi, any::<u64>()).prop_map(|(operation, operand)| Event::Tlbi { operation, operand }),
        barrier.prop_map(Event::Barrier),
        any::<u64>().prop_map(|at| Event::Cache {
            operation: CacheOperation::Cvac,
            at
        }),
        any::<u64>().prop_map(Event::WriteVtcr),
        any::<u64>().prop_map(Event::WriteVttbr),
        any::<(u64, u8)>().prop_map(|(page, order)| Event::Allocate { page, order }),
        any::<(u8, bool)>().prop_map(|(order, injected)| Event::AllocateFailed { order, injected }),
        any::<(u64, u8)>().prop_map(|(page, order)| Event::Release { page, order }),
    ];
    (any::<u8>(), event).prop_map(|(cpu, event)| Record { cpu, event })
}

/// Bytes that are small numbers more often than not, so that tags are often met.
fn hostile<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    let byte = prop_oneof![4 => Just(0u8), 2 => 0u8..12, 1 => any::<u8>()];
    proptest::collection::vec(byte, N).prop_map(|bytes| bytes.try_into().unwrap())
}

fn sequence_of(machine: &Machine, operations: &[Operation]) -> Vec<u8> {
    let mut bytes = wire::encode_header(u16::try_from(operations.len()).unwrap()).to_vec();
    bytes.extend(wire::encode_machine(machine));
    bytes.extend(operations.iter().flat_map(wire::encode_operation));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn machine_survives_the_round_trip(machine in machine()) {
        prop_assert_eq!(wire::decode_machine(&wire::encode_machine(&machine)), Ok(machine));
    }

    #[test]
    fn operation_survives_the_round_trip(operation in operation()) {
        prop_assert_eq!(wire::decode_operation(&wire::encode_operation(&operation)), Ok(operation));
    }

    #[test]
    fn outcome_survives_the_round_trip(outcome in outcome()) {
        prop_assert_eq!(wire::decode_outcome(&wire::encode_outcome(&outcome)), Ok(outcome));
    }

    #[test]
    fn record_survives_the_round_trip(record in record()) {
        prop_assert_eq!(wire::decode_record(&wire::encode_record(&record)), Ok(record));
    }

    #[test]
    fn hostile_operation_is_an_error_or_encodes_to_itself(bytes in hostile()) {
        if let Ok(operation) = wire::decode_operation(&bytes) {
            prop_assert_eq!(wire::encode_operation(&operation), bytes);
        }
    }

    #[test]
    fn hostile_outcome_is_an_error_or_encodes_to_itself(bytes in hostile()) {
        if let Ok(outcome) = wire::decode_outcome(&bytes) {
            prop_assert_eq!(wire::encode_outcome(&outcome), bytes);
        }
    }

    #[test]
    fn hostile_record_is_an_error_or_encodes_to_itself(bytes in hostile()) {
        if let Ok(record) = wire::decode_record(&bytes) {
            prop_assert_eq!(wire::encode_record(&record), bytes);
        }
    }

    #[test]
    fn machine_with_one_byte_changed_is_an_error_or_encodes_to_itself(
        machine in machine(), at in 0..wire::MACHINE_BYTES, byte: u8
    ) {
        let mut bytes = wire::encode_machine(&machine);
        bytes[at] = byte;
        if let Ok(machine) = wire::decode_machine(&bytes) {
            prop_assert_eq!(wire::encode_machine(&machine), bytes);
        }
    }

    #[test]
    fn sequence_is_read_back(machine in machine(), operations in proptest::collection::vec(operation(), 0..20)) {
        let bytes = sequence_of(&machine, &operations);
        let reader = Reader::new(&bytes).unwrap();
        prop_assert_eq!(reader.machine(), &machine);
        prop_assert_eq!(reader.len(), operations.len());
        prop_assert_eq!(reader.collect::<Result<Vec<_>, _>>(), Ok(operations));
    }

    #[test]
    fn cut_sequence_is_refused(operations in proptest::collection::vec(operation(), 0..4), cut in 1usize..80) {
        let bytes = sequence_of(&Machine::PLAIN, &operations);
        let found = bytes.len().saturating_sub(cut);
        let refused = matches!(Reader::new(&bytes[..found]), Err(WireError::Length { .. }));
        prop_assert!(refused);
    }
}

#[test]
fn zeroes_are_no_operation() {
    assert_eq!(
        wire::decode_operation(&[0; 32]),
        Err(WireError::Operation(0))
    );
}

#[test]
fn vm_beyond_the_last_is_refused() {
    let mut bytes = wire::encode_operation(&Operation::Free { vm: Vm::A });
    bytes[1] = 4;
    assert_eq!(wire::decode_operation(&bytes), Err(WireError::Vm(4)));
}

#[test]
fn field_that_the_operation_does_not_have_must_be_zero() {
    let mut bytes = wire::encode_operation(&Operation::Free { vm: Vm::A });
    bytes[31] = 1;
    assert_eq!(wire::decode_operation(&bytes), Err(WireError::Reserved));
}

#[test]
fn machine_that_cannot_run_is_refused_with_its_reason() {
    let machine = Machine {
        pa_bits: 41,
        ..Machine::PLAIN
    };
    let reason = WireError::Machine(ops::MachineError::PaBits(41));
    assert_eq!(
        wire::decode_machine(&wire::encode_machine(&machine)),
        Err(reason)
    );
}

#[test]
fn header_is_checked_field_by_field() {
    let good = sequence_of(&Machine::PLAIN, &[]);
    let error_with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Reader::new(&bytes).map(|_| ()).unwrap_err()
    };
    assert_eq!(error_with(0, b'S'), WireError::Magic(*b"S2"));
    assert_eq!(error_with(2, 2), WireError::Version(2));
    assert_eq!(error_with(3, 1), WireError::Reserved);
    assert_eq!(error_with(5, 2), WireError::Count(512));
    assert_eq!(
        error_with(4, 1),
        WireError::Length {
            expected: 88,
            found: 56
        }
    );
}

#[test]
fn longest_sequence_is_accepted() {
    let operations = [Operation::Create { vm: Vm::A }; 256];
    assert_eq!(
        Reader::new(&sequence_of(&Machine::PLAIN, &operations))
            .unwrap()
            .len(),
        256
    );
}

/// The layouts as they were published: a change here is a change of the version.
#[test]
fn layouts_are_as_published() {
    let operation = Operation::Map {
        vm: Vm::new(1).unwrap(),
        ipa: 0x1122,
        pa: 0x3344,
        size: 0x5566,
        prot: Prot {
            read: true,
            write: false,
            execute: true,
        },
        memory: MemoryType::Device,
        pages_only: true,
    };
    let mut expected = [0; 32];
    expected[..3].copy_from_slice(&[2, 1, 0b11101]);
    expected[8..10].copy_from_slice(&[0x22, 0x11]);
    expected[16..18].copy_from_slice(&[0x44, 0x33]);
    expected[24..26].copy_from_slice(&[0x66, 0x55]);
    assert_eq!(wire::encode_operation(&operation), expected);

    let machine = Machine {
        start_level: Some(-1),
        cache_pages: Some(3),
        ..Machine::PLAIN
    };
    let mut expected = [0; 48];
    expected[..10].copy_from_slice(&[0, 40, 40, 0xff, 3, 0, 3, 0, 64, 0]);
    expected[19] = 0x48;
    expected[27] = 0x50;
    expected[35] = 4;
    assert_eq!(wire::encode_machine(&machine), expected);
}
