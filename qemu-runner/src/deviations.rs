//! Where an emulator is known to differ from the architecture: named, with the
//! versions that do it, so that a comparison is changed or left out by an entry
//! here and in no other way.
//!
//! Only what sequences can meet is listed. By the contract no IPA size exceeds the output
//! size and no start level needs more than `VTCR_EL2.PS` states, no block stands at a level
//! that has none, and no descriptor holds an address beyond the output size: QEMU's other
//! answers to these are seen by faulty subjects only, whose sequences end before the
//! operation at fault.

use crate::qemu::{OLDEST, Version};
use ops::{Event, Record};

/// A known deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// A stable name.
    pub name: &'static str,
    /// What the emulator does instead.
    pub what: &'static str,
    /// The first version that does it.
    pub first: Version,
    /// The first version that does it no more, where that is known.
    pub fixed: Option<Version>,
}

/// `AT S12E1*` that meets a stage-2 permission fault ends the process.
pub const AT_PERMISSION_FAULT: Deviation = Deviation {
    name: "at-permission-fault",
    what: "AT S12E1* that meets a stage-2 Permission fault ends QEMU by an assertion",
    // 7.2 is fine and 10.0 is not; what lies between was not measured.
    first: Version { major: 8, minor: 0 },
    fixed: None,
};

/// `AT S12E1W` makes a leaf dirty.
pub const AT_SETS_DIRTY: Deviation = Deviation {
    name: "at-sets-dirty",
    what: "AT S12E1W sets S2AP[1] where DBM acts; the architecture has AT never do so",
    first: OLDEST,
    fixed: None,
};

/// The type of device memory is stage 2's alone.
pub const FWB_DEVICE_TYPE: Deviation = Deviation {
    name: "fwb-device-type",
    what: "with HCR_EL2.FWB, Device at both stages reports stage 2's type, not the stronger",
    first: OLDEST,
    fixed: None,
};

/// Stage 1 that is off has no shareability of its own.
pub const FWB_SHAREABILITY: Deviation = Deviation {
    name: "fwb-shareability",
    what: "with HCR_EL2.FWB, memory that stage 2 forces to be Normal has stage 2's \
           shareability, not that of Device memory, which stage 1 makes of all while it is off",
    first: OLDEST,
    fixed: Some(Version { major: 8, minor: 2 }),
};

/// `AT S1E2*` reports the shareability that the descriptor, or `TCR_EL2.SH0`, states.
pub const EL2_PAR_SHAREABILITY: Deviation = Deviation {
    name: "el2-par-shareability",
    what: "AT S1E2* on Device or Non-cacheable memory reports the SH field, not Outer Shareable",
    first: OLDEST,
    fixed: Some(Version { major: 8, minor: 2 }),
};

/// Stage-2 configurations of VTCR_EL2.DS that give a Translation fault at level 0.
pub const LEVEL_MINUS_1: Deviation = Deviation {
    name: "level-minus-1",
    what: "4K: start level -1 is refused unless the IPA size is 52 bits",
    first: OLDEST,
    fixed: Some(FIXED_START_LEVELS),
};

/// The same for the 16K granule.
pub const LEVEL_0_OF_16K: Deviation = Deviation {
    name: "16k-level-0",
    what: "16K: start level 0 (SL0 = 3) is refused",
    first: OLDEST,
    fixed: Some(FIXED_START_LEVELS),
};

/// 7.2 refuses them and 10.0 does not; what lies between was not measured.
const FIXED_START_LEVELS: Version = Version {
    major: 10,
    minor: 0,
};

/// The first deviation by which every access of a run would differ: a `VTCR_EL2` that the
/// emulator refuses.
#[must_use]
pub fn of_run(events: &[Record], version: Version) -> Option<&'static Deviation> {
    events.iter().find_map(|record| match record.event {
        Event::WriteVtcr(vtcr) => of_vtcr(vtcr).filter(|deviation| deviation.applies(version)),
        _ => None,
    })
}

fn of_vtcr(vtcr: u64) -> Option<&'static Deviation> {
    const K4: u64 = 0;
    const K16: u64 = 2;
    let (t0sz, sl0, tg0) = (vtcr & 0x3f, vtcr >> 6 & 3, vtcr >> 14 & 3);
    let has_sl2 = vtcr >> 33 & 1 != 0;
    match tg0 {
        K4 if has_sl2 && t0sz != 64 - 52 => Some(&LEVEL_MINUS_1),
        K16 if sl0 == 3 => Some(&LEVEL_0_OF_16K),
        _ => None,
    }
}

impl Deviation {
    /// Whether this version does it.
    #[must_use]
    pub fn applies(&self, version: Version) -> bool {
        version >= self.first && self.fixed.is_none_or(|fixed| version < fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_the_first_version_and_exclude_the_fixed_one() {
        let version = |major, minor| Version { major, minor };
        let deviation = Deviation {
            fixed: Some(version(9, 1)),
            ..AT_PERMISSION_FAULT
        };
        let applies = [(7, 2), (8, 0), (9, 0), (9, 1)]
            .map(|(major, minor)| deviation.applies(version(major, minor)));
        assert_eq!(applies, [false, true, true, false]);
    }

    #[test]
    fn start_levels_that_are_refused_are_found_among_the_events() {
        let version = |major, minor| Version { major, minor };
        let written = |value| {
            let event = Event::WriteVtcr(value);
            [Record { cpu: 0, event }]
        };
        // DS and SL2; IPA sizes of 50 and 52 bits.
        let minus_1 = |t0sz: u64| written(1 << 33 | 1 << 32 | t0sz);
        assert_eq!(of_run(&minus_1(14), version(7, 2)), Some(&LEVEL_MINUS_1));
        assert_eq!(of_run(&minus_1(14), version(10, 0)), None);
        assert_eq!(of_run(&minus_1(12), version(7, 2)), None);
        let of_16k = |sl0: u64| written(1 << 32 | 2 << 14 | sl0 << 6 | 12);
        assert_eq!(of_run(&of_16k(3), version(7, 2)), Some(&LEVEL_0_OF_16K));
        assert_eq!(of_run(&of_16k(2), version(7, 2)), None);
    }
}
