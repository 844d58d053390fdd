//! Every regime's walker: answers, steps and ranges.

use oracle::operation::Regime;
use oracle::ranges::{Meaning, Range};
use oracle::regime::{Registers, Walker};
use oracle::walk::{Access, Answer, Decision, Entry, FaultKind};

use crate::support::*;

fn walker(regime: Regime) -> Walker {
    Walker::new(&machine(regime), &registers(regime))
}

fn translate(regime: Regime, ipa: u64, access: Access) -> Answer {
    walker(regime).translate(&tables(regime), ipa, access)
}

#[track_caller]
fn assert_fault(answer: Answer, kind: FaultKind, level: i8) {
    let Answer::Fault(fault) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((fault.kind, fault.level), (kind, level));
}

#[test]
fn a_leaf_says_the_same_in_every_regime() {
    for regime in ALL_REGIMES {
        let Answer::Translation(found) = translate(regime, 0x1008, Access::Read) else {
            panic!("{regime:?}");
        };
        assert_eq!(
            (found.pa, found.level, found.size),
            (GUEST + 0x1008, 3, 4096)
        );
        assert!(found.read && !found.write, "{regime:?}");
        assert!(found.execute_el1 && found.execute_el0, "{regime:?}");
        assert_eq!((found.attributes, found.shareability), (0xff, 0b11));
        assert_eq!(found.update, None);
    }
}

#[test]
fn faults_keep_kind_and_level() {
    for regime in ALL_REGIMES {
        assert_fault(
            translate(regime, 0, Access::Write),
            FaultKind::Permission,
            3,
        );
        assert_fault(translate(regime, 0x2000, FETCH), FaultKind::Translation, 3);
        assert_fault(
            translate(regime, 1 << 30, FETCH),
            FaultKind::ExternalAbort,
            2,
        );
    }
}

#[test]
fn an_address_beyond_the_size_faults_at_the_regimes_level() {
    for regime in ALL_REGIMES {
        let level = match regime {
            Regime::Stage2 | Regime::El2 => 0,
            Regime::Aarch32 | Regime::Aarch32Hyp => 1,
        };
        assert_eq!(walker(regime).unread_level(), level);
        let answer = translate(regime, 1 << 32, Access::Read);
        assert_fault(answer, FaultKind::Translation, level);
    }
}

#[test]
fn steps_end_in_the_answer() {
    for regime in ALL_REGIMES {
        for (ipa, access) in [0, 0x2000, 1 << 30].into_iter().zip(ALL) {
            let steps = walker(regime).trace(&tables(regime), ipa, access);
            let last = steps.last().expect("descriptors are read");
            let answer = translate(regime, ipa, access);
            assert_eq!(last.decision, Decision::End(answer), "{regime:?} {ipa:#x}");
            assert_eq!(
                (steps[0].level, steps[0].at),
                (1, ROOT + ipa / (1 << 30) * 8)
            );
        }
        assert!(
            walker(regime)
                .trace(&tables(regime), 1 << 32, FETCH)
                .is_empty()
        );
    }
}

#[test]
fn ranges_hold_what_the_walk_says() {
    for regime in ALL_REGIMES {
        let ranges = walker(regime).ranges(&tables(regime)).unwrap();
        let mapped = Range {
            ipa: 0,
            bytes: 0x2000,
            meaning: Meaning::Mapped {
                pa: GUEST,
                read: true,
                write: false,
                execute_el1: true,
                execute_el0: true,
                attributes: 0xff,
                shareability: 0b11,
            },
        };
        let aborted = Range {
            ipa: 1 << 30,
            bytes: 1 << 30,
            meaning: Meaning::Fault {
                kind: FaultKind::ExternalAbort,
                level: 2,
            },
        };
        assert_eq!(ranges, [mapped, aborted], "{regime:?}");
    }
}

#[test]
fn ranges_keep_to_their_budget() {
    for regime in ALL_REGIMES {
        let too_small = walker(regime).ranges_within(&tables(regime), 512);
        assert_eq!(too_small.unwrap_err().budget, 512, "{regime:?}");
    }
}

#[test]
fn the_root_has_as_many_entries_as_the_addresses_need() {
    for regime in ALL_REGIMES {
        let walker = walker(regime);
        assert_eq!(walker.root(), Some((ROOT, 4)), "{regime:?}");
        assert_eq!((walker.start_level(), walker.input_bits()), (Some(1), 32));
        assert_eq!(walker.entries_per_table(), 512);
    }
}

#[test]
fn levels_that_a_regime_has_not_hold_nothing() {
    let table = L2 | 0b11;
    for regime in ALL_REGIMES {
        let walker = walker(regime);
        assert_eq!(walker.entry(1, table), Entry::Table { next: L2 });
        assert_eq!(walker.entry_bytes(1), 1 << 30);
        let above = match regime {
            Regime::Stage2 | Regime::El2 => (Entry::Table { next: L2 }, 1 << 39),
            Regime::Aarch32 | Regime::Aarch32Hyp => (Entry::Invalid, 0),
        };
        assert_eq!((walker.entry(0, table), walker.entry_bytes(0)), above);
    }
}

#[test]
fn forced_write_back_is_used_where_the_machine_has_it() {
    let mut tables = tables(Regime::Stage2);
    let other_type = page(Regime::Stage2, GUEST) & !0x3c | 0b0110 << 2;
    tables.0.insert(L3, other_type);
    let write_back = 0xff;
    let outer_non_cacheable_inner_write_through = 0x4b;
    for (fwb, attributes) in [
        (true, write_back),
        (false, outer_non_cacheable_inner_write_through),
    ] {
        let mut machine = machine(Regime::Stage2);
        machine.features.fwb = fwb;
        let walker = Walker::new(&machine, &registers(Regime::Stage2));
        match walker.translate(&tables, 0, Access::Read) {
            Answer::Translation(found) => assert_eq!(found.attributes, attributes),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn registers_that_no_walk_can_use_are_remembered() {
    let misaligned = |regime| Registers {
        root: ROOT + 8,
        ..registers(regime)
    };
    for regime in ALL_REGIMES {
        let walker = Walker::new(&machine(regime), &misaligned(regime));
        assert_eq!(walker.root(), None, "{regime:?}");
        let answer = walker.translate(&tables(regime), 0, Access::Read);
        assert!(matches!(answer, Answer::Unpredictable(_)), "{answer:?}");
    }
}
