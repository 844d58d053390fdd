//! The attributes of a leaf.

use std::fmt::{self, Display, Formatter};

/// What the fields of leaves mean on the machine.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    /// A hypervisor's own stage 1, not a guest's stage 2.
    pub(super) is_own: bool,
    /// HCR_EL2.FWB: MemAttr has the encodings of FEAT_S2FWB.
    pub(super) forced_write_back: bool,
    /// DS: bits 9:8 are of the address.
    pub(super) has_no_sh: bool,
}

/// The attributes of a leaf. What the contract gives every leaf alike (R4: access
/// flag, shareability by memory type) is named only where it differs.
pub(super) struct Attributes(pub(super) u64, pub(super) Meaning);

/// Name, lowest bit, bits.
type Field = (&'static str, u32, u32);

const OF_STAGE2: [Field; 4] = [
    ("FnXS", 11, 1),
    ("Contig", 52, 1),
    ("SW", 55, 4),
    ("high", 59, 5),
];

const OWN: [Field; 7] = [
    ("NS", 5, 1),
    ("nG", 11, 1),
    ("DBM", 51, 1),
    ("Contig", 52, 1),
    ("PXN", 53, 1),
    ("SW", 55, 4),
    ("high", 59, 5),
];

impl Display for Attributes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_device = if self.1.is_own {
            self.own(f)?
        } else {
            self.of_stage2(f)?
        };
        let shareability = if is_device { 0b00 } else { 0b11 };
        if !self.1.has_no_sh && self.field(8, 2) != shareability {
            write!(f, " SH={:#04b}", self.field(8, 2))?;
        }
        if self.field(10, 1) == 0 {
            f.write_str(" AF=0")?;
        }
        if !self.1.is_own && self.field(51, 1) == 1 {
            let is_dirty = self.field(7, 1) == 1;
            f.write_str(if is_dirty { " dirty" } else { " clean" })?;
        }
        let fields: &[Field] = if self.1.is_own { &OWN } else { &OF_STAGE2 };
        for (name, low, bits) in fields {
            if self.field(*low, *bits) != 0 {
                write!(f, " {name}={:#x}", self.field(*low, *bits))?;
            }
        }
        Ok(())
    }
}

impl Attributes {
    fn field(&self, low: u32, bits: u32) -> u64 {
        self.0 >> low & ((1 << bits) - 1)
    }

    /// Permissions and memory type; whether it is a device.
    fn of_stage2(&self, f: &mut Formatter<'_>) -> Result<bool, fmt::Error> {
        let execute = match self.field(53, 2) {
            0b00 => "x",
            0b10 => "-",
            0b01 => "x(el0)",
            _ => "x(el1)",
        };
        // With DBM hardware sets the bit at the first write.
        let write = self.field(7, 1) == 1 || self.field(51, 1) == 1;
        permissions(f, self.field(6, 1) == 1, write, execute)?;
        match (self.field(2, 4), self.1.forced_write_back) {
            (0b1111, false) | (0b0110, true) => f.write_str("normal").map(|()| false),
            (0b0101, _) => f.write_str("nc").map(|()| false),
            (0b0001, _) => f.write_str("device").map(|()| true),
            (0b0000, _) => f.write_str("strict").map(|()| true),
            (other, _) => write!(f, "MemAttr={other:#06b}").map(|()| false),
        }
    }

    /// As `of_stage2`, by contract E3.
    fn own(&self, f: &mut Formatter<'_>) -> Result<bool, fmt::Error> {
        let execute = if self.field(54, 1) == 0 { "x" } else { "-" };
        permissions(f, true, self.field(7, 1) == 0, execute)?;
        let is_device = match self.field(2, 3) {
            0 => f.write_str("normal").map(|()| false)?,
            1 => f.write_str("device").map(|()| true)?,
            2 => f.write_str("nc").map(|()| false)?,
            3 => f.write_str("strict").map(|()| true)?,
            other => write!(f, "AttrIndx={other}").map(|()| false)?,
        };
        if self.field(6, 1) == 0 {
            f.write_str(" AP[1]=0")?;
        }
        Ok(is_device)
    }
}

fn permissions(f: &mut Formatter<'_>, read: bool, write: bool, execute: &str) -> fmt::Result {
    let read = if read { "r" } else { "-" };
    let write = if write { "w" } else { "-" };
    write!(f, "{read}{write}{execute} ")
}
