//! The operands of `TLBI` by address, as the architecture decodes them.

use std::fmt;

use crate::arch::Granule;
use crate::operation::Machine;

/// By address, bits 47:44.
const TTL_SHIFT: u32 = 44;

/// What decides how an operand is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    granule: Granule,
    /// `VTCR_EL2.DS`, `TCR_EL2.DS`.
    ds: bool,
    /// FEAT_LPA2: level 0 of 4K and level 1 of 16K are hints.
    lpa2: bool,
    /// FEAT_TTL.
    ttl: bool,
}

/// A decoded operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The raw value.
    pub raw: u64,
    /// The address that it names, or the first of the range.
    pub ipa: u64,
    /// The bytes of the range; 1 where it names an address.
    pub bytes: u64,
    /// What its TTL field says about the leaves that translate these addresses.
    pub hint: Hint,
}

/// The TTL field, or what makes the whole of an operand void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Any level.
    None,
    /// A leaf at this level, in this machine's granule.
    Level(i8),
    /// Another granule than this machine's.
    OtherGranule,
    /// Bits that are RES0 are set, or TG is reserved: nothing is promised.
    Reserved,
}

impl Encoding {
    /// That of a machine. The registers hold the machine's DS while any guest runs (R1).
    pub fn of(machine: &Machine) -> Encoding {
        Encoding {
            granule: machine.granule,
            ds: machine.ds,
            lpa2: machine.features.lpa2_4k || machine.features.lpa2_16k,
            ttl: machine.ttl,
        }
    }

    /// The operand of `TLBI IPAS2E1IS`: `IPA[51:12]` in bits 39:0. Bits 43:40 are
    /// `IPA[55:52]`, RES0 without FEAT_D128, and NS (bit 63) is RES0 in Non-secure state.
    ///
    /// DDI 0487 K.a: AArch64.TLBI_IPAS2, TLBI IPAS2E1IS.
    pub fn by_ipa(&self, raw: u64) -> Operand {
        const RESERVED: u64 = 0xffff_0f00_0000_0000;
        self.by_address(raw, RESERVED, raw & ((1 << 40) - 1))
    }

    /// The operand of `TLBI VAE2IS`: `VA[55:12]` in bits 43:0. ASID (63:48) is RES0 in a
    /// regime with one VA range.
    ///
    /// DDI 0487 K.a: AArch64.TLBI_VA, TLBI VAE2IS.
    pub fn by_va(&self, raw: u64) -> Operand {
        const RESERVED: u64 = 0xffff_0000_0000_0000;
        self.by_address(raw, RESERVED, raw & ((1 << 44) - 1))
    }

    /// The operand of `TLBIMVAHIS`: an address, of which bits 11:0 are not looked at.
    pub fn by_mva(&self, raw: u64) -> Operand {
        Operand {
            raw,
            ipa: raw & 0xffff_f000,
            bytes: 1,
            hint: Hint::None,
        }
    }

    fn by_address(&self, raw: u64, reserved: u64, page: u64) -> Operand {
        let ttl = raw >> TTL_SHIFT & 0xf;
        let hint = if raw & reserved != 0 || !self.ttl && ttl != 0 {
            Hint::Reserved
        } else {
            self.hint(ttl >> 2, level(ttl & 3))
        };
        Operand {
            raw,
            ipa: page << 12,
            bytes: 1,
            hint,
        }
    }

    /// The operand of `TLBI RIPAS2E1IS` and `TLBI RVAE2IS`: BaseADDR (36:0), TTL (38:37),
    /// NUM (43:39), SCALE (45:44) and TG (47:46); the rest is RES0.
    ///
    /// DDI 0487 K.a: TLBIRange.
    pub fn range(&self, raw: u64) -> Operand {
        let field = |lsb: u32, width: u32| raw >> lsb & ((1 << width) - 1);
        let granule_bits = match field(46, 2) {
            1 => 12,
            2 => 14,
            3 => 16,
            _ => 0,
        };
        let unit_bits = if self.ds { 16 } else { granule_bits };
        let granules = (field(39, 5) + 1) << (5 * field(44, 2) + 1);
        let hint = if raw >> 48 != 0 || granule_bits == 0 {
            Hint::Reserved
        } else if granule_bits != self.granule.bits() {
            Hint::OtherGranule
        } else if field(37, 2) == 0 {
            Hint::None
        } else {
            self.hint(field(46, 2), level(field(37, 2)))
        };
        // BaseADDR is signed: bit 36 is that of no address which a table translates.
        let base = (field(0, 37) << 27).cast_signed() >> 27;
        let ipa = base.cast_unsigned() << unit_bits;
        Operand {
            raw,
            ipa,
            bytes: granules << granule_bits,
            hint: self.based(hint, ipa),
        }
    }

    /// The hint of a range from `ipa` on, which is void where no leaf of its level begins:
    /// which entries the range then covers is UNPREDICTABLE.
    ///
    /// DDI 0487 K.a: TLBI RIPAS2E1IS, TTL.
    fn based(&self, hint: Hint, ipa: u64) -> Hint {
        match hint {
            Hint::Level(level) if !ipa.is_multiple_of(self.leaf_bytes(level)) => Hint::Reserved,
            hint => hint,
        }
    }

    /// Bytes that a leaf of a level maps.
    fn leaf_bytes(&self, level: i8) -> u64 {
        let page_bits = u32::from(self.granule.bits());
        let levels = u32::from(3_i8.saturating_sub(level).unsigned_abs());
        1 << (page_bits + levels * (page_bits - 3))
    }

    /// A leaf's level in a granule that is encoded as in TTL and TG.
    fn hint(&self, granule: u64, level: i8) -> Hint {
        let own = match self.granule {
            Granule::K4 => 1,
            Granule::K16 => 2,
            Granule::K64 => 3,
        };
        match (granule, level) {
            // Reserved encodings act as if there were no hint.
            (0, _) | (2 | 3, 0) => Hint::None,
            (1, 0) | (2, 1) if !self.lpa2 => Hint::None,
            _ if granule == own => Hint::Level(level),
            _ => Hint::OtherGranule,
        }
    }
}

/// A field of two bits.
fn level(field: u64) -> i8 {
    (field & 3).to_le_bytes()[0].cast_signed()
}

impl Operand {
    /// The last address that it concerns; `None` where it concerns none.
    pub(super) fn last(&self) -> Option<u64> {
        self.ipa.checked_add(self.bytes.checked_sub(1)?)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operand {:#x}, IPA {:#x}", self.raw, self.ipa)?;
        if self.bytes != 1 {
            write!(f, " and {:#x} bytes", self.bytes)?;
        }
        match self.hint {
            Hint::None => Ok(()),
            Hint::Level(level) => write!(f, ", TTL: a leaf at level {level}"),
            Hint::OtherGranule => f.write_str(", for another granule"),
            Hint::Reserved => f.write_str(", reserved bits set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(granule: Granule) -> Encoding {
        Encoding {
            granule,
            ds: false,
            lpa2: false,
            ttl: true,
        }
    }

    fn by_ipa(raw: u64, granule: Granule) -> Hint {
        encoding(granule).by_ipa(raw).hint
    }

    #[test]
    fn the_address_is_in_units_of_4k_whatever_the_granule() {
        for granule in [Granule::K4, Granule::K16, Granule::K64] {
            assert_eq!(encoding(granule).by_ipa(0x8_0010).ipa, 0x8001_0000);
            assert_eq!(encoding(granule).by_va(0x8_0010).ipa, 0x8001_0000);
        }
    }

    #[test]
    fn a_hint_needs_the_machines_granule() {
        let raw = 0b1111 << TTL_SHIFT;
        assert_eq!(by_ipa(raw, Granule::K64), Hint::Level(3));
        assert_eq!(by_ipa(raw, Granule::K4), Hint::OtherGranule);
    }

    #[test]
    fn the_highest_levels_are_hints_with_lpa2_only() {
        for (granule, ttl, level) in [(Granule::K4, 0b0100, 0), (Granule::K16, 0b1001, 1)] {
            let with = Encoding {
                lpa2: true,
                ..encoding(granule)
            };
            let raw = ttl << TTL_SHIFT;
            assert_eq!(by_ipa(raw, granule), Hint::None);
            assert_eq!(with.by_ipa(raw).hint, Hint::Level(level));
        }
        // Level 0 of the others is reserved, with FEAT_LPA2 or without.
        assert_eq!(by_ipa(0b1100 << TTL_SHIFT, Granule::K64), Hint::None);
        assert_eq!(by_ipa(0b1000 << TTL_SHIFT, Granule::K16), Hint::None);
    }

    #[test]
    fn without_ttl_its_bits_are_reserved() {
        let without = Encoding {
            ttl: false,
            ..encoding(Granule::K4)
        };
        assert_eq!(without.by_ipa(0b0111 << TTL_SHIFT).hint, Hint::Reserved);
        assert_eq!(without.by_ipa(1).hint, Hint::None);
    }

    #[test]
    fn a_range_that_begins_inside_of_a_block_has_no_hint_of_the_blocks_level() {
        // TG, TTL of level 2, and the base in pages.
        let range = |base: u64| encoding(Granule::K4).range(1 << 46 | 2 << 37 | base).hint;
        assert_eq!(range(512), Hint::Level(2));
        assert_eq!(range(513), Hint::Reserved);
    }

    #[test]
    fn reserved_bits_spoil_the_operand() {
        for bit in [40, 43, 48, 63] {
            assert_eq!(by_ipa(1 << bit, Granule::K4), Hint::Reserved, "bit {bit}");
        }
        let encoding = encoding(Granule::K4);
        assert_eq!(encoding.by_va(1 << 43).hint, Hint::None);
        assert_eq!(encoding.by_va(1 << 48).hint, Hint::Reserved);
        assert_eq!(encoding.range(1 << 48 | 1 << 46).hint, Hint::Reserved);
        assert_eq!(encoding.range(0).hint, Hint::Reserved, "TG = 0");
    }

    /// A range operand.
    fn range(granule: u64, base: u64, scale: u64, num: u64, level: u64) -> u64 {
        granule << 46 | scale << 44 | num << 39 | level << 37 | base
    }

    #[test]
    fn a_range_is_in_granules() {
        for (granule, code, bits) in [
            (Granule::K4, 1, 12),
            (Granule::K16, 2, 14),
            (Granule::K64, 3, 16),
        ] {
            let read = |scale, num| encoding(granule).range(range(code, 5, scale, num, 0));
            assert_eq!(read(0, 0).ipa, 5 << bits);
            assert_eq!(read(0, 0).bytes, 2 << bits);
            assert_eq!(read(1, 2).bytes, (3 << 6) << bits);
            assert_eq!(read(3, 31).bytes, (32 << 16) << bits);
        }
    }

    #[test]
    fn with_ds_a_range_starts_at_units_of_64k() {
        let with = Encoding {
            ds: true,
            ..encoding(Granule::K4)
        };
        let read = with.range(range(1, 5, 0, 0, 0));
        assert_eq!((read.ipa, read.bytes), (5 << 16, 2 << 12));
    }

    #[test]
    fn a_range_has_a_hint_of_its_own() {
        let hint = |code, level| {
            encoding(Granule::K4)
                .range(range(code, 0, 0, 0, level))
                .hint
        };
        assert_eq!(hint(1, 0), Hint::None);
        assert_eq!(hint(1, 2), Hint::Level(2));
        assert_eq!(hint(2, 0), Hint::OtherGranule);
        let reserved = encoding(Granule::K16).range(range(2, 0, 0, 0, 1)).hint;
        assert_eq!(reserved, Hint::None);
    }

    #[test]
    fn a_negative_base_is_no_address_of_a_table() {
        let read = encoding(Granule::K4).range(range(1, 1 << 36, 0, 0, 0));
        assert!(read.ipa >= 1 << 52, "{read}");
    }
}
