//! Random numbers, and tables that a naive builder makes of them.

use crate::support::*;

/// xorshift64*
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The middle bits, which are the best.
    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.next() >> 16 & 0xffff_ffff).expect("32 bits")
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 8) % limit
    }

    pub(crate) fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.next() >> 8).expect("64-bit host");
        choices[index % choices.len()]
    }
}

pub(crate) const fn entry_bits(level: i8) -> u32 {
    match level {
        1 => 30,
        2 => 21,
        _ => 12,
    }
}

/// Enters leaves one by one, with tables on the way where they are missing.
pub(crate) struct Builder {
    pub(crate) input_bits: u32,
    pub(crate) start_level: i8,
    pub(crate) ram: Ram,
    pub(crate) next_table: u64,
    /// Addresses at both sides of every entry that was made.
    pub(crate) probes: Vec<u64>,
}

impl Builder {
    pub(crate) fn new(input_bits: u32, start_level: i8) -> Builder {
        Builder {
            input_bits,
            start_level,
            ram: Ram::default(),
            next_table: L2,
            probes: Vec::new(),
        }
    }

    /// Whether the leaf was entered: it is not where it would replace another entry.
    /// `table_bits` go into tables that are made on the way.
    pub(crate) fn insert(
        &mut self,
        input: u64,
        leaf_level: i8,
        leaf: u64,
        table_bits: u64,
    ) -> bool {
        let mut level = self.start_level;
        let mut table = ROOT;
        loop {
            let index = input >> entry_bits(level);
            let is_root = level == self.start_level;
            let at = table + 8 * if is_root { index } else { index % 512 };
            let first = index << entry_bits(level);
            let end = first + (1 << entry_bits(level));
            self.probes.extend([first, end - 8, end]);
            self.probes.extend(first.checked_sub(8));
            let old = self.ram.words.get(&at).copied();
            if level == leaf_level {
                if old.is_none() {
                    self.ram.set(at, leaf);
                }
                return old.is_none();
            }
            table = match old {
                Some(old) if old & 0b11 == TABLE && old >> 40 & 0xff == 0 => old & 0xff_ffff_f000,
                Some(_) => return false,
                None => {
                    let next = self.next_table;
                    self.next_table += 0x1000;
                    self.ram.set(at, next | TABLE | table_bits);
                    next
                }
            };
            level += 1;
        }
    }

    /// A few leaves in a row, of which most continue each other. `descriptor` makes one
    /// of a level.
    pub(crate) fn run(&mut self, random: &mut Random, descriptor: impl Fn(&mut Random, i8) -> u64) {
        let level = random.pick(&[1, 2, 3, 3, 3]).max(self.start_level);
        let bytes = 1 << entry_bits(level);
        let end = 1 << self.input_bits;
        let mut input = random.below(end) / bytes * bytes;
        let mut leaf = descriptor(random, level);
        for _ in 0..6 {
            if input >= end {
                return;
            }
            if random.one_in(6) {
                leaf = descriptor(random, level);
            }
            let table_bits = random.pick(&[0, 0, XN_TABLE, AP_TABLE_1]);
            self.insert(input, level, leaf, table_bits);
            leaf = leaf.wrapping_add(bytes);
            input += bytes;
        }
    }

    /// Makes one descriptor unreadable, now and then.
    pub(crate) fn dig_hole(&mut self, random: &mut Random) {
        if random.one_in(3) {
            let mut entries: Vec<u64> = self.ram.words.keys().copied().collect();
            entries.sort_unstable();
            self.ram.hole = Some(random.pick(&entries));
        }
    }

    /// The probes, and the edges of `ranges`, which are pairs of address and length.
    pub(crate) fn addresses(&self, ranges: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
        let limit = 1 << self.input_bits;
        let edges = ranges.flat_map(|(first, bytes)| {
            let end = first + bytes;
            [first.saturating_sub(8), first, end - 8, end]
        });
        let all = self.probes.iter().copied().chain(edges);
        all.filter(|&input| input < limit).collect()
    }
}

/// A leaf, or a table beyond all memory, with most oddities of both stages now and then.
pub(crate) fn odd_descriptor(random: &mut Random, level: i8, plain: u64) -> u64 {
    let pa = (random.next() >> 16) & 0xff_ffff_ffff & (!0 << entry_bits(level));
    let mut leaf = pa | plain | u64::from(level == 3) << 1;
    for (bits, rarity) in [
        (AF, 5),
        (READ, 5),
        (WRITE, 5),
        (0b100 << 2, 9),
        (0b001 << 2, 9),
        (0b10 << 8, 9),
        (CONTIGUOUS, 6),
        (XN, 4),
        (XNX, 4),
        (1 << 16, 9),
        (1 << 50, 9),
        (1 << 51, 9),
        (0b11 << 48, 9),
        (0b10, 20),
        (1 << 40, 12),
        (1 << 47, 12),
    ] {
        if random.one_in(rarity) {
            leaf ^= bits;
        }
    }
    leaf
}

/// Every IPA size with each of its start levels.
pub(crate) fn sizes() -> Vec<(u32, u32)> {
    let of_level_2 = (25..=34).map(|bits| (bits, 0));
    of_level_2.chain((31..=40).map(|bits| (bits, 1))).collect()
}
