//! The attributes of a leaf.

use std::fmt::{self, Display};

/// What the fields of leaves mean on the machine.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    /// HCR_EL2.FWB: MemAttr has the encodings of FEAT_S2FWB.
    pub(super) forced_write_back: bool,
    /// VTCR_EL2.DS: bits 9:8 are of the address.
    pub(super) has_no_sh: bool,
}

/// The attributes of a leaf. What the contract gives every leaf alike (R4: access
/// flag, shareability by memory type) is named only where it differs.
pub(super) struct Attributes(pub(super) u64, pub(super) Meaning);

impl Attributes {
    fn field(&self, low: u32, bits: u32) -> u64 {
        self.0 >> low & ((1 << bits) - 1)
    }

    /// Whether hardware may set the permission to write: the leaf is dirty where it
    /// has.
    fn is_writable_clean(&self) -> bool {
        self.field(7, 1) == 0 && self.field(51, 1) == 1
    }
}

impl Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (read, write) = (self.field(6, 1) == 1, self.field(7, 1) == 1);
        let execute = match self.field(53, 2) {
            0b00 => "x",
            0b10 => "-",
            0b01 => "x(el0)",
            _ => "x(el1)",
        };
        write!(
            f,
            "{}{}{execute} ",
            if read { "r" } else { "-" },
            if write || self.is_writable_clean() {
                "w"
            } else {
                "-"
            }
        )?;
        let Meaning {
            forced_write_back,
            has_no_sh,
        } = self.1;
        let shareability = match (self.field(2, 4), forced_write_back) {
            (0b1111, false) | (0b0110, true) => f.write_str("normal").map(|()| 0b11)?,
            (0b0101, _) => f.write_str("nc").map(|()| 0b11)?,
            (0b0001, _) => f.write_str("device").map(|()| 0b00)?,
            (0b0000, _) => f.write_str("strict").map(|()| 0b00)?,
            (other, _) => write!(f, "MemAttr={other:#06b}").map(|()| 0b11)?,
        };
        if !has_no_sh && self.field(8, 2) != shareability {
            write!(f, " SH={:#04b}", self.field(8, 2))?;
        }
        if self.field(10, 1) == 0 {
            f.write_str(" AF=0")?;
        }
        if self.field(51, 1) == 1 {
            f.write_str(if write { " dirty" } else { " clean" })?;
        }
        for (name, low, bits) in [
            ("FnXS", 11, 1),
            ("Contig", 52, 1),
            ("SW", 55, 4),
            ("high", 59, 5),
        ] {
            if self.field(low, bits) != 0 {
                write!(f, " {name}={:#x}", self.field(low, bits))?;
            }
        }
        Ok(())
    }
}
