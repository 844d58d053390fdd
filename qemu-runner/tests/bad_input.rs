//! Files that are no sequence, and files that are no image: one clear sentence and
//! exit code 2.

mod common;

use common::{Place, SEQUENCE, minimal_image, put, text};
use qemu_runner::image::{ImageError, check};
use std::process::{Command, Output};

/// Replays one file with these contents on the host alone.
fn replay(name: &str, bytes: &[u8]) -> (Output, String) {
    let place = Place::new();
    let file = place.file(name, bytes);
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    let output = command
        .arg("replay")
        .arg("--host-only")
        .arg(&file)
        .output()
        .unwrap();
    (output, file.display().to_string())
}

#[test]
fn malformed_text_has_file_line_and_column() {
    let (output, file) = replay(
        "bad.s2",
        b"machine granule=4K pa=40 ipa=40\nvm a\nmap a ipa=zero\n",
    );
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).starts_with(&format!("{file}:3:11: expected ")),
        "{}",
        text(&output)
    );
}

#[test]
fn a_cut_artifact_does_not_decode() {
    let bytes = fuzz::wire::to_bytes(&fuzz::text::parse(SEQUENCE).unwrap());
    let (output, file) = replay("crash-1", &bytes[..bytes.len() - 3]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).starts_with(&format!("{file}: does not decode as an artifact")),
        "{}",
        text(&output)
    );
}

#[test]
fn an_artifact_is_judged_as_its_text_is() {
    let bytes = fuzz::wire::to_bytes(&fuzz::text::parse(SEQUENCE).unwrap());
    let (output, _) = replay("seed", &bytes);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn a_missing_file_is_wrong_input() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    let output = command.args(["replay", "/nowhere/x.s2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).starts_with("/nowhere/x.s2: cannot be read"),
        "{}",
        text(&output)
    );
}

#[test]
fn no_file_at_all_is_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_qemu-runner"))
        .arg("replay")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn a_wrong_expectation_diverges_even_without_qemu() {
    let place = Place::new();
    let file = place.file(
        "wrong.s2",
        "machine granule=4K pa=40 ipa=40\nvm a -> exists\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
    command
        .arg("replay")
        .arg(&file)
        .env("TWOFOLD_QEMU", "/nowhere/qemu");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("return-value"), "{}", text(&output));
    assert!(
        text(&output).contains("cannot start QEMU"),
        "{}",
        text(&output)
    );
}

#[test]
fn an_elf_that_is_not_the_image_is_wrong_input() {
    let place = Place::new();
    let qemu = place.qemu(common::VERSION, "exit 0");
    let own = env!("CARGO_BIN_EXE_qemu-runner");
    let output = place.runner_of(&qemu, own.as_ref()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains(&format!("{own}: is not a 64-bit")),
        "{}",
        text(&output)
    );
}

#[test]
fn the_minimal_image_passes() {
    assert_eq!(check(&minimal_image()), Ok(()));
}

#[test]
fn an_image_without_its_symbols_is_told() {
    let mut elf = minimal_image();
    let name = elf
        .windows(12)
        .position(|bytes| bytes == b"TWOFOLD_POOL")
        .unwrap();
    put(&mut elf, name, b"twofold_pool");
    assert_eq!(check(&elf), Err(ImageError::NoSymbol("TWOFOLD_POOL")));
}

#[test]
fn an_image_of_another_protocol_is_told() {
    let mut elf = minimal_image();
    let note = elf
        .windows(8)
        .position(|bytes| bytes == b"Twofold\0")
        .unwrap();
    put(&mut elf, note + 8, &9_u32.to_le_bytes());
    assert!(matches!(check(&elf), Err(ImageError::Note(_))));
}

#[test]
fn a_segment_outside_and_an_entry_nowhere_are_told() {
    let mut elf = minimal_image();
    put(&mut elf, 24, &0x4009_0000_u64.to_le_bytes());
    assert_eq!(check(&elf), Err(ImageError::Entry(0x4009_0000)));
    let mut elf = minimal_image();
    put(&mut elf, 64 + 24, &0x5000_0000_u64.to_le_bytes());
    assert!(matches!(
        check(&elf),
        Err(ImageError::Segment {
            at: 0x5000_0000,
            ..
        })
    ));
}

/// Offsets of fields in the header of the segment with the code.
const P_OFFSET: usize = 64 + 8;
const P_FILESZ: usize = 64 + 32;

#[test]
fn a_segment_of_bytes_that_the_file_has_not_is_wrong_input() {
    let place = Place::new();
    let qemu = place.qemu(common::VERSION, "exit 0");
    for absurd in [5, 1 << 20, 1 << 62, u64::MAX] {
        let mut elf = minimal_image();
        put(&mut elf, P_FILESZ, &absurd.to_le_bytes());
        let image = place.file("absurd.elf", &elf);
        let output = place.runner_of(&qemu, &image).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        let sentence = format!(
            "absurd.elf: has a segment of {absurd:#x} bytes at offset 0x100: \
             the file has {:#x} bytes, and the segment 0x4 in memory",
            elf.len()
        );
        assert!(text(&output).contains(&sentence), "{}", text(&output));
    }
}

#[test]
fn a_segment_that_starts_behind_the_file_is_told() {
    let mut elf = minimal_image();
    let behind = elf.len() as u64 - 3;
    put(&mut elf, P_OFFSET, &behind.to_le_bytes());
    assert!(matches!(
        check(&elf),
        Err(ImageError::SegmentBytes { offset, .. }) if offset == behind
    ));
}

#[test]
fn no_changed_or_cut_image_panics_or_takes_long() {
    let elf = minimal_image();
    for at in 0..elf.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = elf.clone();
            changed[at] = value;
            let _ = check(&changed);
        }
        assert!(check(&elf[..at]).is_err(), "cut to {at} bytes");
    }
}

#[test]
fn random_words_in_the_headers_never_panic() {
    let elf = minimal_image();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut changed = elf.clone();
        for _ in 0..random() % 4 + 1 {
            let words = elf.len() as u64 / 8;
            let at = usize::try_from(random() % words).unwrap() * 8;
            let word = random() >> (random() % 64);
            put(&mut changed, at, &word.to_le_bytes());
        }
        let _ = check(&changed);
    }
}
