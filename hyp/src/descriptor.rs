//! Stage-2 descriptors, bit by bit: here and nowhere else in this crate.
//!
//! Format VMSAv8-64, DDI 0487 K.a D8.3, with DS = 0. Left out in this version:
//! execute-never per EL, FWB, dirty state, the contiguous hint, software bits.

use crate::addr::Pa;
use crate::geometry::{Geometry, Level};

const VALID: u64 = 1 << 0;
/// Bit 1: a table above level 3, a page at level 3; clear for a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
const MEM_ATTR_NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
const MEM_ATTR_DEVICE_NGNRE: u64 = 0b0001 << 2;
const S2AP_READ: u64 = 1 << 6;
const S2AP_WRITE: u64 = 1 << 7;
const SH_INNER: u64 = 0b11 << 8;
const ACCESS_FLAG: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 0b10 << 53;

/// What a guest may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches at EL1 and EL0.
    pub execute: bool,
}

/// Memory type of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// Normal, inner and outer write-back, inner shareable.
    Normal,
    /// Device-nGnRE.
    Device,
}

/// What a leaf says beside its address: the attribute bits of its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// The attributes for a mapping, or `None` where permissions and memory type
    /// exclude each other or nothing is permitted.
    #[must_use]
    pub const fn new(prot: Prot, memory: MemoryType) -> Option<Attributes> {
        let device = matches!(memory, MemoryType::Device);
        let useless = !prot.read && !prot.write && !prot.execute;
        if useless || (device && prot.execute) {
            return None;
        }
        let mut bits = if device {
            MEM_ATTR_DEVICE_NGNRE
        } else {
            MEM_ATTR_NORMAL_WRITE_BACK | SH_INNER
        };
        bits |= ACCESS_FLAG;
        if prot.read {
            bits |= S2AP_READ;
        }
        if prot.write {
            bits |= S2AP_WRITE;
        }
        if !prot.execute {
            bits |= EXECUTE_NEVER;
        }
        Some(Attributes(bits))
    }
}

/// What a descriptor is, at the level where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Translates nothing.
    Invalid,
    /// Leads to a table of the next level.
    Table,
    /// A block or page.
    Leaf,
}

/// A descriptor as it stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Descriptor(u64);

impl Descriptor {
    /// The descriptor that breaks an entry.
    pub const INVALID: Descriptor = Descriptor(0);

    /// The descriptor of these 8 bytes.
    #[inline]
    #[must_use]
    pub const fn from_raw(raw: u64) -> Descriptor {
        Descriptor(raw)
    }

    /// Its 8 bytes.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether bit 0 says that it translates something. (At level 3 one encoding
    /// with this bit is reserved; nothing here makes it.)
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & VALID != 0
    }

    /// What it is at `level` (DecodeDescriptorType; 0b01 at level 3 is reserved
    /// and invalid).
    #[inline]
    #[must_use]
    pub fn kind(self, level: Level) -> Kind {
        match (self.0 & (VALID | TABLE_OR_PAGE), level == Level::PAGE) {
            (0b11, true) | (0b01, false) => Kind::Leaf,
            (0b11, false) => Kind::Table,
            _ => Kind::Invalid,
        }
    }
}

/// How the descriptors of one address space hold addresses.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    granule_bytes: u64,
    wide_output: bool,
}

impl Format {
    /// The format that a geometry asks for.
    #[must_use]
    pub const fn new(geometry: &Geometry) -> Format {
        Format {
            granule_bytes: geometry.granule().bytes(),
            wide_output: geometry.has_wide_output(),
        }
    }

    /// The descriptor of a table at `next`.
    #[must_use]
    pub const fn table(self, next: Pa) -> Descriptor {
        Descriptor(self.place(next) | VALID | TABLE_OR_PAGE)
    }

    /// The descriptor of a leaf at `level` that maps to `pa`.
    #[inline]
    #[must_use]
    pub fn leaf(self, level: Level, pa: Pa, attributes: Attributes) -> Descriptor {
        let kind = if level == Level::PAGE {
            VALID | TABLE_OR_PAGE
        } else {
            VALID
        };
        Descriptor(self.place(pa) | attributes.0 | kind)
    }

    /// The address that a valid descriptor holds.
    #[inline]
    #[must_use]
    pub const fn address(self, descriptor: Descriptor) -> Pa {
        let low = descriptor.0 & self.address_field();
        let high = if self.wide_output {
            descriptor.0 >> 12 & 0xf
        } else {
            0
        };
        Pa::new(low | high << 48)
    }

    /// The attributes of a leaf.
    #[must_use]
    pub const fn attributes(self, leaf: Descriptor) -> Attributes {
        let high_field = if self.wide_output { 0xf << 12 } else { 0 };
        Attributes(leaf.0 & !(self.address_field() | high_field | VALID | TABLE_OR_PAGE))
    }

    /// Bits that hold address bits in their own place. Bits of a block below its
    /// size are zero, since its address is aligned to it.
    #[inline]
    const fn address_field(self) -> u64 {
        ((1 << 48) - 1) & !(self.granule_bytes - 1)
    }

    /// `PA[51:48]`, which only 64K with FEAT_LPA reaches, goes to bits 15:12.
    #[inline]
    const fn place(self, pa: Pa) -> u64 {
        pa.raw() & ((1 << 48) - 1) | (pa.raw() >> 48) << 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Configuration, Granule};

    const ALL: Prot = Prot {
        read: true,
        write: true,
        execute: true,
    };

    fn format(granule: Granule, pa_bits: u8) -> Format {
        let start_level = None;
        let c = Configuration {
            granule,
            ipa_bits: 40,
            pa_bits,
            start_level,
            coherent_walks: true,
        };
        Format::new(&Geometry::new(&c).unwrap())
    }

    #[test]
    fn normal_memory_with_all_permissions() {
        let attributes = Attributes::new(ALL, MemoryType::Normal).unwrap();
        let page = format(Granule::K4, 40).leaf(Level::PAGE, Pa::new(0x5000_0000), attributes);
        assert_eq!(page.raw(), 0x5000_07ff);
    }

    #[test]
    fn device_memory_is_never_executable() {
        assert_eq!(Attributes::new(ALL, MemoryType::Device), None);
        let prot = Prot {
            execute: false,
            ..ALL
        };
        let attributes = Attributes::new(prot, MemoryType::Device).unwrap();
        let page = format(Granule::K4, 40).leaf(Level::PAGE, Pa::new(0x900_0000), attributes);
        assert_eq!(page.raw(), 0x0040_0000_0900_04c7);
    }

    #[test]
    fn a_mapping_that_permits_nothing_is_refused() {
        let nothing = Prot {
            read: false,
            write: false,
            execute: false,
        };
        assert_eq!(Attributes::new(nothing, MemoryType::Normal), None);
    }

    #[test]
    fn a_52_bit_address_comes_back_with_its_attributes() {
        let format = format(Granule::K64, 52);
        let attributes = Attributes::new(ALL, MemoryType::Normal).unwrap();
        let pa = Pa::new(0xf_1234_5678_0000);
        let page = format.leaf(Level::PAGE, pa, attributes);
        assert_eq!(
            (format.address(page), format.attributes(page)),
            (pa, attributes)
        );
    }

    #[test]
    fn a_block_at_level_3_is_invalid() {
        assert_eq!(
            Descriptor::from_raw(0x5000_07fd).kind(Level::PAGE),
            Kind::Invalid
        );
    }
}
