//! The options of a machine: what it implements or uses beside its sizes, one bit
//! each, as the wire form has them and as texts name them.

use crate::{Features, Machine};

impl Machine {
    /// The words for the bits of `options`, from bit 0 on. The two bits of the
    /// FEAT_BBM level have a word each.
    pub const OPTIONS: [&str; 16] = [
        "lpa2-4k",
        "lpa2-16k",
        "ttst",
        "xnx",
        "fwb",
        "haf",
        "hd",
        "ttl",
        "range",
        "vmid16",
        "idc",
        "dic",
        "bbm1",
        "bbm2",
        "ds",
        "contiguous",
    ];

    /// Features, `ds` and `contiguous` as bits.
    #[must_use]
    pub const fn options(&self) -> u16 {
        let Features {
            lpa2_4k,
            lpa2_16k,
            ttst,
            xnx,
            fwb,
            haf,
            hd,
            bbm,
            ttl,
            tlb_range,
            vmid16,
            idc,
            dic,
        } = self.features;
        lpa2_4k as u16
            | (lpa2_16k as u16) << 1
            | (ttst as u16) << 2
            | (xnx as u16) << 3
            | (fwb as u16) << 4
            | (haf as u16) << 5
            | (hd as u16) << 6
            | (ttl as u16) << 7
            | (tlb_range as u16) << 8
            | (vmid16 as u16) << 9
            | (idc as u16) << 10
            | (dic as u16) << 11
            | (bbm as u16 & 3) << 12
            | (self.ds as u16) << 14
            | (self.contiguous as u16) << 15
    }

    /// The machine with exactly these options.
    #[must_use]
    pub fn with_options(self, options: u16) -> Machine {
        let bit = |number: u32| options >> number & 1 != 0;
        Machine {
            features: Features {
                lpa2_4k: bit(0),
                lpa2_16k: bit(1),
                ttst: bit(2),
                xnx: bit(3),
                fwb: bit(4),
                haf: bit(5),
                hd: bit(6),
                ttl: bit(7),
                tlb_range: bit(8),
                vmid16: bit(9),
                idc: bit(10),
                dic: bit(11),
                bbm: (options >> 12 & 3) as u8,
            },
            ds: bit(14),
            contiguous: bit(15),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_a_bit_of_its_own() {
        for options in 0..=u16::MAX {
            assert_eq!(Machine::PLAIN.with_options(options).options(), options);
        }
    }

    #[test]
    fn the_plain_machine_has_no_option() {
        assert_eq!(Machine::PLAIN.options(), 0);
    }
}
