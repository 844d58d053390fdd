//! Hyp mode's own stage 1, rule by rule.

use oracle::aarch32::stage1::ranges;
use oracle::stage1::{Access, Meaning};
use oracle::walk::{Entry, FaultKind, Why};

use crate::support::*;

const DENIED: Short = Short::Fault(FaultKind::Permission, 3);

/// Whether stores and fetches are permitted; loads are, always.
fn permitted(hyp: &Hyp) -> (bool, bool) {
    assert_ne!(hyp.read(0x1000), DENIED);
    let is_permitted = |access| hyp_short(hyp.ask(0x1000, access)) != DENIED;
    let write = is_permitted(Access::Write);
    assert_eq!(is_permitted(Access::AtWrite), write);
    (write, is_permitted(Access::Execute))
}

#[test]
fn t0sz_alone_chooses_the_start_level() {
    for (va_bits, level, entries) in [
        (32, 1, 4),
        (31, 1, 2),
        (30, 2, 512),
        (29, 2, 256),
        (28, 2, 128),
        (27, 2, 64),
        (26, 2, 32),
        (25, 2, 16),
    ] {
        let stage1 = Hyp::new(va_bits).stage1();
        assert_eq!(u32::from(stage1.va_bits()), va_bits);
        assert_eq!(stage1.start_level(), Some(level), "{va_bits} bits");
        assert_eq!(stage1.root(), Some((ROOT, entries)), "{va_bits} bits");
    }
}

#[test]
fn an_address_beyond_the_size_is_a_translation_fault_at_level_1() {
    for va_bits in 25..32 {
        let hyp = Hyp::new(va_bits);
        assert_eq!(
            hyp.read(1 << va_bits),
            Short::Fault(FaultKind::Translation, 1)
        );
    }
}

#[test]
fn all_addresses_of_32_bits_are_within_the_largest_size() {
    let mut hyp = Hyp::new(32);
    hyp.ram.set(ROOT + 24, 0xff_c000_0000 | HYP_LEAF);
    assert_eq!(hyp.read(0xffff_fff8), Short::Pa(0xff_ffff_fff8));
}

#[test]
fn bits_47_to_40_of_the_base_are_an_address_size_fault_at_level_0() {
    for bit in 40..48 {
        let hyp = Hyp::new(30).with(|hyp| hyp.registers.httbr |= 1 << bit);
        assert_eq!(hyp.read(0), Short::Fault(FaultKind::AddressSize, 0));
    }
}

#[test]
fn a_base_below_its_alignment_is_open() {
    for (va_bits, alignment) in [(32, 5), (31, 4), (30, 12), (25, 7)] {
        for bit in 3..alignment {
            let hyp = Hyp::new(va_bits).with(|hyp| hyp.registers.httbr |= 1 << bit);
            assert_eq!(hyp.read(0), Short::Open(Why::MisalignedBase), "bit {bit}");
        }
        let hyp = Hyp::new(va_bits).with(|hyp| hyp.registers.httbr |= 1 << alignment | 0b111);
        assert!(hyp.stage1().root().is_some(), "{va_bits} bits");
    }
}

#[test]
fn without_the_mmu_the_pa_is_the_va() {
    let hyp = Hyp::new(25).with(|hyp| hyp.registers.hsctlr = 0);
    let found = hyp_translation(hyp.ask(0xffff_fff8, Access::Write));
    assert_eq!((found.pa, found.size), (0xffff_fff8, 1 << 32));
    assert_eq!((found.attributes, found.shareability), (0x00, 0b10));
    let ranges = ranges(&hyp.stage1(), &hyp.ram).unwrap();
    assert_eq!((ranges[0].va, ranges[0].bytes), (0, 1 << 32));
    assert_eq!(hyp.stage1().start_level(), None);
}

#[test]
fn bits_47_to_40_of_a_descriptor_are_an_address_size_fault_at_its_level() {
    for bit in (40..48).map(|number| 1 << number) {
        let hyp = Hyp::page(HYP_PAGE | bit);
        assert_eq!(hyp.read(0x1000), Short::Fault(FaultKind::AddressSize, 3));
        let hyp = Hyp::page(HYP_PAGE).with(|hyp| hyp.ram.set(L2, L3 | TABLE | bit));
        assert_eq!(hyp.read(0x1000), Short::Fault(FaultKind::AddressSize, 2));
    }
}

#[test]
fn a_clear_access_flag_faults() {
    let hyp = Hyp::page(HYP_PAGE & !AF);
    assert_eq!(hyp.read(0x1000), Short::Fault(FaultKind::AccessFlag, 3));
}

#[test]
fn ap_2_is_read_only_and_xn_is_execute_never() {
    for (bits, expected) in [
        (0, (true, true)),
        (READ_ONLY, (false, true)),
        (XN, (true, false)),
        (READ_ONLY | XN, (false, false)),
    ] {
        assert_eq!(
            permitted(&Hyp::page(HYP_PAGE | bits)),
            expected,
            "{bits:#x}"
        );
    }
}

#[test]
fn bits_without_a_meaning_change_nothing() {
    // NS, AP[1], nG, address bits of other formats, GP, DBM, PXN, and software's.
    let bits = 1 << 5 | 1 << 6 | 1 << 11 | 0b11 << 48 | 1 << 50 | 1 << 51 | 1 << 53 | 0xff << 55;
    let page = 0x8000_0000 | HYP_PAGE | READ_ONLY;
    let plain = Hyp::page(page);
    let other = Hyp::page(page ^ bits);
    for access in ALL_OF_HYP {
        assert_eq!(other.ask(0x1000, access), plain.ask(0x1000, access));
    }
    let found = ranges(&other.stage1(), &other.ram).unwrap();
    assert_eq!(found, ranges(&plain.stage1(), &plain.ram).unwrap());
}

#[test]
fn wxn_makes_writable_memory_execute_never() {
    for (bits, expected) in [(0, (true, false)), (READ_ONLY, (false, true))] {
        let hyp = Hyp::page(HYP_PAGE | bits).with(|hyp| hyp.registers.hsctlr |= WXN);
        assert_eq!(permitted(&hyp), expected, "{bits:#x}");
    }
}

#[test]
fn a_table_restricts_what_is_below_it() {
    for at in [ROOT, L2] {
        for (bits, expected) in [
            (AP_TABLE_1, (false, true)),
            (XN_TABLE, (true, false)),
            // NSTable, APTable[0] and PXNTable.
            (1 << 63 | 1 << 61 | 1 << 59, (true, true)),
        ] {
            let mut hyp = Hyp::page(HYP_PAGE);
            let next = hyp.ram.words[&at];
            hyp.ram.set(at, next | bits);
            assert_eq!(permitted(&hyp), expected, "{at:#x} {bits:#x}");
        }
    }
}

#[test]
fn hpd_lifts_the_restrictions_of_tables_where_it_exists() {
    let mut hyp = Hyp::page(HYP_PAGE).with(|hyp| hyp.registers.htcr |= HPD);
    hyp.ram.set(ROOT, L2 | TABLE | AP_TABLE_1 | XN_TABLE);
    assert_eq!(permitted(&hyp), (false, false));
    hyp.features.hpd = true;
    assert_eq!(permitted(&hyp), (true, true));
}

fn attributes(hyp: &Hyp) -> (u8, u8) {
    let found = hyp_translation(hyp.ask(0x1000, Access::Read));
    (found.attributes, found.shareability)
}

#[test]
fn attrindx_selects_a_byte_of_both_hmairs() {
    for (index, attributes_of_index) in [(0, 0xff), (1, 0x44), (2, 0x04), (5, 0xbb)] {
        let hyp = Hyp::page(HYP_PAGE | index << 2).with(|hyp| hyp.registers.hmair1 = 0xbb40);
        assert_eq!(attributes(&hyp).0, attributes_of_index, "{index}");
    }
}

#[test]
fn encodings_that_only_aarch64_defines_are_open() {
    for byte in [0x40, 0xa0, 0xf0, 0x01, 0x02, 0x70] {
        let hyp = Hyp::page(HYP_PAGE | 4 << 2).with(|hyp| hyp.registers.hmair1 = byte);
        assert_eq!(hyp.read(0x1000), Short::Open(Why::MemAttr), "{byte:#x}");
    }
}

#[test]
fn without_c_normal_memory_is_non_cacheable() {
    let hyp = Hyp::page(HYP_PAGE).with(|hyp| hyp.registers.hsctlr &= !C);
    assert_eq!(attributes(&hyp), (0x44, 0b10));
    assert_eq!(attributes(&Hyp::page(HYP_PAGE)), (0xff, 0b11));
}

#[test]
fn a_permitted_fetch_from_device_memory_is_open() {
    let device = HYP_PAGE | 2 << 2;
    let answer = hyp_short(Hyp::page(device).ask(0x1000, Access::Execute));
    assert_eq!(answer, Short::Open(Why::FetchFromDevice));
    let answer = hyp_short(Hyp::page(device | XN).ask(0x1000, Access::Execute));
    assert_eq!(answer, DENIED);
}

#[test]
fn ee_is_the_byte_order_of_the_tables() {
    let mut hyp = Hyp::page(0x8000_0000 | HYP_PAGE);
    hyp.ram.swap_bytes();
    hyp.registers.hsctlr |= EE;
    assert_eq!(hyp.read(0x1008), Short::Pa(0x8000_0008));
}

#[test]
fn levels_1_to_3_alone_have_entries() {
    let stage1 = Hyp::new(32).stage1();
    let bytes = [-1, 0, 1, 2, 3, 4].map(|level| stage1.entry_bytes(level));
    assert_eq!(bytes, [0, 0, 1 << 30, 1 << 21, 1 << 12, 0]);
    assert_eq!(stage1.entry(0, L2 | TABLE), Entry::Invalid);
    assert_eq!(stage1.entry(1, L2 | TABLE), Entry::Table { next: L2 });
    assert_eq!(stage1.entries_per_table(), 512);
}

#[test]
fn pages_that_continue_each_other_are_one_range() {
    let mut hyp = Hyp::page(0x8000_1000 | HYP_PAGE);
    hyp.ram.set(L3 + 16, 0x8000_2000 | HYP_PAGE);
    let found = ranges(&hyp.stage1(), &hyp.ram).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].va, found[0].bytes), (0x1000, 0x2000));
    let pa_of = |meaning| match meaning {
        Meaning::Mapped { pa, .. } => pa,
        other => panic!("not mapped: {other:?}"),
    };
    assert_eq!(pa_of(found[0].meaning), 0x8000_1000);
}
