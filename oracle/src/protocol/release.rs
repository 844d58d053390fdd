//! Pages that go back to the page source: nothing may hold them any more (G6, F2).

use super::Protocol;
use super::cpus::Registers;
use super::explain::{located, name};
use crate::ledger::{State, Tables};
use crate::verdict::{Class, Finding};

impl Protocol {
    /// G6, F2: no walker and no TLB holds a page that went back.
    pub(super) fn release(&mut self, tables: &Tables) -> Result<(), Finding> {
        for &(number, state) in tables.released() {
            match state {
                State::Unlinked => self.may_release_table(tables, number)?,
                State::Root => {
                    self.may_release_root(tables, number)?;
                    self.whole_was_needed(tables.place(number).vm);
                }
                State::Free | State::Cached | State::Built | State::Linked { .. } => {}
            }
        }
        Ok(())
    }

    /// D3: an invalidation of the VM's whole VMID is complete, whether or not the operation
    /// took anything away. To be asked when it is over.
    ///
    /// # Errors
    /// There was none, or no `DSB ISH` followed.
    pub fn whole_vmid_is_invalidated(&mut self, vm: usize) -> Result<(), Finding> {
        self.whole_was_needed(vm);
        match self.spaces.iter().find(|space| space.vm == vm) {
            Some(space) if !space.pending.whole_vmid_done() => {
                let what = format!("no TLBI VMALLS12E1IS for VMID {} is complete", space.vmid);
                Err(Finding::new(Class::StaleTlb, "D3", what).of(vm))
            }
            _ => Ok(()),
        }
    }

    /// F2 asks for an invalidation of the whole VMID whether or not anything was mapped.
    fn whole_was_needed(&mut self, vm: usize) {
        if let Some(space) = self.spaces.iter_mut().find(|space| space.vm == vm)
            && std::mem::take(&mut space.idle_whole)
        {
            // Two VMs with one VMID, which C3 forbids, would have been counted once.
            self.needless.invalidations = self.needless.invalidations.saturating_sub(1);
        }
    }

    fn may_release_table(&self, tables: &Tables, number: usize) -> Result<(), Finding> {
        let table = tables.place(number);
        let Some((vmid, item, progress)) = self.holder(tables, table) else {
            return Ok(());
        };
        let (_, why) = self.explain(vmid, progress);
        let what = format!(
            "the level {} table at {:#x} goes back to the page source while walkers may hold {}: {why}",
            table.level,
            tables.address(number),
            name(&item)
        );
        let finding = Finding::new(Class::UseAfterFree, "G6", what);
        Err(located(finding, &item, tables))
    }

    fn may_release_root(&self, tables: &Tables, number: usize) -> Result<(), Finding> {
        let vm = tables.place(number).vm;
        let page = tables.address(number);
        let Some(space) = self.spaces.iter().find(|space| space.vm == vm) else {
            return Ok(());
        };
        if let Some((item, progress)) = space.pending.first_open() {
            let (_, why) = self.explain(space.vmid, progress);
            let what = format!(
                "the root table at {page:#x} goes back to the page source while TLBs may hold {}: {why}",
                name(&item)
            );
            let finding = Finding::new(Class::UseAfterFree, "F2", what);
            return Err(located(finding, &item, tables));
        }
        let own = self.is_hypervisors_own();
        if !space.pending.whole_vmid_done() {
            let whole = if own {
                "TLBI ALLE2IS".to_owned()
            } else {
                format!("TLBI VMALLS12E1IS for VMID {}", space.vmid)
            };
            let what = format!(
                "the root table at {page:#x} goes back to the page source without a complete {whole}"
            );
            return Err(Finding::new(Class::StaleTlb, "F2", what).of(vm));
        }
        let register = if own { "TTBR0_EL2" } else { "VTTBR_EL2" };
        let held = self.cpus.iter().any(|cpu| {
            let Registers { vttbr, ttbr0, .. } = cpu.registers;
            space.vttbr == if own { ttbr0 } else { vttbr }
        });
        if held {
            let what = format!(
                "the root table at {page:#x} goes back to the page source while {register} holds it"
            );
            return Err(Finding::new(Class::UseAfterFree, "F2", what).of(vm));
        }
        Ok(())
    }
}
