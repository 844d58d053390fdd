//! One abstract address space: what its entries hold as stretches, and what follows.
//!
//! Tables are not stored. Since a table that becomes empty goes at once (U8) and
//! a table is linked only for a leaf or a mark (M12), a table at a level exists exactly
//! when an entry of that level or a deeper one lies in its region; the root always
//! exists. Two stretches that are neighbours therefore decide which tables cover
//! the addresses between them.
//!
//! It leaves out how stretches change: see `edit`.

use super::content::{Content, Stretch};
use super::legal::Configuration;
use super::{Meaning, Run};
use crate::operation::{EntryContent, Execute, LeafContent, Prot};

/// What walks make of leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walks {
    /// Hardware sets access flags (H1).
    pub(super) haf: bool,
    /// A fetch needs the permission to read beside (Z2).
    pub(super) fetches_read: bool,
}

impl Walks {
    /// Whether a leaf takes no Access flag fault.
    fn accept(self, leaf: &LeafContent) -> bool {
        leaf.young || self.haf
    }

    /// What may be done with a leaf of these permissions.
    fn permitted(self, prot: Prot) -> Prot {
        if self.fetches_read && !prot.read {
            let execute = Execute::Never;
            Prot { execute, ..prot }
        } else {
            prot
        }
    }
}

/// An address space.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub(super) configuration: Configuration,
    /// In ascending order, without overlap, none that could be joined with the next.
    pub(super) stretches: Vec<Stretch>,
    /// Tables below the root.
    pub(super) tables: u64,
    /// What takes the place of other stretches, while it is collected.
    pub(super) scratch: Vec<Stretch>,
}

impl Space {
    /// Maps nothing.
    pub(super) fn new(configuration: Configuration) -> Space {
        Space {
            configuration,
            stretches: Vec::new(),
            tables: 0,
            scratch: Vec::new(),
        }
    }

    /// As [`Space::new`], but keeps the buffers.
    pub(super) fn reset(&mut self, configuration: Configuration) {
        self.configuration = configuration;
        self.stretches.clear();
        self.tables = 0;
    }

    pub(super) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Table pages, those of the root included.
    pub(super) fn tables(&self) -> u32 {
        let below = u32::try_from(self.tables).expect("2^52 bytes have fewer than 2^32 tables");
        below + self.configuration.root_tables()
    }

    /// What an IPA means to walks.
    pub(super) fn lookup(&self, ipa: u64, walks: Walks) -> Meaning {
        if ipa >= self.configuration.ipa_end() {
            return Meaning::OutOfRange;
        }
        let Some(stretch) = self.covering(ipa) else {
            return Meaning::Unmapped {
                fault_level: self.deepest_table(ipa),
            };
        };
        let level = stretch.level;
        match stretch.content_at(ipa) {
            Content::Leaf(leaf) if walks.accept(&leaf) => Meaning::Mapped {
                pa: leaf.pa,
                prot: walks.permitted(leaf.prot),
                memory: leaf.memory,
                level,
            },
            Content::Leaf(_) => Meaning::Old { level },
            Content::Softened(_) | Content::Annotation { .. } => {
                Meaning::Unmapped { fault_level: level }
            }
        }
    }

    /// Y5: level and content of the entry that decides over an IPA of the space.
    pub(super) fn entry(&self, ipa: u64) -> (i8, EntryContent) {
        match self.covering(ipa) {
            Some(stretch) => {
                let (_, content) = stretch.entry_at(ipa, &self.configuration);
                (stretch.level, content.into())
            }
            None => (self.deepest_table(ipa), EntryContent::Empty),
        }
    }

    /// The stretch that `ipa` lies in.
    pub(super) fn covering(&self, ipa: u64) -> Option<&Stretch> {
        let stretch = self.stretches.get(self.first_ending_after(ipa))?;
        (stretch.ipa <= ipa).then_some(stretch)
    }

    /// The indices of the stretches that a range overlaps.
    pub(super) fn overlapping(&self, from: u64, to: u64) -> std::ops::Range<usize> {
        let first = self.first_ending_after(from);
        let count = self.stretches[first..].partition_point(|stretch| stretch.ipa < to);
        first..first + count
    }

    /// The level of the deepest table that covers `ipa`.
    pub(super) fn deepest_table(&self, ipa: u64) -> i8 {
        let (before, from_here) = self.stretches.split_at(self.first_ending_after(ipa));
        let below = before.last().map(|stretch| (stretch.end() - 1, stretch));
        let above = from_here
            .first()
            .map(|stretch| (stretch.ipa.max(ipa), stretch));
        let neighbours = [below, above].into_iter().flatten();
        neighbours
            .map(|(nearest, stretch)| self.deepest_shared(ipa, nearest, stretch.level))
            .fold(self.configuration.start_level(), i8::max)
    }

    /// The level of the deepest table that covers `ipa` and leads to an entry of
    /// `level` at `other`.
    fn deepest_shared(&self, ipa: u64, other: u64, level: i8) -> i8 {
        let root = self.configuration.start_level();
        let shared = |level: &i8| {
            let bytes = self.configuration.table_bytes(*level);
            ipa / bytes == other / bytes
        };
        (root + 1..=level).rev().find(shared).unwrap_or(root)
    }

    /// Where the last stretch before `from` ends, and where the first one after `to`
    /// begins; `from` or `to` itself where one reaches across it.
    pub(super) fn nearest_outside(&self, from: u64, to: u64) -> (Option<u64>, Option<u64>) {
        let starting_before = self.stretches.partition_point(|stretch| stretch.ipa < from);
        let below = starting_before.checked_sub(1);
        let above = self.stretches.get(self.first_ending_after(to));
        (
            below.map(|index| self.stretches[index].end().min(from)),
            above.map(|stretch| stretch.ipa.max(to)),
        )
    }

    /// Maximal runs of what is mapped, whatever the leaves' sizes.
    pub(super) fn runs(&self, walks: Walks) -> impl Iterator<Item = Run> {
        let leaf = move |stretch: &Stretch| {
            let leaf = stretch.content.leaf()?;
            Some(Run {
                ipa: stretch.ipa,
                bytes: stretch.bytes,
                pa: leaf.pa,
                prot: walks.permitted(leaf.prot),
                memory: leaf.memory,
                accessible: walks.accept(&leaf),
            })
        };
        let mut rest = self.stretches.iter().filter_map(leaf).peekable();
        std::iter::from_fn(move || {
            let mut run = rest.next()?;
            while let Some(next) = rest.next_if(|next| run.is_continued_by(next)) {
                run.bytes += next.bytes;
            }
            Some(run)
        })
    }

    pub(super) fn first_ending_after(&self, ipa: u64) -> usize {
        self.stretches
            .partition_point(|stretch| stretch.end() <= ipa)
    }
}

impl Run {
    fn is_continued_by(&self, next: &Run) -> bool {
        let continued = Run {
            ipa: self.ipa + self.bytes,
            pa: self.pa + self.bytes,
            bytes: next.bytes,
            ..*self
        };
        continued == *next
    }
}
