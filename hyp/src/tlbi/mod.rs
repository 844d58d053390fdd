//! Operands of `TLBI` by address and by range, for any regime.
//!
//! `TLBI IPAS2E1IS` and `RIPAS2E1IS` (DDI 0487 K.a, C5.5); `VAE2IS` and `RVAE2IS`
//! hold level and range in the same bits, and the address as far as it goes. Left
//! out: ASIDs, the forms for the last level only, and which entries are stale.

use crate::addr::Ipa;
use crate::geometry::{AddressFormat, Features, Granule, Level, Shape};

const TTL: u32 = 44;
const RANGE_TTL: u32 = 37;
const RANGE_NUM: u32 = 39;
const RANGE_SCALE: u32 = 44;
const RANGE_TG: u32 = 46;
const BASE_BITS: u64 = (1 << 37) - 1;
/// `IPA[51:12]` or `VA[55:12]`.
const ADDRESS_BITS: u64 = (1 << TTL) - 1;
/// With DS, a range begins at a multiple of 64 KiB whatever the granule.
const DS_BASE_SHIFT: u32 = 16;
/// Of an instruction by range, at most: `NUM` + 1.
const MOST_UNITS: u64 = 32;

/// How operands are made for the tables of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands {
    shape: Shape,
    hints: bool,
    has_ranges: bool,
}

/// One instruction of those that invalidate a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// By address, for the entry that translates it.
    Single(Ipa),
    /// By range: `(num + 1) << (5 * scale + 1)` granules from `base` on.
    Range {
        /// First address.
        base: Ipa,
        /// 0 to 31.
        num: u64,
        /// 0 to 3.
        scale: u8,
    },
}

impl Operands {
    /// Operands for tables of `shape`, on a machine with these features.
    pub(crate) const fn new(shape: &Shape, features: &Features) -> Operands {
        Operands {
            shape: *shape,
            hints: features.ttl,
            has_ranges: features.tlb_range,
        }
    }

    /// Whether the machine invalidates by range.
    pub(crate) const fn has_ranges(&self) -> bool {
        self.has_ranges
    }

    /// `Xt` to invalidate what translates `at`: only entries that come from a leaf
    /// of this level if there is one, otherwise entries of any kind and level.
    pub(crate) const fn single(&self, at: Ipa, leaf: Option<Level>) -> u64 {
        at.raw() >> 12 & ADDRESS_BITS | self.ttl(leaf) << TTL
    }

    /// `Xt` to invalidate a range; `leaf` as for `single`.
    pub(crate) const fn range(&self, base: Ipa, num: u64, scale: u8, leaf: Option<Level>) -> u64 {
        let base_shift = if self.has_ds() {
            DS_BASE_SHIFT
        } else {
            self.shape.granule().shift() as u32
        };
        // There is no hint for level 0: the field's 0 means none. With a base that is
        // not a multiple of the leaf's size, a hint makes the range UNPREDICTABLE.
        let level = match leaf {
            Some(level) if base.is_aligned(self.shape.entry_bytes(level)) => self.ttl(leaf) & 0b11,
            _ => 0,
        };
        base.raw() >> base_shift & BASE_BITS
            | level << RANGE_TTL
            | num << RANGE_NUM
            | (scale as u64) << RANGE_SCALE
            | self.tg() << RANGE_TG
    }

    /// The instructions that invalidate `bytes` from `start` on, both multiples of
    /// the granule: exactly these, but that with DS a range by more than one
    /// granule is rounded down at its start to a multiple of 64 KiB.
    pub(crate) fn parts(&self, start: Ipa, bytes: u64) -> Parts {
        let granule = self.shape.granule();
        let base = if self.has_ds() && bytes > granule.bytes() {
            start.align_down(1 << DS_BASE_SHIFT)
        } else {
            start
        };
        let granules = (bytes + (start.raw() - base.raw())) >> granule.shift();
        Parts {
            at: base,
            granules,
            granule_shift: granule.shift(),
        }
    }

    /// The TTL field: granule and level. 4K level 0 and 16K level 1 are reserved
    /// without DS; no leaf is at level -1. Its two low bits are those of an
    /// instruction by range.
    const fn ttl(&self, leaf: Option<Level>) -> u64 {
        let Some(level) = leaf else { return 0 };
        if !self.hints {
            return 0;
        }
        match (self.shape.granule(), level.number()) {
            (Granule::K4, 0) | (Granule::K16, 1) if !self.has_ds() => 0,
            (Granule::K4, 0..=3) | (Granule::K16 | Granule::K64, 1..=3) => {
                self.tg() << 2 | level.number().unsigned_abs() as u64
            }
            _ => 0,
        }
    }

    const fn has_ds(&self) -> bool {
        matches!(self.shape.address_format(), AddressFormat::Lpa2)
    }

    /// The granule, as both kinds of operand say it.
    const fn tg(&self) -> u64 {
        match self.shape.granule() {
            Granule::K4 => 1,
            Granule::K16 => 2,
            Granule::K64 => 3,
        }
    }
}

/// The instructions of a range, with the largest units first: so each base but the
/// first lies whole units of at least 64 granules behind it, which keeps it a
/// multiple of 64 KiB, or is that of a single granule.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    at: Ipa,
    granules: u64,
    granule_shift: u8,
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let base = self.at;
        let (part, granules) = match self.granules {
            0 => return None,
            1 => (Part::Single(base), 1),
            more => {
                let scale = largest_scale(more);
                let units = (more / unit(scale)).min(MOST_UNITS);
                let num = units - 1;
                (Part::Range { base, num, scale }, units * unit(scale))
            }
        };
        self.granules -= granules;
        self.at = base.forward(granules << self.granule_shift);
        Some(part)
    }
}

/// Granules that `NUM` counts in.
const fn unit(scale: u8) -> u64 {
    1 << (5 * scale + 1)
}

/// The largest scale with a unit of at most `granules`, which are at least 2.
const fn largest_scale(granules: u64) -> u8 {
    let mut scale = 0;
    while scale < 3 && granules >= unit(scale + 1) {
        scale += 1;
    }
    scale
}

#[cfg(test)]
mod tests;
