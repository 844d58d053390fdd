//! Tables by recipe, in memory that holds what was stored and nothing else.
//!
//! This knows how a walk finds its way and nothing of what leaves mean: it asks the
//! regime where entries are, so that most of what is entered is reached.

use std::collections::BTreeMap;

use oracle::walk::{Entry, Memory};

use super::input::{Kind, Place, Record};

/// Physical addresses of tables: as far apart as the largest granule.
const FIRST_TABLE: u64 = 0x5000_0000;
const TABLE_STRIDE: u64 = 0x1_0000;
/// Most tables below the root.
const MAX_TABLES: usize = 64;

/// Valid, and a table or page.
const TABLE: u64 = 0b11;
const BLOCK: u64 = 0b01;
const FINAL_LEVEL: i8 = 3;

/// Bits of a leaf that turn its meaning: access flag, permissions, memory type,
/// shareability, DBM, Contiguous, execute-never, GP, nG, nT, type, and address bits of
/// each format and size.
const ODD_BITS: [u8; 26] = [
    10, 6, 7, 2, 3, 4, 5, 8, 9, 51, 52, 53, 54, 50, 11, 16, 1, 0, 48, 49, 12, 13, 15, 32, 40, 47,
];

/// How a stage of translation finds its entries.
pub(super) trait Regime {
    /// Level and physical address of the root, where descriptors are read at all.
    fn root(&self) -> Option<(i8, u64)>;
    fn input_bits(&self) -> u8;
    fn entry(&self, level: i8, descriptor: u64) -> Entry;
    fn entry_bytes(&self, level: i8) -> u64;
    fn entries_per_table(&self) -> u64;
    /// Attribute bits of a leaf that everybody may use.
    fn usable(&self) -> u64;
    /// A descriptor in the byte order of memory, and back.
    fn in_memory(&self, descriptor: u64) -> u64;
}

/// Memory by words: those that cannot be read are `None`.
#[derive(Default)]
pub(super) struct Sparse {
    words: BTreeMap<u64, Option<u64>>,
    /// What other words are made of, if they are not zero.
    noise: Option<u64>,
}

impl Memory for Sparse {
    fn read(&self, at: u64) -> Option<u64> {
        match (self.words.get(&at), self.noise) {
            (Some(word), _) => *word,
            (None, None) => Some(0),
            (None, Some(seed)) => Some(hash(at ^ seed)),
        }
    }

    fn holds(&self, at: u64, words: &[u64]) -> bool {
        let bytes = words.len() as u64 * 8;
        let is_untouched = || {
            self.words
                .range(at..at.saturating_add(bytes))
                .next()
                .is_none()
        };
        if self.noise.is_none() && words.iter().all(|word| *word == 0) && is_untouched() {
            return true;
        }
        (at..)
            .step_by(8)
            .zip(words)
            .all(|(at, word)| self.read(at) == Some(*word))
    }
}

/// splitmix64, with the upper bits of every other word cleared: they are mostly
/// reserved.
fn hash(seed: u64) -> u64 {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^= word >> 31;
    if word >> 63 == 0 {
        word & 0xffff_ffff_ffff
    } else {
        word
    }
}

/// Tables, and the input addresses at which something was entered.
pub(super) struct Tables {
    pub(super) memory: Sparse,
    pub(super) places: Vec<u64>,
}

/// Enters the records in turn. Where the configuration lets no descriptor decide,
/// there are no tables.
pub(super) fn build<R: Regime>(regime: &R, records: &[Record], noise: Option<u64>) -> Tables {
    let memory = Sparse {
        words: BTreeMap::new(),
        noise,
    };
    let mut builder = Builder {
        regime,
        memory,
        tables: Vec::new(),
        places: Vec::new(),
        last: (0, 0),
    };
    if let Some(root) = regime.root() {
        for record in records {
            builder.enter(root, record);
        }
    }
    Tables {
        memory: builder.memory,
        places: builder.places,
    }
}

struct Builder<'a, R> {
    regime: &'a R,
    memory: Sparse,
    /// The tables below the root.
    tables: Vec<u64>,
    places: Vec<u64>,
    /// First address and length of what was entered last.
    last: (u64, u64),
}

impl<R: Regime> Builder<'_, R> {
    fn enter(&mut self, root: (i8, u64), record: &Record) {
        let levels = FINAL_LEVEL - root.0 + 1;
        let level = FINAL_LEVEL - (record.level % levels.unsigned_abs()).cast_signed();
        let bytes = self.regime.entry_bytes(level);
        let first = self.address(record, bytes);
        let mut descriptor = self.descriptor(record, level);
        let count = if record.kind == Kind::Leaves {
            record.count
        } else {
            1
        };
        for index in 0..u64::from(count) {
            let Some(at) = self.find(root, level, first.wrapping_add(index * bytes), record) else {
                return;
            };
            self.memory
                .words
                .insert(at, descriptor.map(|word| self.regime.in_memory(word)));
            descriptor = descriptor.map(|word| word.wrapping_add(bytes));
        }
    }

    /// The first input address of the entry that a record means.
    fn address(&self, record: &Record, bytes: u64) -> u64 {
        let (last, length) = self.last;
        let space = 1 << self.regime.input_bits();
        let address = match record.place {
            Place::Address => record.address,
            Place::Behind => last + length,
            Place::Before => last.wrapping_sub(1),
            Place::Top => space - 1 - (record.address & (space - 1)) % (bytes * 4),
        };
        address & (space - 1) & !(bytes - 1)
    }

    /// The word to enter; `None` for a hole.
    fn descriptor(&self, record: &Record, level: i8) -> Option<u64> {
        match record.kind {
            Kind::Hole => None,
            Kind::Word => Some(record.word),
            Kind::Link => {
                let index = usize::try_from(record.word % (self.tables.len().max(1) as u64));
                let next = index.ok().and_then(|index| self.tables.get(index));
                Some(next.copied().unwrap_or(FIRST_TABLE) | table_bits(record) | TABLE)
            }
            Kind::Leaves => {
                let bytes = self.regime.entry_bytes(level);
                let kind = if level == FINAL_LEVEL { TABLE } else { BLOCK };
                // Within 32 bits, the smallest output size.
                let address = record.word & 0xffff_ffff & !(bytes - 1);
                Some((address | self.regime.usable() | kind) ^ flipped(record))
            }
        }
    }

    /// The entry of `level` for an address, with tables on the way where there are none;
    /// `None` outside of the address space, or with no table left.
    fn find(&mut self, root: (i8, u64), target: i8, input: u64, record: &Record) -> Option<u64> {
        if input >> self.regime.input_bits() != 0 {
            return None;
        }
        let (mut level, mut table) = root;
        loop {
            let bytes = self.regime.entry_bytes(level);
            let index = input / bytes;
            let index = if level == root.0 {
                index
            } else {
                index % self.regime.entries_per_table()
            };
            let at = table + index * 8;
            if level == target {
                self.last = (input, bytes);
                self.places.push(input);
                return Some(at);
            }
            table = match self.next(level, at) {
                Some(next) => next,
                None => self.link(at, record)?,
            };
            level += 1;
        }
    }

    /// The table of these that an entry leads to.
    fn next(&self, level: i8, at: u64) -> Option<u64> {
        let word = self.memory.words.get(&at).copied().flatten()?;
        match self.regime.entry(level, self.regime.in_memory(word)) {
            Entry::Table { next } => self.tables.contains(&next).then_some(next),
            Entry::Invalid | Entry::Leaf { .. } => None,
        }
    }

    /// A new table in an entry, whatever was there.
    fn link(&mut self, at: u64, record: &Record) -> Option<u64> {
        if self.tables.len() == MAX_TABLES {
            return None;
        }
        let table = FIRST_TABLE + self.tables.len() as u64 * TABLE_STRIDE;
        self.tables.push(table);
        let descriptor = table | table_bits(record) | TABLE;
        self.memory
            .words
            .insert(at, Some(self.regime.in_memory(descriptor)));
        Some(table)
    }
}

/// Bits 63 to 59 of a table descriptor, which restrict what is below it in stage 1.
fn table_bits(record: &Record) -> u64 {
    record.word & 0b1_1111 << 59
}

/// The bits that a record turns over in its leaves.
fn flipped(record: &Record) -> u64 {
    let flips = record.flips.iter().filter(|flip| **flip >= 128);
    flips.fold(0, |bits, flip| {
        bits ^ 1 << ODD_BITS[usize::from(*flip) % ODD_BITS.len()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_what_was_stored_and_zeroes() {
        let mut memory = Sparse::default();
        memory.words.insert(0x1008, Some(7));
        memory.words.insert(0x1010, None);
        assert_eq!(
            [0x1000, 0x1008, 0x1010].map(|at| memory.read(at)),
            [Some(0), Some(7), None]
        );
        assert!(memory.holds(0x1000, &[0, 7]) && memory.holds(0x1018, &[0; 64]));
        assert!(!memory.holds(0x1000, &[0; 2]) && !memory.holds(0x1010, &[0]));
    }

    #[test]
    fn noise_is_no_zeroes() {
        let memory = Sparse {
            noise: Some(1),
            ..Sparse::default()
        };
        assert!(!memory.holds(0, &[0; 64]));
        assert_eq!(memory.read(8), memory.read(8));
    }
}
