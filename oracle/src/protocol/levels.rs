//! Descriptors by level and IPA.

use super::sorted::{Addressed, Sorted};
use crate::ledger::{Format, Place};

/// Levels -1 to 3.
const LEVELS: usize = 5;

/// The list, the highest level first.
#[derive(Clone, Debug)]
pub(super) struct Levels<T>([Sorted<T>; LEVELS]);

impl<T> Default for Levels<T> {
    fn default() -> Levels<T> {
        Levels(std::array::from_fn(|_| Sorted::default()))
    }
}

impl<T: Addressed> Levels<T> {
    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(Sorted::clear);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Sorted::len).sum()
    }

    pub(super) fn push(&mut self, level: i8, item: T) {
        self.0[index(level)].push(item);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(Sorted::iter)
    }

    /// Keeps what `keep` accepts.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for level in &mut self.0 {
            level.retain(&mut keep);
        }
    }

    /// Those of higher levels that hold an entry.
    pub(super) fn above(&self, format: &Format, entry: Place) -> impl Iterator<Item = &T> {
        let levels = format.start_level().map(|start| start..entry.level);
        levels.into_iter().flatten().flat_map(move |level| {
            let ipa = entry_base(format, entry.ipa, level);
            self.0[index(level)].within(ipa, 1)
        })
    }

    /// Those that share an address with an entry.
    pub(super) fn over(&self, format: &Format, entry: Place) -> impl Iterator<Item = &T> {
        let bytes = format.entry_bytes(entry.level);
        let own = self.0[index(entry.level)..].iter();
        let below = own.flat_map(move |level| level.within(entry.ipa, bytes));
        self.above(format, entry).chain(below)
    }

    /// Acts on those whose region holds an address from `first` to `last`.
    pub(super) fn for_each_over(
        &mut self,
        format: &Format,
        (first, last): (u64, u64),
        mut act: impl FnMut(&mut T),
    ) {
        let Some(start) = format.start_level() else {
            return;
        };
        for level in start..=3 {
            let base = entry_base(format, first, level);
            let bytes = (last - base).saturating_add(1);
            self.0[index(level)].for_each_within(base, bytes, &mut act);
        }
    }

    /// Acts on those of one level from an address on.
    pub(super) fn for_each_of(
        &mut self,
        level: i8,
        (start, bytes): (u64, u64),
        act: impl FnMut(&mut T),
    ) {
        self.0[index(level)].for_each_within(start, bytes, act);
    }

    /// Those of one level from an address on.
    pub(super) fn of(&self, level: i8, (start, bytes): (u64, u64)) -> impl Iterator<Item = &T> {
        self.0[index(level)].within(start, bytes)
    }
}

/// Where a level is kept.
fn index(level: i8) -> usize {
    usize::try_from(level + 1).map_or(0, |index| index.min(LEVELS - 1))
}

/// The first IPA of the entry of a level that translates an IPA.
fn entry_base(format: &Format, ipa: u64, level: i8) -> u64 {
    ipa & !(format.entry_bytes(level) - 1)
}
