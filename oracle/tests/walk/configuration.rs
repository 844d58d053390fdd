//! The checks of the configuration, and what comes before and after them.

use oracle::walk::{Access, FaultKind, Stage2, Why};

use crate::support::*;

const REFUSED: Short = Short::Fault(FaultKind::Translation, 0);

fn start_level(features: oracle::arch::Features, vtcr: u64) -> Option<i8> {
    Setup::new(features, vtcr).stage2().start_level()
}

fn with_pa_bits(pa_bits: u8) -> oracle::arch::Features {
    oracle::arch::Features {
        pa_bits,
        ..FEATURES
    }
}

/// AArch64.S2StartLevel and S2InconsistentSL: smallest and largest IPA size of each.
#[test]
fn every_start_level_takes_its_range_of_ipa_sizes() {
    for (vtcr_without_size, level, smallest, largest) in [
        (vtcr(TG0_4K, 64, 3, PS_52), 3, 16, 25),
        (vtcr(TG0_4K, 64, 0, PS_52), 2, 22, 34),
        (vtcr(TG0_4K, 64, 1, PS_52), 1, 31, 43),
        (vtcr(TG0_4K, 64, 2, PS_52) | DS, 0, 40, 52),
        (vtcr(TG0_4K, 64, 0, PS_52) | DS | SL2, -1, 49, 52),
        (vtcr(TG0_16K, 64, 0, PS_52), 3, 16, 29),
        (vtcr(TG0_16K, 64, 1, PS_52), 2, 26, 40),
        (vtcr(TG0_16K, 64, 2, PS_52) | DS, 1, 37, 51),
        (vtcr(TG0_16K, 64, 3, PS_52) | DS, 0, 48, 52),
        (vtcr(TG0_64K, 64, 0, PS_52), 3, 17, 33),
        (vtcr(TG0_64K, 64, 1, PS_52), 2, 30, 46),
        (vtcr(TG0_64K, 64, 2, PS_52), 1, 43, 52),
    ] {
        for ipa_bits in 16..=52 {
            let expected = (smallest..=largest).contains(&ipa_bits).then_some(level);
            let vtcr = vtcr_without_size | (64 - ipa_bits);
            assert_eq!(start_level(WIDE, vtcr), expected, "{vtcr:#x} {ipa_bits}");
        }
    }
}

#[test]
fn roots_are_concatenated_where_the_index_is_wider_than_a_table() {
    for (ipa_bits, tables) in [(31, 1), (39, 1), (40, 2), (41, 4), (42, 8), (43, 16)] {
        let setup = Setup::new(FEATURES, vtcr(TG0_4K, ipa_bits, 1, PS_48));
        assert_eq!(setup.stage2().root(), Some((ROOT, tables)), "{ipa_bits}");
    }
}

#[test]
fn a_48_bit_ipa_of_the_16k_granule_starts_at_level_1_with_two_tables() {
    let root = |sl0| Setup::new(FEATURES, vtcr(TG0_16K, 48, sl0, PS_48)).stage2();
    assert_eq!(root(2).root(), Some((ROOT, 2)));
    assert_eq!(root(3).root(), None);
}

/// AArch64.S2InvalidSL asks for PAMax, and `VTCR_EL2.PS` does not count.
#[test]
fn high_start_levels_need_a_large_physical_address_size() {
    for (tg0, sl0, ipa_bits, needs) in [
        (TG0_4K, 2, 40, 44),
        (TG0_16K, 2, 37, 42),
        (TG0_64K, 2, 43, 44),
    ] {
        let vtcr = vtcr(tg0, ipa_bits, sl0, PS_32);
        assert!(start_level(with_pa_bits(needs), vtcr).is_some(), "{tg0:#x}");
        let less = if needs == 44 { 42 } else { 40 };
        assert_eq!(start_level(with_pa_bits(less), vtcr), None, "{tg0:#x}");
    }
}

#[test]
fn start_level_3_of_the_4k_granule_needs_ttst() {
    let vtcr = vtcr(TG0_4K, 25, 3, PS_48);
    assert_eq!(start_level(FEATURES, vtcr), Some(3));
    let without = oracle::arch::Features {
        ttst: false,
        ..FEATURES
    };
    assert_eq!(start_level(without, vtcr), None);
}

#[test]
fn sl2_acts_with_ds_alone_and_excludes_sl0() {
    let size = 50;
    let plain = vtcr(TG0_4K, size, 0, PS_52);
    assert_eq!(start_level(WIDE, plain | DS | SL2), Some(-1));
    assert_eq!(start_level(WIDE, plain | SL2), None);
    assert_eq!(
        start_level(WIDE, vtcr(TG0_4K, size, 1, PS_52) | DS | SL2),
        None
    );
}

#[test]
fn an_ipa_size_above_ps_is_legal() {
    assert_eq!(start_level(FEATURES, vtcr(TG0_4K, 48, 2, PS_32)), Some(0));
}

#[test]
fn an_ipa_size_above_the_physical_address_size_faults_with_lpa_and_is_open_without() {
    // LPA without DS: 48 bits are the limit of the 4K granule.
    let vtcr = vtcr(TG0_4K, 49, 2, PS_52);
    assert_eq!(short(Setup::new(WIDE, vtcr).read(0)), REFUSED);
    let open = Setup::new(with_pa_bits(48), vtcr);
    assert_eq!(short(open.read(0)), Short::Open(Why::T0sz));
    assert_eq!(start_level(WIDE, vtcr | DS), Some(0));
}

#[test]
fn an_ipa_size_below_the_minimum_is_open() {
    let short_of = |ttst, ipa_bits| {
        let features = oracle::arch::Features { ttst, ..FEATURES };
        short(Setup::new(features, vtcr(TG0_16K, ipa_bits, 0, PS_48)).read(0))
    };
    let not_mapped = Short::Fault(FaultKind::Translation, 3);
    assert_eq!(short_of(false, 25), not_mapped);
    assert_eq!(short_of(false, 24), Short::Open(Why::T0sz));
    assert_eq!(short_of(true, 16), not_mapped);
    assert_eq!(short_of(true, 15), Short::Open(Why::T0sz));
}

#[test]
fn aarch32_guests_always_have_a_40_bit_ipa() {
    let mut setup = Setup::new(with_pa_bits(36), vtcr(TG0_4K, 40, 1, PS_36));
    assert_eq!(short(setup.read(0)), Short::Open(Why::T0sz));
    setup.registers.hcr &= !RW;
    assert_eq!(
        short(setup.read(0)),
        Short::Fault(FaultKind::Translation, 1)
    );
}

#[test]
fn addresses_beyond_the_ipa_size_fault_at_level_0() {
    let setup = Setup::k4().with(|setup| setup.set(ROOT, LEAF));
    assert_eq!(short(setup.read(0x3fff_fff8)), Short::Pa(0x3fff_fff8));
    assert_eq!(short(setup.read(1 << 39)), REFUSED);
}

#[test]
fn stage_1_refuses_an_address_before_stage_2_looks_at_it() {
    let beyond = Short::Fault(FaultKind::Stage1AddressSize, 0);
    let invalid = Setup::new(FEATURES, vtcr(TG0_64K, 39, 3, PS_48));
    let off = Setup::k4().with(|setup| setup.registers.hcr = RW);
    for setup in [&Setup::k4(), &invalid, &off] {
        for ipa in [1 << 48, u64::MAX] {
            assert_eq!(short(setup.read(ipa)), beyond);
        }
    }
    assert_eq!(short(invalid.read((1 << 48) - 8)), REFUSED);
    assert_eq!(short(off.read((1 << 48) - 8)), Short::Pa((1 << 48) - 8));
}

#[test]
fn stage_2_acts_where_vm_or_dc_is_set() {
    for (hcr, expected) in [
        (RW, Short::Pa(0x1234_5678)),
        (RW | VM, Short::Fault(FaultKind::Translation, 1)),
        (RW | DC, Short::Fault(FaultKind::Translation, 1)),
    ] {
        let setup = Setup::k4().with(|setup| setup.registers.hcr = hcr);
        assert_eq!(short(setup.read(0x1234_5678)), expected);
    }
}

#[test]
fn a_root_beyond_the_output_size_is_an_address_size_fault_at_level_0() {
    let mut setup = Setup::new(FEATURES, vtcr(TG0_4K, 39, 1, PS_36));
    setup.registers.vttbr = 0xf_ffff_f000;
    assert_eq!(
        short(setup.read(0)),
        Short::Fault(FaultKind::Translation, 1)
    );
    setup.registers.vttbr = 0x10_0000_0000;
    assert_eq!(
        short(setup.read(0)),
        Short::Fault(FaultKind::AddressSize, 0)
    );
    assert_eq!(short(setup.read(1 << 39)), REFUSED);
}

#[test]
fn a_root_beyond_the_output_size_reports_level_0_from_level_minus_1_too() {
    let mut setup = Setup::new(WIDE, vtcr(TG0_4K, 52, 0, PS_48) | DS | SL2);
    setup.registers.vttbr = ROOT | 1 << 2;
    assert_eq!(
        short(setup.read(0)),
        Short::Fault(FaultKind::AddressSize, 0)
    );
}

#[test]
fn vttbr_holds_52_bits_with_ps_6_of_the_64k_granule_or_with_ds() {
    let base = |vtcr| {
        let mut setup = Setup::new(WIDE, vtcr);
        setup.registers.vttbr |= 0b1001 << 2;
        setup.stage2().root().map(|(base, _)| base)
    };
    let wide = Some(9 << 48 | ROOT);
    assert_eq!(base(vtcr(TG0_64K, 52, 2, PS_52)), wide);
    assert_eq!(base(vtcr(TG0_4K, 48, 2, PS_52) | DS), wide);
    // Elsewhere these are low bits of the base, and misaligned.
    assert_eq!(base(vtcr(TG0_64K, 48, 2, PS_48)), None);
    assert_eq!(base(vtcr(TG0_4K, 48, 2, PS_52)), None);
}

#[test]
fn a_root_is_aligned_to_its_size() {
    // 32 entries, 256 bytes.
    let mut setup = Setup::new(FEATURES, vtcr(TG0_4K, 35, 1, PS_48));
    setup.registers.vttbr = ROOT | 0x100;
    assert_eq!(setup.stage2().root(), Some((ROOT | 0x100, 1)));
    setup.registers.vttbr = ROOT | 0x80;
    assert_eq!(short(setup.read(0)), Short::Open(Why::MisalignedBase));
    assert_eq!(short(setup.read(1 << 35)), REFUSED);
}

#[test]
fn cnp_is_no_part_of_the_base() {
    let setup = Setup::k4().with(|setup| setup.registers.vttbr |= 1);
    assert_eq!(setup.stage2().root(), Some((ROOT, 1)));
}

#[test]
fn reserved_and_missing_granules_are_open() {
    let reserved = Setup::new(FEATURES, vtcr(3 << 14, 39, 1, PS_48));
    assert_eq!(short(reserved.read(0)), Short::Open(Why::Granule));
    let mut k16 = Setup::new(FEATURES, vtcr(TG0_16K, 39, 1, PS_48));
    assert_eq!(short(k16.read(0)), Short::Fault(FaultKind::Translation, 2));
    k16.features.granule_16k = false;
    assert_eq!(short(k16.read(0)), Short::Open(Why::Granule));
}

#[test]
fn a_reserved_output_size_is_open_for_addresses_within_the_ipa_size() {
    let setup = Setup::new(FEATURES, vtcr(TG0_4K, 39, 1, 7));
    assert_eq!(short(setup.read(0)), Short::Open(Why::OutputSize));
    assert_eq!(short(setup.read(1 << 39)), REFUSED);
}

#[test]
fn a_decoded_stage_2_is_small() {
    assert!(size_of::<Stage2>() <= 64);
    assert!(size_of::<Access>() <= 2);
}
