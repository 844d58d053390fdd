//! Which operation stored each word of table memory last, for a reader of a verdict:
//! at constant cost for a store, and for the zeroing of a whole page.
//!
//! It leaves out what the words hold, which is the ledger's, and memory outside of
//! the pool.

use crate::event::Event;
use crate::ledger::{State, Tables};

/// The words of one page. A stamp of 0 stands for no operation.
#[derive(Clone, Debug, Default)]
struct Page {
    /// For each word, the stamp of the operation that stored to it by itself.
    words: Vec<u64>,
    /// The stamp of the operation that last zeroed the page as a whole.
    whole: u64,
}

/// The last writer of each word. Operations are known by stamps, which only ascend,
/// so that a reset need not look at any word.
#[derive(Clone, Debug, Default)]
pub(super) struct Writers {
    pages: Vec<Page>,
    /// The caller's numbers of the operations since the last reset, in order.
    numbers: Vec<usize>,
    /// The stamp before that of the first of them.
    before: u64,
}

impl Writers {
    /// Forgets the sequence, and keeps the buffers.
    pub(super) fn reset(&mut self) {
        self.before += self.numbers.len() as u64;
        self.numbers.clear();
    }

    /// An operation starts, which the caller knows by this number.
    pub(super) fn begin(&mut self, number: usize) {
        self.numbers.push(number);
    }

    /// One event of it. `tables` need not have seen it. What it says of free pages or
    /// memory outside of the pool is not kept: the ledger does not let it pass.
    pub(super) fn event(&mut self, event: &Event, tables: &Tables) {
        match *event {
            Event::Store { at, .. } | Event::Exchange { at, .. } => {
                if let Some(number) = used(tables, at) {
                    self.stamp_words(tables, number, at, at.saturating_add(8));
                }
            }
            Event::Zero { at, bytes } => self.zero(tables, at, at.saturating_add(bytes)),
            _ => {}
        }
    }

    fn zero(&mut self, tables: &Tables, mut from: u64, end: u64) {
        while from < end
            && let Some(number) = used(tables, from)
        {
            let start = tables.address(number);
            let page_end = start.saturating_add(tables.page_bytes());
            if from == start && end >= page_end {
                let stamp = self.stamp();
                self.page(number).whole = stamp;
            } else {
                self.stamp_words(tables, number, from, end.min(page_end));
            }
            from = page_end;
        }
    }

    fn stamp_words(&mut self, tables: &Tables, number: usize, from: u64, end: u64) {
        let stamp = self.stamp();
        let start = tables.address(number);
        let entries = (tables.page_bytes() / 8) as usize;
        let words = &mut self.page(number).words;
        if words.len() < entries {
            words.resize(entries, 0);
        }
        let index = |at: u64| ((at - start) / 8) as usize;
        words[index(from)..index(end).min(entries)].fill(stamp);
    }

    fn page(&mut self, number: usize) -> &mut Page {
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, Page::default);
        }
        &mut self.pages[number]
    }

    fn stamp(&self) -> u64 {
        self.before + self.numbers.len() as u64
    }

    /// The number of the operation that stored what `at` holds now. `None` where it
    /// holds another value than any operation of this sequence stored there last.
    pub(super) fn writer(&self, tables: &Tables, at: u64, holds: u64) -> Option<usize> {
        let number = tables.number(at)?;
        let index = usize::try_from((at - tables.address(number)) / 8).ok()?;
        if tables.contents(number).get(index) != Some(&holds) {
            return None;
        }
        let page = self.pages.get(number)?;
        let stamp = page
            .words
            .get(index)
            .map_or(page.whole, |&word| word.max(page.whole));
        let place = stamp.checked_sub(self.before)?.checked_sub(1)?;
        self.numbers.get(usize::try_from(place).ok()?).copied()
    }
}

/// The page that holds `at`, unless it is free.
fn used(tables: &Tables, at: u64) -> Option<usize> {
    let number = tables.number(at)?;
    (tables.state(number) != State::Free).then_some(number)
}
