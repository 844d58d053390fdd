//! Section L, and the tracked list of all legal configurations.

use oracle::arch::Granule;
use oracle::model::legal::{Illegal, Request, check, configurations};
use oracle::operation::Regime;

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

/// Without FEAT_LPA2 and FEAT_TTST.
fn plain(granule: Granule, start_level: Option<i8>, ipa_bits: u8, pa_bits: u8) -> Request {
    Request {
        regime: Regime::Stage2,
        has_features: false,
        granule,
        start_level,
        ipa_bits,
        pa_bits,
        ds: false,
        lpa2: false,
        ttst: false,
    }
}

/// With FEAT_LPA2 and FEAT_TTST, and DS.
fn wide(granule: Granule, start_level: Option<i8>, ipa_bits: u8, pa_bits: u8) -> Request {
    Request {
        ds: true,
        lpa2: true,
        ttst: true,
        ..plain(granule, start_level, ipa_bits, pa_bits)
    }
}

const GRANULES: [Granule; 3] = [Granule::K4, Granule::K16, Granule::K64];

#[test]
fn every_input_has_an_answer_and_legal_ones_are_listed() {
    let mut legal = Vec::new();
    for granule in GRANULES {
        for start in [i8::MIN, -2, -1, 0, 1, 2, 3, 4, 5, i8::MAX] {
            for ipa in 0..=u8::MAX {
                for pa in 0..=u8::MAX {
                    for ds in [false, true] {
                        let wide = wide(granule, Some(start), ipa, pa);
                        legal.extend(check(&Request { ds, ..wide }).ok());
                    }
                }
            }
        }
    }
    assert_eq!(legal, configurations().collect::<Vec<_>>());
}

/// Granule, start level, lowest IPA bit of its entries, smallest and largest IPA size,
/// smallest physical address size; whether DS is needed at all, and above which IPA size;
/// whether TTST is needed at all. What 64K needs above 48 bits is FEAT_LPA.
const ROOTS: [(Granule, i8, u8, u8, u8, bool, bool); 11] = [
    (Granule::K4, 3, 16, 25, 32, false, true),
    (Granule::K4, 2, 22, 34, 32, false, false),
    (Granule::K4, 1, 31, 43, 32, false, false),
    (Granule::K4, 0, 40, 52, 44, false, false),
    (Granule::K4, -1, 49, 52, 52, true, false),
    (Granule::K16, 3, 16, 29, 32, false, false),
    (Granule::K16, 2, 26, 40, 32, false, false),
    (Granule::K16, 1, 37, 51, 42, false, false),
    (Granule::K16, 0, 48, 52, 48, true, false),
    (Granule::K64, 3, 17, 33, 32, false, false),
    (Granule::K64, 2, 30, 46, 32, false, false),
];

/// 64K from level 1, beside [`ROOTS`].
const LAST_ROOT: (Granule, i8, u8, u8, u8, bool, bool) =
    (Granule::K64, 1, 43, 52, 44, false, false);

#[test]
fn legal_configurations_are_those_of_a_table() {
    let mut wanted = Vec::new();
    for (granule, start, from, to, pa_from, needs_ds, needs_ttst) in
        ROOTS.into_iter().chain([LAST_ROOT])
    {
        for ipa in from..=to {
            for pa in [32, 36, 40, 42, 44, 48, 52] {
                let reachable = ipa <= pa && pa >= pa_from;
                let wide = match granule {
                    Granule::K64 => ipa > 48 && pa < 52,
                    Granule::K4 | Granule::K16 => false,
                };
                for ds in [false, true] {
                    let ds_allowed = !ds || granule != Granule::K64;
                    let ds_enough = ds || !needs_ds && (ipa <= 48 || granule == Granule::K64);
                    if reachable && !wide && ds_allowed && ds_enough {
                        wanted.push((granule, start, ipa, pa, ds, needs_ttst || ipa < 25));
                    }
                }
            }
        }
    }
    let found = configurations().map(|c| {
        (
            c.granule(),
            c.start_level(),
            c.ipa_bits(),
            c.pa_bits(),
            c.ds(),
            c.needs_ttst(),
        )
    });
    let mut found: Vec<_> = found.collect();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn a_configuration_needs_the_features_that_it_names() {
    for configuration in configurations() {
        let all = wide(
            configuration.granule(),
            Some(configuration.start_level()),
            configuration.ipa_bits(),
            configuration.pa_bits(),
        );
        let needed = Request {
            ds: configuration.ds(),
            lpa2: configuration.ds(),
            ttst: configuration.needs_ttst(),
            ..all
        };
        assert_eq!(check(&needed), Ok(configuration));
        if needed.lpa2 {
            let without = Request {
                lpa2: false,
                ..needed
            };
            assert_eq!(check(&without), Err(Illegal::Ds(needed.granule)));
        }
        if needed.ttst {
            let without = Request {
                ttst: false,
                ..needed
            };
            assert!(check(&without).is_err(), "{configuration}");
        }
    }
}

#[test]
fn without_a_start_level_the_root_is_at_the_highest_legal_one() {
    for granule in GRANULES {
        for ipa in 0..=u8::MAX {
            for pa in 0..=u8::MAX {
                for request in [plain(granule, None, ipa, pa), wide(granule, None, ipa, pa)] {
                    let at = |start| {
                        let start_level = Some(start);
                        check(&Request {
                            start_level,
                            ..request
                        })
                    };
                    let mut explicit = (-1..=3).filter_map(|start| at(start).ok());
                    assert_eq!(check(&request).ok(), explicit.next_back());
                }
            }
        }
    }
}

#[test]
fn roots_are_concatenated_where_one_table_is_too_small() {
    let root = |granule, ipa, pa| {
        let configuration = check(&plain(granule, None, ipa, pa)).unwrap();
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
    let why = |granule, start, ipa, pa| check(&plain(granule, start, ipa, pa)).unwrap_err();
    assert_eq!(why(Granule::K4, None, 39, 39), Illegal::PaBits(39));
    let ipa_bits = |ipa_bits, at_least, at_most| Illegal::IpaBits {
        ipa_bits,
        at_least,
        at_most,
    };
    assert_eq!(why(Granule::K4, None, 24, 40), ipa_bits(24, 25, 48));
    assert_eq!(why(Granule::K4, None, 49, 52), ipa_bits(49, 25, 48));
    assert_eq!(why(Granule::K64, None, 49, 48), ipa_bits(49, 25, 48));
    assert_eq!(why(Granule::K64, None, 53, 52), ipa_bits(53, 25, 52));
    let all = |granule, ipa| check(&wide(granule, None, ipa, 52)).unwrap_err();
    assert_eq!(all(Granule::K4, 15), ipa_bits(15, 16, 52));
    assert_eq!(all(Granule::K64, 40), Illegal::Ds(Granule::K64));
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
        let configuration = check(&plain(granule, None, ipa, pa)).unwrap();
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
    let wide_levels = |granule| {
        let configuration = check(&wide(granule, None, 52, 52)).unwrap();
        (-1..=3)
            .filter(|level| configuration.leaf_supported(*level))
            .collect::<Vec<i8>>()
    };
    assert_eq!(wide_levels(Granule::K4), [0, 1, 2, 3]);
    assert_eq!(wide_levels(Granule::K16), [1, 2, 3]);
}
