//! Where output cannot be written: one clear sentence and exit code 3, or a quiet end
//! where its reader wants no more.

mod common;

use common::{Place, SEQUENCE, text};
use std::fs::File;
use std::process::{Command, Output, Stdio};

/// Everything that prints on standard output, each on the host alone.
fn commands(place: &Place) -> Vec<Command> {
    let file = place.file("a.s2", SEQUENCE);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
        command.args(arguments);
        command
    };
    let mut replay = command(&["replay", "--host-only"]);
    replay.arg(&file);
    let mut json = command(&["replay", "--host-only", "--json"]);
    json.arg(&file);
    let mut shrink = command(&["shrink", "--host-only"]);
    shrink.arg(&file);
    let mut regress = command(&["regress", "--host-only"]);
    regress.arg(place.path(""));
    let help = command(&["--help"]);
    vec![replay, json, shrink, regress, help]
}

fn run(mut command: Command, output: impl Into<Stdio>) -> Output {
    let child = command.stdout(output).stderr(Stdio::piped()).spawn();
    child.unwrap().wait_with_output().unwrap()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_full_device_is_told() {
    for command in commands(&Place::new()) {
        let said = format!("{command:?}");
        let output = run(command, full());
        assert_eq!(output.status.code(), Some(3), "{said}: {}", text(&output));
        let sentence = "standard output cannot be written: No space left on device (os error 28)\n";
        assert_eq!(text(&output), sentence, "{said}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_ends_the_runner_quietly() {
    for command in commands(&Place::new()) {
        let said = format!("{command:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(command, writer);
        assert_eq!(output.status.code(), Some(141), "{said}: {}", text(&output));
        assert_eq!(text(&output), "", "{said}");
    }
}

#[test]
fn messages_that_are_lost_change_no_verdict() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    command.args(["replay", "--host-only"]);
    command
        .arg(place.path("missing"))
        .arg(place.file("a.s2", SEQUENCE));
    let output = command.stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("a.s2: agrees"), "{}", text(&output));
}
