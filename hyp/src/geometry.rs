//! From granule, IPA size and physical address size to the shape of the tables:
//! start level, concatenated root, block levels, and the register fields that
//! say so. Everything is computed; nothing is looked up per configuration.
//!
//! Left out in this version: IPA sizes outside of 32 to 48 bits, TTST, DS.

use crate::addr::{Ipa, IpaRange, Pa};
use crate::vmid::Vmid;

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granule {
    /// 4 KiB pages.
    K4,
    /// 16 KiB pages.
    K16,
    /// 64 KiB pages.
    K64,
}

impl Granule {
    /// Binary logarithm of the page size.
    #[inline]
    #[must_use]
    pub const fn shift(self) -> u8 {
        match self {
            Granule::K4 => 12,
            Granule::K16 => 14,
            Granule::K64 => 16,
        }
    }

    /// Page size in bytes; also the size of a table.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// IPA bits that one level resolves; a table has 8 bytes for each entry.
    #[inline]
    #[must_use]
    pub const fn stride(self) -> u8 {
        self.shift() - 3
    }

    /// Entries of a table.
    #[inline]
    #[must_use]
    pub const fn entries(self) -> u16 {
        1 << self.stride()
    }
}

/// A lookup level, 0 to 3; `Level::PAGE` holds pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(i8);

impl Level {
    /// Level 3, the last.
    pub const PAGE: Level = Level(3);

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> i8 {
        self.0
    }

    /// The level that the tables of this one lead to; level 3 leads nowhere.
    #[inline]
    #[must_use]
    pub const fn below(self) -> Level {
        if self.0 < 3 {
            Level(self.0 + 1)
        } else {
            Level::PAGE
        }
    }

    /// Number of levels from this one down to `lower`.
    #[inline]
    #[must_use]
    pub const fn distance_to(self, lower: Level) -> u8 {
        (lower.0 - self.0).unsigned_abs()
    }
}

/// What a VM's tables are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Translation granule.
    pub granule: Granule,
    /// Size of the guest's address space in bits.
    pub ipa_bits: u8,
    /// Physical address size of the machine in bits, as PARange states it.
    pub pa_bits: u8,
    /// Level of the root, or `None` for the fewest levels.
    pub start_level: Option<i8>,
    /// Whether walks snoop the data caches of this CPU.
    pub coherent_walks: bool,
}

/// Why no tables can have this configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// PARange cannot state this physical address size.
    PaSize(u8),
    /// The IPA size is outside of 32 to 48 bits, or exceeds the physical
    /// address size (AArch64.S2TxSZFaults).
    IpaSize(u8),
    /// The machine has no such start level for the granule
    /// (AArch64.S2InvalidSL), or the IPA size does not give it 2 entries to 16
    /// tables (AArch64.S2InconsistentSL).
    StartLevel(i8),
    /// No start level fits.
    NoStartLevel,
}

/// The shape of a VM's tables. Proves that the configuration is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    granule: Granule,
    ipa_bits: u8,
    pa_bits: u8,
    start: Level,
    root_order: u8,
    coherent_walks: bool,
}

/// Sizes in bits that `ID_AA64MMFR0_EL1.PARange` and `VTCR_EL2.PS` encode, in
/// the order of their encodings.
const PA_SIZES: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

impl Geometry {
    /// The shape for a configuration.
    ///
    /// # Errors
    /// The first reason why the architecture, or this version, refuses it.
    pub fn new(configuration: &Configuration) -> Result<Geometry, GeometryError> {
        let Configuration {
            granule,
            ipa_bits,
            pa_bits,
            start_level,
            coherent_walks,
        } = *configuration;
        if !PA_SIZES.contains(&pa_bits) {
            return Err(GeometryError::PaSize(pa_bits));
        }
        if !(32..=48).contains(&ipa_bits) || ipa_bits > pa_bits {
            return Err(GeometryError::IpaSize(ipa_bits));
        }
        let is_legal = |&level: &i8| {
            is_start_level(granule, level, pa_bits) && is_consistent(granule, level, ipa_bits)
        };
        let start = match start_level {
            Some(level) if is_legal(&level) => level,
            Some(level) => return Err(GeometryError::StartLevel(level)),
            // The highest number has the fewest levels.
            None => (0..=3)
                .rev()
                .find(is_legal)
                .ok_or(GeometryError::NoStartLevel)?,
        };
        let start = Level(start);
        let one_table = entry_shift(granule, start) + granule.stride();
        let root_order = ipa_bits.saturating_sub(one_table);
        Ok(Geometry {
            granule,
            ipa_bits,
            pa_bits,
            start,
            root_order,
            coherent_walks,
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

    /// Binary logarithm of the number of concatenated root tables, 0 to 4.
    #[must_use]
    pub const fn root_order(&self) -> u8 {
        self.root_order
    }

    /// Size of the root in bytes, which is also its alignment.
    #[must_use]
    pub const fn root_bytes(&self) -> u64 {
        self.granule.bytes() << self.root_order
    }

    /// Whether walks snoop the data caches.
    #[inline]
    #[must_use]
    pub const fn coherent_walks(&self) -> bool {
        self.coherent_walks
    }

    /// Size of the guest's address space in bytes.
    #[must_use]
    pub const fn ipa_limit(&self) -> u64 {
        1 << self.ipa_bits
    }

    /// The guest's whole address space.
    #[must_use]
    pub const fn ipa_space(&self) -> IpaRange {
        IpaRange::up_to(Ipa::new(self.ipa_limit()))
    }

    /// First physical address that no descriptor can name.
    #[must_use]
    pub const fn pa_limit(&self) -> u64 {
        1 << self.output_bits()
    }

    /// Whether descriptors hold `PA[51:48]` in bits 15:12 (64K with FEAT_LPA).
    #[inline]
    #[must_use]
    pub const fn has_wide_output(&self) -> bool {
        self.output_bits() == 52
    }

    /// Number of levels below the root: the pages that one mapping may need.
    #[must_use]
    pub const fn levels_below_root(&self) -> u8 {
        self.start.distance_to(Level::PAGE)
    }

    /// Bytes that an entry of this level covers.
    #[inline]
    #[must_use]
    pub const fn entry_bytes(&self, level: Level) -> u64 {
        1 << entry_shift(self.granule, level)
    }

    /// Bytes that a table of this level covers.
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
    /// by AArch64.BlockDescSupported (DDI 0487 K.a) with DS = 0.
    #[inline]
    #[must_use]
    pub const fn holds_leaves(&self, level: Level) -> bool {
        match (self.granule, level.0) {
            (_, 3) | (_, 2) | (Granule::K4, 1) => true,
            // FEAT_LPA, whatever VTCR_EL2.PS says.
            (Granule::K64, 1) => self.pa_bits == 52,
            _ => false,
        }
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

    /// `VTCR_EL2` for these tables.
    #[must_use]
    pub const fn vtcr(&self) -> u64 {
        const WRITE_BACK: u64 = 1;
        const INNER_SHAREABLE: u64 = 3;
        let t0sz = 64 - self.ipa_bits as u64;
        let tg0 = match self.granule {
            Granule::K4 => 0,
            Granule::K64 => 1,
            Granule::K16 => 2,
        };
        let sl0 = match self.granule {
            Granule::K4 => 2 - self.start.0,
            Granule::K16 | Granule::K64 => 3 - self.start.0,
        };
        let attributes = WRITE_BACK << 8 | WRITE_BACK << 10 | INNER_SHAREABLE << 12;
        t0sz | (sl0 as u64) << 6 | attributes | tg0 << 14 | self.ps() << 16 | 1 << 31
    }

    /// `VTTBR_EL2` for a root and a VMID.
    ///
    /// # Errors
    /// `RootError` if the root is not aligned to its size or cannot be named.
    pub const fn vttbr(&self, root: Pa, vmid: Vmid) -> Result<u64, RootError> {
        if !root.is_aligned(self.root_bytes()) {
            return Err(RootError::Misaligned(root));
        }
        if root.raw() >= self.pa_limit() || self.pa_limit() - root.raw() < self.root_bytes() {
            return Err(RootError::BeyondOutputSize(root));
        }
        // S2TTBaseAddress: with PS = 52 bits, BADDR[5:2] holds PA[51:48].
        let low = root.raw() & ((1 << 48) - 1);
        let high = root.raw() >> 48;
        Ok(low | high << 2 | vmid.field())
    }

    /// Output size in bits. Without DS only the 64K granule goes past 48.
    const fn output_bits(&self) -> u8 {
        match self.granule {
            Granule::K4 | Granule::K16 if self.pa_bits > 48 => 48,
            _ => self.pa_bits,
        }
    }

    const fn ps(&self) -> u64 {
        let mut encoding = 0;
        while PA_SIZES[encoding] != self.output_bits() {
            encoding += 1;
        }
        encoding as u64
    }
}

/// Why `VTTBR_EL2` cannot name a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootError {
    /// Not aligned to the size of all its tables together.
    Misaligned(Pa),
    /// Part of it lies past the output size.
    BeyondOutputSize(Pa),
}

const fn entry_shift(granule: Granule, level: Level) -> u8 {
    granule.shift() + level.distance_to(Level::PAGE) * granule.stride()
}

/// AArch64.S2InvalidSL (DDI 0487 K.a), without TTST and with DS = 0.
fn is_start_level(granule: Granule, level: i8, pa_bits: u8) -> bool {
    match (granule, level) {
        (_, 2) | (Granule::K4, 1) | (Granule::K16 | Granule::K64, 3) => true,
        (Granule::K4, 0) | (Granule::K64, 1) => pa_bits >= 44,
        (Granule::K16, 1) => pa_bits >= 42,
        _ => false,
    }
}

/// AArch64.S2InconsistentSL (DDI 0487 K.a): 2 entries to 16 tables.
fn is_consistent(granule: Granule, level: i8, ipa_bits: u8) -> bool {
    let entry = entry_shift(granule, Level(level));
    let fewest = entry + 1;
    let most = entry + granule.stride() + 4;
    (fewest..=most).contains(&ipa_bits)
}

#[cfg(test)]
#[path = "geometry_tests.rs"]
mod tests;
