//! `Stage2`: `VTCR_EL2`, `VTTBR_EL2` and `HCR_EL2`, decoded and checked once.

use super::leaf::Fetches;
use super::{Entry, Registers, Why};
use crate::arch::{Features, Granule};
use crate::params::{Control, FINAL_LEVEL, State, WalkParams, bit, field};

/// Registers decoded once, for many walks.
///
/// A configuration that no walk can use is remembered, and answers every walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2 {
    pub(crate) state: State,
    pub(crate) params: WalkParams,
    /// Addresses of this many bits get past stage 1.
    pub(crate) stage1_bits: u8,
    /// Physical address of the root.
    pub(crate) base: u64,
    /// Which attribute fields act.
    pub(crate) controls: Controls,
}

/// Fields of the registers, and features, that change what the attributes of a leaf
/// mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Controls {
    pub(crate) fetches: Fetches,
    pub(crate) forced_write_back: bool,
    pub(crate) default_cacheable: bool,
    pub(crate) caches_disabled: bool,
    /// `VTCR_EL2.SH0`, which stands for the leaf's SH where DS is set.
    pub(crate) sh0: u8,
}

/// The registers with the features, while they are being decoded.
struct Decoder {
    control: Control,
    registers: Registers,
}

/// AArch64.S2InconsistentSL
pub(crate) fn start_level_is_inconsistent(params: &WalkParams) -> bool {
    let smallest = params.lsb(params.start_level) + 1;
    let largest = smallest + (params.stride() - 1) + 4;
    !(smallest..=largest).contains(&params.input_bits)
}

impl Decoder {
    fn el1_is_aarch32(&self) -> bool {
        !bit(self.registers.hcr, 31)
    }

    /// AArch64.S2StartLevel, AArch64.S2InvalidSL
    fn start_level(&self) -> Option<i8> {
        let Control { granule, ds, .. } = self.control;
        let Features { pa_bits, ttst, .. } = self.control.features;
        let sl0 = field(self.registers.vtcr, 6, 2);
        let sl2 = granule == Granule::K4 && ds && bit(self.registers.vtcr, 33);
        match (granule, sl2, sl0) {
            (Granule::K4, true, 0) => Some(-1),
            (Granule::K4, false, 0) => Some(2),
            (Granule::K4, false, 1) => Some(1),
            (Granule::K4, false, 2) if pa_bits >= 44 => Some(0),
            (Granule::K4, false, 3) if ttst => Some(3),
            (Granule::K16, _, 0) => Some(3),
            (Granule::K16, _, 1) => Some(2),
            (Granule::K16, _, 2) if pa_bits >= 42 => Some(1),
            (Granule::K16, _, 3) if ds => Some(0),
            (Granule::K64, _, 0) => Some(3),
            (Granule::K64, _, 1) => Some(2),
            (Granule::K64, _, 2) if pa_bits >= 44 => Some(1),
            _ => None,
        }
    }

    /// AArch64.S2MinTxSZ. The limit is PAMax, not `VTCR_EL2.PS`.
    fn smallest_t0sz(&self) -> u8 {
        let control = &self.control;
        let mut ipa_bits = control.features.pa_bits;
        if control.lpa() && control.granule != Granule::K64 && !control.ds {
            ipa_bits = 48;
        }
        if self.el1_is_aarch32() {
            ipa_bits = ipa_bits.max(40);
        }
        64 - ipa_bits
    }

    fn controls(&self) -> Controls {
        let hcr = self.registers.hcr;
        Controls {
            fetches: Fetches::new(self.control.features.xnx),
            forced_write_back: self.control.features.fwb && bit(hcr, 46),
            default_cacheable: bit(hcr, 12),
            caches_disabled: bit(hcr, 32),
            sh0: self.control.sh0(),
        }
    }

    /// The configuration checks of AArch64.S2Translate, in its order.
    fn decode(&self) -> Stage2 {
        let pa_bits = self.control.features.pa_bits;
        let mut stage2 = Stage2 {
            state: State::Invalid,
            params: self.control.params(FINAL_LEVEL),
            stage1_bits: if self.el1_is_aarch32() {
                // Stage 1 of AArch32 hands on 40 bits.
                pa_bits.max(40)
            } else {
                pa_bits
            },
            base: 0,
            controls: self.controls(),
        };
        stage2.state = if !bit(self.registers.hcr, 0) && !bit(self.registers.hcr, 12) {
            State::Off
        } else if self.control.granule_is_open {
            State::Open {
                why: Why::Granule,
                input_bits: stage2.stage1_bits,
            }
        } else {
            self.check(&mut stage2)
        };
        stage2
    }

    fn check(&self, stage2: &mut Stage2) -> State {
        // AArch64.S2TxSZFaults
        let (smallest, largest) = (self.smallest_t0sz(), self.control.largest_t0sz());
        let t0sz = self.control.t0sz();
        if t0sz < smallest && self.control.lpa() {
            return State::Invalid;
        }
        if !(smallest..=largest).contains(&t0sz) {
            // A fault, or the limit in its stead, beyond which addresses fault too.
            return State::Open {
                why: Why::T0sz,
                input_bits: 64 - t0sz.clamp(smallest, largest),
            };
        }
        let Some(start_level) = self.start_level() else {
            return State::Invalid;
        };
        let params = self.control.params(start_level);
        if start_level_is_inconsistent(&params) {
            return State::Invalid;
        }
        stage2.params = params;
        let (state, base) = self.control.root(&params, self.registers.vttbr);
        stage2.base = base;
        state
    }
}

impl Stage2 {
    /// Decodes the registers. It accepts any values: see [`Stage2`]. A physical
    /// address size outside 32 to 52 bits counts as the nearest of these.
    pub fn new(features: Features, registers: Registers) -> Stage2 {
        let control = Control::new(features, registers.vtcr);
        Decoder { control, registers }.decode()
    }

    /// Whether descriptors are read at all: stage 2 is on, its configuration valid,
    /// and the root within the output size.
    fn is_valid(&self) -> bool {
        self.state == State::Valid
    }

    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        self.is_valid().then_some(self.params.start_level)
    }

    /// Physical address of the root and the number of concatenated tables in it,
    /// where descriptors are read at all.
    pub fn root(&self) -> Option<(u64, u32)> {
        let concatenated = || {
            let excess = self
                .params
                .root_index_bits()
                .saturating_sub(self.params.stride());
            1 << excess
        };
        self.is_valid().then(|| (self.base, concatenated()))
    }

    /// The IPA size in bits, 64 - `VTCR_EL2.T0SZ`.
    pub fn ipa_bits(&self) -> u8 {
        self.params.input_bits
    }

    /// Type and address of a descriptor of `level`. It checks neither the address nor
    /// the attributes. A level that the granule does not have holds nothing but
    /// invalid entries.
    pub fn entry(&self, level: i8, descriptor: u64) -> Entry {
        self.params.entry_of_any_level(level, descriptor)
    }

    /// The bytes of IPA space that an entry of `level` covers; 0 for a level that the
    /// granule does not have.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        self.params.entry_bytes(level)
    }

    /// Entries of one table.
    pub fn entries_per_table(&self) -> u32 {
        1 << self.params.stride()
    }
}
