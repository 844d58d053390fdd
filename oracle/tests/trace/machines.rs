//! The bench of `trace` on machines with features, and operations that may change
//! descriptors in place.

use super::*;

/// FEAT_TTL and FEAT_TLBIRANGE.
pub fn with_hints() -> Machine {
    Machine {
        ttl: true,
        tlb_range: true,
        ..machine()
    }
}

/// FEAT_HAFDBS, access flag and dirty state.
pub fn with_updates() -> Machine {
    let features = Features {
        haf: true,
        dbm: true,
        ..Features::of_contract(40)
    };
    Machine {
        features,
        ..machine()
    }
}

/// A FEAT_BBM level.
pub fn with_bbm(bbm: u8) -> Machine {
    Machine { bbm, ..machine() }
}

/// The contiguous hint in use.
pub fn with_groups() -> Machine {
    Machine {
        contiguous: true,
        ..machine()
    }
}

/// What decodes the descriptors of a machine: `VTCR` with HA and HD as H1 and H2 say.
pub fn stage2_of(machine: &Machine) -> Stage2 {
    let updates = u64::from(machine.features.haf) << 21 | u64::from(machine.features.dbm) << 22;
    let registers = Registers {
        vtcr: VTCR | updates,
        vttbr: 0,
        hcr: 1 << 31 | 1,
    };
    Stage2::new(machine.features, registers)
}

/// [`mapped`] on a machine.
pub fn mapped_on(machine: &Machine) -> Observer {
    let mut observer = bench_of(machine, stage2_of(machine));
    run(&mut observer, CHANGE, &map_two_pages()).unwrap();
    observer
}

/// A change of [`mapped_on`], after the pages that top its cache up.
pub fn change_on(machine: &Machine, in_place: InPlace, events: &[Event]) -> Result<(), Finding> {
    let mut all = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    all.extend(events);
    run_as(&mut mapped_on(machine), CHANGE, in_place, &all)
}

/// What protect, write-protect, relax and the young operations may do.
pub const FLAGS: InPlace = InPlace {
    flags: true,
    splits: false,
    coalesces: false,
    contiguous: false,
};

/// Nothing changes in place.
pub const NOTHING: InPlace = InPlace {
    flags: false,
    ..FLAGS
};

pub fn exchange(at: u64, old: u64, new: u64) -> Event {
    Event::Exchange { at, old, new }
}

/// `RIPAS2E1IS` of `2 * (num + 1)` pages, of the 4K granule.
pub fn range(ipa: u64, num: u64) -> Event {
    raw_range(1 << 46 | num << 39 | ipa >> 12)
}

pub fn raw_range(operand: u64) -> Event {
    Event::Tlbi {
        operation: Tlbi::Ripas2e1is,
        operand,
    }
}
