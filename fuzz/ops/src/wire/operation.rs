//! One operation, 32 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | tag: 1 create, 2 map, 3 unmap, 4 free, 5 access, 6 fail, 7 range, 8 protect, 9 annotate, 10 relax, 11 make-young, 12 leaf, 13 build, 14 link, 15 discard, 16 conflict |
//! | 1 | index of the VM |
//! | 2 | map, build, protect, relax: permissions; map, build: memory type and 16 for pages only; access: 0 read, 1 write, 2 execute |
//! | 3 | map, build: software bits; range: number of the action, from 0 on in the order of `Action::ALL`; annotate: owner |
//! | 4 | fail: allocations that still succeed, u32; build: level, signed, 1 byte |
//! | 8 | IPA |
//! | 16 | PA |
//! | 24 | size |
//!
//! Permissions and memory type: 1 read, 2 write, 4 execute at both ELs, 32 at EL1
//! alone, 64 at EL0 alone, 8 device, 128 the other type of the kind (non-cacheable,
//! Device-nGnRnE). What an operation does not have is zero.

use super::attributes::{SPARE as PAGES_ONLY, memory, memory_bits, prot, prot_bits};
use super::{WireError, canonical, put, u32_at, u64_at};
use crate::{AccessKind, Action, MemoryType, Operation, Prot, Vm};

/// Length of an operation in bytes.
pub const OPERATION_BYTES: usize = 32;

const CREATE: u8 = 1;
const MAP: u8 = 2;
const UNMAP: u8 = 3;
const FREE: u8 = 4;
const ACCESS: u8 = 5;
const FAIL: u8 = 6;
const RANGE: u8 = 7;
const PROTECT: u8 = 8;
const ANNOTATE: u8 = 9;
const RELAX: u8 = 10;
const MAKE_YOUNG: u8 = 11;
const LEAF: u8 = 12;
const BUILD: u8 = 13;
const LINK: u8 = 14;
const DISCARD: u8 = 15;
const CONFLICT: u8 = 16;

/// The operation as bytes.
#[must_use]
pub fn encode_operation(operation: &Operation) -> [u8; OPERATION_BYTES] {
    match *operation {
        Operation::Create { vm } => plain(CREATE, vm),
        Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot,
            memory,
            software,
            pages_only,
        } => {
            let bits = map_bits(prot, memory, pages_only);
            record(MAP, vm, [bits, software], [ipa, pa, size])
        }
        Operation::Unmap { vm, ipa, size } => record(UNMAP, vm, [0, 0], [ipa, 0, size]),
        Operation::Range {
            vm,
            action,
            ipa,
            size,
        } => record(RANGE, vm, [0, action as u8], [ipa, 0, size]),
        Operation::Protect {
            vm,
            ipa,
            size,
            prot,
        } => record(PROTECT, vm, [prot_bits(prot), 0], [ipa, 0, size]),
        Operation::Annotate {
            vm,
            ipa,
            size,
            owner,
        } => record(ANNOTATE, vm, [0, owner], [ipa, 0, size]),
        Operation::Relax { vm, ipa, prot } => record(RELAX, vm, [prot_bits(prot), 0], [ipa, 0, 0]),
        Operation::MakeYoung { vm, ipa } => record(MAKE_YOUNG, vm, [0, 0], [ipa, 0, 0]),
        Operation::Leaf { vm, ipa } => record(LEAF, vm, [0, 0], [ipa, 0, 0]),
        Operation::Build {
            vm,
            ipa,
            pa,
            level,
            prot,
            memory,
            software,
            pages_only,
        } => {
            let bits = map_bits(prot, memory, pages_only);
            let level = u32::from(level.cast_unsigned());
            with_number(record(BUILD, vm, [bits, software], [ipa, pa, 0]), level)
        }
        Operation::Link { vm } => plain(LINK, vm),
        Operation::Discard { vm } => plain(DISCARD, vm),
        Operation::Conflict { vm } => plain(CONFLICT, vm),
        Operation::Free { vm } => plain(FREE, vm),
        Operation::Access { vm, ipa, kind } => {
            record(ACCESS, vm, [access_code(kind), 0], [ipa, 0, 0])
        }
        Operation::Fail { after } => with_number(plain(FAIL, Vm::A), after.into()),
    }
}

/// The operation of these bytes.
///
/// # Errors
/// `Vm`, `Operation`, `Action`, `Software`, `Access`, `Reserved`.
pub fn decode_operation(bytes: &[u8; OPERATION_BYTES]) -> Result<Operation, WireError> {
    let vm = Vm::new(bytes[1]).ok_or(WireError::Vm(bytes[1]))?;
    let [flags, detail] = [bytes[2], bytes[3]];
    let [ipa, pa, size] = [8, 16, 24].map(|at| u64_at(bytes, at));
    let operation = match bytes[0] {
        CREATE => Operation::Create { vm },
        MAP => Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot: prot(flags),
            memory: memory(flags),
            software: software(detail)?,
            pages_only: flags & PAGES_ONLY != 0,
        },
        UNMAP => Operation::Unmap { vm, ipa, size },
        RANGE => Operation::Range {
            vm,
            action: action(detail)?,
            ipa,
            size,
        },
        PROTECT => Operation::Protect {
            vm,
            ipa,
            size,
            prot: prot(flags),
        },
        ANNOTATE => Operation::Annotate {
            vm,
            ipa,
            size,
            owner: detail,
        },
        RELAX => Operation::Relax {
            vm,
            ipa,
            prot: prot(flags),
        },
        MAKE_YOUNG => Operation::MakeYoung { vm, ipa },
        LEAF => Operation::Leaf { vm, ipa },
        BUILD => Operation::Build {
            vm,
            ipa,
            pa,
            level: i8::from_le_bytes([bytes[4]]),
            prot: prot(flags),
            memory: memory(flags),
            software: software(detail)?,
            pages_only: flags & PAGES_ONLY != 0,
        },
        LINK => Operation::Link { vm },
        DISCARD => Operation::Discard { vm },
        CONFLICT => Operation::Conflict { vm },
        FREE => Operation::Free { vm },
        ACCESS => Operation::Access {
            vm,
            ipa,
            kind: access_kind(flags)?,
        },
        FAIL => Operation::Fail {
            after: u16::try_from(u32_at(bytes, 4)).map_err(|_| WireError::Reserved)?,
        },
        tag => return Err(WireError::Operation(tag)),
    };
    canonical(operation, encode_operation(&operation), bytes)
}

/// An operation that has nothing but its VM.
fn plain(tag: u8, vm: Vm) -> [u8; OPERATION_BYTES] {
    record(tag, vm, [0; 2], [0; 3])
}

fn record(tag: u8, vm: Vm, details: [u8; 2], words: [u64; 3]) -> [u8; OPERATION_BYTES] {
    let mut bytes = [0; OPERATION_BYTES];
    // A narrow VMID is the index plus one, and the index is below 4.
    put(&mut bytes, 0, [tag, vm.vmid(false).to_le_bytes()[0] - 1]);
    put(&mut bytes, 2, details);
    put(&mut bytes, 8, words[0].to_le_bytes());
    put(&mut bytes, 16, words[1].to_le_bytes());
    put(&mut bytes, 24, words[2].to_le_bytes());
    bytes
}

fn with_number(mut bytes: [u8; OPERATION_BYTES], number: u32) -> [u8; OPERATION_BYTES] {
    put(&mut bytes, 4, number.to_le_bytes());
    bytes
}

fn map_bits(prot: Prot, memory: MemoryType, pages_only: bool) -> u8 {
    prot_bits(prot) | memory_bits(memory) | if pages_only { PAGES_ONLY } else { 0 }
}

fn action(number: u8) -> Result<Action, WireError> {
    let action = Action::ALL.get(usize::from(number));
    action.copied().ok_or(WireError::Action(number))
}

fn software(bits: u8) -> Result<u8, WireError> {
    if bits < 16 {
        Ok(bits)
    } else {
        Err(WireError::Software(bits))
    }
}

fn access_code(kind: AccessKind) -> u8 {
    match kind {
        AccessKind::Read => 0,
        AccessKind::Write => 1,
        AccessKind::Execute => 2,
    }
}

fn access_kind(code: u8) -> Result<AccessKind, WireError> {
    match code {
        0 => Ok(AccessKind::Read),
        1 => Ok(AccessKind::Write),
        2 => Ok(AccessKind::Execute),
        _ => Err(WireError::Access(code)),
    }
}
