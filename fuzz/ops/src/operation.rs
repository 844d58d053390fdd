//! What a sequence asks for.

/// Number of VMs that a sequence can name: `a` to `d`.
pub const VMS: usize = 4;

/// A VM of the sequence: an index below `VMS`. Its VMID is the index plus one.
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

    /// VMID under which the VM's translations are tagged.
    #[must_use]
    pub const fn vmid(self) -> u16 {
        self.0 as u16 + 1
    }

    /// Its name in text: `a` to `d`.
    #[must_use]
    pub const fn name(self) -> char {
        (b'a' + self.0) as char
    }
}

/// What a guest may do with a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prot {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches, at EL1 and EL0 alike.
    pub execute: bool,
}

/// Memory type of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryType {
    /// Normal, inner and outer write-back, inner shareable.
    Normal,
    /// Device-nGnRE.
    Device,
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
