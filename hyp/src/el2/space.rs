//! EL2's tables while they exist, and how their stale TLB entries are invalidated.

use crate::addr::Ipa;
use crate::cpu::{Cpu, OwnRegisters};
use crate::descriptor::Kind;
use crate::el2::geometry::Geometry;
use crate::geometry::{ExecutionState, Features, Level, Shape};
use crate::invalidate::Regime;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::tables::Tables;

/// The tables of EL2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) geometry: Geometry,
    pub(super) tables: Tables,
    pub(super) registers: OwnRegisters,
}

impl Space {
    /// Whether `at`, where a range begins or ends, lies inside of a block.
    pub(super) fn cuts_block<P: Platform>(&self, platform: &P, at: Ipa) -> bool {
        if at.raw() >= self.geometry.va_limit() {
            return false;
        }
        let (run, entry) = self.tables.descend_to(platform, at, Level::PAGE);
        let level = run.table().level;
        let inside = !at.is_aligned(self.tables.shape.entry_bytes(level));
        inside && entry.kind(level) == Kind::Leaf
    }
}

impl Regime for Space {
    #[inline]
    fn shape(&self) -> &Shape {
        &self.tables.shape
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
        // EL2 has one address space and no ASID: nothing is to be selected.
        issue(cpu.platform());
    }

    fn tlbi_address<P: Platform>(&self, platform: &P, operand: u64) {
        platform.tlbi_vae2is(match self.geometry.state() {
            ExecutionState::Aarch64 => operand,
            // TLBIMVAHIS takes the address itself, not its page number.
            ExecutionState::Aarch32 => operand << 12,
        });
    }

    fn tlbi_range<P: Platform>(&self, platform: &P, operand: u64) {
        platform.tlbi_rvae2is(operand);
    }

    fn after_addresses<P: Platform>(&self, _: &P) {}

    fn tlbi_all<P: Platform>(&self, platform: &P) {
        platform.tlbi_alle2is();
    }
}
