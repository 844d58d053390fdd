//! What a sequence asks for.

/// Number of VMs that a sequence can name: `a` to `d`.
pub const VMS: usize = 4;

/// A VM of the sequence: an index below `VMS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vm(u8);

impl Vm {
    /// The VM of this index, or `None` from `VMS` on.
    #[must_use]
    pub const fn new(index: u8) -> Option<Vm> {
        if (index as usize) < VMS {
            Some(Vm(index))
        } else {
            None
        }
    }

    /// The first VM, `a`.
    pub const A: Vm = Vm(0);

    /// Index below `VMS`.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// VMID under which the VM's translations are tagged: the index plus one, or with
    /// VMIDs of 16 bits (`wide`) that number in the high byte, and all VMs alike in the
    /// low one.
    #[must_use]
    pub const fn vmid(self, wide: bool) -> u16 {
        let number = self.0 as u16 + 1;
        if wide { number << 8 | 1 } else { number }
    }

    /// Its name in text: `a` to `d`.
    #[must_use]
    pub const fn name(self) -> char {
        (b'a' + self.0) as char
    }
}

/// Who may fetch instructions from a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    /// All of them.
    pub const ALL: [Execute; 4] = [Execute::Never, Execute::Both, Execute::El1, Execute::El0];
}

/// What a guest may do with a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prot {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: Execute,
}

/// Memory type of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryType {
    /// Normal, inner and outer write-back, inner shareable.
    Normal,
    /// Device-nGnRE.
    Device,
    /// Normal, inner and outer non-cacheable.
    NonCacheable,
    /// Device-nGnRnE.
    DeviceStrict,
}

impl MemoryType {
    /// All of them.
    pub const ALL: [MemoryType; 4] = [
        MemoryType::Normal,
        MemoryType::Device,
        MemoryType::NonCacheable,
        MemoryType::DeviceStrict,
    ];

    /// Whether it is a type of device memory.
    #[must_use]
    pub const fn is_device(self) -> bool {
        matches!(self, MemoryType::Device | MemoryType::DeviceStrict)
    }
}

/// What a range operation without further operands does (contract W, T2, D).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Removes every leaf and mark that the range overlaps.
    UnmapWhole,
    /// Takes the permission to write.
    WriteProtect,
    /// Makes leaves invalid, keeping what they were.
    Soften,
    /// Makes softened leaves valid again.
    Revive,
    /// Cleans and invalidates the memory behind leaves.
    Flush,
    /// Asks whether any leaf is young.
    TestYoung,
    /// Asks the same, and makes all of them old.
    ClearYoung,
    /// Replaces tables that map what one block can map by that block.
    Coalesce,
    /// Splits blocks into pages.
    Split,
    /// Takes tables away from a VM that will not run any more.
    Destroy,
}

impl Action {
    /// All actions, in the order of their wire tags.
    pub const ALL: [Action; 10] = [
        Action::UnmapWhole,
        Action::WriteProtect,
        Action::Soften,
        Action::Revive,
        Action::Flush,
        Action::TestYoung,
        Action::ClearYoung,
        Action::Coalesce,
        Action::Split,
        Action::Destroy,
    ];
}

/// What a guest access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// An 8-byte load at EL1.
    Read,
    /// An 8-byte store at EL1.
    Write,
    /// An instruction fetch at EL1.
    Execute,
}

/// One operation. Addresses and sizes are in bytes, any 64-bit value.
/// The clauses that govern each are in `docs/contract.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates the VM and allocates its root tables.
    Create {
        /// The VM.
        vm: Vm,
    },
    /// Maps a range of IPAs to as long a range of PAs.
    Map {
        /// The VM.
        vm: Vm,
        /// First IPA.
        ipa: u64,
        /// First PA.
        pa: u64,
        /// Length.
        size: u64,
        /// Permissions.
        prot: Prot,
        /// Memory type.
        memory: MemoryType,
        /// Software bits, 0 to 15.
        software: u8,
        /// Write pages where blocks would fit.
        pages_only: bool,
    },
    /// Removes exactly this range, splitting blocks that it cuts.
    Unmap {
        /// The VM.
        vm: Vm,
        /// First IPA.
        ipa: u64,
        /// Length.
        size: u64,
    },
    /// Does something to every entry that the range overlaps.
    Range {
        /// The VM.
        vm: Vm,
        /// What.
        action: Action,
        /// First IPA.
        ipa: u64,
        /// Length.
        size: u64,
    },
    /// Gives exactly this range these permissions, splitting blocks that it cuts.
    Protect {
        /// The VM.
        vm: Vm,
        /// First IPA.
        ipa: u64,
        /// Length.
        size: u64,
        /// Permissions.
        prot: Prot,
    },
    /// Makes exactly this range invalid, with the name of an owner in it.
    Annotate {
        /// The VM.
        vm: Vm,
        /// First IPA.
        ipa: u64,
        /// Length.
        size: u64,
        /// The owner; 0 is refused.
        owner: u8,
    },
    /// Adds permissions to the leaf that covers an address.
    Relax {
        /// The VM.
        vm: Vm,
        /// Any address that the leaf covers.
        ipa: u64,
        /// What to add.
        prot: Prot,
    },
    /// Sets the access flag of the leaf that covers an address.
    MakeYoung {
        /// The VM.
        vm: Vm,
        /// Any address that the leaf covers.
        ipa: u64,
    },
    /// Asks for the entry that decides over an address.
    Leaf {
        /// The VM.
        vm: Vm,
        /// The address.
        ipa: u64,
    },
    /// Builds a table that maps what one entry covers, without linking it.
    Build {
        /// The VM.
        vm: Vm,
        /// First IPA that the entry covers.
        ipa: u64,
        /// First PA.
        pa: u64,
        /// Level of the entry.
        level: i8,
        /// Permissions.
        prot: Prot,
        /// Memory type.
        memory: MemoryType,
        /// Software bits, 0 to 15.
        software: u8,
        /// Write pages where blocks would fit.
        pages_only: bool,
    },
    /// Links what was built.
    Link {
        /// The VM.
        vm: Vm,
    },
    /// Gives back what was built.
    Discard {
        /// The VM.
        vm: Vm,
    },
    /// Answers a TLB conflict abort.
    Conflict {
        /// The VM.
        vm: Vm,
    },
    /// Destroys the VM with all its tables.
    Free {
        /// The VM.
        vm: Vm,
    },
    /// The guest accesses an address.
    Access {
        /// The VM.
        vm: Vm,
        /// Where.
        ipa: u64,
        /// How.
        kind: AccessKind,
    },
    /// An allocation to come fails: the next one where `after` is 0.
    /// A later `Fail` replaces an earlier one that has not struck.
    Fail {
        /// Allocations that still succeed before it.
        after: u16,
    },
}

impl Operation {
    /// The VM that it is about; none for a failing allocation.
    #[must_use]
    pub const fn vm(&self) -> Option<Vm> {
        match *self {
            Operation::Create { vm }
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
            | Operation::Access { vm, .. } => Some(vm),
            Operation::Fail { .. } => None,
        }
    }
}
