//! Where output cannot be written: one clear sentence and exit code 3, or a quiet end
//! where its reader wants no more. And whatever is printed, a terminal obeys none of
//! what comes from outside.

mod common;

use common::{Place, SEQUENCE, VERSION, text};
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

/// Clears the screen, colours, sets the title, in both forms of an escape sequence.
const ESCAPES: &str = "\u{1b}[2J\u{9b}31m\u{1b}]0;title\u{7}";

fn obeyed(output: &Output) -> bool {
    text(output).chars().any(|c| c.is_control() && c != '\n')
}

#[test]
fn escapes_of_the_emulator_do_not_reach_the_terminal() {
    let place = Place::new();
    let body = format!("printf '%s\\r\\n' '{ESCAPES}out of luck' >&2; exit 5");
    let qemu = place.qemu(VERSION, &body);
    let output = place.runner(&qemu).output().unwrap();
    let sentence = r"\u001b[2J\u009b31m\u001b]0;title\u0007out of luck; its log is ";
    assert!(text(&output).contains(sentence), "{}", text(&output));
    assert!(!obeyed(&output), "{:?}", text(&output));
    let log = place.log();
    assert!(log.contains(r"\u001b[2J"), "{log:?}");
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
}

#[test]
fn escapes_in_a_version_do_not_reach_the_terminal() {
    let place = Place::new();
    let qemu = place.qemu(ESCAPES, "exit 0");
    let output = place.runner(&qemu).output().unwrap();
    assert!(text(&output).contains("does not answer as QEMU does"));
    assert!(!obeyed(&output), "{:?}", text(&output));
}

#[test]
fn escapes_and_line_feeds_in_names_do_not_reach_the_terminal() {
    let place = Place::new();
    let name = format!("{ESCAPES}\n9 agree.s2");
    let wrong = "machine granule=4K pa=40 ipa=40\nvm a -> exists\n";
    for contents in [SEQUENCE, wrong, "nonsense"] {
        let file = place.file(&name, contents);
        for command in ["replay", "shrink", "regress"] {
            let mut runner = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
            runner.args([command, "--host-only"]);
            match command {
                "regress" => runner.arg(place.path("")),
                _ => runner.arg(&file),
            };
            let output = runner.output().unwrap();
            assert!(!obeyed(&output), "{command}: {:?}", text(&output));
            let is_forged = |line: &str| line.starts_with("9 agree");
            assert!(!text(&output).lines().any(is_forged), "{}", text(&output));
        }
    }
}

#[test]
fn escapes_in_arguments_do_not_reach_the_terminal() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    let output = command.arg(format!("--{ESCAPES}")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains(r"\u001b[2J"), "{}", text(&output));
    assert!(!obeyed(&output), "{:?}", text(&output));
}

#[test]
fn a_name_in_json_is_the_name_of_the_file() {
    let place = Place::new();
    let file = place.file(&format!("{ESCAPES}\n.s2"), SEQUENCE);
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    command.args(["replay", "--host-only", "--json"]).arg(&file);
    let output = command.output().unwrap();
    assert!(!obeyed(&output), "{:?}", text(&output));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["file"], file.display().to_string());
}
