//! What a walk ends in: a translation, a fault, or what the architecture leaves open.

/// The end of one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The access succeeds.
    Translation(Translation),
    /// The access faults.
    Fault(Fault),
    /// The architecture allows several answers; nothing can be compared with this one.
    Unpredictable(Why),
}

/// A successful translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Translation {
    /// Physical address of the byte, its low bits included.
    pub pa: u64,
    /// Level of the block or page descriptor; 0 where stage 2 is off.
    pub level: i8,
    /// Bytes that the descriptor maps (the Contiguous bit does not widen it); the
    /// whole physical address space where stage 2 is off.
    pub size: u64,
    /// Loads are permitted.
    pub read: bool,
    /// Stores are permitted, also where they would set dirty state first.
    pub write: bool,
    /// Fetches at EL1 are permitted.
    pub execute_el1: bool,
    /// Fetches at EL0 are permitted.
    pub execute_el0: bool,
    /// Memory attributes of a data access in the form of `PAR_EL1.ATTR`.
    pub attributes: u8,
    /// Shareability of a data access in the form of `PAR_EL1.SH`.
    pub shareability: u8,
    /// The descriptor that hardware writes, where it changes one.
    pub update: Option<Update>,
}

/// A descriptor as hardware's own update of access flag and dirty state leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// Physical address of the descriptor.
    pub at: u64,
    /// Its new value.
    pub new: u64,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// The lookup level that is reported; faults of the configuration and of the
    /// address size of IPA and root report 0.
    pub level: i8,
    /// The access flag update that hardware may make beside a Permission fault, and
    /// need not (`AArch64.SettingAccessFlagPermitted`).
    pub permitted_update: Option<Update>,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Stage-2 Translation fault.
    Translation,
    /// Stage-2 Address size fault.
    AddressSize,
    /// Stage-2 Access flag fault.
    AccessFlag,
    /// Stage-2 Permission fault.
    Permission,
    /// Stage-1 Address size fault: the address is beyond the implemented physical
    /// address size. It comes before everything that stage 2 looks at.
    Stage1AddressSize,
    /// Synchronous External abort on a stage-2 translation table walk.
    ExternalAbort,
}

impl Fault {
    pub(crate) const fn new(kind: FaultKind, level: i8) -> Fault {
        Fault {
            kind,
            level,
            permitted_update: None,
        }
    }

    /// Whether `PAR_EL1.S` is set and the abort goes to EL2.
    pub const fn is_stage2(&self) -> bool {
        !matches!(self.kind, FaultKind::Stage1AddressSize)
    }

    /// The fault status code: `PAR_EL1.FST` and `ESR_ELx.{DFSC,IFSC}`.
    pub const fn fsc(&self) -> u8 {
        // EncodeLDFSC
        let (base, at_minus_1) = match self.kind {
            FaultKind::AddressSize | FaultKind::Stage1AddressSize => (0b00_0000, 0b10_1001),
            FaultKind::Translation => (0b00_0100, 0b10_1011),
            FaultKind::ExternalAbort => (0b01_0100, 0b01_0011),
            // No block descriptor exists at level -1, hence neither fault does.
            FaultKind::AccessFlag => (0b00_1000, 0b00_1000),
            FaultKind::Permission => (0b00_1100, 0b00_1100),
        };
        match self.level {
            1 => base | 1,
            2 => base | 2,
            3 => base | 3,
            -1 => at_minus_1,
            _ => base,
        }
    }
}

/// What the architecture leaves open, at stage 2 or in EL2's stage 1. Nothing else may
/// make a walk unpredictable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// TG0 is 0b11 or names a granule that is not implemented: it acts as an
    /// IMPLEMENTATION DEFINED one that is (`AArch64.S2DecodeTG0`,
    /// `AArch64.S1DecodeTG0`).
    Granule,
    /// T0SZ is below the minimum without FEAT_LPA (in stage 1: without FEAT_LVA), or
    /// above the maximum: a Translation fault at level 0, or as if it were the limit
    /// (`AArch64.S2TxSZFaults`, `AArch64.S1TxSZFaults`).
    T0sz,
    /// S is not `T0SZ[3]`, in AArch32: T0SZ acts as an UNKNOWN value
    /// (`AArch32.GetS2TTWParams`).
    SignOfT0sz,
    /// PS is 0b111, a reserved output size (`AArch64.PhysicalAddressSize`).
    OutputSize,
    /// The base address is not aligned to the size of the start level's table: the low
    /// bits are taken as 0, or spoil the walk (`AArch64.S2TTBaseAddress`,
    /// `AArch64.S1TTBaseAddress`).
    MisalignedBase,
    /// A Contiguous bit where the region is larger than the input address space
    /// (`AArch64.ContiguousBitFaults`), or where input and output address differ in
    /// bits that select the entry within the region (`StageOA`).
    Contiguous,
    /// nT in a block descriptor with FEAT_BBM level 1 or 2: a Translation fault, or
    /// none (`AArch64.BlocknTFaults`).
    BlockNt,
    /// A permitted access through a reserved encoding of MemAttr, or of the field of
    /// `MAIR_EL2` that AttrIndx selects: any type (`S2DecodeMemAttrs`,
    /// `AArch64.S2ApplyFWBMemAttrs`, `S1ConstrainUnpredictableRESMAIR`).
    MemAttr,
    /// A permitted access through a reserved encoding of SH, or of SH0 where DS is set:
    /// any shareability (`DecodeShareability`).
    Shareability,
    /// A permitted fetch from Device memory: a Permission fault, or a fetch as from
    /// Normal Non-cacheable (`AArch64.S2CheckPermissions`,
    /// `AArch64.S1CheckPermissions`).
    FetchFromDevice,
}
