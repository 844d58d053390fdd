//! Instruction counts of the operations, held against counts that are tracked
//! beside it: `cargo bench -p hyp --bench instructions` fails when one is exceeded.
//!
//! The platform only keeps memory, so that what counts is `hyp` itself: finding,
//! writing and counting entries. It calls valgrind itself: the benchmark
//! frameworks that do so bring a runner that takes minutes to build.

use hyp::addr::{Ipa, Pa};
use hyp::cpu::Cpu;
use hyp::descriptor::{Execute, MemoryType, Prot};
use hyp::geometry::{Configuration, ExecutionState, Features, Granule};
use hyp::pages::{PageInfo, Pool};
use hyp::platform::Platform;
use hyp::stage2::{Mapping, Stage2};
use hyp::vmid::Vmid;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const POOL_PAGES: usize = 640;
const GIB: u64 = 1 << 30;
const PAGES: u64 = GIB >> 12;
/// Pages of a table but the first, which stays, so that unmap goes by entry.
const TABLE_REST: u64 = 511;

/// The pool's pages, whose host addresses serve as physical ones, and no
/// instruction that does anything.
#[repr(align(4096))]
struct Page {
    _words: [AtomicU64; 512],
}

struct Memory;

impl Memory {
    #[expect(clippy::cast_possible_truncation, reason = "host addresses fit")]
    fn word(at: Pa) -> &'static AtomicU64 {
        let pointer = std::ptr::with_exposed_provenance::<AtomicU64>(at.raw() as usize);
        // SAFETY: `hyp` names table memory only by addresses inside of pages that
        // the pool lent, aligned to 8 bytes; these are leaked, and all `AtomicU64`.
        unsafe { &*pointer }
    }
}

impl Platform for Memory {
    fn load(&self, at: Pa) -> u64 {
        Memory::word(at).load(Relaxed)
    }
    fn store(&self, at: Pa, value: u64) {
        Memory::word(at).store(value, Relaxed);
    }
    fn store_release(&self, at: Pa, value: u64) {
        Memory::word(at).store(value, Release);
    }
    fn compare_exchange(&self, at: Pa, old: u64, new: u64) -> Result<(), u64> {
        Memory::word(at)
            .compare_exchange(old, new, AcqRel, Acquire)
            .map(drop)
    }
    fn swap(&self, at: Pa, new: u64) -> u64 {
        Memory::word(at).swap(new, AcqRel)
    }
    fn zero(&self, at: Pa, bytes: u64) {
        for offset in (0..bytes).step_by(8) {
            Memory::word(at.forward(offset)).store(0, Relaxed);
        }
    }
    fn tlbi_ipas2e1is(&self, operand: u64) {
        black_box(operand);
    }
    fn tlbi_ripas2e1is(&self, operand: u64) {
        black_box(operand);
    }
    fn tlbi_vmalle1is(&self) {}
    fn tlbi_vmalls12e1is(&self) {}
    fn tlbi_vae2is(&self, _: u64) {}
    fn tlbi_rvae2is(&self, _: u64) {}
    fn tlbi_alle2is(&self) {}
    fn dsb_ishst(&self) {}
    fn dsb_ish(&self) {}
    fn isb(&self) {}
    fn dc_cvac(&self, _: Pa) {}
    fn dc_civac(&self, _: Pa, _: u64) {}
    fn dc_cvau(&self, _: Pa, _: u64) {}
    fn ic_ialluis(&self) {}
    fn cache_line_bytes(&self) -> u64 {
        64
    }
    fn write_vtcr_el2(&self, _: u64) {}
    fn write_vttbr_el2(&self, _: u64) {}
    fn write_tcr_el2(&self, _: u64) {}
    fn write_ttbr0_el2(&self, _: u64) {}
    fn write_mair_el2(&self, _: u64) {}
    fn mark_dirty(&self, _: Ipa, _: u64) {}
}

/// A VM with 4K pages and a 40-bit IPA, and a full page cache. Leaked, since
/// the measured function borrows from it.
struct Bench {
    cpu: Cpu<'static, Memory, Pool<'static>>,
    vm: Stage2<'static>,
}

impl Bench {
    fn new() -> Bench {
        let memory: &'static Memory = &Memory;
        let pages = Vec::leak((0..POOL_PAGES).map(|_| empty_page()).collect());
        let base = Pa::new(pages.as_ptr().expose_provenance() as u64);
        let info: &'static [PageInfo] =
            Vec::leak((0..POOL_PAGES).map(|_| PageInfo::new()).collect());
        let pool: &'static Pool<'static> = Box::leak(Box::new(
            Pool::new(base, 12, info).expect("the pool is aligned"),
        ));
        let mut cpu = Cpu::new(memory, pool);
        let vm = Stage2::new();
        let configuration = Configuration {
            state: ExecutionState::Aarch64,
            granule: Granule::K4,
            ipa_bits: 48,
            pa_bits: 48,
            start_level: None,
            ds: false,
            contiguous: false,
            coherent_walks: true,
            features: Features::default(),
        };
        vm.create(&mut cpu, &configuration, vmid(1), &[])
            .expect("the configuration is legal");
        cpu.top_up(600);
        Bench { cpu, vm }
    }

    fn mapped() -> Bench {
        let mut bench = Bench::new();
        map_gib(&mut bench);
        bench
    }
}

fn empty_page() -> Page {
    Page {
        _words: [const { AtomicU64::new(0) }; 512],
    }
}

fn mapping(ipa: u64, bytes: u64) -> Mapping {
    Mapping {
        ipa: Ipa::new(ipa),
        pa: Pa::new(GIB + ipa),
        bytes,
        prot: Prot {
            read: true,
            write: true,
            execute: Execute::Never,
        },
        memory: MemoryType::Normal,
        software: 0,
        pages_only: true,
    }
}

fn map_gib(bench: &mut Bench) {
    bench
        .vm
        .map(&mut bench.cpu, &mapping(0, GIB))
        .expect("the cache suffices");
}

/// An operation whose instructions are counted: what sets it up, what it is, and
/// how many pages its count is divided by.
struct Case {
    name: &'static str,
    setup: fn() -> Bench,
    run: fn(&mut Bench),
    pages: u64,
}

const CASES: [Case; 7] = [
    Case {
        name: "map-1G-as-pages",
        setup: Bench::new,
        run: map_gib,
        pages: PAGES,
    },
    Case {
        name: "unmap-1G-of-pages",
        setup: Bench::mapped,
        run: unmap_gib,
        pages: PAGES,
    },
    Case {
        name: "unmap-511-of-512",
        setup: Bench::mapped,
        run: unmap_entries,
        pages: TABLE_REST,
    },
    Case {
        name: "free-1G-of-pages",
        setup: Bench::mapped,
        run: free,
        pages: PAGES,
    },
    Case {
        name: "protect-1G-of-pages",
        setup: Bench::mapped,
        run: protect,
        pages: PAGES,
    },
    Case {
        name: "write-protect-1G",
        setup: Bench::mapped,
        run: write_protect,
        pages: PAGES,
    },
    Case {
        name: "clear-young-1G",
        setup: Bench::mapped,
        run: clear_young,
        pages: PAGES,
    },
];

fn unmap_gib(bench: &mut Bench) {
    bench
        .vm
        .unmap(&mut bench.cpu, Ipa::new(0), GIB)
        .expect("nothing is cut");
}

fn unmap_entries(bench: &mut Bench) {
    bench
        .vm
        .unmap(&mut bench.cpu, Ipa::new(4096), TABLE_REST << 12)
        .expect("nothing is cut");
}

fn free(bench: &mut Bench) {
    bench.vm.free(&mut bench.cpu);
}

fn protect(bench: &mut Bench) {
    let read_only = Prot {
        read: true,
        write: false,
        execute: Execute::Never,
    };
    bench
        .vm
        .protect(&mut bench.cpu, Ipa::new(0), GIB, read_only)
        .expect("nothing is cut");
}

fn write_protect(bench: &mut Bench) {
    bench
        .vm
        .write_protect(&mut bench.cpu, Ipa::new(0), GIB)
        .expect("the range is legal");
}

fn clear_young(bench: &mut Bench) {
    let young = bench.vm.clear_young(&mut bench.cpu, Ipa::new(0), GIB);
    assert_eq!(young, Ok(true));
}

/// Collection is switched on by the name of this function.
#[inline(never)]
fn measured(case: &Case, bench: &mut Bench) {
    (case.run)(black_box(bench));
}

/// Tracked counts, one `name instructions` a line.
const BASELINE: &str = include_str!("baseline.txt");

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--measure") {
        let name = arguments.next().unwrap_or_default();
        let case = CASES
            .iter()
            .find(|case| case.name == name)
            .expect("a case of this file");
        measured(case, &mut (case.setup)());
        return ExitCode::SUCCESS;
    }
    println!(
        "{:<20} {:>12} {:>12} {:>10}",
        "operation", "instructions", "baseline", "per page"
    );
    let failures = CASES.iter().filter(|case| !report(case)).count();
    if failures > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Prints a case's count, and whether it is within 3 % of the baseline. A count
/// well below it fails too, so that an improvement is tracked as well.
fn report(case: &Case) -> bool {
    let count = match count_instructions(case) {
        Ok(count) => count,
        Err(error) => {
            eprintln!("valgrind does not count (./setup.sh --ci installs it): {error}");
            return false;
        }
    };
    let tracked = baseline(case.name);
    let per_page = count as f64 / case.pages as f64;
    println!(
        "{:<20} {count:>12} {tracked:>12} {per_page:>10.3}",
        case.name
    );
    let within = count.abs_diff(tracked) * 100 <= tracked * 3;
    if !within {
        println!(
            "  {} is off its baseline by more than 3 %: see benches/baseline.txt",
            case.name
        );
    }
    within
}

fn baseline(name: &str) -> u64 {
    let line = BASELINE
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Runs this program again under callgrind, which counts in `measured` only.
fn count_instructions(case: &Case) -> std::io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe()?)
        .args(["--measure", case.name])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    // ==1234== Collected : 5678
    let count = log
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    count.ok_or_else(|| std::io::Error::other(log.into_owned()))
}

fn vmid(number: u16) -> Vmid {
    Vmid::new(number).expect("it is not 0")
}
