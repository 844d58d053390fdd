//! `shrink`: what it writes, what it never overwrites, and its exit codes. What it
//! comes to is in the tests of `fuzz`.

mod common;

use common::{Place, SEQUENCE, text};
use std::path::Path;
use std::process::{Command, Output};

/// Diverges at `vm c`, the fourth of five operations.
const DIVERGES: &str = "machine granule=16K pa=48 ipa=40 stub=0x4000\n\
    vm b\nvm c -> exists\nfree a\n";

const SHRUNK: &str = "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M\n\
    vm a                                                                             -> exists\n";

fn shrink(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    command
        .args(["shrink", "--host-only"])
        .arg(file)
        .args(arguments);
    command.output().unwrap()
}

#[test]
fn result_is_beside_the_file_and_its_verdict_is_printed() {
    let place = Place::new();
    let file = place.file("long.s2", DIVERGES);
    let output = shrink(&file, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let result = place.path("long.min.s2");
    assert_eq!(std::fs::read_to_string(&result).unwrap(), SHRUNK);
    let counts = format!("{}: 5 operations to 1 in ", file.display());
    assert!(text(&output).starts_with(&counts), "{}", text(&output));
    let verdict = format!("{}: diverges\n", result.display());
    assert!(text(&output).contains(&verdict), "{}", text(&output));
    assert!(text(&output).contains("\n> vm a "), "{}", text(&output));
}

#[test]
fn result_of_an_artifact_has_a_name_of_its_own() {
    let place = Place::new();
    let file = place.file("crash-1", DIVERGES);
    assert_eq!(shrink(&file, &[]).status.code(), Some(1));
    assert!(place.path("crash-1.min.s2").exists());
}

#[test]
fn nothing_is_overwritten_unless_told_to() {
    let place = Place::new();
    let file = place.file("long.s2", DIVERGES);
    let other = place.file("other.s2", "kept");
    let name = other.display().to_string();
    let output = shrink(&file, &["-o", &name]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("exists already"),
        "{}",
        text(&output)
    );
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
    let output = shrink(&file, &["-o", &name, "--force"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(std::fs::read_to_string(&other).unwrap(), SHRUNK);
}

#[test]
fn a_file_that_agrees_has_nothing_to_shrink() {
    let place = Place::new();
    let file = place.file("good.s2", SEQUENCE);
    let output = shrink(&file, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("nothing to shrink"),
        "{}",
        text(&output)
    );
    assert_eq!(text(&output).lines().count(), 1, "{}", text(&output));
    assert!(!place.path("good.min.s2").exists());
}

#[test]
fn a_file_that_is_no_sequence_is_wrong_input() {
    let place = Place::new();
    let file = place.file("bad.s2", "machine\nvm z\n");
    let output = shrink(&file, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("bad.s2:2:4: expected "),
        "{}",
        text(&output)
    );
}

#[test]
fn a_place_that_cannot_be_written_is_told() {
    let place = Place::new();
    let file = place.file("long.s2", DIVERGES);
    let output = shrink(&file, &["-o", "/nowhere/x.s2"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("/nowhere/x.s2: cannot be written"),
        "{}",
        text(&output)
    );
}
