//! Descriptors as both stages read them: types, address fields, and what is checked of
//! a leaf before its permissions.
//!
//! It leaves out permissions and memory attributes, which each stage has its own of.

use crate::arch::Granule;
use crate::params::{FINAL_LEVEL, WalkParams};
use crate::walk::Why;

pub(crate) const ACCESS_FLAG: u64 = 1 << 10;
/// `S2AP[1]`, and at stage 1 `AP[2]`, where DBM makes it the dirty state.
pub(crate) const DIRTY: u64 = 1 << 7;
/// DBM, the Dirty Bit Modifier.
pub(crate) const MODIFIER: u64 = 1 << 51;
/// The Contiguous bit, which makes a leaf's meaning depend on its place.
pub(crate) const CONTIGUOUS: u64 = 1 << 52;

/// The attributes of a leaf of any level: bits 11:2 and 63:50. With DS, bits 9:8 are of the
/// address, and alike wherever that is.
pub(crate) const ATTRIBUTES: u64 = 0b1111_1111_1100 | !0 << 50;

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

/// Why an entry cannot be used by any access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    AddressSize,
    AccessFlag,
    /// It cannot be read.
    ExternalAbort,
    Open(Why),
}

/// Bits 47:0, the part of an address that its descriptor holds in place.
const IN_PLACE: u64 = (1 << 48) - 1;

impl WalkParams {
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
    // Once for each level of each walk, and LLVM does not see that it is worth it.
    #[inline(always)]
    pub(crate) const fn entry(&self, level: i8, descriptor: u64) -> Entry {
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

    /// The same for any level: those that the granule does not have hold nothing.
    pub(crate) const fn entry_of_any_level(&self, level: i8, descriptor: u64) -> Entry {
        if self.has_level(level) {
            self.entry(level, descriptor)
        } else {
            Entry::Invalid
        }
    }

    /// The bytes that an entry of `level` covers; 0 for a level that the granule does
    /// not have.
    pub(crate) const fn entry_bytes(&self, level: i8) -> u64 {
        if self.has_level(level) {
            1 << self.lsb(level)
        } else {
            0
        }
    }

    /// AArch64.TTEntryAddress: the entry for `address` in the table of `level` at `table`.
    #[inline]
    pub(crate) const fn entry_address(&self, level: i8, table: u64, address: u64) -> u64 {
        let index = address >> self.lsb(level) & ((1 << self.stride()) - 1);
        table | index << 3
    }

    /// AArch64.OAOutOfRange
    #[inline]
    pub(crate) const fn is_oversize(&self, address: u64) -> bool {
        address >> self.output_bits != 0
    }

    /// AArch64.ContiguousSize: binary logarithm of the entries in a contiguous region,
    /// where the bit acts at this level.
    pub(crate) const fn contiguous_bits(&self, level: i8) -> Option<u8> {
        match (self.granule, level) {
            (Granule::K4, 1..=3) => Some(4),
            (Granule::K16, 2) | (Granule::K64, 2 | 3) => Some(5),
            (Granule::K16, 3) => Some(7),
            _ => None,
        }
    }

    /// The end of AArch64.S1Walk and AArch64.S2Walk, up to what depends on the access:
    /// the output address for `input`. `base` is the address field of the descriptor.
    #[inline]
    pub(crate) fn output(
        &self,
        level: i8,
        descriptor: u64,
        base: u64,
        input: u64,
    ) -> Result<u64, Unusable> {
        let lsb = self.lsb(level);
        if descriptor & CONTIGUOUS != 0
            && let Some(bits) = self.contiguous_bits(level)
        {
            // AArch64.ContiguousBit, AArch64.ContiguousBitFaults, StageOA
            let disagreement = (base ^ input) >> lsb & ((1 << bits) - 1);
            if lsb + bits > self.input_bits || disagreement != 0 {
                return Err(Unusable::Open(Why::Contiguous));
            }
        }
        // AArch64.BlocknTFaults
        let is_block = descriptor & 0b10 == 0;
        if is_block && self.block_nt && descriptor >> 16 & 1 != 0 {
            return Err(Unusable::Open(Why::BlockNt));
        }
        // StageOA. It is the final address that must fit, not the field alone: a block
        // may be larger than the output size.
        let pa = base | input & ((1 << lsb) - 1);
        if self.is_oversize(pa) {
            return Err(Unusable::AddressSize);
        }
        if descriptor & ACCESS_FLAG == 0 && !self.hardware_access_flag {
            return Err(Unusable::AccessFlag);
        }
        Ok(pa)
    }

    /// Whether hardware keeps the dirty state of this leaf: HA, HD and DBM.
    pub(crate) const fn has_dirty_state(&self, descriptor: u64) -> bool {
        self.hardware_dirty_state && descriptor & MODIFIER != 0
    }
}
