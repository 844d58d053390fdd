//! `Stage2`: `VTCR_EL2`, `VTTBR_EL2` and `HCR_EL2`, decoded and checked once.

use super::{Registers, Why};
use crate::arch::{Features, Granule};

/// Level of page descriptors.
pub(super) const FINAL_LEVEL: i8 = 3;

/// Registers decoded once, for many walks.
///
/// A configuration that no walk can use is remembered, and answers every walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2 {
    pub(crate) state: State,
    pub(super) shape: Shape,
    /// Addresses of this many bits get past stage 1.
    pub(crate) stage1_bits: u8,
    /// Size of output addresses in bits.
    pub(crate) output_bits: u8,
    /// Physical address of the root.
    pub(super) base: u64,
    /// Which attribute fields act.
    pub(crate) controls: Controls,
}

/// What the configuration decides before any descriptor is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// VM and DC are 0: the output is the input.
    Off,
    /// Every walk takes a Translation fault at level 0.
    Invalid,
    /// Addresses below `2^ipa_bits` are open, all others take a Translation fault at
    /// level 0.
    Open { why: Why, ipa_bits: u8 },
    /// The root is beyond the output size: an Address size fault at level 0 for each
    /// address that is within the IPA size.
    OversizeBase,
    /// Descriptors decide.
    Valid,
}

/// The numbers of granule, IPA size and start level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) granule: Granule,
    pub(super) start_level: i8,
    pub(super) ipa_bits: u8,
    /// 52-bit descriptors of the 4K and 16K granules: the effective `VTCR_EL2.DS`.
    pub(super) ds: bool,
    /// FEAT_LPA: 52-bit descriptors of the 64K granule, and its blocks at level 1.
    pub(super) lpa: bool,
}

/// Fields of the registers, and features, that change what a leaf means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Controls {
    pub(super) hardware_access_flag: bool,
    pub(super) hardware_dirty_state: bool,
    pub(super) xnx: bool,
    /// FEAT_BBM level 1 or 2, where nT acts in an IMPLEMENTATION DEFINED way.
    pub(super) block_nt: bool,
    pub(super) forced_write_back: bool,
    pub(super) default_cacheable: bool,
    pub(super) caches_disabled: bool,
    /// `VTCR_EL2.SH0`, which stands for the leaf's SH where DS is set.
    pub(super) sh0: u8,
}

/// Bits `lsb + width - 1` to `lsb` of a register.
fn field(register: u64, lsb: u8, width: u8) -> u8 {
    debug_assert!(width <= 8);
    ((register >> lsb) & ((1 << width) - 1)).to_le_bytes()[0]
}

fn bit(register: u64, lsb: u8) -> bool {
    register >> lsb & 1 != 0
}

impl Shape {
    /// Bits of the address that one full table resolves.
    pub(super) const fn stride(&self) -> u8 {
        self.granule.bits() - 3
    }

    /// Binary logarithm of the bytes that an entry of `level` (-1 to 3) covers.
    pub(super) const fn lsb(&self, level: i8) -> u8 {
        self.granule.bits() + (FINAL_LEVEL - level).unsigned_abs() * self.stride()
    }

    /// Binary logarithm of the number of entries of the root.
    pub(super) const fn root_index_bits(&self) -> u8 {
        self.ipa_bits - self.lsb(self.start_level)
    }

    /// AArch64.S2InconsistentSL
    fn start_level_is_inconsistent(&self) -> bool {
        let smallest = self.lsb(self.start_level) + 1;
        let largest = smallest + (self.stride() - 1) + 4;
        !(smallest..=largest).contains(&self.ipa_bits)
    }
}

/// The registers with the features, while they are being decoded.
struct Decoder {
    features: Features,
    registers: Registers,
    granule: Granule,
    /// FEAT_LPA2 for this granule.
    lpa2: bool,
    /// The effective DS.
    ds: bool,
}

impl Decoder {
    /// AArch64.NSS2TTWParams
    fn new(features: Features, registers: Registers, granule: Granule) -> Decoder {
        let lpa2 = match granule {
            Granule::K4 => features.lpa2_4k,
            Granule::K16 => features.lpa2_16k,
            Granule::K64 => false,
        };
        Decoder {
            features,
            registers,
            granule,
            lpa2,
            ds: lpa2 && bit(registers.vtcr, 32),
        }
    }

    fn lpa(&self) -> bool {
        self.features.pa_bits >= 52
    }

    fn el1_is_aarch32(&self) -> bool {
        !bit(self.registers.hcr, 31)
    }

    /// AArch64.S2StartLevel, AArch64.S2InvalidSL
    fn start_level(&self) -> Option<i8> {
        let pa_bits = self.features.pa_bits;
        let sl0 = field(self.registers.vtcr, 6, 2);
        let sl2 = self.granule == Granule::K4 && self.ds && bit(self.registers.vtcr, 33);
        match (self.granule, sl2, sl0) {
            (Granule::K4, true, 0) => Some(-1),
            (Granule::K4, false, 0) => Some(2),
            (Granule::K4, false, 1) => Some(1),
            (Granule::K4, false, 2) if pa_bits >= 44 => Some(0),
            (Granule::K4, false, 3) if self.features.ttst => Some(3),
            (Granule::K16, _, 0) => Some(3),
            (Granule::K16, _, 1) => Some(2),
            (Granule::K16, _, 2) if pa_bits >= 42 => Some(1),
            (Granule::K16, _, 3) if self.ds => Some(0),
            (Granule::K64, _, 0) => Some(3),
            (Granule::K64, _, 1) => Some(2),
            (Granule::K64, _, 2) if pa_bits >= 44 => Some(1),
            _ => None,
        }
    }

    /// AArch64.S2MinTxSZ. The limit is PAMax, not `VTCR_EL2.PS`.
    fn smallest_t0sz(&self) -> u8 {
        let mut ipa_bits = self.features.pa_bits.min(52);
        if self.lpa() && self.granule != Granule::K64 && !self.ds {
            ipa_bits = 48;
        }
        if self.el1_is_aarch32() {
            ipa_bits = ipa_bits.max(40);
        }
        64 - ipa_bits
    }

    /// AArch64.MaxTxSZ
    fn largest_t0sz(&self) -> u8 {
        match (self.features.ttst, self.granule) {
            (false, _) => 39,
            (true, Granule::K4 | Granule::K16) => 48,
            (true, Granule::K64) => 47,
        }
    }

    /// AArch64.PhysicalAddressSize; `None` for the reserved encoding.
    fn output_bits(&self) -> Option<u8> {
        let encoded = match field(self.registers.vtcr, 16, 3) {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            5 => 48,
            6 => 52,
            _ => return None,
        };
        let wide = self.lpa() && (self.granule == Granule::K64 || self.lpa2);
        let largest = self.features.pa_bits.min(if wide { 52 } else { 48 });
        Some(largest.min(encoded))
    }

    /// AArch64.S2TTBaseAddress, before the alignment: the address, and whether bits
    /// below the alignment are set.
    fn base(&self, root_index_bits: u8) -> (u64, bool) {
        let vttbr = self.registers.vttbr;
        let lpa_64k = self.granule == Granule::K64
            && self.lpa()
            && field(self.registers.vtcr, 16, 3) == 0b110;
        let raw = if lpa_64k || self.ds {
            // Bits 5:2 are the top of the address, so that tables have 64 bytes at least.
            let high = u64::from(field(vttbr, 2, 4)) << 48;
            high | vttbr & 0x0000_ffff_ffff_ffc0
        } else {
            vttbr & 0x0000_ffff_ffff_fffe
        };
        let low = (1 << (root_index_bits + 3)) - 1;
        (raw & !low, raw & low != 0)
    }

    fn controls(&self) -> Controls {
        let Registers { vtcr, hcr, .. } = self.registers;
        let hardware_access_flag = self.features.haf && bit(vtcr, 21);
        Controls {
            hardware_access_flag,
            hardware_dirty_state: hardware_access_flag && self.features.dbm && bit(vtcr, 22),
            xnx: self.features.xnx,
            block_nt: self.features.bbm >= 1,
            forced_write_back: self.features.fwb && bit(hcr, 46),
            default_cacheable: bit(hcr, 12),
            caches_disabled: bit(hcr, 32),
            sh0: field(vtcr, 12, 2),
        }
    }

    /// The configuration checks of AArch64.S2Translate, in its order.
    fn decode(&self, granule_is_open: bool) -> Stage2 {
        let t0sz = field(self.registers.vtcr, 0, 6);
        let mut stage2 = Stage2 {
            state: State::Invalid,
            shape: Shape {
                granule: self.granule,
                start_level: FINAL_LEVEL,
                ipa_bits: 64 - t0sz,
                ds: self.ds,
                lpa: self.lpa(),
            },
            stage1_bits: if self.el1_is_aarch32() {
                // Stage 1 of AArch32 hands on 40 bits.
                self.features.pa_bits.max(40)
            } else {
                self.features.pa_bits
            },
            output_bits: self.output_bits().unwrap_or(self.features.pa_bits),
            base: 0,
            controls: self.controls(),
        };
        stage2.state = if !bit(self.registers.hcr, 0) && !bit(self.registers.hcr, 12) {
            State::Off
        } else if granule_is_open {
            State::Open {
                why: Why::Granule,
                ipa_bits: 64,
            }
        } else {
            self.check(t0sz, &mut stage2)
        };
        stage2
    }

    fn check(&self, t0sz: u8, stage2: &mut Stage2) -> State {
        // AArch64.S2TxSZFaults
        let below = t0sz < self.smallest_t0sz();
        if below && self.lpa() {
            return State::Invalid;
        }
        if below || t0sz > self.largest_t0sz() {
            return State::Open {
                why: Why::T0sz,
                ipa_bits: 64,
            };
        }
        let Some(start_level) = self.start_level() else {
            return State::Invalid;
        };
        let shape = Shape {
            start_level,
            ..stage2.shape
        };
        if shape.start_level_is_inconsistent() {
            return State::Invalid;
        }
        let open = |why| State::Open {
            why,
            ipa_bits: shape.ipa_bits,
        };
        if self.output_bits().is_none() {
            return open(Why::OutputSize);
        }
        let (base, misaligned) = self.base(shape.root_index_bits());
        stage2.shape = shape;
        stage2.base = base;
        // AArch64.OAOutOfRange of the first descriptor: the root is aligned to its
        // size, so that the index does not matter, nor do low bits that are open.
        if base >> stage2.output_bits != 0 {
            State::OversizeBase
        } else if misaligned {
            open(Why::MisalignedBase)
        } else {
            State::Valid
        }
    }
}

impl Stage2 {
    /// Decodes the registers. It accepts any values: see [`Stage2`]. A physical
    /// address size outside 32 to 52 bits counts as the nearest of these.
    pub fn new(features: Features, registers: Registers) -> Stage2 {
        let features = Features {
            pa_bits: features.pa_bits.clamp(32, 52),
            ..features
        };
        // AArch64.S2DecodeTG0
        let (granule, is_open) = match field(registers.vtcr, 14, 2) {
            0b00 => (Granule::K4, false),
            0b01 => (Granule::K64, false),
            0b10 => (Granule::K16, !features.granule_16k),
            _ => (Granule::K4, true),
        };
        Decoder::new(features, registers, granule).decode(is_open)
    }

    /// Whether descriptors are read at all: stage 2 is on, its configuration valid,
    /// and the root within the output size.
    fn is_valid(&self) -> bool {
        self.state == State::Valid
    }

    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        self.is_valid().then_some(self.shape.start_level)
    }

    /// Physical address of the root and the number of concatenated tables in it,
    /// where descriptors are read at all.
    pub fn root(&self) -> Option<(u64, u32)> {
        let concatenated = || {
            let excess = self
                .shape
                .root_index_bits()
                .saturating_sub(self.shape.stride());
            1 << excess
        };
        self.is_valid().then(|| (self.base, concatenated()))
    }

    /// The IPA size in bits, 64 - `VTCR_EL2.T0SZ`.
    pub fn ipa_bits(&self) -> u8 {
        self.shape.ipa_bits
    }
}
