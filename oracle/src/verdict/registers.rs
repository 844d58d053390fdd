//! `VTCR_EL2` by field, for a reader.
//!
//! It decodes for display only; what the register does is `walk`'s.

use std::fmt;

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
const FIELDS: [(&str, u32, u32); 12] = [
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

/// The fields of a `VTCR_EL2` value, from the lowest bit up.
pub fn vtcr_fields(vtcr: u64) -> impl Iterator<Item = Field> {
    FIELDS.into_iter().map(move |(name, low, width)| Field {
        name,
        value: vtcr >> low & ((1 << width) - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_out_of_the_value() {
        let text: Vec<_> = vtcr_fields(0x8002_3558).map(|f| f.to_string()).collect();
        assert_eq!(
            text.join(" "),
            "T0SZ=24 SL0=1 IRGN0=1 ORGN0=1 SH0=3 TG0=0 PS=2 VS=0 HA=0 HD=0 DS=0 SL2=0"
        );
    }
}
