//! Changes to a sequence that keep it one.
//!
//! A mutation works on operations and addresses, where a change of bytes would
//! mostly make what does not decode or reaches nothing. The same input and seed
//! give the same output. Nothing here knows the fuzzer: the plain mutator of
//! bytes, to which a share of the inputs goes, is the caller's.

mod configuration;
mod mend;
mod steps;

use arbitrary::{Result, Unstructured};
use ops::wire::{HEADER_BYTES, MACHINE_BYTES, OPERATION_BYTES, encode_header, sequence_bytes};

use crate::generate::{self, Choices, weighted};
use crate::sequence::Sequence;
use crate::wire;

pub(crate) use steps::ipa_of;

/// Most operations of a mutated sequence.
pub const MAX_OPERATIONS: usize = 64;

/// Most operations that are left, by how often: long sequences reach more states,
/// short ones reach theirs more often in the same time.
const LENGTHS: [(u32, usize); 3] = [(12, 12), (3, 24), (1, MAX_OPERATIONS)];

/// Where the operations start.
const OPERATIONS_AT: usize = HEADER_BYTES + MACHINE_BYTES;

/// Mutates the first `size` bytes of `data`, a sequence in wire form, in place,
/// and returns how many bytes the result has: at most `max_size`, which is at
/// most the length of `data`. Bytes that are no sequence are replaced by a fresh
/// one. `plain` mutates bytes, with the same arguments and result as this: one
/// sequence in eight has its operations' bytes mutated by it, and where `max_size`
/// has no room for a sequence with an operation, it gets all bytes.
pub fn bytes(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    plain: impl FnOnce(&mut [u8], usize, usize) -> usize,
) -> usize {
    let room = max_size.min(data.len()).saturating_sub(OPERATIONS_AT) / OPERATION_BYTES;
    if room == 0 {
        return plain(data, size, max_size);
    }
    let most = room.min(MAX_OPERATIONS);
    let choices = Choices::new(u64::from(seed));
    let mut u = choices.unstructured();
    let to_plain = u.ratio(1, 8).unwrap_or(false);
    let mut sequence = match data.get(..size).map(wire::from_bytes) {
        Some(Ok(_)) if to_plain => {
            return operations_bytes(data, size, OPERATIONS_AT + most * OPERATION_BYTES, plain);
        }
        Some(Ok(sequence)) => sequence,
        _ => fresh(&mut u),
    };
    mutate(&mut sequence, &mut u, most);
    let bytes = wire::to_bytes(&sequence);
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

/// Has the bytes of the operations mutated by `plain`, and the header count what
/// whole operations there are then.
fn operations_bytes(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    plain: impl FnOnce(&mut [u8], usize, usize) -> usize,
) -> usize {
    let most = max_size - OPERATIONS_AT;
    let size = size.min(max_size) - OPERATIONS_AT;
    let mutated = plain(&mut data[OPERATIONS_AT..], size, most).min(most);
    // At most `MAX_OPERATIONS`, which has room in the header.
    let count = u16::try_from(mutated / OPERATION_BYTES).unwrap_or(0);
    data[..HEADER_BYTES].copy_from_slice(&encode_header(count));
    sequence_bytes(count)
}

/// Changes `sequence` in one to four ways, as `u` decides, and leaves at most
/// `most` operations, which should not be 0, and no expectation.
pub fn mutate(sequence: &mut Sequence, u: &mut Unstructured<'_>, most: usize) {
    // Bytes of a mutation do not run out; if they did, what was changed so far
    // would be a mutation as well.
    let _ = changes(sequence, u);
    if u.ratio(7, 8).unwrap_or(true) {
        mend::mend(sequence);
    }
    let usual = weighted(u, &LENGTHS).unwrap_or(MAX_OPERATIONS);
    shorten(sequence, u, most.min(usual));
    for step in &mut sequence.steps {
        step.expected = None;
    }
}

fn changes(sequence: &mut Sequence, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..weighted(u, &[(8, 1), (4, 2), (2, 3), (1, 4)])? {
        if sequence.steps.is_empty() || u.ratio(9, 10)? {
            steps::change(sequence, u)?;
        } else {
            configuration::change(sequence, u)?;
        }
    }
    Ok(())
}

/// Drops operations in the middle until at most `most` are left: the first one
/// creates a VM more often than not, and the last ones are what is new.
fn shorten(sequence: &mut Sequence, u: &mut Unstructured<'_>, most: usize) {
    let Some(surplus) = sequence.steps.len().checked_sub(most) else {
        return;
    };
    let from = u.int_in_range(most.min(1)..=most).unwrap_or(most);
    sequence.steps.drain(from..from + surplus);
}

fn fresh(u: &mut Unstructured<'_>) -> Sequence {
    let seed = u.arbitrary().unwrap_or(0);
    generate::from_seed(seed)
}
