//! How the descriptors of a regime are read by who follows its tables: types,
//! addresses, sizes, and the bits that hardware sets by itself.
//!
//! It leaves out permissions and attributes, which only a walk needs.

use crate::descriptor::{ACCESS_FLAG, DIRTY};
use crate::params::WalkParams;
use crate::regime::Walker;
use crate::walk::{Entry, Stage2};

/// The descriptors of one stage under one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    params: WalkParams,
    start_level: Option<i8>,
}

impl From<Stage2> for Format {
    fn from(stage2: Stage2) -> Format {
        Format {
            params: stage2.params,
            start_level: stage2.start_level(),
        }
    }
}

impl From<Walker> for Format {
    fn from(walker: Walker) -> Format {
        Format {
            params: *walker.params(),
            start_level: walker.start_level(),
        }
    }
}

impl Format {
    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        self.start_level
    }

    /// Type and address of a descriptor of `level`. A level that the granule does not
    /// have holds nothing but invalid entries.
    #[inline]
    pub fn entry(&self, level: i8, descriptor: u64) -> Entry {
        // Most are invalid or become so: this is all that they need.
        if descriptor & 1 == 0 {
            return Entry::Invalid;
        }
        self.params.entry_of_any_level(level, descriptor)
    }

    /// The bytes of input addresses that an entry of `level` covers; 0 for a level that
    /// the granule does not have.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        self.params.entry_bytes(level)
    }

    /// Entries of one table.
    pub fn entries_per_table(&self) -> u32 {
        1 << self.params.stride()
    }

    /// The size of input addresses in bits.
    pub(crate) fn input_bits(&self) -> u8 {
        self.params.input_bits
    }

    /// Whether bits 9:8 and 49:48 of a descriptor belong to the address (DS).
    pub(crate) fn has_wide_addresses(&self) -> bool {
        self.params.ds
    }

    /// Of the bits in which two leaves of any levels differ, those that are attributes:
    /// bits 11:2 and 63:50, but for 9:8 where these belong to the address.
    pub(crate) fn attributes(&self, changed: u64) -> u64 {
        let address = if self.has_wide_addresses() {
            0b11 << 8
        } else {
            0
        };
        changed & (0b1111_1111_1100 | !0 << 50) & !address
    }

    /// Binary logarithm of the entries in a contiguous region of `level`; `None` where
    /// the bit is ignored.
    pub(crate) fn group_bits(&self, level: i8) -> Option<u8> {
        self.params.contiguous_bits(level)
    }

    /// Whether hardware sets any bit of a descriptor by itself.
    pub(crate) fn is_updated_by_hardware(&self) -> bool {
        self.params.hardware_access_flag
    }

    /// The bits of a leaf that hardware may set by itself: the access flag with HA, and
    /// the dirty state of a leaf with DBM where HD acts too.
    pub(crate) fn hardware_bits(&self, leaf: u64) -> u64 {
        let flag = u64::from(self.params.hardware_access_flag) * ACCESS_FLAG;
        let dirty = u64::from(self.params.has_dirty_state(leaf)) * DIRTY;
        flag | dirty
    }

    /// Whether hardware alone may have made `now` of a descriptor of `level`.
    pub(crate) fn hardware_may_make(&self, level: i8, before: u64, now: u64) -> bool {
        let set = before ^ now;
        set & self.hardware_bits(before) == set
            && before & set == 0
            && matches!(self.entry(level, before), Entry::Leaf { .. })
    }
}
