//! Random tables and random bytes: walker and ranges agree, and nothing panics.

use std::cell::Cell;
use std::ops::Range as Numbers;

use oracle::arch::Features;
use oracle::ranges::{Meaning, Range, ranges, ranges_within};
use oracle::walk::{
    Access, Answer, Entry, Fault, FaultKind, Memory, Registers, Stage2, Translation, Why, trace,
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

    fn within(&mut self, numbers: Numbers<u64>) -> u64 {
        numbers.start + (self.next() >> 8) % (numbers.end - numbers.start)
    }

    fn one_in(&mut self, number: u64) -> bool {
        self.within(0..number) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.next() >> 8).expect("64-bit host");
        choices[index % choices.len()]
    }
}

/// Valid configurations of every granule, address format and extreme start level.
fn configurations() -> Vec<(Features, u64)> {
    vec![
        (FEATURES, vtcr(TG0_4K, 39, 1, PS_48)),
        (FEATURES, vtcr(TG0_4K, 40, 1, PS_36)),
        (FEATURES, vtcr(TG0_4K, 48, 2, PS_48)),
        (FEATURES, vtcr(TG0_4K, 25, 3, PS_48)),
        (WIDE, vtcr(TG0_4K, 52, 2, PS_52) | DS),
        (WIDE, vtcr(TG0_4K, 51, 0, PS_52) | DS | SL2),
        (WIDE, vtcr(TG0_4K, 48, 2, PS_36) | DS),
        (FEATURES, vtcr(TG0_16K, 40, 1, PS_48)),
        (FEATURES, vtcr(TG0_16K, 48, 2, PS_36)),
        (WIDE, vtcr(TG0_16K, 50, 3, PS_52) | DS),
        (WIDE, vtcr(TG0_16K, 47, 2, PS_32) | DS),
        (FEATURES, vtcr(TG0_64K, 44, 1, PS_48)),
        (WIDE, vtcr(TG0_64K, 52, 2, PS_52)),
        (WIDE, vtcr(TG0_64K, 48, 2, PS_36)),
    ]
}

/// Enters leaves one by one, with tables on the way where they are missing.
struct Builder<'a> {
    setup: Setup,
    stage2: Stage2,
    random: &'a mut Random,
    next_table: u64,
    /// Addresses at both sides of every entry that was made.
    probes: Vec<u64>,
}

impl Builder<'_> {
    fn entry_address(&self, level: i8, table: u64, ipa: u64) -> u64 {
        let index = ipa / self.stage2.entry_bytes(level);
        if Some(level) == self.stage2.start_level() {
            table + index * 8
        } else {
            table + index % u64::from(self.stage2.entries_per_table()) * 8
        }
    }

    fn insert(&mut self, ipa: u64, leaf_level: i8, leaf: u64) {
        let mut level = self.stage2.start_level().expect("valid");
        let (mut table, _) = self.stage2.root().expect("valid");
        loop {
            let at = self.entry_address(level, table, ipa);
            let bytes = self.stage2.entry_bytes(level);
            let first = ipa / bytes * bytes;
            self.probes.extend([first, first + bytes - 8]);
            self.probes.extend(first.checked_sub(8));
            self.probes.push(first + bytes);
            let old = self.setup.ram.words.get(&at).copied().unwrap_or(0);
            match self.stage2.entry(level, old) {
                Entry::Table { next } if self.setup.ram.words.contains_key(&next) => table = next,
                _ if level >= leaf_level => return self.setup.set(at, leaf),
                _ => {
                    table = self.next_table;
                    self.next_table += 0x1_0000;
                    self.setup.set(table, 0);
                    self.setup.set(at, table | TABLE);
                }
            }
            level += 1;
        }
    }

    /// A leaf, or a table beyond all memory, with most oddities now and then.
    fn descriptor(&mut self, level: i8) -> u64 {
        let bytes = self.stage2.entry_bytes(level);
        let pa = (self.random.next() >> 16) & 0xff_ffff_ffff & !(bytes - 1);
        let mut leaf = pa | if level == 3 { PAGE } else { LEAF };
        for (bits, rarity) in [
            (AF, 5),
            (0b01 << 6, 5),
            (0b10 << 6, 5),
            (0b1000 << 2, 9),
            (0b0001 << 2, 9),
            (0b10 << 8, 9),
            (DBM, 5),
            (CONTIGUOUS, 6),
            (XN, 4),
            (XNX, 4),
            (NT, 9),
            (0b11 << 48, 12),
            (0b1111 << 12, 12),
            (0b10, 20),
            (1 << 44, 12),
        ] {
            if self.random.one_in(rarity) {
                leaf ^= bits;
            }
        }
        leaf
    }

    /// A few leaves in a row, of which most continue each other.
    fn run(&mut self) {
        let level = self.random.pick(&[0, 1, 2, 3, 3, 3]);
        let level = level.max(self.stage2.start_level().expect("valid"));
        let bytes = self.stage2.entry_bytes(level);
        let end = 1 << self.stage2.ipa_bits();
        let first = self.random.within(0..end) / bytes * bytes;
        let mut leaf = self.descriptor(level);
        for ipa in (first..end)
            .step_by(usize::try_from(bytes).unwrap())
            .take(5)
        {
            if self.random.one_in(6) {
                leaf = self.descriptor(level);
            }
            self.insert(ipa, level, leaf);
            leaf = leaf.wrapping_add(bytes);
        }
    }
}

fn meaning_at(ranges: &[Range], ipa: u64) -> Option<Meaning> {
    let range = ranges
        .iter()
        .find(|range| range.ipa <= ipa && ipa - range.ipa < range.bytes)?;
    Some(range.meaning.at(ipa - range.ipa))
}

fn permits(translation: &Translation, access: Access) -> bool {
    match access {
        Access::Read | Access::AtRead => translation.read,
        Access::Write | Access::AtWrite => translation.write,
        Access::Execute { el0: false } => translation.execute_el1,
        Access::Execute { el0: true } => translation.execute_el0,
    }
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
        (Some(meaning @ Meaning::Mapped { .. }), Answer::Translation(found)) => {
            meaning == as_meaning(&found) && permits(&found, access)
        }
        (
            Some(Meaning::Mapped {
                read,
                write,
                execute_el1,
                execute_el0,
                ..
            }),
            other,
        ) => {
            let permitted = match access {
                Access::Read | Access::AtRead => read,
                Access::Write | Access::AtWrite => write,
                Access::Execute { el0: false } => execute_el1,
                Access::Execute { el0: true } => execute_el0,
            };
            match other {
                Answer::Unpredictable(why) => permitted && why == Why::FetchFromDevice,
                Answer::Fault(Fault { kind, .. }) => !permitted && kind == FaultKind::Permission,
                Answer::Translation(_) => false,
            }
        }
        _ => false,
    }
}

fn as_meaning(translation: &Translation) -> Meaning {
    Meaning::Mapped {
        pa: translation.pa,
        read: translation.read,
        write: translation.write,
        execute_el1: translation.execute_el1,
        execute_el0: translation.execute_el0,
        attributes: translation.attributes,
        shareability: translation.shareability,
    }
}

fn check(builder: &Builder<'_>) -> usize {
    let Builder { setup, stage2, .. } = builder;
    let found = ranges(stage2, &setup.ram).expect("the tables are small");
    for pair in found.windows(2) {
        let end = pair[0].ipa + pair[0].bytes;
        assert!(end <= pair[1].ipa, "not in order: {pair:x?}");
        let continues = pair[0].meaning.at(pair[0].bytes) == pair[1].meaning;
        assert!(end < pair[1].ipa || !continues, "not maximal: {pair:x?}");
    }
    let edges = found.iter().flat_map(|range| {
        let end = range.ipa + range.bytes;
        [range.ipa.saturating_sub(8), range.ipa, end - 8, end]
    });
    let probes = builder.probes.iter().copied().chain(edges);
    let limit = 1 << stage2.ipa_bits();
    for ipa in probes.filter(|&ipa| ipa < limit) {
        for access in ALL {
            let answer = stage2.translate(&setup.ram, ipa, access);
            let meaning = meaning_at(&found, ipa);
            assert!(
                agree(meaning, answer, access),
                "{ipa:#x} {access:?}: {meaning:x?}, walker {answer:x?}, {:x?}",
                setup.registers
            );
        }
    }
    found.len()
}

#[test]
fn walker_and_ranges_agree_at_every_edge() {
    let mut random = Random(0x5eed);
    let configurations = configurations();
    let mut seen = 0;
    for round in 0..84 {
        let (mut features, vtcr) = configurations[round % configurations.len()];
        features.bbm = random.pick(&[0, 1, 2]);
        let mut setup = Setup::new(features, vtcr | random.pick(&[0, HA, HA | HD]));
        setup.registers.hcr |= random.pick(&[0, DC, DC, FWB, FWB | DC]);
        let stage2 = setup.stage2();
        let mut builder = Builder {
            setup,
            stage2,
            random: &mut random,
            next_table: 0x5000_0000,
            probes: Vec::new(),
        };
        for _ in 0..6 {
            builder.run();
        }
        if builder.random.one_in(3) {
            let mut tables: Vec<u64> = builder.setup.ram.words.keys().copied().collect();
            tables.sort_unstable();
            builder.setup.ram.hole = Some(builder.random.pick(&tables));
        }
        seen += check(&builder);
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
        pa_bits: if random.one_in(8) {
            bits.to_le_bytes()[7]
        } else {
            random.pick(&[32, 36, 40, 42, 44, 48, 52])
        },
        lpa2_4k: bits & 1 != 0,
        lpa2_16k: bits & 2 != 0,
        granule_16k: bits & 4 != 0,
        haf: bits & 8 != 0,
        dbm: bits & 16 != 0,
        xnx: bits & 32 != 0,
        ttst: bits & 64 != 0,
        fwb: bits & 128 != 0,
        bbm: (bits >> 8).to_le_bytes()[0] % 4,
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
            vtcr: random.next(),
            vttbr: random.next(),
            hcr: random.next() | random.next() & VM,
        };
        if random.one_in(2) {
            // Mostly valid, so that walks get past the configuration.
            let vtcr;
            (features, vtcr) = random.pick(&configurations);
            registers.vtcr = vtcr ^ 1 << random.within(0..64);
            registers.vttbr &= 0xffff_ffff_0000 | 0b111 << 53;
            registers.hcr |= VM | RW;
        }
        let stage2 = Stage2::new(features, registers);
        let noise = Noise {
            seed: random.next(),
            reads: Cell::new(0),
        };
        let ipa = random.next() >> random.within(0..64);
        stage2.translate(&noise, ipa, random.pick(&ALL));
        longest = longest.max(noise.reads.take());
        if case % 512 == 0 {
            let _ = ranges_within(&stage2, &noise, 10_000);
            assert!(noise.reads.take() <= 10_000);
            let _ = trace(&stage2, &noise, ipa, Access::Read);
            for level in [-128, -2, -1, 0, 1, 2, 3, 4, 127] {
                stage2.entry(level, registers.vttbr);
            }
        }
    }
    assert_eq!(longest, 5, "the deepest walk has five levels");
}
