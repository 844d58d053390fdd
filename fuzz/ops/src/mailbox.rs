//! The mailbox: how a runner and an image at EL2 speak through shared memory.
//!
//! The layout, the two states and the checksums; `docs/mailbox.md` says the same
//! in prose. Everything here turns bytes into values and back. Left out: the
//! loads and stores that carry the bytes, which belong to whoever maps the
//! memory, and what the machine answers.

mod description;
mod probe;
mod reply;
mod request;

pub use description::{
    DESCRIPTION_BYTES, Description, DescriptionError, NOTE_BYTES, NOTE_NAME, NOTE_TYPE, Note,
    NoteError, decode_description, decode_note, encode_description, encode_note,
};
pub use probe::{Answer, Method, PROBE_BYTES, Probe, decode_probe, encode_probe};
pub use reply::{
    MAX_STEPS, REPLY_HEADER_BYTES, Reply, ReplyError, STEP_BYTES, StepReply, decode_reply,
    decode_step, encode_reply, encode_step,
};
pub use request::{MAX_REQUEST_BYTES, Request, RequestError, decode_request, encode_request};

use crate::Window;

/// Version of everything on this page. Tags never shift within a version.
pub const MAILBOX_VERSION: u32 = 2;

/// The window that both sides map.
pub const MAILBOX: Window = Window {
    base: 0x4400_0000,
    bytes: 0x0100_0000,
};

/// The memory of the machine: the runner gives it exactly this much.
pub const RAM: Window = Window {
    base: 0x4000_0000,
    bytes: 0x4000_0000,
};

/// First address at which pools are placed by default, for the image's symbol.
pub const POOL_BASE: u64 = 0x4800_0000;

/// Offset of the `Description`, which the image writes once.
pub const DESCRIPTION_AT: usize = 0;
/// Offset of the number of the latest request: 8 bytes, written by the runner
/// after the request itself (store-release).
pub const REQUEST_NUMBER_AT: usize = 0x1000;
/// Offset of the number of the latest reply: 8 bytes, written by the image
/// after the reply itself (store-release).
pub const REPLY_NUMBER_AT: usize = 0x1040;
/// Offset of the index of the step that the image is working on: 8 bytes. It is
/// what remains to be read of a machine that died.
pub const PROGRESS_AT: usize = 0x1080;
/// Offset of the request.
pub const REQUEST_AT: usize = 0x2000;
/// Offset of the reply.
pub const REPLY_AT: usize = 0x1_0000;
/// Offset of the event log.
pub const EVENTS_AT: usize = 0x10_0000;
/// Length of the event log.
pub const EVENTS_BYTES: usize = 0xf0_0000;

/// `hvc` immediate of the stub after a load or store that completed.
pub const HVC_COMPLETED: u16 = 1;
/// `hvc` immediate of the stub's EL1 vectors.
pub const HVC_EXCEPTION: u16 = 0xffff;
/// The lowest immediate that a stamp may have; those below are the stub's.
pub const HVC_FIRST_STAMP: u16 = 0x10;

/// FNV-1a with 64-bit little-endian words in place of bytes. Every step is a
/// bijection, so that any one changed word changes the result. What is left of
/// less than 8 bytes counts as filled up with zeroes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    extend_checksum(CHECKSUM_START, bytes)
}

/// The checksum of no bytes.
pub const CHECKSUM_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Continues a checksum over more bytes; `sum` comes from a multiple of 8.
#[must_use]
pub fn extend_checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(sum, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The `W` bytes at `at`. Callers pass offsets of fixed layouts and have checked
/// that `bytes` is as long as the layout.
fn field<const W: usize>(bytes: &[u8], at: usize) -> [u8; W] {
    core::array::from_fn(|i| bytes[at + i])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

// The areas follow each other inside the window.
const _: () = {
    assert!(DESCRIPTION_AT + DESCRIPTION_BYTES <= REQUEST_NUMBER_AT);
    assert!(PROGRESS_AT + 8 <= REQUEST_AT);
    assert!(REQUEST_AT + MAX_REQUEST_BYTES <= REPLY_AT);
    assert!(REPLY_AT + REPLY_HEADER_BYTES + MAX_STEPS * STEP_BYTES <= EVENTS_AT);
    assert!((EVENTS_AT + EVENTS_BYTES) as u64 == MAILBOX.bytes);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_the_hypervisors_and_apart_from_the_sentinel() {
        let end = MAILBOX.end().expect("a small window");
        assert!(crate::HYPERVISOR.contains(MAILBOX.base) && crate::HYPERVISOR.contains(end - 1));
        assert!(!MAILBOX.overlaps(crate::SENTINEL));
    }

    #[test]
    fn checksum_sees_each_bit() {
        let bytes = [0x5a; 24];
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&changed), checksum(&bytes), "bit {bit}");
        }
    }

    #[test]
    fn checksum_continues_where_it_stopped() {
        let bytes: [u8; 40] = core::array::from_fn(|i| 0xa5 >> (i % 8));
        assert_eq!(
            extend_checksum(checksum(&bytes[..16]), &bytes[16..]),
            checksum(&bytes)
        );
    }
}
