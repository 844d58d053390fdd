//! `qemu-runner replay` on the host alone: JSON lines, text, and its colours.

mod common;

use common::{Place, SEQUENCE, text};
use serde_json::Value;
use std::process::{Command, Output};

const WRONG: &str = "machine granule=4K pa=40 ipa=40\nvm a -> exists\n";

/// Replays these files of a place.
fn replay(place: &Place, names: &[&str], more: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    command.arg("replay").arg("--host-only");
    command.args(names.iter().map(|name| place.path(name)));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    more(&mut command);
    command.output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

#[test]
fn json_is_one_object_a_file_whatever_it_came_to() {
    let place = Place::new();
    place.file("good.s2", SEQUENCE);
    place.file("wrong.s2", WRONG);
    place.file("bad.s2", "nonsense");
    let names = ["good.s2", "wrong.s2", "bad.s2"];
    let output = replay(&place, &names, |command| {
        command.arg("--json");
    });
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let lines = lines(&output);
    let results: Vec<_> = lines.iter().map(|line| &line["result"]).collect();
    assert_eq!(results, ["agrees", "diverges", "unreadable"]);
    for (line, name) in lines.iter().zip(names) {
        assert_eq!(line["version"], 1);
        assert_eq!(line["file"], place.path(name).display().to_string());
    }
    assert_eq!(lines[0]["host"]["operations"], 1);
    let verdict = &lines[1]["host"]["verdict"];
    assert_eq!(verdict["class"], "return-value");
    assert_eq!(verdict["rule"]["name"], "expectation");
    assert_eq!(verdict["operation"]["number"], 1);
    assert!(lines[2]["error"].as_str().unwrap().contains("bad.s2:1:1: "));
}

#[test]
fn colours_are_for_terminals_and_not_for_who_wants_none() {
    let place = Place::new();
    place.file("wrong.s2", WRONG);
    let coloured = |variables: &[(&str, &str)]| {
        let output = replay(&place, &["wrong.s2"], |command| {
            command.envs(variables.iter().copied());
        });
        assert!(text(&output).contains("return-value"), "{}", text(&output));
        output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}
