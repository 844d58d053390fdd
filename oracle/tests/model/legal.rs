//! Section L, and the tracked list of all legal configurations.

use oracle::arch::Granule;
use oracle::model::legal::{Illegal, check, configurations};

const TRACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpora/configurations.txt");

/// Run with `UPDATE=1` to write the list anew.
#[test]
fn the_tracked_list_is_complete() {
    let lines: Vec<String> = configurations().map(|c| c.to_string()).collect();
    let text = format!(
        "# {} legal configurations: granule, start level, IPA size, PA size, root tables\n{}\n",
        lines.len(),
        lines.join("\n")
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(TRACKED, &text).unwrap();
    }
    let tracked = std::fs::read_to_string(TRACKED).unwrap();
    assert!(
        tracked == text,
        "{TRACKED} is out of date: run with UPDATE=1"
    );
}

#[test]
fn every_input_has_an_answer_and_legal_ones_are_listed() {
    let mut legal = Vec::new();
    for granule in [Granule::K4, Granule::K16, Granule::K64] {
        for start in [i8::MIN, -2, -1, 0, 1, 2, 3, 4, 5, i8::MAX] {
            for ipa in 0..=u8::MAX {
                for pa in 0..=u8::MAX {
                    legal.extend(check(granule, Some(start), ipa, pa).ok());
                }
            }
        }
    }
    assert_eq!(legal, configurations().collect::<Vec<_>>());
}

#[test]
fn without_a_start_level_the_root_is_at_the_highest_legal_one() {
    for granule in [Granule::K4, Granule::K16, Granule::K64] {
        for ipa in 0..=u8::MAX {
            for pa in 0..=u8::MAX {
                let mut explicit =
                    (0..=3).filter_map(|start| check(granule, Some(start), ipa, pa).ok());
                assert_eq!(check(granule, None, ipa, pa).ok(), explicit.next_back());
            }
        }
    }
}

#[test]
fn roots_are_concatenated_where_one_table_is_too_small() {
    let root = |granule, ipa, pa| {
        let configuration = check(granule, None, ipa, pa).unwrap();
        (configuration.start_level(), configuration.root_tables())
    };
    assert_eq!(root(Granule::K4, 40, 40), (1, 2));
    assert_eq!(root(Granule::K4, 43, 44), (1, 16));
    assert_eq!(root(Granule::K4, 44, 44), (0, 1));
    assert_eq!(root(Granule::K4, 34, 36), (2, 16));
    assert_eq!(root(Granule::K16, 48, 48), (1, 2));
    assert_eq!(root(Granule::K16, 40, 40), (2, 16));
    assert_eq!(root(Granule::K64, 33, 36), (3, 16));
    assert_eq!(root(Granule::K64, 48, 52), (1, 1));
}

#[test]
fn each_rule_is_named_with_its_values() {
    let why = |granule, start, ipa, pa| check(granule, start, ipa, pa).unwrap_err();
    assert_eq!(why(Granule::K4, None, 39, 39), Illegal::PaBits(39));
    assert_eq!(why(Granule::K4, None, 31, 40), Illegal::IpaBits(31));
    assert_eq!(why(Granule::K64, None, 49, 52), Illegal::IpaBits(49));
    assert_eq!(
        why(Granule::K4, None, 41, 40),
        Illegal::IpaAbovePa {
            ipa_bits: 41,
            pa_bits: 40
        }
    );
    assert_eq!(why(Granule::K4, Some(3), 32, 40), Illegal::StartLevel(3));
    assert_eq!(why(Granule::K4, Some(-1), 48, 48), Illegal::StartLevel(-1));
    assert_eq!(why(Granule::K16, Some(0), 48, 48), Illegal::StartLevel(0));
    assert_eq!(
        why(Granule::K4, Some(0), 40, 42),
        Illegal::StartNeedsPa {
            start_level: 0,
            pa_bits: 42,
            at_least: 44
        }
    );
    assert_eq!(
        why(Granule::K4, Some(0), 39, 48),
        Illegal::RootSize {
            start_level: 0,
            ipa_bits: 39
        }
    );
    assert_eq!(
        why(Granule::K4, Some(2), 35, 48),
        Illegal::RootSize {
            start_level: 2,
            ipa_bits: 35
        }
    );
}

#[test]
fn blocks_exist_where_the_granule_and_the_size_have_them() {
    let levels = |granule, ipa, pa| {
        let configuration = check(granule, None, ipa, pa).unwrap();
        (-1..=3)
            .filter(|level| configuration.leaf_supported(*level))
            .collect::<Vec<i8>>()
    };
    assert_eq!(levels(Granule::K4, 48, 48), [1, 2, 3]);
    assert_eq!(levels(Granule::K16, 48, 48), [2, 3]);
    assert_eq!(levels(Granule::K64, 48, 48), [2, 3]);
    assert_eq!(levels(Granule::K64, 48, 52), [1, 2, 3]);
    // No leaf stands above the root.
    assert_eq!(levels(Granule::K4, 32, 36), [2, 3]);
    assert_eq!(levels(Granule::K64, 33, 36), [3]);
}
