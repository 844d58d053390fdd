//! The shape that tables of any regime have: all that the walker knows.

use super::granule::{Granule, Level};
use crate::addr::Ipa;

/// How descriptors and base registers hold addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFormat {
    /// Every bit in its own place, up to bit 47.
    Bits48,
    /// 64K with FEAT_LPA: `PA[51:48]` in bits 15:12.
    Lpa,
    /// 4K and 16K with DS = 1 (FEAT_LPA2): `PA[49:48]` in its own place,
    /// `PA[51:50]` in bits 9:8.
    Lpa2,
}

/// The shape of the tables of one regime: granule, levels and sizes. Proves that
/// the root has from 2 entries to 16 tables; whether the regime allows this
/// start level and these sizes is its own matter.
///
/// Addresses that are translated go by `Ipa`, in the regimes of EL2 too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    granule: Granule,
    start: Level,
    input_bits: u8,
    output_bits: u8,
    format: AddressFormat,
}

impl Shape {
    /// The shape of tables that translate `input_bits` from level `start` on to
    /// addresses of `output_bits`, at most 48 without a wider format and 52 with
    /// one. `None` where the root would have less than 2 entries or more than 16
    /// tables (AArch64.S2InconsistentSL, DDI 0487 K.a).
    pub(crate) const fn new(
        granule: Granule,
        start: Level,
        input_bits: u8,
        output_bits: u8,
        format: AddressFormat,
    ) -> Option<Shape> {
        let entry = entry_shift(granule, start);
        if input_bits <= entry || input_bits > entry + granule.stride() + 4 {
            return None;
        }
        Some(Shape {
            granule,
            start,
            input_bits,
            output_bits,
            format,
        })
    }

    /// The granule.
    #[inline]
    #[must_use]
    pub const fn granule(&self) -> Granule {
        self.granule
    }

    /// Level of the root.
    #[inline]
    #[must_use]
    pub const fn start(&self) -> Level {
        self.start
    }

    /// Size of the addresses that are translated, in bits.
    #[must_use]
    pub const fn input_bits(&self) -> u8 {
        self.input_bits
    }

    /// Size of the addresses that descriptors may hold, in bits.
    #[must_use]
    pub const fn output_bits(&self) -> u8 {
        self.output_bits
    }

    /// How descriptors hold addresses.
    #[inline]
    #[must_use]
    pub const fn address_format(&self) -> AddressFormat {
        self.format
    }

    /// First physical address that no descriptor may hold.
    #[must_use]
    pub const fn pa_limit(&self) -> u64 {
        1 << self.output_bits
    }

    /// Entries of the root, in all its tables.
    #[must_use]
    pub const fn root_entries(&self) -> u32 {
        1 << (self.input_bits - entry_shift(self.granule, self.start))
    }

    /// Binary logarithm of the number of concatenated root tables, 0 to 4.
    #[must_use]
    pub const fn root_order(&self) -> u8 {
        let one_table = entry_shift(self.granule, self.start) + self.granule.stride();
        self.input_bits.saturating_sub(one_table)
    }

    /// Size of the pages of the root in bytes, to which it is aligned.
    #[must_use]
    pub const fn root_bytes(&self) -> u64 {
        self.granule.bytes() << self.root_order()
    }

    /// Number of levels below the root: the pages that one mapping may need.
    #[must_use]
    pub const fn levels_below_root(&self) -> u8 {
        self.start.distance_to(Level::PAGE)
    }

    /// Bytes that an entry of this level, which is not above the root, covers.
    #[inline]
    #[must_use]
    pub const fn entry_bytes(&self, level: Level) -> u64 {
        1 << entry_shift(self.granule, level)
    }

    /// Bytes that a table of this level, which is not above the root, covers.
    #[inline]
    #[must_use]
    pub const fn table_bytes(&self, level: Level) -> u64 {
        1 << (entry_shift(self.granule, level) + self.granule.stride())
    }

    /// Index of the entry for an address within its table of this level.
    #[inline]
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a table has at most 8192 entries"
    )]
    pub const fn index(&self, level: Level, ipa: Ipa) -> u16 {
        let entry = ipa.raw() >> entry_shift(self.granule, level);
        let index = entry & (self.granule.entries() as u64 - 1);
        index as u16
    }

    /// Whether an entry of this level can be a leaf: pages at level 3, blocks
    /// by AArch64.BlockDescSupported (DDI 0487 K.a).
    #[inline]
    #[must_use]
    pub const fn holds_leaves(&self, level: Level) -> bool {
        let wide = !matches!(self.format, AddressFormat::Bits48);
        match (self.granule, level.number()) {
            (_, 3) | (_, 2) | (Granule::K4, 1) => true,
            (Granule::K4, 0) | (Granule::K16 | Granule::K64, 1) => wide,
            _ => false,
        }
    }

    /// The level of the largest leaf for which input and output addresses that differ
    /// by `offset`, modulo 2^64, are aligned alike.
    #[must_use]
    pub fn largest_leaf(&self, offset: u64) -> Level {
        let mut level = self.start;
        while level < Level::PAGE {
            let aligned = offset.is_multiple_of(self.entry_bytes(level));
            if aligned && self.holds_leaves(level) {
                break;
            }
            level = level.below();
        }
        level
    }

    /// The level of the largest leaf from `below` downwards that fits at `ipa`
    /// with `bytes` to go.
    #[must_use]
    pub fn leaf_level(&self, below: Level, ipa: Ipa, bytes: u64) -> Level {
        let mut level = below;
        while level < Level::PAGE && !self.fits(level, ipa, bytes) {
            level = level.below();
        }
        level
    }

    fn fits(&self, level: Level, ipa: Ipa, bytes: u64) -> bool {
        let entry_bytes = self.entry_bytes(level);
        ipa.is_aligned(entry_bytes) && bytes >= entry_bytes
    }

    /// Entries that the contiguous hint joins at this level, a power of two, or
    /// `None` where hardware ignores it (ContiguousSize, DDI 0487 K.a).
    #[inline]
    #[must_use]
    pub const fn contiguous_entries(&self, level: Level) -> Option<u16> {
        match (self.granule, level.number()) {
            (Granule::K4, 1..=3) => Some(16),
            (Granule::K16, 3) => Some(128),
            (Granule::K16, 2) | (Granule::K64, 2..=3) => Some(32),
            _ => None,
        }
    }
}

pub(super) const fn entry_shift(granule: Granule, level: Level) -> u8 {
    granule.shift() + level.distance_to(Level::PAGE) * granule.stride()
}
