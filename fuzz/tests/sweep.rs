//! Every allocation of every tracked sequence fails once, and of a fixed sample of
//! generated ones.

use std::path::{Path, PathBuf};

use fuzz::sweep::Sweep;
use fuzz::{Sequence, generate, target, text};

/// Generated sequences that are swept.
const GENERATED: u64 = 60;

fn tracked(directory: &str) -> Vec<(String, Sequence)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpora")
        .join(directory);
    let entries = directory.read_dir().expect("a directory of the repository");
    let paths = entries.map(|entry| entry.expect("a file of the repository").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "s2"))
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> (String, Sequence) {
    let source = std::fs::read_to_string(path).expect("readable text");
    let sequence =
        text::parse(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path.display().to_string(), sequence)
}

/// How many replays the sequences came to; all of them agree.
fn sweep(what: &str, sequences: &[(String, Sequence)]) -> u64 {
    let mut sweep = Sweep::new();
    let mut runs = 0;
    for (name, sequence) in sequences {
        match sweep.run(sequence) {
            Ok(failures) => runs += u64::from(failures),
            Err(divergence) => panic!("{name}, {divergence}"),
        }
    }
    println!(
        "{what}: {} sequences, {runs} failed allocations",
        sequences.len()
    );
    runs
}

/// A page cache of more pages takes as many replays, each with as many tables.
const MOST_CACHED: u16 = 64;

#[test]
fn every_allocation_of_a_regression_may_fail() {
    let is_small = |sequence: &Sequence| sequence.machine.cache_pages.unwrap_or(0) <= MOST_CACHED;
    let (small, large): (Vec<_>, Vec<_>) = tracked("regressions")
        .into_iter()
        .partition(|(_, sequence)| is_small(sequence));
    println!("not swept, with hundreds of cached pages: {}", large.len());
    assert!(
        large.len() <= 1,
        "{} regressions are not swept",
        large.len()
    );
    assert!(sweep("regressions", &small) > 80);
}

#[test]
fn every_allocation_of_a_seed_may_fail() {
    assert!(sweep("seeds", &tracked("seeds")) > 18);
}

#[test]
fn every_allocation_of_a_generated_sequence_may_fail() {
    let generated = (0..GENERATED).map(|seed| (format!("seed {seed}"), generate::from_seed(seed)));
    let affordable = generated.filter(|(_, sequence)| target::work(sequence) < 1 << 12);
    let sequences: Vec<_> = affordable.collect();
    assert!(sweep("generated", &sequences) > GENERATED);
}
