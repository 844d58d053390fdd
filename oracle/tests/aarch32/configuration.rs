//! `VTCR`, `VTTBR`, `HCR` and `HCR2`: what is decided before a descriptor is read.

use oracle::ranges::Meaning;
use oracle::walk::{Access, Entry, FaultKind, Why};

use crate::support::*;

const REFUSED: Short = Short::Fault(FaultKind::Translation, 1);

#[test]
fn t0sz_is_signed_and_counts_down_from_32_bits() {
    for ipa_bits in 25..=40 {
        let sl0 = u32::from(ipa_bits > 34);
        let guest = Guest::new(ipa_bits, sl0);
        assert_eq!(u32::from(guest.stage2().ipa_bits()), ipa_bits);
        let start_level = 2 - i8::try_from(sl0).unwrap();
        let last = (1 << ipa_bits) - 8;
        let unmapped = Short::Fault(FaultKind::Translation, start_level);
        assert_eq!(guest.read(last), unmapped, "{ipa_bits} bits");
    }
}

#[test]
fn an_ipa_beyond_the_size_is_a_translation_fault_at_level_1() {
    for (ipa_bits, sl0) in [(25, 0), (34, 0), (39, 1)] {
        assert_eq!(Guest::new(ipa_bits, sl0).read(1 << ipa_bits), REFUSED);
    }
}

#[test]
fn no_stage_1_hands_on_more_than_40_bits() {
    let answer = Guest::new(40, 1).read(1 << 40);
    assert_eq!(answer, Short::Fault(FaultKind::Stage1AddressSize, 0));
}

#[test]
fn sl0_fits_the_ipa_size_or_every_walk_faults_at_level_1() {
    for ipa_bits in 25..=40 {
        for sl0 in 0..4 {
            let guest = Guest::new(ipa_bits, sl0);
            let expected = match (sl0, ipa_bits) {
                (0, 25..=34) => Some(2),
                (1, 31..=40) => Some(1),
                _ => None,
            };
            let stage2 = guest.stage2();
            assert_eq!(stage2.start_level(), expected, "{ipa_bits} bits, SL0 {sl0}");
            if expected.is_none() {
                assert_eq!(guest.read(0), REFUSED);
                assert_eq!(stage2.root(), None);
            }
        }
    }
}

#[test]
fn s_that_is_not_the_sign_of_t0sz_leaves_every_ipa_open() {
    for t0sz in 0..16 {
        let guest = Guest::new(32, 1).with(|guest| {
            guest.registers.vtcr &= !0b1_1111;
            guest.registers.vtcr |= t0sz | (!t0sz >> 3 & 1) << 4;
        });
        for ipa in [0, 1 << 24, (1 << 40) - 8] {
            assert_eq!(guest.read(ipa), Short::Open(Why::SignOfT0sz));
        }
    }
}

#[test]
fn a_reserved_sl0_faults_whatever_t0sz_stands_for() {
    let guest = Guest::new(32, 2).with(|guest| guest.registers.vtcr ^= 1 << 4);
    assert_eq!(guest.read(0), REFUSED);
}

#[test]
fn the_root_is_as_many_tables_as_the_ipa_size_needs() {
    for (ipa_bits, sl0, tables) in [
        (25, 0, 1),
        (30, 0, 1),
        (31, 0, 2),
        (34, 0, 16),
        (31, 1, 1),
        (39, 1, 1),
        (40, 1, 2),
    ] {
        let root = Guest::new(ipa_bits, sl0).stage2().root();
        assert_eq!(root, Some((ROOT, tables)), "{ipa_bits} bits, SL0 {sl0}");
    }
}

#[test]
fn the_index_runs_through_concatenated_tables() {
    let mut guest = Guest::new(40, 1);
    guest.ram.set(ROOT + 0x1ff8, 0x8000_0000 | LEAF);
    assert_eq!(guest.read(0xff_c000_0008), Short::Pa(0x8000_0008));
    let mut guest = Guest::new(34, 0);
    guest.ram.set(ROOT + 0xfff8, 0x8000_0000 | LEAF);
    assert_eq!(guest.read(0x3_ffe0_0008), Short::Pa(0x8000_0008));
}

#[test]
fn bits_47_to_40_of_the_base_are_an_address_size_fault_at_level_0() {
    for bit in 40..48 {
        let guest = Guest::new(39, 1).with(|guest| guest.registers.vttbr |= 1 << bit);
        let expected = Short::Fault(FaultKind::AddressSize, 0);
        assert_eq!(guest.read(0), expected, "bit {bit}");
        // The input address is looked at first.
        assert_eq!(guest.read(1 << 39), REFUSED, "bit {bit}");
    }
}

#[test]
fn a_base_of_40_bits_is_within_the_output_size_of_any_machine() {
    let base = 0xff_ffff_e000;
    let mut guest = Guest::new(40, 1).with(|guest| guest.registers.vttbr = base);
    guest.ram.set(base, 0x8000_0000 | LEAF);
    assert_eq!(guest.read(0), Short::Pa(0x8000_0000));
}

#[test]
fn a_base_below_its_alignment_is_open() {
    for (ipa_bits, sl0, alignment) in [(31, 1, 4), (40, 1, 13), (25, 0, 7), (34, 0, 16)] {
        for bit in 3..alignment {
            let guest = Guest::new(ipa_bits, sl0).with(|guest| guest.registers.vttbr |= 1 << bit);
            assert_eq!(guest.read(0), Short::Open(Why::MisalignedBase), "bit {bit}");
        }
        let aligned = Guest::new(ipa_bits, sl0).with(|guest| {
            guest.registers.vttbr |= 1 << alignment;
        });
        assert!(aligned.stage2().root().is_some(), "{ipa_bits} bits");
    }
}

#[test]
fn vmid_and_the_lowest_bits_are_no_part_of_the_base() {
    let guest = Guest::new(39, 1).with(|guest| guest.registers.vttbr |= 0xffff << 48 | 0b111);
    assert_eq!(guest.stage2().root(), Some((ROOT, 1)));
}

#[test]
fn without_vm_and_dc_the_pa_is_the_ipa() {
    let guest = Guest::new(32, 3).with(|guest| guest.registers.hcr = 0);
    let found = translation(guest.ask(0xff_ffff_fff8, FETCH));
    assert_eq!((found.pa, found.size), (0xff_ffff_fff8, 1 << 40));
    assert_eq!((found.attributes, found.shareability), (0x00, 0b10));
    let ranges = oracle::aarch32::stage2::ranges(&guest.stage2(), &guest.ram).unwrap();
    assert_eq!((ranges[0].ipa, ranges[0].bytes), (0, 1 << 40));
}

#[test]
fn dc_enables_stage_2_without_vm() {
    let guest = Guest::page(0x8000_0000 | PAGE).with(|guest| guest.registers.hcr = DC);
    assert_eq!(guest.read(0x1008), Short::Pa(0x8000_0008));
}

#[test]
fn an_open_configuration_is_one_open_range() {
    let guest = Guest::new(32, 1).with(|guest| guest.registers.vtcr ^= 1 << 4);
    let ranges = oracle::aarch32::stage2::ranges(&guest.stage2(), &guest.ram).unwrap();
    assert_eq!(ranges.len(), 1);
    assert_eq!((ranges[0].ipa, ranges[0].bytes), (0, 1 << 40));
    let open = Meaning::Unpredictable(Why::SignOfT0sz);
    assert_eq!(ranges[0].meaning, open);
}

#[test]
fn levels_1_to_3_alone_have_entries() {
    let stage2 = Guest::new(40, 1).stage2();
    let bytes = [-1, 0, 1, 2, 3, 4].map(|level| stage2.entry_bytes(level));
    assert_eq!(bytes, [0, 0, 1 << 30, 1 << 21, 1 << 12, 0]);
    for level in [-128, -1, 0, 4, 127] {
        assert_eq!(stage2.entry(level, TABLE), Entry::Invalid, "level {level}");
    }
    assert_eq!(stage2.entry(1, L2 | TABLE), Entry::Table { next: L2 });
    assert_eq!(stage2.entries_per_table(), 512);
}

#[test]
fn ee_is_the_byte_order_of_the_tables() {
    let mut guest = Guest::page(0x8000_0000 | PAGE);
    guest.ram.swap_bytes();
    assert_eq!(guest.read(0x1000), Short::Fault(FaultKind::Translation, 1));
    guest.registers.hsctlr |= EE;
    assert_eq!(guest.read(0x1008), Short::Pa(0x8000_0008));
    let ranges = oracle::aarch32::stage2::ranges(&guest.stage2(), &guest.ram).unwrap();
    assert_eq!((ranges[0].ipa, ranges[0].bytes), (0x1000, 0x1000));
}

#[test]
fn the_trace_of_a_walk_ends_in_its_answer() {
    use oracle::aarch32::stage2::trace;
    use oracle::walk::Decision;

    let mut guest = Guest::page(0x8000_0000 | PAGE).with(|guest| guest.registers.hsctlr |= EE);
    guest.ram.swap_bytes();
    let steps = trace(&guest.stage2(), &guest.ram, 0x1000, Access::Read);
    let places: Vec<_> = steps.iter().map(|step| (step.level, step.at)).collect();
    assert_eq!(places, [(1, ROOT), (2, L2), (3, L3 + 8)]);
    let answer = guest.ask(0x1000, Access::Read);
    assert_eq!(steps[2].decision, Decision::End(answer));
}
