//! Which CPU model runs a sequence, what that takes, and what that CPU implements as its
//! own ID registers say.

use ops::mailbox::Description;
use ops::{Granule, Machine, Regime};
use oracle::arch::Features;
use oracle::stage1;

/// A CPU model of the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cpu {
    /// Everything that the emulator knows, 52-bit physical addresses.
    Max,
    /// 40-bit physical addresses.
    CortexA76,
    /// 44-bit physical addresses, no 16K granule, no optional feature of Stage-2.
    CortexA57,
    /// 48-bit physical addresses.
    NeoverseN1,
}

impl Cpu {
    /// The model whose physical address size is the sequence's, where there is one with
    /// its granule and with what it needs; otherwise the largest, whose output size
    /// `VTCR_EL2.PS` then limits.
    #[must_use]
    pub fn for_machine(machine: &Machine) -> Cpu {
        let model = match (machine.pa_bits, machine.granule) {
            (40, _) => Cpu::CortexA76,
            (44, Granule::K4 | Granule::K64) => Cpu::CortexA57,
            (48, _) => Cpu::NeoverseN1,
            _ => Cpu::Max,
        };
        let has_all = Feature::needed(machine).all(|feature| model.has(feature));
        if has_all { model } else { Cpu::Max }
    }

    /// Whether it is worth booting for a sequence that needs this. Its ID registers have
    /// the last word (`missing`).
    fn has(self, feature: Feature) -> bool {
        match self {
            Cpu::Max => true,
            Cpu::CortexA57 => false,
            Cpu::CortexA76 | Cpu::NeoverseN1 => matches!(
                feature,
                Feature::Xnx | Feature::AccessFlag | Feature::DirtyState | Feature::Vmid16
            ),
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

/// What a sequence may need of the CPU beside granule and physical address size.
///
/// Four words of the machine line are no such needs, since they are what the software
/// assumes, and it is right to assume less than there is, or more than these CPUs can
/// tell. `idc` and `dic` leave out maintenance of caches that the emulator does not have.
/// `bbm1` and `bbm2` leave out a break that no access of the one CPU meets. `ttl` adds
/// bits to operands that are RES0 without FEAT_TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// FEAT_LPA2, 4K granule.
    Lpa2Of4k,
    /// FEAT_LPA2, 16K granule.
    Lpa2Of16k,
    /// FEAT_TTST.
    Ttst,
    /// FEAT_XNX.
    Xnx,
    /// FEAT_S2FWB.
    ForcedWriteBack,
    /// FEAT_HAFDBS, access flag.
    AccessFlag,
    /// FEAT_HAFDBS, dirty state.
    DirtyState,
    /// FEAT_TLBIRANGE.
    TlbRange,
    /// FEAT_VMID16.
    Vmid16,
}

impl Feature {
    const ALL: [Feature; 9] = [
        Feature::Lpa2Of4k,
        Feature::Lpa2Of16k,
        Feature::Ttst,
        Feature::Xnx,
        Feature::ForcedWriteBack,
        Feature::AccessFlag,
        Feature::DirtyState,
        Feature::TlbRange,
        Feature::Vmid16,
    ];

    /// What this machine needs.
    pub fn needed(machine: &Machine) -> impl Iterator<Item = Feature> {
        Feature::ALL
            .into_iter()
            .filter(|feature| feature.is_needed(machine))
    }

    /// EL2's own regime uses nothing that only Stage-2 has (contract E).
    fn is_needed(self, machine: &Machine) -> bool {
        let features = &machine.features;
        let has_stage_2 = !machine.regime.is_own();
        match self {
            // Its descriptors take another form only where `ds` asks for it.
            Feature::Lpa2Of4k => features.lpa2_4k && machine.granule == Granule::K4 && machine.ds,
            Feature::Lpa2Of16k => {
                features.lpa2_16k && machine.granule == Granule::K16 && machine.ds
            }
            Feature::Ttst => features.ttst,
            Feature::Xnx => features.xnx && has_stage_2,
            Feature::ForcedWriteBack => features.fwb && has_stage_2,
            Feature::AccessFlag => features.haf && has_stage_2,
            Feature::DirtyState => features.haf && features.hd && has_stage_2,
            Feature::TlbRange => features.tlb_range,
            Feature::Vmid16 => features.vmid16 && has_stage_2,
        }
    }

    /// Whether the ID registers state it (DDI 0487 K.a: ID_AA64MMFR0_EL1 to
    /// ID_AA64MMFR2_EL1, ID_AA64ISAR0_EL1).
    fn is_stated(self, regime: Regime, description: &Description) -> bool {
        let [_, mmfr1, _] = description.mmfr;
        let walker = match regime.is_own() {
            true => stage1_features(description).both,
            false => features(description),
        };
        match self {
            Feature::Lpa2Of4k => walker.lpa2_4k,
            Feature::Lpa2Of16k => walker.lpa2_16k,
            Feature::Ttst => walker.ttst,
            Feature::Xnx => walker.xnx,
            Feature::ForcedWriteBack => walker.fwb,
            Feature::AccessFlag => walker.haf,
            Feature::DirtyState => walker.dbm,
            Feature::TlbRange => field(description.isar0, 56) >= 2,
            Feature::Vmid16 => field(mmfr1, 4) >= 2,
        }
    }

    /// The architecture's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Lpa2Of4k => "FEAT_LPA2 for 4K",
            Feature::Lpa2Of16k => "FEAT_LPA2 for 16K",
            Feature::Ttst => "FEAT_TTST",
            Feature::Xnx => "FEAT_XNX",
            Feature::ForcedWriteBack => "FEAT_S2FWB",
            Feature::AccessFlag => "FEAT_HAFDBS",
            Feature::DirtyState => "FEAT_HAFDBS with dirty state",
            Feature::TlbRange => "FEAT_TLBIRANGE",
            Feature::Vmid16 => "FEAT_VMID16",
        }
    }
}

/// The first thing that a sequence needs and the CPU does not state.
#[must_use]
pub fn missing(machine: &Machine, description: &Description) -> Option<Feature> {
    Feature::needed(machine).find(|feature| !feature.is_stated(machine.regime, description))
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

/// The same for the walker of EL2's own stage 1.
///
/// What `TCR_EL2` and `MAIR_EL2` of the contract (E2) do not use makes no difference to
/// it, and is left at nothing.
#[must_use]
pub fn stage1_features(description: &Description) -> stage1::Features {
    let [mmfr0, _, mmfr2] = description.mmfr;
    let (granule_4k, granule_16k) = (field(mmfr0, 28), field(mmfr0, 20));
    stage1::Features {
        both: Features {
            lpa2_4k: granule_4k == 1,
            lpa2_16k: granule_16k >= 2,
            granule_16k: granule_16k >= 1,
            ..features(description)
        },
        lva: field(mmfr2, 16) >= 1,
        hpds: false,
        pauth: false,
        xs: false,
        mte2: false,
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

    fn described(mmfr: [u64; 3]) -> Description {
        Description {
            mmfr,
            isar0: 0,
            midr: 0,
            counter_hz: 0,
        }
    }

    fn features_of(mmfr: [u64; 3]) -> Features {
        features(&described(mmfr))
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

    /// The machine with these words of `features=`.
    fn machine(words: &[&str]) -> Machine {
        let bit = |word: &&str| Machine::OPTIONS.iter().position(|known| known == word);
        let bits = words.iter().map(|word| 1 << bit(word).unwrap()).sum();
        Machine::PLAIN.with_options(bits)
    }

    #[test]
    fn a_need_that_the_model_lacks_takes_the_largest() {
        for word in ["ttst", "fwb", "range"] {
            assert_eq!(Cpu::for_machine(&machine(&[word])), Cpu::Max, "{word}");
        }
        assert_eq!(Cpu::for_machine(&machine(&["lpa2-4k", "ds"])), Cpu::Max);
        let kept = machine(&["xnx", "haf", "hd", "vmid16"]);
        assert_eq!(Cpu::for_machine(&kept), Cpu::CortexA76);
    }

    #[test]
    fn what_software_assumes_runs_anywhere() {
        let assumed = machine(&["idc", "dic", "bbm1", "ttl", "lpa2-4k", "contiguous"]);
        assert_eq!(Feature::needed(&assumed).count(), 0);
    }

    #[test]
    fn each_need_is_missed_where_its_field_is_zero() {
        let ds = Machine {
            granule: Granule::K16,
            ..machine(&["lpa2-16k", "ds"])
        };
        let single = ["ttst", "xnx", "fwb", "haf", "range", "vmid16"].map(|word| machine(&[word]));
        let double = [machine(&["lpa2-4k", "ds"]), machine(&["haf", "hd"]), ds];
        // Access flag without dirty state.
        let access_flag = [0x0f00_0000, 1, 0];
        for machine in single.into_iter().chain(double) {
            let registers = match machine.features.hd {
                true => access_flag,
                false => [0x0f00_0000, 0, 0],
            };
            let wanted = Feature::needed(&machine).last();
            assert!(wanted.is_some());
            assert_eq!(missing(&machine, &described(registers)), wanted);
        }
        assert_eq!(missing(&Machine::PLAIN, &described([0; 3])), None);
    }

    #[test]
    fn each_need_is_met_by_its_field() {
        let all = Description {
            isar0: 2 << 56,
            ..described([
                6 | 3 << 40 | 3 << 32,
                2 | 2 << 4 | 1 << 28,
                1 << 28 | 1 << 40,
            ])
        };
        let words = [
            "lpa2-4k", "ds", "ttst", "xnx", "fwb", "haf", "hd", "range", "vmid16",
        ];
        assert_eq!(missing(&machine(&words), &all), None);
        let of_16k = Machine {
            granule: Granule::K16,
            ..machine(&["lpa2-16k", "ds"])
        };
        assert_eq!(missing(&of_16k, &all), None);
        let own = Machine {
            regime: Regime::El2,
            ..of_16k
        };
        assert_eq!(
            missing(&own, &all),
            Some(Feature::Lpa2Of16k),
            "stage 1 has its own field"
        );
    }

    #[test]
    fn el2s_own_regime_needs_nothing_of_stage_2() {
        let own = Machine {
            regime: Regime::El2,
            ..machine(&["xnx", "fwb", "haf", "hd", "vmid16"])
        };
        assert_eq!(Feature::needed(&own).count(), 0);
    }
}
