//! Every `corpora/regressions/*.s2` in lockstep, and its tables as a snapshot
//! beside it. A changed snapshot is a change of what the guest's tables hold, and
//! is reviewed as such (`cargo insta review`, or `INSTA_UPDATE=always`).

use fuzz::lockstep::{Lockstep, marked};
use fuzz::{dump, text};
use std::path::{Path, PathBuf};

/// Fewer than this were not removed on purpose, but lost.
const AT_LEAST: usize = 80;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpora/regressions")
}

/// The regressions in order of their names.
fn regressions() -> Vec<PathBuf> {
    files(&directory(), "s2")
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = directory.read_dir().expect("the directory exists");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_stem()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned()
}

fn snapshots() -> PathBuf {
    directory().join("snapshots")
}

#[test]
fn every_regression_agrees_and_keeps_its_snapshot() {
    let paths = regressions();
    assert!(
        paths.len() >= AT_LEAST,
        "only {} regressions in {}",
        paths.len(),
        directory().display()
    );
    let mut lockstep = Lockstep::new();
    let mut failures = Vec::new();
    for path in &paths {
        if let Err(failure) = replay(&mut lockstep, path) {
            failures.push(format!("{}: {failure}", path.display()));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        paths.len(),
        failures.join("\n")
    );
}

fn replay(lockstep: &mut Lockstep, path: &Path) -> Result<(), String> {
    let source = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let sequence = text::parse(&source).map_err(|error| error.to_string())?;
    let run = lockstep.run(&sequence).cloned();
    let run = run.map_err(|verdict| format!("{verdict}\n{}", marked(&sequence, &verdict)))?;
    let shown = dump::snapshot(&sequence, &run, lockstep.memory());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(snapshots());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name(path), shown));
    Ok(())
}

#[test]
fn every_regression_tells_its_story_and_expects_every_answer() {
    for path in regressions() {
        let source = std::fs::read_to_string(&path).expect("a regression can be read");
        assert!(
            source.starts_with("# "),
            "{} tells no story",
            path.display()
        );
        let sequence =
            text::parse(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let silent = sequence.steps.iter().find(|step| step.expected.is_none());
        assert!(
            silent.is_none(),
            "{}: nothing is expected of `{}`",
            path.display(),
            silent.expect("checked")
        );
    }
}

#[test]
fn every_snapshot_belongs_to_a_regression() {
    let names = |paths: Vec<PathBuf>| paths.iter().map(|path| name(path)).collect::<Vec<_>>();
    let known = names(regressions());
    for snapshot in names(files(&snapshots(), "snap")) {
        assert!(
            known.contains(&snapshot),
            "{snapshot}.snap has no {snapshot}.s2"
        );
    }
}
