//! The model against the naive one, over random operations with fixed seeds.

use std::collections::BTreeMap;

use oracle::arch::Granule;
use oracle::model::{Meaning, Model, Run};
use oracle::operation::{MemoryType, Operation, Outcome};

use crate::naive::{Leaf, Naive};
use crate::support::{Map, machine, pages};
use crate::support::{READ, READ_EXECUTE, READ_WRITE, create, free};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).unwrap()]
    }
}

type Config = (Granule, i8, u8, u8);

const CONFIGS: [Config; 12] = [
    (Granule::K4, 1, 40, 40),
    (Granule::K4, 1, 39, 48),
    (Granule::K4, 0, 48, 48),
    (Granule::K4, 2, 34, 48),
    (Granule::K4, 2, 32, 36),
    (Granule::K16, 1, 48, 48),
    (Granule::K16, 2, 36, 40),
    (Granule::K16, 2, 40, 52),
    (Granule::K64, 1, 48, 52),
    (Granule::K64, 2, 46, 48),
    (Granule::K64, 2, 40, 44),
    (Granule::K64, 3, 33, 40),
];

/// How often each kind of answer came: operations that never stop would prove
/// little.
#[derive(Debug, Default)]
struct Seen {
    done: u32,
    stopped_at_once: u32,
    stopped_later: u32,
    unmap_stopped: u32,
}

impl Seen {
    fn add(&mut self, other: &Seen) {
        self.done += other.done;
        self.stopped_at_once += other.stopped_at_once;
        self.stopped_later += other.stopped_later;
        self.unmap_stopped += other.unmap_stopped;
    }

    fn check(&self) {
        assert!(self.done > 2000, "{self:?}");
        assert!(self.stopped_at_once > 20, "{self:?}");
        assert!(self.stopped_later > 20, "{self:?}");
        assert!(self.unmap_stopped > 20, "{self:?}");
    }
}

/// Two VMs of each model.
struct Pair {
    random: Random,
    model: Model,
    naive: Vec<Naive>,
    config: Config,
    /// What operations are a multiple of, and the window that they stay in.
    units: Vec<u64>,
    windows: Vec<u64>,
    window_bytes: u64,
    seen: Seen,
}

impl Pair {
    /// `widest` is the level of the largest unit: windows are 4 of them wide.
    fn new(config: Config, seed: u64, widest: i8) -> Pair {
        let (granule, start, ipa_bits, pa_bits) = config;
        let mut model = Model::new(&machine(granule, Some(start), ipa_bits, pa_bits));
        let root_tables = 1 << model.root_order().unwrap();
        let naive: Vec<Naive> = (0..2)
            .map(|vm| {
                assert_eq!(create(&mut model, vm), Outcome::Done);
                Naive::new(granule, start, pa_bits, root_tables)
            })
            .collect();
        let widest = widest.max(start);
        let units: Vec<u64> = (widest..=3).map(|level| naive[0].entry(level)).collect();
        let window_bytes = (4 * units[0]).min(1 << ipa_bits);
        let last = (1 << ipa_bits) - window_bytes;
        Pair {
            random: Random(seed),
            model,
            naive,
            config,
            units,
            windows: vec![0, last],
            window_bytes,
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        let vm = usize::from(self.random.one_in(8));
        let available = match self.random.below(4) {
            0 => 1 << 20,
            _ => self.random.below(6),
        };
        let available = u32::try_from(available).unwrap();
        let unit = self.random.pick(&self.units);
        let (ipa, size) = self.range(unit);
        if self.random.one_in(12) {
            // Room for new tables.
            let window = self.random.pick(&self.windows);
            self.unmap(vm, window, self.window_bytes, available);
        } else if self.random.one_in(3) {
            self.unmap(vm, ipa, size, available);
        } else {
            self.map(vm, unit, ipa, size, available);
        }
        self.compare(vm);
    }

    /// A range of a few units in a window, its ends sometimes a few pages off.
    fn range(&mut self, unit: u64) -> (u64, u64) {
        let window = self.random.pick(&self.windows);
        let page = self.naive[0].page();
        let units = self.window_bytes / unit;
        let first = match self.random.below(3) {
            0 => self.random.below(units.min(20)),
            _ => self.random.below(units),
        };
        let mut start = first * unit;
        let mut end = start + (1 + self.random.below((units - first).min(6))) * unit;
        if self.random.one_in(4) {
            start += self.random.below(3).min(unit / page - 1) * page;
            end = (end - self.random.below(2) * page).max(start + page);
        }
        (window + start, end - start)
    }

    /// Mostly the IPA with one bit turned, so that remaps are often identical and
    /// neighbours often join; sometimes out of step by a smaller unit.
    fn pa(&mut self, unit: u64, ipa: u64, size: u64) -> u64 {
        let pa_bits = match self.config.0 {
            Granule::K64 => self.config.3,
            _ => self.config.3.min(48),
        };
        let pa = ipa ^ 1 << (pa_bits - 1);
        let smaller = self.units.iter().find(|smaller| **smaller < unit);
        let moved = match (self.random.below(8), smaller) {
            (0, Some(smaller)) => pa ^ smaller,
            (1, _) => pa ^ unit,
            _ => pa,
        };
        if moved + size > 1 << pa_bits {
            return pa;
        }
        moved
    }

    fn map(&mut self, vm: usize, unit: u64, ipa: u64, size: u64, available: u32) {
        let wanted = Map {
            ipa,
            pa: self.pa(unit, ipa, size),
            size,
            prot: self
                .random
                .pick(&[READ_WRITE, READ_WRITE, READ, READ_EXECUTE]),
            memory: MemoryType::Normal,
            // A naive map of many pages takes long.
            pages_only: size / self.naive[0].page() < 4096 && self.random.one_in(4),
        };
        let answer = self.model.apply(&wanted.of(vm), pages(available));
        if let Outcome::Refused(why) = answer {
            panic!("{why:?}: {ipa:#x} {:#x} {size:#x}", wanted.pa);
        }
        let leaf = Leaf {
            pa: wanted.pa,
            prot: wanted.prot,
            memory: wanted.memory,
        };
        let naive = self.naive[vm].map(ipa, leaf, size, wanted.pages_only, available);
        assert_eq!(answer, naive, "map {ipa:#x} {:#x} {size:#x}", wanted.pa);
        match answer {
            Outcome::NoPages { done: 0, .. } => self.seen.stopped_at_once += 1,
            Outcome::NoPages { .. } => self.seen.stopped_later += 1,
            _ => self.seen.done += 1,
        }
    }

    fn unmap(&mut self, vm: usize, ipa: u64, size: u64, available: u32) {
        let operation = Operation::Unmap { vm, ipa, size };
        let answer = self.model.apply(&operation, pages(available));
        let naive = self.naive[vm].unmap(ipa, size, available);
        assert_eq!(answer, naive, "unmap {ipa:#x} {size:#x}");
        match answer {
            Outcome::NoPages { .. } => self.seen.unmap_stopped += 1,
            _ => self.seen.done += 1,
        }
    }

    fn compare(&mut self, vm: usize) {
        let edges = self.model.edges();
        assert!(!edges.is_empty() && edges.len() <= 24);
        assert!(edges.is_sorted_by(|a, b| a < b), "{edges:x?}");
        assert!(edges.iter().all(|ipa| ipa % 8 == 0));
        for ipa in edges {
            self.compare_at(vm, *ipa);
        }
        for _ in 0..8 {
            let window = self.random.pick(&self.windows);
            let ipa = window + self.random.below(self.window_bytes);
            self.compare_at(0, ipa);
            self.compare_at(1, ipa);
        }
        assert_eq!(self.model.tables(vm), self.naive[vm].tables());
    }

    fn compare_at(&self, vm: usize, ipa: u64) {
        let naive = self.naive[vm].lookup(ipa);
        assert_eq!(self.model.lookup(vm, ipa), naive, "{ipa:#x}");
    }

    /// Every page of VM 0, and its maximal runs.
    fn compare_pages(&self) {
        let pages = self.naive[0].pages.as_ref().unwrap();
        for window in &self.windows {
            for ipa in self.naive[0].pages_of(*window, self.window_bytes) {
                let found = match self.model.lookup(0, ipa) {
                    Meaning::Mapped {
                        pa, prot, memory, ..
                    } => Some(Leaf { pa, prot, memory }),
                    _ => None,
                };
                assert_eq!(found.as_ref(), pages.get(&ipa), "{ipa:#x}");
            }
        }
        let runs: Vec<Run> = self.model.runs(0).collect();
        assert_eq!(runs, runs_of(pages, self.naive[0].page()));
    }
}

/// Fewer where tables are larger, since the naive model takes long for them.
fn rounds(config: Config) -> u32 {
    match config.0 {
        Granule::K4 => 1000,
        Granule::K16 => 250,
        Granule::K64 => 100,
    }
}

fn runs_of(pages: &BTreeMap<u64, Leaf>, page: u64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (ipa, leaf) in pages {
        match runs.last_mut() {
            Some(run)
                if run.ipa + run.bytes == *ipa
                    && run.pa + run.bytes == leaf.pa
                    && (run.prot, run.memory) == (leaf.prot, leaf.memory) =>
            {
                run.bytes += page;
            }
            _ => runs.push(Run {
                ipa: *ipa,
                bytes: page,
                pa: leaf.pa,
                prot: leaf.prot,
                memory: leaf.memory,
            }),
        }
    }
    runs
}

#[test]
fn agrees_with_the_naive_model_from_the_largest_blocks_down() {
    let mut seen = Seen::default();
    for (seed, config) in (1..).zip(CONFIGS) {
        let mut pair = Pair::new(config, seed, 1);
        for _ in 0..rounds(config) {
            pair.step();
        }
        let all = pair.naive.iter().map(Naive::tables).sum::<u32>();
        let rest = all - pair.naive[0].tables();
        let freed = free(&mut pair.model, 0);
        assert_eq!(freed, Outcome::Freed { pages: rest });
        seen.add(&pair.seen);
    }
    seen.check();
}

#[test]
fn agrees_with_a_map_of_pages() {
    let mut seen = Seen::default();
    for (seed, config) in (100..).zip(CONFIGS) {
        let mut pair = Pair::new(config, seed, 2);
        pair.naive[0].pages = Some(BTreeMap::new());
        for round in 0..rounds(config) {
            pair.step();
            if round % 50 == 49 {
                pair.compare_pages();
            }
        }
        seen.add(&pair.seen);
    }
    seen.check();
}
