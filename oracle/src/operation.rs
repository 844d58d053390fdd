//! Operations and answers, in the words of the contract.

use crate::arch::{Features, Granule};

/// A stretch of physical or intermediate physical addresses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First address.
    pub base: u64,
    /// Length; `base + bytes` does not exceed 64 bits.
    pub bytes: u64,
}

/// Which tables the operations are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Regime {
    /// Guests' Stage-2 under an AArch64 hypervisor.
    Stage2,
    /// EL2's own stage 1 (section E).
    El2,
    /// Guests' Stage-2 under an AArch32 hypervisor (section Z).
    Aarch32,
    /// Hyp mode's own stage 1 (section Z).
    Aarch32Hyp,
}

impl Regime {
    /// Whether the tables are the hypervisor's own: one address space, of VAs, which no
    /// second stage translates.
    pub const fn is_own(self) -> bool {
        matches!(self, Regime::El2 | Regime::Aarch32Hyp)
    }

    /// Whether the hypervisor is in AArch32.
    pub const fn is_aarch32(self) -> bool {
        matches!(self, Regime::Aarch32 | Regime::Aarch32Hyp)
    }
}

/// The machine and the environment that a sequence runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Which tables the operations are about.
    pub regime: Regime,
    /// Translation granule.
    pub granule: Granule,
    /// Physical address size in bits.
    pub pa_bits: u8,
    /// IPA size in bits; any value.
    pub ipa_bits: u8,
    /// Level of the root, or `None` for the fewest levels.
    pub start_level: Option<i8>,
    /// Whether 52-bit descriptors of the 4K or 16K granule are asked for.
    pub ds: bool,
    /// What the machine implements; its `pa_bits`, `granule_16k` and `bbm` are not
    /// looked at.
    pub features: Features,
    /// Whether the contiguous hint may be used (O1).
    pub contiguous: bool,
    /// FEAT_TTL.
    pub ttl: bool,
    /// FEAT_TLBIRANGE.
    pub tlb_range: bool,
    /// FEAT_VMID16, in use.
    pub vmid16: bool,
    /// CTR_EL0.IDC.
    pub idc: bool,
    /// CTR_EL0.DIC.
    pub dic: bool,
    /// Whether table walks snoop the caches of the CPUs that write tables.
    pub coherent_walks: bool,
    /// FEAT_BBM level: 0, 1 or 2. What is above 2 counts as 2.
    pub bbm: u8,
    /// Stated capacity of the page cache, or `None` for the contract's default (P3).
    pub cache_pages: Option<u16>,
    /// Physical memory from which table pages come.
    pub pool: Span,
    /// Further physical memory that belongs to the hypervisor.
    pub hypervisor: Span,
    /// Where free pages' poison points to.
    pub sentinel: Span,
}

/// Who may fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execute {
    /// Nobody.
    #[default]
    Never,
    /// EL1 and EL0.
    Both,
    /// EL1 alone.
    El1,
    /// EL0 alone.
    El0,
}

impl Execute {
    /// Whether EL1 may fetch.
    pub const fn at_el1(self) -> bool {
        matches!(self, Execute::Both | Execute::El1)
    }

    /// Whether EL0 may fetch.
    pub const fn at_el0(self) -> bool {
        matches!(self, Execute::Both | Execute::El0)
    }
}

/// What a guest may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prot {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches.
    pub execute: Execute,
}

/// Memory type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// Normal, write-back, inner shareable.
    Normal,
    /// Device-nGnRE.
    Device,
    /// Normal, non-cacheable.
    NonCacheable,
    /// Device-nGnRnE.
    DeviceStrict,
}

/// What a range operation without further operands does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// W2.
    UnmapWhole,
    /// W3.
    WriteProtect,
    /// W4.
    Soften,
    /// W4.
    Revive,
    /// W5.
    Flush,
    /// W6.
    TestYoung,
    /// W6.
    ClearYoung,
    /// W7.
    Coalesce,
    /// T2.
    Split,
    /// Section D.
    Destroy,
}

/// One operation on a VM, which is named by a small index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Section C of the contract.
    Create {
        /// The VM.
        vm: usize,
        /// The VMID that the caller gives it.
        vmid: u16,
    },
    /// Section M.
    Map {
        /// The VM.
        vm: usize,
        /// First IPA.
        ipa: u64,
        /// First PA.
        pa: u64,
        /// Bytes.
        size: u64,
        /// Permissions.
        prot: Prot,
        /// Memory type.
        memory: MemoryType,
        /// Software bits.
        software: u8,
        /// Pages where blocks would fit.
        pages_only: bool,
    },
    /// Section U.
    Unmap {
        /// The VM.
        vm: usize,
        /// First IPA.
        ipa: u64,
        /// Bytes.
        size: u64,
    },
    /// Sections W, T2, D.
    Range {
        /// The VM.
        vm: usize,
        /// What is done.
        action: Action,
        /// First IPA.
        ipa: u64,
        /// Bytes.
        size: u64,
    },
    /// T1.
    Protect {
        /// The VM.
        vm: usize,
        /// First IPA.
        ipa: u64,
        /// Bytes.
        size: u64,
        /// Permissions.
        prot: Prot,
    },
    /// Section N.
    Annotate {
        /// The VM.
        vm: usize,
        /// First IPA.
        ipa: u64,
        /// Bytes.
        size: u64,
        /// Owner.
        owner: u8,
    },
    /// Y4.
    Relax {
        /// The VM.
        vm: usize,
        /// Where.
        ipa: u64,
        /// Permissions to add.
        prot: Prot,
    },
    /// Y3.
    MakeYoung {
        /// The VM.
        vm: usize,
        /// Where.
        ipa: u64,
    },
    /// Y5.
    Leaf {
        /// The VM.
        vm: usize,
        /// Where.
        ipa: u64,
    },
    /// B1, B2.
    Build {
        /// The VM.
        vm: usize,
        /// First IPA of the entry.
        ipa: u64,
        /// First PA.
        pa: u64,
        /// Level of the entry.
        level: i8,
        /// Permissions.
        prot: Prot,
        /// Memory type.
        memory: MemoryType,
        /// Software bits.
        software: u8,
        /// Pages where blocks would fit.
        pages_only: bool,
    },
    /// B3.
    Link {
        /// The VM.
        vm: usize,
    },
    /// B4.
    Discard {
        /// The VM.
        vm: usize,
    },
    /// D3.
    Conflict {
        /// The VM.
        vm: usize,
    },
    /// Section F.
    Free {
        /// The VM.
        vm: usize,
    },
    /// Section A.
    Access {
        /// The VM.
        vm: usize,
        /// Where.
        ipa: u64,
        /// How.
        kind: AccessKind,
    },
}

impl Operation {
    /// The VM that it is about.
    pub const fn vm(&self) -> usize {
        match *self {
            Operation::Create { vm, .. }
            | Operation::Map { vm, .. }
            | Operation::Unmap { vm, .. }
            | Operation::Range { vm, .. }
            | Operation::Protect { vm, .. }
            | Operation::Annotate { vm, .. }
            | Operation::Relax { vm, .. }
            | Operation::MakeYoung { vm, .. }
            | Operation::Leaf { vm, .. }
            | Operation::Build { vm, .. }
            | Operation::Link { vm }
            | Operation::Discard { vm }
            | Operation::Conflict { vm }
            | Operation::Free { vm }
            | Operation::Access { vm, .. } => vm,
        }
    }
}

/// What a guest access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// An EL1 load.
    Read,
    /// An EL1 store.
    Write,
    /// An EL1 fetch.
    Execute,
}

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// M1, U1, A1.
    NoVm,
    /// C1.
    Exists,
    /// C2.
    IllegalConfiguration,
    /// C3.
    NoMemory,
    /// M2, U2.
    Empty,
    /// M3, U3.
    Misaligned,
    /// M4, U4.
    Wraps,
    /// M5, U5.
    IpaRange,
    /// M6.
    PaRange,
    /// M7.
    BadAttributes,
    /// M8.
    Denied,
    /// D1.
    Dying,
    /// Y2.
    NotMapped,
    /// N1.
    BadOwner,
    /// B1.
    Busy,
    /// B1.
    BadLevel,
    /// B3, B4.
    NothingBuilt,
    /// B3.
    NoPath,
    /// E4.
    Mapped,
    /// E5.
    CutsBlock,
    /// Section E.
    NotHere,
}

/// What an entry holds (Y5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryContent {
    /// Nothing.
    Empty,
    /// The name of an owner.
    Annotated {
        /// The owner.
        owner: u8,
    },
    /// A leaf.
    Leaf(LeafContent),
    /// A softened leaf.
    Softened(LeafContent),
}

/// What a leaf says (Y5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafContent {
    /// The PA of its first byte.
    pub pa: u64,
    /// Permissions.
    pub prot: Prot,
    /// Memory type.
    pub memory: MemoryType,
    /// Software bits.
    pub software: u8,
    /// Access flag.
    pub young: bool,
    /// Hardware dirty state; false without.
    pub dirty: bool,
}

/// The answer of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done in full. (Also of an access, whose result is the walker's.)
    Done,
    /// F3.
    Freed {
        /// Pages in use, over all VMs.
        pages: u32,
    },
    /// W6.
    Young(bool),
    /// Y5.
    Entry {
        /// The level of the entry.
        level: i8,
        /// What it holds.
        entry: EntryContent,
    },
    /// M14, U6, T2, B2.
    NoPages {
        /// Bytes done.
        done: u64,
        /// Pages needed.
        need: u16,
    },
    /// Refused; nothing changed.
    Refused(Refusal),
}
