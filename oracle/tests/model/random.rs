//! The model against the naive one, over random operations with fixed seeds.

mod steps;

use std::collections::BTreeMap;

use oracle::arch::Granule;
use oracle::model::{Meaning, Model, Run};
use oracle::operation::{Action, LeafContent, Operation, Outcome, Regime};

use crate::naive::{Naive, Shape};
use crate::support::{create, free, machine, pages, with_features};

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

/// Granule, start level, IPA size, physical address size, and DS.
type Config = (Granule, i8, u8, u8, bool);

const CONFIGS: [Config; 18] = [
    (Granule::K4, 1, 40, 40, false),
    (Granule::K4, 1, 39, 48, false),
    (Granule::K4, 0, 48, 48, false),
    (Granule::K4, 2, 34, 48, false),
    (Granule::K4, 2, 32, 36, false),
    (Granule::K4, 3, 25, 32, false),
    (Granule::K4, -1, 52, 52, true),
    (Granule::K4, 0, 48, 48, true),
    (Granule::K16, 1, 48, 48, false),
    (Granule::K16, 2, 36, 40, false),
    (Granule::K16, 2, 40, 52, false),
    (Granule::K16, 0, 52, 52, true),
    (Granule::K16, 1, 50, 52, true),
    (Granule::K64, 1, 48, 52, false),
    (Granule::K64, 1, 52, 52, false),
    (Granule::K64, 2, 46, 48, false),
    (Granule::K64, 2, 40, 44, false),
    (Granule::K64, 3, 33, 40, false),
];

/// How often each kind of thing came: operations that never stop would prove little.
#[derive(Debug, Default)]
struct Seen {
    done: u32,
    stopped_at_once: u32,
    stopped_later: u32,
    cut_stopped: u32,
    dirty: u32,
    young: u32,
    coalesced: u32,
    linked: u32,
    relaxed: u32,
    mapped_otherwise: u32,
    cut: u32,
}

impl Seen {
    fn add(&mut self, other: &Seen) {
        self.done += other.done;
        self.stopped_at_once += other.stopped_at_once;
        self.stopped_later += other.stopped_later;
        self.cut_stopped += other.cut_stopped;
        self.dirty += other.dirty;
        self.young += other.young;
        self.coalesced += other.coalesced;
        self.linked += other.linked;
        self.relaxed += other.relaxed;
        self.mapped_otherwise += other.mapped_otherwise;
        self.cut += other.cut;
    }

    fn check(&self) {
        assert!(self.done > 2000, "{self:?}");
        assert!(self.stopped_at_once > 20, "{self:?}");
        assert!(self.stopped_later > 20, "{self:?}");
        assert!(self.cut_stopped > 5, "{self:?}");
    }

    fn check_all(&self) {
        self.check();
        assert!(self.dirty > 100, "{self:?}");
        assert!(self.young > 100, "{self:?}");
        assert!(self.coalesced > 100, "{self:?}");
        assert!(self.linked > 50, "{self:?}");
        assert!(self.relaxed > 100, "{self:?}");
    }
}

/// Operations on whole entries.
const ACTIONS: [Action; 11] = [
    Action::UnmapWhole,
    Action::WriteProtect,
    Action::Soften,
    Action::Revive,
    Action::Revive,
    Action::Flush,
    Action::TestYoung,
    Action::ClearYoung,
    Action::ClearYoung,
    Action::Coalesce,
    Action::Coalesce,
];

/// Two VMs of each model.
struct Pair {
    random: Random,
    model: Model,
    naive: Vec<Naive>,
    config: Config,
    hardware: bool,
    /// What operations are a multiple of, and the window that they stay in.
    units: Vec<u64>,
    windows: Vec<u64>,
    window_bytes: u64,
    seen: Seen,
}

impl Pair {
    /// `widest` is the level of the largest unit: windows are 4 of them wide.
    /// With `hardware`, it sets flags.
    fn new(config: Config, seed: u64, widest: i8, hardware: bool) -> Pair {
        Pair::of(Regime::Stage2, config, seed, widest, hardware)
    }

    fn of(regime: Regime, config: Config, seed: u64, widest: i8, hardware: bool) -> Pair {
        let (granule, start, ipa_bits, pa_bits, ds) = config;
        let mut machine = with_features(machine(granule, Some(start), ipa_bits, pa_bits));
        machine.regime = regime;
        machine.ds = ds;
        machine.features.haf = hardware;
        let mut model = Model::new(&machine);
        let root_tables = 1 << model.root_order().unwrap();
        let shape = Shape {
            granule,
            start,
            pa_bits,
            ds,
            root_tables,
            haf: hardware,
        };
        let spaces = if regime.is_own() { 1 } else { 2 };
        let naive: Vec<Naive> = (0..spaces)
            .map(|vm| {
                assert_eq!(create(&mut model, vm), Outcome::Done);
                Naive::new(shape)
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
            hardware,
            units,
            windows: vec![0, last],
            window_bytes,
            seen: Seen::default(),
        }
    }

    /// Map and unmap alone.
    fn step(&mut self) {
        let (vm, available, unit) = self.choose();
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

    /// Every operation on an address space.
    fn step_of_all(&mut self) {
        let (vm, available, unit) = self.choose();
        let (ipa, size) = self.range(unit);
        match self.random.below(24) {
            0..9 => self.map(vm, unit, ipa, size, available),
            9 => {
                let window = self.random.pick(&self.windows);
                self.unmap(vm, window, self.window_bytes, available);
            }
            10..12 => self.unmap(vm, ipa, size, available),
            12 => self.protect(vm, ipa, size, available),
            13 => self.annotate(vm, ipa, size, available),
            14 => self.split(vm, ipa, size, available),
            15 => self.subtree(vm, unit, ipa, available),
            16..19 => {
                let action = self.random.pick(&ACTIONS);
                self.act(vm, action, ipa, size);
            }
            19 => self.relax(vm, ipa + 8),
            20 => {
                let window = self.random.pick(&self.windows);
                self.act(vm, Action::Coalesce, window, self.window_bytes);
            }
            _ => self.access(vm, ipa + 16),
        }
        self.compare(vm);
        let dirty = std::mem::take(&mut self.naive[vm].dirty);
        self.seen.dirty += u32::try_from(dirty.len()).unwrap();
    }

    fn choose(&mut self) -> (usize, u32, u64) {
        let vm = usize::from(self.random.one_in(8));
        let available = match self.random.below(4) {
            0 => 1 << 20,
            _ => self.random.below(6),
        };
        let unit = self.random.pick(&self.units);
        (vm, u32::try_from(available).unwrap(), unit)
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

    fn pa_bits(&self) -> u8 {
        match self.config {
            (Granule::K64, _, _, pa_bits, _) | (_, _, _, pa_bits, true) => pa_bits,
            (_, _, _, pa_bits, false) => pa_bits.min(48),
        }
    }

    /// Mostly the IPA with one bit turned, so that remaps are often identical and
    /// neighbours often join; sometimes out of step by a smaller unit.
    fn pa(&mut self, unit: u64, ipa: u64, size: u64) -> u64 {
        let pa_bits = self.pa_bits();
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

    fn compare(&mut self, vm: usize) {
        let edges = self.model.edges().to_vec();
        let dirty: Vec<(u64, u64)> = self.model.dirty().collect();
        assert_eq!(dirty, self.naive[vm].dirty);
        assert!(edges.len() <= 24);
        assert!(edges.is_sorted_by(|a, b| a < b), "{edges:x?}");
        assert!(edges.iter().all(|ipa| ipa % 8 == 0));
        for ipa in edges {
            self.compare_at(vm, ipa);
        }
        for _ in 0..8 {
            let window = self.random.pick(&self.windows);
            let ipa = window + self.random.below(self.window_bytes);
            for vm in 0..self.naive.len() {
                self.compare_at(vm, ipa);
            }
        }
        assert_eq!(self.model.tables(vm), self.naive[vm].tables());
    }

    fn compare_at(&mut self, vm: usize, ipa: u64) {
        let naive = self.naive[vm].lookup(ipa);
        assert_eq!(self.model.lookup(vm, ipa), naive, "{ipa:#x}");
        let (level, entry) = self.naive[vm].content(ipa);
        let answer = self.model.apply(&Operation::Leaf { vm, ipa }, pages(0));
        assert_eq!(answer, Outcome::Entry { level, entry }, "{ipa:#x}");
    }

    /// Every page of VM 0, and its maximal runs.
    fn compare_pages(&self) {
        let pages = self.naive[0].pages.as_ref().unwrap();
        for window in &self.windows {
            for ipa in self.naive[0].pages_of(*window, self.window_bytes) {
                let found = match self.model.lookup(0, ipa) {
                    Meaning::Mapped {
                        pa, prot, memory, ..
                    } => Some((pa, prot, memory)),
                    _ => None,
                };
                let page = pages.get(&ipa);
                let page = page.map(|leaf| (leaf.pa, leaf.prot, leaf.memory));
                assert_eq!(found, page, "{ipa:#x}");
            }
        }
        let runs: Vec<Run> = self.model.runs(0).collect();
        assert_eq!(runs, runs_of(pages, self.naive[0].page()));
    }
}

/// Fewer where tables are larger, since the naive model takes long for them.
fn rounds(config: Config) -> u32 {
    match config.0 {
        Granule::K4 => 600,
        Granule::K16 => 250,
        Granule::K64 => 100,
    }
}

fn runs_of(pages: &BTreeMap<u64, LeafContent>, page: u64) -> Vec<Run> {
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
                accessible: true,
            }),
        }
    }
    runs
}

#[test]
fn agrees_with_the_naive_model_from_the_largest_blocks_down() {
    let mut seen = Seen::default();
    for (seed, config) in (1..).zip(CONFIGS) {
        let mut pair = Pair::new(config, seed, 1, false);
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
        let mut pair = Pair::new(config, seed, 2, true);
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

#[test]
fn all_operations_agree_with_the_naive_model() {
    let mut seen = Seen::default();
    for (seed, config) in (200..).zip(CONFIGS) {
        for hardware in [false, true] {
            let widest = if config.4 { 0 } else { 1 };
            let widest = if seed % 2 == 0 { 2 } else { widest };
            let mut pair = Pair::new(config, seed, widest, hardware);
            for _ in 0..rounds(config) {
                pair.step_of_all();
            }
            seen.add(&pair.seen);
        }
    }
    seen.check_all();
}

/// Granule, VA size and physical address size with the start level that they give.
const OWN_CONFIGS: [Config; 5] = [
    (Granule::K4, 1, 39, 40, false),
    (Granule::K4, 0, 48, 48, false),
    (Granule::K4, -1, 52, 52, true),
    (Granule::K16, 1, 47, 48, false),
    (Granule::K64, 2, 42, 48, false),
];

#[test]
fn the_hypervisors_own_space_agrees_with_the_naive_model() {
    let mut seen = Seen::default();
    for (seed, config) in (300..).zip(OWN_CONFIGS) {
        let mut pair = Pair::of(Regime::El2, config, seed, 2, false);
        for _ in 0..2 * rounds(config) {
            pair.step_of_own();
            pair.compare(0);
        }
        seen.add(&pair.seen);
    }
    assert!(seen.done > 500, "{seen:?}");
    assert!(seen.stopped_at_once + seen.stopped_later > 50, "{seen:?}");
    assert!(seen.mapped_otherwise > 50 && seen.cut > 50, "{seen:?}");
}
