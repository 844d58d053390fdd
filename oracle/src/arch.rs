//! Granules and machine features, as the architecture's ID registers state them.

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Granule {
    /// 4 KiB.
    K4,
    /// 16 KiB.
    K16,
    /// 64 KiB.
    K64,
}

impl Granule {
    /// Binary logarithm of the granule's bytes (`TGxGranuleBits`).
    pub const fn bits(self) -> u8 {
        match self {
            Granule::K4 => 12,
            Granule::K16 => 14,
            Granule::K64 => 16,
        }
    }
}

/// What the machine implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// `ID_AA64MMFR0_EL1.PARange` in bits; 52 stands for FEAT_LPA.
    pub pa_bits: u8,
    /// FEAT_LPA2 for the 4K granule at stage 2.
    pub lpa2_4k: bool,
    /// FEAT_LPA2 for the 16K granule at stage 2.
    pub lpa2_16k: bool,
    /// The 16K granule at stage 2.
    pub granule_16k: bool,
    /// FEAT_HAFDBS, access flag (HAFDBS >= 1).
    pub haf: bool,
    /// FEAT_HAFDBS, dirty state (HAFDBS >= 2).
    pub dbm: bool,
    /// FEAT_XNX.
    pub xnx: bool,
    /// FEAT_TTST.
    pub ttst: bool,
    /// FEAT_S2FWB.
    pub fwb: bool,
    /// FEAT_BBM level.
    pub bbm: u8,
}

impl Features {
    /// What the contract assumes of a machine: the physical address size, each
    /// granule, and nothing optional (`docs/contract.md`, L).
    pub const fn of_contract(pa_bits: u8) -> Features {
        Features {
            pa_bits,
            lpa2_4k: false,
            lpa2_16k: false,
            granule_16k: true,
            haf: false,
            dbm: false,
            xnx: false,
            ttst: false,
            fwb: false,
            bbm: 0,
        }
    }
}
