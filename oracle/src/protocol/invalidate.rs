//! `TLBI` instructions: what each concerns, and under which VMID.
//!
//! It leaves out when they are ordered and complete: see `pending`.

use super::Protocol;
use super::cpus::{OwnTlb, Registers};
use super::operand::Operand;
use crate::event::Tlbi;
use crate::ledger::Format;
use crate::operation::Regime;
use crate::verdict::{Class, Finding};

/// `VTCR_EL2.VS`.
const VS: u64 = 1 << 19;

/// What an instruction invalidates of the tables that are followed.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// Entries for addresses.
    Addresses(Operand),
    /// The same in the TLB of its own CPU alone.
    LocalAddresses(Operand),
    /// Entries that combine stage 1 with stage 2.
    Stage1,
    /// The same in the TLB of its own CPU alone.
    LocalStage1,
    /// Everything of a VMID, or of EL2.
    Whole,
    /// Nothing: it is for another regime.
    Nothing,
}

impl Protocol {
    /// What a `TLBI` concerns.
    fn reach(&self, operation: Tlbi, operand: u64) -> Reach {
        let encoding = &self.encoding;
        let guests = !self.is_hypervisors_own();
        match operation {
            Tlbi::Ipas2e1is if guests => Reach::Addresses(encoding.by_ipa(operand)),
            Tlbi::Ripas2e1is if guests => Reach::Addresses(encoding.range(operand)),
            Tlbi::Ipas2e1 if guests => Reach::LocalAddresses(encoding.by_ipa(operand)),
            Tlbi::Vmalle1is if guests => Reach::Stage1,
            Tlbi::Vmalle1 if guests => Reach::LocalStage1,
            Tlbi::Vmalls12e1is if guests => Reach::Whole,
            Tlbi::Vae2is if self.regime == Regime::Aarch32Hyp => {
                Reach::Addresses(encoding.by_mva(operand))
            }
            Tlbi::Vae2is if !guests => Reach::Addresses(encoding.by_va(operand)),
            Tlbi::Rvae2is if !guests => Reach::Addresses(encoding.range(operand)),
            Tlbi::Alle2is if !guests => Reach::Whole,
            _ => Reach::Nothing,
        }
    }

    /// Whether the tables are EL2's own or Hyp mode's: there is no VMID, and no second
    /// stage.
    pub(super) fn is_hypervisors_own(&self) -> bool {
        matches!(self.regime, Regime::El2 | Regime::Aarch32Hyp)
    }

    pub(super) fn tlbi(
        &mut self,
        by: u8,
        operation: Tlbi,
        operand: u64,
        format: &Format,
    ) -> Result<(), Finding> {
        let reach = self.reach(operation, operand);
        let own_regime = self.is_hypervisors_own();
        let cpu = self.cpus.get(by);
        if matches!(operation, Tlbi::Ripas2e1is | Tlbi::Rvae2is) && !self.tlb_range {
            let what = "a TLBI by range is UNDEFINED on a machine without FEAT_TLBIRANGE";
            return Err(Finding::new(Class::StaleTlb, "G3", what.into()));
        }
        if cpu.unsynchronized && !own_regime {
            let what = "no ISB between the write of VTTBR_EL2 or VTCR_EL2 and the TLBI after it";
            return Err(Finding::new(Class::Barrier, "G8", what.into()));
        }
        cpu.has_maintained = true;
        cpu.has_invalidated = true;
        if own_regime {
            cpu.own_tlb = OwnTlb::Invalidating;
        }
        let Registers { vtcr, vttbr, .. } = cpu.registers;
        let wide = self.vmid16 && vtcr & VS != 0;
        let vmid = (vttbr >> 48) as u16 & if wide { 0xffff } else { 0xff };
        let (now, cpus) = (self.now, &self.cpus);
        let mut useful = false;
        for space in &mut self.spaces {
            let pending = &mut space.pending;
            let own = own_regime || space.vmid == vmid;
            match reach {
                Reach::Addresses(operand) if own => {
                    useful |= pending.invalidate(format, operand, cpus, by, now) != 0;
                }
                Reach::Addresses(operand) => pending.invalidate_elsewhere(format, operand, vmid),
                Reach::LocalAddresses(operand) if own => {
                    pending.invalidate_locally(format, operand);
                }
                Reach::Whole if own => {
                    let covers = pending.invalidate_whole(cpus, by, now);
                    useful |= covers;
                    space.idle_whole |= !covers;
                }
                Reach::Whole => pending.invalidate_whole_elsewhere(vmid, now),
                Reach::Stage1 if own => useful |= pending.invalidate_stage1(cpus, by, now),
                Reach::LocalStage1 if own => pending.invalidate_stage1_locally(now),
                Reach::LocalAddresses(_) | Reach::Stage1 | Reach::LocalStage1 | Reach::Nothing => {}
            }
        }
        if let Reach::Addresses(operand) = reach {
            self.last_operand = Some(operand);
        }
        self.needless.invalidations += u64::from(!useful);
        Ok(())
    }
}
