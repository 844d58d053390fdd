//! What the operations so far have touched, as far as choices need to know.
//!
//! It follows operations roughly: refusals, failures and partly covered ranges
//! are not worked out. Neighbours and leftovers are good places all the same.

use arbitrary::{Result, Unstructured};
use ops::{Machine, MemoryType, Operation, Prot, VMS, Vm};

use super::Shape;

/// A range that an operation has mapped or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) vm: Vm,
    pub(crate) ipa: u64,
    pub(crate) size: u64,
    /// What it was mapped to, or `None` where it was unmapped.
    pub(crate) target: Option<Target>,
}

/// What a range was mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pa: u64,
    pub(crate) prot: Prot,
    pub(crate) memory: MemoryType,
}

/// The machine and what is in play on it.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) shape: Shape,
    /// Addresses to which a sequence returns, so that its ranges meet.
    pub(crate) focus: [u64; 2],
    /// The ranges that were touched last, oldest first.
    pub(crate) ranges: Vec<Range>,
    live: [bool; VMS],
}

/// Ranges that stay in play.
const MOST_RANGES: usize = 12;

impl Scene {
    /// The machine before its first step, after its stub.
    pub(crate) fn new(u: &mut Unstructured<'_>, machine: &Machine) -> Result<Scene> {
        let shape = Shape::new(machine);
        let mut scene = Scene {
            machine: *machine,
            shape,
            focus: [0; 2],
            ranges: Vec::new(),
            live: [false; VMS],
        };
        for operation in machine.operation_0() {
            scene.observe(&operation);
        }
        for index in 0..scene.focus.len() {
            scene.focus[index] = super::place::edge(u, &shape)?;
        }
        Ok(scene)
    }

    pub(crate) fn is_live(&self, vm: Vm) -> bool {
        self.live[vm.index()]
    }

    /// The VMs that exist.
    pub(crate) fn live_vms(&self) -> impl Iterator<Item = Vm> {
        all_vms().filter(|vm| self.is_live(*vm))
    }

    /// The ranges of a VM.
    pub(crate) fn ranges_of(&self, vm: Vm) -> impl DoubleEndedIterator<Item = &Range> {
        self.ranges.iter().filter(move |range| range.vm == vm)
    }

    /// Takes an operation into account.
    pub(crate) fn observe(&mut self, operation: &Operation) {
        match *operation {
            Operation::Create { vm } => self.live[vm.index()] = true,
            Operation::Free { vm } => {
                self.live[vm.index()] = false;
                self.ranges.retain(|range| range.vm != vm);
            }
            Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                ..
            } => {
                self.put(Range {
                    vm,
                    ipa,
                    size,
                    target: Some(Target { pa, prot, memory }),
                });
            }
            Operation::Unmap { vm, ipa, size } => self.put(Range {
                vm,
                ipa,
                size,
                target: None,
            }),
            Operation::Access { .. } | Operation::Fail { .. } => {}
        }
    }

    /// Puts a range in play, where it can be one; what it covers wholly goes.
    fn put(&mut self, range: Range) {
        let is_within = range
            .ipa
            .checked_add(range.size)
            .is_some_and(|end| end <= self.shape.space());
        if range.size == 0 || !is_within || !self.is_live(range.vm) {
            return;
        }
        self.ranges.retain(|other| !range.covers(other));
        if self.ranges.len() == MOST_RANGES {
            self.ranges.remove(0);
        }
        self.ranges.push(range);
    }
}

impl Range {
    fn covers(&self, other: &Range) -> bool {
        // Both end within the IPA space.
        self.vm == other.vm
            && self.ipa <= other.ipa
            && other.ipa + other.size <= self.ipa + self.size
    }
}

/// Every VM that a sequence can name.
pub(crate) fn all_vms() -> impl Iterator<Item = Vm> {
    (0..u8::MAX).map_while(Vm::new)
}
