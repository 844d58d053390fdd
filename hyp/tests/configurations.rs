//! The tracked list of all legal Stage-2 configurations, made anew from `Geometry`. The
//! oracle has a test of its own that makes the same list from its own arithmetic.

use hyp::geometry::{Configuration, ExecutionState, Features, Geometry, Granule};

const TRACKED: &str = include_str!("../../corpora/configurations.txt");

const GRANULES: [(Granule, &str); 3] = [
    (Granule::K4, "4K"),
    (Granule::K16, "16K"),
    (Granule::K64, "64K"),
];
const PA_SIZES: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

/// What a configuration needs beside its sizes, with its words in the list: the fewest
/// features come first, and a configuration is listed with the first that make it legal.
const NEEDS: [(bool, bool, &str); 4] = [
    (false, false, ""),
    (false, true, " ttst"),
    (true, false, " ds"),
    (true, true, " ds ttst"),
];

fn geometry(
    granule: Granule,
    start: i8,
    ipa_bits: u8,
    pa_bits: u8,
    ds: bool,
    ttst: bool,
) -> Option<Geometry> {
    Geometry::new(&Configuration {
        state: ExecutionState::Aarch64,
        granule,
        ipa_bits,
        pa_bits,
        start_level: Some(start),
        ds,
        contiguous: false,
        coherent_walks: true,
        features: Features {
            lpa2_4k: ds,
            lpa2_16k: ds,
            ttst,
            ..Features::default()
        },
    })
    .ok()
}

/// The line of one configuration, with and without DS, since both are legal where both
/// formats reach the IPA size.
fn lines(granule: (Granule, &str), start: i8, ipa: u8, pa: u8) -> Vec<String> {
    [false, true]
        .into_iter()
        .filter_map(|ds| {
            let needs = NEEDS.into_iter().filter(|&(with_ds, ..)| with_ds == ds);
            needs.into_iter().find_map(|(ds, ttst, words)| {
                let geometry = geometry(granule.0, start, ipa, pa, ds, ttst)?;
                let tables = 1 << geometry.shape().root_order();
                Some(format!(
                    "{} start={start} ipa={ipa} pa={pa} root={tables}{words}",
                    granule.1
                ))
            })
        })
        .collect()
}

#[test]
fn the_tracked_list_is_what_geometry_finds_legal() {
    let mut found = Vec::new();
    for granule in GRANULES {
        for start in -1..=3 {
            for ipa in 0..=64 {
                for pa in PA_SIZES {
                    found.extend(lines(granule, start, ipa, pa));
                }
            }
        }
    }
    let mut tracked: Vec<_> = TRACKED.lines().skip(1).map(String::from).collect();
    println!("{} legal configurations", found.len());
    found.sort();
    tracked.sort();
    let missing = tracked.iter().find(|line| !found.contains(line));
    let added = found.iter().find(|line| !tracked.contains(line));
    assert_eq!((missing, added), (None, None));
    assert_eq!(found.len(), tracked.len());
}

/// IPA sizes that a start level resolves with one table, or needs 2, 4, 8 and 16
/// concatenated ones for (none where the last is 0): worked out by hand from
/// AArch64.S2InconsistentSL and AArch64.S2InvalidSL.
const START_LEVELS: [(Granule, i8, u8, u8, u8); 12] = [
    (Granule::K4, 3, 16, 21, 25),
    (Granule::K4, 2, 22, 30, 34),
    (Granule::K4, 1, 31, 39, 43),
    (Granule::K4, 0, 40, 48, 52),
    (Granule::K4, -1, 49, 52, 52),
    (Granule::K16, 3, 16, 25, 29),
    (Granule::K16, 2, 26, 36, 40),
    (Granule::K16, 1, 37, 47, 51),
    (Granule::K16, 0, 48, 52, 52),
    (Granule::K64, 3, 17, 29, 33),
    (Granule::K64, 2, 30, 42, 46),
    (Granule::K64, 1, 43, 52, 52),
];

#[test]
fn each_start_level_has_its_sizes_and_its_concatenated_tables() {
    for (granule, start, least, one_table, most) in START_LEVELS {
        let is_64k = granule == Granule::K64;
        for ipa in 0..=64 {
            // A machine that has everything, so that only the start level decides.
            let found = geometry(granule, start, ipa, 52, !is_64k, true);
            let order = found.map(|geometry| geometry.shape().root_order());
            let expected = (least..=most)
                .contains(&ipa)
                .then(|| ipa.saturating_sub(one_table));
            assert_eq!(order, expected, "{granule:?} level {start} ipa {ipa}");
        }
    }
}
