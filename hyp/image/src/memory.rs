//! Physical memory that others write too: the runner, the guest, the walker.
//!
//! It is seen at its physical address and as words that are loaded and stored
//! whole. The image's own memory is none of it.

use crate::convert::to_usize;
use core::sync::atomic::AtomicU64;
use ops::mailbox::{MAILBOX, RAM};
use ops::{SENTINEL, Window};

/// The sentinel and all behind it: pools and guest memory.
pub(crate) const TABLES_AND_GUESTS: Window = Window {
    base: SENTINEL.base,
    bytes: RAM.base + RAM.bytes - SENTINEL.base,
};

/// The mailbox.
pub(crate) fn mailbox() -> &'static [AtomicU64] {
    words(MAILBOX)
}

/// The 8 bytes at this physical address, if it is aligned and lies in
/// `TABLES_AND_GUESTS`.
#[inline]
pub(crate) fn word(pa: u64) -> Option<&'static AtomicU64> {
    let offset = pa.checked_sub(TABLES_AND_GUESTS.base)?;
    if !offset.is_multiple_of(8) {
        return None;
    }
    words(TABLES_AND_GUESTS).get(to_usize(offset / 8))
}

/// The part of a range of physical memory that lies in `TABLES_AND_GUESTS`; `None`
/// where that is nothing.
pub(crate) fn mapped_part(at: u64, bytes: u64) -> Option<Window> {
    let first = at.max(TABLES_AND_GUESTS.base);
    let end = at
        .saturating_add(bytes)
        .min(TABLES_AND_GUESTS.base + TABLES_AND_GUESTS.bytes);
    let bytes = end.checked_sub(first).filter(|bytes| *bytes > 0)?;
    Some(Window { base: first, bytes })
}

/// The words of a window that lies in `TABLES_AND_GUESTS`.
///
/// # Panics
/// Where it does not, or is not aligned to 8 bytes: a window is checked when a
/// request comes in.
pub(crate) fn window(window: Window) -> &'static [AtomicU64] {
    let all = words(TABLES_AND_GUESTS);
    let first = window
        .base
        .checked_sub(TABLES_AND_GUESTS.base)
        .map(|offset| to_usize(offset / 8));
    let found = first.and_then(|first| all.get(first..)?.get(..to_usize(window.bytes / 8)));
    found.expect("a window outside of the memory of tables and guests")
}

#[inline]
fn words(window: Window) -> &'static [AtomicU64] {
    // The two constants above are RAM, aligned, and apart from the image, so that no Rust
    // object lives there.
    // SAFETY: called with these only, which `tables` maps readable and writable at their
    // physical addresses; everybody on this side accesses them as atomics.
    unsafe {
        core::slice::from_raw_parts(window.base as *const AtomicU64, to_usize(window.bytes / 8))
    }
}
