//! Where a Stage-2's descriptors hold what: addresses as in every regime, permissions
//! and memory types by features.

use super::attributes::{
    Attributes, AttributesError, MemoryType, Permissions, Prot, SH_INNER, check_prot,
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

    /// The bits for permissions that were checked.
    #[must_use]
    pub const fn permissions(&self, prot: Prot) -> Permissions {
        Permissions::new(self, prot)
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
