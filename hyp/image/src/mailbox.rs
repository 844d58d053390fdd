//! The mailbox's memory: copying in and out, and the two numbers.
//!
//! What is read here is a copy; the runner may go on writing. What the bytes mean
//! is `ops::mailbox`'s.

use crate::memory;
use crate::registers::read;
use core::sync::atomic::{AtomicU64, Ordering};
use ops::mailbox::{
    DESCRIPTION_AT, Description, PROGRESS_AT, REPLY_AT, REPLY_HEADER_BYTES, REPLY_NUMBER_AT,
    REQUEST_AT, REQUEST_NUMBER_AT, encode_description,
};

/// Progress while no request is worked on.
const IDLE: u64 = u64::MAX;

/// The image's side of the mailbox.
pub(crate) struct Mailbox {
    words: &'static [AtomicU64],
    /// Number of the latest reply.
    replied: u64,
}

impl Mailbox {
    /// Opens the mailbox: the runner sees the machine's description now.
    pub(crate) fn open() -> Mailbox {
        let mailbox = Mailbox {
            words: memory::mailbox(),
            replied: 0,
        };
        mailbox.progress(IDLE);
        let description = Description {
            mmfr: [
                read!("id_aa64mmfr0_el1"),
                read!("id_aa64mmfr1_el1"),
                read!("id_aa64mmfr2_el1"),
            ],
            isar0: read!("id_aa64isar0_el1"),
            midr: read!("midr_el1"),
            counter_hz: read!("cntfrq_el0"),
        };
        mailbox.write(DESCRIPTION_AT, &encode_description(&description));
        mailbox
    }

    /// All of the window.
    pub(crate) fn words(&self) -> &'static [AtomicU64] {
        self.words
    }

    /// Waits for a request, copies it and answers its number and whether that is
    /// the next one. `WFI` would not see the runner's store: this spins.
    pub(crate) fn wait(&self, request: &mut [u8]) -> (u64, bool) {
        let number = loop {
            let number = self.words[REQUEST_NUMBER_AT / 8].load(Ordering::Acquire);
            if number != self.replied {
                break number;
            }
            core::hint::spin_loop();
        };
        self.read(REQUEST_AT, request);
        (number, number == self.replied.wrapping_add(1))
    }

    /// Says which step is worked on.
    pub(crate) fn progress(&self, step: u64) {
        self.words[PROGRESS_AT / 8].store(step, Ordering::Release);
    }

    /// Sends the reply to the request of this number.
    pub(crate) fn reply(&mut self, number: u64, header: &[u8; REPLY_HEADER_BYTES], records: &[u8]) {
        self.progress(IDLE);
        self.write(REPLY_AT, header);
        self.write(REPLY_AT + REPLY_HEADER_BYTES, records);
        self.replied = number;
        self.words[REPLY_NUMBER_AT / 8].store(number, Ordering::Release);
    }

    /// Offsets and lengths are multiples of 8.
    fn read(&self, at: usize, bytes: &mut [u8]) {
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        for (chunk, word) in chunks.iter_mut().zip(&self.words[at / 8..]) {
            *chunk = word.load(Ordering::Relaxed).to_le_bytes();
        }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        let (chunks, _) = bytes.as_chunks::<8>();
        for (chunk, word) in chunks.iter().zip(&self.words[at / 8..]) {
            word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
    }
}
