//! The named seeds: `corpora/seeds/*.s2` is their source, and
//! `corpora/fuzz/stage2_ops` holds the same sequences for the fuzzer. After a
//! change of the text, `TWOFOLD_UPDATE=1 cargo test -p fuzz --test seeds` writes
//! the bytes again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use fuzz::lockstep::Lockstep;
use fuzz::{Sequence, text, wire};
use ops::Granule;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpora")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of the repository");
    entries
        .map(|entry| entry.expect("a file of the repository").path())
        .collect()
}

/// The seeds by name.
fn seeds() -> BTreeMap<String, Sequence> {
    let read = |path: PathBuf| {
        let name = path
            .file_stem()
            .expect("a file name")
            .to_str()
            .expect("a plain name")
            .to_owned();
        let source = fs::read_to_string(&path).expect("readable text");
        let sequence =
            text::parse(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (name, sequence)
    };
    files(&corpora().join("seeds"))
        .into_iter()
        .map(read)
        .collect()
}

/// The seeds that the fuzzer starts from, by name: all but its own findings.
fn named_inputs() -> BTreeMap<String, Vec<u8>> {
    let is_finding = |name: &str| name.len() == 40 && name.chars().all(|c| c.is_ascii_hexdigit());
    let name = |path: &Path| {
        path.file_name()
            .expect("a file name")
            .to_string_lossy()
            .into_owned()
    };
    let files = files(&corpora().join("fuzz/stage2_ops")).into_iter();
    let named = files.filter(|path| !is_finding(&name(path)));
    named
        .map(|path| (name(&path), fs::read(&path).expect("readable bytes")))
        .collect()
}

#[test]
fn bytes_equal_the_text() {
    let expected: BTreeMap<_, _> = seeds()
        .iter()
        .map(|(name, seed)| (name.clone(), wire::to_bytes(seed)))
        .collect();
    if env::var_os("TWOFOLD_UPDATE").is_some() {
        for (name, bytes) in &expected {
            fs::write(corpora().join("fuzz/stage2_ops").join(name), bytes)
                .expect("a writable corpus");
        }
    }
    let found = named_inputs();
    let names =
        |inputs: &BTreeMap<String, Vec<u8>>| inputs.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&found), names(&expected));
    let stale: Vec<_> = expected
        .iter()
        .filter(|(name, bytes)| found[*name] != **bytes)
        .map(|(name, _)| name)
        .collect();
    assert!(stale.is_empty(), "not as their text says: {stale:?}");
}

#[test]
fn every_seed_agrees() {
    let mut lockstep = Lockstep::new();
    for (name, seed) in seeds() {
        if let Err(verdict) = lockstep.run(&seed) {
            panic!("{name}:\n{verdict}\n{seed}");
        }
    }
}

#[test]
fn seeds_cover_every_granule_and_are_short() {
    let seeds = seeds();
    let granules: BTreeSet<Granule> = seeds.values().map(|seed| seed.machine.granule).collect();
    assert_eq!(granules.len(), 3);
    for (name, seed) in &seeds {
        assert!(
            (1..=12).contains(&seed.steps.len()),
            "{name} has {} operations",
            seed.steps.len()
        );
    }
}
