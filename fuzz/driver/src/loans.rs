//! Which pages of the pool are on loan.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use ops::Machine;

const WORDS: usize = Machine::MAX_POOL_PAGES as usize / 64;
/// The largest run that a pool lends: sixteen pages.
const MOST_ORDER: u8 = 4;

/// One bit for each page of the largest pool, and how many are set.
#[derive(Debug)]
pub(crate) struct Loans {
    bits: [AtomicU64; WORDS],
    count: AtomicU32,
}

impl Loans {
    /// No page is on loan.
    pub(crate) const fn new() -> Loans {
        Loans {
            bits: [const { AtomicU64::new(0) }; WORDS],
            count: AtomicU32::new(0),
        }
    }

    /// Number of pages on loan.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// The numbers of the pages on loan, in ascending order.
    pub(crate) fn pages(&self) -> impl Iterator<Item = usize> {
        let words = self.bits.iter().enumerate();
        words.flat_map(|(index, word)| {
            let mut left = word.load(Relaxed);
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                // Without its lowest bit; zero has none.
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(index * 64 + bit)
            })
        })
    }

    /// Whether the page of this number is on loan.
    pub(crate) fn holds(&self, page: usize) -> bool {
        self.bits
            .get(page / 64)
            .is_some_and(|word| word.load(Relaxed) >> (page % 64) & 1 != 0)
    }

    /// `1 << order` pages are lent that were not on loan.
    pub(crate) fn begin(&self, first: usize, order: u8) {
        self.flip(first, order);
        self.count.fetch_add(1 << order, Relaxed);
    }

    /// `1 << order` pages come back; false, without effect, unless all of them
    /// were on loan.
    pub(crate) fn end(&self, first: usize, order: u8) -> bool {
        if order > MOST_ORDER || !run(first, order).all(|page| self.holds(page)) {
            return false;
        }
        self.flip(first, order);
        self.count.fetch_sub(1 << order, Relaxed);
        true
    }

    fn flip(&self, first: usize, order: u8) {
        for page in run(first, order) {
            if let Some(word) = self.bits.get(page / 64) {
                word.fetch_xor(1 << (page % 64), Relaxed);
            }
        }
    }
}

fn run(first: usize, order: u8) -> impl Iterator<Item = usize> {
    (0..1 << order).map(move |offset: usize| first.saturating_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_comes_back_once() {
        let loans = Loans::new();
        loans.begin(62, 2);
        assert_eq!(
            (loans.count(), loans.holds(65), loans.holds(66)),
            (4, true, false)
        );
        assert!(loans.end(62, 2));
        assert!(!loans.end(62, 2));
        assert_eq!(loans.count(), 0);
    }

    #[test]
    fn pages_on_loan_are_listed() {
        let loans = Loans::new();
        loans.begin(62, 2);
        loans.begin(7, 0);
        assert!(loans.pages().eq([7, 62, 63, 64, 65]));
    }

    #[test]
    fn what_is_on_loan_in_part_does_not_come_back() {
        let loans = Loans::new();
        loans.begin(0, 0);
        assert!(!loans.end(0, 1));
        assert!(loans.holds(0));
    }

    #[test]
    fn numbers_that_no_page_has_are_never_on_loan() {
        let loans = Loans::new();
        assert!(!loans.holds(usize::MAX));
        assert!(!loans.end(usize::MAX, 3));
        assert!(!loans.end(0, 200));
    }
}
