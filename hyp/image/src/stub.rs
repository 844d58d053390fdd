//! The guest's code: what runs at EL1 to try an access.
//!
//! It lies in the first 4 KiB of guest memory and is position independent, since
//! the sequence says at which IPA it is mapped. Entered with x0 the address, x1
//! the kind, x2 the value to store; x3 becomes 1 once it runs.

use crate::convert::to_usize;
use crate::{memory, stamps};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use ops::Window;
use ops::mailbox::{HVC_COMPLETED, HVC_EXCEPTION};

/// Size of the stub in memory.
pub(crate) const BYTES: u64 = 0x1000;
/// Offset of its EL1 vectors.
pub(crate) const VECTORS: u64 = 0x800;

/// `x1` for a load.
pub(crate) const LOAD: u64 = 0;
/// `x1` for a store.
pub(crate) const STORE: u64 = 1;
/// `x1` for a fetch.
pub(crate) const FETCH: u64 = 2;

global_asm!(
    ".pushsection .rodata.stub, \"a\"",
    ".balign 8",
    ".global image_stub",
    "image_stub:",
    "mov x3, #1",
    "cmp x1, #{STORE}",
    "b.eq 1f",
    "b.hi 2f",
    "ldr x2, [x0]",
    "hvc #{HVC_COMPLETED}",
    "1: str x2, [x0]",
    "hvc #{HVC_COMPLETED}",
    "2: br x0",
    ".org image_stub + {VECTORS}",
    ".rept 16",
    "hvc #{HVC_EXCEPTION}",
    ".balign 0x80",
    ".endr",
    ".org image_stub + {BYTES}",
    ".popsection",
    STORE = const STORE,
    HVC_COMPLETED = const HVC_COMPLETED,
    HVC_EXCEPTION = const HVC_EXCEPTION,
    VECTORS = const VECTORS,
    BYTES = const BYTES,
);

unsafe extern "C" {
    static image_stub: [u64; to_usize(BYTES / 8)];
}

/// Puts the stub at the start of guest memory. Where it stands already, nothing is
/// stored, so that an emulator keeps what it translated.
pub(crate) fn install(memory: Window) {
    // SAFETY: a constant in this image's read-only memory, aligned to 8 bytes.
    let code = unsafe { &image_stub };
    let bytes = BYTES;
    let place = memory::window(Window {
        base: memory.base,
        bytes,
    });
    let differs = |(slot, word): (&AtomicU64, &u64)| slot.load(Ordering::Relaxed) != *word;
    if !place.iter().zip(code).any(differs) {
        return;
    }
    stamps::forget();
    for (slot, word) in place.iter().zip(code) {
        slot.store(*word, Ordering::Relaxed);
    }
}
