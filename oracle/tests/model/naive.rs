//! A second model, written to be obvious: a radix tree of tables, changed entry
//! by entry as the clauses say, and beside it a plain map of pages.
//!
//! It shares nothing with the model under test but the words of `operation`, and
//! checks no preconditions.

mod own;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use oracle::arch::Granule;
use oracle::model::Meaning;
use oracle::operation::{EntryContent, Execute, LeafContent, MemoryType, Outcome, Prot};

/// A table; what is not in it is empty.
pub(crate) type Table = BTreeMap<u64, Entry>;

/// What is neither empty nor a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Leaf(LeafContent),
    Soft(LeafContent),
    Owner(u8),
}

pub(crate) enum Entry {
    Held(Held),
    Table(Table),
}

/// One VM.
pub(crate) struct Naive {
    page_bits: u32,
    start: i8,
    root_tables: u32,
    block_levels: &'static [i8],
    haf: bool,
    pub(crate) root: Table,
    /// Level and first IPA of the entry, the subtree for it, and the level of its leaves.
    built: Option<(i8, u64, Table)>,
    /// What the last operation had to report.
    pub(crate) dirty: Vec<(u64, u64)>,
    /// The leaf of each mapped page, where it is kept.
    pub(crate) pages: Option<BTreeMap<u64, LeafContent>>,
}

pub(crate) fn plus(leaf: LeafContent, bytes: u64) -> LeafContent {
    LeafContent {
        pa: leaf.pa + bytes,
        ..leaf
    }
}

fn alike(one: LeafContent, two: LeafContent) -> bool {
    let fresh = |leaf| LeafContent {
        young: true,
        dirty: false,
        ..leaf
    };
    fresh(one) == fresh(two)
}

impl Held {
    fn plus(self, bytes: u64) -> Held {
        match self {
            Held::Leaf(leaf) => Held::Leaf(plus(leaf, bytes)),
            Held::Soft(leaf) => Held::Soft(plus(leaf, bytes)),
            owner @ Held::Owner(_) => owner,
        }
    }

    fn is_dirty(self) -> bool {
        matches!(self, Held::Leaf(leaf) | Held::Soft(leaf) if leaf.dirty)
    }

    fn serves(self, wanted: Held) -> bool {
        match (self, wanted) {
            (Held::Leaf(old), Held::Leaf(new)) => alike(old, new),
            _ => self == wanted,
        }
    }
}

/// The shape of an address space.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) granule: Granule,
    pub(crate) start: i8,
    pub(crate) pa_bits: u8,
    pub(crate) ds: bool,
    pub(crate) root_tables: u32,
    pub(crate) haf: bool,
}

impl Naive {
    pub(crate) fn new(shape: Shape) -> Naive {
        let (page_bits, block_levels): (u32, &[i8]) = match (shape.granule, shape.ds) {
            (Granule::K4, false) => (12, &[1, 2]),
            (Granule::K4, true) => (12, &[0, 1, 2]),
            (Granule::K16, false) => (14, &[2]),
            (Granule::K16, true) => (14, &[1, 2]),
            (Granule::K64, _) if shape.pa_bits == 52 => (16, &[1, 2]),
            (Granule::K64, _) => (16, &[2]),
        };
        Naive {
            page_bits,
            start: shape.start,
            root_tables: shape.root_tables,
            block_levels,
            haf: shape.haf,
            root: Table::new(),
            built: None,
            dirty: Vec::new(),
            pages: None,
        }
    }

    /// Bytes of an entry.
    pub(crate) fn entry(&self, level: i8) -> u64 {
        let mut bytes = 1 << self.page_bits;
        for _ in level..3 {
            bytes <<= self.page_bits - 3;
        }
        bytes
    }

    pub(crate) fn page(&self) -> u64 {
        self.entry(3)
    }

    /// The IPA of each page of a range.
    pub(crate) fn pages_of(&self, ipa: u64, bytes: u64) -> impl Iterator<Item = u64> + use<> {
        let page = self.page();
        (0..bytes / page).map(move |n| ipa + n * page)
    }

    pub(crate) fn map(
        &mut self,
        ipa: u64,
        leaf: LeafContent,
        size: u64,
        pages_only: bool,
        cache: u32,
    ) -> Outcome {
        let answer = self.hold(ipa, Held::Leaf(leaf), size, pages_only, cache);
        let done = match answer {
            Outcome::NoPages { done, .. } => done,
            _ => size,
        };
        self.map_pages(ipa, leaf, done);
        answer
    }

    pub(crate) fn annotate(&mut self, ipa: u64, size: u64, owner: u8, cache: u32) -> Outcome {
        self.hold(ipa, Held::Owner(owner), size, false, cache)
    }

    fn hold(
        &mut self,
        ipa: u64,
        held: Held,
        size: u64,
        pages_only: bool,
        mut cache: u32,
    ) -> Outcome {
        self.dirty.clear();
        let mut done = 0;
        while done < size {
            let (at, held) = (ipa + done, held.plus(done));
            let pa = match held {
                Held::Leaf(leaf) | Held::Soft(leaf) => leaf.pa,
                Held::Owner(_) => at,
            };
            let level = self.fitting_level(at, pa, size - done, pages_only);
            match self.need(at, held, level) {
                None => {}
                Some(need) if u32::from(need) > cache => return Outcome::NoPages { done, need },
                Some(need) => {
                    cache -= u32::from(need);
                    self.put(at, level, Some(held));
                }
            }
            done += self.entry(level);
        }
        Outcome::Done
    }

    pub(crate) fn unmap(&mut self, ipa: u64, size: u64, cache: u32) -> Outcome {
        self.dirty.clear();
        if let Err(refused) = self.cut(ipa, size, cache, |_| true) {
            return refused;
        }
        self.each(ipa, size, |_| None);
        let page_addresses = self.pages_of(ipa, size);
        if let Some(pages) = &mut self.pages {
            for at in page_addresses {
                pages.remove(&at);
            }
        }
        Outcome::Done
    }

    pub(crate) fn protect(&mut self, ipa: u64, size: u64, prot: Prot, cache: u32) -> Outcome {
        self.dirty.clear();
        let is_leaf = |held: Held| matches!(held, Held::Leaf(_));
        if let Err(refused) = self.cut(ipa, size, cache, is_leaf) {
            return refused;
        }
        self.each(ipa, size, |held| {
            let Held::Leaf(mut leaf) = held else {
                return Some(held);
            };
            leaf.prot = prot;
            if matches!(leaf.memory, MemoryType::Device | MemoryType::DeviceStrict) {
                leaf.prot.execute = Execute::Never;
            }
            leaf.dirty &= prot.write;
            Some(Held::Leaf(leaf))
        });
        Outcome::Done
    }

    /// U6: splits what both ends cut, where it is of the right kind.
    fn cut(
        &mut self,
        ipa: u64,
        size: u64,
        cache: u32,
        kind: fn(Held) -> bool,
    ) -> Result<(), Outcome> {
        let mut splits = BTreeSet::new();
        for cut in [ipa, ipa + size] {
            self.splits_at(cut, kind, &mut splits);
        }
        if splits.len() > cache as usize {
            let need = u16::try_from(splits.len()).unwrap();
            return Err(Outcome::NoPages { done: 0, need });
        }
        for (level, start) in splits {
            self.put(start, level, None);
        }
        Ok(())
    }

    /// Lets `change` say what each entry that a range overlaps holds from now on.
    pub(crate) fn each(
        &mut self,
        ipa: u64,
        size: u64,
        mut change: impl FnMut(Held) -> Option<Held>,
    ) {
        let bytes = self.entry(self.start);
        let dirty = &mut self.dirty;
        each(
            &mut self.root,
            bytes,
            self.page_bits,
            (ipa, ipa + size),
            &mut |at, bytes, held| {
                let new = change(held);
                if held.is_dirty() && !new.is_some_and(Held::is_dirty) {
                    dirty.push((at, bytes));
                }
                new
            },
        );
    }

    /// What each entry that a range overlaps holds.
    pub(crate) fn held(&mut self, ipa: u64, size: u64) -> Vec<Held> {
        let mut all = Vec::new();
        self.each(ipa, size, |held| {
            all.push(held);
            Some(held)
        });
        all
    }

    pub(crate) fn tables(&self) -> u32 {
        let built = self.built.as_ref();
        let built = built.map_or(0, |(level, _, table)| 1 + tables_below(table, level + 1));
        self.root_tables + tables_below(&self.root, self.start) + built
    }

    pub(crate) fn lookup(&self, ipa: u64) -> Meaning {
        let (level, entry) = self.walk(ipa, 3);
        match entry {
            Some(Entry::Held(Held::Leaf(leaf))) if leaf.young || self.haf => Meaning::Mapped {
                pa: leaf.pa + ipa % self.entry(level),
                prot: leaf.prot,
                memory: leaf.memory,
                level,
            },
            Some(Entry::Held(Held::Leaf(_))) => Meaning::Old { level },
            _ => Meaning::Unmapped { fault_level: level },
        }
    }

    /// Y5.
    pub(crate) fn content(&self, ipa: u64) -> (i8, EntryContent) {
        let (level, entry) = self.walk(ipa, 3);
        let content = match entry {
            None => EntryContent::Empty,
            Some(Entry::Held(Held::Leaf(leaf))) => EntryContent::Leaf(*leaf),
            Some(Entry::Held(Held::Soft(leaf))) => EntryContent::Softened(*leaf),
            Some(Entry::Held(Held::Owner(owner))) => EntryContent::Annotated { owner: *owner },
            Some(Entry::Table(_)) => unreachable!("a page leads to no table"),
        };
        (level, content)
    }

    /// M9.
    fn fitting_level(&self, ipa: u64, pa: u64, left: u64, pages_only: bool) -> i8 {
        let fits = |level: &&i8| {
            let bytes = self.entry(**level);
            **level >= self.start
                && ipa.is_multiple_of(bytes)
                && pa.is_multiple_of(bytes)
                && left >= bytes
        };
        let blocks: &[i8] = if pages_only { &[] } else { self.block_levels };
        *blocks.iter().find(fits).unwrap_or(&3)
    }

    /// M10 and M14: the pages that an entry needs, or `None` where it is skipped.
    fn need(&self, ipa: u64, wanted: Held, level: i8) -> Option<u16> {
        let (found, entry) = self.walk(ipa, level);
        if let Some(Entry::Held(old)) = entry
            && old.plus(ipa % self.entry(found)).serves(wanted)
        {
            return None;
        }
        Some(u16::from((level - found).unsigned_abs()))
    }

    /// The entry that a walk for `ipa` ends at, at `limit` at the latest.
    fn walk(&self, ipa: u64, limit: i8) -> (i8, Option<&Entry>) {
        let mut table = &self.root;
        let mut level = self.start;
        loop {
            let entry = table.get(&(ipa / self.entry(level)));
            match entry {
                Some(Entry::Table(next)) if level < limit => table = next,
                _ => return (level, entry),
            }
            level += 1;
        }
    }

    /// Makes sure that a table of `level` covers `ipa`, and stores something in it.
    fn put(&mut self, ipa: u64, level: i8, new: Option<Held>) {
        let sizes: Vec<u64> = (self.start..=level)
            .map(|level| self.entry(level))
            .collect();
        let bytes = sizes[sizes.len() - 1];
        let mut table = &mut self.root;
        for pair in sizes.windows(2) {
            let (bytes, below) = (pair[0], pair[1]);
            let index = ipa / bytes;
            let next = match table.remove(&index) {
                None => Table::new(),
                Some(Entry::Table(next)) => next,
                Some(Entry::Held(block)) => (0..bytes / below)
                    .map(|n| {
                        let piece = Entry::Held(block.plus(n * below));
                        (index * (bytes / below) + n, piece)
                    })
                    .collect(),
            };
            table.insert(index, Entry::Table(next));
            let Some(Entry::Table(next)) = table.get_mut(&index) else {
                unreachable!()
            };
            table = next;
        }
        let Some(new) = new else { return };
        match table.insert(ipa / bytes, Entry::Held(new)) {
            Some(Entry::Held(old)) if old.is_dirty() => self.dirty.push((ipa, bytes)),
            Some(Entry::Table(mut old)) => {
                let (all, dirty) = ((0, u64::MAX), &mut self.dirty);
                let bytes = bytes >> (self.page_bits - 3);
                each(
                    &mut old,
                    bytes,
                    self.page_bits,
                    all,
                    &mut |at, bytes, held| {
                        if held.is_dirty() {
                            dirty.push((at, bytes));
                        }
                        None
                    },
                );
            }
            _ => {}
        }
    }

    /// U6: level and first IPA of each table that a cut at `cut` takes.
    fn splits_at(&self, cut: u64, kind: fn(Held) -> bool, splits: &mut BTreeSet<(i8, u64)>) {
        let (mut level, entry) = self.walk(cut, 3);
        if !matches!(entry, Some(Entry::Held(held)) if kind(*held)) {
            return;
        }
        while !cut.is_multiple_of(self.entry(level)) {
            let bytes = self.entry(level);
            level += 1;
            splits.insert((level, cut / bytes * bytes));
        }
    }

    fn map_pages(&mut self, ipa: u64, leaf: LeafContent, bytes: u64) {
        let page_addresses = self.pages_of(ipa, bytes);
        if let Some(pages) = &mut self.pages {
            for at in page_addresses {
                pages.insert(at, plus(leaf, at - ipa));
            }
        }
    }
}

/// Changes what entries hold that `[from, to)` overlaps; U8.
fn each(
    table: &mut Table,
    bytes: u64,
    page_bits: u32,
    (from, to): (u64, u64),
    change: &mut impl FnMut(u64, u64, Held) -> Option<Held>,
) {
    let touched = from / bytes..=(to - 1) / bytes;
    let indices: Vec<u64> = table.range(touched).map(|(index, _)| *index).collect();
    for index in indices {
        let empty = match table.get_mut(&index) {
            Some(Entry::Table(next)) => {
                each(
                    next,
                    bytes >> (page_bits - 3),
                    page_bits,
                    (from, to),
                    change,
                );
                next.is_empty()
            }
            Some(Entry::Held(held)) => match change(index * bytes, bytes, *held) {
                Some(new) => {
                    *held = new;
                    false
                }
                None => true,
            },
            None => true,
        };
        if empty {
            table.remove(&index);
        }
    }
}

fn tables_below(table: &Table, level: i8) -> u32 {
    if level == 3 {
        return 0;
    }
    let tables = table.values().map(|entry| match entry {
        Entry::Held(_) => 0,
        Entry::Table(next) => 1 + tables_below(next, level + 1),
    });
    tables.sum()
}
