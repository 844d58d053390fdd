//! A request: one sequence in its wire form and a probe for each operation.
//!
//! Only the frame is judged here; the sequence inside is `wire`'s.

use super::{
    CHECKSUM_START, PROBE_BYTES, Probe, decode_probe, encode_probe, extend_checksum, put, u32_at,
    u64_at,
};
use crate::wire::{MAX_OPERATIONS, sequence_bytes};

const REQUEST_HEADER_BYTES: usize = 32;
const CHECKSUM_AT: usize = 24;
const FLAG_EVENTS: u32 = 1;

/// The longest request.
pub const MAX_REQUEST_BYTES: usize =
    REQUEST_HEADER_BYTES + sequence_bytes(MAX_OPERATIONS) + MAX_OPERATIONS as usize * PROBE_BYTES;

/// A request whose frame is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its number, the same as at `REQUEST_NUMBER_AT`.
    pub number: u64,
    /// Whether the event log is wanted.
    pub events: bool,
    /// The sequence as `wire` has it.
    pub sequence: &'a [u8],
    probes: &'a [u8],
}

impl Request<'_> {
    /// Number of probes.
    #[must_use]
    pub fn probes(&self) -> usize {
        self.probes.len() / PROBE_BYTES
    }

    /// The probe of the operation of this index.
    ///
    /// # Errors
    /// `RequestError::Probe` where there is none, or none that decodes.
    pub fn probe(&self, index: usize) -> Result<Probe, RequestError> {
        let (records, _) = self.probes.as_chunks::<PROBE_BYTES>();
        records
            .get(index)
            .and_then(decode_probe)
            .ok_or(RequestError::Probe(index as u64))
    }
}

/// Why the image does not execute a request. In a reply it is a code and the
/// offending value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The lengths exceed the area or do not fit each other: the bytes asked for.
    Length(u64),
    /// The checksum of the bytes is not this.
    Checksum(u64),
    /// The number inside is not the one that announced the request.
    Number(u64),
    /// Flags or reserved bytes are set that mean nothing.
    Reserved(u64),
    /// The sequence does not decode: the index of the operation, or `u64::MAX`
    /// for its header and machine.
    Sequence(u64),
    /// The probe of the operation of this index does not decode, is missing, or
    /// belongs to no guest access.
    Probe(u64),
    /// The pool is not wholly in RAM: its address.
    PoolPlace(u64),
    /// Guest memory is not wholly in RAM: its address.
    MemoryPlace(u64),
    /// The operation of this index asks for a real access on a machine without a
    /// stub.
    NoStub(u64),
    /// The machine line is about tables of a regime that an AArch64 machine does not
    /// have: its number.
    Regime(u64),
}

impl core::fmt::Display for RequestError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RequestError::Length(bytes) => write!(
                f,
                "a request of {bytes} bytes does not fit its area or its parts"
            ),
            RequestError::Checksum(sum) => write!(
                f,
                "the request's checksum {sum:#018x} is not that of its bytes"
            ),
            RequestError::Number(number) => write!(
                f,
                "the request has number {number} inside, and was announced by another"
            ),
            RequestError::Reserved(bits) => {
                write!(f, "the request has reserved bits set: {bits:#x}")
            }
            RequestError::Sequence(u64::MAX) => {
                f.write_str("the sequence's header or machine does not decode")
            }
            RequestError::Sequence(index) => write!(f, "operation {index} does not decode"),
            RequestError::Probe(index) => write!(
                f,
                "the probe of operation {index} does not decode or belongs to no guest access"
            ),
            RequestError::PoolPlace(base) => {
                write!(f, "the pool at {base:#x} is not wholly in RAM")
            }
            RequestError::MemoryPlace(base) => {
                write!(f, "guest memory at {base:#x} is not wholly in RAM")
            }
            RequestError::NoStub(index) => write!(
                f,
                "operation {index} asks for a real access, and the machine has no stub"
            ),
            RequestError::Regime(number) => {
                write!(f, "regime {number} does not exist on an AArch64 machine")
            }
        }
    }
}

impl core::error::Error for RequestError {}

impl RequestError {
    pub(super) fn code(self) -> (u32, u64) {
        match self {
            RequestError::Length(detail) => (1, detail),
            RequestError::Checksum(detail) => (2, detail),
            RequestError::Number(detail) => (3, detail),
            RequestError::Reserved(detail) => (4, detail),
            RequestError::Sequence(detail) => (5, detail),
            RequestError::Probe(detail) => (6, detail),
            RequestError::PoolPlace(detail) => (7, detail),
            RequestError::MemoryPlace(detail) => (8, detail),
            RequestError::NoStub(detail) => (9, detail),
            RequestError::Regime(detail) => (10, detail),
        }
    }

    pub(super) fn from_code(code: u32, detail: u64) -> Option<RequestError> {
        Some(match code {
            1 => RequestError::Length(detail),
            2 => RequestError::Checksum(detail),
            3 => RequestError::Number(detail),
            4 => RequestError::Reserved(detail),
            5 => RequestError::Sequence(detail),
            6 => RequestError::Probe(detail),
            7 => RequestError::PoolPlace(detail),
            8 => RequestError::MemoryPlace(detail),
            9 => RequestError::NoStub(detail),
            10 => RequestError::Regime(detail),
            _ => return None,
        })
    }
}

/// Writes a request to the start of `area` and answers its length. `probes` has
/// one element for each operation of the sequence.
///
/// # Errors
/// `RequestError::Length` where it is longer than `MAX_REQUEST_BYTES` or than
/// `area`, or the sequence is no multiple of 8 bytes; nothing is written then.
pub fn encode_request(
    number: u64,
    events: bool,
    sequence: &[u8],
    probes: &[Probe],
    area: &mut [u8],
) -> Result<usize, RequestError> {
    let probe_bytes = probes.len().saturating_mul(PROBE_BYTES);
    let bytes = REQUEST_HEADER_BYTES
        .saturating_add(sequence.len())
        .saturating_add(probe_bytes);
    let too_long = Err(RequestError::Length(bytes as u64));
    if bytes > MAX_REQUEST_BYTES || !sequence.len().is_multiple_of(8) {
        return too_long;
    }
    let (Some(area), Ok(sequence_bytes), Ok(count)) = (
        area.get_mut(..bytes),
        u32::try_from(sequence.len()),
        u32::try_from(probes.len()),
    ) else {
        return too_long;
    };
    put(area, 0, &number.to_le_bytes());
    put(area, 8, &sequence_bytes.to_le_bytes());
    put(area, 12, &count.to_le_bytes());
    put(
        area,
        16,
        &u64::from(if events { FLAG_EVENTS } else { 0 }).to_le_bytes(),
    );
    put(area, REQUEST_HEADER_BYTES, sequence);
    let (records, _) = area[REQUEST_HEADER_BYTES + sequence.len()..].as_chunks_mut::<PROBE_BYTES>();
    for (record, probe) in records.iter_mut().zip(probes) {
        *record = encode_probe(probe);
    }
    let sum = request_checksum(area);
    put(area, CHECKSUM_AT, &sum.to_le_bytes());
    Ok(bytes)
}

/// Reads the request at the start of `area`, which nobody else writes meanwhile.
///
/// # Errors
/// `Length`, `Reserved` or `Checksum`.
pub fn decode_request(area: &[u8]) -> Result<Request<'_>, RequestError> {
    if area.len() < REQUEST_HEADER_BYTES {
        return Err(RequestError::Length(area.len() as u64));
    }
    // Both are below 2^32, and a probe has 16 bytes: the sum fits 64 bits.
    let (sequence_bytes, count) = (u64::from(u32_at(area, 8)), u64::from(u32_at(area, 12)));
    let bytes = REQUEST_HEADER_BYTES as u64 + sequence_bytes + count * PROBE_BYTES as u64;
    let too_long = RequestError::Length(bytes);
    if bytes > MAX_REQUEST_BYTES as u64 || !sequence_bytes.is_multiple_of(8) {
        return Err(too_long);
    }
    let area = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| area.get(..bytes))
        .ok_or(too_long)?;
    let flags = u64_at(area, 16);
    if flags & !u64::from(FLAG_EVENTS) != 0 {
        return Err(RequestError::Reserved(flags));
    }
    let found = u64_at(area, CHECKSUM_AT);
    if request_checksum(area) != found {
        return Err(RequestError::Checksum(found));
    }
    let body = &area[REQUEST_HEADER_BYTES..];
    let (sequence, probes) = body.split_at(u32_at(area, 8) as usize);
    Ok(Request {
        number: u64_at(area, 0),
        events: flags != 0,
        sequence,
        probes,
    })
}

/// Over everything but the checksum itself.
fn request_checksum(request: &[u8]) -> u64 {
    let header = extend_checksum(CHECKSUM_START, &request[..CHECKSUM_AT]);
    extend_checksum(header, &request[REQUEST_HEADER_BYTES..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Method;

    const PROBES: [Probe; 2] = [
        Probe {
            method: Method::Access,
            value: 7,
        },
        Probe::NONE,
    ];

    fn example(area: &mut [u8]) -> usize {
        encode_request(5, true, &[0xab; 120], &PROBES, area).expect("a short request")
    }

    #[test]
    fn request_round_trips() {
        let mut area = [0; MAX_REQUEST_BYTES];
        example(&mut area);
        let request = decode_request(&area).expect("just encoded");
        assert_eq!(
            (request.number, request.events, request.sequence),
            (5, true, &[0xab; 120][..])
        );
        assert_eq!(request.probes(), 2);
        assert_eq!(
            (request.probe(0), request.probe(1)),
            (Ok(PROBES[0]), Ok(PROBES[1]))
        );
        assert_eq!(request.probe(2), Err(RequestError::Probe(2)));
    }

    #[test]
    fn each_changed_byte_is_an_error() {
        let mut area = [0; MAX_REQUEST_BYTES];
        let bytes = example(&mut area);
        for i in 0..bytes {
            area[i] ^= 0x80;
            assert!(decode_request(&area).is_err(), "byte {i}");
            area[i] ^= 0x80;
        }
    }

    #[test]
    fn lengths_that_overflow_the_area_are_refused() {
        let mut area = [0xff; MAX_REQUEST_BYTES];
        assert!(matches!(
            decode_request(&area),
            Err(RequestError::Length(_))
        ));
        assert!(matches!(
            decode_request(&area[..31]),
            Err(RequestError::Length(31))
        ));
        let bytes = example(&mut area);
        assert!(matches!(
            decode_request(&area[..bytes - 1]),
            Err(RequestError::Length(_))
        ));
    }

    #[test]
    fn a_request_that_does_not_fit_is_not_encoded() {
        let mut small = [0; 64];
        assert!(encode_request(1, false, &[0; 120], &[], &mut small).is_err());
        assert!(encode_request(1, false, &[0; 7], &[], &mut small).is_err());
        assert_eq!(small, [0; 64]);
    }

    #[test]
    fn errors_round_trip_through_their_codes() {
        for code in 1..=10 {
            let error = RequestError::from_code(code, 42).expect("a code of the list");
            assert_eq!(error.code(), (code, 42));
        }
        assert_eq!(RequestError::from_code(0, 0), None);
        assert_eq!(RequestError::from_code(11, 0), None);
    }
}
