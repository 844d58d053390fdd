//! What one CPU brings to an operation: its platform, its page cache, and what
//! the registers that select tables hold.

use crate::addr::Pa;
use crate::pages::{PageList, PageSource};
use crate::platform::Platform;

/// The two registers that select a guest's Stage-2 tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// `VTCR_EL2`.
    pub vtcr: u64,
    /// `VTTBR_EL2`.
    pub vttbr: u64,
}

impl Registers {
    /// No guest: VMID 0, which no VM has.
    pub const NONE: Registers = Registers { vtcr: 0, vttbr: 0 };
}

/// The registers that select EL2's own tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnRegisters {
    /// `MAIR_EL2`, or HMAIR0.
    pub mair: u64,
    /// `TCR_EL2`, or HTCR.
    pub tcr: u64,
    /// `TTBR0_EL2`, or HTTBR.
    pub ttbr0: u64,
}

/// The context of one CPU. Operations draw pages from its cache and from nowhere
/// else, since they run with a lock held or under an abort, where a page source
/// must not be asked.
#[derive(Debug)]
pub struct Cpu<'a, P, S> {
    platform: &'a P,
    pages: &'a S,
    cache: PageList,
    loaded: Registers,
    /// What was loaded last for EL2 itself, zero before that.
    own: OwnRegisters,
}

impl<'a, P: Platform, S: PageSource> Cpu<'a, P, S> {
    /// The context of a CPU with an empty page cache. `VTTBR_EL2` must hold 0; of
    /// `VTCR_EL2` and EL2's own registers nothing is assumed.
    #[must_use]
    pub const fn new(platform: &'a P, pages: &'a S) -> Cpu<'a, P, S> {
        Cpu {
            platform,
            pages,
            cache: PageList::new(),
            loaded: Registers::NONE,
            own: OwnRegisters {
                mair: 0,
                tcr: 0,
                ttbr0: 0,
            },
        }
    }

    /// The machine as this CPU sees it.
    #[inline]
    pub const fn platform(&self) -> &'a P {
        self.platform
    }

    /// Where its pages come from.
    #[inline]
    pub const fn pages(&self) -> &'a S {
        self.pages
    }

    /// Pages in the cache.
    #[inline]
    pub const fn cached(&self) -> u32 {
        self.cache.len()
    }

    /// Fills the page cache to `capacity` pages, or as far as the source goes,
    /// and returns how many it holds then. A fuller cache is left as it is.
    pub fn top_up(&mut self, capacity: u32) -> u32 {
        while self.cache.len() < capacity {
            let Some(page) = self.pages.allocate(0) else {
                break;
            };
            self.cache.push(self.pages, page);
        }
        self.cache.len()
    }

    /// Gives every cached page back to the source.
    pub fn drain(&mut self) {
        while let Some(page) = self.cache.pop(self.pages) {
            self.pages.release(page, 0);
        }
    }

    /// Takes a page out of the cache.
    pub(crate) fn take_page(&mut self) -> Option<Pa> {
        self.cache.pop(self.pages)
    }

    /// What to load again to select what is selected now.
    pub(crate) const fn loaded(&self) -> Registers {
        if self.loaded.vttbr == 0 {
            Registers::NONE
        } else {
            self.loaded
        }
    }

    /// Makes the registers select `wanted`, with an `ISB` if that changes them.
    pub(crate) fn load(&mut self, wanted: Registers) {
        if wanted.vttbr == self.loaded.vttbr {
            return;
        }
        // At EL2 the guest's regime is out of context: nothing walks with these until
        // the ISB, so that their order is a convention (clause A2). `NONE` has no
        // geometry.
        if wanted != Registers::NONE && wanted.vtcr != self.loaded.vtcr {
            self.platform.write_vtcr_el2(wanted.vtcr);
            self.loaded.vtcr = wanted.vtcr;
        }
        self.platform.write_vttbr_el2(wanted.vttbr);
        self.platform.isb();
        self.loaded.vttbr = wanted.vttbr;
    }

    /// Selects no guest, if `registers` are loaded.
    pub(crate) fn unload(&mut self, registers: Registers) {
        if self.loaded.vttbr == registers.vttbr {
            self.load(Registers::NONE);
        }
    }

    /// Makes EL2's own registers select `wanted`, with an `ISB` if that changes them.
    pub(crate) fn load_own(&mut self, wanted: OwnRegisters) {
        if wanted == self.own {
            return;
        }
        if wanted.mair != self.own.mair {
            self.platform.write_mair_el2(wanted.mair);
        }
        if wanted.tcr != self.own.tcr {
            self.platform.write_tcr_el2(wanted.tcr);
        }
        if wanted.ttbr0 != self.own.ttbr0 {
            self.platform.write_ttbr0_el2(wanted.ttbr0);
        }
        self.platform.isb();
        self.own = wanted;
    }

    /// Selects no tables of EL2, if `registers` are loaded.
    pub(crate) fn unload_own(&mut self, registers: OwnRegisters) {
        if self.own.ttbr0 == registers.ttbr0 {
            self.load_own(OwnRegisters {
                ttbr0: 0,
                ..self.own
            });
        }
    }
}
