//! What the operations so far have touched, as far as choices need to know.
//!
//! It follows operations roughly: refusals, failures and partly covered ranges
//! are not worked out. Neighbours and leftovers are good places all the same.

use arbitrary::{Result, Unstructured};
use ops::{Action, Machine, MemoryType, Operation, Prot, VMS, Vm};

use super::Shape;

/// A range that an operation has mapped or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) vm: Vm,
    pub(crate) ipa: u64,
    pub(crate) size: u64,
    /// What it was mapped to, or `None` where it was unmapped or annotated.
    pub(crate) target: Option<Target>,
}

/// What a range was mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pa: u64,
    pub(crate) prot: Prot,
    pub(crate) memory: MemoryType,
    pub(crate) software: u8,
}

/// What a VM is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    is_live: bool,
    is_dying: bool,
    /// What was built and not linked.
    built: Option<Range>,
}

/// The machine and what is in play on it.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) shape: Shape,
    /// Addresses to which a sequence returns, so that its ranges meet.
    pub(crate) focus: [u64; 2],
    /// The ranges that were touched last, oldest first.
    pub(crate) ranges: Vec<Range>,
    states: [State; VMS],
}

/// Ranges that stay in play.
const MOST_RANGES: usize = 12;

impl Scene {
    /// The machine before its first step, after operation 0.
    pub(crate) fn new(u: &mut Unstructured<'_>, machine: &Machine) -> Result<Scene> {
        let shape = Shape::new(machine);
        let mut scene = Scene {
            machine: *machine,
            shape,
            focus: [0; 2],
            ranges: Vec::new(),
            states: [State::default(); VMS],
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
        self.states[vm.index()].is_live
    }

    /// Whether the VM is being destroyed.
    pub(crate) fn is_dying(&self, vm: Vm) -> bool {
        self.states[vm.index()].is_dying
    }

    /// Whether something is built in the VM that is not linked.
    pub(crate) fn has_built(&self, vm: Vm) -> bool {
        self.states[vm.index()].built.is_some()
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
        let range = range(operation, &self.shape);
        match *operation {
            Operation::Create { vm } => self.states[vm.index()].is_live = true,
            Operation::Free { vm } => {
                self.states[vm.index()] = State::default();
                self.ranges.retain(|range| range.vm != vm);
            }
            Operation::Build { vm, .. } => self.states[vm.index()].built = range,
            Operation::Link { vm } => {
                let built = self.states[vm.index()].built.take();
                built.into_iter().for_each(|range| self.put(range));
            }
            Operation::Discard { vm } => self.states[vm.index()].built = None,
            Operation::Range {
                action: Action::Destroy,
                vm,
                ..
            } => self.states[vm.index()].is_dying = true,
            Operation::Protect { prot, .. } => self.permit(range, |_| prot),
            Operation::Range {
                action: Action::WriteProtect,
                ..
            } => self.permit(range, |prot| Prot {
                write: false,
                ..prot
            }),
            Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Annotate { .. }
            | Operation::Range {
                action: Action::UnmapWhole,
                ..
            } => range.into_iter().for_each(|range| self.put(range)),
            // What is softened can be revived, and stays in play.
            Operation::Range { .. }
            | Operation::Relax { .. }
            | Operation::MakeYoung { .. }
            | Operation::Leaf { .. }
            | Operation::Conflict { .. }
            | Operation::Access { .. }
            | Operation::Fail { .. } => {}
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

    /// Changes the permissions of the ranges that `changed` covers.
    fn permit(&mut self, changed: Option<Range>, permit: impl Fn(Prot) -> Prot) {
        let Some(changed) = changed else { return };
        for range in &mut self.ranges {
            let is_covered = changed.covers(range);
            if let Some(target) = range.target.as_mut().filter(|_| is_covered) {
                target.prot = permit(target.prot);
            }
        }
    }
}

impl Range {
    fn covers(&self, other: &Range) -> bool {
        let end = |range: &Range| range.ipa.saturating_add(range.size);
        self.vm == other.vm && self.ipa <= other.ipa && end(other) <= end(self)
    }
}

/// The range that an operation is about, as it is after the operation.
fn range(operation: &Operation, shape: &Shape) -> Option<Range> {
    let mut operation = *operation;
    let parts = operation.parts();
    let entry = parts.level.map(|level| shape.entry(*level));
    let size = entry.or(parts.size.copied());
    let target = parts
        .pa
        .zip(parts.prot)
        .zip(parts.memory)
        .zip(parts.software);
    Some(Range {
        vm: *parts.vm?,
        ipa: *parts.ipa?,
        size: size?,
        target: target.map(|(((pa, prot), memory), software)| Target {
            pa: *pa,
            prot: *prot,
            memory: *memory,
            software: *software,
        }),
    })
}

/// Every VM that a sequence can name.
pub(crate) fn all_vms() -> impl Iterator<Item = Vm> {
    (0..u8::MAX).map_while(Vm::new)
}
