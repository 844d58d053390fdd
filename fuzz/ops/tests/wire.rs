//! The wire forms: encoding and decoding are inverse, and hostile bytes end in a
//! value or an error.

mod values;

use ops::wire::{self, Reader, WireError};
use ops::{
    CacheOperation, Entry, Event, Execute, LeafContent, Machine, MemoryType, Operation, Outcome,
    Prot, Record, Refusal, Regime, Vm,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use values::{machine, operation, outcome, record};

/// Bytes that are small numbers more often than not, so that tags are often met.
fn hostile<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    let byte = prop_oneof![4 => Just(0u8), 2 => 0u8..18, 1 => any::<u8>()];
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
fn numbers_that_nothing_has_are_refused() {
    let range = |number: u8| {
        let mut bytes = [0; 32];
        [bytes[0], bytes[3]] = [7, number];
        wire::decode_operation(&bytes).unwrap_err()
    };
    assert_eq!(range(10), WireError::Action(10));
    let mut map = [0; 32];
    [map[0], map[3]] = [2, 16];
    assert_eq!(wire::decode_operation(&map), Err(WireError::Software(16)));
    let outcome = |tag: u8, code: u8| {
        let mut bytes = [0; 16];
        [bytes[0], bytes[1]] = [tag, code];
        wire::decode_outcome(&bytes).unwrap_err()
    };
    assert_eq!(outcome(4, 0), WireError::Refusal(0));
    assert_eq!(outcome(4, 22), WireError::Refusal(22));
    assert_eq!(outcome(7, 4), WireError::Entry(4));
}

#[test]
fn several_kinds_of_execution_are_no_permission() {
    let mut bytes = [0; 32];
    [bytes[0], bytes[2]] = [2, 4 | 32];
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
            execute: Execute::Both,
        },
        memory: MemoryType::Device,
        software: 0,
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

    let machine = Machine {
        regime: Regime::El2,
        ..machine.with_options(1 << 3 | 2 << 12 | 1 << 14)
    };
    [expected[5], expected[12], expected[13]] = [1, 0b1000, 0b0110_0000];
    assert_eq!(wire::encode_machine(&machine), expected);
}

#[test]
fn layouts_of_entries_and_caches_are_as_published() {
    let content = LeafContent {
        pa: 0x1122,
        prot: Prot {
            read: true,
            write: true,
            execute: Execute::El0,
        },
        memory: MemoryType::NonCacheable,
        software: 5,
        young: true,
        dirty: false,
    };
    let outcome = Outcome::Entry {
        level: -1,
        entry: Entry::Softened(content),
    };
    let mut expected = [0; 16];
    expected[..5].copy_from_slice(&[7, 3, 0xff, 0b1100_0011, 0b1_0101]);
    expected[8..10].copy_from_slice(&[0x22, 0x11]);
    assert_eq!(wire::encode_outcome(&outcome), expected);
    assert_eq!(
        wire::encode_outcome(&Outcome::Refused(Refusal::Denied))[..2],
        [4, 11]
    );

    // What the first version wrote for the line that holds an address.
    let mut bytes = [0; 32];
    [bytes[0], bytes[2], bytes[8]] = [5, 1, 0x40];
    let event = Event::Cache {
        operation: CacheOperation::Cvac,
        at: 0x40,
        bytes: 1,
    };
    assert_eq!(wire::decode_record(&bytes), Ok(Record { cpu: 0, event }));
}
