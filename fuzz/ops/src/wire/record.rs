//! One event with its CPU, 32 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | tag: 1 store, 2 zero, 3 TLBI, 4 barrier, 5 cache, 6 VTCR, 7 VTTBR, 8 allocate, 9 allocation failed, 10 release, 11 exchange, 12 instruction caches, 13 TCR, 14 TTBR0, 15 MAIR, 16 dirty |
//! | 1 | CPU |
//! | 2 | number of the instruction (TLBI, barrier, cache), from 1 on in the order of its `ALL`; order (8, 9, 10) |
//! | 3 | store: 1 for a store-release; allocation failed: 1 for an injected failure |
//! | 8 | address, operand, register value |
//! | 16 | store, exchange: the old value; zero, dirty: the length; cache: the length less one, modulo 2^64 |
//! | 24 | store, exchange: the new value |

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
const EXCHANGE: u8 = 11;
const INSTRUCTION_CACHES: u8 = 12;
const WRITE_TCR: u8 = 13;
const WRITE_TTBR0: u8 = 14;
const WRITE_MAIR: u8 = 15;
const DIRTY: u8 = 16;

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
        Event::Exchange { at, old, new } => (EXCHANGE, 0, false, [at, old, new]),
        Event::Zero { at, bytes } => (ZERO, 0, false, [at, bytes, 0]),
        Event::Tlbi { operation, operand } => (TLBI, operation as u8 + 1, false, [operand, 0, 0]),
        Event::Barrier(barrier) => (BARRIER, barrier as u8 + 1, false, [0; 3]),
        Event::Cache {
            operation,
            at,
            bytes,
        } => (
            CACHE,
            operation as u8 + 1,
            false,
            [at, bytes.wrapping_sub(1), 0],
        ),
        Event::InstructionCaches => (INSTRUCTION_CACHES, 0, false, [0; 3]),
        Event::WriteVtcr(value) => (WRITE_VTCR, 0, false, [value, 0, 0]),
        Event::WriteVttbr(value) => (WRITE_VTTBR, 0, false, [value, 0, 0]),
        Event::WriteTcr(value) => (WRITE_TCR, 0, false, [value, 0, 0]),
        Event::WriteTtbr0(value) => (WRITE_TTBR0, 0, false, [value, 0, 0]),
        Event::WriteMair(value) => (WRITE_MAIR, 0, false, [value, 0, 0]),
        Event::Dirty { ipa, bytes } => (DIRTY, 0, false, [ipa, bytes, 0]),
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
        EXCHANGE => Event::Exchange {
            at: a,
            old: b,
            new: c,
        },
        ZERO => Event::Zero { at: a, bytes: b },
        TLBI => Event::Tlbi {
            operation: instruction(&Tlbi::ALL, sub)?,
            operand: a,
        },
        BARRIER => Event::Barrier(instruction(&Barrier::ALL, sub)?),
        CACHE => Event::Cache {
            operation: instruction(&CacheOperation::ALL, sub)?,
            at: a,
            bytes: b.wrapping_add(1),
        },
        INSTRUCTION_CACHES => Event::InstructionCaches,
        WRITE_VTCR => Event::WriteVtcr(a),
        WRITE_VTTBR => Event::WriteVttbr(a),
        WRITE_TCR => Event::WriteTcr(a),
        WRITE_TTBR0 => Event::WriteTtbr0(a),
        WRITE_MAIR => Event::WriteMair(a),
        DIRTY => Event::Dirty { ipa: a, bytes: b },
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

/// The instruction of this number, among all of its kind in the order of their
/// numbers.
fn instruction<T: Copy>(all: &[T], number: u8) -> Result<T, WireError> {
    let index = number.checked_sub(1).map(usize::from);
    let instruction = index.and_then(|index| all.get(index));
    instruction.copied().ok_or(WireError::Instruction(number))
}
