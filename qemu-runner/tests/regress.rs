//! `qemu-runner regress` over a directory: a line for each file, the totals last.

mod common;

use common::{Place, SEQUENCE, text};
use std::process::{Command, Output};

/// Judges a directory with these files on the host alone.
fn regress(files: &[(&str, &[u8])]) -> Output {
    regress_with(files, &["--host-only"])
}

fn regress_with(files: &[(&str, &[u8])], arguments: &[&str]) -> Output {
    let place = Place::new();
    for (name, bytes) in files {
        place.file(name, bytes);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    command.arg("regress").arg(place.path("")).args(arguments);
    command.output().unwrap()
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .last()
        .unwrap_or_default()
        .to_string()
}

#[test]
fn text_and_seeds_are_both_taken_and_other_files_left_alone() {
    let seed = fuzz::wire::to_bytes(&fuzz::text::parse(SEQUENCE).unwrap());
    let output = regress(&[
        ("a.s2", SEQUENCE.as_bytes()),
        ("seed", &seed),
        ("notes.md", b"# no sequence"),
        (".hidden", b"no sequence"),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(last_line(&output), "2 agree, 0 diverge, 0 not run");
}

#[test]
fn one_malformed_file_does_not_keep_the_others_from_their_verdicts() {
    let output = regress(&[("a.s2", b"nonsense"), ("b.s2", SEQUENCE.as_bytes())]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(last_line(&output), "1 agree, 0 diverge, 1 not run");
    assert!(
        text(&output).contains("a.s2:1:1: expected "),
        "{}",
        text(&output)
    );
}

#[test]
fn a_divergence_is_printed_and_outranks_wrong_input() {
    let wrong = b"machine granule=4K pa=40 ipa=40\nvm a -> exists\n";
    let output = regress(&[("a.s2", b"nonsense"), ("b.s2", wrong)]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(last_line(&output), "0 agree, 1 diverge, 1 not run");
    assert!(text(&output).contains("> vm a"), "{}", text(&output));
}

/// Guest memory ends where the machine's RAM does, and one page later.
const OUTSIDE_RAM: &[u8] = b"machine granule=4K pa=40 ipa=40 memory=0x7f000000+16388K\nvm a\n";

#[test]
fn a_machine_that_is_asked_and_compares_nothing_is_no_success() {
    let files = [("a.s2", OUTSIDE_RAM)];
    let output = regress_with(&files, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("nothing was compared on it"),
        "{}",
        text(&output)
    );
    assert_eq!(regress(&files).status.code(), Some(0));
}

#[test]
fn an_empty_directory_is_wrong_input() {
    assert_eq!(regress(&[]).status.code(), Some(2));
}
