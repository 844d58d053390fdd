//! The checks of the configuration, and what comes before and after them.

use oracle::stage1::{Access, FaultKind, Features, Stage1, Why};

use crate::support::*;

fn start_level(features: Features, tcr: u64) -> Option<i8> {
    Setup::new(features, tcr).stage1().start_level()
}

/// AArch64.S1StartLevel: the smallest and largest address size of each level.
#[test]
fn the_address_size_alone_decides_the_start_level() {
    for (granule, level, smallest, largest) in [
        (TG0_4K, 3, 16, 21),
        (TG0_4K, 2, 22, 30),
        (TG0_4K, 1, 31, 39),
        (TG0_4K, 0, 40, 48),
        (TG0_4K | DS, -1, 49, 52),
        (TG0_16K, 3, 16, 25),
        (TG0_16K, 2, 26, 36),
        (TG0_16K, 1, 37, 47),
        (TG0_16K, 0, 48, 48),
        (TG0_16K | DS, 0, 48, 52),
        (TG0_64K, 3, 17, 29),
        (TG0_64K, 2, 30, 42),
        (TG0_64K, 1, 43, 52),
    ] {
        for va_bits in smallest..=largest {
            let tcr = tcr(granule, va_bits, PS_52);
            assert_eq!(start_level(WIDE, tcr), Some(level), "{tcr:#x} {va_bits}");
        }
    }
}

#[test]
fn a_48_bit_address_of_the_16k_granule_starts_at_level_0_with_two_entries() {
    let setup = Setup::new(FEATURES, tcr(TG0_16K, 48, PS_48));
    assert_eq!(setup.stage1().start_level(), Some(0));
    assert_eq!(setup.stage1().root(), Some((ROOT, 2)));
}

/// AArch64.S1MinTxSZ, AArch64.S1TxSZFaults
#[test]
fn an_address_size_above_the_maximum_faults_with_lva_and_is_open_without() {
    let open = Short::Open(Why::T0sz);
    let k4 = tcr(TG0_4K, 49, PS_52);
    assert_eq!(Setup::new(FEATURES, k4).read(0), open);
    assert_eq!(Setup::new(WIDE, k4).read(0), UNMAPPED_AT_0);
    assert_eq!(start_level(WIDE, k4), None);
    assert_eq!(start_level(WIDE, k4 | DS), Some(-1));
    let k64 = tcr(TG0_64K, 52, PS_52);
    assert_eq!(start_level(WIDE, k64), Some(1));
    let without = Features { lva: false, ..WIDE };
    assert_eq!(Setup::new(without, k64).read(0), open);
    // DS brings 52 bits by itself.
    assert_eq!(start_level(without, k4 | DS), Some(-1));
}

#[test]
fn an_open_address_size_leaves_no_address_open_beyond_its_limit() {
    let setup = Setup::new(FEATURES, tcr(TG0_4K, 49, PS_48));
    assert_eq!(setup.read((1 << 48) - 8), Short::Open(Why::T0sz));
    assert_eq!(setup.read(1 << 48), UNMAPPED_AT_0);
    let setup = Setup::new(FEATURES, tcr(TG0_4K, 15, PS_48));
    assert_eq!(setup.read(0xfff8), Short::Open(Why::T0sz));
    assert_eq!(setup.read(0x1_0000), UNMAPPED_AT_0);
}

#[test]
fn an_address_size_below_the_minimum_is_open() {
    let mut setup = Setup::new(FEATURES, tcr(TG0_16K, 24, PS_48));
    assert_eq!(setup.stage1().start_level(), Some(3));
    setup.features.both.ttst = false;
    assert_eq!(setup.read(0), Short::Open(Why::T0sz));
    setup.registers.tcr = tcr(TG0_16K, 25, PS_48);
    assert_eq!(setup.stage1().start_level(), Some(3));
}

/// AArch64.VAIsOutOfRange
#[test]
fn addresses_beyond_the_address_size_fault_at_level_0() {
    let setup = Setup::k4().with(|setup| setup.set(ROOT + 511 * 8, LEAF));
    let last = (1 << 39) - 8;
    assert_eq!(setup.read(last), Short::Pa(0x3fff_fff8));
    assert_eq!(setup.read(1 << 39), UNMAPPED_AT_0);
    assert_eq!(setup.read(!0 << 39 | last), UNMAPPED_AT_0);
}

const TAGGED: u64 = 0xa5 << 56 | 0x1008;

/// AArch64.AddrTop
#[test]
fn the_top_byte_counts_unless_tbi_is_set() {
    let mut setup = Setup::page(0x7000 | PAGE);
    assert_eq!(setup.read(TAGGED), UNMAPPED_AT_0);
    setup.registers.tcr |= TBI;
    assert_eq!(setup.read(TAGGED), Short::Pa(0x7008));
    assert_eq!(setup.read(TAGGED | 1 << 55), UNMAPPED_AT_0);
}

#[test]
fn tbid_keeps_the_top_byte_of_instruction_addresses() {
    let fetch = |setup: &Setup| short(setup.ask(TAGGED, Access::Execute));
    let mut setup = Setup::page(0x7000 | PAGE);
    setup.registers.tcr |= TBI;
    assert_eq!(fetch(&setup), Short::Pa(0x7008));
    setup.registers.tcr |= TBID;
    assert_eq!(fetch(&setup), UNMAPPED_AT_0);
    assert_eq!(setup.read(TAGGED), Short::Pa(0x7008));
    setup.features.pauth = false;
    assert_eq!(fetch(&setup), Short::Pa(0x7008));
}

/// AArch64.S1DisabledOutput
#[test]
fn addresses_pass_unchanged_where_the_mmu_is_off() {
    let mut setup = Setup::k4().with(|setup| setup.registers.sctlr = C);
    let found = translation(setup.ask(0x1234_5678, Access::Write));
    assert_eq!(
        (found.pa, found.level, found.size),
        (0x1234_5678, 0, 1 << 48)
    );
    assert_eq!((found.attributes, found.shareability), (0x00, 2));
    assert_eq!(
        short(setup.ask(0x1234_5678, Access::Execute)),
        Short::Pa(0x1234_5678)
    );
    let beyond = Short::Fault(FaultKind::AddressSize, 0);
    assert_eq!(setup.read(1 << 48), beyond);
    assert_eq!(setup.read(TAGGED), beyond);
    setup.registers.tcr |= TBI;
    assert_eq!(setup.read(TAGGED), Short::Pa(0x1008));
    assert_eq!(setup.read(TAGGED | 1 << 55), beyond);
}

/// AArch64.S1TTBaseAddress
#[test]
fn ttbr0_holds_52_bits_with_ps_6_of_the_64k_granule_or_with_ds() {
    let base = |tcr| {
        let mut setup = Setup::new(WIDE, tcr);
        setup.registers.ttbr0 |= 0b1001 << 2;
        setup.stage1().root().map(|(base, _)| base)
    };
    let wide = Some(9 << 48 | ROOT);
    assert_eq!(base(tcr(TG0_64K, 52, PS_52)), wide);
    assert_eq!(base(tcr(TG0_4K, 48, PS_52) | DS), wide);
    // Elsewhere these are low bits of the base, and misaligned.
    assert_eq!(base(tcr(TG0_64K, 48, PS_48)), None);
    assert_eq!(base(tcr(TG0_4K, 48, PS_52)), None);
}

#[test]
fn a_root_is_aligned_to_its_size() {
    // 32 entries, 256 bytes.
    let mut setup = Setup::new(FEATURES, tcr(TG0_4K, 35, PS_48));
    setup.registers.ttbr0 = ROOT | 0x100 | 1;
    assert_eq!(setup.stage1().root(), Some((ROOT | 0x100, 32)));
    setup.registers.ttbr0 = ROOT | 0x80;
    assert_eq!(setup.read(0), Short::Open(Why::MisalignedBase));
    assert_eq!(setup.read(1 << 35), UNMAPPED_AT_0);
}

#[test]
fn a_root_beyond_the_output_size_is_an_address_size_fault_at_level_0() {
    let mut setup = Setup::new(FEATURES, tcr(TG0_4K, 39, PS_32));
    setup.registers.ttbr0 = 1 << 32;
    assert_eq!(setup.read(0), Short::Fault(FaultKind::AddressSize, 0));
    assert_eq!(setup.read(1 << 39), UNMAPPED_AT_0);
    // Also where the start level is -1, and by bits 51:48 alone.
    let mut setup = Setup::new(WIDE, tcr(TG0_4K, 52, PS_48) | DS);
    setup.registers.ttbr0 = ROOT | 1 << 2;
    assert_eq!(setup.read(0), Short::Fault(FaultKind::AddressSize, 0));
}

#[test]
fn reserved_and_missing_granules_are_open() {
    assert_eq!(
        Setup::new(FEATURES, tcr(3 << 14, 39, PS_48)).read(0),
        Short::Open(Why::Granule)
    );
    let mut k16 = Setup::new(FEATURES, tcr(TG0_16K, 39, PS_48));
    assert_eq!(k16.read(0), Short::Fault(FaultKind::Translation, 1));
    k16.features.both.granule_16k = false;
    assert_eq!(k16.read(0), Short::Open(Why::Granule));
    assert_eq!(k16.read(1 << 39), UNMAPPED_AT_0);
}

#[test]
fn a_reserved_output_size_is_open_for_addresses_within_range() {
    let setup = Setup::new(FEATURES, tcr(TG0_4K, 39, 7));
    assert_eq!(setup.read(0), Short::Open(Why::OutputSize));
    assert_eq!(setup.read(1 << 39), UNMAPPED_AT_0);
}

#[test]
fn a_decoded_stage_1_is_small() {
    assert!(size_of::<Stage1>() <= 64);
    assert!(size_of::<Access>() <= 1);
}
