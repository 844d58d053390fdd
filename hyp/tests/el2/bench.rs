//! Tables of EL2 to test on, with 2, 3 and 4 levels.

use crate::support::{Machine, POOL, POOL_PAGES, TestCpu};
use hyp::addr::{Pa, PaRange, Va};
use hyp::cpu::Cpu;
use hyp::descriptor::{Execute, Prot};
use hyp::el2::{Configuration, El2, Mapping};
use hyp::geometry::{ExecutionState, Features, Granule, Level};
use hyp::pages::{PageInfo, PageSource, Pool};
use hyp::platform::Platform;

pub(crate) const PAGE: u64 = 4096;
pub(crate) const BLOCK: u64 = 2 << 20;
pub(crate) const RX: Prot = Prot {
    read: true,
    write: false,
    execute: Execute::Both,
};
/// The first page that the pool lends.
pub(crate) const ROOT: Pa = Pa::new(POOL);

pub(crate) fn configuration(granule: Granule, va_bits: u8, pa_bits: u8) -> Configuration {
    Configuration {
        state: ExecutionState::Aarch64,
        granule,
        va_bits,
        pa_bits,
        start_level: None,
        ds: false,
        coherent_walks: true,
        features: Features::default(),
    }
}

/// 4K pages and 39 bits: levels 1 to 3.
pub(crate) fn plain() -> Configuration {
    configuration(Granule::K4, 39, 40)
}

/// The same with walks that do not snoop the data caches.
pub(crate) fn incoherent() -> Configuration {
    Configuration {
        coherent_walks: false,
        ..plain()
    }
}

pub(crate) fn with_lpa2(granule: Granule, va_bits: u8, pa_bits: u8) -> Configuration {
    Configuration {
        ds: true,
        features: Features {
            lpa2_4k: granule == Granule::K4,
            lpa2_16k: granule == Granule::K16,
            ..Features::default()
        },
        ..configuration(granule, va_bits, pa_bits)
    }
}

/// With 2, 3 and 4 levels; the last with a root of two entries.
pub(crate) fn shapes() -> [Configuration; 5] {
    [
        configuration(Granule::K64, 42, 42),
        configuration(Granule::K4, 39, 40),
        configuration(Granule::K16, 47, 44),
        configuration(Granule::K4, 48, 48),
        configuration(Granule::K16, 48, 48),
    ]
}

pub(crate) struct Bench<'a> {
    pub(crate) el2: &'a El2,
    pub(crate) machine: &'a Machine,
    pub(crate) pool: &'a Pool<'a>,
}

impl Bench<'_> {
    /// Pages that are neither free nor in the page cache.
    pub(crate) fn pages_in_use(&self, cpu: &mut TestCpu<'_>) -> usize {
        cpu.drain();
        let free: Vec<Pa> = std::iter::from_fn(|| self.pool.allocate(0)).collect();
        free.iter().for_each(|&page| self.pool.release(page, 0));
        POOL_PAGES - free.len()
    }

    pub(crate) fn word(&self, at: Pa) -> u64 {
        self.machine.load(at)
    }
}

/// Runs `test` with tables that map nothing, `cached` pages and an empty log.
pub(crate) fn with_el2(
    configuration: &Configuration,
    cached: u32,
    test: impl FnOnce(&Bench<'_>, &mut TestCpu<'_>),
) {
    let machine = Machine::new();
    let info: Vec<PageInfo> = (0..POOL_PAGES).map(|_| PageInfo::new()).collect();
    let shift = u32::from(configuration.granule.shift());
    let pool = Pool::new(Pa::new(POOL), shift, &info).expect("the pool is aligned");
    let mut cpu = Cpu::new(&machine, &pool);
    let el2 = El2::new();
    el2.create(&mut cpu, configuration).expect("it is legal");
    cpu.top_up(cached);
    machine.take_log();
    let bench = Bench {
        el2: &el2,
        machine: &machine,
        pool: &pool,
    };
    test(&bench, &mut cpu);
}

pub(crate) fn mapping(va: u64, pa: u64, bytes: u64, prot: Prot) -> Mapping {
    Mapping {
        va: Va::new(va),
        ..Mapping::identity(memory(pa, bytes), prot)
    }
}

pub(crate) fn memory(pa: u64, bytes: u64) -> PaRange {
    PaRange::new(Pa::new(pa), bytes).expect("it does not wrap around")
}

pub(crate) fn level(number: i8) -> Level {
    Level::new(number).expect("-1 to 3")
}

/// The first word of each line.
pub(crate) fn instructions(log: &[String]) -> Vec<&str> {
    let first = |line: &'_ String| line.find(' ').unwrap_or(line.len());
    log.iter().map(|line| &line[..first(line)]).collect()
}
