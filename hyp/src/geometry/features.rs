//! What the machine implements, as far as tables depend on it.

/// Features of the machine, each with the field that states it. None by default:
/// whatever is not stated is not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// FEAT_LPA2 for the 4K granule: 52-bit addresses in descriptors and level
    /// -1. `ID_AA64MMFR0_EL1.TGran4_2` is 0b0011, or it is 0b0000 and `TGran4` is
    /// 0b0001. For EL2's own stage 1, `TGran4` is 0b0001.
    pub lpa2_4k: bool,
    /// FEAT_LPA2 for the 16K granule. `ID_AA64MMFR0_EL1.TGran16_2` is 0b0011, or
    /// it is 0b0000 and `TGran16` is 0b0010. For EL2's own stage 1, `TGran16` is 0b0010.
    pub lpa2_16k: bool,
    /// FEAT_TTST: address spaces below 25 bits. `ID_AA64MMFR2_EL1.ST` is 0b0001.
    pub ttst: bool,
    /// FEAT_XNX: execute-never for EL1 and EL0 apart.
    /// `ID_AA64MMFR1_EL1.XNX` is 0b0001.
    pub xnx: bool,
    /// FEAT_S2FWB, and that the hypervisor sets `HCR_EL2.FWB` for the guest:
    /// memory types of stage 2 override those of stage 1.
    /// `ID_AA64MMFR2_EL1.FWB` is 0b0001.
    pub fwb: bool,
    /// FEAT_HAFDBS, the access flag: hardware sets it.
    /// `ID_AA64MMFR1_EL1.HAFDBS` is at least 0b0001.
    pub haf: bool,
    /// FEAT_HAFDBS, dirty state: hardware records writes; of use only with `haf`.
    /// `ID_AA64MMFR1_EL1.HAFDBS` is at least 0b0010.
    pub hd: bool,
    /// FEAT_BBM: 0, 1 or 2, the level of support for changing the size of a
    /// live mapping. `ID_AA64MMFR2_EL1.BBM`.
    pub bbm: u8,
    /// FEAT_TTL: hints of the level to `TLBI` by address.
    /// `ID_AA64MMFR2_EL1.TTL` is 0b0001.
    pub ttl: bool,
    /// FEAT_TLBIRANGE: `TLBI` by range. `ID_AA64ISAR0_EL1.TLB` is 0b0010.
    pub tlb_range: bool,
    /// FEAT_VMID16. `ID_AA64MMFR1_EL1.VMIDBits` is 0b0010.
    pub vmid16: bool,
    /// Data need no cleaning to the point of unification for instructions.
    /// `CTR_EL0.IDC` is 1.
    pub idc: bool,
    /// Instruction caches need no invalidation for data. `CTR_EL0.DIC` is 1.
    pub dic: bool,
}
