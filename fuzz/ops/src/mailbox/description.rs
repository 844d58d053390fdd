//! What the image says about itself: the note in its ELF file, and the
//! description of the machine that it writes into the mailbox at boot.

use super::{MAILBOX_VERSION, checksum, field, put, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"twofold\0";
const CHECKSUM_AT: usize = 64;

/// Length of an encoded `Description`.
pub const DESCRIPTION_BYTES: usize = CHECKSUM_AT + 8;

/// The machine as the image found it at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// `ID_AA64MMFR0_EL1`, `ID_AA64MMFR1_EL1`, `ID_AA64MMFR2_EL1`.
    pub mmfr: [u64; 3],
    /// `ID_AA64ISAR0_EL1`.
    pub isar0: u64,
    /// `MIDR_EL1`.
    pub midr: u64,
    /// `CNTFRQ_EL0`, in Hz.
    pub counter_hz: u64,
}

/// Why the mailbox holds no description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionError {
    /// It does not start with the magic: no image has booted.
    Magic([u8; 8]),
    /// The image speaks another version.
    Version(u32),
    /// A byte that must be zero is not.
    Reserved(u32),
    /// The checksum is another one.
    Checksum {
        /// Of the bytes.
        computed: u64,
        /// In the mailbox.
        found: u64,
    },
}

impl core::fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            DescriptionError::Magic(found) => write!(
                f,
                "the mailbox starts with {found:02x?}, not with \"twofold\""
            ),
            DescriptionError::Version(found) => write!(
                f,
                "the image speaks version {found} of the mailbox, not {MAILBOX_VERSION}"
            ),
            DescriptionError::Reserved(found) => write!(
                f,
                "reserved bytes of the machine description hold {found:#x}"
            ),
            DescriptionError::Checksum { computed, found } => {
                write!(
                    f,
                    "checksum {found:#018x} of the machine description, where its bytes give {computed:#018x}"
                )
            }
        }
    }
}

impl core::error::Error for DescriptionError {}

/// The description as it stands in the mailbox.
#[must_use]
pub fn encode_description(description: &Description) -> [u8; DESCRIPTION_BYTES] {
    let mut bytes = [0; DESCRIPTION_BYTES];
    put(&mut bytes, 0, &MAGIC);
    put(&mut bytes, 8, &MAILBOX_VERSION.to_le_bytes());
    for (i, mmfr) in description.mmfr.iter().enumerate() {
        put(&mut bytes, 16 + 8 * i, &mmfr.to_le_bytes());
    }
    put(&mut bytes, 40, &description.isar0.to_le_bytes());
    put(&mut bytes, 48, &description.midr.to_le_bytes());
    put(&mut bytes, 56, &description.counter_hz.to_le_bytes());
    let sum = checksum(&bytes[..CHECKSUM_AT]);
    put(&mut bytes, CHECKSUM_AT, &sum.to_le_bytes());
    bytes
}

/// Reads a description.
///
/// # Errors
/// The first of the reasons that `DescriptionError` lists. Memory in which no
/// image has booted yet answers `Magic`; one that is being written may answer
/// `Checksum`.
pub fn decode_description(
    bytes: &[u8; DESCRIPTION_BYTES],
) -> Result<Description, DescriptionError> {
    let magic = field(bytes, 0);
    if magic != MAGIC {
        return Err(DescriptionError::Magic(magic));
    }
    let version = u32_at(bytes, 8);
    if version != MAILBOX_VERSION {
        return Err(DescriptionError::Version(version));
    }
    let reserved = u32_at(bytes, 12);
    if reserved != 0 {
        return Err(DescriptionError::Reserved(reserved));
    }
    let (computed, found) = (checksum(&bytes[..CHECKSUM_AT]), u64_at(bytes, CHECKSUM_AT));
    if computed != found {
        return Err(DescriptionError::Checksum { computed, found });
    }
    let mmfr = core::array::from_fn(|i| u64_at(bytes, 16 + 8 * i));
    Ok(Description {
        mmfr,
        isar0: u64_at(bytes, 40),
        midr: u64_at(bytes, 48),
        counter_hz: u64_at(bytes, 56),
    })
}

/// Name of the ELF note, its terminating zero included.
pub const NOTE_NAME: &[u8; 8] = b"Twofold\0";
/// Type of the ELF note.
pub const NOTE_TYPE: u32 = 1;
/// Length of the descriptor of the ELF note.
pub const NOTE_BYTES: usize = 24;

/// Descriptor of the ELF note by which the image is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Address of the mailbox, as symbol `TWOFOLD_MAILBOX` has it.
    pub mailbox: u64,
    /// First address for pools, as symbol `TWOFOLD_POOL` has it.
    pub pool: u64,
}

/// Why a note's descriptor is not the image's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// It has another length.
    Length(usize),
    /// The image speaks another version.
    Version(u32),
    /// A byte that must be zero is not.
    Reserved(u32),
}

impl core::fmt::Display for NoteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            NoteError::Length(found) => {
                write!(f, "the image's note has {found} bytes, not {NOTE_BYTES}")
            }
            NoteError::Version(found) => write!(
                f,
                "the image speaks version {found} of the mailbox, not {MAILBOX_VERSION}"
            ),
            NoteError::Reserved(found) => {
                write!(f, "reserved bytes of the image's note hold {found:#x}")
            }
        }
    }
}

impl core::error::Error for NoteError {}

/// The note's descriptor.
#[must_use]
pub const fn encode_note(note: &Note) -> [u8; NOTE_BYTES] {
    let version = MAILBOX_VERSION.to_le_bytes();
    let (mailbox, pool) = (note.mailbox.to_le_bytes(), note.pool.to_le_bytes());
    let mut bytes = [0; NOTE_BYTES];
    let mut i = 0;
    while i < 8 {
        if i < version.len() {
            bytes[i] = version[i];
        }
        bytes[8 + i] = mailbox[i];
        bytes[16 + i] = pool[i];
        i += 1;
    }
    bytes
}

/// Reads a note's descriptor.
///
/// # Errors
/// The first of the reasons that `NoteError` lists.
pub fn decode_note(bytes: &[u8]) -> Result<Note, NoteError> {
    if bytes.len() != NOTE_BYTES {
        return Err(NoteError::Length(bytes.len()));
    }
    let version = u32_at(bytes, 0);
    if version != MAILBOX_VERSION {
        return Err(NoteError::Version(version));
    }
    let reserved = u32_at(bytes, 4);
    if reserved != 0 {
        return Err(NoteError::Reserved(reserved));
    }
    Ok(Note {
        mailbox: u64_at(bytes, 8),
        pool: u64_at(bytes, 16),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: Description = Description {
        mmfr: [0x1125, 0x10_2122, 0x1_2012],
        isar0: 0x0221_1110_0001_0000,
        midr: 0x000f_0510,
        counter_hz: 62_500_000,
    };

    #[test]
    fn description_round_trips() {
        assert_eq!(
            decode_description(&encode_description(&DESCRIPTION)),
            Ok(DESCRIPTION)
        );
    }

    #[test]
    fn empty_memory_has_no_magic() {
        assert_eq!(
            decode_description(&[0; DESCRIPTION_BYTES]),
            Err(DescriptionError::Magic([0; 8]))
        );
    }

    #[test]
    fn each_changed_byte_of_a_description_is_an_error() {
        for i in 0..DESCRIPTION_BYTES {
            let mut bytes = encode_description(&DESCRIPTION);
            bytes[i] ^= 0x10;
            assert!(decode_description(&bytes).is_err(), "byte {i}");
        }
    }

    #[test]
    fn note_round_trips() {
        let note = Note {
            mailbox: 0x4400_0000,
            pool: 0x4800_0000,
        };
        assert_eq!(decode_note(&encode_note(&note)), Ok(note));
    }

    #[test]
    fn note_of_another_length_or_version_is_refused() {
        let bytes = encode_note(&Note {
            mailbox: 0,
            pool: 0,
        });
        assert_eq!(
            decode_note(&bytes[1..]),
            Err(NoteError::Length(NOTE_BYTES - 1))
        );
        let mut other = bytes;
        other[0] = 0x7f;
        assert_eq!(decode_note(&other), Err(NoteError::Version(0x7f)));
    }
}
