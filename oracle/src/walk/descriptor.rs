//! Descriptor types and their address fields.

use super::Stage2;
use super::configuration::{FINAL_LEVEL, Shape};
use crate::arch::Granule;

/// What a descriptor is, and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A Translation fault.
    Invalid,
    /// A table.
    Table {
        /// Its physical address.
        next: u64,
    },
    /// A block or page.
    Leaf {
        /// Its physical address.
        pa: u64,
    },
}

/// Bits 47:0, the part of an address that its descriptor holds in place.
const IN_PLACE: u64 = (1 << 48) - 1;

impl Shape {
    /// AArch64.BlockDescSupported. FEAT_LPA is what allows 64K blocks at level 1,
    /// whatever the output size; DS is what allows the highest 4K and 16K blocks.
    const fn has_blocks(&self, level: i8) -> bool {
        match (self.granule, level) {
            (Granule::K4, 0) | (Granule::K16, 1) => self.ds,
            (Granule::K64, 1) => self.lpa,
            (Granule::K4, 1 | 2) | (Granule::K16 | Granule::K64, 2) => true,
            _ => false,
        }
    }

    /// Levels that exist: 4K alone has level -1, 64K has no level 0.
    const fn has_level(&self, level: i8) -> bool {
        let highest = match self.granule {
            Granule::K4 => -1,
            Granule::K16 => 0,
            Granule::K64 => 1,
        };
        highest <= level && level <= FINAL_LEVEL
    }

    /// AArch64.LeafBase, AArch64.NextTableBase: the address field above `lsb`.
    const fn address(&self, descriptor: u64, lsb: u8) -> u64 {
        let low = descriptor & IN_PLACE & (u64::MAX << lsb);
        let high = if self.ds {
            (descriptor >> 8 & 0b11) << 2 | descriptor >> 48 & 0b11
        } else if self.lpa && matches!(self.granule, Granule::K64) {
            descriptor >> 12 & 0b1111
        } else {
            0
        };
        high << 48 | low
    }

    /// AArch64.DecodeDescriptorType. A table is never found at the final level.
    #[inline]
    pub(super) const fn entry(&self, level: i8, descriptor: u64) -> Entry {
        let final_level = level == FINAL_LEVEL;
        match (descriptor & 0b11, final_level) {
            (0b11, false) => Entry::Table {
                next: self.address(descriptor, self.granule.bits()),
            },
            (0b11, true) => Entry::Leaf {
                pa: self.address(descriptor, self.granule.bits()),
            },
            (0b01, false) if self.has_blocks(level) => Entry::Leaf {
                pa: self.address(descriptor, self.lsb(level)),
            },
            _ => Entry::Invalid,
        }
    }

    /// AArch64.ContiguousBit, ContiguousSize: binary logarithm of the entries in a
    /// contiguous region, where the bit acts at this level and is set.
    pub(super) const fn contiguous_bits(&self, level: i8, descriptor: u64) -> Option<u8> {
        if descriptor >> 52 & 1 == 0 {
            return None;
        }
        match (self.granule, level) {
            (Granule::K4, 1..=3) => Some(4),
            (Granule::K16, 2) | (Granule::K64, 2 | 3) => Some(5),
            (Granule::K16, 3) => Some(7),
            _ => None,
        }
    }
}

impl Stage2 {
    /// Type and address of a descriptor of `level`. It checks neither the address nor
    /// the attributes. A level that the granule does not have holds nothing but
    /// invalid entries.
    pub fn entry(&self, level: i8, descriptor: u64) -> Entry {
        if self.shape.has_level(level) {
            self.shape.entry(level, descriptor)
        } else {
            Entry::Invalid
        }
    }

    /// The bytes of IPA space that an entry of `level` covers; 0 for a level that the
    /// granule does not have.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        if self.shape.has_level(level) {
            1 << self.shape.lsb(level)
        } else {
            0
        }
    }

    /// Entries of one table.
    pub fn entries_per_table(&self) -> u32 {
        1 << self.shape.stride()
    }
}
