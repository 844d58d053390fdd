//! The image: `hyp` at EL2 of an emulated machine, driven through the mailbox.
//!
//! It boots, turns on its own tables, and executes the sequences that a runner
//! hands over (`docs/mailbox.md`), with real invalidations and barriers and with
//! real accesses by a guest at EL1. It judges nothing. Bare metal only, one CPU.

#![no_std]
#![no_main]

mod boot;
mod convert;
mod el2;
mod fatal;
mod guest;
mod log;
mod mailbox;
mod memory;
mod platform;
mod poison;
mod registers;
mod request;
mod sequence;
mod stamps;
mod stub;
mod tables;
mod uart;
mod vectors;
mod watchdog;

use convert::to_u32;
use ops::mailbox::{MAILBOX, NOTE_BYTES, NOTE_NAME, NOTE_TYPE, Note, POOL_BASE, encode_note};

/// An ELF note as it stands in the file.
#[repr(C, align(4))]
struct ElfNote {
    name_bytes: u32,
    descriptor_bytes: u32,
    kind: u32,
    name: [u8; NOTE_NAME.len()],
    descriptor: [u8; NOTE_BYTES],
}

/// By this note a runner knows the image from any other ELF file.
#[used]
#[unsafe(link_section = ".note.twofold")]
static NOTE: ElfNote = ElfNote {
    name_bytes: to_u32(NOTE_NAME.len()),
    descriptor_bytes: to_u32(NOTE_BYTES),
    kind: NOTE_TYPE,
    name: *NOTE_NAME,
    descriptor: encode_note(&Note {
        mailbox: MAILBOX.base,
        pool: POOL_BASE,
    }),
};

/// Entered from `boot` once, with the MMU off, on the boot CPU's stack.
extern "C" fn main() -> ! {
    uart::enable();
    tables::enable();
    registers::set_up_el2();
    poison::fill_sentinel();
    watchdog::set_up();
    request::serve()
}
