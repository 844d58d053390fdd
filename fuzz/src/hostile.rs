//! The fuzz target `parse`: any bytes, given to everything that reads bytes from
//! outside: `.s2` text, the wire form and its records, and the mailbox. None of it may
//! panic, and what is accepted must be written again as it was read.
//!
//! Where a checksum stands before a decoder, the bytes are tried as they are, and with
//! the checksum that they should have. It leaves out the image's ELF file, whose check
//! is `qemu-runner`'s: this package may not import that, and hostile ELF files are in
//! that one's tests (`bad_input`).

use ops::mailbox::{self, RequestError};
use ops::wire::{self as records, WireError};

use crate::sequence::{Sequence, Step};
use crate::{text, wire};

/// How many readers accepted the bytes, or a part of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// As text.
    pub text: bool,
    /// As a sequence in wire form.
    pub wire: bool,
    /// Records of the wire form, one after the other.
    pub records: usize,
    /// As something of the mailbox, with a mended checksum if need be.
    pub mailbox: usize,
}

/// Gives the bytes to every reader.
///
/// # Panics
/// When one of them panics, or writes something else than it has read.
pub fn parse(bytes: &[u8]) -> Accepted {
    Accepted {
        text: std::str::from_utf8(bytes).is_ok_and(as_text),
        wire: as_wire(bytes),
        records: as_records(bytes),
        mailbox: usize::from(as_description(bytes))
            + usize::from(as_note(bytes))
            + usize::from(as_probe(bytes))
            + usize::from(as_request(bytes))
            + usize::from(as_reply(bytes)),
    }
}

/// An error has a sentence.
fn refused(error: &dyn std::error::Error) -> bool {
    assert!(
        !error.to_string().is_empty(),
        "parse: an error says nothing"
    );
    false
}

fn as_text(source: &str) -> bool {
    let sequence = match text::parse(source) {
        Ok(sequence) => sequence,
        Err(error) => return refused(&error),
    };
    let printed = sequence.to_string();
    let again = text::parse(&printed);
    assert_eq!(
        again.as_ref(),
        Ok(&sequence),
        "parse: printed text is another sequence"
    );
    assert_eq!(
        again.map(|again| again.to_string()),
        Ok(printed),
        "parse: text is not canonical"
    );
    let bare = Sequence {
        steps: sequence.operations().copied().map(Step::from).collect(),
        ..sequence
    };
    let bytes = wire::to_bytes(&bare);
    assert_eq!(
        wire::from_bytes(&bytes),
        Ok(bare),
        "parse: the wire form of a text is another sequence"
    );
    true
}

fn as_wire(bytes: &[u8]) -> bool {
    let sequence = match wire::from_bytes(bytes) {
        Ok(sequence) => sequence,
        Err(error) => return refused(&error),
    };
    assert_eq!(
        wire::to_bytes(&sequence),
        bytes,
        "parse: a sequence is encoded as other bytes"
    );
    let printed = sequence.to_string();
    assert_eq!(
        text::parse(&printed),
        Ok(sequence),
        "parse: the text of a wire form is another sequence"
    );
    true
}

/// Each kind of record, over and over.
fn as_records(bytes: &[u8]) -> usize {
    all(bytes, records::decode_machine, records::encode_machine)
        + all(bytes, records::decode_operation, records::encode_operation)
        + all(bytes, records::decode_outcome, records::encode_outcome)
        + all(bytes, records::decode_record, records::encode_record)
}

fn all<T, const N: usize>(
    bytes: &[u8],
    decode: impl Fn(&[u8; N]) -> Result<T, WireError>,
    encode: impl Fn(&T) -> [u8; N],
) -> usize {
    let (chunks, _) = bytes.as_chunks::<N>();
    let accepted = chunks.iter().filter(|chunk| match decode(chunk) {
        Ok(value) => {
            assert_eq!(
                encode(&value),
                **chunk,
                "parse: a record is encoded as other bytes"
            );
            true
        }
        Err(error) => refused(&error),
    });
    accepted.count()
}

fn as_description(bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.first_chunk::<{ mailbox::DESCRIPTION_BYTES }>() else {
        return false;
    };
    let mut bytes = *bytes;
    if let Err(mailbox::DescriptionError::Checksum { computed, .. }) =
        mailbox::decode_description(&bytes)
    {
        bytes[DESCRIPTION_CHECKSUM..].copy_from_slice(&computed.to_le_bytes());
    }
    match mailbox::decode_description(&bytes) {
        Ok(description) => {
            let encoded = mailbox::encode_description(&description);
            assert_eq!(
                encoded, bytes,
                "parse: a description is encoded as other bytes"
            );
            true
        }
        Err(error) => refused(&error),
    }
}

// Where checksums stand: docs/mailbox.md.
const DESCRIPTION_CHECKSUM: usize = 64;
const REQUEST_CHECKSUM: usize = 24;
const REQUEST_HEADER: usize = 32;
const REPLY_CHECKSUM: usize = 56;

fn as_note(bytes: &[u8]) -> bool {
    match mailbox::decode_note(bytes) {
        Ok(note) => {
            assert_eq!(
                &mailbox::encode_note(&note)[..],
                bytes,
                "parse: a note is encoded as other bytes"
            );
            true
        }
        Err(error) => refused(&error),
    }
}

fn as_probe(bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.first_chunk::<{ mailbox::PROBE_BYTES }>() else {
        return false;
    };
    let Some(probe) = mailbox::decode_probe(bytes) else {
        return false;
    };
    assert_eq!(
        &mailbox::encode_probe(&probe),
        bytes,
        "parse: a probe is encoded as other bytes"
    );
    true
}

fn as_request(bytes: &[u8]) -> bool {
    let mut area = bytes.to_vec();
    if let Err(RequestError::Checksum(_)) = mailbox::decode_request(&area) {
        mend_request(&mut area);
    }
    let request = match mailbox::decode_request(&area) {
        Ok(request) => request,
        Err(error) => return refused(&error),
    };
    assert!(
        request.probe(request.probes()).is_err(),
        "parse: a probe behind the last one"
    );
    let probes = (0..request.probes()).map(|index| request.probe(index));
    let probes: Vec<_> = match probes.collect() {
        Ok(probes) => probes,
        Err(error) => return refused(&error),
    };
    let mut encoded = vec![0; mailbox::MAX_REQUEST_BYTES];
    let length = mailbox::encode_request(
        request.number,
        request.events,
        request.sequence,
        &probes,
        &mut encoded,
    );
    let length = length.expect("parse: what was decoded is encoded");
    assert_eq!(
        encoded[..length],
        area[..length],
        "parse: a request is encoded as other bytes"
    );
    as_wire(request.sequence);
    true
}

/// Gives a request whose lengths are right the checksum of its bytes.
fn mend_request(area: &mut [u8]) {
    let length = |at: usize| {
        let bytes = area.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
    };
    let end = REQUEST_HEADER + length(8) + length(12) * mailbox::PROBE_BYTES;
    let sum = mailbox::checksum(&area[..REQUEST_CHECKSUM]);
    let sum = mailbox::extend_checksum(sum, &area[REQUEST_HEADER..end]);
    area[REQUEST_CHECKSUM..REQUEST_HEADER].copy_from_slice(&sum.to_le_bytes());
}

fn as_reply(bytes: &[u8]) -> bool {
    let mut area = bytes.to_vec();
    if let Err(mailbox::ReplyError::Checksum { computed, .. }) = mailbox::decode_reply(&area) {
        area[REPLY_CHECKSUM..mailbox::REPLY_HEADER_BYTES].copy_from_slice(&computed.to_le_bytes());
    }
    let (reply, steps) = match mailbox::decode_reply(&area) {
        Ok(decoded) => decoded,
        Err(error) => return refused(&error),
    };
    let header = mailbox::encode_reply(&reply, steps.as_flattened());
    assert!(
        area.starts_with(&header),
        "parse: a reply is encoded as other bytes"
    );
    for step in steps {
        match mailbox::decode_step(step) {
            Ok(decoded) => {
                let encoded = mailbox::encode_step(&decoded);
                assert_eq!(&encoded, step, "parse: a step is encoded as other bytes");
            }
            Err(error) => {
                refused(&error);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::Outcome;
    use ops::mailbox::{Description, Note, Probe, Reply, StepReply};

    const TEXT: &str = "machine\nvm a -> ok\nfree a -> ok pages=0\n";

    fn bytes_of_text() -> Vec<u8> {
        wire::to_bytes(&text::parse(TEXT).expect("the text is a sequence"))
    }

    #[test]
    fn text_is_accepted_as_text() {
        let accepted = parse(TEXT.as_bytes());
        assert_eq!((accepted.text, accepted.wire), (true, false));
    }

    #[test]
    fn wire_form_is_accepted_as_wire_form() {
        let accepted = parse(&bytes_of_text());
        assert_eq!((accepted.text, accepted.wire), (false, true));
    }

    #[test]
    fn nothing_is_accepted_of_no_bytes() {
        assert_eq!(parse(&[]), Accepted::default());
    }

    #[test]
    fn request_with_a_wrong_checksum_is_tried_with_the_right_one() {
        let mut area = vec![0; mailbox::MAX_REQUEST_BYTES];
        let probes = [Probe::NONE; 2];
        mailbox::encode_request(1, true, &bytes_of_text(), &probes, &mut area)
            .expect("a short one");
        assert!(as_request(&area));
        area[REQUEST_CHECKSUM] ^= 1;
        assert!(as_request(&area));
        area[REQUEST_HEADER + 2] ^= 0xff;
        assert!(as_request(&area), "the sequence inside is another reader's");
        area[16] = 0xff;
        assert!(!as_request(&area));
    }

    #[test]
    fn reply_with_a_wrong_checksum_is_tried_with_the_right_one() {
        let step = mailbox::encode_step(&StepReply::without_probe(Outcome::Done));
        let reply = Reply {
            number: 1,
            steps: Ok(1),
            events: 0,
            events_lost: 0,
            events_checksum: 0,
        };
        let mut area = mailbox::encode_reply(&reply, &step).to_vec();
        area.extend(step);
        assert!(as_reply(&area));
        area[REPLY_CHECKSUM] ^= 1;
        assert!(as_reply(&area));
        area[40] = 1;
        assert!(!as_reply(&area));
    }

    #[test]
    fn description_and_note_are_accepted() {
        let description = Description {
            mmfr: [1, 2, 3],
            isar0: 4,
            midr: 5,
            counter_hz: 6,
        };
        let mut bytes = mailbox::encode_description(&description);
        bytes[16] ^= 1;
        assert!(as_description(&bytes));
        let note = Note {
            mailbox: 1,
            pool: 2,
        };
        assert!(as_note(&mailbox::encode_note(&note)));
    }
}
