//! What an operation answers, 16 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | tag: 1 done, 2 freed, 3 no pages, 4 refused, 5 nothing |
//! | 1 | refused: code of the refusal |
//! | 2 | no pages: need, u16 |
//! | 4 | freed: pages in use, u32 |
//! | 8 | no pages: bytes done |

use super::{WireError, canonical, put, u16_at, u32_at, u64_at};
use crate::{Outcome, Refusal};

/// Length of an outcome in bytes.
pub const OUTCOME_BYTES: usize = 16;

const DONE: u8 = 1;
const FREED: u8 = 2;
const NO_PAGES: u8 = 3;
const REFUSED: u8 = 4;
const NOTHING: u8 = 5;

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
        Outcome::NoPages { done, need } => {
            bytes[0] = NO_PAGES;
            put(&mut bytes, 2, need.to_le_bytes());
            put(&mut bytes, 8, done.to_le_bytes());
        }
        Outcome::Refused(refusal) => {
            bytes[0] = REFUSED;
            bytes[1] = refusal_code(refusal);
        }
        Outcome::Nothing => bytes[0] = NOTHING,
    }
    bytes
}

/// The outcome of these bytes.
///
/// # Errors
/// `Outcome`, `Refusal`, `Reserved`.
pub fn decode_outcome(bytes: &[u8; OUTCOME_BYTES]) -> Result<Outcome, WireError> {
    let outcome = match bytes[0] {
        DONE => Outcome::Done,
        FREED => Outcome::Freed {
            pages: u32_at(bytes, 4),
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

fn refusal_code(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::NoVm => 1,
        Refusal::Exists => 2,
        Refusal::IllegalConfiguration => 3,
        Refusal::NoMemory => 4,
        Refusal::Empty => 5,
        Refusal::Misaligned => 6,
        Refusal::Wraps => 7,
        Refusal::IpaRange => 8,
        Refusal::PaRange => 9,
        Refusal::BadAttributes => 10,
        Refusal::Denied => 11,
    }
}

fn refusal(code: u8) -> Result<Refusal, WireError> {
    Ok(match code {
        1 => Refusal::NoVm,
        2 => Refusal::Exists,
        3 => Refusal::IllegalConfiguration,
        4 => Refusal::NoMemory,
        5 => Refusal::Empty,
        6 => Refusal::Misaligned,
        7 => Refusal::Wraps,
        8 => Refusal::IpaRange,
        9 => Refusal::PaRange,
        10 => Refusal::BadAttributes,
        11 => Refusal::Denied,
        _ => return Err(WireError::Refusal(code)),
    })
}
