//! Poison: what free table memory holds when a sequence starts.
//!
//! Filling a pool costs more than most sequences, so that the image remembers
//! which pages hold poison already and fills the others.

use crate::convert::to_usize;
use crate::memory;
use core::sync::atomic::{AtomicU64, Ordering};
use ops::mailbox::RAM;
use ops::{SENTINEL, Window, poison};

/// The smallest granule: everything that is filled is a multiple of it.
pub(crate) const PAGE_BYTES: u64 = 0x1000;
const PAGES: usize = to_usize(RAM.bytes / PAGE_BYTES);

/// One bit for each page of RAM: it holds nothing but poison. One CPU changes
/// it.
static POISONED: [AtomicU64; PAGES / 64] = [const { AtomicU64::new(0) }; PAGES / 64];

/// Fills the sentinel page, once.
pub(crate) fn fill_sentinel() {
    fill(SENTINEL);
}

/// Makes the whole of a pool poison.
pub(crate) fn prepare(pool: Window) {
    for page in pages(pool) {
        let (bits, mask) = place(page);
        if bits.load(Ordering::Relaxed) & mask == 0 {
            fill(Window {
                base: page,
                bytes: PAGE_BYTES,
            });
            bits.store(bits.load(Ordering::Relaxed) | mask, Ordering::Relaxed);
        }
    }
}

/// Notes that this address in RAM may hold something else now.
#[inline]
pub(crate) fn spoil(pa: u64) {
    let (bits, mask) = place(pa);
    clear(bits, mask);
}

/// The same for all pages of a window in RAM, which is not empty.
pub(crate) fn spoil_window(window: Window) {
    let (first, last) = (
        page_number(window.base),
        page_number(window.base + window.bytes - 1),
    );
    for (index, bits) in (first / 64..).zip(&POISONED[first / 64..=last / 64]) {
        let from = first.saturating_sub(index * 64);
        let to = (last - index * 64).min(63);
        clear(bits, u64::MAX << from & u64::MAX >> (63 - to));
    }
}

#[inline]
fn clear(bits: &AtomicU64, mask: u64) {
    let old = bits.load(Ordering::Relaxed);
    if old & mask != 0 {
        bits.store(old & !mask, Ordering::Relaxed);
    }
}

fn fill(window: Window) {
    for word in memory::window(window) {
        word.store(poison(), Ordering::Relaxed);
    }
}

fn pages(window: Window) -> impl Iterator<Item = u64> {
    (window.base..window.base + window.bytes).step_by(to_usize(PAGE_BYTES))
}

fn place(pa: u64) -> (&'static AtomicU64, u64) {
    let page = page_number(pa);
    (&POISONED[page / 64], 1 << (page % 64))
}

/// Counted from the start of RAM, in which `pa` lies.
fn page_number(pa: u64) -> usize {
    to_usize((pa - RAM.base) / PAGE_BYTES)
}
