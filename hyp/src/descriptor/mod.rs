//! Descriptors, bit by bit: here and nowhere else in this crate.
//!
//! Format VMSAv8-64, DDI 0487 K.a D8.3, which AArch32's long format is part of.
//! `Descriptor` is the 8 bytes and what can be told from them in every format;
//! `Addresses` is where they hold addresses, in every regime. For Stage-2,
//! `Attributes` is what a leaf says beside its address, and `Format` knows where the
//! bits stand that depend on granule, DS and features; `el2` has the same for EL2's
//! own stage 1. Left out: permission indirection, PBHA, the attributes of Realms.

mod addresses;
mod attributes;
pub mod el2;
mod format;

pub use addresses::Addresses;
pub use attributes::{Attributes, AttributesError, Execute, MemoryType, Permissions, Prot};
pub use format::Format;

use crate::geometry::Level;
use attributes::{
    ACCESS_FLAG, CONTIGUOUS, DBM, MEM_ATTR_TYPE, S2AP_WRITE, SOFTWARE, SOFTWARE_SHIFT,
};
use core::num::NonZeroU8;

const VALID: u64 = 1 << 0;
/// Bit 1: a table above level 3, a page at level 3; clear for a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bit 63 of an invalid descriptor tells an annotation from a leaf that lost its
/// bit 0: no leaf that is made here has bit 63.
const ANNOTATION: u64 = 1 << 63;
const OWNER_SHIFT: u32 = 8;

/// What a descriptor is, at the level where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Translates nothing.
    Invalid,
    /// Leads to a table of the next level.
    Table,
    /// A block or page.
    Leaf,
}

/// What an invalid descriptor keeps. Hardware ignores all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Nothing: the descriptor is 0.
    Empty,
    /// Who owns the memory that would stand here.
    Owned(NonZeroU8),
    /// A leaf without its bit 0, whole otherwise.
    Soft,
}

/// A descriptor as it stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Descriptor(u64);

impl Descriptor {
    /// The descriptor that breaks an entry.
    pub const INVALID: Descriptor = Descriptor(0);

    /// The descriptor of these 8 bytes.
    #[inline]
    #[must_use]
    pub const fn from_raw(raw: u64) -> Descriptor {
        Descriptor(raw)
    }

    /// The invalid descriptor that says who owns the memory.
    #[must_use]
    pub const fn annotation(owner: NonZeroU8) -> Descriptor {
        Descriptor(ANNOTATION | (owner.get() as u64) << OWNER_SHIFT)
    }

    /// Its 8 bytes.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether bit 0 says that it translates something. (At level 3 one encoding
    /// with this bit is reserved; nothing here makes it.)
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & VALID != 0
    }

    /// What it is at `level` (DecodeDescriptorType; 0b01 at level 3 is reserved
    /// and invalid).
    #[inline]
    #[must_use]
    pub fn kind(self, level: Level) -> Kind {
        match (self.0 & (VALID | TABLE_OR_PAGE), level == Level::PAGE) {
            (0b11, true) | (0b01, false) => Kind::Leaf,
            (0b11, false) => Kind::Table,
            _ => Kind::Invalid,
        }
    }

    /// What it keeps although it is invalid, or `None` if it is valid.
    #[inline]
    #[must_use]
    pub const fn absence(self) -> Option<Absence> {
        if self.is_valid() {
            return None;
        }
        Some(match self.owner() {
            Some(owner) => Absence::Owned(owner),
            None if self.0 == 0 => Absence::Empty,
            None => Absence::Soft,
        })
    }

    /// The owner that an annotation names; `None` of everything else.
    #[inline]
    #[must_use]
    pub const fn owner(self) -> Option<NonZeroU8> {
        if self.0 & (ANNOTATION | VALID) != ANNOTATION {
            return None;
        }
        let [_, owner, ..] = self.0.to_le_bytes();
        NonZeroU8::new(owner)
    }

    /// A leaf without its bit 0: invalid, and all else kept.
    #[inline]
    #[must_use]
    pub const fn softened(self) -> Descriptor {
        Descriptor(self.0 & !VALID)
    }

    /// The leaf that was softened; `None` of everything else.
    #[inline]
    #[must_use]
    pub const fn revived(self) -> Option<Descriptor> {
        match self.absence() {
            Some(Absence::Soft) => Some(Descriptor(self.0 | VALID)),
            _ => None,
        }
    }
}

/// What can be told of a Stage-2 leaf, valid or softened, and changed in it,
/// whatever its level and format.
impl Descriptor {
    /// Whether the access flag is set.
    #[inline]
    #[must_use]
    pub const fn is_young(self) -> bool {
        self.0 & ACCESS_FLAG != 0
    }

    /// With the access flag set.
    #[inline]
    #[must_use]
    pub const fn with_young(self) -> Descriptor {
        Descriptor(self.0 | ACCESS_FLAG)
    }

    /// With the access flag clear.
    #[inline]
    #[must_use]
    pub const fn without_young(self) -> Descriptor {
        Descriptor(self.0 & !ACCESS_FLAG)
    }

    /// Whether a store is permitted, be it that hardware has to record it.
    #[inline]
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & (S2AP_WRITE | DBM) != 0
    }

    /// Whether the memory may have been written through it: hardware recorded a
    /// store, or lets stores through without recording them.
    #[inline]
    #[must_use]
    pub const fn is_dirty(self) -> bool {
        self.0 & S2AP_WRITE != 0
    }

    /// Without permission to store, and so without the record of stores.
    #[inline]
    #[must_use]
    pub const fn without_write(self) -> Descriptor {
        Descriptor(self.0 & !(S2AP_WRITE | DBM))
    }

    /// With other permissions; a device's leaf gets none to fetch. A store that was
    /// recorded stays recorded where hardware can still record them.
    #[inline]
    #[must_use]
    pub const fn with_permissions(self, permissions: Permissions) -> Descriptor {
        permissions.of(self)
    }

    /// As it was made: with the access flag set and, where hardware records
    /// stores, none recorded. Two leaves that differ only in what hardware and
    /// aging do to them are the same so.
    #[inline]
    #[must_use]
    pub const fn as_made(self) -> Descriptor {
        if self.0 & DBM != 0 {
            Descriptor((self.0 | ACCESS_FLAG) & !S2AP_WRITE)
        } else {
            self.with_young()
        }
    }

    /// As if neither hardware nor software had recorded an access.
    #[must_use]
    pub const fn without_record(self) -> Descriptor {
        self.as_made().without_young()
    }

    /// With what is recorded in `other`, a leaf of the same attributes otherwise:
    /// young if one of the two is, and dirty if one of them is.
    #[must_use]
    pub const fn with_record_of(self, other: Descriptor) -> Descriptor {
        Descriptor(self.0 | other.0 & (ACCESS_FLAG | S2AP_WRITE))
    }

    /// Whether its memory is of a device type.
    #[inline]
    #[must_use]
    pub const fn is_device(self) -> bool {
        self.0 & MEM_ATTR_TYPE == 0
    }

    /// What it permits.
    #[must_use]
    pub const fn prot(self) -> Prot {
        Prot::of(self)
    }

    /// Its memory type.
    #[must_use]
    pub const fn memory(self) -> MemoryType {
        MemoryType::of(self)
    }

    /// The 4 bits that hardware leaves to software.
    #[inline]
    #[must_use]
    pub const fn software(self) -> u8 {
        // Four bits, by the mask.
        ((self.0 & SOFTWARE) >> SOFTWARE_SHIFT).to_le_bytes()[0]
    }

    /// Whether it carries the contiguous hint.
    #[inline]
    #[must_use]
    pub const fn is_contiguous(self) -> bool {
        self.0 & CONTIGUOUS != 0
    }

    /// With the contiguous hint.
    #[inline]
    #[must_use]
    pub const fn with_contiguous(self) -> Descriptor {
        Descriptor(self.0 | CONTIGUOUS)
    }

    /// Without the contiguous hint.
    #[inline]
    #[must_use]
    pub const fn without_contiguous(self) -> Descriptor {
        Descriptor(self.0 & !CONTIGUOUS)
    }
}

#[cfg(test)]
mod tests;
