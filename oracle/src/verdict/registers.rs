//! `VTCR_EL2` and the control registers of the other regimes by field, for a reader.
//!
//! It decodes for display only; what a register does is the walkers'.

use std::fmt;

use crate::operation::Regime;

/// One field of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the architecture.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Name, lowest bit and width.
type Layout = (&'static str, u32, u32);

const VTCR_EL2: &[Layout] = &[
    ("T0SZ", 0, 6),
    ("SL0", 6, 2),
    ("IRGN0", 8, 2),
    ("ORGN0", 10, 2),
    ("SH0", 12, 2),
    ("TG0", 14, 2),
    ("PS", 16, 3),
    ("VS", 19, 1),
    ("HA", 21, 1),
    ("HD", 22, 1),
    ("DS", 32, 1),
    ("SL2", 33, 1),
];

const TCR_EL2: &[Layout] = &[
    ("T0SZ", 0, 6),
    ("IRGN0", 8, 2),
    ("ORGN0", 10, 2),
    ("SH0", 12, 2),
    ("TG0", 14, 2),
    ("PS", 16, 3),
    ("HA", 21, 1),
    ("HD", 22, 1),
    ("DS", 32, 1),
];

const VTCR: &[Layout] = &[
    ("T0SZ", 0, 4),
    ("S", 4, 1),
    ("SL0", 6, 2),
    ("IRGN0", 8, 2),
    ("ORGN0", 10, 2),
    ("SH0", 12, 2),
];

const HTCR: &[Layout] = &[
    ("T0SZ", 0, 3),
    ("IRGN0", 8, 2),
    ("ORGN0", 10, 2),
    ("SH0", 12, 2),
];

/// The name of a regime's control register.
pub const fn control_register(regime: Regime) -> &'static str {
    match regime {
        Regime::Stage2 => "VTCR_EL2",
        Regime::El2 => "TCR_EL2",
        Regime::Aarch32 => "VTCR",
        Regime::Aarch32Hyp => "HTCR",
    }
}

/// The fields of a value of a regime's control register, from the lowest bit up.
pub fn control_fields(regime: Regime, value: u64) -> impl Iterator<Item = Field> {
    let layout = match regime {
        Regime::Stage2 => VTCR_EL2,
        Regime::El2 => TCR_EL2,
        Regime::Aarch32 => VTCR,
        Regime::Aarch32Hyp => HTCR,
    };
    layout.iter().map(move |&(name, low, width)| Field {
        name,
        value: value >> low & ((1 << width) - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(regime: Regime, value: u64) -> String {
        let fields = control_fields(regime, value).map(|field| field.to_string());
        fields.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn fields_are_cut_out_of_the_value() {
        assert_eq!(
            text(Regime::Stage2, 0x8002_3558),
            "T0SZ=24 SL0=1 IRGN0=1 ORGN0=1 SH0=3 TG0=0 PS=2 VS=0 HA=0 HD=0 DS=0 SL2=0"
        );
        assert_eq!(
            text(Regime::El2, 0x1_8082_3518),
            "T0SZ=24 IRGN0=1 ORGN0=1 SH0=3 TG0=0 PS=2 HA=0 HD=0 DS=1"
        );
        assert_eq!(
            text(Regime::Aarch32, 0x8000_3558),
            "T0SZ=8 S=1 SL0=1 IRGN0=1 ORGN0=1 SH0=3"
        );
        assert_eq!(
            text(Regime::Aarch32Hyp, 0x8080_3507),
            "T0SZ=7 IRGN0=1 ORGN0=1 SH0=3"
        );
    }
}
