//! Emulators that fail in every way that is not the sequence's fault: one clear
//! sentence, exit code 3, the log kept, and nothing else left behind.

mod common;

use common::{Place, VERSION, is_gone, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ops::mailbox::{self, Description};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_missing_qemu_is_named() {
    let place = Place::new();
    let output = place.runner(Path::new("/nowhere/qemu")).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("cannot start QEMU as `/nowhere/qemu`"),
        "{}",
        text(&output)
    );
    assert!(place.left_behind().is_empty());
}

#[test]
fn an_old_qemu_is_refused_with_its_version() {
    let place = Place::new();
    let qemu = place.qemu("QEMU emulator version 6.1.1", "exit 0");
    let output = place.runner(&qemu).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("is QEMU 6.1, and 7.2 is the oldest that works"),
        "{}",
        text(&output)
    );
}

#[test]
fn another_program_is_no_qemu() {
    let place = Place::new();
    let qemu = place.qemu("GNU bash, version 5.2", "exit 0");
    let output = place.runner(&qemu).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("does not answer as QEMU does (`GNU bash"),
        "{}",
        text(&output)
    );
}

#[test]
fn an_early_exit_keeps_what_qemu_said() {
    let place = Place::new();
    let qemu = place.qemu(VERSION, "echo out of luck >&2; exit 5");
    let output = place.runner(&qemu).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let sentence = "QEMU ended (exit status: 5) while booting the image on cortex-a76: out of luck";
    assert!(text(&output).contains(sentence), "{}", text(&output));
    let log = place.log();
    assert!(
        log.contains("out of luck") && log.contains("-machine"),
        "{log}"
    );
    assert!(text(&output).contains(&place.left_behind()[0].display().to_string()));
}

#[test]
fn nowhere_to_keep_the_log_hides_neither_qemu_nor_its_end() {
    let place = Place::new();
    let qemu = place.qemu(VERSION, "echo out of luck >&2; exit 5");
    let output = place
        .runner(&qemu)
        .env("TMPDIR", place.path("missing"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let sentence = "QEMU ended (exit status: 5) while booting the image on cortex-a76: \
                    out of luck; its log cannot be kept: No such file or directory";
    assert!(text(&output).contains(sentence), "{}", text(&output));
}

#[test]
fn a_qemu_that_hangs_is_killed_with_all_that_it_started() {
    let place = Place::new();
    let body = format!(
        "sleep 1000 & echo $! > {}; echo $$ > {}; wait",
        place.path("child").display(),
        place.path("leader").display()
    );
    let qemu = place.qemu(VERSION, &body);
    let output = place
        .runner(&qemu)
        .args(["--timeout", "0.5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("QEMU gave no answer within 500 ms while booting"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("booting once more"),
        "{}",
        text(&output)
    );
    assert!(is_gone(place.process("leader")) && is_gone(place.process("child")));
    let logs = place.left_behind();
    assert_eq!(logs.len(), 2, "one for each try: {logs:?}");
    for log in logs {
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("ended: no, it was killed"), "{log}");
    }
}

#[test]
fn a_boot_that_takes_too_long_once_is_tried_again() {
    let place = Place::new();
    let tried = place.path("tried");
    let body = format!(
        "if [ -e {0} ]; then echo second time >&2; exit 5; fi; touch {0}; sleep 1000",
        tried.display()
    );
    let qemu = place.qemu(VERSION, &body);
    let output = place
        .runner(&qemu)
        .args(["--timeout", "2"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("second time"), "{}", text(&output));
}

#[test]
fn a_version_that_never_comes_is_a_timeout() {
    let place = Place::new();
    let qemu = place.file("qemu", "#!/bin/sh\nexec sleep 1000\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&qemu, mode).unwrap();
    let output = place
        .runner(&qemu)
        .args(["--timeout", "0.3"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("asked for its version"),
        "{}",
        text(&output)
    );
}

#[test]
fn garbage_on_the_serial_port_is_in_the_log_as_text() {
    let place = Place::new();
    let body = "for word in \"$@\"; do case $word in file:*) head -c 64 /dev/urandom > ${word#file:}; \
                { echo; echo panic at EL2; } >> ${word#file:};; esac; done; exit 1";
    let qemu = place.qemu(VERSION, body);
    let output = place.runner(&qemu).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains(": panic at EL2; its log is"),
        "{}",
        text(&output)
    );
}

#[test]
fn garbage_in_the_mailbox_is_told() {
    let place = Place::new();
    let garbage = place.file("garbage", b"twofold\0\x63\0\0\0rubbish");
    let qemu = place.qemu(
        VERSION,
        &format!("{}; sleep 1000", copy_to_mailbox(&garbage, 0)),
    );
    let output = place
        .runner(&qemu)
        .args(["--timeout", "0.5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let sentence = "the image answered garbage while booting the image on cortex-a76: \
                    the image speaks version 99 of the mailbox";
    assert!(text(&output).contains(sentence), "{}", text(&output));
    place.log();
}

#[test]
fn a_reply_to_another_request_is_garbage() {
    let place = Place::new();
    let description = Description {
        mmfr: [0x1122, 0, 0],
        isar0: 0,
        midr: 0,
        counter_hz: 1,
    };
    let number = place.file("number", 7_u64.to_le_bytes());
    let description = place.file("description", mailbox::encode_description(&description));
    let body = format!(
        "{}; {}; sleep 1000",
        copy_to_mailbox(&number, mailbox::REPLY_NUMBER_AT),
        copy_to_mailbox(&description, mailbox::DESCRIPTION_AT)
    );
    let qemu = place.qemu(VERSION, &body);
    let output = place.runner(&qemu).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("a reply to request 7, where 1 is open"),
        "{}",
        text(&output)
    );
}

/// A wrapper that waits for its emulator, where one that can does `exec`.
fn wrapped_qemu(place: &Place) -> PathBuf {
    let body = format!(
        "sleep 1000 & echo $! > {}; echo $$ > {}; wait",
        place.path("child").display(),
        place.path("leader").display()
    );
    place.qemu(VERSION, &body)
}

/// Lets `other`, which executes its arguments, execute what `runner` would.
fn run_by(other: &mut Command, runner: &Command) {
    other.arg(runner.get_program()).args(runner.get_args());
    for (name, value) in runner.get_envs() {
        other.env(name, value.unwrap_or_default());
    }
}

#[test]
fn signals_end_runner_and_qemu_behind_a_wrapper() {
    let codes = [
        (Signal::SIGINT, Some(130)),
        (Signal::SIGTERM, Some(143)),
        (Signal::SIGHUP, Some(129)),
        (Signal::SIGKILL, None),
    ];
    for (signal, code) in codes {
        let place = Place::new();
        let qemu = wrapped_qemu(&place);
        // Whoever runs the tests may ignore signals, as `nohup` does.
        let mut runner = Command::new("env");
        runner.arg("--default-signal=INT,TERM,HUP");
        run_by(&mut runner, &place.runner(&qemu));
        let mut runner = runner.stdout(Stdio::null()).spawn().unwrap();
        let (leader, child) = (place.process("leader"), place.process("child"));
        kill(Pid::from_raw(runner.id() as i32), signal).unwrap();
        assert_eq!(runner.wait().unwrap().code(), code, "{signal}");
        assert!(is_gone(leader) && is_gone(child), "{signal}");
        assert!(place.left_behind().is_empty(), "{signal}");
    }
}

#[test]
fn a_signal_that_was_ignored_ends_nothing() {
    let place = Place::new();
    let qemu = wrapped_qemu(&place);
    let runner = place.runner(&qemu);
    // As `nohup` does.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    run_by(&mut shell, &runner);
    let mut runner = shell.stdout(Stdio::null()).spawn().unwrap();
    let (leader, child) = (place.process("leader"), place.process("child"));
    let signal = |signal| kill(Pid::from_raw(runner.id() as i32), signal).unwrap();
    signal(Signal::SIGHUP);
    signal(Signal::SIGTERM);
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    assert!(is_gone(leader) && is_gone(child));
}

#[test]
fn qemu_dies_at_once_with_a_runner_that_is_killed() {
    let place = Place::new();
    let body = format!(
        "echo $$ > {}; exec sleep 1000",
        place.path("leader").display()
    );
    let qemu = place.qemu(VERSION, &body);
    let mut runner = place.runner(&qemu).stdout(Stdio::null()).spawn().unwrap();
    let leader = place.process("leader");
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(is_gone(leader));
    assert!(place.left_behind().is_empty());
}

#[test]
fn a_dead_qemu_is_noticed_at_once() {
    let place = Place::new();
    let qemu = place.qemu(VERSION, "exit 1");
    let start = Instant::now();
    let output = place
        .runner(&qemu)
        .args(["--timeout", "60"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn copy_to_mailbox(file: &Path, offset: usize) -> String {
    let at = mailbox::MAILBOX.base - mailbox::RAM.base + offset as u64;
    format!(
        "dd if={} of=$ram bs=8 seek={} conv=notrunc status=none",
        file.display(),
        at / 8
    )
}
