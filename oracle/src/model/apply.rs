//! Operations: their preconditions in the contract's order, and their answers.

use super::legal::Configuration;
use super::space::Space;
use super::{Model, Run, Supply, Vm};
use crate::operation::{Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Span};

impl Model {
    /// Applies one operation and says what the contract demands as its answer;
    /// `supply` says what the page source did meanwhile. A refused operation
    /// changes nothing but [`Model::edges`].
    ///
    /// The result of an access is the walker's: here it is `Done`.
    pub fn apply(&mut self, operation: &Operation, supply: Supply) -> Outcome {
        self.edges.clear();
        let answer = match *operation {
            Operation::Create { vm, vmid } => self.create(vm, vmid, supply),
            Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                pages_only,
                ..
            } => {
                let wanted = Run {
                    ipa,
                    bytes: size,
                    pa,
                    prot,
                    memory,
                };
                self.map(vm, &wanted, pages_only, supply)
            }
            Operation::Unmap { vm, ipa, size } => self.unmap(vm, ipa, size, supply),
            Operation::Free { vm } => Ok(self.free(vm)),
            Operation::Access { vm, ipa, .. } => self.access(vm, ipa),
            Operation::Range { .. }
            | Operation::Protect { .. }
            | Operation::Annotate { .. }
            | Operation::Relax { .. }
            | Operation::MakeYoung { .. }
            | Operation::Leaf { .. }
            | Operation::Build { .. }
            | Operation::Link { .. }
            | Operation::Discard { .. }
            | Operation::Conflict { .. } => Err(Refusal::NotHere),
        };
        self.edges.finish();
        answer.unwrap_or_else(Outcome::Refused)
    }

    fn create(&mut self, vm: usize, vmid: u16, supply: Supply) -> Result<Outcome, Refusal> {
        if self.exists(vm) {
            return Err(Refusal::Exists);
        }
        let configuration = self
            .configuration
            .map_err(|_| Refusal::IllegalConfiguration)?;
        if supply.root_failed {
            return Err(Refusal::NoMemory);
        }
        if let Some(unused) = self.vms.iter_mut().find(|vm| !vm.exists) {
            unused.number = vm;
            unused.exists = true;
            unused.vmid = vmid;
            unused.space.reset(configuration);
        } else {
            self.vms.push(Vm {
                number: vm,
                exists: true,
                vmid,
                space: Space::new(configuration),
            });
        }
        self.edges.start(configuration.ipa_end());
        self.edges.add(0);
        self.edges.add(configuration.ipa_end());
        Ok(Outcome::Done)
    }

    fn map(
        &mut self,
        vm: usize,
        wanted: &Run,
        pages_only: bool,
        supply: Supply,
    ) -> Result<Outcome, Refusal> {
        let index = self.index(vm).ok_or(Refusal::NoVm)?;
        let space = &mut self.vms[index].space;
        self.edges.start(space.configuration().ipa_end());
        self.edges.add_range(wanted.ipa, wanted.bytes);
        check_range(
            space.configuration(),
            wanted.ipa,
            Some(wanted.pa),
            wanted.bytes,
        )?;
        check_output(space.configuration(), wanted)?;
        check_attributes(wanted.prot, wanted.memory)?;
        check_ownership(&self.machine, wanted)?;
        Ok(space.map(wanted, pages_only, supply.available, &mut self.edges))
    }

    fn unmap(
        &mut self,
        vm: usize,
        ipa: u64,
        size: u64,
        supply: Supply,
    ) -> Result<Outcome, Refusal> {
        let index = self.index(vm).ok_or(Refusal::NoVm)?;
        let space = &mut self.vms[index].space;
        self.edges.start(space.configuration().ipa_end());
        self.edges.add_range(ipa, size);
        check_range(space.configuration(), ipa, None, size)?;
        Ok(space.unmap(ipa, ipa + size, supply.available, &mut self.edges))
    }

    /// F1 to F3.
    fn free(&mut self, vm: usize) -> Outcome {
        if let Some(index) = self.index(vm) {
            self.vms[index].exists = false;
        }
        Outcome::Freed {
            pages: self.tables_of_all(),
        }
    }

    fn access(&mut self, vm: usize, ipa: u64) -> Result<Outcome, Refusal> {
        let index = self.index(vm).ok_or(Refusal::NoVm)?;
        let space = &self.vms[index].space;
        self.edges.start(space.configuration().ipa_end());
        self.edges.add(ipa);
        Ok(Outcome::Done)
    }
}

/// M2 to M5 and U2 to U5; `pa` is the first PA of a map.
fn check_range(
    configuration: &Configuration,
    ipa: u64,
    pa: Option<u64>,
    size: u64,
) -> Result<(), Refusal> {
    if size == 0 {
        return Err(Refusal::Empty);
    }
    let starts = || pa.into_iter().chain([ipa]);
    let aligned = |address: u64| address.is_multiple_of(configuration.page_bytes());
    if !aligned(size) || !starts().all(aligned) {
        return Err(Refusal::Misaligned);
    }
    if starts().any(|start| start.checked_add(size).is_none()) {
        return Err(Refusal::Wraps);
    }
    if ipa + size > configuration.ipa_end() {
        return Err(Refusal::IpaRange);
    }
    Ok(())
}

/// M6.
fn check_output(configuration: &Configuration, wanted: &Run) -> Result<(), Refusal> {
    if wanted.pa + wanted.bytes > configuration.output_end() {
        return Err(Refusal::PaRange);
    }
    Ok(())
}

/// M7.
fn check_attributes(prot: Prot, memory: MemoryType) -> Result<(), Refusal> {
    let executes = prot.execute != Execute::Never;
    let nothing = !(prot.read || prot.write || executes);
    if nothing || (executes && memory == MemoryType::Device) {
        return Err(Refusal::BadAttributes);
    }
    Ok(())
}

/// M8.
fn check_ownership(machine: &Machine, wanted: &Run) -> Result<(), Refusal> {
    let last = wanted.pa + (wanted.bytes - 1);
    let shares = |span: Span| {
        span.bytes != 0
            && span.base <= last
            && wanted.pa <= span.base.saturating_add(span.bytes - 1)
    };
    if shares(machine.hypervisor) || shares(machine.pool) {
        return Err(Refusal::Denied);
    }
    Ok(())
}
