//! Which CPU model runs a sequence, and what that CPU implements as its own ID
//! registers say.

use ops::mailbox::Description;
use ops::{Granule, Machine};
use oracle::arch::Features;

/// A CPU model of the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cpu {
    /// Everything that the emulator knows, 52-bit physical addresses.
    Max,
    /// 40-bit physical addresses.
    CortexA76,
    /// 44-bit physical addresses, no 16K granule.
    CortexA57,
    /// 48-bit physical addresses.
    NeoverseN1,
}

impl Cpu {
    /// The model whose physical address size is the sequence's, where there is
    /// one with its granule; otherwise the largest, whose output size
    /// `VTCR_EL2.PS` then limits.
    #[must_use]
    pub fn for_machine(machine: &Machine) -> Cpu {
        match (machine.pa_bits, machine.granule) {
            (40, _) => Cpu::CortexA76,
            (44, Granule::K4 | Granule::K64) => Cpu::CortexA57,
            (48, _) => Cpu::NeoverseN1,
            _ => Cpu::Max,
        }
    }

    /// The emulator's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cpu::Max => "max",
            Cpu::CortexA76 => "cortex-a76",
            Cpu::CortexA57 => "cortex-a57",
            Cpu::NeoverseN1 => "neoverse-n1",
        }
    }
}

/// The features that the walker depends on, from the ID registers
/// (DDI 0487 K.a: ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1).
#[must_use]
pub fn features(description: &Description) -> Features {
    let [mmfr0, mmfr1, mmfr2] = description.mmfr;
    Features {
        pa_bits: pa_bits(field(mmfr0, 0)),
        lpa2_4k: stage2_granule(field(mmfr0, 40), field(mmfr0, 28), 1).lpa2,
        lpa2_16k: stage2_granule(field(mmfr0, 32), field(mmfr0, 20), 2).lpa2,
        granule_16k: stage2_granule(field(mmfr0, 32), field(mmfr0, 20), 2).implemented,
        haf: field(mmfr1, 0) >= 1,
        dbm: field(mmfr1, 0) >= 2,
        xnx: field(mmfr1, 28) >= 1,
        ttst: field(mmfr2, 28) >= 1,
        fwb: field(mmfr2, 40) >= 1,
        bbm: field(mmfr2, 52),
    }
}

fn pa_bits(pa_range: u8) -> u8 {
    match pa_range {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        // 0b0111 is 56 bits, which needs D128: without it, 52.
        _ => 52,
    }
}

struct Stage2Granule {
    implemented: bool,
    lpa2: bool,
}

/// `TGRANx_2` (0: as at stage 1; 1: not; 2: implemented; 3: with LPA2), with
/// `TGRANx`, whose value for LPA2 depends on the granule: 1 for 4K (where 0 is
/// implemented), 2 for 16K (where 0 is not). 0b1111 is not implemented for 4K.
fn stage2_granule(stage2: u8, stage1: u8, stage1_lpa2: u8) -> Stage2Granule {
    match stage2 {
        0 => {
            let lowest = stage1_lpa2 - 1;
            let implemented = stage1 >= lowest && stage1 != 0xf;
            Stage2Granule {
                implemented,
                lpa2: implemented && stage1 >= stage1_lpa2,
            }
        }
        1 => Stage2Granule {
            implemented: false,
            lpa2: false,
        },
        other => Stage2Granule {
            implemented: true,
            lpa2: other >= 3,
        },
    }
}

/// The 4-bit field of an ID register at this bit.
fn field(register: u64, lowest_bit: u32) -> u8 {
    (register >> lowest_bit & 0xf) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features_of(mmfr: [u64; 3]) -> Features {
        features(&Description {
            mmfr,
            midr: 0,
            counter_hz: 0,
        })
    }

    #[test]
    fn a_first_core_has_nothing_optional() {
        let features = features_of([0x0000_1124, 0, 0]);
        assert_eq!(features.pa_bits, 44);
        assert!(!features.granule_16k && !features.lpa2_4k && !features.xnx && !features.ttst);
    }

    #[test]
    fn sixteen_k_comes_from_stage_1_where_stage_2_says_so() {
        assert!(features_of([0x0010_1122, 0, 0]).granule_16k);
        assert!(!features_of([0x0010_1122 | 1 << 32, 0, 0]).granule_16k);
    }

    #[test]
    fn lpa2_at_stage_2_alone() {
        let features = features_of([0x6 | 3 << 40 | 3 << 32, 0, 0]);
        assert!(features.lpa2_4k && features.lpa2_16k && features.granule_16k);
    }

    #[test]
    fn a_sequence_gets_the_cpu_of_its_physical_address_size() {
        let machine = |pa_bits, granule| Machine {
            pa_bits,
            granule,
            ..Machine::PLAIN
        };
        assert_eq!(Cpu::for_machine(&machine(40, Granule::K4)), Cpu::CortexA76);
        assert_eq!(Cpu::for_machine(&machine(44, Granule::K16)), Cpu::Max);
        assert_eq!(
            Cpu::for_machine(&machine(48, Granule::K64)),
            Cpu::NeoverseN1
        );
        assert_eq!(Cpu::for_machine(&machine(36, Granule::K4)), Cpu::Max);
    }
}
