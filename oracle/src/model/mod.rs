//! What the contract (`docs/contract.md`) promises: an abstract address space
//! per VM, and the answer that each operation must give.
//!
//! - `legal`: which configurations are legal (section L);
//! - `registers`: what the system registers hold (section R);
//! - `space`: the leaves of one address space, and the tables that follow;
//! - `change`: map and unmap on a space, after their preconditions;
//! - `apply`: operations, their preconditions and their answers;
//! - `edges`: the addresses at which a change is worth a look.
//!
//! It knows no table memory: which page a table lies in, and the order of
//! stores, are for the ledger and the protocol.

mod apply;
mod change;
mod edges;
pub mod legal;
pub mod registers;
mod space;

use crate::operation::{Machine, MemoryType, Prot};
use edges::Edges;
use legal::{Configuration, Illegal};
use space::Space;

/// The address spaces of all VMs, as the contract has them.
#[derive(Clone, Debug)]
pub struct Model {
    machine: Machine,
    configuration: Result<Configuration, Illegal>,
    /// VMs that do not exist stay here, for their buffers.
    vms: Vec<Vm>,
    edges: Edges,
}

/// One VM.
#[derive(Clone, Debug)]
struct Vm {
    number: usize,
    exists: bool,
    vmid: u16,
    space: Space,
}

/// What an IPA means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It translates.
    Mapped {
        /// The physical address of that very byte.
        pa: u64,
        /// What the guest may do.
        prot: Prot,
        /// The memory type.
        memory: MemoryType,
        /// The level of the leaf.
        level: i8,
    },
    /// A translation fault.
    Unmapped {
        /// The level of the deepest table that covers the IPA.
        fault_level: i8,
    },
    /// An IPA beyond the IPA size: a translation fault at level 0.
    OutOfRange,
    /// The VM does not exist: nothing is promised about any IPA.
    NoVm,
}

/// A maximal range with one PA offset, one set of permissions and one memory
/// type, whatever its leaves' sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First IPA.
    pub ipa: u64,
    /// Bytes.
    pub bytes: u64,
    /// The PA of the first byte.
    pub pa: u64,
    /// What the guest may do.
    pub prot: Prot,
    /// The memory type.
    pub memory: MemoryType,
}

/// What the page source did while an operation ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// Pages in the page cache after the top-up (P2).
    pub available: u32,
    /// The allocation of the root failed (C3).
    pub root_failed: bool,
}

impl Model {
    /// No VM exists yet. A machine with an illegal configuration is accepted:
    /// every create is refused on it.
    pub fn new(machine: &Machine) -> Model {
        Model {
            machine: *machine,
            configuration: configuration(machine),
            vms: Vec::new(),
            edges: Edges::default(),
        }
    }

    /// As [`Model::new`], but keeps the buffers.
    pub fn reset(&mut self, machine: &Machine) {
        self.machine = *machine;
        self.configuration = configuration(machine);
        for vm in &mut self.vms {
            vm.exists = false;
        }
        self.edges.clear();
    }

    /// Whether the VM exists.
    pub fn exists(&self, vm: usize) -> bool {
        self.vm(vm).is_some()
    }

    /// What an IPA means to a VM.
    pub fn lookup(&self, vm: usize, ipa: u64) -> Meaning {
        match self.vm(vm) {
            Some(vm) => vm.space.lookup(ipa),
            None => Meaning::NoVm,
        }
    }

    /// The VMID that the VM was created with.
    pub fn vmid(&self, vm: usize) -> Option<u16> {
        self.vm(vm).map(|vm| vm.vmid)
    }

    /// R1: the VM's `VTCR_EL2`.
    pub fn vtcr(&self, vm: usize) -> Option<u64> {
        let space = &self.vm(vm)?.space;
        Some(registers::vtcr(space.configuration()))
    }

    /// R3: the VM's `VTTBR_EL2` for a root at `root_pa`; `None` also where the
    /// register has no room for the VMID or the address.
    pub fn vttbr(&self, vm: usize, root_pa: u64) -> Option<u64> {
        let vm = self.vm(vm)?;
        registers::vttbr(vm.space.configuration(), vm.vmid, root_pa)
    }

    /// The table pages that the VM must have now, those of the root included;
    /// 0 for a VM that does not exist.
    pub fn tables(&self, vm: usize) -> u32 {
        self.vm(vm).map_or(0, |vm| vm.space.tables())
    }

    /// The table pages of all VMs (F3).
    pub fn tables_of_all(&self) -> u32 {
        let existing = self.vms.iter().filter(|vm| vm.exists);
        existing.fold(0, |sum, vm| sum.saturating_add(vm.space.tables()))
    }

    /// Section L's answer for the machine.
    pub fn configuration(&self) -> Result<Configuration, Illegal> {
        self.configuration
    }

    /// The binary logarithm of the number of root pages; `None` where the
    /// configuration is illegal.
    pub fn root_order(&self) -> Option<u8> {
        Some(self.configuration.ok()?.root_order())
    }

    /// P3: the stated capacity of the page cache, in pages; `None` where the
    /// machine states none and its configuration is illegal.
    pub fn cache_capacity(&self) -> Option<u16> {
        let twice = |configuration: Configuration| 2 * u16::from(configuration.levels_below_root());
        self.machine
            .cache_pages
            .or(self.configuration.ok().map(twice))
    }

    /// IPAs worth a probe after the last operation, in the address space of its
    /// VM: both sides of each edge of what it touched. Ascending, each a
    /// multiple of 8 below `2^ipa_bits`, at most 24; none where the VM does not
    /// exist.
    pub fn edges(&self) -> &[u64] {
        self.edges.ipas()
    }

    /// What the VM maps, in ascending order; nothing where it does not exist.
    pub fn runs(&self, vm: usize) -> impl Iterator<Item = Run> {
        let space = self.vm(vm).map(|vm| &vm.space);
        space.into_iter().flat_map(Space::runs)
    }

    fn vm(&self, number: usize) -> Option<&Vm> {
        Some(&self.vms[self.index(number)?])
    }

    /// Where the VM is, if it exists.
    fn index(&self, number: usize) -> Option<usize> {
        let wanted = |vm: &Vm| vm.exists && vm.number == number;
        self.vms.iter().position(wanted)
    }
}

fn configuration(machine: &Machine) -> Result<Configuration, Illegal> {
    legal::check(
        machine.granule,
        machine.start_level,
        machine.ipa_bits,
        machine.pa_bits,
    )
}
