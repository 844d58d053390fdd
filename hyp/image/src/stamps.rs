//! Stamps that are about to be fetched.
//!
//! The runner writes them from outside, which an emulator does not notice: it
//! would go on with code that it translated from there before. A store by this
//! CPU it does notice, even of what is there already. That costs it a translation,
//! so that stamps which have not changed since they were last fetched are left
//! alone.

use crate::convert::to_usize;
use crate::memory;
use core::sync::atomic::{AtomicU64, Ordering};
use ops::Window;

/// Stamps that are remembered; a later one takes the place of an earlier one.
const SLOTS: usize = 1024;

struct Slot {
    /// Physical address of the stamp, or 0.
    stamp: AtomicU64,
    /// What it held when it was last fetched.
    value: AtomicU64,
}

impl Slot {
    const fn empty() -> Slot {
        Slot {
            stamp: AtomicU64::new(0),
            value: AtomicU64::new(0),
        }
    }
}

static SEEN: [Slot; SLOTS] = [const { Slot::empty() }; SLOTS];

/// Makes the emulator see the stamp at this address, if it lies in the guest's
/// memory.
pub(crate) fn refresh(stamp: u64, memory: Window) {
    if !memory.contains(stamp) {
        return;
    }
    let Some(word) = memory::word(stamp) else {
        return;
    };
    let value = word.load(Ordering::Relaxed);
    let slot = &SEEN[to_usize(stamp >> 3 ^ stamp >> 12) % SLOTS];
    if slot.stamp.load(Ordering::Relaxed) == stamp && slot.value.load(Ordering::Relaxed) == value {
        return;
    }
    word.store(value, Ordering::Relaxed);
    slot.stamp.store(stamp, Ordering::Relaxed);
    slot.value.store(value, Ordering::Relaxed);
}

/// Forgets them all: other code ran where they may be.
pub(crate) fn forget() {
    for slot in &SEEN {
        slot.stamp.store(0, Ordering::Relaxed);
    }
}
