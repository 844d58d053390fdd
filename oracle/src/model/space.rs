//! One abstract address space: its leaves as runs, and what follows from them.
//!
//! Tables are not stored. Since a table that becomes empty goes at once (U8) and
//! a table is linked only for a leaf (M12), a table at a level exists exactly
//! when a leaf of that level or a deeper one lies in its region; the root always
//! exists. Two leaves that are neighbours therefore decide which tables cover
//! the addresses between them.
//!
//! It leaves out which change an operation asks for: see `change`.

use super::legal::{Configuration, PAGE_LEVEL};
use super::{Meaning, Run};

/// Leaves of one level that follow each other without a gap, in IPA and in PA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    pub(super) run: Run,
    pub(super) level: i8,
}

/// An address space.
#[derive(Clone, Debug)]
pub(super) struct Space {
    configuration: Configuration,
    /// In ascending order, without overlap, none that could be joined with the next.
    leaves: Vec<Leaves>,
    /// Tables below the root.
    tables: u64,
    /// What takes the place of other leaves, while it is collected.
    scratch: Vec<Leaves>,
}

impl Run {
    /// The first IPA beyond it.
    pub(super) fn end(&self) -> u64 {
        self.ipa + self.bytes
    }

    /// Its part from `from` to `to`.
    pub(super) fn part(&self, from: u64, to: u64) -> Run {
        Run {
            ipa: from,
            bytes: to - from,
            pa: self.pa_of(from),
            ..*self
        }
    }

    /// The PA of an IPA in it.
    pub(super) fn pa_of(&self, ipa: u64) -> u64 {
        self.pa + (ipa - self.ipa)
    }

    /// Whether both map alike: the same PA offset, permissions and memory type.
    pub(super) fn agrees_with(&self, other: &Run) -> bool {
        self.prot == other.prot
            && self.memory == other.memory
            && self.pa.wrapping_sub(self.ipa) == other.pa.wrapping_sub(other.ipa)
    }
}

impl Space {
    /// Maps nothing.
    pub(super) fn new(configuration: Configuration) -> Space {
        Space {
            configuration,
            leaves: Vec::new(),
            tables: 0,
            scratch: Vec::new(),
        }
    }

    /// As [`Space::new`], but keeps the buffers.
    pub(super) fn reset(&mut self, configuration: Configuration) {
        self.configuration = configuration;
        self.leaves.clear();
        self.tables = 0;
    }

    pub(super) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Table pages, those of the root included.
    pub(super) fn tables(&self) -> u32 {
        let below = u32::try_from(self.tables).expect("2^48 bytes have fewer than 2^28 tables");
        below + self.configuration.root_tables()
    }

    /// What an IPA means.
    pub(super) fn lookup(&self, ipa: u64) -> Meaning {
        if ipa >= self.configuration.ipa_end() {
            return Meaning::OutOfRange;
        }
        match self.covering(ipa) {
            Some(Leaves { run, level }) => Meaning::Mapped {
                pa: run.pa_of(ipa),
                prot: run.prot,
                memory: run.memory,
                level: *level,
            },
            None => Meaning::Unmapped {
                fault_level: self.deepest_table(ipa),
            },
        }
    }

    /// The leaves that `ipa` lies in.
    pub(super) fn covering(&self, ipa: u64) -> Option<&Leaves> {
        let leaves = self.leaves.get(self.first_ending_after(ipa))?;
        (leaves.run.ipa <= ipa).then_some(leaves)
    }

    /// The level of the deepest table that covers `ipa`.
    pub(super) fn deepest_table(&self, ipa: u64) -> i8 {
        let (before, from_here) = self.leaves.split_at(self.first_ending_after(ipa));
        let below = before.last().map(|leaves| (leaves.run.end() - 1, leaves));
        let above = from_here
            .first()
            .map(|leaves| (leaves.run.ipa.max(ipa), leaves));
        let neighbours = [below, above].into_iter().flatten();
        neighbours
            .map(|(nearest, leaves)| self.deepest_shared(ipa, nearest, leaves.level))
            .fold(self.configuration.start_level(), i8::max)
    }

    /// The level of the deepest table that covers `ipa` and leads to a leaf of
    /// `level` at `leaf`.
    fn deepest_shared(&self, ipa: u64, leaf: u64, level: i8) -> i8 {
        let root = self.configuration.start_level();
        let shared = |level: &i8| {
            let bytes = self.configuration.table_bytes(*level);
            ipa / bytes == leaf / bytes
        };
        (root + 1..=level).rev().find(shared).unwrap_or(root)
    }

    /// Where the last leaf before `from` ends, and where the first one after `to`
    /// begins; `from` or `to` itself where a leaf reaches across it.
    pub(super) fn nearest_outside(&self, from: u64, to: u64) -> (Option<u64>, Option<u64>) {
        let starting_before = self.leaves.partition_point(|leaves| leaves.run.ipa < from);
        let below = starting_before.checked_sub(1);
        let above = self.leaves.get(self.first_ending_after(to));
        (
            below.map(|index| self.leaves[index].run.end().min(from)),
            above.map(|leaves| leaves.run.ipa.max(to)),
        )
    }

    /// Maximal runs, whatever the leaves' sizes.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut rest = self.leaves.iter().map(|leaves| leaves.run).peekable();
        std::iter::from_fn(move || {
            let mut run = rest.next()?;
            while let Some(next) =
                rest.next_if(|next| next.ipa == run.end() && next.agrees_with(&run))
            {
                run.bytes += next.bytes;
            }
            Some(run)
        })
    }

    /// Lets `new`, or nothing, be what maps `[from, to)`. What lies outside keeps
    /// its meaning; a block that `from` or `to` cuts is split, on each level down
    /// to the lowest level of which the cut is an entry boundary.
    ///
    /// Both are multiples of the granule, `from < to`, and `new` has this range.
    pub(super) fn overwrite(&mut self, from: u64, to: u64, new: Option<Leaves>) {
        let first = self.first_ending_after(from);
        let beyond = first + self.leaves[first..].partition_point(|leaves| leaves.run.ipa < to);
        // The neighbours take part, since they may join what is new.
        let taken = first.saturating_sub(1)..self.leaves.len().min(beyond + 1);

        let mut put = std::mem::take(&mut self.scratch);
        for leaves in &self.leaves[taken.start..first] {
            push(&mut put, *leaves);
        }
        if first < beyond {
            self.push_before(&mut put, &self.leaves[first], from);
        }
        if let Some(new) = new {
            push(&mut put, new);
        }
        if first < beyond {
            self.push_after(&mut put, &self.leaves[beyond - 1], to);
        }
        for leaves in &self.leaves[beyond..taken.end] {
            push(&mut put, *leaves);
        }

        let changed = taken.start..taken.start + put.len();
        self.tables -= self.count_tables(taken.clone());
        self.leaves.splice(taken, put.drain(..));
        self.tables += self.count_tables(changed);
        self.scratch = put;
    }

    /// Pushes what is left of `old` before `cut`.
    fn push_before(&self, put: &mut Vec<Leaves>, old: &Leaves, cut: u64) {
        let mut from = old.run.ipa;
        for level in old.level..=PAGE_LEVEL {
            let bytes = self.configuration.entry_bytes(level);
            let to = cut / bytes * bytes;
            if from < to {
                let run = old.run.part(from, to);
                push(put, Leaves { run, level });
                from = to;
            }
        }
    }

    /// Pushes what is left of `old` from `cut` on.
    fn push_after(&self, put: &mut Vec<Leaves>, old: &Leaves, cut: u64) {
        if old.run.end() <= cut {
            return;
        }
        let mut from = cut;
        for level in (old.level..=PAGE_LEVEL).rev() {
            let to = if level == old.level {
                old.run.end()
            } else {
                from.next_multiple_of(self.configuration.table_bytes(level))
            };
            if from < to {
                let run = old.run.part(from, to);
                push(put, Leaves { run, level });
                from = to;
            }
        }
    }

    /// The tables below the root that lead to some of the leaves at `indices`,
    /// and to none before them.
    fn count_tables(&self, indices: std::ops::Range<usize>) -> u64 {
        let before = indices.start.checked_sub(1);
        let mut last_before = before.map(|index| self.leaves[index].run.end() - 1);
        let mut count = 0;
        for Leaves { run, level } in &self.leaves[indices] {
            let last = run.end() - 1;
            for level in self.configuration.start_level() + 1..=*level {
                let bytes = self.configuration.table_bytes(level);
                let first_table = run.ipa / bytes;
                let counted = last_before.is_some_and(|last| last / bytes == first_table);
                count += last / bytes - first_table + u64::from(!counted);
            }
            last_before = Some(last);
        }
        count
    }

    fn first_ending_after(&self, ipa: u64) -> usize {
        self.leaves
            .partition_point(|leaves| leaves.run.end() <= ipa)
    }
}

/// Pushes leaves, joined with the last ones where they continue them.
fn push(put: &mut Vec<Leaves>, next: Leaves) {
    if let Some(last) = put.last_mut()
        && last.level == next.level
        && last.run.end() == next.run.ipa
        && last.run.agrees_with(&next.run)
    {
        last.run.bytes += next.run.bytes;
        return;
    }
    put.push(next);
}
