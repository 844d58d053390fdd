//! Permissions and memory type in one byte, for operations and outcomes alike.
//!
//! | bit | meaning |
//! |---|---|
//! | 1, 2 | read, write |
//! | 4, 32, 64 | execution at both ELs, at EL1 alone, at EL0 alone; one of them at most |
//! | 8 | device memory |
//! | 128 | the other type of the kind: non-cacheable, Device-nGnRnE |

use crate::{Execute, MemoryType, Prot};

const READ: u8 = 1;
const WRITE: u8 = 2;
const EXECUTE: u8 = 4;
const DEVICE: u8 = 8;
const EXECUTE_EL1: u8 = 32;
const EXECUTE_EL0: u8 = 64;
const OTHER: u8 = 128;

/// The bit that no attribute has.
pub(super) const SPARE: u8 = 16;

pub(super) fn prot_bits(prot: Prot) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let execute = match prot.execute {
        Execute::Never => 0,
        Execute::Both => EXECUTE,
        Execute::El1 => EXECUTE_EL1,
        Execute::El0 => EXECUTE_EL0,
    };
    flag(prot.read, READ) | flag(prot.write, WRITE) | execute
}

pub(super) fn memory_bits(memory: MemoryType) -> u8 {
    match memory {
        MemoryType::Normal => 0,
        MemoryType::Device => DEVICE,
        MemoryType::NonCacheable => OTHER,
        MemoryType::DeviceStrict => DEVICE | OTHER,
    }
}

/// The permissions in a byte. Several execute bits are one of them here, which the
/// comparison with its encoding refuses.
pub(super) fn prot(bits: u8) -> Prot {
    Prot {
        read: bits & READ != 0,
        write: bits & WRITE != 0,
        execute: match bits & (EXECUTE | EXECUTE_EL1 | EXECUTE_EL0) {
            0 => Execute::Never,
            EXECUTE_EL1 => Execute::El1,
            EXECUTE_EL0 => Execute::El0,
            _ => Execute::Both,
        },
    }
}

pub(super) fn memory(bits: u8) -> MemoryType {
    match (bits & DEVICE != 0, bits & OTHER != 0) {
        (false, false) => MemoryType::Normal,
        (true, false) => MemoryType::Device,
        (false, true) => MemoryType::NonCacheable,
        (true, true) => MemoryType::DeviceStrict,
    }
}
