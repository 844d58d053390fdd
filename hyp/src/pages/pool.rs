//! The default page source: a buddy allocator over one stretch of physical
//! memory, its state kept outside of the pages, which it never touches.
//!
//! What was given back last is lent first, unless it has merged into a larger run
//! by then, so that a use after free meets its next owner soon.

use super::PageSource;
use crate::addr::Pa;
use crate::platform::Guarded;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering::Relaxed};

/// Orders of runs: 16 pages is the largest concatenated root.
const ORDERS: u8 = 5;
/// No page: ends a list.
const NONE: u32 = u32::MAX;
/// The page is on loan, or inside a free run that another page heads.
const NOT_FREE: u8 = u8::MAX;

/// The pool's note on one page.
#[derive(Debug)]
pub struct PageInfo {
    /// Order of the free run that this page heads, or `NOT_FREE`.
    free_order: AtomicU8,
    references: AtomicU16,
    /// Neighbours in a free list; on loan, `next` is the borrower's.
    next: AtomicU32,
    previous: AtomicU32,
}

impl PageInfo {
    /// The note on a page that no pool has seen.
    #[must_use]
    pub const fn new() -> PageInfo {
        PageInfo {
            free_order: AtomicU8::new(NOT_FREE),
            references: AtomicU16::new(0),
            next: AtomicU32::new(NONE),
            previous: AtomicU32::new(NONE),
        }
    }
}

impl Default for PageInfo {
    fn default() -> PageInfo {
        PageInfo::new()
    }
}

/// Why there can be no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// The base is not a multiple of the page size.
    Misaligned(Pa),
    /// The pool has no page, more than can be numbered, or ends past 2^52.
    Size(usize),
}

/// A buddy allocator.
#[derive(Debug)]
pub struct Pool<'a> {
    /// Page frame number of the first page.
    first_frame: u64,
    page_shift: u32,
    info: &'a [PageInfo],
    /// `info.len()`, which fits.
    pages: u32,
    free: Guarded<FreeLists>,
}

/// First free run of each order.
type FreeLists = [u32; ORDERS as usize];

impl<'a> Pool<'a> {
    /// A pool of `info.len()` pages of `1 << page_shift` bytes from `base` on,
    /// all free.
    ///
    /// # Errors
    /// `PoolError` says what is wrong with base or size.
    pub fn new(base: Pa, page_shift: u32, info: &'a [PageInfo]) -> Result<Pool<'a>, PoolError> {
        if !base.is_aligned(1 << page_shift) {
            return Err(PoolError::Misaligned(base));
        }
        let size = PoolError::Size(info.len());
        let pages = u32::try_from(info.len()).map_err(|_| size)?;
        let end = u64::from(pages)
            .checked_mul(1 << page_shift)
            .and_then(|b| base.checked_add(b));
        if pages == 0 || pages == NONE || end.is_none_or(|end| end.raw() > 1 << 52) {
            return Err(size);
        }
        let pool = Pool {
            first_frame: base.raw() >> page_shift,
            page_shift,
            info,
            pages,
            free: Guarded::new([NONE; ORDERS as usize]),
        };
        pool.locked(|free| pool.free_all(free));
        Ok(pool)
    }

    /// Hands every page to the free lists, lowest addresses in front.
    fn free_all(&self, free: &mut FreeLists) {
        for page in self.info {
            page.free_order.store(NOT_FREE, Relaxed);
        }
        let mut end = self.pages;
        while end > 0 {
            let order = self.largest_run_ending_at(end);
            end -= 1 << order;
            self.push_free(free, end, order);
        }
    }

    /// Order of the largest aligned run that ends before page `end`.
    fn largest_run_ending_at(&self, end: u32) -> u8 {
        let frame = self.first_frame + u64::from(end);
        let mut order = 0;
        while order + 1 < ORDERS && frame & ((2 << order) - 1) == 0 && end >= 2 << order {
            order += 1;
        }
        order
    }

    fn page(&self, index: u32) -> &PageInfo {
        &self.info[index as usize]
    }

    /// The number of a page on loan, and of no other.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "pages are numbered in 32 bits"
    )]
    fn index(&self, page: Pa) -> u32 {
        let frame = page.raw() >> self.page_shift;
        frame.wrapping_sub(self.first_frame) as u32
    }

    fn address(&self, index: u32) -> Pa {
        Pa::new((self.first_frame + u64::from(index)) << self.page_shift)
    }

    fn note(&self, page: Pa) -> &PageInfo {
        self.page(self.index(page))
    }

    fn push_free(&self, free: &mut FreeLists, index: u32, order: u8) {
        let second = core::mem::replace(&mut free[order as usize], index);
        let page = self.page(index);
        page.free_order.store(order, Relaxed);
        page.previous.store(NONE, Relaxed);
        page.next.store(second, Relaxed);
        if second != NONE {
            self.page(second).previous.store(index, Relaxed);
        }
    }

    fn remove_free(&self, free: &mut FreeLists, index: u32, order: u8) {
        let page = self.page(index);
        let (previous, next) = (page.previous.load(Relaxed), page.next.load(Relaxed));
        page.free_order.store(NOT_FREE, Relaxed);
        if previous == NONE {
            free[order as usize] = next;
        } else {
            self.page(previous).next.store(next, Relaxed);
        }
        if next != NONE {
            self.page(next).previous.store(previous, Relaxed);
        }
    }

    /// The other half of the run of twice the size, if the pool holds it.
    fn buddy(&self, index: u32, order: u8) -> Option<u32> {
        let frame = (self.first_frame + u64::from(index)) ^ (1 << order);
        let buddy = frame.checked_sub(self.first_frame)?;
        let end = buddy + (1 << order);
        if end <= u64::from(self.pages) {
            u32::try_from(buddy).ok()
        } else {
            None
        }
    }

    fn take(&self, free: &mut FreeLists, order: u8) -> Option<u32> {
        let found = (order..ORDERS).find(|&larger| free[larger as usize] != NONE)?;
        let index = free[found as usize];
        self.remove_free(free, index, found);
        // The lower half is kept, the upper halves go back.
        for half in (order..found).rev() {
            self.push_free(free, index + (1 << half), half);
        }
        Some(index)
    }

    fn give_back(&self, free: &mut FreeLists, mut index: u32, mut order: u8) {
        while order + 1 < ORDERS {
            let Some(buddy) = self.buddy(index, order) else {
                break;
            };
            if self.page(buddy).free_order.load(Relaxed) != order {
                break;
            }
            self.remove_free(free, buddy, order);
            index = index.min(buddy);
            order += 1;
        }
        self.push_free(free, index, order);
    }

    /// Runs `action` on the free lists. They are held for a few instructions, so
    /// that whoever waits spins.
    fn locked<T>(&self, action: impl FnOnce(&mut FreeLists) -> T) -> T {
        self.free.with(core::hint::spin_loop, action)
    }
}

impl PageSource for Pool<'_> {
    fn page_bytes(&self) -> u64 {
        1 << self.page_shift
    }

    fn allocate(&self, order: u8) -> Option<Pa> {
        let index = self.locked(|free| self.take(free, order))?;
        for page in index..index + (1 << order) {
            self.page(page).references.store(0, Relaxed);
        }
        Some(self.address(index))
    }

    fn release(&self, first: Pa, order: u8) {
        self.locked(|free| self.give_back(free, self.index(first), order));
    }

    fn add_references(&self, page: Pa, count: u16) {
        self.note(page).references.fetch_add(count, Relaxed);
    }

    fn drop_references(&self, page: Pa, count: u16) {
        self.note(page).references.fetch_sub(count, Relaxed);
    }

    fn references(&self, page: Pa) -> u16 {
        self.note(page).references.load(Relaxed)
    }

    fn next(&self, page: Pa) -> Option<Pa> {
        match self.note(page).next.load(Relaxed) {
            NONE => None,
            index => Some(self.address(index)),
        }
    }

    fn set_next(&self, page: Pa, next: Option<Pa>) {
        let index = next.map_or(NONE, |next| self.index(next));
        self.note(page).next.store(index, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PageList;
    extern crate std;
    use std::vec::Vec;

    const BASE: Pa = Pa::new(0x4800_1000);

    fn notes(pages: usize) -> Vec<PageInfo> {
        (0..pages).map(|_| PageInfo::new()).collect()
    }

    fn drain(pool: &Pool<'_>, order: u8) -> Vec<u64> {
        core::iter::from_fn(|| pool.allocate(order))
            .map(Pa::raw)
            .collect()
    }

    #[test]
    fn runs_are_aligned_to_their_size_in_physical_memory() {
        let info = notes(64);
        let pool = Pool::new(BASE, 12, &info).unwrap();
        let runs = drain(&pool, 4);
        assert_eq!(runs, [0x4801_0000, 0x4802_0000, 0x4803_0000]);
    }

    #[test]
    fn every_page_is_lent_exactly_once() {
        let info = notes(37);
        let pool = Pool::new(BASE, 12, &info).unwrap();
        let mut pages = drain(&pool, 0);
        pages.sort_unstable();
        let expected: Vec<u64> = (0..37).map(|page| 0x4800_1000 + page * 0x1000).collect();
        assert_eq!(pages, expected);
    }

    #[test]
    fn pages_given_back_in_any_order_become_large_runs_again() {
        let info = notes(32);
        let pool = Pool::new(Pa::new(0x4800_0000), 12, &info).unwrap();
        let pages = drain(&pool, 0);
        for page in pages
            .iter()
            .step_by(2)
            .chain(pages.iter().skip(1).step_by(2))
        {
            pool.release(Pa::new(*page), 0);
        }
        assert_eq!(drain(&pool, 4).len(), 2);
    }

    #[test]
    fn the_page_given_back_last_is_lent_first() {
        let info = notes(8);
        let pool = Pool::new(BASE, 12, &info).unwrap();
        let pages = drain(&pool, 0);
        pool.release(Pa::new(pages[3]), 0);
        assert_eq!(pool.allocate(0), Some(Pa::new(pages[3])));
    }

    #[test]
    fn references_start_at_zero_for_each_borrower() {
        let info = notes(1);
        let pool = Pool::new(BASE, 12, &info).unwrap();
        let page = pool.allocate(0).unwrap();
        pool.add_references(page, 5);
        pool.drop_references(page, 2);
        assert_eq!(pool.references(page), 3);
        pool.release(page, 0);
        assert_eq!(pool.references(pool.allocate(0).unwrap()), 0);
    }

    #[test]
    fn a_list_gives_pages_back_in_reverse() {
        let info = notes(4);
        let pool = Pool::new(BASE, 12, &info).unwrap();
        let mut list = PageList::new();
        let pages = drain(&pool, 0);
        pages
            .iter()
            .for_each(|&page| list.push(&pool, Pa::new(page)));
        let popped: Vec<u64> = core::iter::from_fn(|| list.pop(&pool))
            .map(Pa::raw)
            .collect();
        assert!(popped.iter().eq(pages.iter().rev()));
        assert!(list.is_empty());
    }

    #[test]
    fn a_misaligned_base_is_refused() {
        let info = notes(1);
        let base = Pa::new(0x4800_0800);
        assert_eq!(
            Pool::new(base, 12, &info).unwrap_err(),
            PoolError::Misaligned(base)
        );
    }
}
