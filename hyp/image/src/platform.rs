//! `hyp`'s platform on this CPU: one instruction for each method, or one for each line
//! of a range.
//!
//! Two kinds of method execute nothing. `mark_dirty` is a note that the event log
//! holds. The registers of EL2's own regime are noted, since this image could not run on
//! tables that are being made: `el2` loads them for a probe.
//!
//! A subject may be faulty. Its accesses outside of the pool, and those that are not
//! aligned, are counted, load 0 (poison from the sentinel) and store nothing, as on
//! the host: `fuzz/src/host/memory.rs` is the other half of this file.

use crate::el2::Tables;
use crate::poison::PAGE_BYTES;
use crate::registers::{read, write};
use crate::{memory, poison};
use core::arch::asm;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use driver::Testbed;
use hyp::addr::{Ipa, Pa};
use hyp::platform::Platform;
use ops::{SENTINEL, Window};

/// How much of one range is maintained line by line. All of RAM takes the emulator 0.2
/// to 0.3 seconds, a sequence may map it a hundred times, and the runner waits 20 seconds.
/// The emulator has no data caches, so that nothing is lost; on a machine with caches
/// there must be no such bound.
const MOST_MAINTAINED: u64 = 16 << 20;

/// The boot CPU, with the pool of one sequence.
pub(crate) struct BootCpu {
    pool: Window,
    strays: Cell<u32>,
    own: Cell<Tables>,
    has_range_invalidation: bool,
    line_bytes: u64,
}

impl BootCpu {
    /// `pool` lies in the memory of tables and guests.
    pub(crate) fn new(pool: Window) -> BootCpu {
        BootCpu {
            pool,
            strays: Cell::new(0),
            own: Cell::default(),
            // ID_AA64ISAR0_EL1.TLB
            has_range_invalidation: read!("id_aa64isar0_el1") >> 56 & 0xf >= 2,
            // CTR_EL0.DminLine counts words of 4 bytes.
            line_bytes: 4 << (read!("ctr_el0") >> 16 & 0xf),
        }
    }

    /// What the registers of EL2's own regime would hold.
    pub(crate) fn own(&self) -> Tables {
        self.own.get()
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

    fn note_own(&self, change: impl FnOnce(&mut Tables)) {
        let mut own = self.own.get();
        change(&mut own);
        self.own.set(own);
    }

    /// Calls `maintain` for each line of a range, as far as the image maps it: RAM from
    /// the sentinel on, which holds pools and guests. A guest may be given any physical
    /// address; what is no RAM has no lines that could be cleaned, and the image's own
    /// memory is no guest's. The log tells the whole range all the same.
    fn each_line(&self, at: Pa, bytes: u64, maintain: impl Fn(u64)) {
        let Some(part) = memory::mapped_part(at.raw(), bytes.min(MOST_MAINTAINED)) else {
            return;
        };
        let mut line = part.base & !(self.line_bytes - 1);
        // RAM ends far below the end of 64 bits.
        while line < part.base + part.bytes {
            maintain(line);
            line += self.line_bytes;
        }
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

/// Whether poison is to be read at an address.
fn is_sentinel(at: Pa) -> bool {
    SENTINEL.contains(at.raw()) && at.is_aligned(8)
}

/// An instruction whose whole effect is on what is remembered of memory and of
/// translations, or on order. Its operand, if it has one, is no address that it stores to.
macro_rules! instruction {
    ($text:literal $(, $operand:expr)?) => {
        // SAFETY: invalidations, barriers, and cleaning of lines at mapped addresses
        // change no value in memory and no register; without `nomem` the compiler keeps
        // accesses on their side. What EL2's own TLB forgets, it finds again.
        unsafe { asm!($text $(, in(reg) $operand)?, options(nostack, preserves_flags)) }
    };
}

impl Platform for BootCpu {
    #[inline]
    fn load(&self, at: Pa) -> u64 {
        if let Some(word) = self.pool_word(at) {
            return word.load(Ordering::Relaxed);
        }
        self.count_stray();
        if is_sentinel(at) { ops::poison() } else { 0 }
    }

    #[inline]
    fn store(&self, at: Pa, value: u64) {
        self.store_ordered(at, value, Ordering::Relaxed);
    }

    #[inline]
    fn store_release(&self, at: Pa, value: u64) {
        self.store_ordered(at, value, Ordering::Release);
    }

    fn compare_exchange(&self, at: Pa, old: u64, new: u64) -> Result<(), u64> {
        match self.pool_word(at) {
            Some(word) => {
                poison::spoil(at.raw());
                word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
                    .map(|_| ())
            }
            None if is_sentinel(at) && old != ops::poison() => Err(ops::poison()),
            // As if it had taken place, so that nobody tries again for ever.
            None => {
                self.count_stray();
                Ok(())
            }
        }
    }

    fn swap(&self, at: Pa, new: u64) -> u64 {
        if let Some(word) = self.pool_word(at) {
            poison::spoil(at.raw());
            return word.swap(new, Ordering::AcqRel);
        }
        self.count_stray();
        if is_sentinel(at) { ops::poison() } else { 0 }
    }

    fn zero(&self, at: Pa, bytes: u64) {
        self.fill(at, bytes, 0);
    }

    fn tlbi_ipas2e1is(&self, operand: u64) {
        instruction!("tlbi ipas2e1is, {}", operand);
    }

    /// UNDEFINED without FEAT_TLBIRANGE, where only a faulty subject asks for it: the log
    /// tells that it did.
    fn tlbi_ripas2e1is(&self, operand: u64) {
        if self.has_range_invalidation {
            // `TLBI RIPAS2E1IS, Xt`, which an assembler knows from Armv8.4 on.
            instruction!("sys #4, c8, c0, #2, {}", operand);
        }
    }

    fn tlbi_vmalle1is(&self) {
        instruction!("tlbi vmalle1is");
    }

    fn tlbi_vmalls12e1is(&self) {
        instruction!("tlbi vmalls12e1is");
    }

    fn tlbi_vae2is(&self, operand: u64) {
        instruction!("tlbi vae2is, {}", operand);
    }

    /// As `tlbi_ripas2e1is`.
    fn tlbi_rvae2is(&self, operand: u64) {
        if self.has_range_invalidation {
            // `TLBI RVAE2IS, Xt`
            instruction!("sys #4, c8, c2, #1, {}", operand);
        }
    }

    fn tlbi_alle2is(&self) {
        instruction!("tlbi alle2is");
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
        self.line_bytes
    }

    fn dc_cvac(&self, at: Pa) {
        if let Some(word) = self.pool_word(at) {
            instruction!("dc cvac, {}", word.as_ptr());
        }
    }

    fn dc_civac(&self, at: Pa, bytes: u64) {
        self.each_line(at, bytes, |line| instruction!("dc civac, {}", line));
    }

    fn dc_cvau(&self, at: Pa, bytes: u64) {
        self.each_line(at, bytes, |line| instruction!("dc cvau, {}", line));
    }

    fn ic_ialluis(&self) {
        instruction!("ic ialluis");
    }

    fn write_vtcr_el2(&self, value: u64) {
        // SAFETY: governs translations of EL1&0, none of which EL2 uses.
        unsafe { write!("vtcr_el2", value) }
    }

    fn write_vttbr_el2(&self, value: u64) {
        // SAFETY: as for `write_vtcr_el2`.
        unsafe { write!("vttbr_el2", value) }
    }

    fn write_tcr_el2(&self, value: u64) {
        self.note_own(|own| own.tcr = value);
    }

    fn write_ttbr0_el2(&self, value: u64) {
        self.note_own(|own| own.ttbr0 = value);
    }

    fn write_mair_el2(&self, value: u64) {
        self.note_own(|own| own.mair = value);
    }

    fn mark_dirty(&self, _: Ipa, _: u64) {}
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
