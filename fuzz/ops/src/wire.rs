//! Fixed little-endian forms of everything that travels as bytes: between a
//! fuzzer and its corpus, and between host and machine.
//!
//! The layouts are part of the format's version: tags and flags never change
//! their meaning, new ones get new numbers. Each value has exactly one encoding
//! and every other byte pattern is an error, so that what was decoded encodes to
//! the same bytes again. Decoding reads untrusted bytes: it never panics and
//! never allocates.

mod attributes;
mod machine;
mod operation;
mod outcome;
mod record;
mod sequence;

pub use machine::{MACHINE_BYTES, decode_machine, encode_machine};
pub use operation::{OPERATION_BYTES, decode_operation, encode_operation};
pub use outcome::{OUTCOME_BYTES, decode_outcome, encode_outcome};
pub use record::{RECORD_BYTES, decode_record, encode_record};
pub use sequence::{HEADER_BYTES, MAX_OPERATIONS, Reader, VERSION, encode_header, sequence_bytes};

use crate::MachineError;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A sequence does not start with the two bytes `s2`.
    Magic([u8; 2]),
    /// A sequence of another version of the format.
    Version(u8),
    /// A sequence of more than `MAX_OPERATIONS` operations.
    Count(u16),
    /// A sequence with fewer or more bytes than its header announces.
    Length {
        /// Bytes that the header announces, or the least that any sequence has.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// No granule has this tag.
    Granule(u8),
    /// No regime has this tag.
    Regime(u8),
    /// The machine cannot run any sequence.
    Machine(MachineError),
    /// No VM has this index.
    Vm(u8),
    /// No operation has this tag.
    Operation(u8),
    /// No range operation has this number.
    Action(u8),
    /// Software bits beyond the four that a descriptor has.
    Software(u8),
    /// No guest access has this kind.
    Access(u8),
    /// No outcome has this tag.
    Outcome(u8),
    /// No refusal has this code.
    Refusal(u8),
    /// No content of an entry has this tag.
    Entry(u8),
    /// No event has this tag.
    Event(u8),
    /// The event knows no instruction of this number.
    Instruction(u8),
    /// A byte that must be zero is not, or a flag is set that means nothing here.
    Reserved,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WireError::Magic([a, b]) => write!(
                f,
                "starts with the bytes {a:#04x} {b:#04x}, not with \"s2\""
            ),
            WireError::Version(version) => {
                write!(f, "version {version} of the format, not {VERSION}")
            }
            WireError::Count(count) => write!(f, "{count} operations, of at most {MAX_OPERATIONS}"),
            WireError::Length { expected, found } => write!(f, "{found} bytes, not {expected}"),
            WireError::Granule(tag) => write!(f, "no granule has tag {tag}"),
            WireError::Regime(tag) => write!(f, "no regime has tag {tag}"),
            WireError::Machine(error) => error.fmt(f),
            WireError::Vm(index) => write!(f, "no VM has index {index}"),
            WireError::Operation(tag) => write!(f, "no operation has tag {tag}"),
            WireError::Action(number) => write!(f, "no range operation has number {number}"),
            WireError::Software(bits) => {
                write!(f, "software bits {bits:#x}, of which a descriptor has four")
            }
            WireError::Access(kind) => write!(f, "no guest access has kind {kind}"),
            WireError::Outcome(tag) => write!(f, "no outcome has tag {tag}"),
            WireError::Refusal(code) => write!(f, "no refusal has code {code}"),
            WireError::Entry(tag) => write!(f, "no content of an entry has tag {tag}"),
            WireError::Event(tag) => write!(f, "no event has tag {tag}"),
            WireError::Instruction(number) => write!(f, "no such instruction: number {number}"),
            WireError::Reserved => f.write_str("a reserved byte or flag is not zero"),
        }
    }
}

impl core::error::Error for WireError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            WireError::Machine(error) => Some(error),
            _ => None,
        }
    }
}

/// The `W` bytes at `at` of a record of `N` bytes. The offsets are constants of
/// the layouts, all of them within the record.
fn field<const N: usize, const W: usize>(bytes: &[u8; N], at: usize) -> [u8; W] {
    core::array::from_fn(|i| bytes[at + i])
}

fn u16_at<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

fn put<const N: usize, const W: usize>(bytes: &mut [u8; N], at: usize, value: [u8; W]) {
    bytes[at..at + W].copy_from_slice(&value);
}

/// Accepts a decoded value only from its one encoding.
fn canonical<T, const N: usize>(
    value: T,
    encoded: [u8; N],
    bytes: &[u8; N],
) -> Result<T, WireError> {
    if encoded == *bytes {
        Ok(value)
    } else {
        Err(WireError::Reserved)
    }
}
