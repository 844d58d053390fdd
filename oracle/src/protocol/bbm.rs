//! Break-before-make: which changes of a valid descriptor to another valid one the
//! architecture allows in place (DDI 0487 K.a, "Using break-before-make when updating
//! translation table entries", R_WHZWS).
//!
//! It leaves out the contents of memory, which events do not show: another output
//! address may always have other contents.

use std::fmt;

use crate::descriptor::{ACCESS_FLAG, CONTIGUOUS};
use crate::ledger::{Format, Place};
use crate::walk::Entry;

/// By what a subject's changes of live descriptors are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    /// G4 of the contract: whatever changes goes through invalid.
    #[default]
    Contract,
    /// The architecture alone: where the machine's FEAT_BBM level demands it.
    Architecture,
}

/// A valid descriptor and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Valid {
    pub(super) place: Place,
    pub(super) descriptor: u64,
}

impl Valid {
    pub(super) fn entry(self, format: &Format) -> Entry {
        format.entry(self.place.level, self.descriptor)
    }
}

/// What changes so that break-before-make is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Size,
    Table,
    OutputAddress,
    MemoryType,
    Shareability,
    Contiguous,
}

const MEM_ATTR: u64 = 0b1111 << 2;
const SHAREABILITY: u64 = 0b11 << 8;
const NT: u64 = 1 << 16;
const SOFTWARE: u64 = 0b1111 << 55;

/// Why a TLB that may hold `old` must not meet `new`; `None` where it may. The two
/// share an address.
///
/// The access flag is of no concern to R_WHZWS: an entry with AF = 0 is as live as any.
pub(super) fn required(format: &Format, bbm: u8, old: Valid, new: Valid) -> Option<Why> {
    match (old.entry(format), new.entry(format)) {
        (Entry::Invalid, _) | (_, Entry::Invalid) => None,
        (Entry::Table { next: one }, Entry::Table { next: two }) => {
            (old.place == new.place && one != two).then_some(Why::Table)
        }
        // A table above a new leaf was judged when the table was replaced, and the
        // leaves of a new table are judged one by one.
        (Entry::Table { .. }, Entry::Leaf { .. }) if old.place.level < new.place.level => None,
        (Entry::Leaf { .. }, Entry::Table { .. }) if old.place != new.place => None,
        (Entry::Table { .. }, Entry::Leaf { .. }) => size(bbm, new),
        (Entry::Leaf { .. }, Entry::Table { .. }) => size(bbm, old),
        (Entry::Leaf { .. }, Entry::Leaf { .. }) => {
            let larger = if old.place.level < new.place.level {
                old
            } else {
                new
            };
            let size_of_block = || size(bbm, larger);
            let resized = old.place.level != new.place.level;
            resized.then(size_of_block).flatten().or_else(|| {
                let moved = || is_moved(format, old, new).then_some(Why::OutputAddress);
                attributes(format, bbm, resized, old.descriptor, new.descriptor).or_else(moved)
            })
        }
    }
}

/// Whether two leaves that share an address translate it to two.
pub(super) fn is_moved(format: &Format, one: Valid, two: Valid) -> bool {
    let first = one.place.ipa.max(two.place.ipa);
    let output = |of: Valid| match of.entry(format) {
        Entry::Leaf { pa } => Some(pa.wrapping_add(first.wrapping_sub(of.place.ipa))),
        Entry::Invalid | Entry::Table { .. } => None,
    };
    output(one) != output(two)
}

/// Table against block, or blocks of two sizes: level 2 allows it, level 1 where the
/// block has nT set.
fn size(bbm: u8, block: Valid) -> Option<Why> {
    let allowed = bbm >= 2 || bbm == 1 && block.descriptor & NT != 0;
    (!allowed).then_some(Why::Size)
}

fn attributes(format: &Format, bbm: u8, resized: bool, old: u64, new: u64) -> Option<Why> {
    let changed = old ^ new;
    // With DS these bits are of the address, and VTCR_EL2.SH0 stands for all.
    let has_shareability = !format.has_wide_addresses();
    if changed & MEM_ATTR != 0 {
        Some(Why::MemoryType)
    } else if changed & SHAREABILITY != 0 && has_shareability && is_cacheable(new) {
        Some(Why::Shareability)
    } else if changed & CONTIGUOUS != 0 && !resized && bbm < 2 {
        Some(Why::Contiguous)
    } else {
        None
    }
}

/// Device memory, and normal memory that is inner and outer Non-cacheable, is outer
/// shareable whatever SH says.
fn is_cacheable(descriptor: u64) -> bool {
    let mem_attr = descriptor >> 2 & 0b1111;
    mem_attr & 0b1100 != 0 && mem_attr != 0b0101
}

/// Whether a leaf that replaces a leaf leaves nothing in a TLB that differs: software
/// bits are in none, nor is an entry whose access flag was 0: hardware that sets flags
/// sets this one before it keeps the entry.
pub(super) fn needs_no_invalidation(old: u64, new: u64) -> bool {
    let mut ignored = SOFTWARE;
    if old & ACCESS_FLAG == 0 {
        ignored |= ACCESS_FLAG;
    }
    (old ^ new) & !ignored == 0
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Size => "another size of translation",
            Why::Table => "another table",
            Why::OutputAddress => "another output address",
            Why::MemoryType => "another memory type or cacheability",
            Why::Shareability => "another shareability",
            Why::Contiguous => "another Contiguous bit",
        })
    }
}
