//! Where a Stage-2's descriptors hold what: addresses as in every regime, permissions
//! and memory types by features.

use super::attributes::{
    Attributes, AttributesError, DBM, EXECUTE_NEVER, Execute, MemoryType, Prot, S2AP_READ,
    S2AP_WRITE, SH_INNER, check_prot, permission_bits,
};
use super::{Addresses, Descriptor};
use crate::addr::Pa;
use crate::geometry::{AddressFormat, Features, Geometry, Level};

/// How the descriptors of one address space hold addresses and attributes.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    addresses: Addresses,
    ds: bool,
    hardware_dirty: bool,
    features: Features,
}

impl Format {
    /// The format that a geometry asks for.
    #[must_use]
    pub const fn new(geometry: &Geometry) -> Format {
        let shape = geometry.shape();
        Format {
            addresses: Addresses::new(shape),
            ds: matches!(shape.address_format(), AddressFormat::Lpa2),
            hardware_dirty: geometry.hardware_dirty(),
            features: *geometry.features(),
        }
    }

    /// The descriptor of a table at `next`.
    #[inline]
    #[must_use]
    pub const fn table(&self, next: Pa) -> Descriptor {
        self.addresses.table(next)
    }

    /// The descriptor of a leaf at `level` that maps to `pa`.
    #[inline]
    #[must_use]
    pub fn leaf(&self, level: Level, pa: Pa, attributes: Attributes) -> Descriptor {
        self.addresses.leaf(level, pa, attributes.0)
    }

    /// The address that a table or leaf holds.
    #[inline]
    #[must_use]
    pub const fn address(&self, descriptor: Descriptor) -> Pa {
        self.addresses.address(descriptor)
    }

    /// The attributes of a leaf, with its access flag and what hardware recorded,
    /// without its contiguous hint.
    #[inline]
    #[must_use]
    pub const fn attributes(&self, leaf: Descriptor) -> Attributes {
        Attributes(self.addresses.attributes(leaf))
    }

    /// Whether a leaf of this memory type can have these permissions.
    ///
    /// # Errors
    /// `AttributesError`, the first in its order.
    pub const fn check_prot(&self, prot: Prot, memory: MemoryType) -> Result<(), AttributesError> {
        check_prot(self, prot, memory.is_device())
    }

    /// A leaf with other permissions; a device's gets no permission to fetch. A
    /// store that was recorded stays recorded where the new permissions still let
    /// hardware record them.
    #[inline]
    #[must_use]
    pub const fn with_prot(&self, leaf: Descriptor, prot: Prot) -> Descriptor {
        let prot = if leaf.is_device() {
            let execute = Execute::Never;
            Prot { execute, ..prot }
        } else {
            prot
        };
        let permissions = permission_bits(self, prot);
        let record = if permissions & leaf.0 & DBM != 0 {
            leaf.0 & S2AP_WRITE
        } else {
            0
        };
        let rest = leaf.0 & !(S2AP_READ | S2AP_WRITE | DBM | EXECUTE_NEVER);
        Descriptor(rest | permissions | record)
    }

    /// Shareability of normal memory. With DS it is `VTCR_EL2.SH0`, and these bits
    /// are the address's.
    pub(super) const fn sh_inner(&self) -> u64 {
        if self.ds { 0 } else { SH_INNER }
    }

    pub(super) const fn fwb(&self) -> bool {
        self.features.fwb
    }

    pub(super) const fn xnx(&self) -> bool {
        self.features.xnx
    }

    pub(super) const fn hardware_dirty(&self) -> bool {
        self.hardware_dirty
    }
}
