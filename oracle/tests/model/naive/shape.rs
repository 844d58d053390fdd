//! Blocks that are split and joined, subtrees, and what an access does.

use oracle::operation::{AccessKind, Execute, LeafContent, Outcome};

use super::{Entry, Held, Naive, Table, alike, plus};

impl Naive {
    /// T2: one block after the other.
    pub(crate) fn split(&mut self, ipa: u64, size: u64, mut cache: u32) -> Outcome {
        self.dirty.clear();
        let mut at = ipa;
        while at < ipa + size {
            let (level, entry) = self.walk(at, 3);
            let bytes = self.entry(level);
            match entry {
                Some(Entry::Held(Held::Leaf(_))) if level < 3 => {
                    if cache == 0 {
                        let done = (at / bytes * bytes).max(ipa) - ipa;
                        return Outcome::NoPages { done, need: 1 };
                    }
                    cache -= 1;
                    self.put(at, level + 1, None);
                }
                _ => at = (at / bytes + 1) * bytes,
            }
        }
        Outcome::Done
    }

    /// W7.
    pub(crate) fn coalesce(&mut self, ipa: u64, size: u64) {
        let bytes = self.entry(self.start);
        coalesce(
            &mut self.root,
            self.start,
            bytes,
            self.page_bits,
            self.block_levels,
            (ipa, ipa + size),
        );
    }

    /// B2: the page need, where there are not enough.
    pub(crate) fn build(
        &mut self,
        ipa: u64,
        level: i8,
        leaf: LeafContent,
        pages_only: bool,
        cache: u32,
    ) -> Outcome {
        let mut tables = 0;
        let table = self.subtree(ipa, level, leaf, pages_only, &mut tables, cache);
        if tables > cache {
            let need = u16::try_from(tables).unwrap_or(u16::MAX);
            return Outcome::NoPages { done: 0, need };
        }
        self.built = Some((level, ipa, table));
        Outcome::Done
    }

    fn subtree(
        &self,
        ipa: u64,
        level: i8,
        leaf: LeafContent,
        pages_only: bool,
        tables: &mut u32,
        cache: u32,
    ) -> Table {
        *tables += 1;
        let below = level + 1;
        let bytes = self.entry(below);
        let is_leaf = below == 3 || (!pages_only && self.block_levels.contains(&below));
        let mut table = Table::new();
        for n in 0..self.entry(level) / bytes {
            let (at, leaf) = (ipa + n * bytes, plus(leaf, n * bytes));
            if is_leaf {
                // What is not kept need not be filled.
                if *tables <= cache {
                    table.insert(at / bytes, Entry::Held(Held::Leaf(leaf)));
                }
            } else {
                let next = self.subtree(at, below, leaf, pages_only, tables, cache);
                table.insert(at / bytes, Entry::Table(next));
            }
        }
        table
    }

    pub(crate) fn is_built(&self) -> bool {
        self.built.is_some()
    }

    /// B3: whether tables lead down to the entry.
    pub(crate) fn link(&mut self) -> bool {
        let (level, ipa, table) = self.built.take().unwrap();
        let (found, _) = self.walk(ipa, level);
        if found < level {
            self.built = Some((level, ipa, table));
            return false;
        }
        self.dirty.clear();
        let bytes = self.entry(level);
        self.each(ipa, bytes, |_| None);
        self.put(ipa, level, Some(Held::Owner(1)));
        let mut parent = &mut self.root;
        for above in self.start..level {
            let mut bytes = 1 << self.page_bits;
            for _ in above..3 {
                bytes <<= self.page_bits - 3;
            }
            let Some(Entry::Table(next)) = parent.get_mut(&(ipa / bytes)) else {
                unreachable!("it was just stored")
            };
            parent = next;
        }
        parent.insert(ipa / bytes, Entry::Table(table));
        true
    }

    pub(crate) fn discard(&mut self) {
        self.built = None;
    }

    pub(crate) fn access(&mut self, ipa: u64, kind: AccessKind, hd: bool) {
        self.each(ipa, 1, |held| {
            let Held::Leaf(mut leaf) = held else {
                return Some(held);
            };
            let permitted = match kind {
                AccessKind::Read => leaf.prot.read,
                AccessKind::Write => leaf.prot.write,
                AccessKind::Execute => {
                    matches!(leaf.prot.execute, Execute::Both | Execute::El1)
                }
            };
            if permitted {
                leaf.young = true;
                leaf.dirty |= hd && kind == AccessKind::Write;
            }
            Some(Held::Leaf(leaf))
        });
    }
}

fn coalesce(
    table: &mut Table,
    level: i8,
    bytes: u64,
    page_bits: u32,
    blocks: &[i8],
    range: (u64, u64),
) {
    for (index, entry) in table.iter_mut() {
        let Entry::Table(next) = entry else { continue };
        let (ipa, below) = (index * bytes, bytes >> (page_bits - 3));
        coalesce(next, level + 1, below, page_bits, blocks, range);
        let inside = range.0 <= ipa && ipa + bytes <= range.1;
        if inside
            && blocks.contains(&level)
            && let Some(block) = block_of(next, bytes, below)
        {
            *entry = Entry::Held(Held::Leaf(block));
        }
    }
}

/// The block that maps as all entries of a table do.
fn block_of(table: &Table, bytes: u64, below: u64) -> Option<LeafContent> {
    let Some(Entry::Held(Held::Leaf(first))) = table.values().next() else {
        return None;
    };
    let mut block = *first;
    if table.len() as u64 != bytes / below || !first.pa.is_multiple_of(bytes) {
        return None;
    }
    for (n, entry) in (0..).zip(table.values()) {
        let Entry::Held(Held::Leaf(leaf)) = entry else {
            return None;
        };
        if !alike(*leaf, plus(*first, n * below)) {
            return None;
        }
        block.young |= leaf.young;
        block.dirty |= leaf.dirty;
    }
    Some(block)
}
