//! How stretches change: cut in two, replaced, changed entry by entry. The tables that
//! follow are counted on the way.

use super::content::{Content, Stretch};
use super::dirty::Dirty;
use super::legal::{Configuration, PAGE_LEVEL};
use super::space::Space;

/// Stretches in ascending order, joined where one continues the last.
pub(super) struct Put<'a>(&'a mut Vec<Stretch>);

impl Put<'_> {
    pub(super) fn push(&mut self, next: Stretch) {
        if next.bytes == 0 {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && last.is_continued_by(&next)
        {
            last.bytes += next.bytes;
            return;
        }
        self.0.push(next);
    }

    /// Pushes what is left of `old` before `cut`.
    fn push_before(&mut self, configuration: &Configuration, old: &Stretch, cut: u64) {
        let mut from = old.ipa;
        for level in old.level..=PAGE_LEVEL {
            let bytes = configuration.entry_bytes(level);
            let to = cut / bytes * bytes;
            if from < to {
                let part = old.part(from, to);
                self.push(Stretch { level, ..part });
                from = to;
            }
        }
    }

    /// Pushes what is left of `old` from `cut` on.
    fn push_after(&mut self, configuration: &Configuration, old: &Stretch, cut: u64) {
        let mut from = cut;
        for level in (old.level..=PAGE_LEVEL).rev() {
            let to = if level == old.level {
                old.end()
            } else {
                from.next_multiple_of(configuration.table_bytes(level))
            };
            if from < to {
                let part = old.part(from, to);
                self.push(Stretch { level, ..part });
                from = to;
            }
        }
    }
}

impl Space {
    /// Lets what `make` pushes take the place of the stretches with these indices.
    pub(super) fn edit(
        &mut self,
        indices: std::ops::Range<usize>,
        make: impl FnOnce(&Configuration, &[Stretch], &mut Put<'_>),
    ) {
        // The neighbours take part, since they may join what is new.
        let taken = indices.start.saturating_sub(1)..self.stretches.len().min(indices.end + 1);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut put = Put(&mut scratch);
        for stretch in &self.stretches[taken.start..indices.start] {
            put.push(*stretch);
        }
        make(
            &self.configuration,
            &self.stretches[indices.clone()],
            &mut put,
        );
        for stretch in &self.stretches[indices.end..taken.end] {
            put.push(*stretch);
        }
        let changed = taken.start..taken.start + scratch.len();
        self.tables -= self.count_tables(taken.clone());
        self.stretches.splice(taken, scratch.drain(..));
        self.tables += self.count_tables(changed);
        self.scratch = scratch;
    }

    /// The tables below the root that lead to some of the entries at `indices`,
    /// and to none before them.
    fn count_tables(&self, indices: std::ops::Range<usize>) -> u64 {
        let before = indices.start.checked_sub(1);
        let mut last_before = before.map(|index| self.stretches[index].end() - 1);
        let mut count = 0;
        for stretch in &self.stretches[indices] {
            let last = stretch.end() - 1;
            for level in self.configuration.start_level() + 1..=stretch.level {
                let bytes = self.configuration.table_bytes(level);
                let first_table = stretch.ipa / bytes;
                let counted = last_before.is_some_and(|last| last / bytes == first_table);
                count += last / bytes - first_table + u64::from(!counted);
            }
            last_before = Some(last);
        }
        count
    }

    /// Splits the entry that `at` lies in the middle of, on each level down to the
    /// lowest level of which `at`, a multiple of the granule, is an entry boundary.
    pub(super) fn cut(&mut self, at: u64) {
        let index = self.first_ending_after(at);
        let Some(old) = self.stretches.get(index).copied() else {
            return;
        };
        let inside = !at.is_multiple_of(self.configuration.entry_bytes(old.level));
        if old.ipa < at && inside {
            self.edit(index..index + 1, |configuration, _, put| {
                put.push_before(configuration, &old, at);
                put.push_after(configuration, &old, at);
            });
        }
    }

    /// Lets `new`, or nothing, take the place of all entries in `[from, to)`, which cut
    /// none in its middle. Dirty leaves that go are reported, as leaves of the level of
    /// `new` at most.
    pub(super) fn replace(&mut self, from: u64, to: u64, new: Option<Stretch>, dirty: &mut Dirty) {
        let lowest = new.map_or(i8::MIN, |new| new.level);
        self.edit(self.overlapping(from, to), |configuration, old, put| {
            let (Some(first), Some(last)) = (old.first(), old.last()) else {
                new.into_iter().for_each(|new| put.push(new));
                return;
            };
            put.push(first.part(first.ipa, from.max(first.ipa)));
            for stretch in old {
                let part = stretch.part(stretch.ipa.max(from), stretch.end().min(to));
                let level = part.level.max(lowest);
                dirty.gone(&Stretch { level, ..part }, configuration);
            }
            new.into_iter().for_each(|new| put.push(new));
            put.push(last.part(to.min(last.end()), last.end()));
        });
    }

    /// Lets `change` say what each entry that `[from, to)` overlaps holds from now on,
    /// if anything. It gets entries as stretches that hold alike, and sees the first.
    pub(super) fn change(
        &mut self,
        from: u64,
        to: u64,
        mut change: impl FnMut(&Stretch) -> Option<Content>,
    ) {
        self.edit(self.overlapping(from, to), |configuration, old, put| {
            for stretch in old {
                let bytes = configuration.entry_bytes(stretch.level);
                let first = stretch.ipa.max(from / bytes * bytes);
                let last = stretch.end().min(to.next_multiple_of(bytes));
                put.push(stretch.part(stretch.ipa, first));
                let whole = stretch.part(first, last);
                if let Some(content) = change(&whole) {
                    put.push(Stretch { content, ..whole });
                }
                put.push(stretch.part(last, stretch.end()));
            }
        });
    }
}
