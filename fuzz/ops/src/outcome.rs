//! What an operation answers.

use crate::{MemoryType, Prot};

/// Why an operation was refused before it touched anything.
/// The contract states in which order the reasons are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The VM was not created, or is freed.
    NoVm,
    /// The VM exists already.
    Exists,
    /// The architecture does not allow this configuration.
    IllegalConfiguration,
    /// The page source has no page, or no aligned run of pages for the root.
    NoMemory,
    /// The range holds no byte.
    Empty,
    /// An address or the size is not a multiple of the granule.
    Misaligned,
    /// The range goes past the end of 64 bits.
    Wraps,
    /// The range goes past the IPA size.
    IpaRange,
    /// The range goes past the output size.
    PaRange,
    /// Permissions and memory type exclude each other, or nothing is permitted.
    BadAttributes,
    /// The physical range belongs to the hypervisor.
    Denied,
    /// The VM is being destroyed.
    Dying,
    /// No leaf covers the address.
    NotMapped,
    /// The owner is 0.
    BadOwner,
    /// Something is built already.
    Busy,
    /// No entry of this level can lead to a table.
    BadLevel,
    /// Nothing is built.
    NothingBuilt,
    /// No tables lead down to the entry.
    NoPath,
    /// Something in the range is mapped otherwise (EL2's own regime).
    Mapped,
    /// The range cuts a block (EL2's own regime).
    CutsBlock,
    /// This regime has no such operation.
    NotHere,
}

impl Refusal {
    /// All refusals, in the order of their wire codes.
    pub const ALL: [Refusal; 21] = [
        Refusal::NoVm,
        Refusal::Exists,
        Refusal::IllegalConfiguration,
        Refusal::NoMemory,
        Refusal::Empty,
        Refusal::Misaligned,
        Refusal::Wraps,
        Refusal::IpaRange,
        Refusal::PaRange,
        Refusal::BadAttributes,
        Refusal::Denied,
        Refusal::Dying,
        Refusal::NotMapped,
        Refusal::BadOwner,
        Refusal::Busy,
        Refusal::BadLevel,
        Refusal::NothingBuilt,
        Refusal::NoPath,
        Refusal::Mapped,
        Refusal::CutsBlock,
        Refusal::NotHere,
    ];
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Nothing.
    Empty,
    /// The name of an owner.
    Annotated {
        /// The owner.
        owner: u8,
    },
    /// A leaf.
    Leaf(LeafContent),
    /// A leaf that was made invalid, to be revived.
    Softened(LeafContent),
}

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeafContent {
    /// Physical address of its first byte.
    pub pa: u64,
    /// Permissions.
    pub prot: Prot,
    /// Memory type.
    pub memory: MemoryType,
    /// Software bits, 0 to 15.
    pub software: u8,
    /// Whether its access flag is set.
    pub young: bool,
    /// Whether it was written to; false without hardware dirty state.
    pub dirty: bool,
}

/// What the subject answers to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done in full.
    Done,
    /// Freed; `pages` of the pool are neither free nor in a page cache now.
    Freed {
        /// Pages in use, over all VMs.
        pages: u32,
    },
    /// Done; whether any leaf in the range was young.
    Young(bool),
    /// The entry that decides over an address.
    Entry {
        /// Its level.
        level: i8,
        /// What it holds.
        entry: Entry,
    },
    /// Stopped at an entry boundary for want of pages; can be continued.
    NoPages {
        /// Bytes from the start of the range that are done; where 0, nothing changed.
        done: u64,
        /// Pages that the next step needs at once.
        need: u16,
    },
    /// Refused; nothing changed.
    Refused(Refusal),
    /// Not the subject's to answer: a guest access, a failing allocation.
    Nothing,
}

/// Kind of a translation fault, in the architecture's order of the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Translation fault.
    Translation,
    /// Address size fault.
    AddressSize,
    /// Access flag fault.
    AccessFlag,
    /// Permission fault.
    Permission,
    /// Stage-1 address size fault: the address exceeds the physical address size.
    Stage1AddressSize,
}

/// What a guest access comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessOutcome {
    /// It reached this physical address.
    Ok {
        /// Physical address, in bytes.
        pa: u64,
    },
    /// It faulted.
    Fault {
        /// What kind of fault.
        kind: FaultKind,
        /// Level of the lookup that faulted.
        level: i8,
    },
}
