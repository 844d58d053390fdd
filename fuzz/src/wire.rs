//! A whole sequence as bytes, the form of a corpus: `ops::wire` with a `Sequence`
//! on its other side. Expectations are not part of it.

use ops::wire::{self, Reader};

pub use ops::wire::WireError;

use crate::sequence::{Sequence, Step};

/// Most operations of a sequence in either form.
pub const MAX_OPERATIONS: usize = wire::MAX_OPERATIONS as usize;

/// The sequence of these bytes, which must be exactly one.
///
/// # Errors
/// The first thing that is wrong; nothing is allocated for bytes that do not
/// start as a sequence of their length does.
pub fn from_bytes(bytes: &[u8]) -> Result<Sequence, WireError> {
    let reader = Reader::new(bytes)?;
    let machine = *reader.machine();
    let steps = reader
        .map(|operation| operation.map(Step::from))
        .collect::<Result<_, _>>()?;
    Ok(Sequence { machine, steps })
}

/// The sequence as bytes.
///
/// # Panics
/// With more than `MAX_OPERATIONS` steps, which no parser, decoder, generator or
/// mutator of this library makes.
#[must_use]
pub fn to_bytes(sequence: &Sequence) -> Vec<u8> {
    let count = sequence.steps.len();
    assert!(
        count <= MAX_OPERATIONS,
        "a sequence of {count} operations has no wire form"
    );
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_OPERATIONS")]
    let count = count as u16;
    let mut bytes = Vec::with_capacity(wire::sequence_bytes(count));
    bytes.extend_from_slice(&wire::encode_header(count));
    bytes.extend_from_slice(&wire::encode_machine(&sequence.machine));
    for operation in sequence.operations() {
        bytes.extend_from_slice(&wire::encode_operation(operation));
    }
    bytes
}
