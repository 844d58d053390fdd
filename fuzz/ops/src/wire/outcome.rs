//! What an operation answers, 16 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | tag: 1 done, 2 freed, 3 no pages, 4 refused, 5 nothing, 6 young, 7 entry |
//! | 1 | refused: code of the refusal, from 1 on in the order of `Refusal::ALL`; young: 1 for young; entry: 0 empty, 1 annotated, 2 leaf, 3 softened |
//! | 2 | no pages: need, u16; entry: level, signed, 1 byte |
//! | 3 | entry: owner, or permissions and memory type as operations have them |
//! | 4 | freed: pages in use, u32; entry: software bits, 16 young, 32 dirty, 1 byte |
//! | 8 | no pages: bytes done; entry: PA |

use super::attributes::{memory, memory_bits, prot, prot_bits};
use super::{WireError, canonical, put, u16_at, u32_at, u64_at};
use crate::{Entry, LeafContent, Outcome, Refusal};

/// Length of an outcome in bytes.
pub const OUTCOME_BYTES: usize = 16;

const DONE: u8 = 1;
const FREED: u8 = 2;
const NO_PAGES: u8 = 3;
const REFUSED: u8 = 4;
const NOTHING: u8 = 5;
const YOUNG: u8 = 6;
const ENTRY: u8 = 7;

const EMPTY: u8 = 0;
const ANNOTATED: u8 = 1;
const LEAF: u8 = 2;
const SOFTENED: u8 = 3;

const SOFTWARE_BITS: u8 = 0b1111;
const YOUNG_LEAF: u8 = 16;
const DIRTY_LEAF: u8 = 32;

/// The outcome as bytes.
#[must_use]
pub fn encode_outcome(outcome: &Outcome) -> [u8; OUTCOME_BYTES] {
    let mut bytes = [0; OUTCOME_BYTES];
    match *outcome {
        Outcome::Done => bytes[0] = DONE,
        Outcome::Freed { pages } => {
            bytes[0] = FREED;
            put(&mut bytes, 4, pages.to_le_bytes());
        }
        Outcome::Young(young) => put(&mut bytes, 0, [YOUNG, u8::from(young)]),
        Outcome::Entry { level, entry } => {
            bytes[0] = ENTRY;
            put(&mut bytes, 2, level.to_le_bytes());
            put_entry(&mut bytes, &entry);
        }
        Outcome::NoPages { done, need } => {
            bytes[0] = NO_PAGES;
            put(&mut bytes, 2, need.to_le_bytes());
            put(&mut bytes, 8, done.to_le_bytes());
        }
        Outcome::Refused(refusal) => put(&mut bytes, 0, [REFUSED, refusal as u8 + 1]),
        Outcome::Nothing => bytes[0] = NOTHING,
    }
    bytes
}

/// The outcome of these bytes.
///
/// # Errors
/// `Outcome`, `Refusal`, `Entry`, `Reserved`.
pub fn decode_outcome(bytes: &[u8; OUTCOME_BYTES]) -> Result<Outcome, WireError> {
    let outcome = match bytes[0] {
        DONE => Outcome::Done,
        FREED => Outcome::Freed {
            pages: u32_at(bytes, 4),
        },
        YOUNG => Outcome::Young(bytes[1] != 0),
        ENTRY => Outcome::Entry {
            level: i8::from_le_bytes([bytes[2]]),
            entry: entry(bytes)?,
        },
        NO_PAGES => Outcome::NoPages {
            done: u64_at(bytes, 8),
            need: u16_at(bytes, 2),
        },
        REFUSED => Outcome::Refused(refusal(bytes[1])?),
        NOTHING => Outcome::Nothing,
        tag => return Err(WireError::Outcome(tag)),
    };
    canonical(outcome, encode_outcome(&outcome), bytes)
}

fn refusal(code: u8) -> Result<Refusal, WireError> {
    let index = code.checked_sub(1).map(usize::from);
    let refusal = index.and_then(|index| Refusal::ALL.get(index));
    refusal.copied().ok_or(WireError::Refusal(code))
}

fn put_entry(bytes: &mut [u8; OUTCOME_BYTES], entry: &Entry) {
    match entry {
        Entry::Empty => bytes[1] = EMPTY,
        Entry::Annotated { owner } => {
            bytes[1] = ANNOTATED;
            bytes[3] = *owner;
        }
        Entry::Leaf(content) => {
            bytes[1] = LEAF;
            put_leaf(bytes, content);
        }
        Entry::Softened(content) => {
            bytes[1] = SOFTENED;
            put_leaf(bytes, content);
        }
    }
}

fn put_leaf(bytes: &mut [u8; OUTCOME_BYTES], content: &LeafContent) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    bytes[3] = prot_bits(content.prot) | memory_bits(content.memory);
    bytes[4] = content.software & SOFTWARE_BITS
        | flag(content.young, YOUNG_LEAF)
        | flag(content.dirty, DIRTY_LEAF);
    put(bytes, 8, content.pa.to_le_bytes());
}

fn entry(bytes: &[u8; OUTCOME_BYTES]) -> Result<Entry, WireError> {
    Ok(match bytes[1] {
        EMPTY => Entry::Empty,
        ANNOTATED => Entry::Annotated { owner: bytes[3] },
        LEAF => Entry::Leaf(leaf(bytes)),
        SOFTENED => Entry::Softened(leaf(bytes)),
        tag => return Err(WireError::Entry(tag)),
    })
}

fn leaf(bytes: &[u8; OUTCOME_BYTES]) -> LeafContent {
    LeafContent {
        pa: u64_at(bytes, 8),
        prot: prot(bytes[3]),
        memory: memory(bytes[3]),
        software: bytes[4] & SOFTWARE_BITS,
        young: bytes[4] & YOUNG_LEAF != 0,
        dirty: bytes[4] & DIRTY_LEAF != 0,
    }
}
