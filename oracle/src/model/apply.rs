//! Operations: their preconditions in the contract's order, and their answers.

use super::change::Wanted;
use super::checks;
use super::content::Content;
use super::own;
use super::space::Space;
use super::subtree::Built;
use super::whole::{is_device, sum};
use super::{Model, Supply, Vm};
use crate::operation::{
    AccessKind, Action, EntryContent, Execute, LeafContent, MemoryType, Operation, Outcome, Prot,
    Refusal,
};

/// A range of an operation.
#[derive(Clone, Copy)]
struct Range {
    ipa: u64,
    size: u64,
}

impl Range {
    fn end(&self) -> u64 {
        self.ipa + self.size
    }
}

impl Model {
    /// Applies one operation and says what the contract demands as its answer;
    /// `supply` says what the page source did meanwhile. A refused operation
    /// changes nothing but [`Model::edges`] and [`Model::dirty`].
    ///
    /// The result of an access is the walker's: here it is `Done`, and what hardware
    /// writes to the leaf (section H) is done.
    pub fn apply(&mut self, operation: &Operation, supply: Supply) -> Outcome {
        self.effects.clear();
        let answer = self.answer(operation, supply);
        self.effects.edges.finish();
        answer.unwrap_or_else(Outcome::Refused)
    }

    fn answer(&mut self, operation: &Operation, supply: Supply) -> Result<Outcome, Refusal> {
        if self.machine.regime.is_own() && !own::is_here(operation) {
            return Err(Refusal::NotHere);
        }
        let pages = supply.available;
        match *operation {
            Operation::Create { vm, vmid } => self.create(vm, vmid, supply),
            Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                software,
                pages_only,
            } => {
                let leaf = fresh(pa, prot, memory, software);
                self.map(vm, Range { ipa, size }, leaf, pages_only, pages)
            }
            Operation::Unmap { vm, ipa, size } => self.unmap(vm, Range { ipa, size }, pages),
            Operation::Range {
                vm,
                action: Action::Destroy,
                ipa,
                size,
            } => self.destroy(vm, Range { ipa, size }),
            Operation::Range {
                vm,
                action,
                ipa,
                size,
            } => self.act(vm, action, Range { ipa, size }, pages),
            Operation::Protect {
                vm,
                ipa,
                size,
                prot,
            } => self.protect(vm, Range { ipa, size }, prot, pages),
            Operation::Annotate {
                vm,
                ipa,
                size,
                owner,
            } => self.annotate(vm, Range { ipa, size }, owner, pages),
            Operation::Relax { vm, ipa, prot } => self.relax(vm, ipa, prot),
            Operation::MakeYoung { vm, ipa } => self.make_young(vm, ipa),
            Operation::Leaf { vm, ipa } => self.leaf(vm, ipa),
            Operation::Build {
                vm,
                ipa,
                pa,
                level,
                prot,
                memory,
                software,
                pages_only,
            } => {
                let leaf = fresh(pa, prot, memory, software);
                self.build(vm, (ipa, level), leaf, pages_only, pages)
            }
            Operation::Link { vm } => self.link(vm),
            Operation::Discard { vm } => self.discard(vm),
            Operation::Conflict { vm } => self.alive(vm).map(|_| Outcome::Done),
            Operation::Free { vm } => Ok(self.free(vm)),
            Operation::Access { vm, ipa, kind } => self.access(vm, ipa, kind),
        }
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
            unused.dying = false;
            unused.built = None;
            unused.vmid = vmid;
            unused.space.reset(configuration);
        } else {
            self.vms.push(Vm {
                number: vm,
                exists: true,
                dying: false,
                built: None,
                vmid,
                space: Space::new(configuration),
            });
        }
        self.effects.edges.start(configuration.ipa_end());
        self.effects.edges.add(0);
        self.effects.edges.add(configuration.ipa_end());
        Ok(Outcome::Done)
    }

    /// M1, and what D1 puts in its place.
    fn alive(&mut self, vm: usize) -> Result<usize, Refusal> {
        let index = self.index(vm).ok_or(Refusal::NoVm)?;
        let space = &self.vms[index].space;
        self.effects.edges.start(space.configuration().ipa_end());
        if self.vms[index].dying {
            return Err(Refusal::Dying);
        }
        Ok(index)
    }

    /// U1 to U5.
    fn alive_with(&mut self, vm: usize, range: Range) -> Result<usize, Refusal> {
        let index = self.alive(vm)?;
        self.effects.edges.add_range(range.ipa, range.size);
        let configuration = self.vms[index].space.configuration();
        checks::range(configuration, range.ipa, None, range.size)?;
        Ok(index)
    }

    /// Y1 without its middle, for an operation on one address.
    fn alive_at(&mut self, index: usize, ipa: u64) -> Result<&mut Space, Refusal> {
        self.effects.edges.add(ipa);
        let space = &mut self.vms[index].space;
        if ipa >= space.configuration().ipa_end() {
            return Err(Refusal::IpaRange);
        }
        space.add_block_edges(ipa, &mut self.effects);
        Ok(space)
    }

    fn map(
        &mut self,
        vm: usize,
        range: Range,
        leaf: LeafContent,
        pages_only: bool,
        pages: u32,
    ) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        let Range { ipa, size } = range;
        self.effects.edges.add_range(ipa, size);
        let configuration = self.vms[index].space.configuration();
        checks::range(configuration, ipa, Some(leaf.pa), size)?;
        checks::output(configuration, leaf.pa, size)?;
        let is_own = self.machine.regime.is_own();
        if is_own {
            checks::own_attributes(leaf.prot, leaf.memory)?;
        } else {
            checks::attributes(&self.machine, leaf.prot, leaf.memory)?;
            checks::ownership(&self.machine, leaf.pa, size)?;
        }
        let wanted = Wanted {
            ipa,
            bytes: size,
            content: Content::Leaf(leaf),
            pages_only,
        };
        let space = &mut self.vms[index].space;
        if is_own {
            return space.put_own(&wanted, pages, &mut self.effects);
        }
        Ok(space.put(&wanted, pages, &mut self.effects))
    }

    fn unmap(&mut self, vm: usize, range: Range, pages: u32) -> Result<Outcome, Refusal> {
        let index = self.alive_with(vm, range)?;
        let space = &mut self.vms[index].space;
        if self.machine.regime.is_own() && space.cuts_a_block(range.ipa, range.end()) {
            return Err(Refusal::CutsBlock);
        }
        Ok(space.unmap(range.ipa, range.end(), pages, &mut self.effects))
    }

    /// Section W and T2.
    fn act(
        &mut self,
        vm: usize,
        action: Action,
        range: Range,
        pages: u32,
    ) -> Result<Outcome, Refusal> {
        let index = self.alive_with(vm, range)?;
        let (from, to) = (range.ipa, range.end());
        let space = &mut self.vms[index].space;
        let effects = &mut self.effects;
        match action {
            Action::UnmapWhole | Action::Destroy => space.unmap_whole(from, to, effects),
            Action::WriteProtect => space.write_protect(from, to, effects),
            Action::Soften => space.soften(from, to, effects),
            Action::Revive => space.revive(from, to, effects),
            Action::Flush => space.add_ends(from, to, effects),
            Action::TestYoung => return Ok(Outcome::Young(space.is_young(from, to))),
            Action::ClearYoung => {
                let young = space.is_young(from, to);
                space.clear_young(from, to, effects);
                return Ok(Outcome::Young(young));
            }
            Action::Coalesce => space.coalesce(from, to, effects),
            Action::Split => return Ok(space.split(from, to, pages, effects)),
        }
        Ok(Outcome::Done)
    }

    /// D1 and D2.
    fn destroy(&mut self, vm: usize, range: Range) -> Result<Outcome, Refusal> {
        let index = self.index(vm).ok_or(Refusal::NoVm)?;
        let was_dying = std::mem::replace(&mut self.vms[index].dying, false);
        let answer = self.act(vm, Action::Destroy, range, 0);
        self.effects.dirty.clear();
        let vm = &mut self.vms[index];
        vm.dying = was_dying || answer.is_ok();
        if answer.is_ok() {
            vm.built = None;
        }
        answer
    }

    fn protect(
        &mut self,
        vm: usize,
        range: Range,
        prot: Prot,
        pages: u32,
    ) -> Result<Outcome, Refusal> {
        let index = self.alive_with(vm, range)?;
        checks::attributes(&self.machine, prot, MemoryType::Normal)?;
        let space = &mut self.vms[index].space;
        Ok(space.protect(range.ipa, range.end(), prot, pages, &mut self.effects))
    }

    fn annotate(
        &mut self,
        vm: usize,
        range: Range,
        owner: u8,
        pages: u32,
    ) -> Result<Outcome, Refusal> {
        let index = self.alive_with(vm, range)?;
        if owner == 0 {
            return Err(Refusal::BadOwner);
        }
        let wanted = Wanted {
            ipa: range.ipa,
            bytes: range.size,
            content: Content::Annotation { owner },
            pages_only: false,
        };
        let space = &mut self.vms[index].space;
        Ok(space.put(&wanted, pages, &mut self.effects))
    }

    fn relax(&mut self, vm: usize, ipa: u64, prot: Prot) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        checks::attributes(&self.machine, prot, MemoryType::Normal)?;
        let space = self.alive_at(index, ipa)?;
        let leaf = space.leaf(ipa).ok_or(Refusal::NotMapped)?;
        if is_device(leaf.memory) && prot.execute != Execute::Never {
            return Err(Refusal::BadAttributes);
        }
        if sum(leaf.prot, prot) != leaf.prot {
            space.relax(ipa, prot);
        }
        Ok(Outcome::Done)
    }

    fn make_young(&mut self, vm: usize, ipa: u64) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        let space = self.alive_at(index, ipa)?;
        space.leaf(ipa).ok_or(Refusal::NotMapped)?;
        space.make_young(ipa);
        Ok(Outcome::Done)
    }

    /// Y5. Without hardware dirty state no leaf is dirty.
    fn leaf(&mut self, vm: usize, ipa: u64) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        let (level, entry) = self.alive_at(index, ipa)?.entry(ipa);
        Ok(Outcome::Entry { level, entry })
    }

    fn build(
        &mut self,
        vm: usize,
        (ipa, level): (u64, i8),
        leaf: LeafContent,
        pages_only: bool,
        pages: u32,
    ) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        if self.vms[index].built.is_some() {
            return Err(Refusal::Busy);
        }
        let configuration = *self.vms[index].space.configuration();
        if !configuration.has_tables_below(level) {
            return Err(Refusal::BadLevel);
        }
        let size = configuration.entry_bytes(level);
        self.effects.edges.add_range(ipa, size);
        if !ipa.is_multiple_of(size) || !leaf.pa.is_multiple_of(size) {
            return Err(Refusal::Misaligned);
        }
        checks::space(&configuration, ipa, Some(leaf.pa), size)?;
        checks::output(&configuration, leaf.pa, size)?;
        checks::attributes(&self.machine, leaf.prot, leaf.memory)?;
        checks::ownership(&self.machine, leaf.pa, size)?;
        let built = Built::new(&configuration, ipa, level, leaf, pages_only);
        if built.tables > u64::from(pages) {
            let need = built.need();
            return Ok(Outcome::NoPages { done: 0, need });
        }
        self.vms[index].built = Some(built);
        Ok(Outcome::Done)
    }

    fn link(&mut self, vm: usize) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        let Vm { space, built, .. } = &mut self.vms[index];
        let subtree = built.ok_or(Refusal::NothingBuilt)?;
        if !space.link(&subtree, &mut self.effects) {
            return Err(Refusal::NoPath);
        }
        *built = None;
        Ok(Outcome::Done)
    }

    fn discard(&mut self, vm: usize) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        let built = self.vms[index].built.take();
        built.ok_or(Refusal::NothingBuilt)?;
        Ok(Outcome::Done)
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

    fn access(&mut self, vm: usize, ipa: u64, kind: AccessKind) -> Result<Outcome, Refusal> {
        let index = self.alive(vm)?;
        self.effects.edges.add(ipa);
        let haf = self.haf();
        let space = &mut self.vms[index].space;
        if haf && ipa < space.configuration().ipa_end() {
            space.access(ipa, kind, self.machine.features.dbm);
        }
        Ok(Outcome::Done)
    }
}

impl Model {
    /// What hardware may do beside a Permission fault, and need not: the leaf at an IPA
    /// is young.
    pub(crate) fn hardware_made_young(&mut self, vm: usize, ipa: u64) {
        if let Some(index) = self.index(vm) {
            self.vms[index].space.make_young(ipa);
        }
    }

    /// Y5 between operations, for an IPA of an existing VM's space.
    pub(crate) fn entry(&self, vm: usize, ipa: u64) -> Option<(i8, EntryContent)> {
        let space = &self.vm(vm)?.space;
        (ipa < space.configuration().ipa_end()).then(|| space.entry(ipa))
    }
}

/// G7: what map and build make is young, and clean.
fn fresh(pa: u64, prot: Prot, memory: MemoryType, software: u8) -> LeafContent {
    LeafContent {
        pa,
        prot,
        memory,
        software,
        young: true,
        dirty: false,
    }
}
