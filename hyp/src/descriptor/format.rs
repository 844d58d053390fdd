//! Where one address space's descriptors hold what: address bits by granule and
//! DS, permissions and memory types by features.

use super::attributes::{
    Attributes, AttributesError, CONTIGUOUS, MemoryType, Permissions, Prot, SH_INNER, check_prot,
};
use super::{Descriptor, TABLE_OR_PAGE, VALID};
use crate::addr::Pa;
use crate::geometry::{AddressFormat, Features, Geometry, Level};

/// How the descriptors of one address space hold addresses and attributes.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Address bits that stand in their own place.
    in_place: u64,
    /// The bits that hold the others, and how far below their place.
    elsewhere: u64,
    displacement: u8,
    ds: bool,
    hardware_dirty: bool,
    features: Features,
}

impl Format {
    /// The format that a geometry asks for.
    #[must_use]
    pub const fn new(geometry: &Geometry) -> Format {
        let shape = geometry.shape();
        let (in_place, elsewhere, displacement) = match shape.address_format() {
            AddressFormat::Bits48 => (48, 0, 0),
            AddressFormat::Lpa => (48, 0b1111 << 12, 48 - 12),
            AddressFormat::Lpa2 => (50, 0b11 << 8, 50 - 8),
        };
        Format {
            in_place: ((1 << in_place) - 1) & !(shape.granule().bytes() - 1),
            elsewhere,
            displacement,
            ds: matches!(shape.address_format(), AddressFormat::Lpa2),
            hardware_dirty: geometry.hardware_dirty(),
            features: *geometry.features(),
        }
    }

    /// The descriptor of a table at `next`.
    #[inline]
    #[must_use]
    pub const fn table(&self, next: Pa) -> Descriptor {
        Descriptor(self.place(next) | VALID | TABLE_OR_PAGE)
    }

    /// The descriptor of a leaf at `level` that maps to `pa`.
    #[inline]
    #[must_use]
    pub fn leaf(&self, level: Level, pa: Pa, attributes: Attributes) -> Descriptor {
        let kind = if level == Level::PAGE {
            VALID | TABLE_OR_PAGE
        } else {
            VALID
        };
        Descriptor(self.place(pa) | attributes.0 | kind)
    }

    /// The address that a table or leaf holds.
    #[inline]
    #[must_use]
    pub const fn address(&self, descriptor: Descriptor) -> Pa {
        let low = descriptor.0 & self.in_place;
        let high = (descriptor.0 & self.elsewhere) << self.displacement;
        Pa::new(low | high)
    }

    /// The attributes of a leaf, with its access flag and what hardware recorded,
    /// without its contiguous hint.
    #[inline]
    #[must_use]
    pub const fn attributes(&self, leaf: Descriptor) -> Attributes {
        let other = self.in_place | self.elsewhere | VALID | TABLE_OR_PAGE | CONTIGUOUS;
        Attributes(leaf.0 & !other)
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

    /// An address in a descriptor. Bits of a block below its size are zero, since
    /// its address is aligned to it. The question of the format stays the same
    /// throughout a loop over entries, which the compiler then asks once.
    #[inline]
    const fn place(&self, pa: Pa) -> u64 {
        let low = pa.raw() & self.in_place;
        if self.elsewhere == 0 {
            low
        } else {
            low | pa.raw() >> self.displacement & self.elsewhere
        }
    }
}
