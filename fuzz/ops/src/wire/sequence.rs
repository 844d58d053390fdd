//! A whole sequence: a header of 8 bytes, the machine, the operations.
//!
//! | offset | field |
//! |---|---|
//! | 0 | the bytes `s2` |
//! | 2 | version |
//! | 4 | number of operations, u16 |
//! | 8 | the machine |
//! | 56 | the operations, 32 bytes each |

use super::{
    MACHINE_BYTES, OPERATION_BYTES, WireError, canonical, decode_machine, decode_operation, put,
    u16_at,
};
use crate::{Machine, Operation};

/// Version of the format.
pub const VERSION: u8 = 1;

/// Most operations of a sequence.
pub const MAX_OPERATIONS: u16 = 256;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 8;

const MAGIC: [u8; 2] = *b"s2";

/// Length in bytes of a sequence of `count` operations.
#[must_use]
pub const fn sequence_bytes(count: u16) -> usize {
    HEADER_BYTES + MACHINE_BYTES + OPERATION_BYTES * count as usize
}

/// The header of a sequence of `count` operations; decodes up to `MAX_OPERATIONS`.
#[must_use]
pub fn encode_header(count: u16) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    put(&mut bytes, 0, MAGIC);
    bytes[2] = VERSION;
    put(&mut bytes, 4, count.to_le_bytes());
    bytes
}

/// A sequence read in place: the machine, then the operations one by one.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    machine: Machine,
    operations: core::slice::Iter<'a, [u8; OPERATION_BYTES]>,
}

impl<'a> Reader<'a> {
    /// Checks the header, the length and the machine of `bytes`.
    ///
    /// # Errors
    /// `Length`, `Magic`, `Version`, `Count`, `Reserved`, and what
    /// `decode_machine` says.
    pub fn new(bytes: &'a [u8]) -> Result<Reader<'a>, WireError> {
        let too_short = WireError::Length {
            expected: sequence_bytes(0),
            found: bytes.len(),
        };
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(too_short)?;
        let count = decode_header(header)?;
        let (machine, rest) = rest.split_first_chunk::<MACHINE_BYTES>().ok_or(too_short)?;
        if bytes.len() != sequence_bytes(count) {
            return Err(WireError::Length {
                expected: sequence_bytes(count),
                found: bytes.len(),
            });
        }
        // The length leaves no remainder.
        let (operations, _) = rest.as_chunks::<OPERATION_BYTES>();
        Ok(Reader {
            machine: decode_machine(machine)?,
            operations: operations.iter(),
        })
    }

    /// The machine of the sequence.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Operation, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.operations.next().map(decode_operation)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.operations.size_hint()
    }
}

impl ExactSizeIterator for Reader<'_> {}

fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<u16, WireError> {
    let magic = [bytes[0], bytes[1]];
    if magic != MAGIC {
        return Err(WireError::Magic(magic));
    }
    if bytes[2] != VERSION {
        return Err(WireError::Version(bytes[2]));
    }
    let count = u16_at(bytes, 4);
    if count > MAX_OPERATIONS {
        return Err(WireError::Count(count));
    }
    canonical(count, encode_header(count), bytes)
}
