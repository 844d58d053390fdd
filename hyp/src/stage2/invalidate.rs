//! Invalidation of what an operation broke, put off until it pays: one sequence
//! of barriers for many entries, and no page given back before it.

use super::space::Space;
use crate::addr::{Ipa, Pa};
use crate::cpu::Cpu;
use crate::geometry::Level;
use crate::pages::{PageList, PageSource};
use crate::platform::Platform;

/// Entries that are invalidated one by one; from one more on it is the VMID's
/// whole TLB. Each `TLBI` is a broadcast that every CPU answers, and the
/// stage-1 part empties the VMID's combined entries in any case.
const SINGLE_ENTRIES: usize = 16;

/// Entries that were broken and tables that were unlinked since the last flush.
#[derive(Debug)]
pub(super) struct Invalidation {
    entries: [Ipa; SINGLE_ENTRIES],
    count: usize,
    whole_vmid: bool,
    retired: PageList,
}

impl Invalidation {
    /// Nothing pending.
    pub(super) const fn new() -> Invalidation {
        Invalidation {
            entries: [Ipa::new(0); SINGLE_ENTRIES],
            count: 0,
            whole_vmid: false,
            retired: PageList::new(),
        }
    }

    /// Leaves of `level` in a row that cover `bytes` from `start` on were broken,
    /// or changed in place.
    #[inline]
    pub(super) fn add_leaves(&mut self, start: Ipa, bytes: u64, level: Level) {
        let _ = (bytes, level);
        self.add_entry(start);
    }

    /// The entry of a table that covers `bytes` from `start` on was broken, with
    /// nothing valid in the table by then.
    #[inline]
    pub(super) fn add_table(&mut self, start: Ipa, bytes: u64) {
        let _ = bytes;
        self.add_entry(start);
    }

    /// The entry of a table that covers `bytes` from `start` on was broken, with
    /// valid entries below it.
    #[inline]
    pub(super) fn add_subtree(&mut self, start: Ipa, bytes: u64) {
        let _ = (start, bytes);
        self.whole_vmid = true;
    }

    /// Everything under the VMID is stale.
    pub(super) fn add_all(&mut self) {
        self.whole_vmid = true;
    }

    #[inline]
    fn add_entry(&mut self, ipa: Ipa) {
        match self.entries.get_mut(self.count) {
            Some(entry) => {
                *entry = ipa;
                self.count += 1;
            }
            None => self.whole_vmid = true,
        }
    }

    /// A table was unlinked; its page is released after the invalidation.
    pub(super) fn retire<S: PageSource>(&mut self, pages: &S, page: Pa) {
        self.retired.push(pages, page);
    }

    /// Invalidates all that is pending, for every CPU, and gives the pages of
    /// unlinked tables back.
    pub(super) fn flush<P: Platform, S: PageSource>(
        &mut self,
        cpu: &mut Cpu<'_, P, S>,
        space: &Space<'_>,
    ) {
        if self.count > 0 || self.whole_vmid {
            // The broken entries must be visible to every walker before the TLBI
            // is, or a walker could cache the old ones again behind it.
            space.barrier(cpu.platform());
            // TLBI applies to the VMID in VTTBR_EL2.
            let before = cpu.loaded();
            cpu.load(space.registers);
            self.issue(cpu.platform());
            cpu.load(before);
        }
        while let Some(page) = self.retired.pop(cpu.pages()) {
            cpu.pages().release(page, 0);
        }
        self.count = 0;
        self.whole_vmid = false;
    }

    fn issue<P: Platform>(&self, platform: &P) {
        if self.whole_vmid {
            platform.tlbi_vmalls12e1is();
        } else {
            for ipa in &self.entries[..self.count] {
                platform.tlbi_ipas2e1is(ipa_operand(*ipa));
            }
            // Stage 2 must be done before stage 1 begins: a walk that still had
            // the old stage-2 entry could make a new combined one behind it.
            platform.dsb_ish();
            platform.tlbi_vmalle1is();
        }
        platform.dsb_ish();
        platform.isb();
    }
}

/// `Xt` of `TLBI IPAS2E1IS`: `IPA[51:12]` in bits 39:0 whatever the granule, and no
/// TTL hint.
const fn ipa_operand(ipa: Ipa) -> u64 {
    ipa.raw() >> 12 & ((1 << 40) - 1)
}
