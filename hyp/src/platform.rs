//! What the code that changes tables asks of the machine: one method for each
//! instruction that another observer can tell.
//!
//! `mark_dirty` alone is not an instruction: it is where a record that hardware made
//! in the tables goes when it leaves them.
//!
//! A hypervisor implements `Platform` once for each CPU with a line of assembly
//! per method. Memory is named by physical address, since only the
//! implementation knows where this CPU sees it. Left out: page allocation, which
//! is `pages`, and everything about the guest's own state.
//!
//! Methods have the names of AArch64; a hypervisor in AArch32 executes what it has in
//! their place. The `TLBI` methods for IPAs and VMIDs mean the EL1&0 regime. On a host
//! with VHE that asks for HCR_EL2.{E2H, TGE} other than {1, 1} around them: with both
//! set, `TLBI VMALLE1IS` acts on EL2&0 (AArch64.TLBI, ELIsInHost).

use crate::addr::{Ipa, Pa};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// The machine as one CPU sees it.
pub trait Platform {
    /// Loads 8 bytes of table memory, once and whole.
    fn load(&self, at: Pa) -> u64;

    /// Stores 8 bytes of table memory, once and whole, unordered.
    fn store(&self, at: Pa, value: u64);

    /// As `store`, but after everything that this CPU has stored before
    /// (`STLR`).
    fn store_release(&self, at: Pa, value: u64);

    /// Stores `new` over `old`, at once for every observer, hardware's own updates
    /// included; ordered on both sides (`CASAL`, or `LDAXR` and `STLXR`).
    ///
    /// # Errors
    /// What was there instead of `old`; nothing is stored then.
    fn compare_exchange(&self, at: Pa, old: u64, new: u64) -> Result<(), u64>;

    /// Stores `new` and returns what it replaced, at once for every observer;
    /// ordered on both sides (`SWPAL`, or `LDAXR` and `STLXR`).
    fn swap(&self, at: Pa, new: u64) -> u64;

    /// Zeroes table memory; `bytes` is a multiple of the granule.
    fn zero(&self, at: Pa, bytes: u64);

    /// `TLBI IPAS2E1IS, Xt`; bits 39:0 hold `IPA[51:12]`.
    fn tlbi_ipas2e1is(&self, operand: u64);

    /// `TLBI RIPAS2E1IS, Xt`. Called only with FEAT_TLBIRANGE.
    fn tlbi_ripas2e1is(&self, operand: u64);

    /// `TLBI VMALLE1IS`.
    fn tlbi_vmalle1is(&self);

    /// `TLBI VMALLS12E1IS`.
    fn tlbi_vmalls12e1is(&self);

    /// `TLBI VAE2IS, Xt`; bits 43:0 hold `VA[55:12]`. In AArch32 TLBIMVAHIS, whose
    /// operand is the address.
    fn tlbi_vae2is(&self, operand: u64);

    /// `TLBI RVAE2IS, Xt`. Called only with FEAT_TLBIRANGE.
    fn tlbi_rvae2is(&self, operand: u64);

    /// `TLBI ALLE2IS`, or TLBIALLHIS.
    fn tlbi_alle2is(&self);

    /// `DSB ISHST`.
    fn dsb_ishst(&self);

    /// `DSB ISH`.
    fn dsb_ish(&self);

    /// `ISB`.
    fn isb(&self);

    /// `DC CVAC` of the line that holds this physical address.
    fn dc_cvac(&self, at: Pa);

    /// `DC CIVAC` of every line that holds a byte of this range of physical memory,
    /// a guest's or a table's.
    fn dc_civac(&self, at: Pa, bytes: u64);

    /// `DC CVAU` of every line that holds a byte of this range.
    fn dc_cvau(&self, at: Pa, bytes: u64);

    /// `IC IALLUIS`.
    fn ic_ialluis(&self);

    /// Bytes of the smallest data cache line (`CTR_EL0.DminLine`).
    fn cache_line_bytes(&self) -> u64;

    /// Writes `VTCR_EL2`, or VTCR.
    fn write_vtcr_el2(&self, value: u64);

    /// Writes `VTTBR_EL2`, or VTTBR.
    fn write_vttbr_el2(&self, value: u64);

    /// Writes `TCR_EL2`, or HTCR.
    fn write_tcr_el2(&self, value: u64);

    /// Writes `TTBR0_EL2`, or HTTBR.
    fn write_ttbr0_el2(&self, value: u64);

    /// Writes `MAIR_EL2`, or HMAIR0.
    fn write_mair_el2(&self, value: u64);

    /// Tells the hypervisor's dirty log of a VM's memory that hardware recorded as
    /// written (`S2AP[1]` beside DBM) where the record leaves the tables: its leaf is
    /// removed or replaced, or loses write permission. Called after the store that
    /// took the record away and while the address space is locked, so that the log
    /// never lacks what the tables no longer say; it must not come back to the
    /// address space.
    fn mark_dirty(&self, ipa: Ipa, bytes: u64);

    /// What this CPU does while another one holds a lock that it wants.
    fn wait(&self) {
        core::hint::spin_loop();
    }
}

/// A value that one CPU at a time reaches.
#[derive(Debug, Default)]
pub struct Guarded<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` is the only way to the value, and `held` lets one caller at a time
// through; its acquire and release order one caller after the other. The value
// moves between threads that way, so it must be `Send`.
unsafe impl<T: Send> Sync for Guarded<T> {}

/// Gives the value free again, also when a panic passes through.
struct Release<'a>(&'a AtomicBool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T> Guarded<T> {
    /// The value, held by nobody.
    #[must_use]
    pub const fn new(value: T) -> Guarded<T> {
        Guarded {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `action` on the value once no other CPU holds it, calling `wait` until
    /// then. `action` must not come back to the same value: it would wait for ever.
    pub fn with<R>(&self, wait: impl Fn(), action: impl FnOnce(&mut T) -> R) -> R {
        while self.held.swap(true, Ordering::Acquire) {
            wait();
        }
        let _release = Release(&self.held);
        // SAFETY: `held` was false and is true until `_release` is dropped, after the
        // reference is gone, so no other reference to the value exists.
        action(unsafe { &mut *self.value.get() })
    }
}
