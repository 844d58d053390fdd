//! One event with its CPU, 32 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | tag: 1 store, 2 zero, 3 TLBI, 4 barrier, 5 cache, 6 VTCR, 7 VTTBR, 8 allocate, 9 allocation failed, 10 release |
//! | 1 | CPU |
//! | 2 | number of the instruction (TLBI, barrier, cache); order (8, 9, 10) |
//! | 3 | store: 1 for a store-release; allocation failed: 1 for an injected failure |
//! | 8 | address, operand, register value |
//! | 16 | store: the old value; zero: the length |
//! | 24 | store: the new value |

use super::{WireError, canonical, put, u64_at};
use crate::{Barrier, CacheOperation, Event, Record, Tlbi};

/// Length of a record in bytes.
pub const RECORD_BYTES: usize = 32;

const STORE: u8 = 1;
const ZERO: u8 = 2;
const TLBI: u8 = 3;
const BARRIER: u8 = 4;
const CACHE: u8 = 5;
const WRITE_VTCR: u8 = 6;
const WRITE_VTTBR: u8 = 7;
const ALLOCATE: u8 = 8;
const ALLOCATE_FAILED: u8 = 9;
const RELEASE: u8 = 10;

/// The record as bytes.
#[must_use]
pub fn encode_record(record: &Record) -> [u8; RECORD_BYTES] {
    let (tag, sub, flag, words) = match record.event {
        Event::Store {
            at,
            old,
            new,
            release,
        } => (STORE, 0, release, [at, old, new]),
        Event::Zero { at, bytes } => (ZERO, 0, false, [at, bytes, 0]),
        Event::Tlbi { operation, operand } => {
            (TLBI, tlbi_number(operation), false, [operand, 0, 0])
        }
        Event::Barrier(barrier) => (BARRIER, barrier_number(barrier), false, [0; 3]),
        Event::Cache { operation, at } => (CACHE, cache_number(operation), false, [at, 0, 0]),
        Event::WriteVtcr(value) => (WRITE_VTCR, 0, false, [value, 0, 0]),
        Event::WriteVttbr(value) => (WRITE_VTTBR, 0, false, [value, 0, 0]),
        Event::Allocate { page, order } => (ALLOCATE, order, false, [page, 0, 0]),
        Event::AllocateFailed { order, injected } => (ALLOCATE_FAILED, order, injected, [0; 3]),
        Event::Release { page, order } => (RELEASE, order, false, [page, 0, 0]),
    };
    let mut bytes = [0; RECORD_BYTES];
    put(&mut bytes, 0, [tag, record.cpu, sub, u8::from(flag)]);
    put(&mut bytes, 8, words[0].to_le_bytes());
    put(&mut bytes, 16, words[1].to_le_bytes());
    put(&mut bytes, 24, words[2].to_le_bytes());
    bytes
}

/// The record of these bytes.
///
/// # Errors
/// `Event`, `Instruction`, `Reserved`.
pub fn decode_record(bytes: &[u8; RECORD_BYTES]) -> Result<Record, WireError> {
    let sub = bytes[2];
    let flag = bytes[3] != 0;
    let [a, b, c] = [8, 16, 24].map(|at| u64_at(bytes, at));
    let event = match bytes[0] {
        STORE => Event::Store {
            at: a,
            old: b,
            new: c,
            release: flag,
        },
        ZERO => Event::Zero { at: a, bytes: b },
        TLBI => Event::Tlbi {
            operation: tlbi(sub)?,
            operand: a,
        },
        BARRIER => Event::Barrier(barrier(sub)?),
        CACHE => Event::Cache {
            operation: cache(sub)?,
            at: a,
        },
        WRITE_VTCR => Event::WriteVtcr(a),
        WRITE_VTTBR => Event::WriteVttbr(a),
        ALLOCATE => Event::Allocate {
            page: a,
            order: sub,
        },
        ALLOCATE_FAILED => Event::AllocateFailed {
            order: sub,
            injected: flag,
        },
        RELEASE => Event::Release {
            page: a,
            order: sub,
        },
        tag => return Err(WireError::Event(tag)),
    };
    let record = Record {
        cpu: bytes[1],
        event,
    };
    canonical(record, encode_record(&record), bytes)
}

fn tlbi_number(operation: Tlbi) -> u8 {
    match operation {
        Tlbi::Ipas2e1is => 1,
        Tlbi::Vmalle1is => 2,
        Tlbi::Vmalls12e1is => 3,
    }
}

fn tlbi(number: u8) -> Result<Tlbi, WireError> {
    match number {
        1 => Ok(Tlbi::Ipas2e1is),
        2 => Ok(Tlbi::Vmalle1is),
        3 => Ok(Tlbi::Vmalls12e1is),
        _ => Err(WireError::Instruction(number)),
    }
}

fn barrier_number(barrier: Barrier) -> u8 {
    match barrier {
        Barrier::DsbIshst => 1,
        Barrier::DsbIsh => 2,
        Barrier::Isb => 3,
    }
}

fn barrier(number: u8) -> Result<Barrier, WireError> {
    match number {
        1 => Ok(Barrier::DsbIshst),
        2 => Ok(Barrier::DsbIsh),
        3 => Ok(Barrier::Isb),
        _ => Err(WireError::Instruction(number)),
    }
}

fn cache_number(operation: CacheOperation) -> u8 {
    match operation {
        CacheOperation::Cvac => 1,
    }
}

fn cache(number: u8) -> Result<CacheOperation, WireError> {
    match number {
        1 => Ok(CacheOperation::Cvac),
        _ => Err(WireError::Instruction(number)),
    }
}
