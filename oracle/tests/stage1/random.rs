//! Random tables and random bytes: the walker reads back what a naive builder entered,
//! walker and ranges agree at every edge, and nothing panics.

use std::cell::Cell;

use oracle::stage1::{
    Access, Answer, FaultKind, Features, Meaning, Memory, Range, Registers, Stage1, Why, ranges,
    ranges_within,
};

use crate::support::*;

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 8) % limit
    }

    fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.next() >> 8).expect("64-bit host");
        choices[index % choices.len()]
    }
}

/// A valid configuration, with what the naive builder knows of it by itself.
#[derive(Clone, Copy)]
struct Configuration {
    features: Features,
    tcr: u64,
    granule_bits: u64,
    start_level: i8,
    /// Levels that have leaves.
    leaves: &'static [i8],
}

fn configurations() -> Vec<Configuration> {
    let one = |features, tcr, granule_bits, start_level, leaves| Configuration {
        features,
        tcr,
        granule_bits,
        start_level,
        leaves,
    };
    vec![
        one(FEATURES, tcr(TG0_4K, 39, PS_48), 12, 1, &[1, 2, 3]),
        one(FEATURES, tcr(TG0_4K, 48, PS_48), 12, 0, &[1, 2, 3]),
        one(FEATURES, tcr(TG0_4K, 21, PS_48), 12, 3, &[3]),
        one(WIDE, tcr(TG0_4K, 51, PS_52) | DS, 12, -1, &[0, 1, 2, 3]),
        one(WIDE, tcr(TG0_4K, 48, PS_36) | DS, 12, 0, &[0, 1, 2, 3]),
        one(FEATURES, tcr(TG0_16K, 48, PS_36), 14, 0, &[2, 3]),
        one(WIDE, tcr(TG0_16K, 52, PS_52) | DS, 14, 0, &[1, 2, 3]),
        one(WIDE, tcr(TG0_16K, 36, PS_32) | DS, 14, 2, &[2, 3]),
        one(FEATURES, tcr(TG0_64K, 42, PS_48), 16, 2, &[2, 3]),
        one(WIDE, tcr(TG0_64K, 52, PS_52), 16, 1, &[1, 2, 3]),
        one(WIDE, tcr(TG0_64K, 47, PS_36), 16, 1, &[1, 2, 3]),
    ]
}

impl Configuration {
    fn entry_bits(&self, level: i8) -> u64 {
        let below = u64::from((3 - level).unsigned_abs());
        self.granule_bits + below * (self.granule_bits - 3)
    }

    fn va_bits(&self) -> u64 {
        64 - self.tcr % 64
    }
}

/// Enters leaves one by one, with tables on the way where they are missing.
struct Builder {
    configuration: Configuration,
    setup: Setup,
    next_table: u64,
    /// Addresses at both sides of every entry that was made.
    probes: Vec<u64>,
}

impl Builder {
    fn new(configuration: Configuration, setup: Setup) -> Builder {
        Builder {
            configuration,
            setup,
            next_table: 0x5000_0000,
            probes: Vec::new(),
        }
    }

    fn entry_address(&self, level: i8, table: u64, va: u64) -> u64 {
        let index = va >> self.configuration.entry_bits(level);
        if level == self.configuration.start_level {
            table + index * 8
        } else {
            table + index % (1 << (self.configuration.granule_bits - 3)) * 8
        }
    }

    /// Whether the leaf has found its place, where no other leaf was. New tables carry
    /// `table_bits`.
    fn insert(&mut self, va: u64, leaf_level: i8, leaf: u64, table_bits: u64) -> bool {
        let mut table = ROOT;
        for level in self.configuration.start_level..leaf_level {
            self.probe(level, va);
            let at = self.entry_address(level, table, va);
            let old = self.setup.ram.words.get(&at).copied().unwrap_or(0);
            if old & 1 == 0 {
                self.setup.set(at, self.next_table | TABLE | table_bits);
                table = self.next_table;
                self.next_table += 0x1_0000;
            } else if (0x5000_0000..self.next_table).contains(&(old & 0xffff_f000)) {
                table = old & 0xffff_f000;
            } else {
                return false;
            }
        }
        self.probe(leaf_level, va);
        let at = self.entry_address(leaf_level, table, va);
        let is_free = !self.setup.ram.words.contains_key(&at);
        if is_free {
            self.setup.set(at, leaf);
        }
        is_free
    }

    fn probe(&mut self, level: i8, va: u64) {
        let bytes = 1 << self.configuration.entry_bits(level);
        let first = va / bytes * bytes;
        self.probes
            .extend([first, first + bytes - 8, first + bytes]);
        self.probes.extend(first.checked_sub(8));
    }
}

/// What a leaf of the model says, and the walk must read back.
#[derive(Clone, Copy, Debug)]
struct Model {
    va: u64,
    bytes: u64,
    pa: u64,
    write: bool,
    execute: bool,
    guarded: bool,
}

impl Model {
    fn leaf(&self, level: i8) -> u64 {
        let mut leaf = self.pa | AF | 1 << 6 | if level == 3 { 0b11 } else { 0b01 };
        for (bit, set) in [
            (READ_ONLY, !self.write),
            (XN, !self.execute),
            (GP, self.guarded),
        ] {
            leaf |= if set { bit } else { 0 };
        }
        leaf
    }

    fn holds(&self, setup: &Setup) {
        for offset in [0, self.bytes / 2, self.bytes - 8] {
            let found = translation(setup.ask(self.va + offset, Access::Read));
            assert_eq!(found.pa, self.pa + offset, "{self:x?}");
            let (write, execute) = (found.write, found.execute);
            assert_eq!((write, execute), (self.write, self.execute), "{self:x?}");
            assert_eq!(found.guarded, self.guarded, "{self:x?}");
            assert_eq!((found.size, found.attributes), (self.bytes, 0xff));
        }
    }
}

#[test]
fn a_random_model_reads_back_from_its_tables() {
    let mut random = Random(0x7e57);
    let mut entered = 0;
    for round in 0..8 {
        for configuration in configurations() {
            let setup = Setup::new(configuration.features, configuration.tcr);
            let mut builder = Builder::new(configuration, setup);
            let mut models = Vec::new();
            for _ in 0..20 {
                let level = random.pick(configuration.leaves);
                let bytes = 1 << configuration.entry_bits(level);
                let va = random.below(1 << configuration.va_bits()) / bytes * bytes;
                let bits = random.next();
                let model = Model {
                    va,
                    bytes,
                    // Within 32 bits, which fits the smallest output size.
                    pa: if bytes < 1 << 31 {
                        random.below(1 << 32) / bytes * bytes
                    } else {
                        0
                    },
                    write: bits & 1 != 0,
                    execute: bits & 2 != 0,
                    guarded: bits & 4 != 0,
                };
                // Blocks beyond the output size are the matter of another test.
                if bytes <= 1 << 32 && builder.insert(va, level, model.leaf(level), 0) {
                    models.push(model);
                }
            }
            for model in &models {
                model.holds(&builder.setup);
            }
            entered += models.len();
        }
        assert!(entered > round * 100, "only {entered} leaves");
    }
}

/// A leaf, or a table beyond all memory, with most oddities now and then.
fn descriptor(random: &mut Random, level: i8, entry_bits: u64) -> u64 {
    let pa = (random.next() >> 16) & 0xff_ffff_ffff & (!0 << entry_bits);
    let mut leaf = pa | if level == 3 { PAGE } else { LEAF };
    for (bits, rarity) in [
        (AF, 5),
        (READ_ONLY, 3),
        (NON_CACHEABLE, 5),
        (DEVICE, 5),
        (RESERVED, 9),
        (0b10 << 8, 9),
        (GP, 5),
        (DBM, 5),
        (CONTIGUOUS, 6),
        (XN, 4),
        (NT, 9),
        (0b11 << 48, 12),
        (0b1111 << 12, 12),
        (0b10, 20),
        (1 << 44, 12),
    ] {
        if random.one_in(rarity) {
            leaf ^= bits;
        }
    }
    leaf
}

/// A few leaves in a row, of which most continue each other.
fn enter_run(builder: &mut Builder, random: &mut Random) {
    let configuration = builder.configuration;
    let level = random.pick(&[0, 1, 2, 3, 3, 3]);
    let level = level.max(configuration.start_level);
    let entry_bits = configuration.entry_bits(level);
    let end = 1 << configuration.va_bits();
    let mut va = random.below(end) >> entry_bits << entry_bits;
    let mut leaf = descriptor(random, level, entry_bits);
    for _ in 0..5 {
        if va >= end {
            return;
        }
        if random.one_in(6) {
            leaf = descriptor(random, level, entry_bits);
        }
        let table_bits = random.pick(&[0, 0, XN_TABLE, AP_TABLE_1]);
        builder.insert(va, level, leaf, table_bits);
        leaf = leaf.wrapping_add(1 << entry_bits);
        va += 1 << entry_bits;
    }
}

fn meaning_at(ranges: &[Range], va: u64) -> Option<Meaning> {
    let range = ranges
        .iter()
        .find(|range| range.va <= va && va - range.va < range.bytes)?;
    Some(range.meaning.at(va - range.va))
}

fn agree(meaning: Option<Meaning>, answer: Answer, access: Access) -> bool {
    match (meaning, answer) {
        (None, Answer::Fault(fault)) => fault.kind == FaultKind::Translation,
        (Some(Meaning::Fault { kind, level }), Answer::Fault(fault)) => {
            (kind, level) == (fault.kind, fault.level)
        }
        (Some(Meaning::Unpredictable(why)), Answer::Unpredictable(found)) => why == found,
        // Reserved attributes are looked at last.
        (Some(Meaning::Unpredictable(Why::MemAttr | Why::Shareability)), Answer::Fault(fault)) => {
            fault.kind == FaultKind::Permission
        }
        (Some(Meaning::Mapped { write, execute, .. }), other) => {
            let permitted = match access {
                Access::Read | Access::AtRead => true,
                Access::Write | Access::AtWrite => write,
                Access::Execute => execute,
            };
            match other {
                Answer::Unpredictable(why) => permitted && why == Why::FetchFromDevice,
                Answer::Fault(fault) => !permitted && fault.kind == FaultKind::Permission,
                Answer::Translation(found) => {
                    permitted
                        && found.read
                        && meaning
                            == Some(Meaning::Mapped {
                                pa: found.pa,
                                write: found.write,
                                execute: found.execute,
                                guarded: found.guarded,
                                attributes: found.attributes,
                                shareability: found.shareability,
                            })
                }
            }
        }
        _ => false,
    }
}

fn check(builder: &Builder) -> usize {
    let setup = &builder.setup;
    let stage1 = setup.stage1();
    let found = ranges(&stage1, &setup.ram).expect("the tables are small");
    for pair in found.windows(2) {
        let end = pair[0].va + pair[0].bytes;
        assert!(end <= pair[1].va, "not in order: {pair:x?}");
        let continues = pair[0].meaning.at(pair[0].bytes) == pair[1].meaning;
        assert!(end < pair[1].va || !continues, "not maximal: {pair:x?}");
    }
    let edges = found.iter().flat_map(|range| {
        let end = range.va + range.bytes;
        [range.va.saturating_sub(8), range.va, end - 8, end]
    });
    let limit = 1 << builder.configuration.va_bits();
    let probes = builder.probes.iter().copied().chain(edges);
    for va in probes.filter(|&va| va < limit) {
        let meaning = meaning_at(&found, va);
        for access in ALL {
            let answer = stage1.translate(&setup.ram, va, access);
            assert!(
                agree(meaning, answer, access),
                "{va:#x} {access:?}: {meaning:x?}, walker {answer:x?}, {:x?}",
                setup.registers
            );
        }
    }
    found.len()
}

#[test]
fn walker_and_ranges_agree_at_every_edge() {
    let mut random = Random(0x5eed);
    let mut seen = 0;
    for _ in 0..8 {
        for configuration in configurations() {
            let mut setup = Setup::new(configuration.features, configuration.tcr);
            setup.features.both.bbm = random.pick(&[0, 1, 2]);
            setup.features.xs = random.one_in(2);
            setup.registers.tcr |= random.pick(&[0, HA, HA | HD, HPD, HA | HPD]);
            setup.registers.sctlr |= random.pick(&[0, WXN]);
            let mut builder = Builder::new(configuration, setup);
            for _ in 0..6 {
                enter_run(&mut builder, &mut random);
            }
            if random.one_in(3) {
                let mut entries: Vec<u64> = builder.setup.ram.words.keys().copied().collect();
                entries.sort_unstable();
                builder.setup.ram.hole = Some(random.pick(&entries));
            }
            seen += check(&builder);
        }
    }
    assert!(seen > 600, "only {seen} ranges");
}

/// Memory whose every word is a hash of its address, and often looks like a table.
struct Noise {
    seed: u64,
    reads: Cell<u32>,
}

impl Memory for Noise {
    fn read(&self, at: u64) -> Option<u64> {
        assert_eq!(at % 8, 0);
        self.reads.set(self.reads.get() + 1);
        let hash = Random((at ^ self.seed) | 1).next();
        let small = if hash >> 60 & 1 == 0 {
            0xffff_ffff_ffff
        } else {
            u64::MAX
        };
        (!hash.is_multiple_of(64))
            .then_some((hash.rotate_left(32) & small) | (hash >> 62 | hash >> 58) & 3)
    }
}

fn noisy_features(random: &mut Random) -> Features {
    let bits = random.next();
    Features {
        both: oracle::arch::Features {
            pa_bits: bits.to_le_bytes()[7],
            lpa2_4k: bits & 1 != 0,
            lpa2_16k: bits & 2 != 0,
            granule_16k: bits & 4 != 0,
            haf: bits & 8 != 0,
            dbm: bits & 16 != 0,
            xnx: bits & 32 != 0,
            ttst: bits & 64 != 0,
            fwb: bits & 128 != 0,
            bbm: (bits >> 8).to_le_bytes()[0] % 4,
        },
        lva: bits >> 16 & 1 != 0,
        hpds: bits >> 17 & 1 != 0,
        pauth: bits >> 18 & 1 != 0,
        xs: bits >> 19 & 1 != 0,
        mte2: bits >> 20 & 1 != 0,
    }
}

#[test]
fn no_input_makes_walker_or_ranges_panic() {
    let mut random = Random(0xf00d);
    let configurations = configurations();
    let mut longest = 0;
    for case in 0..200_000_u32 {
        let mut features = noisy_features(&mut random);
        let mut registers = Registers {
            tcr: random.next(),
            ttbr0: random.next(),
            mair: random.next(),
            sctlr: random.next() | M,
        };
        if random.one_in(2) {
            // Mostly valid, so that walks get past the configuration.
            let valid = random.pick(&configurations);
            features = valid.features;
            registers.tcr = valid.tcr ^ 1 << random.below(64);
            registers.ttbr0 &= 0xffff_ffff_0000;
            registers.sctlr &= !EE;
        }
        registers.sctlr ^= u64::from(random.one_in(16));
        let stage1 = Stage1::new(features, registers);
        let noise = Noise {
            seed: random.next(),
            reads: Cell::new(0),
        };
        let va = random.next() >> random.below(64);
        stage1.translate(&noise, va, random.pick(&ALL));
        longest = longest.max(noise.reads.take());
        if case % 512 == 0 {
            let _ = ranges_within(&stage1, &noise, 10_000);
            assert!(noise.reads.take() <= 10_000);
            for level in [-128, -2, -1, 0, 1, 2, 3, 4, 127] {
                stage1.entry(level, registers.ttbr0);
                stage1.entry_bytes(level);
            }
        }
    }
    assert_eq!(longest, 5, "the deepest walk has five levels");
}
