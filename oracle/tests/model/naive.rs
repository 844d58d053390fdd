//! A second model, written to be obvious: a radix tree of tables, changed leaf
//! by leaf as section M and U say, and beside it a plain map of pages.
//!
//! It shares nothing with the model under test but the words of `operation`, and
//! checks no preconditions.

use std::collections::{BTreeMap, BTreeSet};

use oracle::arch::Granule;
use oracle::model::Meaning;
use oracle::operation::{MemoryType, Outcome, Prot};

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) pa: u64,
    pub(crate) prot: Prot,
    pub(crate) memory: MemoryType,
}

/// A table; what is not in it is invalid.
type Table = BTreeMap<u64, Entry>;

enum Entry {
    Leaf(Leaf),
    Table(Table),
}

/// One VM.
pub(crate) struct Naive {
    page_bits: u32,
    start: i8,
    root_tables: u32,
    block_levels: &'static [i8],
    root: Table,
    /// PA, permissions and memory type of each mapped page, where it is kept.
    pub(crate) pages: Option<BTreeMap<u64, Leaf>>,
}

impl Leaf {
    fn plus(self, bytes: u64) -> Leaf {
        Leaf {
            pa: self.pa + bytes,
            ..self
        }
    }
}

impl Naive {
    pub(crate) fn new(granule: Granule, start: i8, pa_bits: u8, root_tables: u32) -> Naive {
        let (page_bits, block_levels): (u32, &[i8]) = match granule {
            Granule::K4 => (12, &[1, 2]),
            Granule::K16 => (14, &[2]),
            Granule::K64 if pa_bits == 52 => (16, &[1, 2]),
            Granule::K64 => (16, &[2]),
        };
        Naive {
            page_bits,
            start,
            root_tables,
            block_levels,
            root: Table::new(),
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
        leaf: Leaf,
        size: u64,
        pages_only: bool,
        mut cache: u32,
    ) -> Outcome {
        let mut done = 0;
        while done < size {
            let level = self.leaf_level(ipa + done, leaf.pa + done, size - done, pages_only);
            match self.need(ipa + done, leaf.plus(done), level) {
                None => {}
                Some(need) if u32::from(need) > cache => {
                    self.map_pages(ipa, leaf, done);
                    return Outcome::NoPages { done, need };
                }
                Some(need) => {
                    cache -= u32::from(need);
                    self.put(ipa + done, level, Some(leaf.plus(done)));
                }
            }
            done += self.entry(level);
        }
        self.map_pages(ipa, leaf, size);
        Outcome::Done
    }

    pub(crate) fn unmap(&mut self, ipa: u64, size: u64, cache: u32) -> Outcome {
        let mut splits = BTreeSet::new();
        for cut in [ipa, ipa + size] {
            self.splits_at(cut, &mut splits);
        }
        if splits.len() > cache as usize {
            let need = u16::try_from(splits.len()).unwrap();
            return Outcome::NoPages { done: 0, need };
        }
        for (level, start) in splits {
            self.put(start, level, None);
        }
        let page_addresses = self.pages_of(ipa, size);
        let entry_bytes = self.entry(self.start);
        clear(&mut self.root, entry_bytes, self.page_bits, ipa, ipa + size);
        if let Some(pages) = &mut self.pages {
            for at in page_addresses {
                pages.remove(&at);
            }
        }
        Outcome::Done
    }

    pub(crate) fn tables(&self) -> u32 {
        self.root_tables + tables_below(&self.root, self.start)
    }

    pub(crate) fn lookup(&self, ipa: u64) -> Meaning {
        let (level, entry) = self.walk(ipa, 3);
        match entry {
            Some(Entry::Leaf(leaf)) => Meaning::Mapped {
                pa: leaf.pa + ipa % self.entry(level),
                prot: leaf.prot,
                memory: leaf.memory,
                level,
            },
            _ => Meaning::Unmapped { fault_level: level },
        }
    }

    /// M9.
    fn leaf_level(&self, ipa: u64, pa: u64, left: u64, pages_only: bool) -> i8 {
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

    /// M10 and M14: the pages that a leaf needs, or `None` where it is skipped.
    fn need(&self, ipa: u64, leaf: Leaf, level: i8) -> Option<u16> {
        let (found, entry) = self.walk(ipa, level);
        if let Some(Entry::Leaf(old)) = entry
            && old.plus(ipa % self.entry(found)) == leaf
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

    /// Makes sure that a table of `level` covers `ipa`, and stores a leaf in it.
    fn put(&mut self, ipa: u64, level: i8, leaf: Option<Leaf>) {
        let sizes: Vec<u64> = (self.start..=level)
            .map(|level| self.entry(level))
            .collect();
        let mut table = &mut self.root;
        for pair in sizes.windows(2) {
            let (bytes, below) = (pair[0], pair[1]);
            let index = ipa / bytes;
            let next = match table.remove(&index) {
                None => Table::new(),
                Some(Entry::Table(next)) => next,
                Some(Entry::Leaf(block)) => (0..bytes / below)
                    .map(|n| {
                        let piece = Entry::Leaf(block.plus(n * below));
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
        if let Some(leaf) = leaf {
            table.insert(ipa / sizes[sizes.len() - 1], Entry::Leaf(leaf));
        }
    }

    /// U6: level and first IPA of each table that a cut at `cut` takes.
    fn splits_at(&self, cut: u64, splits: &mut BTreeSet<(i8, u64)>) {
        let (mut level, entry) = self.walk(cut, 3);
        if !matches!(entry, Some(Entry::Leaf(_))) {
            return;
        }
        while !cut.is_multiple_of(self.entry(level)) {
            let bytes = self.entry(level);
            level += 1;
            splits.insert((level, cut / bytes * bytes));
        }
    }

    fn map_pages(&mut self, ipa: u64, leaf: Leaf, bytes: u64) {
        let page_addresses = self.pages_of(ipa, bytes);
        if let Some(pages) = &mut self.pages {
            for at in page_addresses {
                pages.insert(at, leaf.plus(at - ipa));
            }
        }
    }
}

/// U7 and U8.
fn clear(table: &mut Table, entry_bytes: u64, page_bits: u32, from: u64, to: u64) {
    let touched = from / entry_bytes..=(to - 1) / entry_bytes;
    let indices: Vec<u64> = table.range(touched).map(|(index, _)| *index).collect();
    for index in indices {
        let start = index * entry_bytes;
        let whole = from <= start && start + entry_bytes <= to;
        let empty = match table.get_mut(&index) {
            Some(Entry::Table(next)) if !whole => {
                clear(next, entry_bytes >> (page_bits - 3), page_bits, from, to);
                next.is_empty()
            }
            Some(Entry::Leaf(_)) => {
                assert!(whole, "a leaf that is cut was split before");
                true
            }
            _ => true,
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
        Entry::Leaf(_) => 0,
        Entry::Table(next) => 1 + tables_below(next, level + 1),
    });
    tables.sum()
}
