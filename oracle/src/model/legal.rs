//! Section L of the contract: which configurations are legal, with DS = 0, and
//! the numbers that follow from one.
//!
//! It leaves out the registers' encodings, which are in `registers`.

use std::fmt;

use crate::arch::Granule;

/// The sizes that `ID_AA64MMFR0_EL1.PARange` and `VTCR_EL2.PS` can state, in
/// bits; the encoding is the index. (7, for 56 bits, needs FEAT_D128.)
pub(super) const PA_SIZES: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

/// L1.
const IPA_SIZES: std::ops::RangeInclusive<u8> = 32..=48;

/// The binary logarithm of the most tables that a root can have.
const CONCATENATION_BITS: u32 = 4;

/// The level of pages, in every granule.
pub(super) const PAGE_LEVEL: i8 = 3;

/// A legal configuration. Only [`check`] and [`configurations`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    granule: Granule,
    start_level: i8,
    ipa_bits: u8,
    pa_bits: u8,
}

/// Why a configuration is not legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illegal {
    /// A physical address size that no `PARange` states.
    PaBits(u8),
    /// L1: an IPA size outside 32 to 48 bits.
    IpaBits(u8),
    /// L1: an IPA size above the physical address size.
    IpaAbovePa {
        /// IPA size in bits.
        ipa_bits: u8,
        /// Physical address size in bits.
        pa_bits: u8,
    },
    /// L4: a start level that the granule does not have, or has only with
    /// FEAT_TTST or DS = 1.
    StartLevel(i8),
    /// L4: a start level that needs a larger physical address size.
    StartNeedsPa {
        /// The start level.
        start_level: i8,
        /// Physical address size in bits.
        pa_bits: u8,
        /// The smallest physical address size for this start level, in bits.
        at_least: u8,
    },
    /// L3: the root would have fewer than 2 entries, or more than 16 tables.
    RootSize {
        /// The start level.
        start_level: i8,
        /// IPA size in bits.
        ipa_bits: u8,
    },
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Illegal::PaBits(bits) => write!(f, "no PARange states {bits} bits"),
            Illegal::IpaBits(bits) => write!(f, "an IPA size of {bits} bits is not in 32 to 48"),
            Illegal::IpaAbovePa { ipa_bits, pa_bits } => write!(
                f,
                "an IPA size of {ipa_bits} bits is above the physical address size of {pa_bits}"
            ),
            Illegal::StartLevel(level) => write!(f, "no table starts at level {level}"),
            Illegal::StartNeedsPa {
                start_level,
                pa_bits,
                at_least,
            } => write!(
                f,
                "start level {start_level} needs a physical address size of {at_least} bits, not {pa_bits}"
            ),
            Illegal::RootSize {
                start_level,
                ipa_bits,
            } => write!(
                f,
                "start level {start_level} cannot resolve an IPA size of {ipa_bits} bits with 2 entries to 16 tables"
            ),
        }
    }
}

impl std::error::Error for Illegal {}

/// Section L for any input. `start_level` is `None` for the fewest levels (L2).
///
/// DDI 0487 K.a: AArch64.S2TxSZFaults, AArch64.S2InvalidSL,
/// AArch64.S2InconsistentSL.
///
/// # Errors
/// The rule that is broken; without a start level, the one that level 0 breaks.
pub fn check(
    granule: Granule,
    start_level: Option<i8>,
    ipa_bits: u8,
    pa_bits: u8,
) -> Result<Configuration, Illegal> {
    if !PA_SIZES.contains(&pa_bits) {
        return Err(Illegal::PaBits(pa_bits));
    }
    if !IPA_SIZES.contains(&ipa_bits) {
        return Err(Illegal::IpaBits(ipa_bits));
    }
    if ipa_bits > pa_bits {
        return Err(Illegal::IpaAbovePa { ipa_bits, pa_bits });
    }
    let at = |level| check_start(granule, level, ipa_bits, pa_bits);
    match start_level {
        Some(level) => at(level),
        None => at(3).or(at(2)).or(at(1)).or(at(0)),
    }
}

/// Every legal configuration, ordered by granule, start level, IPA size and
/// physical address size.
pub fn configurations() -> impl Iterator<Item = Configuration> {
    let granules = [Granule::K4, Granule::K16, Granule::K64];
    granules.into_iter().flat_map(|granule| {
        (0..=PAGE_LEVEL).flat_map(move |start| {
            IPA_SIZES.flat_map(move |ipa| {
                let legal = move |pa| check(granule, Some(start), ipa, pa).ok();
                PA_SIZES.into_iter().filter_map(legal)
            })
        })
    })
}

/// L3 and L4, for sizes that L1 allows.
fn check_start(
    granule: Granule,
    start_level: i8,
    ipa_bits: u8,
    pa_bits: u8,
) -> Result<Configuration, Illegal> {
    let Some(at_least) = pa_bits_for_start(granule, start_level) else {
        return Err(Illegal::StartLevel(start_level));
    };
    if pa_bits < at_least {
        return Err(Illegal::StartNeedsPa {
            start_level,
            pa_bits,
            at_least,
        });
    }
    let one_entry = lsb(granule, start_level);
    let widest = one_entry + stride(granule) + CONCATENATION_BITS;
    if !(one_entry + 1..=widest).contains(&u32::from(ipa_bits)) {
        return Err(Illegal::RootSize {
            start_level,
            ipa_bits,
        });
    }
    Ok(Configuration {
        granule,
        start_level,
        ipa_bits,
        pa_bits,
    })
}

/// L4: the smallest physical address size with which a table may start at
/// `level`, or `None` where it never may without FEAT_TTST and with DS = 0.
///
/// DDI 0487 K.a: AArch64.S2InvalidSL.
fn pa_bits_for_start(granule: Granule, level: i8) -> Option<u8> {
    match (granule, level) {
        (Granule::K4, 0) | (Granule::K64, 1) => Some(44),
        (Granule::K16, 1) => Some(42),
        (Granule::K4, 1 | 2) | (Granule::K16 | Granule::K64, 2 | 3) => Some(PA_SIZES[0]),
        _ => None,
    }
}

/// The binary logarithm of the bytes of a page.
fn page_bits(granule: Granule) -> u32 {
    match granule {
        Granule::K4 => 12,
        Granule::K16 => 14,
        Granule::K64 => 16,
    }
}

/// The IPA bits that one level resolves: a table is a page of 8-byte entries.
fn stride(granule: Granule) -> u32 {
    page_bits(granule) - 3
}

/// The lowest IPA bit that an entry at `level` (3 or less) resolves.
fn lsb(granule: Granule, level: i8) -> u32 {
    debug_assert!(level <= PAGE_LEVEL);
    page_bits(granule) + u32::from((PAGE_LEVEL - level).unsigned_abs()) * stride(granule)
}

impl Configuration {
    /// The granule.
    pub fn granule(&self) -> Granule {
        self.granule
    }

    /// The level of the root.
    pub fn start_level(&self) -> i8 {
        self.start_level
    }

    /// The IPA size in bits.
    pub fn ipa_bits(&self) -> u8 {
        self.ipa_bits
    }

    /// The physical address size in bits.
    pub fn pa_bits(&self) -> u8 {
        self.pa_bits
    }

    /// R2: the output size in bits.
    pub fn output_bits(&self) -> u8 {
        match self.granule {
            Granule::K4 | Granule::K16 => self.pa_bits.min(48),
            Granule::K64 => self.pa_bits,
        }
    }

    /// The binary logarithm of the number of root tables, 0 to 4.
    pub fn root_order(&self) -> u8 {
        let one_table = lsb(self.granule, self.start_level) + stride(self.granule);
        (0..=4)
            .find(|order| one_table + u32::from(*order) >= u32::from(self.ipa_bits))
            .expect("L3 held when this was made")
    }

    /// The number of root tables: 1, or 2, 4, 8 or 16 concatenated ones.
    pub fn root_tables(&self) -> u32 {
        1 << self.root_order()
    }

    /// The number of levels below the root.
    pub fn levels_below_root(&self) -> u8 {
        (PAGE_LEVEL - self.start_level).unsigned_abs()
    }

    /// L5 and pages: whether a leaf may stand at `level`.
    ///
    /// DDI 0487 K.a: AArch64.BlockDescSupported.
    pub fn leaf_supported(&self, level: i8) -> bool {
        let block = match self.granule {
            Granule::K4 => level == 1 || level == 2,
            Granule::K16 => level == 2,
            Granule::K64 => level == 2 || (level == 1 && self.pa_bits == 52),
        };
        level >= self.start_level && (block || level == PAGE_LEVEL)
    }

    /// The bytes of a page, and of a table.
    pub(super) fn page_bytes(&self) -> u64 {
        self.entry_bytes(PAGE_LEVEL)
    }

    /// The bytes that an entry at `level` covers, for a level of the tables or
    /// the one above.
    pub(super) fn entry_bytes(&self, level: i8) -> u64 {
        1 << lsb(self.granule, level)
    }

    /// The bytes that one table at `level` covers.
    pub(super) fn table_bytes(&self, level: i8) -> u64 {
        self.entry_bytes(level - 1)
    }

    /// The first IPA beyond the address space.
    pub(super) fn ipa_end(&self) -> u64 {
        1 << self.ipa_bits
    }

    /// The first address beyond the output size.
    pub(super) fn output_end(&self) -> u64 {
        1 << self.output_bits()
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granule = match self.granule {
            Granule::K4 => "4K",
            Granule::K16 => "16K",
            Granule::K64 => "64K",
        };
        write!(
            f,
            "{granule} start={} ipa={} pa={} root={}",
            self.start_level,
            self.ipa_bits,
            self.pa_bits,
            self.root_tables()
        )
    }
}
