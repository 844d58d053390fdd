//! Why operations are refused, or stop.

use crate::addr::{Ipa, Pa, PaRange};
use crate::descriptor::AttributesError;
use crate::geometry::{GeometryError, RootError};
use crate::vmid::Vmid;

/// Why an address space cannot be created. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// It exists.
    Exists,
    /// The configuration is illegal.
    Configuration(GeometryError),
    /// The machine's VMIDs are narrower than this one.
    Vmid(Vmid),
    /// The page source has no aligned run of `1 << order` pages.
    NoMemory {
        /// Binary logarithm of the pages of the root.
        order: u8,
    },
    /// Pages of the source have this size in bytes, which is not the granule.
    PageSize(u64),
    /// The source lent pages that cannot be a root; they went back.
    Root(RootError),
}

/// Why a range of IPAs is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It holds no byte.
    Empty,
    /// This address or size is not a multiple of what it must be a multiple of: the
    /// granule, or for build what an entry covers.
    Misaligned(u64),
    /// From this address on, the length wraps around.
    Wraps(u64),
    /// It ends here, or this address lies, past the IPA size.
    BeyondIpaSize(Ipa),
}

/// Why an operation on an address space is refused, or stopped. But for `NoPages`
/// nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The address space does not exist.
    NoSpace,
    /// The address space is being destroyed.
    Dying,
    /// The range is refused.
    Range(RangeError),
    /// The physical range ends here, past the output size.
    BeyondOutputSize(Pa),
    /// No leaf, or not this one, can have these attributes.
    Attributes(AttributesError),
    /// The physical range overlaps this one, which no guest may be given.
    Denied(PaRange),
    /// No leaf covers this address.
    NotMapped(Ipa),
    /// No owner has this number.
    Owner(u8),
    /// Something is built already.
    Busy,
    /// No entry of this level can lead to a table.
    Level(i8),
    /// Nothing is built.
    NothingBuilt,
    /// No tables lead down to the entry at this address.
    NoPath(Ipa),
    /// The page cache ran short. Where `done` is 0, nothing has changed. Otherwise
    /// the first `done` bytes are as asked for, the rest means what it meant, and the
    /// operation can be called again.
    NoPages {
        /// Bytes done, up to an entry boundary.
        done: u64,
        /// Pages that the next step needs at once; `u16::MAX` stands for more too.
        need: u16,
    },
}

impl From<RangeError> for Error {
    fn from(error: RangeError) -> Error {
        Error::Range(error)
    }
}

impl From<AttributesError> for Error {
    fn from(error: AttributesError) -> Error {
        Error::Attributes(error)
    }
}
