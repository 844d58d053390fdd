//! Registers by field.

use std::fmt::{self, Display};

/// `VTCR_EL2` by field.
pub(super) struct Vtcr(pub(super) u64);

impl Display for Vtcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIELDS: [(&str, u32, u32); 10] = [
            ("T0SZ", 0, 6),
            ("SL0", 6, 2),
            ("IRGN0", 8, 2),
            ("ORGN0", 10, 2),
            ("SH0", 12, 2),
            ("TG0", 14, 2),
            ("PS", 16, 3),
            ("VS", 19, 1),
            ("DS", 32, 1),
            ("SL2", 33, 1),
        ];
        const RES1: u64 = 1 << 31;
        write!(f, "VTCR_EL2  {:#018x}", self.0)?;
        let mut rest = self.0 & !RES1;
        for (name, low, bits) in FIELDS {
            let mask = ((1 << bits) - 1) << low;
            write!(f, " {name}={}", (self.0 & mask) >> low)?;
            rest &= !mask;
        }
        if rest != 0 {
            write!(f, " others={rest:#x}")?;
        }
        if self.0 & RES1 == 0 {
            f.write_str(" RES1=0")?;
        }
        Ok(())
    }
}

/// `VTTBR_EL2` by field. BADDR is shown as the field is: bits 5:2 hold address
/// bits 51:48 where the 52-bit format is in use.
pub(super) struct Vttbr(pub(super) u64);

impl Display for Vttbr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let baddr = self.0 & 0xffff_ffff_fffe;
        write!(
            f,
            "VTTBR_EL2 {:#018x} VMID={} BADDR={baddr:#x} CnP={}",
            self.0,
            self.0 >> 48,
            self.0 & 1
        )
    }
}
