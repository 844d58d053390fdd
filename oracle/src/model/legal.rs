//! Section L of the contract: which configurations are legal, in the other regimes by E1,
//! Z1 and Z3, and the numbers that follow from one.
//!
//! It leaves out the registers' encodings, which are in `registers`.

use std::fmt;

use crate::arch::Granule;
use crate::operation::{Machine, Regime};

/// The sizes that `ID_AA64MMFR0_EL1.PARange` and `VTCR_EL2.PS` can state, in
/// bits; the encoding is the index. (7, for 56 bits, needs FEAT_D128.)
pub(super) const PA_SIZES: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

/// L1: the smallest IPA size without FEAT_TTST, in bits.
const SMALLEST: u8 = 25;

/// The binary logarithm of the most tables that a root can have.
const CONCATENATION_BITS: u32 = 4;

/// Z: what AArch32 has alone.
const AARCH32_PA_BITS: u8 = 40;

/// The level of pages, in every granule.
pub(super) const PAGE_LEVEL: i8 = 3;

/// The highest level that any table can have.
const HIGHEST_LEVEL: i8 = -1;

/// What is asked for, and what of the machine decides whether it is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which tables.
    pub regime: Regime,
    /// The machine has features, of which AArch32 knows none.
    pub has_features: bool,
    /// Translation granule.
    pub granule: Granule,
    /// Level of the root, or `None` for the fewest levels (L2).
    pub start_level: Option<i8>,
    /// IPA size in bits.
    pub ipa_bits: u8,
    /// Physical address size in bits.
    pub pa_bits: u8,
    /// 52-bit descriptors of the 4K or 16K granule.
    pub ds: bool,
    /// FEAT_LPA2 for this granule.
    pub lpa2: bool,
    /// FEAT_TTST.
    pub ttst: bool,
}

impl Request {
    /// What a machine asks for.
    pub fn of(machine: &Machine) -> Request {
        let features = &machine.features;
        Request {
            regime: machine.regime,
            has_features: has_features(machine),
            granule: machine.granule,
            start_level: machine.start_level,
            ipa_bits: machine.ipa_bits,
            pa_bits: machine.pa_bits,
            ds: machine.ds,
            lpa2: match machine.granule {
                Granule::K4 => features.lpa2_4k,
                Granule::K16 => features.lpa2_16k,
                Granule::K64 => false,
            },
            ttst: features.ttst,
        }
    }
}

/// Whether a machine has any feature of the contract.
fn has_features(machine: &Machine) -> bool {
    let features = &machine.features;
    [
        features.lpa2_4k,
        features.lpa2_16k,
        features.ttst,
        features.xnx,
        features.fwb,
        features.haf,
        features.dbm,
        machine.bbm != 0,
        machine.ttl,
        machine.tlb_range,
        machine.vmid16,
        machine.idc,
        machine.dic,
    ]
    .contains(&true)
}

/// A legal configuration. Only [`check`] and [`configurations`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    granule: Granule,
    start_level: i8,
    ipa_bits: u8,
    pa_bits: u8,
    ds: bool,
}

/// Why a configuration is not legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illegal {
    /// Z: another granule, physical address size or descriptor than AArch32 has, or a
    /// feature.
    Aarch32,
    /// A physical address size that no `PARange` states.
    PaBits(u8),
    /// L1: DS for a granule that has no FEAT_LPA2 on this machine.
    Ds(Granule),
    /// L1: an IPA size that is too small or too large for the granule and the features.
    IpaBits {
        /// IPA size in bits.
        ipa_bits: u8,
        /// The smallest one, in bits.
        at_least: u8,
        /// The largest one, in bits.
        at_most: u8,
    },
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
            Illegal::Aarch32 => f.write_str(
                "AArch32 has the 4K granule, 40 bits of physical address, and no features",
            ),
            Illegal::PaBits(bits) => write!(f, "no PARange states {bits} bits"),
            Illegal::Ds(granule) => write!(
                f,
                "the machine has no FEAT_LPA2 for the granule {}",
                name(granule)
            ),
            Illegal::IpaBits {
                ipa_bits,
                at_least,
                at_most,
            } => write!(
                f,
                "an IPA size of {ipa_bits} bits is not in {at_least} to {at_most}"
            ),
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

/// Section L for any input.
///
/// DDI 0487 K.a: AArch64.S2TxSZFaults, AArch64.S2MinTxSZ, AArch64.S2InvalidSL,
/// AArch64.S2InconsistentSL.
///
/// # Errors
/// The rule that is broken; without a start level, the one that the highest level
/// breaks.
pub fn check(request: &Request) -> Result<Configuration, Illegal> {
    let Request {
        granule,
        ipa_bits,
        pa_bits,
        ..
    } = *request;
    let of_aarch32 = granule == Granule::K4 && pa_bits == AARCH32_PA_BITS && !request.ds;
    if request.regime.is_aarch32() && (!of_aarch32 || request.has_features) {
        return Err(Illegal::Aarch32);
    }
    if !PA_SIZES.contains(&pa_bits) {
        return Err(Illegal::PaBits(pa_bits));
    }
    if request.ds && !(request.lpa2 && granule != Granule::K64) {
        return Err(Illegal::Ds(granule));
    }
    let (at_least, at_most) = (smallest(granule, request.ttst), largest(request));
    if !(at_least..=at_most).contains(&ipa_bits) {
        return Err(Illegal::IpaBits {
            ipa_bits,
            at_least,
            at_most,
        });
    }
    if ipa_bits > pa_bits && !request.regime.is_own() {
        return Err(Illegal::IpaAbovePa { ipa_bits, pa_bits });
    }
    if request.regime.is_own() {
        return check_own_start(request);
    }
    match request.start_level {
        Some(level) => check_start(request, level),
        None => {
            let fewest_first = (HIGHEST_LEVEL..=PAGE_LEVEL).rev();
            let mut checked = fewest_first.map(|level| check_start(request, level));
            let first_legal = checked.find(Result::is_ok);
            first_legal.unwrap_or_else(|| check_start(request, HIGHEST_LEVEL))
        }
    }
}

/// Every legal configuration on a machine that has all features, ordered by granule,
/// start level, IPA size, physical address size, and DS.
pub fn configurations() -> impl Iterator<Item = Configuration> {
    let granules = [Granule::K4, Granule::K16, Granule::K64];
    let starts = granules
        .into_iter()
        .flat_map(|granule| (HIGHEST_LEVEL..=PAGE_LEVEL).map(move |start| (granule, start)));
    let sizes = starts.flat_map(|(granule, start)| {
        let sizes = (0..=PA_SIZES[6]).flat_map(|ipa| PA_SIZES.map(|pa| (ipa, pa)));
        sizes.map(move |sizes| (granule, start, sizes))
    });
    sizes.flat_map(|(granule, start, (ipa_bits, pa_bits))| {
        [false, true].into_iter().filter_map(move |ds| {
            check(&Request {
                regime: Regime::Stage2,
                has_features: true,
                granule,
                start_level: Some(start),
                ipa_bits,
                pa_bits,
                ds,
                lpa2: true,
                ttst: true,
            })
            .ok()
        })
    })
}

/// L1: the smallest IPA size in bits (DDI 0487 K.a: AArch64.MaxTxSZ).
fn smallest(granule: Granule, ttst: bool) -> u8 {
    match (ttst, granule) {
        (false, _) => SMALLEST,
        (true, Granule::K4 | Granule::K16) => 16,
        (true, Granule::K64) => 17,
    }
}

/// L1: the largest IPA size in bits, whatever the physical address size is otherwise.
fn largest(request: &Request) -> u8 {
    match request.regime {
        Regime::Stage2 | Regime::El2 => {}
        Regime::Aarch32 => return AARCH32_PA_BITS,
        Regime::Aarch32Hyp => return 32,
    }
    let wide = match request.granule {
        Granule::K4 | Granule::K16 => request.ds,
        Granule::K64 => request.pa_bits == 52,
    };
    if wide { 52 } else { 48 }
}

/// E1, Z3: the start level is what the VA size gives, and the root one table.
fn check_own_start(request: &Request) -> Result<Configuration, Illegal> {
    let Request {
        granule,
        ipa_bits,
        pa_bits,
        ds,
        ..
    } = *request;
    let one_table = |level: &i8| {
        let entry = lsb(granule, *level);
        (entry + 1..=entry + stride(granule)).contains(&u32::from(ipa_bits))
    };
    let start_level = (HIGHEST_LEVEL..=PAGE_LEVEL)
        .find(one_table)
        .expect("tables of one page each resolve every size that L1 allows");
    match request.start_level {
        Some(other) if other != start_level => Err(Illegal::StartLevel(other)),
        _ => Ok(Configuration {
            granule,
            start_level,
            ipa_bits,
            pa_bits,
            ds,
        }),
    }
}

/// L3 and L4, for sizes that L1 allows.
fn check_start(request: &Request, start_level: i8) -> Result<Configuration, Illegal> {
    let Request {
        granule,
        ipa_bits,
        pa_bits,
        ds,
        ..
    } = *request;
    let Some(at_least) = pa_bits_for_start(request, start_level) else {
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
        ds,
    })
}

/// L4: the smallest physical address size with which a table may start at
/// `level`, or `None` where it may not.
///
/// DDI 0487 K.a: AArch64.S2InvalidSL.
fn pa_bits_for_start(request: &Request, level: i8) -> Option<u8> {
    let always = PA_SIZES[0];
    match (request.granule, level) {
        (Granule::K4, -1) | (Granule::K16, 0) => request.ds.then_some(always),
        // Z1: AArch32 has levels 1 and 2 alone.
        (Granule::K4, 0) if request.regime == Regime::Aarch32 => None,
        (Granule::K4, 0) | (Granule::K64, 1) => Some(44),
        (Granule::K16, 1) => Some(42),
        (Granule::K4, 3) => request.ttst.then_some(always),
        (Granule::K4, 1 | 2) | (Granule::K16 | Granule::K64, 2 | 3) => Some(always),
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

fn name(granule: Granule) -> &'static str {
    match granule {
        Granule::K4 => "4K",
        Granule::K16 => "16K",
        Granule::K64 => "64K",
    }
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

    /// 52-bit descriptors of the 4K or 16K granule: it needs FEAT_LPA2 for the granule.
    pub fn ds(&self) -> bool {
        self.ds
    }

    /// Whether it needs FEAT_TTST.
    pub fn needs_ttst(&self) -> bool {
        self.ipa_bits < SMALLEST || (self.granule == Granule::K4 && self.start_level == PAGE_LEVEL)
    }

    /// R2: the output size in bits.
    pub fn output_bits(&self) -> u8 {
        match self.granule {
            Granule::K4 | Granule::K16 if !self.ds => self.pa_bits.min(48),
            Granule::K4 | Granule::K16 | Granule::K64 => self.pa_bits,
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
            Granule::K4 => level == 1 || level == 2 || (level == 0 && self.ds),
            Granule::K16 => level == 2 || (level == 1 && self.ds),
            Granule::K64 => level == 2 || (level == 1 && self.pa_bits == 52),
        };
        level >= self.start_level && (block || level == PAGE_LEVEL)
    }

    /// Whether the tables have this level.
    pub(super) fn has_level(&self, level: i8) -> bool {
        (self.start_level..=PAGE_LEVEL).contains(&level)
    }

    /// B1: whether an entry at `level` can lead to a table.
    pub(super) fn has_tables_below(&self, level: i8) -> bool {
        (self.start_level..PAGE_LEVEL).contains(&level)
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
        write!(
            f,
            "{} start={} ipa={} pa={} root={}",
            name(self.granule),
            self.start_level,
            self.ipa_bits,
            self.pa_bits,
            self.root_tables()
        )?;
        if self.ds {
            f.write_str(" ds")?;
        }
        if self.needs_ttst() {
            f.write_str(" ttst")?;
        }
        Ok(())
    }
}
