//! Where descriptors hold addresses, the same in every regime: what granule and DS
//! decide.

use super::{CONTIGUOUS, Descriptor, TABLE_OR_PAGE, VALID};
use crate::addr::Pa;
use crate::geometry::{AddressFormat, Level, Shape};

/// Where the descriptors of one address space hold addresses.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Address bits that stand in their own place.
    in_place: u64,
    /// The bits that hold the others, and how far below their place.
    elsewhere: u64,
    displacement: u8,
}

impl Addresses {
    /// As tables of this shape hold them.
    #[must_use]
    pub const fn new(shape: &Shape) -> Addresses {
        let (in_place, elsewhere, displacement) = match shape.address_format() {
            AddressFormat::Bits48 => (48, 0, 0),
            AddressFormat::Lpa => (48, 0b1111 << 12, 48 - 12),
            AddressFormat::Lpa2 => (50, 0b11 << 8, 50 - 8),
        };
        Addresses {
            in_place: ((1 << in_place) - 1) & !(shape.granule().bytes() - 1),
            elsewhere,
            displacement,
        }
    }

    /// The descriptor of a table at `next`, without attributes.
    #[inline]
    #[must_use]
    pub const fn table(&self, next: Pa) -> Descriptor {
        Descriptor(self.place(next) | VALID | TABLE_OR_PAGE)
    }

    /// The descriptor of a leaf at `level` that maps to `pa`, with the attribute
    /// bits that its regime gives it.
    #[inline]
    pub(crate) fn leaf(&self, level: Level, pa: Pa, attributes: u64) -> Descriptor {
        let kind = if level == Level::PAGE {
            VALID | TABLE_OR_PAGE
        } else {
            VALID
        };
        Descriptor(self.place(pa) | attributes | kind)
    }

    /// The address that a table or leaf holds.
    #[inline]
    #[must_use]
    pub const fn address(&self, descriptor: Descriptor) -> Pa {
        let low = descriptor.0 & self.in_place;
        let high = (descriptor.0 & self.elsewhere) << self.displacement;
        Pa::new(low | high)
    }

    /// All bits of a leaf but its address, its kind and the contiguous hint.
    #[inline]
    pub(crate) const fn attributes(&self, leaf: Descriptor) -> u64 {
        leaf.0 & !(self.in_place | self.elsewhere | VALID | TABLE_OR_PAGE | CONTIGUOUS)
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
