//! Operands bit by bit, and that a range is invalidated whole and little beside.

use super::*;

const GRANULES: [(Granule, bool); 5] = [
    (Granule::K4, false),
    (Granule::K16, false),
    (Granule::K64, false),
    (Granule::K4, true),
    (Granule::K16, true),
];

fn operands(granule: Granule, ds: bool) -> Operands {
    let format = match granule {
        _ if ds => AddressFormat::Lpa2,
        Granule::K64 => AddressFormat::Lpa,
        Granule::K4 | Granule::K16 => AddressFormat::Bits48,
    };
    let (input_bits, start) = match granule {
        _ if ds => (52, 0),
        Granule::K4 => (48, 0),
        Granule::K16 | Granule::K64 => (48, 1),
    };
    let start = Level::new(start).unwrap();
    let shape = Shape::new(granule, start, input_bits, input_bits, format).unwrap();
    let features = Features {
        ttl: true,
        tlb_range: true,
        ..Features::default()
    };
    Operands::new(&shape, &features)
}

fn level(number: i8) -> Option<Level> {
    Level::new(number)
}

/// First and last granule, in granules, that an instruction invalidates: decoded
/// from its operand as the architecture says, apart from the code under test.
fn invalidated(operands: &Operands, part: Part) -> (u64, u64) {
    let shift = operands.shape.granule().shift();
    match part {
        Part::Single(at) => {
            let xt = operands.single(at, None);
            let address = (xt & 0xff_ffff_ffff) << 12;
            (address >> shift, address >> shift)
        }
        Part::Range { base, num, scale } => {
            let xt = operands.range(base, num, scale, None);
            let units = if operands.has_ds() { 16 } else { shift };
            let first = (xt & 0x1f_ffff_ffff) << units >> shift;
            let (num, scale) = (xt >> 39 & 0x1f, xt >> 44 & 3);
            (first, first + ((num + 1) << (5 * scale + 1)) - 1)
        }
    }
}

/// Checks that the parts of a range cover it in order without a gap, and how much
/// they cover before it.
fn check(operands: &Operands, first: u64, granules: u64) {
    let shift = operands.shape.granule().shift();
    let start = Ipa::new(first << shift);
    let mut next = None;
    for part in operands.parts(start, granules << shift) {
        let (from, to) = invalidated(operands, part);
        match next {
            Some(expected) => assert_eq!(from, expected, "{operands:?} {first} {granules}"),
            None => check_start(operands, first, from, granules),
        }
        next = Some(to + 1);
    }
    assert_eq!(
        next,
        Some(first + granules),
        "{operands:?} {first} {granules}"
    );
}

fn check_start(operands: &Operands, first: u64, from: u64, granules: u64) {
    let per_64k = (1 << 16 >> operands.shape.granule().shift()).max(1);
    let expected = if operands.has_ds() && granules > 1 {
        first / per_64k * per_64k
    } else {
        first
    };
    assert_eq!(from, expected, "{operands:?} {first} {granules}");
}

#[test]
fn every_size_is_covered_exactly() {
    for (granule, ds) in GRANULES {
        let operands = operands(granule, ds);
        for granules in 1..=5000 {
            check(&operands, 0x1_2345, granules);
        }
    }
}

#[test]
fn every_offset_from_64k_is_covered() {
    for (granule, ds) in GRANULES {
        let operands = operands(granule, ds);
        for first in 0..32 {
            for granules in 1..=130 {
                check(&operands, first, granules);
            }
        }
    }
}

#[test]
fn large_sizes_are_covered_exactly() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let (granule, ds) = GRANULES[usize::try_from(random() % 5).unwrap()];
        let largest = 1_u64 << (random() % 30 + 1);
        let granules = random() % largest + 1;
        // Both ends below 2^48.
        let first = random() % ((1 << (48 - granule.shift())) - granules);
        check(&operands(granule, ds), first, granules);
    }
}

#[test]
fn a_range_takes_at_most_one_instruction_for_each_scale_and_one_granule() {
    for (granule, ds) in GRANULES {
        let operands = operands(granule, ds);
        let bytes = |granules: u64| granules << granule.shift();
        let count = |granules| operands.parts(Ipa::new(0), bytes(granules)).count();
        assert_eq!(count((1 << 21) - 1), 5);
        assert_eq!(count(1 << 21), 1);
        assert_eq!(
            (count(1), count(2), count(3), count(64), count(66)),
            (1, 1, 2, 1, 2)
        );
    }
}

#[test]
fn a_single_operand_holds_the_page_number_in_4k_units_and_a_hint() {
    let k4 = operands(Granule::K4, false);
    assert_eq!(k4.single(Ipa::new(0x1234_5000), None), 0x1_2345);
    assert_eq!(
        k4.single(Ipa::new(0x1234_5000), level(3)),
        0b0111 << 44 | 0x1_2345
    );
    let k64 = operands(Granule::K64, false);
    assert_eq!(
        k64.single(Ipa::new(0xf_0000_0001_0000), level(1)),
        0b1101 << 44 | 0xf0_0000_0010
    );
    let k16 = operands(Granule::K16, false);
    assert_eq!(k16.single(Ipa::new(0x4000), level(2)), 0b1010 << 44 | 4);
}

#[test]
fn hints_that_are_reserved_without_ds_are_given_with_it_only() {
    let hint = |granule, ds, number| operands(granule, ds).single(Ipa::new(0), level(number)) >> 44;
    assert_eq!(hint(Granule::K4, false, 0), 0);
    assert_eq!(hint(Granule::K4, true, 0), 0b0100);
    assert_eq!(hint(Granule::K16, false, 1), 0);
    assert_eq!(hint(Granule::K16, true, 1), 0b1001);
    for (granule, ds) in GRANULES {
        assert_eq!(hint(granule, ds, -1), 0);
    }
}

#[test]
fn without_the_feature_there_is_no_hint() {
    let mut operands = operands(Granule::K4, false);
    operands.hints = false;
    assert_eq!(operands.single(Ipa::new(0x1000), level(3)), 1);
    assert_eq!(operands.range(Ipa::new(0), 0, 0, level(3)) >> 37 & 3, 0);
}

#[test]
fn a_range_operand_holds_granule_scale_number_and_hint() {
    let k4 = operands(Granule::K4, false);
    assert_eq!(
        k4.range(Ipa::new(0x60_0000), 3, 2, level(2)),
        1 << 46 | 2 << 44 | 3 << 39 | 2 << 37 | 0x600
    );
    let with_ds = operands(Granule::K16, true);
    assert_eq!(
        with_ds.range(Ipa::new(0xf_0000_0005_0000), 31, 3, None),
        2 << 46 | 3 << 44 | 31 << 39 | 0xf_0000_0005
    );
}

#[test]
fn no_hint_is_given_for_a_base_inside_of_a_leaf() {
    let hint = |base| operands(Granule::K4, false).range(Ipa::new(base), 0, 0, level(2)) >> 37 & 3;
    assert_eq!(hint(0x60_0000), 2);
    assert_eq!(hint(0x60_1000), 0);
}

#[test]
fn blocks_in_a_row_keep_their_hint_to_the_end() {
    for (granule, ds) in GRANULES {
        let operands = operands(granule, ds);
        let block_bytes = operands.shape.entry_bytes(level(2).unwrap());
        for blocks in 2..200 {
            let start = Ipa::new(3 * block_bytes);
            for part in operands.parts(start, blocks * block_bytes) {
                let Part::Range { base, num, scale } = part else {
                    panic!("{granule:?}: {blocks} blocks leave a single granule");
                };
                let xt = operands.range(base, num, scale, level(2));
                assert_eq!(xt >> 37 & 3, 2, "{granule:?} ds={ds}: {blocks} blocks");
            }
        }
    }
}
