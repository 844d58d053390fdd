//! What the code that changes tables asks of the machine: one method for each
//! instruction that another observer can tell.
//!
//! A hypervisor implements `Platform` once for each CPU with a line of assembly
//! per method. Memory is named by physical address, since only the
//! implementation knows where this CPU sees it. Left out: page allocation, which
//! is `pages`, and everything about the guest's own state.
//!
//! The `TLBI` methods mean the EL1&0 regime. On a host with VHE that asks for
//! HCR_EL2.{E2H, TGE} other than {1, 1} around them: with both set,
//! `TLBI VMALLE1IS` acts on EL2&0 (AArch64.TLBI, ELIsInHost).

use crate::addr::Pa;
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

    /// Zeroes table memory; `bytes` is a multiple of the granule.
    fn zero(&self, at: Pa, bytes: u64);

    /// `TLBI IPAS2E1IS, Xt`; bits 39:0 hold `IPA[51:12]`.
    fn tlbi_ipas2e1is(&self, operand: u64);

    /// `TLBI VMALLE1IS`.
    fn tlbi_vmalle1is(&self);

    /// `TLBI VMALLS12E1IS`.
    fn tlbi_vmalls12e1is(&self);

    /// `DSB ISHST`.
    fn dsb_ishst(&self);

    /// `DSB ISH`.
    fn dsb_ish(&self);

    /// `ISB`.
    fn isb(&self);

    /// `DC CVAC` of the line that holds this physical address.
    fn dc_cvac(&self, at: Pa);

    /// Bytes of the smallest data cache line (`CTR_EL0.DminLine`).
    fn cache_line_bytes(&self) -> u64;

    /// Writes `VTCR_EL2`.
    fn write_vtcr_el2(&self, value: u64);

    /// Writes `VTTBR_EL2`.
    fn write_vttbr_el2(&self, value: u64);

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
