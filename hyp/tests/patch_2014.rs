//! The constants that Linux derived by hand for each of its configurations, against
//! what `Geometry` computes.
//!
//! The patch is "arm64: KVM: Implement 48 VA support for KVM EL2 and Stage-2" of
//! 2014 (commit 38f791a4e499). 16K pages came in 2016, when the dummy of its rules
//! had gone; their lines apply the rules all the same. The numbers are worked out
//! by hand, for an IPA size of 40 bits and the `PGDIR_SHIFT` of the host:
//!
//! - `PTRS_PER_S2_PGD` is 2^(40 - PGDIR_SHIFT), at least 1, and `S2_PGD_ORDER` the
//!   order of pages that hold them;
//! - `KVM_PREALLOC_LEVEL` is 0 if these are more than 16. Otherwise they are a
//!   dummy that hardware never sees, and it is the level below the host's top level,
//!   where as many tables as the dummy has entries are allocated beforehand;
//! - `KVM_MMU_CACHE_MIN_PAGES` is the number of levels below the tables at which
//!   hardware starts;
//! - `VTTBR_X` is 37, 38 or 42 - T0SZ for 4K, 64K and 16K: the root is aligned to
//!   2^VTTBR_X bytes (DDI 0487 A.b, tables D4-23 and D4-25).
//!
//! Here there is one kind of table, which hardware sees, and no dummy.

use hyp::addr::Pa;
use hyp::geometry::{
    Configuration, DEFAULT_IPA_BITS, ExecutionState, Features, Geometry, GeometryError, Granule,
    RootError, default_ipa_bits,
};

/// What the patch has for one configuration of the host.
struct Line {
    granule: Granule,
    host_va_bits: u8,
    /// Level of the host's own root: 4 - `CONFIG_PGTABLE_LEVELS`.
    host_top: i8,
    ptrs_per_s2_pgd: u32,
    prealloc_level: i8,
    /// Level at which hardware starts.
    start: i8,
    /// Order of the pages that hardware starts with: `PTRS_PER_S2_PGD_SHIFT` where
    /// they are allocated beforehand, else `S2_PGD_ORDER`.
    order: u8,
    cache_min_pages: u8,
    vttbr_x: u32,
    /// `VTCR_EL2_FLAGS` with bit 31 (RES1), which came later; PS is OR'ed in.
    vtcr: u64,
}

#[rustfmt::skip]
const LINES: [Line; 7] = [
    Line { granule: Granule::K4,  host_va_bits: 39, host_top: 1, ptrs_per_s2_pgd: 1024,  prealloc_level: 0, start: 1, order: 1, cache_min_pages: 2, vttbr_x: 13, vtcr: 0x8000_3558 },
    Line { granule: Granule::K4,  host_va_bits: 48, host_top: 0, ptrs_per_s2_pgd: 2,     prealloc_level: 1, start: 1, order: 1, cache_min_pages: 2, vttbr_x: 13, vtcr: 0x8000_3558 },
    Line { granule: Granule::K64, host_va_bits: 42, host_top: 2, ptrs_per_s2_pgd: 2048,  prealloc_level: 0, start: 2, order: 0, cache_min_pages: 1, vttbr_x: 14, vtcr: 0x8000_7558 },
    Line { granule: Granule::K64, host_va_bits: 48, host_top: 1, ptrs_per_s2_pgd: 1,     prealloc_level: 2, start: 2, order: 0, cache_min_pages: 1, vttbr_x: 14, vtcr: 0x8000_7558 },
    Line { granule: Granule::K16, host_va_bits: 36, host_top: 2, ptrs_per_s2_pgd: 32768, prealloc_level: 0, start: 2, order: 4, cache_min_pages: 1, vttbr_x: 18, vtcr: 0x8000_b558 },
    Line { granule: Granule::K16, host_va_bits: 47, host_top: 1, ptrs_per_s2_pgd: 16,    prealloc_level: 2, start: 2, order: 4, cache_min_pages: 1, vttbr_x: 18, vtcr: 0x8000_b558 },
    // Not by the rule, which knows one level of difference and gives 1 entry and level 1
    // here: the 16 tables of level 2 would be two levels below the host's top.
    Line { granule: Granule::K16, host_va_bits: 48, host_top: 0, ptrs_per_s2_pgd: 16,    prealloc_level: 2, start: 2, order: 4, cache_min_pages: 1, vttbr_x: 18, vtcr: 0x8000_b558 },
];

/// PARange in bits, and `VTCR_EL2.PS`.
const PA_RANGES: [(u8, u64); 4] = [(40, 2), (42, 3), (44, 4), (48, 5)];

fn configuration(granule: Granule, pa_bits: u8, start_level: Option<i8>) -> Configuration {
    Configuration {
        state: ExecutionState::Aarch64,
        granule,
        ipa_bits: default_ipa_bits(pa_bits),
        pa_bits,
        start_level,
        ds: false,
        contiguous: false,
        coherent_walks: true,
        features: Features::default(),
    }
}

fn each_line(check: impl Fn(&Line, &Geometry)) {
    for line in &LINES {
        for (pa_bits, _) in PA_RANGES {
            println!(
                "{:?}, {} bits of VA, PARange {pa_bits}",
                line.granule, line.host_va_bits
            );
            let configuration = configuration(line.granule, pa_bits, None);
            check(line, &Geometry::new(&configuration).unwrap());
        }
    }
}

#[test]
fn hardware_starts_at_the_level_of_the_patch_with_its_tables() {
    each_line(|line, geometry| {
        let shape = geometry.shape();
        assert_eq!(shape.start().number(), line.start);
        assert_eq!(shape.root_order(), line.order);
        assert_eq!(shape.levels_below_root(), line.cache_min_pages);
    });
}

#[test]
fn what_the_patch_put_below_a_dummy_is_the_root_itself() {
    each_line(|line, geometry| {
        let shape = geometry.shape();
        let start = shape.start().number();
        let has_dummy = start > line.host_top;
        let (prealloc_level, pointers) = if has_dummy {
            // One pointer of the dummy for each table.
            (start, 1 << shape.root_order())
        } else {
            (0, shape.root_entries())
        };
        assert_eq!(prealloc_level, line.prealloc_level);
        assert_eq!(pointers, line.ptrs_per_s2_pgd);
    });
}

#[test]
fn the_root_is_aligned_as_the_patch_has_it_and_to_whole_pages() {
    each_line(|line, geometry| {
        let shape = geometry.shape();
        let bytes = u64::from(shape.root_entries()) * 8;
        assert_eq!(bytes, 1 << line.vttbr_x);
        assert_eq!(shape.root_bytes(), bytes.max(line.granule.bytes()));
        let (aligned, misaligned) = (Pa::new(3 * shape.root_bytes()), Pa::new(bytes / 2));
        assert_eq!(geometry.base_field(aligned), Ok(aligned.raw()));
        assert_eq!(
            geometry.base_field(misaligned),
            Err(RootError::Misaligned(misaligned))
        );
    });
}

#[test]
fn vtcr_is_what_the_patch_makes_of_its_flags_and_the_pa_range() {
    for line in &LINES {
        for (pa_bits, ps) in PA_RANGES {
            let geometry = Geometry::new(&configuration(line.granule, pa_bits, None)).unwrap();
            assert_eq!(geometry.vtcr(), line.vtcr | ps << 16, "PARange {pa_bits}");
        }
    }
}

#[test]
fn hardware_cannot_start_at_the_hosts_top_level_where_the_patch_has_a_dummy() {
    let at_level = |granule, pa_bits, level| {
        Geometry::new(&configuration(granule, pa_bits, Some(level)))
            .map(|geometry| geometry.shape().root_entries())
    };
    let refused = |level| Err(GeometryError::StartLevel(level));
    // 4K level 0: PARange 40 and 42 allow SL0 up to 1. Above, a root of two entries
    // would be legal, for a level more of walks.
    let k4 = [40, 42, 44, 48].map(|pa_bits| at_level(Granule::K4, pa_bits, 0));
    assert_eq!(k4, [refused(0), refused(0), Ok(2), Ok(2)]);
    // 64K level 1 and 16K level 0 would be roots of less than two entries; 16K level
    // 1 has 16 entries, on machines that have it.
    for (pa_bits, _) in PA_RANGES {
        assert_eq!(at_level(Granule::K64, pa_bits, 1), refused(1));
        assert_eq!(at_level(Granule::K16, pa_bits, 0), refused(0));
    }
    let k16 = [40, 42, 44, 48].map(|pa_bits| at_level(Granule::K16, pa_bits, 1));
    assert_eq!(k16, [refused(1), Ok(16), Ok(16), Ok(16)]);
}

#[test]
fn the_ipa_size_is_the_one_that_guests_have_always_had() {
    assert_eq!(DEFAULT_IPA_BITS, 40);
    assert_eq!(
        PA_RANGES.map(|(pa_bits, _)| default_ipa_bits(pa_bits)),
        [40; 4]
    );
    // The patch does not support these machines.
    assert_eq!([32, 36].map(default_ipa_bits), [32, 36]);
}
