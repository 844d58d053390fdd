//! The operand of `TLBI IPAS2E1IS`, as the architecture decodes it.

use std::fmt;

use crate::arch::Granule;

/// Bits 39:0: `IPA[51:12]`.
const IPA_MASK: u64 = (1 << 40) - 1;

/// Bits 47:44.
const TTL_SHIFT: u32 = 44;

/// Bits 63:48 and 43:40 are RES0, NS (bit 63) included in Non-secure state, and
/// `IPA[55:52]` without FEAT_D128.
const RESERVED: u64 = 0xffff_0f00_0000_0000;

/// A decoded operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The raw value.
    pub raw: u64,
    /// The IPA that it names.
    pub ipa: u64,
    /// What its TTL field says about the leaf that translates the IPA.
    pub hint: Hint,
}

/// The TTL field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Any level.
    None,
    /// A leaf at this level, in this machine's granule.
    Level(i8),
    /// Another granule than this machine's.
    OtherGranule,
    /// No hint, but bits that are RES0 are set: nothing is promised.
    Reserved,
}

impl Operand {
    /// Decodes a raw operand for a machine with this granule and without FEAT_LPA2.
    ///
    /// DDI 0487 K.a: AArch64.TLBI_IPAS2, TLBI IPAS2E1IS.
    pub fn new(raw: u64, granule: Granule) -> Operand {
        let hint = if raw & RESERVED != 0 {
            Hint::Reserved
        } else {
            hint(raw >> TTL_SHIFT & 0xf, granule)
        };
        Operand {
            raw,
            ipa: (raw & IPA_MASK) << 12,
            hint,
        }
    }
}

fn hint(ttl: u64, granule: Granule) -> Hint {
    let (code, level) = (ttl >> 2, ttl & 3);
    let own = match granule {
        Granule::K4 => 1,
        Granule::K16 => 2,
        Granule::K64 => 3,
    };
    match (code, level) {
        // Reserved encodings act as if the field were 0: level 0 of any granule, and
        // level 1 of 16K, are hints with FEAT_LPA2 only, or never.
        (0, _) | (_, 0) | (2, 1) => Hint::None,
        (_, 1) if code == own => Hint::Level(1),
        (_, 2) if code == own => Hint::Level(2),
        (_, 3) if code == own => Hint::Level(3),
        _ => Hint::OtherGranule,
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operand {:#x}, IPA {:#x}", self.raw, self.ipa)?;
        match self.hint {
            Hint::None => Ok(()),
            Hint::Level(level) => write!(f, ", TTL: a leaf at level {level}"),
            Hint::OtherGranule => f.write_str(", TTL: another granule"),
            Hint::Reserved => f.write_str(", RES0 bits set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_in_units_of_4k_whatever_the_granule() {
        for granule in [Granule::K4, Granule::K16, Granule::K64] {
            assert_eq!(Operand::new(0x8_0010, granule).ipa, 0x8001_0000);
        }
    }

    #[test]
    fn a_hint_needs_the_machines_granule() {
        let raw = 0b1111 << TTL_SHIFT;
        assert_eq!(Operand::new(raw, Granule::K64).hint, Hint::Level(3));
        assert_eq!(Operand::new(raw, Granule::K4).hint, Hint::OtherGranule);
    }

    #[test]
    fn level_0_is_no_hint() {
        let raw = 0b0100 << TTL_SHIFT;
        assert_eq!(Operand::new(raw, Granule::K4).hint, Hint::None);
    }

    #[test]
    fn reserved_bits_spoil_the_operand() {
        for bit in [40, 43, 48, 63] {
            assert_eq!(
                Operand::new(1 << bit, Granule::K4).hint,
                Hint::Reserved,
                "bit {bit}"
            );
        }
    }
}
