//! A reply: what became of a request, and one record for each step.
//!
//! The steps are those of operation 0, where the machine has one, and then the
//! operations of the sequence.

use super::{Answer, RequestError, checksum, extend_checksum, field, put, u32_at, u64_at};
use crate::Outcome;
use crate::wire::{MAX_OPERATIONS, OUTCOME_BYTES, WireError, decode_outcome, encode_outcome};

/// Length of the header of a reply, which the records follow.
pub const REPLY_HEADER_BYTES: usize = 64;
/// Length of an encoded `StepReply`.
pub const STEP_BYTES: usize = 128;
/// Most steps of a reply: the three of operation 0 in EL2's regime and the
/// sequence's.
pub const MAX_STEPS: usize = 3 + MAX_OPERATIONS as usize;

const CHECKSUM_AT: usize = 56;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Number of the request.
    pub number: u64,
    /// `Ok` with the number of steps, all executed, or why there are none.
    pub steps: Result<u32, RequestError>,
    /// Events in the log.
    pub events: u32,
    /// Events that the log had no room for.
    pub events_lost: u32,
    /// Checksum of the events in the log.
    pub events_checksum: u64,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepReply {
    /// What the subject answered.
    pub outcome: Outcome,
    /// What kind of answer the probe had; it says which of the next fields count.
    pub answer: Answer,
    /// What was loaded or stored, or the immediate that was fetched.
    pub value: u64,
    /// `ESR_EL2`, or `ESR_EL1`.
    pub esr: u64,
    /// `FAR_EL2`, or `FAR_EL1`.
    pub far: u64,
    /// `HPFAR_EL2`.
    pub hpfar: u64,
    /// `PAR_EL1`.
    pub par: u64,
    /// `ELR_EL2`, or `ELR_EL1`.
    pub elr: u64,
    /// `VTCR_EL2` after the step; in EL2's own regime, what the subject last wrote to
    /// `TCR_EL2`, or 0.
    pub vtcr: u64,
    /// `VTTBR_EL2` after the step; in EL2's own regime, what the subject last wrote to
    /// `TTBR0_EL2`, or 0.
    pub vttbr: u64,
    /// Events of the whole sequence up to the end of this step, those that were
    /// lost included.
    pub events: u32,
    /// Accesses of the subject to table memory outside of the pool, in this step.
    pub strays: u32,
}

impl StepReply {
    /// A step that has answered, without a probe.
    #[must_use]
    pub fn without_probe(outcome: Outcome) -> StepReply {
        let (answer, value, esr, far, hpfar, par, elr) = (Answer::Nothing, 0, 0, 0, 0, 0, 0);
        StepReply {
            outcome,
            answer,
            value,
            esr,
            far,
            hpfar,
            par,
            elr,
            vtcr: 0,
            vttbr: 0,
            events: 0,
            strays: 0,
        }
    }
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// There are fewer bytes than the reply announces.
    Length(u64),
    /// The checksum is another one.
    Checksum {
        /// Of the bytes.
        computed: u64,
        /// In the reply.
        found: u64,
    },
    /// No error has this code.
    Code(u32),
    /// No answer has this tag.
    Answer(u8),
    /// The outcome does not decode.
    Outcome(WireError),
    /// A byte that must be zero is not.
    Reserved,
}

impl core::fmt::Display for ReplyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ReplyError::Length(bytes) => {
                write!(f, "a reply of {bytes} bytes does not fit its area")
            }
            ReplyError::Checksum { computed, found } => {
                write!(
                    f,
                    "checksum {found:#018x} of the reply, where its bytes give {computed:#018x}"
                )
            }
            ReplyError::Code(code) => write!(f, "the reply has the unknown error code {code}"),
            ReplyError::Answer(tag) => write!(f, "a step has the unknown answer {tag}"),
            ReplyError::Outcome(error) => write!(f, "the outcome of a step: {error}"),
            ReplyError::Reserved => f.write_str("a reserved byte of the reply is not zero"),
        }
    }
}

impl core::error::Error for ReplyError {}

/// The header of a reply whose records are at `records` already; none where
/// `reply.steps` is an error.
#[must_use]
pub fn encode_reply(reply: &Reply, records: &[u8]) -> [u8; REPLY_HEADER_BYTES] {
    let mut bytes = [0; REPLY_HEADER_BYTES];
    let (code, detail) = reply.steps.map_or_else(RequestError::code, |_| (0, 0));
    put(&mut bytes, 0, &reply.number.to_le_bytes());
    put(&mut bytes, 8, &code.to_le_bytes());
    put(&mut bytes, 16, &detail.to_le_bytes());
    put(&mut bytes, 24, &reply.steps.unwrap_or(0).to_le_bytes());
    put(&mut bytes, 32, &reply.events.to_le_bytes());
    put(&mut bytes, 36, &reply.events_lost.to_le_bytes());
    put(&mut bytes, 48, &reply.events_checksum.to_le_bytes());
    let sum = reply_checksum(&bytes, records);
    put(&mut bytes, CHECKSUM_AT, &sum.to_le_bytes());
    bytes
}

/// Reads the reply at the start of `area`, and answers its records too, each of
/// `STEP_BYTES`. The event log is not looked at.
///
/// # Errors
/// `Length`, `Checksum`, `Code` or `Reserved`.
pub fn decode_reply(area: &[u8]) -> Result<(Reply, &[[u8; STEP_BYTES]]), ReplyError> {
    let Some((header, rest)) = area.split_first_chunk::<REPLY_HEADER_BYTES>() else {
        return Err(ReplyError::Length(area.len() as u64));
    };
    let steps = u32_at(header, 24);
    let (records, _) = rest.as_chunks::<STEP_BYTES>();
    let records = records
        .get(..steps as usize)
        .filter(|records| records.len() <= MAX_STEPS)
        .ok_or(ReplyError::Length(u64::from(steps) * STEP_BYTES as u64))?;
    let (computed, found) = (
        reply_checksum(header, records.as_flattened()),
        u64_at(header, CHECKSUM_AT),
    );
    if computed != found {
        return Err(ReplyError::Checksum { computed, found });
    }
    let (code, detail) = (u32_at(header, 8), u64_at(header, 16));
    let outcome = match code {
        0 => Ok(steps),
        code => Err(RequestError::from_code(code, detail).ok_or(ReplyError::Code(code))?),
    };
    let reply = Reply {
        number: u64_at(header, 0),
        steps: outcome,
        events: u32_at(header, 32),
        events_lost: u32_at(header, 36),
        events_checksum: u64_at(header, 48),
    };
    if encode_reply(&reply, records.as_flattened()) != *header {
        return Err(ReplyError::Reserved);
    }
    Ok((reply, records))
}

/// A step as 128 bytes.
#[must_use]
pub fn encode_step(step: &StepReply) -> [u8; STEP_BYTES] {
    let mut bytes = [0; STEP_BYTES];
    put(&mut bytes, 0, &encode_outcome(&step.outcome));
    bytes[OUTCOME_BYTES] = step.answer.tag();
    let words = [
        step.value, step.esr, step.far, step.hpfar, step.par, step.elr, step.vtcr, step.vttbr,
    ];
    for (i, word) in words.iter().enumerate() {
        put(&mut bytes, 24 + 8 * i, &word.to_le_bytes());
    }
    put(&mut bytes, 88, &step.events.to_le_bytes());
    put(&mut bytes, 92, &step.strays.to_le_bytes());
    bytes
}

/// Reads a step.
///
/// # Errors
/// `Outcome`, `Answer` or `Reserved`.
pub fn decode_step(bytes: &[u8; STEP_BYTES]) -> Result<StepReply, ReplyError> {
    let outcome = decode_outcome(&field(bytes, 0)).map_err(ReplyError::Outcome)?;
    let tag = bytes[OUTCOME_BYTES];
    let answer = Answer::from_tag(tag).ok_or(ReplyError::Answer(tag))?;
    let [value, esr, far, hpfar, par, elr, vtcr, vttbr] =
        core::array::from_fn(|i| u64_at(bytes, 24 + 8 * i));
    let (events, strays) = (u32_at(bytes, 88), u32_at(bytes, 92));
    let step = StepReply {
        outcome,
        answer,
        value,
        esr,
        far,
        hpfar,
        par,
        elr,
        vtcr,
        vttbr,
        events,
        strays,
    };
    if encode_step(&step) != *bytes {
        return Err(ReplyError::Reserved);
    }
    Ok(step)
}

/// Over everything but the checksum itself.
fn reply_checksum(header: &[u8; REPLY_HEADER_BYTES], records: &[u8]) -> u64 {
    extend_checksum(checksum(&header[..CHECKSUM_AT]), records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use crate::mailbox::CHECKSUM_START;

    const STEP: StepReply = StepReply {
        outcome: Outcome::Refused(Refusal::Wraps),
        answer: Answer::Stage2Abort,
        value: 1,
        esr: 2,
        far: 3,
        hpfar: 4,
        par: 5,
        elr: 6,
        vtcr: 7,
        vttbr: u64::MAX,
        events: 9,
        strays: 10,
    };

    fn example() -> [u8; REPLY_HEADER_BYTES + 2 * STEP_BYTES] {
        let mut area = [0; REPLY_HEADER_BYTES + 2 * STEP_BYTES];
        let reply = Reply {
            number: 3,
            steps: Ok(2),
            events: 4,
            events_lost: 5,
            events_checksum: 6,
        };
        put(&mut area, REPLY_HEADER_BYTES, &encode_step(&STEP));
        put(
            &mut area,
            REPLY_HEADER_BYTES + STEP_BYTES,
            &encode_step(&StepReply::without_probe(Outcome::Done)),
        );
        let header = encode_reply(&reply, &area[REPLY_HEADER_BYTES..]);
        put(&mut area, 0, &header);
        area
    }

    #[test]
    fn reply_round_trips() {
        let area = example();
        let (reply, records) = decode_reply(&area).expect("just encoded");
        assert_eq!(
            reply,
            Reply {
                number: 3,
                steps: Ok(2),
                events: 4,
                events_lost: 5,
                events_checksum: 6
            }
        );
        assert_eq!(decode_step(&records[0]), Ok(STEP));
        assert_eq!(
            decode_step(&records[1]),
            Ok(StepReply::without_probe(Outcome::Done))
        );
    }

    #[test]
    fn refused_requests_round_trip() {
        let steps = Err(RequestError::NoStub(12));
        let reply = Reply {
            number: 1,
            steps,
            events: 0,
            events_lost: 0,
            events_checksum: CHECKSUM_START,
        };
        let header = encode_reply(&reply, &[]);
        assert_eq!(decode_reply(&header), Ok((reply, &[][..])));
    }

    #[test]
    fn each_changed_byte_is_an_error() {
        let mut area = example();
        for i in 0..area.len() {
            area[i] ^= 1;
            assert!(decode_reply(&area).is_err(), "byte {i}");
            area[i] ^= 1;
        }
    }

    #[test]
    fn more_steps_than_there_is_room_for_are_refused() {
        let mut area = example();
        put(&mut area, 24, &3_u32.to_le_bytes());
        assert_eq!(
            decode_reply(&area),
            Err(ReplyError::Length(3 * STEP_BYTES as u64))
        );
        put(&mut area, 24, &u32::MAX.to_le_bytes());
        assert!(matches!(decode_reply(&area), Err(ReplyError::Length(_))));
        assert_eq!(decode_reply(&area[..63]), Err(ReplyError::Length(63)));
    }

    #[test]
    fn reserved_bytes_of_a_step_are_refused() {
        for at in (OUTCOME_BYTES + 1..24).chain(96..STEP_BYTES) {
            let mut bytes = encode_step(&STEP);
            bytes[at] = 1;
            assert_eq!(decode_step(&bytes), Err(ReplyError::Reserved), "byte {at}");
        }
    }

    #[test]
    fn unknown_answers_are_refused() {
        let mut bytes = encode_step(&STEP);
        bytes[OUTCOME_BYTES] = 0x55;
        assert_eq!(decode_step(&bytes), Err(ReplyError::Answer(0x55)));
    }
}
