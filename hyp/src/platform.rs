//! What the code that changes tables asks of the machine: one method for each
//! instruction that another observer can tell.
//!
//! A hypervisor implements `Platform` once for each CPU with a line of assembly
//! per method. Memory is named by physical address, since only the
//! implementation knows where this CPU sees it. Left out: page allocation, which
//! is `pages`, and everything about the guest's own state.

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

    /// Acquires a lock, waiting for it.
    fn acquire(&self, lock: &Lock) {
        while lock.try_acquire().is_err() {
            core::hint::spin_loop();
        }
    }

    /// Releases a lock that this CPU holds.
    fn release(&self, lock: &Lock) {
        lock.release();
    }
}

/// A spin lock without a policy for waiting, which is the platform's.
#[derive(Debug, Default)]
pub struct Lock(AtomicBool);

/// The lock is held by another CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held;

impl Lock {
    /// A free lock.
    #[must_use]
    pub const fn new() -> Lock {
        Lock(AtomicBool::new(false))
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// `Held`, without effect, if it is not.
    pub fn try_acquire(&self) -> Result<(), Held> {
        match self
            .0
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(Held),
        }
    }

    /// Gives the lock back. Only its holder calls this.
    pub fn release(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A value that only the holder of its lock reaches.
#[derive(Debug, Default)]
pub struct Guarded<T> {
    lock: Lock,
    value: UnsafeCell<T>,
}

// SAFETY: `with` is the only way to the value, and hands it to one caller at a
// time; the acquire and release of the lock order one caller after the other. The
// value moves between threads that way, so it must be `Send`.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// The value, with a free lock.
    #[must_use]
    pub const fn new(value: T) -> Guarded<T> {
        Guarded {
            lock: Lock::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `action` on the value with the lock held. It must not come back to
    /// the same value.
    pub fn with<P: Platform + ?Sized, R>(
        &self,
        platform: &P,
        action: impl FnOnce(&mut T) -> R,
    ) -> R {
        platform.acquire(&self.lock);
        // SAFETY: the lock is held from here to `release`, so no other reference
        // to the value exists.
        let result = action(unsafe { &mut *self.value.get() });
        platform.release(&self.lock);
        result
    }
}
