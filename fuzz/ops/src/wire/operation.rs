//! One operation, 32 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | tag: 1 create, 2 map, 3 unmap, 4 free, 5 access, 6 fail |
//! | 1 | index of the VM |
//! | 2 | map: 1 read, 2 write, 4 execute, 8 device, 16 pages only; access: 0 read, 1 write, 2 execute |
//! | 4 | fail: allocations that still succeed, u32 |
//! | 8 | IPA |
//! | 16 | PA |
//! | 24 | size |
//!
//! What an operation does not have is zero.

use super::{WireError, canonical, put, u32_at, u64_at};
use crate::{AccessKind, MemoryType, Operation, Prot, Vm};

/// Length of an operation in bytes.
pub const OPERATION_BYTES: usize = 32;

const CREATE: u8 = 1;
const MAP: u8 = 2;
const UNMAP: u8 = 3;
const FREE: u8 = 4;
const ACCESS: u8 = 5;
const FAIL: u8 = 6;

const READ: u8 = 1;
const WRITE: u8 = 2;
const EXECUTE: u8 = 4;
const DEVICE: u8 = 8;
const PAGES_ONLY: u8 = 16;

/// The operation as bytes.
#[must_use]
pub fn encode_operation(operation: &Operation) -> [u8; OPERATION_BYTES] {
    match *operation {
        Operation::Create { vm } => record(CREATE, vm, 0, [0; 3]),
        Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot,
            memory,
            pages_only,
        } => record(
            MAP,
            vm,
            map_flags(prot, memory, pages_only),
            [ipa, pa, size],
        ),
        Operation::Unmap { vm, ipa, size } => record(UNMAP, vm, 0, [ipa, 0, size]),
        Operation::Free { vm } => record(FREE, vm, 0, [0; 3]),
        Operation::Access { vm, ipa, kind } => record(ACCESS, vm, access_code(kind), [ipa, 0, 0]),
        Operation::Fail { after } => {
            let mut bytes = record(FAIL, Vm::A, 0, [0; 3]);
            put(&mut bytes, 4, u32::from(after).to_le_bytes());
            bytes
        }
    }
}

/// The operation of these bytes.
///
/// # Errors
/// `Vm`, `Operation`, `Access`, `Reserved`.
pub fn decode_operation(bytes: &[u8; OPERATION_BYTES]) -> Result<Operation, WireError> {
    let vm = Vm::new(bytes[1]).ok_or(WireError::Vm(bytes[1]))?;
    let flags = bytes[2];
    let [ipa, pa, size] = [8, 16, 24].map(|at| u64_at(bytes, at));
    let operation = match bytes[0] {
        CREATE => Operation::Create { vm },
        MAP => Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot: Prot {
                read: flags & READ != 0,
                write: flags & WRITE != 0,
                execute: flags & EXECUTE != 0,
            },
            memory: if flags & DEVICE != 0 {
                MemoryType::Device
            } else {
                MemoryType::Normal
            },
            pages_only: flags & PAGES_ONLY != 0,
        },
        UNMAP => Operation::Unmap { vm, ipa, size },
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

fn record(tag: u8, vm: Vm, flags: u8, words: [u64; 3]) -> [u8; OPERATION_BYTES] {
    let mut bytes = [0; OPERATION_BYTES];
    bytes[0] = tag;
    // The VM's VMID is its index plus one, and the index is below 4.
    bytes[1] = vm.vmid().to_le_bytes()[0] - 1;
    bytes[2] = flags;
    put(&mut bytes, 8, words[0].to_le_bytes());
    put(&mut bytes, 16, words[1].to_le_bytes());
    put(&mut bytes, 24, words[2].to_le_bytes());
    bytes
}

fn map_flags(prot: Prot, memory: MemoryType, pages_only: bool) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    flag(prot.read, READ)
        | flag(prot.write, WRITE)
        | flag(prot.execute, EXECUTE)
        | flag(memory == MemoryType::Device, DEVICE)
        | flag(pages_only, PAGES_ONLY)
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
