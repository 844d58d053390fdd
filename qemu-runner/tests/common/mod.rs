//! What the tests of the command line share: the runner with its own directory for
//! temporary files, emulators that are shell scripts, and an ELF file that passes
//! for the image.

#![allow(dead_code, reason = "each test program uses a part of it")]

use ops::mailbox;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A sequence on which host and contract agree.
pub(crate) const SEQUENCE: &str = "machine granule=4K pa=40 ipa=40\nvm a\n";

/// What a script answers to `--version`.
pub(crate) const VERSION: &str = "QEMU emulator version 7.2.0";

/// Directories of one test: one for its own files, one for the runner's.
pub(crate) struct Place {
    files: TempDir,
    scratch: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            files: tempfile::tempdir().unwrap(),
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    /// Writes a file of the test's.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// An emulator: a script that answers `--version` and then does this. `$ram`
    /// is the path of its RAM.
    pub(crate) fn qemu(&self, version: &str, body: &str) -> PathBuf {
        let text = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = --version ]; then echo \"{version}\"; exit 0; fi\n\
             for word in \"$@\"; do case $word in *mem-path=*) ram=${{word#*mem-path=}};; esac; done\n\
             {body}\n"
        );
        let path = self.file("qemu", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The runner with a fake image, and this emulator.
    pub(crate) fn runner(&self, qemu: &Path) -> Command {
        self.runner_of(qemu, &self.file("image.elf", minimal_image()))
    }

    /// The runner with this emulator and this image.
    pub(crate) fn runner_of(&self, qemu: &Path, image: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qemu-runner"));
        command
            .arg("replay")
            .arg(self.file("sequence.s2", SEQUENCE))
            .arg("--image")
            .arg(image);
        command
            .env("TWOFOLD_QEMU", qemu)
            .env("TMPDIR", self.scratch.path());
        command
    }

    /// Files that the runner left.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        fs::read_dir(self.scratch.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// The one file that the runner left: its log.
    pub(crate) fn log(&self) -> String {
        let left = self.left_behind();
        assert_eq!(left.len(), 1, "{left:?}");
        fs::read_to_string(&left[0]).unwrap()
    }

    /// Waits for a file of the test's with a process number in it.
    pub(crate) fn process(&self, name: &str) -> u32 {
        let read = || {
            fs::read_to_string(self.path(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        wait_for(read).expect("the script writes its number")
    }
}

/// Standard output and error together.
pub(crate) fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Polls for ten seconds.
pub(crate) fn wait_for<T>(mut get: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let got = get();
        if got.is_some() || Instant::now() > deadline {
            return got;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is gone, or dead and only not yet collected.
pub(crate) fn is_gone(process: u32) -> bool {
    let gone = || match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => stat
            .rsplit(')')
            .next()?
            .trim_start()
            .starts_with('Z')
            .then_some(()),
        Err(_) => Some(()),
    };
    wait_for(gone).is_some()
}

const HEADER: usize = 64;
const PROGRAM_HEADERS: usize = 2 * 56;
const CODE: usize = 0x100;
const NOTE: usize = 0x200;
const NOTE_LENGTH: usize = 12 + 8 + mailbox::NOTE_BYTES;
const SYMBOLS: usize = 0x300;
const STRINGS: usize = 0x400;
const SECTIONS: usize = 0x500;
// No part reaches into the next.
const _: () = assert!(HEADER + PROGRAM_HEADERS <= CODE && NOTE + NOTE_LENGTH <= SYMBOLS);

const NAMES: &[u8] = b"\0TWOFOLD_MAILBOX\0TWOFOLD_POOL\0";

/// The smallest ELF file that passes for the image. Its code is one `b .`.
pub(crate) fn minimal_image() -> Vec<u8> {
    let load_at = 0x4008_0000_u64;
    let mut elf = vec![0; SECTIONS + 3 * 64];
    put(&mut elf, 0, b"\x7fELF\x02\x01\x01");
    put(&mut elf, 16, &[2, 0, 183, 0, 1, 0, 0, 0]);
    put(&mut elf, 24, &load_at.to_le_bytes());
    put(&mut elf, 32, &(HEADER as u64).to_le_bytes());
    put(&mut elf, 40, &(SECTIONS as u64).to_le_bytes());
    for (i, half) in [64_u16, 56, 2, 64, 3, 0].into_iter().enumerate() {
        put(&mut elf, 52 + 2 * i, &half.to_le_bytes());
    }
    program_header(&mut elf, 0, [1, 5], CODE, load_at, 4);
    program_header(&mut elf, 1, [4, 4], NOTE, 0, NOTE_LENGTH);
    put(&mut elf, CODE, &0x1400_0000_u32.to_le_bytes());
    note(&mut elf);
    symbol(&mut elf, 1, 1, mailbox::MAILBOX.base);
    symbol(&mut elf, 2, 17, mailbox::POOL_BASE);
    put(&mut elf, STRINGS, NAMES);
    section(&mut elf, 1, 2, SYMBOLS, 3 * 24, [2, 1]);
    section(&mut elf, 2, 3, STRINGS, NAMES.len(), [0, 0]);
    elf
}

fn program_header(
    elf: &mut [u8],
    index: usize,
    [kind, flags]: [u32; 2],
    at: usize,
    address: u64,
    length: usize,
) {
    let header = HEADER + index * 56;
    put(elf, header, &kind.to_le_bytes());
    put(elf, header + 4, &flags.to_le_bytes());
    for (i, word) in [at as u64, address, address, length as u64, length as u64, 4]
        .into_iter()
        .enumerate()
    {
        put(elf, header + 8 + 8 * i, &word.to_le_bytes());
    }
}

fn note(elf: &mut [u8]) {
    let note = mailbox::Note {
        mailbox: mailbox::MAILBOX.base,
        pool: mailbox::POOL_BASE,
    };
    elf[NOTE] = 8;
    elf[NOTE + 4] = u8::try_from(mailbox::NOTE_BYTES).unwrap();
    put(elf, NOTE + 8, &mailbox::NOTE_TYPE.to_le_bytes());
    put(elf, NOTE + 12, mailbox::NOTE_NAME);
    put(elf, NOTE + 20, &mailbox::encode_note(&note));
}

fn symbol(elf: &mut [u8], index: usize, name: u32, value: u64) {
    let symbol = SYMBOLS + index * 24;
    put(elf, symbol, &name.to_le_bytes());
    put(elf, symbol + 6, &0xfff1_u16.to_le_bytes());
    put(elf, symbol + 8, &value.to_le_bytes());
}

fn section(
    elf: &mut [u8],
    index: usize,
    kind: u32,
    at: usize,
    length: usize,
    [link, info]: [u32; 2],
) {
    let header = SECTIONS + index * 64;
    put(elf, header + 4, &kind.to_le_bytes());
    put(elf, header + 24, &(at as u64).to_le_bytes());
    put(elf, header + 32, &(length as u64).to_le_bytes());
    put(elf, header + 40, &link.to_le_bytes());
    put(elf, header + 44, &info.to_le_bytes());
    put(elf, header + 48, &8_u64.to_le_bytes());
    put(elf, header + 56, &24_u64.to_le_bytes());
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
