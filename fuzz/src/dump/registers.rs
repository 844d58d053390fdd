//! Registers by field, for each regime.

use std::fmt::{self, Display};

use ops::Regime;
use oracle::regime::Registers;

/// Name, lowest bit, bits.
type Field = (&'static str, u32, u32);

/// What a register consists of.
struct Layout {
    name: &'static str,
    fields: &'static [Field],
    /// Fields that are shown only where they are not zero.
    rare: &'static [Field],
    res1: u64,
}

const VTCR_EL2: Layout = Layout {
    name: "VTCR_EL2 ",
    fields: &[
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
    ],
    rare: &[("HA", 21, 1), ("HD", 22, 1)],
    res1: 1 << 31,
};

const TCR_EL2: Layout = Layout {
    name: "TCR_EL2  ",
    fields: &[
        ("T0SZ", 0, 6),
        ("IRGN0", 8, 2),
        ("ORGN0", 10, 2),
        ("SH0", 12, 2),
        ("TG0", 14, 2),
        ("PS", 16, 3),
        ("DS", 32, 1),
    ],
    rare: &[],
    res1: 1 << 31 | 1 << 23,
};

const VTCR: Layout = Layout {
    name: "VTCR     ",
    fields: &[
        ("T0SZ", 0, 4),
        ("S", 4, 1),
        ("SL0", 6, 2),
        ("IRGN0", 8, 2),
        ("ORGN0", 10, 2),
        ("SH0", 12, 2),
    ],
    rare: &[],
    res1: 1 << 31,
};

const HTCR: Layout = Layout {
    name: "HTCR     ",
    fields: &[
        ("T0SZ", 0, 3),
        ("IRGN0", 8, 2),
        ("ORGN0", 10, 2),
        ("SH0", 12, 2),
    ],
    rare: &[],
    res1: 1 << 31 | 1 << 23,
};

/// The registers of an address space, each on a line of its own.
pub(super) struct Shown<'a>(pub(super) Regime, pub(super) &'a Registers);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(
            regime,
            Registers {
                control,
                root,
                attributes,
            },
        ) = *self;
        match regime {
            Regime::Stage2 => {
                VTCR_EL2.show(f, *control)?;
                guests_root(f, "VTTBR_EL2", *root)
            }
            Regime::Aarch32 => {
                VTCR.show(f, *control)?;
                guests_root(f, "VTTBR    ", *root)
            }
            Regime::El2 => {
                TCR_EL2.show(f, *control)?;
                writeln!(f, "MAIR_EL2  {attributes:#018x}")?;
                own_root(f, "TTBR0_EL2", *root)
            }
            Regime::Aarch32Hyp => {
                HTCR.show(f, *control)?;
                writeln!(f, "HMAIR0    {attributes:#018x}")?;
                own_root(f, "HTTBR    ", *root)
            }
        }
    }
}

impl Layout {
    fn show(&self, f: &mut fmt::Formatter<'_>, value: u64) -> fmt::Result {
        write!(f, "{} {value:#018x}", self.name)?;
        let mut rest = value & !self.res1;
        let mut take = |(_, low, bits): Field| {
            let mask = ((1 << bits) - 1) << low;
            rest &= !mask;
            (value & mask) >> low
        };
        for field in self.fields {
            write!(f, " {}={}", field.0, take(*field))?;
        }
        for field in self.rare {
            let value = take(*field);
            if value != 0 {
                write!(f, " {}={value}", field.0)?;
            }
        }
        if rest != 0 {
            write!(f, " others={rest:#x}")?;
        }
        if value & self.res1 != self.res1 {
            f.write_str(" RES1=0")?;
        }
        writeln!(f)
    }
}

/// BADDR is shown as the field is: bits 5:2 hold address bits 51:48 where the 52-bit
/// format is in use.
fn guests_root(f: &mut fmt::Formatter<'_>, name: &str, value: u64) -> fmt::Result {
    let baddr = value & 0xffff_ffff_fffe;
    writeln!(
        f,
        "{name} {value:#018x} VMID={} BADDR={baddr:#x} CnP={}",
        value >> 48,
        value & 1
    )
}

fn own_root(f: &mut fmt::Formatter<'_>, name: &str, value: u64) -> fmt::Result {
    let baddr = value & !1;
    writeln!(f, "{name} {value:#018x} BADDR={baddr:#x} CnP={}", value & 1)
}
