//! Checks that an ELF file is the EL2 image before it is booted, so that a wrong
//! file is a sentence and not a machine that never answers.
//!
//! Left out: what its code does. The emulator loads it.

use goblin::elf::program_header::{PF_X, PT_LOAD, ProgramHeader};
use goblin::elf::{Elf, header};
use ops::mailbox::{self, NoteError};
use ops::{HYPERVISOR, Window};
use std::path::{Path, PathBuf};

/// The symbol at the mailbox.
const MAILBOX_SYMBOL: &str = "TWOFOLD_MAILBOX";
/// The symbol at the first address for pools.
const POOL_SYMBOL: &str = "TWOFOLD_POOL";
/// No image is this large; larger files are not read.
const MAX_BYTES: u64 = 64 << 20;

/// Why a file is not the image. What it says completes "FILE: ".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It cannot be read, or is too large.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is not an ELF file, or a broken one.
    #[error("is no well-formed ELF file: {0}")]
    NotElf(String),
    /// It is for another machine, or is no executable.
    #[error("is not a 64-bit little-endian AArch64 executable")]
    OtherMachine,
    /// It has no ELF note by the image's name.
    #[error("is not the image: it has no note `Twofold`")]
    NoNote,
    /// The note is another version's, or broken.
    #[error("is not an image that this runner can use: {0}")]
    Note(NoteError),
    /// A loaded segment is not in the memory set aside for the image.
    #[error("has a segment of {bytes:#x} bytes at {at:#x}, outside of the image's memory {:#x} to {:#x}", PLACE.base, PLACE.base + PLACE.bytes)]
    Segment {
        /// Physical address.
        at: u64,
        /// Length in memory.
        bytes: u64,
    },
    /// A loaded segment has bytes that are not in the file, or more than it takes up
    /// in memory: no loader takes it.
    #[error(
        "has a segment of {bytes:#x} bytes at offset {offset:#x}: the file has {file:#x} bytes, and the segment {memory:#x} in memory"
    )]
    SegmentBytes {
        /// Where in the file its bytes start.
        offset: u64,
        /// How many they are.
        bytes: u64,
        /// How many the file has.
        file: u64,
        /// Length in memory.
        memory: u64,
    },
    /// The entry point is not in an executable segment.
    #[error("has its entry point {0:#x} in no executable segment")]
    Entry(u64),
    /// A symbol is missing.
    #[error("has no symbol `{0}`")]
    NoSymbol(&'static str),
    /// A symbol has another address than the protocol says.
    #[error("has `{name}` at {found:#x}, and the runner has it at {expected:#x}")]
    Symbol {
        /// Which.
        name: &'static str,
        /// Where the image has it.
        found: u64,
        /// Where the protocol has it.
        expected: u64,
    },
}

/// The hypervisor's memory up to the mailbox: there is the image.
const PLACE: Window = Window {
    base: HYPERVISOR.base,
    bytes: mailbox::MAILBOX.base - HYPERVISOR.base,
};

/// An image that passed all checks.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
}

impl Image {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first of the reasons that `ImageError` lists.
    pub fn open(path: &Path) -> Result<Image, ImageError> {
        let unreadable = |error: std::io::Error| ImageError::Unreadable(error.to_string());
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(ImageError::Unreadable("it is no regular file".into()));
        }
        if metadata.len() > MAX_BYTES {
            return Err(ImageError::Unreadable(format!(
                "it has more than {MAX_BYTES} bytes"
            )));
        }
        check(&std::fs::read(path).map_err(unreadable)?)?;
        Ok(Image { path: path.into() })
    }
}

/// Checks the bytes of a file, whatever they are.
///
/// # Errors
/// The first of the reasons that `ImageError` lists, `Unreadable` aside.
pub fn check(bytes: &[u8]) -> Result<(), ImageError> {
    let elf = Elf::parse(bytes).map_err(|error| ImageError::NotElf(error.to_string()))?;
    let is_aarch64 = elf.is_64 && elf.little_endian && elf.header.e_machine == header::EM_AARCH64;
    if !is_aarch64 || elf.header.e_type != header::ET_EXEC {
        return Err(ImageError::OtherMachine);
    }
    check_note(&elf, bytes)?;
    check_segments(&elf, bytes.len() as u64)?;
    check_symbol(&elf, MAILBOX_SYMBOL, mailbox::MAILBOX.base)?;
    check_symbol(&elf, POOL_SYMBOL, mailbox::POOL_BASE)
}

fn check_note(elf: &Elf<'_>, bytes: &[u8]) -> Result<(), ImageError> {
    let sections = elf.iter_note_sections(bytes, None);
    let segments = elf.iter_note_headers(bytes);
    let name = mailbox::NOTE_NAME
        .strip_suffix(b"\0")
        .unwrap_or(mailbox::NOTE_NAME);
    let note = sections
        .into_iter()
        .chain(segments)
        .flat_map(|notes| notes.flatten())
        .find(|note| note.name.as_bytes() == name && note.n_type == mailbox::NOTE_TYPE)
        .ok_or(ImageError::NoNote)?;
    let note = mailbox::decode_note(note.desc).map_err(ImageError::Note)?;
    expect_place(MAILBOX_SYMBOL, note.mailbox, mailbox::MAILBOX.base)?;
    expect_place(POOL_SYMBOL, note.pool, mailbox::POOL_BASE)
}

fn check_segments(elf: &Elf<'_>, file: u64) -> Result<(), ImageError> {
    let mut has_entry = false;
    for segment in elf
        .program_headers
        .iter()
        .filter(|segment| segment.p_type == PT_LOAD)
    {
        let (at, bytes) = (segment.p_paddr, segment.p_memsz);
        let fits =
            bytes <= PLACE.bytes && at >= PLACE.base && at - PLACE.base <= PLACE.bytes - bytes;
        if !fits {
            return Err(ImageError::Segment { at, bytes });
        }
        check_bytes(segment, file)?;
        has_entry |= segment.p_flags & PF_X != 0 && Window { base: at, bytes }.contains(elf.entry);
    }
    if has_entry {
        Ok(())
    } else {
        Err(ImageError::Entry(elf.entry))
    }
}

fn check_bytes(segment: &ProgramHeader, file: u64) -> Result<(), ImageError> {
    let (offset, bytes, memory) = (segment.p_offset, segment.p_filesz, segment.p_memsz);
    let is_in_file = offset.checked_add(bytes).is_some_and(|end| end <= file);
    if is_in_file && bytes <= memory {
        return Ok(());
    }
    Err(ImageError::SegmentBytes {
        offset,
        bytes,
        file,
        memory,
    })
}

fn check_symbol(elf: &Elf<'_>, name: &'static str, expected: u64) -> Result<(), ImageError> {
    let mut symbols = elf.syms.iter();
    let symbol = symbols.find(|symbol| elf.strtab.get_at(symbol.st_name) == Some(name));
    let found = symbol.ok_or(ImageError::NoSymbol(name))?.st_value;
    expect_place(name, found, expected)
}

fn expect_place(name: &'static str, found: u64, expected: u64) -> Result<(), ImageError> {
    if found == expected {
        Ok(())
    } else {
        Err(ImageError::Symbol {
            name,
            found,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_elf() {
        assert!(matches!(check(b"#!/bin/sh\n"), Err(ImageError::NotElf(_))));
        assert!(matches!(check(b""), Err(ImageError::NotElf(_))));
    }

    #[test]
    fn a_program_of_this_host_is_no_image() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check(&own), Err(ImageError::OtherMachine));
    }

    #[test]
    fn a_directory_is_no_image() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            Image::open(directory.path()),
            Err(ImageError::Unreadable(_))
        ));
    }
}
