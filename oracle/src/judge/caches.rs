//! Cache maintenance of guests' memory: before a leaf is stored (K1, K2), by flush (W5),
//! and none beside that (K3).

use std::ops::Range;

use crate::event::Record;
use crate::model::{Content, Model};
use crate::operation::{Action, Execute, LeafContent, Machine, MemoryType, Operation, Outcome};
use crate::protocol::{Maintenance, Ranges};
use crate::verdict::{Class, Finding};

/// What one operation must maintain, and what it did.
#[derive(Clone, Debug)]
pub(super) struct Caches {
    /// K1 applies: not in the hypervisor's own address space (E7).
    for_guests: bool,
    fwb: bool,
    idc: bool,
    dic: bool,
    maintenance: Maintenance,
    /// Memory behind leaves for which the contract asked.
    asked: Ranges,
}

/// A leaf that was stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) ipa: u64,
    pub(super) bytes: u64,
    pub(super) leaf: LeafContent,
}

impl Stored {
    fn memory(&self) -> Range<u64> {
        self.leaf.pa..self.leaf.pa.saturating_add(self.bytes)
    }
}

impl Caches {
    pub(super) fn new(machine: &Machine) -> Caches {
        Caches {
            for_guests: !machine.regime.is_own(),
            fwb: machine.features.fwb,
            idc: machine.idc,
            dic: machine.dic,
            maintenance: Maintenance::default(),
            asked: Ranges::default(),
        }
    }

    /// An operation starts.
    pub(super) fn begin(&mut self) {
        self.maintenance.begin();
        self.asked.clear();
    }

    /// One event; `table` says whether an address is in table memory.
    pub(super) fn event(&mut self, record: &Record, table: impl Fn(u64) -> bool) {
        self.maintenance.event(record, table);
    }

    /// A leaf that walkers can reach was stored; `is_new` is whether it is what map was
    /// asked for. `old` is what the model has there before the operation.
    pub(super) fn stored(
        &mut self,
        operation: &Operation,
        stored: &Stored,
        is_new: bool,
        old: impl Fn() -> Option<LeafContent>,
    ) -> Result<(), Finding> {
        let flushed = is_new && self.is_flushed_first(stored.leaf.memory);
        let executed = match operation {
            Operation::Protect { .. } | Operation::Relax { .. } => {
                old().is_some_and(|old| adds_execution(old, stored.leaf))
            }
            _ => is_new && stored.leaf.prot.execute != Execute::Never,
        };
        self.must_be_maintained(&stored.memory(), flushed, executed)
    }

    /// K1, for what the leaf maps.
    fn is_flushed_first(&self, memory: MemoryType) -> bool {
        match memory {
            MemoryType::Normal => self.for_guests && !self.fwb,
            MemoryType::NonCacheable => self.for_guests,
            MemoryType::Device | MemoryType::DeviceStrict => false,
        }
    }

    fn must_be_maintained(
        &mut self,
        memory: &Range<u64>,
        flushed: bool,
        executed: bool,
    ) -> Result<(), Finding> {
        if flushed || executed {
            self.asked.add(memory.clone());
        }
        let missing = |rule, why: &str| {
            let what = format!(
                "a leaf that maps {:#x} to {:#x} is stored before {why}",
                memory.start, memory.end
            );
            Err(Finding::new(Class::Cache, rule, what))
        };
        if flushed && !self.maintenance.is_flushed(memory) {
            return missing("K1", "a DSB ISH completes DC CIVAC of all its lines");
        }
        if executed && !self.maintenance.may_be_fetched(memory, self.idc, self.dic) {
            return missing("K2", "fetches are sure to find what was stored there");
        }
        Ok(())
    }

    /// What is known only when the operation is over, and before the model applies it:
    /// what it built, and what it flushed.
    pub(super) fn end(
        &mut self,
        operation: &Operation,
        outcome: Outcome,
        model: &Model,
    ) -> Result<(), Finding> {
        if outcome == Outcome::Done {
            self.end_of_build(operation, model)?;
            self.end_of_flush(operation, model)?;
        }
        Ok(())
    }

    /// K3, once everything else is right: nothing was maintained but what had to be.
    pub(super) fn nothing_beyond(&self) -> Result<(), Finding> {
        match self.maintenance.all().first_beyond(&self.asked) {
            None => Ok(()),
            Some(memory) => {
                let what = format!(
                    "caches are maintained for {:#x} to {:#x}, more than what is asked for",
                    memory.start, memory.end
                );
                Err(Finding::new(Class::Cache, "K3", what))
            }
        }
    }

    fn end_of_build(&mut self, operation: &Operation, model: &Model) -> Result<(), Finding> {
        let Operation::Build {
            pa,
            level,
            prot,
            memory,
            ..
        } = *operation
        else {
            return Ok(());
        };
        let bytes = model.entry_bytes(level);
        let flushed = self.is_flushed_first(memory);
        let executed = prot.execute != Execute::Never;
        self.must_be_maintained(&(pa..pa.saturating_add(bytes)), flushed, executed)
    }

    /// W5.
    fn end_of_flush(&mut self, operation: &Operation, model: &Model) -> Result<(), Finding> {
        let Operation::Range {
            vm,
            action: Action::Flush,
            ipa,
            size,
        } = *operation
        else {
            return Ok(());
        };
        let end = ipa.saturating_add(size);
        for stretch in model.stretches_within(vm, ipa, end) {
            let Content::Leaf(leaf) = stretch.content else {
                continue;
            };
            if !self.is_flushed_first(leaf.memory) {
                continue;
            }
            let pa = |at: u64| leaf.pa + (at - stretch.ipa);
            let bytes = model.entry_bytes(stretch.level);
            let whole = |at: u64| (at - at % bytes).max(stretch.ipa);
            let last = whole(end.min(stretch.end()) - 1) + bytes;
            self.asked.add(pa(whole(ipa.max(stretch.ipa)))..pa(last));
            let covered = ipa.max(stretch.ipa)..end.min(stretch.end());
            let memory = pa(covered.start)..leaf.pa + (covered.end - stretch.ipa);
            if !self.maintenance.is_flushed(&memory) {
                let what = format!(
                    "no DSB ISH completes DC CIVAC of all lines from {:#x} to {:#x}",
                    memory.start, memory.end
                );
                let bytes = covered.end - covered.start;
                let finding = Finding::new(Class::Cache, "W5", what);
                return Err(finding.at(vm, covered.start, bytes));
            }
        }
        Ok(())
    }
}

/// Whether execution is granted at an EL where it was not.
fn adds_execution(old: LeafContent, new: LeafContent) -> bool {
    let (old, new) = (old.prot.execute, new.prot.execute);
    new.at_el1() && !old.at_el1() || new.at_el0() && !old.at_el0()
}
