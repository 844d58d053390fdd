//! Sequences as bytes.

mod random;

use fuzz::wire::{self, WireError};
use fuzz::{Sequence, Step};

fn without_expectations(mut sequence: Sequence) -> Sequence {
    for step in &mut sequence.steps {
        *step = Step::from(step.operation);
    }
    sequence
}

#[test]
fn sequence_survives_the_round_trip() {
    for seed in 0..5000 {
        let sequence = without_expectations(random::sequence(seed));
        assert_eq!(
            wire::from_bytes(&wire::to_bytes(&sequence)),
            Ok(sequence),
            "seed {seed}"
        );
    }
}

#[test]
fn changed_bytes_are_an_error_or_encode_to_themselves() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut decoded = 0;
    for seed in 0..5000 {
        let mut bytes = wire::to_bytes(&random::sequence(seed));
        let at = rng.usize(0..bytes.len());
        bytes[at] = rng.u8(..);
        if let Ok(sequence) = wire::from_bytes(&bytes) {
            decoded += 1;
            assert_eq!(wire::to_bytes(&sequence), bytes, "seed {seed}");
        }
    }
    assert!(
        decoded > 500,
        "only {decoded} of 5000 decoded: too few to show anything"
    );
}

#[test]
fn bytes_behind_the_last_operation_are_refused() {
    let mut bytes = wire::to_bytes(&random::sequence(1));
    let expected = bytes.len();
    bytes.push(0);
    assert_eq!(
        wire::from_bytes(&bytes),
        Err(WireError::Length {
            expected,
            found: expected + 1
        })
    );
}

#[test]
fn one_bad_operation_spoils_the_sequence() {
    let mut sequence = random::sequence(0);
    sequence.steps = vec![Step::from(ops::Operation::Fail { after: 0 }); 3];
    let mut bytes = wire::to_bytes(&sequence);
    let last = bytes.len() - ops::wire::OPERATION_BYTES;
    bytes[last] = 0xff;
    assert_eq!(wire::from_bytes(&bytes), Err(WireError::Operation(0xff)));
}
