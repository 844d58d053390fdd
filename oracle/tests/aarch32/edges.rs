//! Random tables: walkers and ranges agree at every edge.

use oracle::aarch32::{stage1, stage2};
use oracle::ranges as guest;
use oracle::stage1 as el2;
use oracle::walk::{self, FaultKind, Why};

use crate::builder::{Builder, Random, odd_descriptor, sizes};
use crate::support::*;

fn guest_permits(meaning: guest::Meaning, access: walk::Access) -> bool {
    let guest::Meaning::Mapped {
        read,
        write,
        execute_el1,
        execute_el0,
        ..
    } = meaning
    else {
        return false;
    };
    match access {
        walk::Access::Read | walk::Access::AtRead => read,
        walk::Access::Write | walk::Access::AtWrite => write,
        walk::Access::Execute { el0: false } => execute_el1,
        walk::Access::Execute { el0: true } => execute_el0,
    }
}

fn as_guest_meaning(found: &walk::Translation) -> guest::Meaning {
    guest::Meaning::Mapped {
        pa: found.pa,
        read: found.read,
        write: found.write,
        execute_el1: found.execute_el1,
        execute_el0: found.execute_el0,
        attributes: found.attributes,
        shareability: found.shareability,
    }
}

fn guest_agrees(
    meaning: Option<guest::Meaning>,
    answer: walk::Answer,
    access: walk::Access,
) -> bool {
    use guest::Meaning::{Fault, Mapped, Unpredictable};
    use walk::Answer;
    match (meaning, answer) {
        (None, Answer::Fault(fault)) => fault.kind == FaultKind::Translation,
        (Some(Fault { kind, level }), Answer::Fault(fault)) => {
            (kind, level) == (fault.kind, fault.level)
        }
        (Some(Unpredictable(why)), Answer::Unpredictable(found)) => why == found,
        // Reserved attributes are looked at last.
        (Some(Unpredictable(Why::MemAttr | Why::Shareability)), Answer::Fault(fault)) => {
            fault.kind == FaultKind::Permission
        }
        (Some(meaning @ Mapped { .. }), answer) => {
            let permitted = guest_permits(meaning, access);
            match answer {
                Answer::Unpredictable(why) => permitted && why == Why::FetchFromDevice,
                Answer::Fault(fault) => !permitted && fault.kind == FaultKind::Permission,
                Answer::Translation(found) => {
                    permitted && meaning == as_guest_meaning(&found) && found.update.is_none()
                }
            }
        }
        _ => false,
    }
}

fn check_guest(setup: &Guest, builder: &Builder) -> usize {
    let stage2 = setup.stage2();
    let found = stage2::ranges(&stage2, &setup.ram).expect("the tables are small");
    for pair in found.windows(2) {
        let end = pair[0].ipa + pair[0].bytes;
        assert!(end <= pair[1].ipa, "not in order: {pair:x?}");
        let continues = pair[0].meaning.at(pair[0].bytes) == pair[1].meaning;
        assert!(end < pair[1].ipa || !continues, "not maximal: {pair:x?}");
    }
    for ipa in builder.addresses(found.iter().map(|range| (range.ipa, range.bytes))) {
        let range = found
            .iter()
            .find(|range| range.ipa <= ipa && ipa - range.ipa < range.bytes);
        let meaning = range.map(|range| range.meaning.at(ipa - range.ipa));
        for access in ALL {
            let answer = stage2.translate(&setup.ram, ipa, access);
            assert!(
                guest_agrees(meaning, answer, access),
                "{ipa:#x} {access:?}: {meaning:x?}, walker {answer:x?}, {:x?}",
                setup.registers
            );
        }
    }
    found.len()
}

#[test]
fn the_walker_of_stage_2_and_its_ranges_agree_at_every_edge() {
    let mut random = Random(0x5eed);
    let mut seen = 0;
    for _ in 0..8 {
        for (ipa_bits, sl0) in sizes() {
            let mut setup = Guest::new(ipa_bits, sl0);
            setup.features.xnx = random.one_in(2);
            setup.registers.hcr |= random.pick(&[0, DC, DC]);
            setup.registers.hcr2 |= random.pick(&[0, 0, CD]);
            let mut builder = Builder::new(ipa_bits, if sl0 == 0 { 2 } else { 1 });
            for _ in 0..6 {
                builder.run(&mut random, |random, level| {
                    odd_descriptor(random, level, LEAF)
                });
            }
            builder.dig_hole(&mut random);
            setup.ram = builder.ram.clone();
            if random.one_in(4) {
                setup.registers.hsctlr |= EE;
                setup.ram.swap_bytes();
            }
            seen += check_guest(&setup, &builder);
        }
    }
    assert!(seen > 1000, "only {seen} ranges");
}

fn hyp_agrees(meaning: Option<el2::Meaning>, answer: el2::Answer, access: el2::Access) -> bool {
    use el2::Answer;
    use el2::Meaning::{Fault, Mapped, Unpredictable};
    match (meaning, answer) {
        (None, Answer::Fault(fault)) => fault.kind == el2::FaultKind::Translation,
        (Some(Fault { kind, level }), Answer::Fault(fault)) => {
            (kind, level) == (fault.kind, fault.level)
        }
        (Some(Unpredictable(why)), Answer::Unpredictable(found)) => why == found,
        // Reserved attributes are looked at last.
        (Some(Unpredictable(Why::MemAttr | Why::Shareability)), Answer::Fault(fault)) => {
            fault.kind == el2::FaultKind::Permission
        }
        (Some(Mapped { write, execute, .. }), answer) => {
            let permitted = match access {
                el2::Access::Read | el2::Access::AtRead => true,
                el2::Access::Write | el2::Access::AtWrite => write,
                el2::Access::Execute => execute,
            };
            match answer {
                Answer::Unpredictable(why) => permitted && why == Why::FetchFromDevice,
                Answer::Fault(fault) => !permitted && fault.kind == el2::FaultKind::Permission,
                Answer::Translation(found) => {
                    let as_meaning = Mapped {
                        pa: found.pa,
                        write: found.write,
                        execute: found.execute,
                        guarded: false,
                        attributes: found.attributes,
                        shareability: found.shareability,
                    };
                    permitted && found.update.is_none() && meaning == Some(as_meaning)
                }
            }
        }
        _ => false,
    }
}

fn check_hyp(setup: &Hyp, builder: &Builder) -> usize {
    let stage1 = setup.stage1();
    let found = stage1::ranges(&stage1, &setup.ram).expect("the tables are small");
    for pair in found.windows(2) {
        let end = pair[0].va + pair[0].bytes;
        assert!(end <= pair[1].va, "not in order: {pair:x?}");
        let continues = pair[0].meaning.at(pair[0].bytes) == pair[1].meaning;
        assert!(end < pair[1].va || !continues, "not maximal: {pair:x?}");
    }
    for va in builder.addresses(found.iter().map(|range| (range.va, range.bytes))) {
        let range = found
            .iter()
            .find(|range| range.va <= va && va - range.va < range.bytes);
        let meaning = range.map(|range| range.meaning.at(va - range.va));
        let va = u32::try_from(va).expect("within 32 bits");
        for access in ALL_OF_HYP {
            let answer = stage1.translate(&setup.ram, va, access);
            assert!(
                hyp_agrees(meaning, answer, access),
                "{va:#x} {access:?}: {meaning:x?}, walker {answer:x?}, {:x?}",
                setup.registers
            );
        }
    }
    found.len()
}

#[test]
fn the_walker_of_hyp_mode_and_its_ranges_agree_at_every_edge() {
    let mut random = Random(0x5eed);
    let mut seen = 0;
    for _ in 0..20 {
        for va_bits in 25..=32 {
            let mut setup = Hyp::new(va_bits);
            setup.features.hpd = random.one_in(2);
            setup.registers.htcr |= random.pick(&[0, HPD]);
            setup.registers.hsctlr ^= random.pick(&[0, WXN, C]);
            let mut builder = Builder::new(va_bits, if va_bits > 30 { 1 } else { 2 });
            for _ in 0..6 {
                builder.run(&mut random, |random, level| {
                    odd_descriptor(random, level, HYP_LEAF)
                });
            }
            builder.dig_hole(&mut random);
            setup.ram = builder.ram.clone();
            if random.one_in(4) {
                setup.registers.hsctlr |= EE;
                setup.ram.swap_bytes();
            }
            seen += check_hyp(&setup, &builder);
        }
    }
    assert!(seen > 1000, "only {seen} ranges");
}
