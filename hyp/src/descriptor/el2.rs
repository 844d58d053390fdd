//! What the leaves of EL2's own stage 1 say: the format of a regime with one range of
//! VAs and one privilege (DDI 0487 K.a, D8.3.1 and D8.4), with HCR_EL2.E2H = 0. Hyp
//! mode's is the same.
//!
//! Left out: BTI (GP), the hierarchical bits of tables, hardware's updates of access
//! flag and dirty state, the contiguous hint.

use super::attributes::{SOFTWARE, SOFTWARE_SHIFT, software_field};
use super::{Addresses, Descriptor, Execute, MemoryType, Prot};
use crate::addr::Pa;
use crate::geometry::{AddressFormat, Level};

const ATTR_INDX_SHIFT: u32 = 2;
const ATTR_INDX: u64 = 0b111 << ATTR_INDX_SHIFT;
/// `AP[1]`: RES1 where a regime has one privilege only.
const AP_1: u64 = 1 << 6;
/// `AP[2]`: stores are not permitted.
const READ_ONLY: u64 = 1 << 7;
const SH_INNER: u64 = 0b11 << 8;
const ACCESS_FLAG: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;

/// `MAIR_EL2`, or HMAIR0 and HMAIR1: from index 0 on normal write-back, Device-nGnRE,
/// normal non-cacheable, Device-nGnRnE.
pub const MAIR: u64 = 0x0044_04ff;

/// `AttrIndx`: which byte of `MAIR` means this memory type.
const fn index_of(memory: MemoryType) -> u64 {
    match memory {
        MemoryType::Normal => 0,
        MemoryType::DeviceNgnre => 1,
        MemoryType::NonCacheable => 2,
        MemoryType::DeviceNgnrne => 3,
    }
}

/// Why a leaf of EL2 cannot have these attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributesError {
    /// Loads are not permitted: there is no such leaf.
    NotReadable,
    /// Both stores and fetches are permitted.
    WritableAndExecutable,
    /// Fetches from a device are permitted.
    ExecutableDevice(Execute),
    /// Fetches at one exception level of a guest: EL2 has one execute-never bit.
    NoSuchExecute(Execute),
    /// Bits for software that are more than 4.
    Software(u8),
}

/// The attribute bits of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// The attributes of a mapping in tables of this format. Clauses E3 and E4.
    ///
    /// # Errors
    /// `AttributesError`, the first in its order.
    pub const fn new(
        format: AddressFormat,
        prot: Prot,
        memory: MemoryType,
        software: u8,
    ) -> Result<Attributes, AttributesError> {
        let permissions = match permission_bits(prot, memory.is_device()) {
            Ok(bits) => bits,
            Err(error) => return Err(error),
        };
        let Some(software) = software_field(software) else {
            return Err(AttributesError::Software(software));
        };
        // With DS it is TCR_EL2.SH0, and these bits are the address's.
        let ds = matches!(format, AddressFormat::Lpa2);
        let shareability = if memory.is_device() || ds {
            0
        } else {
            SH_INNER
        };
        let memory = index_of(memory) << ATTR_INDX_SHIFT | shareability;
        Ok(Attributes(permissions | memory | software | ACCESS_FLAG))
    }

    /// The attributes of a leaf.
    #[inline]
    #[must_use]
    pub const fn of(leaf: Descriptor, addresses: &Addresses) -> Attributes {
        Attributes(addresses.attributes(leaf))
    }

    /// The descriptor of a leaf at `level` that maps to `pa`.
    #[inline]
    #[must_use]
    pub fn leaf(self, addresses: &Addresses, level: Level, pa: Pa) -> Descriptor {
        addresses.leaf(level, pa, self.0)
    }

    /// Whether fetches are permitted.
    #[must_use]
    pub const fn is_executable(self) -> bool {
        self.0 & EXECUTE_NEVER == 0
    }

    /// What is permitted. Fetches are EL2's, which `Execute::Both` stands for.
    #[must_use]
    pub const fn prot(self) -> Prot {
        Prot {
            read: true,
            write: self.0 & READ_ONLY == 0,
            execute: if self.is_executable() {
                Execute::Both
            } else {
                Execute::Never
            },
        }
    }

    /// The memory type.
    #[must_use]
    pub const fn memory(self) -> MemoryType {
        match (self.0 & ATTR_INDX) >> ATTR_INDX_SHIFT {
            0 => MemoryType::Normal,
            1 => MemoryType::DeviceNgnre,
            2 => MemoryType::NonCacheable,
            // Bytes of `MAIR` from 3 on are zero, which means this type.
            _ => MemoryType::DeviceNgnrne,
        }
    }

    /// The 4 bits that hardware leaves to software.
    #[must_use]
    pub const fn software(self) -> u8 {
        // Four bits, by the mask.
        ((self.0 & SOFTWARE) >> SOFTWARE_SHIFT).to_le_bytes()[0]
    }
}

const fn permission_bits(prot: Prot, device: bool) -> Result<u64, AttributesError> {
    let executable = !matches!(prot.execute, Execute::Never);
    if !prot.read {
        return Err(AttributesError::NotReadable);
    }
    if prot.write && executable {
        return Err(AttributesError::WritableAndExecutable);
    }
    if device && executable {
        return Err(AttributesError::ExecutableDevice(prot.execute));
    }
    if matches!(prot.execute, Execute::El1 | Execute::El0) {
        return Err(AttributesError::NoSuchExecute(prot.execute));
    }
    let write = if prot.write { 0 } else { READ_ONLY };
    let execute = if executable { 0 } else { EXECUTE_NEVER };
    Ok(AP_1 | write | execute)
}
