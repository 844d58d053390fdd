//! Operations and answers, in the words of the contract.

use crate::arch::Granule;

/// A stretch of physical or intermediate physical addresses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First address.
    pub base: u64,
    /// Length; `base + bytes` does not exceed 64 bits.
    pub bytes: u64,
}

/// The machine and the environment that a sequence runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Translation granule.
    pub granule: Granule,
    /// Physical address size in bits.
    pub pa_bits: u8,
    /// IPA size in bits; any value.
    pub ipa_bits: u8,
    /// Level of the root, or `None` for the fewest levels.
    pub start_level: Option<i8>,
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

/// What a guest may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prot {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches, at EL1 and EL0 alike.
    pub execute: bool,
}

/// Memory type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// Normal, write-back, inner shareable.
    Normal,
    /// Device-nGnRE.
    Device,
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
    /// M14, U6.
    NoPages {
        /// Bytes done.
        done: u64,
        /// Pages needed.
        need: u16,
    },
    /// Refused; nothing changed.
    Refused(Refusal),
}
