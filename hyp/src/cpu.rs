//! What one CPU brings to an operation: its platform, its page cache, and what
//! its Stage-2 registers hold.

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

/// The context of one CPU. Operations draw pages from its cache and from nowhere
/// else, since they run with a lock held or under an abort, where a page source
/// must not be asked.
#[derive(Debug)]
pub struct Cpu<'a, P, S> {
    platform: &'a P,
    pages: &'a S,
    cache: PageList,
    loaded: Registers,
}

impl<'a, P: Platform, S: PageSource> Cpu<'a, P, S> {
    /// The context of a CPU with an empty page cache. `VTTBR_EL2` must hold 0.
    #[must_use]
    pub const fn new(platform: &'a P, pages: &'a S) -> Cpu<'a, P, S> {
        Cpu {
            platform,
            pages,
            cache: PageList::new(),
            loaded: Registers::NONE,
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
}
