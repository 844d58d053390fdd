//! How a guest's stale TLB entries are invalidated: both stages, under its VMID.

use super::space::Space;
use crate::cpu::Cpu;
use crate::geometry::{Features, Shape};
use crate::invalidate::Regime;
use crate::pages::PageSource;
use crate::platform::Platform;

pub(super) use crate::invalidate::Invalidation;

impl Regime for Space {
    #[inline]
    fn shape(&self) -> &Shape {
        self.geometry.shape()
    }

    fn features(&self) -> &Features {
        self.geometry.features()
    }

    fn barrier<P: Platform>(&self, platform: &P) {
        self.tables.barrier(platform);
    }

    fn selected<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        issue: impl FnOnce(&P),
    ) {
        // TLBI applies to the VMID in VTTBR_EL2.
        let before = cpu.loaded();
        cpu.load(self.registers);
        issue(cpu.platform());
        cpu.load(before);
    }

    fn tlbi_address<P: Platform>(&self, platform: &P, operand: u64) {
        platform.tlbi_ipas2e1is(operand);
    }

    fn tlbi_range<P: Platform>(&self, platform: &P, operand: u64) {
        platform.tlbi_ripas2e1is(operand);
    }

    fn after_addresses<P: Platform>(&self, platform: &P) {
        // Stage 2 must be done before stage 1 begins: a walk that still had the old
        // stage-2 entry could make a new combined one behind it. There is no way to
        // tell which combined entries an IPA is in, so all of the VMID's go.
        platform.dsb_ish();
        platform.tlbi_vmalle1is();
    }

    fn tlbi_all<P: Platform>(&self, platform: &P) {
        platform.tlbi_vmalls12e1is();
    }
}
