//! `hyp`'s platform on this CPU: one instruction for each method.
//!
//! A subject may be faulty. Its accesses outside of the pool, and those that are not
//! aligned, are counted, load 0 (poison from the sentinel) and store nothing, as on
//! the host: `fuzz/src/host/memory.rs` is the other half of this file.

use crate::poison::PAGE_BYTES;
use crate::registers::{read, write};
use crate::{memory, poison};
use core::arch::asm;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use driver::Testbed;
use hyp::addr::Pa;
use hyp::platform::Platform;
use ops::{SENTINEL, Window};

/// The boot CPU, with the pool of one sequence.
pub(crate) struct BootCpu {
    pool: Window,
    strays: Cell<u32>,
}

impl BootCpu {
    /// `pool` lies in the memory of tables and guests.
    pub(crate) fn new(pool: Window) -> BootCpu {
        BootCpu {
            pool,
            strays: Cell::new(0),
        }
    }

    /// Stray accesses since this was last asked.
    pub(crate) fn take_strays(&self) -> u32 {
        self.strays.take()
    }

    /// The word at `at`, if it is the pool's.
    #[inline]
    fn pool_word(&self, at: Pa) -> Option<&'static AtomicU64> {
        if self.pool.contains(at.raw()) {
            memory::word(at.raw())
        } else {
            None
        }
    }

    /// Whether the pool holds this range, and the range whole pages.
    fn holds_pages(&self, at: u64, bytes: u64) -> bool {
        let in_pool = bytes == 0
            || (self.pool.contains(at) && bytes <= self.pool.bytes - (at - self.pool.base));
        in_pool && at.is_multiple_of(PAGE_BYTES) && bytes.is_multiple_of(PAGE_BYTES)
    }

    #[cold]
    fn count_stray(&self) {
        self.strays.set(self.strays.get().saturating_add(1));
    }

    #[inline]
    fn store_ordered(&self, at: Pa, value: u64, ordering: Ordering) {
        match self.pool_word(at) {
            Some(word) => {
                poison::spoil(at.raw());
                word.store(value, ordering);
            }
            None => self.count_stray(),
        }
    }
}

/// An instruction without operands whose whole effect is on translations of EL1
/// and EL0, or on order.
macro_rules! instruction {
    ($text:literal) => {
        // SAFETY: invalidations of EL1&0's regime and barriers change no memory and
        // no register; without `nomem` the compiler keeps accesses on their side.
        unsafe { asm!($text, options(nostack, preserves_flags)) }
    };
}

impl Platform for BootCpu {
    #[inline]
    fn load(&self, at: Pa) -> u64 {
        if let Some(word) = self.pool_word(at) {
            return word.load(Ordering::Relaxed);
        }
        self.count_stray();
        let is_poison = SENTINEL.contains(at.raw()) && at.is_aligned(8);
        if is_poison { ops::poison() } else { 0 }
    }

    #[inline]
    fn store(&self, at: Pa, value: u64) {
        self.store_ordered(at, value, Ordering::Relaxed);
    }

    #[inline]
    fn store_release(&self, at: Pa, value: u64) {
        self.store_ordered(at, value, Ordering::Release);
    }

    fn zero(&self, at: Pa, bytes: u64) {
        self.fill(at, bytes, 0);
    }

    fn tlbi_ipas2e1is(&self, operand: u64) {
        // SAFETY: an invalidation of EL1&0's regime changes no memory and no register.
        unsafe { asm!("tlbi ipas2e1is, {}", in(reg) operand, options(nostack, preserves_flags)) }
    }

    fn tlbi_vmalle1is(&self) {
        instruction!("tlbi vmalle1is");
    }

    fn tlbi_vmalls12e1is(&self) {
        instruction!("tlbi vmalls12e1is");
    }

    fn dsb_ishst(&self) {
        instruction!("dsb ishst");
    }

    fn dsb_ish(&self) {
        instruction!("dsb ish");
    }

    fn isb(&self) {
        instruction!("isb");
    }

    fn cache_line_bytes(&self) -> u64 {
        // CTR_EL0.DminLine counts words of 4 bytes.
        4 << (read!("ctr_el0") >> 16 & 0xf)
    }

    fn dc_cvac(&self, at: Pa) {
        if let Some(word) = self.pool_word(at) {
            // SAFETY: cleaning a line of mapped memory changes no value.
            unsafe { asm!("dc cvac, {}", in(reg) word.as_ptr(), options(nostack, preserves_flags)) }
        }
    }

    fn write_vtcr_el2(&self, value: u64) {
        // SAFETY: governs translations of EL1&0, none of which EL2 uses.
        unsafe { write!("vtcr_el2", value) }
    }

    fn write_vttbr_el2(&self, value: u64) {
        // SAFETY: as for `write_vtcr_el2`.
        unsafe { write!("vttbr_el2", value) }
    }
}

impl Testbed for BootCpu {
    fn stray(&self, _: Pa) {
        self.count_stray();
    }

    fn fill(&self, at: Pa, bytes: u64, value: u64) {
        let base = at.raw();
        if !self.holds_pages(base, bytes) {
            return self.count_stray();
        }
        if bytes == 0 {
            return;
        }
        let window = Window { base, bytes };
        poison::spoil_window(window);
        for word in memory::window(window) {
            word.store(value, Ordering::Relaxed);
        }
    }
}
