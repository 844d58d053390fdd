//! What the contract (`docs/contract.md`) promises: an abstract address space
//! per VM, and the answer that each operation must give.
//!
//! - `legal`: which configurations are legal (section L);
//! - `registers`: what the system registers hold (section R);
//! - `content`: what entries hold, as stretches of entries that hold alike;
//! - `space`: the stretches of one address space, and the tables that follow;
//! - `edit`: how stretches change;
//! - `change`, `whole`, `resize`, `subtree`, and `own` for the hypervisor's: the operations on a space, after their
//!   preconditions, which are in `checks`;
//! - `apply`: operations and their answers;
//! - `dirty`: what the dirty log must be told;
//! - `edges`: the addresses at which a change is worth a look.
//!
//! It knows no table memory: which page a table lies in, and the order of
//! stores, are for the ledger and the protocol.

mod apply;
mod change;
mod checks;
mod content;
mod dirty;
mod edges;
mod edit;
pub mod legal;
mod own;
pub mod registers;
mod resize;
mod space;
mod subtree;
mod whole;

use crate::operation::{Machine, MemoryType, Prot};
pub use content::{Content, Stretch};
use dirty::Dirty;
use edges::Edges;
use legal::{Configuration, Illegal, Request};
use space::Space;
use subtree::Built;

/// The address spaces of all VMs, as the contract has them.
#[derive(Clone, Debug)]
pub struct Model {
    machine: Machine,
    configuration: Result<Configuration, Illegal>,
    /// VMs that do not exist stay here, for their buffers.
    vms: Vec<Vm>,
    effects: Effects,
}

/// What the last operation did beside its answer.
#[derive(Clone, Debug, Default)]
struct Effects {
    edges: Edges,
    dirty: Dirty,
}

impl Effects {
    fn clear(&mut self) {
        self.edges.clear();
        self.dirty.clear();
    }
}

/// One VM.
#[derive(Clone, Debug)]
struct Vm {
    number: usize,
    exists: bool,
    /// D1.
    dying: bool,
    vmid: u16,
    /// B2.
    built: Option<Built>,
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
    /// An access flag fault: the leaf is not young, and hardware does not make it so.
    Old {
        /// The level of the leaf.
        level: i8,
    },
    /// A translation fault.
    Unmapped {
        /// The level of the entry that decides over the IPA: empty, or a mark.
        fault_level: i8,
    },
    /// An IPA beyond the IPA size: a translation fault at level 0.
    OutOfRange,
    /// The VM does not exist: nothing is promised about any IPA.
    NoVm,
}

/// A maximal range with one PA offset, one set of permissions and one memory
/// type, whatever its leaves' sizes, in which all or none take an access flag fault.
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
    /// Its leaves are young, or hardware makes them so.
    pub accessible: bool,
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
            effects: Effects::default(),
        }
    }

    /// As [`Model::new`], but keeps the buffers.
    pub fn reset(&mut self, machine: &Machine) {
        self.machine = *machine;
        self.configuration = configuration(machine);
        for vm in &mut self.vms {
            vm.exists = false;
        }
        self.effects.clear();
    }

    /// Whether the VM exists.
    pub fn exists(&self, vm: usize) -> bool {
        self.vm(vm).is_some()
    }

    /// What an IPA means to a VM.
    pub fn lookup(&self, vm: usize, ipa: u64) -> Meaning {
        match self.vm(vm) {
            Some(vm) => vm.space.lookup(ipa, self.haf()),
            None => Meaning::NoVm,
        }
    }

    /// The VMID that the VM was created with.
    pub fn vmid(&self, vm: usize) -> Option<u16> {
        self.vm(vm).map(|vm| vm.vmid)
    }

    /// The control register of the machine's regime for the VM: R1, E2, Z1, Z3.
    pub fn control(&self, vm: usize) -> Option<u64> {
        let space = &self.vm(vm)?.space;
        Some(registers::control(space.configuration(), &self.machine))
    }

    /// The base register of the machine's regime for the VM with a root at `root_pa`: R3,
    /// E2, Z1, Z3; `None` also where it has no room for the VMID or the address.
    pub fn base(&self, vm: usize, root_pa: u64) -> Option<u64> {
        let vm = self.vm(vm)?;
        registers::base(vm.space.configuration(), &self.machine, vm.vmid, root_pa)
    }

    /// Whether hardware sets access flags (H1). In a regime of the hypervisor's own it
    /// does not (E2).
    fn haf(&self) -> bool {
        self.machine.features.haf && !self.machine.regime.is_own()
    }

    /// The table pages that the VM must have now, those of the root and of a subtree
    /// that is built included; 0 for a VM that does not exist.
    pub fn tables(&self, vm: usize) -> u32 {
        self.vm(vm).map_or(0, Vm::tables)
    }

    /// The table pages of all VMs (F3).
    pub fn tables_of_all(&self) -> u32 {
        let existing = self.vms.iter().filter(|vm| vm.exists);
        existing.fold(0, |sum, vm| sum.saturating_add(vm.tables()))
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
        self.effects.edges.ipas()
    }

    /// What the VM maps, in ascending order; nothing where it does not exist.
    pub fn runs(&self, vm: usize) -> impl Iterator<Item = Run> {
        let space = self.vm(vm).map(|vm| &vm.space);
        let haf = self.haf();
        space.into_iter().flat_map(move |space| space.runs(haf))
    }

    /// What the entries of the VM hold, leaves and marks, in ascending order; nothing
    /// where it does not exist.
    pub fn stretches(&self, vm: usize) -> &[Stretch] {
        self.vm(vm).map_or(&[], |vm| &vm.space.stretches)
    }

    /// Those of them that a range overlaps, as they are, not cut to the range.
    pub(crate) fn stretches_within(&self, vm: usize, from: u64, to: u64) -> &[Stretch] {
        let space = self.vm(vm).map(|vm| &vm.space);
        space.map_or(&[], |space| &space.stretches[space.overlapping(from, to)])
    }

    /// The bytes that an entry of a level of the tables covers; 0 for another level, and
    /// where the machine's configuration is illegal.
    pub(crate) fn entry_bytes(&self, level: i8) -> u64 {
        match self.configuration {
            Ok(configuration) if configuration.has_level(level) => configuration.entry_bytes(level),
            _ => 0,
        }
    }

    /// H3: first IPA and bytes of each leaf that the last operation had to tell the dirty
    /// log, ascending.
    pub fn dirty(&self) -> impl Iterator<Item = (u64, u64)> {
        self.effects.dirty.leaves()
    }

    /// Whether the VM exists and is dying (D1).
    pub fn is_dying(&self, vm: usize) -> bool {
        self.vm(vm).is_some_and(|vm| vm.dying)
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

impl Vm {
    fn tables(&self) -> u32 {
        let built = self.built.map_or(0, |built| built.tables);
        let built = u32::try_from(built).unwrap_or(u32::MAX);
        self.space.tables().saturating_add(built)
    }
}

fn configuration(machine: &Machine) -> Result<Configuration, Illegal> {
    legal::check(&Request::of(machine))
}
