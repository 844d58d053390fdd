//! What the walks of both stages share before any descriptor is read: the fields that
//! `TCR_EL2` (E2H = 0) and `VTCR_EL2` have at the same places, the checks of output
//! size and table base, and their outcome.
//!
//! It leaves out what differs: limits of T0SZ, start levels, and attributes.

use crate::arch::{Features, Granule};
use crate::walk::Why;

/// Level of page descriptors.
pub(crate) const FINAL_LEVEL: i8 = 3;

/// The parameters of a walk that mean the same at both stages (`S1TTWParams`,
/// `S2TTWParams`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalkParams {
    pub(crate) granule: Granule,
    pub(crate) start_level: i8,
    /// Size of input addresses in bits (`AArch64.IASize`).
    pub(crate) input_bits: u8,
    /// Size of output addresses in bits.
    pub(crate) output_bits: u8,
    /// 52-bit descriptors of the 4K and 16K granules: the effective DS.
    pub(crate) ds: bool,
    /// FEAT_LPA: 52-bit descriptors of the 64K granule, and its blocks at level 1.
    pub(crate) lpa: bool,
    pub(crate) hardware_access_flag: bool,
    pub(crate) hardware_dirty_state: bool,
    /// FEAT_BBM level 1 or 2, where nT acts in an IMPLEMENTATION DEFINED way.
    pub(crate) block_nt: bool,
    /// The level that a Translation fault reports for which no descriptor is read: 0,
    /// or 1 in AArch32.
    pub(crate) unread_level: i8,
}

impl WalkParams {
    /// Bits of the address that one full table resolves.
    pub(crate) const fn stride(&self) -> u8 {
        self.granule.bits() - 3
    }

    /// Binary logarithm of the bytes that an entry of `level` (-1 to 3) covers.
    pub(crate) const fn lsb(&self, level: i8) -> u8 {
        self.granule.bits() + (FINAL_LEVEL - level).unsigned_abs() * self.stride()
    }

    /// Binary logarithm of the number of entries of the root.
    pub(crate) const fn root_index_bits(&self) -> u8 {
        self.input_bits - self.lsb(self.start_level)
    }

    /// The root at `address`, as its register holds it: its aligned address, and what
    /// becomes of walks there.
    pub(crate) fn root(&self, address: u64) -> (State, u64) {
        let low = (1 << (self.root_index_bits() + 3)) - 1;
        let base = address & !low;
        // AArch64.OAOutOfRange of the first descriptor: the root is aligned to its
        // size, so that the index does not matter, nor do low bits that are open.
        let state = if self.is_oversize(base) {
            State::OversizeBase
        } else if address & low != 0 {
            State::Open {
                why: Why::MisalignedBase,
                input_bits: self.input_bits,
            }
        } else {
            State::Valid
        };
        (state, base)
    }
}

/// What the configuration decides before any descriptor is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The stage is disabled: the output is the input.
    Off,
    /// Every walk takes a Translation fault before it reads a descriptor.
    Invalid,
    /// Addresses below `2^input_bits` are open, all others take such a Translation
    /// fault.
    Open { why: Why, input_bits: u8 },
    /// The root is beyond the output size: an Address size fault at level 0 for each
    /// address that is within the input size.
    OversizeBase,
    /// Descriptors decide.
    Valid,
}

/// What becomes of an address for which no descriptor is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// A Translation fault at [`WalkParams::unread_level`].
    Translation,
    /// An Address size fault at level 0.
    AddressSize,
    /// The stage is disabled.
    Untranslated,
    Open(Why),
}

impl State {
    /// AArch64.VAIsOutOfRange, AArch64.IPAIsOutOfRange, and what the configuration
    /// makes of addresses within range.
    #[inline]
    pub(crate) fn before_lookup(self, address: u64, input_bits: u8) -> Option<Early> {
        let beyond = |bits: u8| address.checked_shr(bits.into()).unwrap_or(0) != 0;
        match self {
            State::Valid => beyond(input_bits).then_some(Early::Translation),
            State::Off => Some(Early::Untranslated),
            State::Invalid => Some(Early::Translation),
            State::Open { input_bits, .. } if beyond(input_bits) => Some(Early::Translation),
            State::Open { why, .. } => Some(Early::Open(why)),
            State::OversizeBase if beyond(input_bits) => Some(Early::Translation),
            State::OversizeBase => Some(Early::AddressSize),
        }
    }
}

/// Bits `lsb + width - 1` to `lsb` of a register.
pub(crate) fn field(register: u64, lsb: u8, width: u8) -> u8 {
    debug_assert!(width <= 8);
    ((register >> lsb) & ((1 << width) - 1)).to_le_bytes()[0]
}

pub(crate) fn bit(register: u64, lsb: u8) -> bool {
    register >> lsb & 1 != 0
}

/// `TCR_EL2` or `VTCR_EL2` with the features of its stage.
#[derive(Clone, Copy)]
pub(crate) struct Control {
    pub(crate) features: Features,
    pub(crate) register: u64,
    pub(crate) granule: Granule,
    /// TG0 names no granule that is implemented; `granule` stands for the
    /// IMPLEMENTATION DEFINED one.
    pub(crate) granule_is_open: bool,
    /// FEAT_LPA2 for this granule.
    lpa2: bool,
    /// The effective DS.
    pub(crate) ds: bool,
}

impl Control {
    /// AArch64.S1TTWParamsEL2, AArch64.NSS2TTWParams. A physical address size outside
    /// 32 to 52 bits counts as the nearest of these.
    pub(crate) fn new(features: Features, register: u64) -> Control {
        let features = Features {
            pa_bits: features.pa_bits.clamp(32, 52),
            ..features
        };
        // AArch64.S1DecodeTG0, AArch64.S2DecodeTG0
        let (granule, granule_is_open) = match field(register, 14, 2) {
            0b00 => (Granule::K4, false),
            0b01 => (Granule::K64, false),
            0b10 => (Granule::K16, !features.granule_16k),
            _ => (Granule::K4, true),
        };
        let lpa2 = match granule {
            Granule::K4 => features.lpa2_4k,
            Granule::K16 => features.lpa2_16k,
            Granule::K64 => false,
        };
        Control {
            features,
            register,
            granule,
            granule_is_open,
            lpa2,
            ds: lpa2 && bit(register, 32),
        }
    }

    pub(crate) fn t0sz(&self) -> u8 {
        field(self.register, 0, 6)
    }

    pub(crate) fn sh0(&self) -> u8 {
        field(self.register, 12, 2)
    }

    pub(crate) fn lpa(&self) -> bool {
        self.features.pa_bits >= 52
    }

    /// AArch64.MaxTxSZ
    pub(crate) fn largest_t0sz(&self) -> u8 {
        match (self.features.ttst, self.granule) {
            (false, _) => 39,
            (true, Granule::K4 | Granule::K16) => 48,
            (true, Granule::K64) => 47,
        }
    }

    /// AArch64.PhysicalAddressSize; `None` for the reserved encoding.
    fn output_bits(&self) -> Option<u8> {
        let encoded = match field(self.register, 16, 3) {
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

    /// The parameters, where walks start at `start_level`.
    pub(crate) fn params(&self, start_level: i8) -> WalkParams {
        let hardware_access_flag = self.features.haf && bit(self.register, 21);
        WalkParams {
            granule: self.granule,
            start_level,
            input_bits: 64 - self.t0sz(),
            output_bits: self.output_bits().unwrap_or(self.features.pa_bits),
            ds: self.ds,
            lpa: self.lpa(),
            hardware_access_flag,
            hardware_dirty_state: hardware_access_flag
                && self.features.dbm
                && bit(self.register, 22),
            block_nt: self.features.bbm >= 1,
            unread_level: 0,
        }
    }

    /// AArch64.S1TTBaseAddress, AArch64.S2TTBaseAddress, before the alignment.
    fn base(&self, ttbr: u64) -> u64 {
        let lpa_64k =
            self.granule == Granule::K64 && self.lpa() && field(self.register, 16, 3) == 0b110;
        if lpa_64k || self.ds {
            // Bits 5:2 are the top of the address, so that tables have 64 bytes at least.
            let high = u64::from(field(ttbr, 2, 4)) << 48;
            high | ttbr & 0x0000_ffff_ffff_ffc0
        } else {
            ttbr & 0x0000_ffff_ffff_fffe
        }
    }

    /// What a valid T0SZ and start level leave to check, and the base of the root.
    pub(crate) fn root(&self, params: &WalkParams, ttbr: u64) -> (State, u64) {
        if self.output_bits().is_none() {
            let state = State::Open {
                why: Why::OutputSize,
                input_bits: params.input_bits,
            };
            return (state, 0);
        }
        params.root(self.base(ttbr))
    }
}
