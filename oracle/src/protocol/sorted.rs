//! Items by address, for callers that add them in any order and look them up in
//! between.
//!
//! The list is a few ascending runs. What arrives in order extends the last run; what
//! does not starts another, and runs are merged so that each is at least twice as
//! long as the next. So adding costs a logarithm on average, and looking up one
//! binary search for each run, of which there is mostly one.

use std::ops::Range;

/// What has an address.
pub(super) trait Addressed {
    fn address(&self) -> u64;
}

/// The list.
#[derive(Clone, Debug)]
pub(super) struct Sorted<T> {
    items: Vec<T>,
    /// First index of each run.
    runs: Vec<usize>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Sorted<T> {
        Sorted {
            items: Vec::new(),
            runs: Vec::new(),
        }
    }
}

impl<T: Addressed> Sorted<T> {
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.runs.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn push(&mut self, item: T) {
        match self.items.last() {
            Some(last) if last.address() <= item.address() => {}
            _ => self.start_run(),
        }
        self.items.push(item);
    }

    fn start_run(&mut self) {
        while let [.., before, last] = self.runs[..] {
            if 2 * (self.items.len() - last) < last - before {
                break;
            }
            self.runs.pop();
            self.items[before..].sort_by_key(T::address);
        }
        self.runs.push(self.items.len());
    }

    /// Keeps what `keep` accepts.
    pub(super) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.items.retain(keep);
        self.items.sort_by_key(T::address);
        self.runs.clear();
        if !self.items.is_empty() {
            self.runs.push(0);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Items at addresses from `start` on, and below `start + bytes`.
    pub(super) fn within(&self, start: u64, bytes: u64) -> impl Iterator<Item = &T> {
        (0..self.runs.len()).flat_map(move |run| &self.items[self.find(run, start, bytes)])
    }

    /// Acts on the items at addresses from `start` on, and below `start + bytes`.
    pub(super) fn for_each_within(&mut self, start: u64, bytes: u64, mut act: impl FnMut(&mut T)) {
        for run in 0..self.runs.len() {
            let range = self.find(run, start, bytes);
            self.items[range].iter_mut().for_each(&mut act);
        }
    }

    fn find(&self, run: usize, start: u64, bytes: u64) -> Range<usize> {
        let first = self.runs[run];
        let end = self.runs.get(run + 1).copied();
        let end = end.unwrap_or(self.items.len());
        let items = &self.items[first..end];
        let from = items.partition_point(|item| item.address() < start);
        let rest = &items[from..];
        let inside = |item: &T| item.address() - start < bytes;
        // Mostly one or none: a search costs as much as the one for `from` did.
        let near = rest.iter().take(4).take_while(|item| inside(item)).count();
        let count = if near < 4 {
            near
        } else {
            rest.partition_point(inside)
        };
        first + from..first + from + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Addressed for u64 {
        fn address(&self) -> u64 {
            *self
        }
    }

    fn list(items: impl IntoIterator<Item = u64>) -> Sorted<u64> {
        let mut list = Sorted::default();
        items.into_iter().for_each(|item| list.push(item));
        list
    }

    fn found(list: &Sorted<u64>, start: u64, bytes: u64) -> Vec<u64> {
        let mut found: Vec<_> = list.within(start, bytes).copied().collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn items_are_found_whatever_their_order() {
        let scattered = (0..1000).map(|i| i * 617 % 1000);
        for list in [list(0..1000), list((0..1000).rev()), list(scattered)] {
            assert_eq!(found(&list, 100, 3), [100, 101, 102]);
            assert_eq!(found(&list, 999, 9), [999]);
            assert_eq!(found(&list, 1000, 9), [0; 0]);
        }
    }

    #[test]
    fn equal_addresses_are_all_found() {
        let mut list = list([5, 3, 5, 4, 3, 5]);
        let mut count = 0;
        list.for_each_within(5, 1, |_| count += 1);
        assert_eq!(count, 3);
    }

    #[test]
    fn runs_stay_few() {
        assert_eq!(list(0..1000).runs.len(), 1);
        assert!(list((0..100_000).rev()).runs.len() <= 17);
    }

    #[test]
    fn retained_items_are_found() {
        let mut list = list((0..100).rev());
        list.retain(|item| item % 2 == 0);
        assert_eq!(found(&list, 10, 5), [10, 12, 14]);
        assert_eq!(list.len(), 50);
    }
}
