//! What a leaf says beside its address: permissions, memory type, and the bits
//! that are left to software.

use super::{Descriptor, Format};

pub(super) const MEM_ATTR: u64 = 0b1111 << 2;
/// Clear for every device type, with FEAT_S2FWB and without.
pub(super) const MEM_ATTR_TYPE: u64 = 0b1100 << 2;
const S2AP_READ: u64 = 1 << 6;
pub(super) const S2AP_WRITE: u64 = 1 << 7;
pub(super) const SH_INNER: u64 = 0b11 << 8;
pub(super) const ACCESS_FLAG: u64 = 1 << 10;
/// Dirty bit modifier: hardware may set `S2AP[1]`.
pub(super) const DBM: u64 = 1 << 51;
pub(super) const CONTIGUOUS: u64 = 1 << 52;
const EXECUTE_NEVER: u64 = 0b11 << EXECUTE_NEVER_SHIFT;
const EXECUTE_NEVER_SHIFT: u32 = 53;
pub(super) const SOFTWARE: u64 = 0b1111 << SOFTWARE_SHIFT;
pub(super) const SOFTWARE_SHIFT: u32 = 55;

/// At which exception levels a guest may fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execute {
    /// At none.
    Never,
    /// At EL1 and EL0.
    Both,
    /// At EL1 only; needs FEAT_XNX.
    El1,
    /// At EL0 only; needs FEAT_XNX.
    El0,
}

impl Execute {
    /// Whether EL1 may fetch.
    #[must_use]
    pub const fn at_el1(self) -> bool {
        matches!(self, Execute::Both | Execute::El1)
    }

    /// Whether EL0 may fetch.
    #[must_use]
    pub const fn at_el0(self) -> bool {
        matches!(self, Execute::Both | Execute::El0)
    }

    const fn at(el1: bool, el0: bool) -> Execute {
        match (el1, el0) {
            (true, true) => Execute::Both,
            (true, false) => Execute::El1,
            (false, true) => Execute::El0,
            (false, false) => Execute::Never,
        }
    }
}

/// What a guest may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches.
    pub execute: Execute,
}

impl Prot {
    /// What either permits.
    #[must_use]
    pub const fn union(self, other: Prot) -> Prot {
        Prot {
            read: self.read || other.read,
            write: self.write || other.write,
            execute: Execute::at(
                self.execute.at_el1() || other.execute.at_el1(),
                self.execute.at_el0() || other.execute.at_el0(),
            ),
        }
    }

    /// Whether it permits to fetch at an exception level at which `before` does
    /// not.
    #[must_use]
    pub const fn adds_execution_to(self, before: Prot) -> bool {
        self.execute.at_el1() && !before.execute.at_el1()
            || self.execute.at_el0() && !before.execute.at_el0()
    }

    /// What a leaf permits (AArch64.S2DirectBasePermissions).
    pub(super) const fn of(leaf: Descriptor) -> Prot {
        let execute = match leaf.0 >> EXECUTE_NEVER_SHIFT & 0b11 {
            0b00 => Execute::Both,
            0b01 => Execute::El0,
            0b10 => Execute::Never,
            _ => Execute::El1,
        };
        Prot {
            read: leaf.0 & S2AP_READ != 0,
            write: leaf.is_writable(),
            execute,
        }
    }
}

/// Memory type of a mapping. Normal memory is inner shareable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// Normal, inner and outer write-back; with FEAT_S2FWB so whatever the guest
    /// says.
    Normal,
    /// Normal, inner and outer non-cacheable.
    NonCacheable,
    /// Device-nGnRE.
    DeviceNgnre,
    /// Device-nGnRnE.
    DeviceNgnrne,
}

impl MemoryType {
    /// Whether it is a device type.
    #[must_use]
    pub const fn is_device(self) -> bool {
        matches!(self, MemoryType::DeviceNgnre | MemoryType::DeviceNgnrne)
    }

    /// The memory type of a leaf.
    pub(super) const fn of(leaf: Descriptor) -> MemoryType {
        match (leaf.0 & MEM_ATTR) >> 2 {
            0b0000 => MemoryType::DeviceNgnrne,
            0b0001 => MemoryType::DeviceNgnre,
            0b0101 => MemoryType::NonCacheable,
            _ => MemoryType::Normal,
        }
    }

    /// `MemAttr` (AArch64.S2ApplyFWBMemAttrs and S2DecodeMemAttrs, DDI 0487 K.a).
    const fn field(self, forced: bool) -> u64 {
        let encoding = match self {
            MemoryType::Normal if forced => 0b0110,
            MemoryType::Normal => 0b1111,
            MemoryType::NonCacheable => 0b0101,
            MemoryType::DeviceNgnre => 0b0001,
            MemoryType::DeviceNgnrne => 0b0000,
        };
        encoding << 2 & MEM_ATTR
    }
}

/// Why a leaf cannot have these attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributesError {
    /// Neither load nor store nor fetch is permitted.
    NothingPermitted,
    /// Fetches from a device are permitted.
    ExecutableDevice(Execute),
    /// Fetches at one exception level only, on a machine without FEAT_XNX.
    NoXnx(Execute),
    /// Bits for software that are more than 4.
    Software(u8),
}

/// The attribute bits of a leaf, all but the contiguous hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub(super) u64);

impl Attributes {
    /// The attributes for a new mapping in tables of this format, with its
    /// access flag set and no store recorded.
    ///
    /// # Errors
    /// `AttributesError`, the first in its order.
    pub const fn new(
        format: &Format,
        prot: Prot,
        memory: MemoryType,
        software: u8,
    ) -> Result<Attributes, AttributesError> {
        if let Err(error) = check_prot(format, prot, memory.is_device()) {
            return Err(error);
        }
        let Permissions(permissions) = Permissions::new(format, prot);
        let Some(software) = software_field(software) else {
            return Err(AttributesError::Software(software));
        };
        let shareability = if memory.is_device() {
            0
        } else {
            format.sh_inner()
        };
        let memory = memory.field(format.fwb()) | shareability;
        Ok(Attributes(permissions | memory | software | ACCESS_FLAG))
    }
}

/// Whether a leaf can have these permissions.
pub(super) const fn check_prot(
    format: &Format,
    prot: Prot,
    device: bool,
) -> Result<(), AttributesError> {
    let executable = !matches!(prot.execute, Execute::Never);
    if !prot.read && !prot.write && !executable {
        return Err(AttributesError::NothingPermitted);
    }
    if device && executable {
        return Err(AttributesError::ExecutableDevice(prot.execute));
    }
    if matches!(prot.execute, Execute::El1 | Execute::El0) && !format.xnx() {
        return Err(AttributesError::NoXnx(prot.execute));
    }
    Ok(())
}

/// The permission bits of a leaf: `S2AP`, `DBM` and `XN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permissions {
    const MASK: u64 = S2AP_READ | S2AP_WRITE | DBM | EXECUTE_NEVER;

    /// The bits of a leaf through which nothing was stored yet.
    pub(super) const fn new(format: &Format, prot: Prot) -> Permissions {
        // With VTCR_EL2.HD, DBM makes a leaf writable, and a store sets S2AP[1].
        let writable = if format.hardware_dirty() {
            DBM
        } else {
            S2AP_WRITE
        };
        let read = if prot.read { S2AP_READ } else { 0 };
        let write = if prot.write { writable } else { 0 };
        Permissions(read | write | execute_never(prot.execute))
    }

    /// A leaf with these permissions: see `Descriptor::with_permissions`.
    #[inline]
    pub(super) const fn of(self, leaf: Descriptor) -> Descriptor {
        let bits = if leaf.is_device() {
            self.0 & !EXECUTE_NEVER | execute_never(Execute::Never)
        } else {
            self.0
        };
        let record = if bits & leaf.0 & DBM != 0 {
            leaf.0 & S2AP_WRITE
        } else {
            0
        };
        Descriptor(leaf.0 & !Permissions::MASK | bits | record)
    }
}

const fn execute_never(execute: Execute) -> u64 {
    let field = match execute {
        Execute::Both => 0b00,
        Execute::El0 => 0b01,
        Execute::Never => 0b10,
        Execute::El1 => 0b11,
    };
    field << EXECUTE_NEVER_SHIFT
}

pub(super) const fn software_field(software: u8) -> Option<u64> {
    if software > 0b1111 {
        return None;
    }
    Some((software as u64) << SOFTWARE_SHIFT)
}
