//! What a walk and a list of ranges cost: `cargo bench -p oracle --bench walk`.
//!
//! It prints the best of many rounds and judges nothing: a shared machine is no place
//! for a threshold.

use std::hint::black_box;
use std::time::{Duration, Instant};

use oracle::arch::Features;
use oracle::ranges::ranges;
use oracle::stage1::{self, Stage1};
use oracle::walk::{Access, Memory, Registers, Stage2};

const FEATURES: Features = Features {
    pa_bits: 48,
    lpa2_4k: false,
    lpa2_16k: false,
    granule_16k: true,
    haf: true,
    dbm: true,
    xnx: true,
    ttst: true,
    fwb: true,
    bbm: 2,
};
const BASE: u64 = 0x4000_0000;
const PAGES: u64 = 1 << 18;
const PAGE: u64 = 0x7ff;
const TABLE: u64 = 3;

struct Ram(Vec<u64>);

impl Memory for Ram {
    fn read(&self, at: u64) -> Option<u64> {
        let index = usize::try_from(at.checked_sub(BASE)? / 8).ok()?;
        self.0.get(index).copied()
    }
}

/// 1 GiB in 4 KiB pages from IPA 0, four levels; `scattered` pages do not merge.
fn mapped(scattered: bool) -> (Stage2, Ram) {
    let tables = 3 + PAGES / 512;
    let mut words = vec![0; usize::try_from(tables * 512).expect("64-bit host")];
    words[0] = (BASE + 0x1000) | TABLE;
    words[512] = (BASE + 0x2000) | TABLE;
    let (upper, pages) = words.split_at_mut(3 * 512);
    for (entry, next) in upper[1024..]
        .iter_mut()
        .zip((BASE + 0x3000..).step_by(4096))
    {
        *entry = next | TABLE;
    }
    for (entry, number) in pages.iter_mut().zip(0..) {
        let frame = if scattered { number ^ 1 } else { number };
        *entry = (frame << 12) | PAGE;
    }
    let registers = Registers {
        // 4K, 48-bit IPA, start level 0, 48-bit output.
        vtcr: 1 << 31 | 5 << 16 | 2 << 6 | 16,
        vttbr: BASE,
        hcr: 1 << 31 | 1,
    };
    (Stage2::new(FEATURES, registers), Ram(words))
}

/// EL2's stage 1 over the same tables: 4K, 48-bit addresses, all memory Write-Back.
fn el2() -> Stage1 {
    let features = stage1::Features {
        both: FEATURES,
        lva: false,
        hpds: true,
        pauth: true,
        xs: true,
        mte2: false,
    };
    let registers = stage1::Registers {
        tcr: 1 << 31 | 1 << 23 | 5 << 16 | 16,
        ttbr0: BASE,
        mair: u64::MAX,
        sctlr: 0b101,
    };
    Stage1::new(features, registers)
}

const WALKS: u32 = 100_000;

fn best_of<T>(rounds: u32, mut work: impl FnMut() -> T) -> Duration {
    let round = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    };
    (0..rounds).map(round).min().unwrap_or_default()
}

/// The time of one call of `translate`, over addresses in no order that a prefetcher
/// knows.
fn time_of_walk<T>(translate: impl Fn(u64) -> T) -> f64 {
    let time = best_of(20, || {
        for number in 0..u64::from(WALKS) {
            black_box(translate(number.wrapping_mul(0x9e5_5008) % (64 << 12)));
        }
    });
    time.as_nanos() as f64 / f64::from(WALKS)
}

fn main() {
    let (stage2, ram) = mapped(false);
    let time = time_of_walk(|ipa| stage2.translate(&ram, ipa, Access::Write));
    println!("translate, four levels: {time:.1} ns");
    let stage1 = el2();
    let time = time_of_walk(|va| stage1.translate(&ram, va, stage1::Access::Read));
    println!("translate in EL2's stage 1, four levels: {time:.1} ns");
    let time = best_of(20, || ranges(&stage2, &ram));
    println!("ranges, {PAGES} pages in 1 range: {time:?}");
    let time = best_of(20, || stage1::ranges(&stage1, &ram));
    println!("ranges of EL2, {PAGES} pages in 1 range: {time:?}");
    let (stage2, ram) = mapped(true);
    let time = best_of(20, || ranges(&stage2, &ram));
    println!("ranges, {PAGES} pages in as many ranges: {time:?}");
}
