//! The shapes of well-known configurations, what is refused, and the registers.

use super::*;
use crate::addr::Pa;
use crate::vmid::Vmid;

fn configuration(granule: Granule, ipa_bits: u8, pa_bits: u8) -> Configuration {
    Configuration {
        state: ExecutionState::Aarch64,
        granule,
        ipa_bits,
        pa_bits,
        start_level: None,
        ds: false,
        contiguous: false,
        coherent_walks: true,
        features: Features::default(),
    }
}

fn with_ds(granule: Granule, ipa_bits: u8, pa_bits: u8) -> Configuration {
    Configuration {
        ds: true,
        features: Features {
            lpa2_4k: granule == Granule::K4,
            lpa2_16k: granule == Granule::K16,
            ..Features::default()
        },
        ..configuration(granule, ipa_bits, pa_bits)
    }
}

fn from_level(start: i8, configuration: Configuration) -> Configuration {
    Configuration {
        start_level: Some(start),
        ..configuration
    }
}

fn with_features(features: Features, configuration: Configuration) -> Configuration {
    Configuration {
        features,
        ..configuration
    }
}

fn made(configuration: &Configuration) -> Geometry {
    Geometry::new(configuration).unwrap()
}

fn geometry(granule: Granule, ipa_bits: u8, pa_bits: u8) -> Geometry {
    made(&configuration(granule, ipa_bits, pa_bits))
}

fn refusal(configuration: &Configuration) -> GeometryError {
    Geometry::new(configuration).unwrap_err()
}

fn start_and_order(geometry: &Geometry) -> (i8, u8) {
    let shape = geometry.shape();
    (shape.start().number(), shape.root_order())
}

fn level(number: i8) -> Level {
    Level::new(number).unwrap()
}

#[test]
fn the_default_of_kvm_starts_at_level_1_with_two_tables() {
    let g = geometry(Granule::K4, 40, 40);
    assert_eq!(start_and_order(&g), (1, 1));
    assert_eq!(g.shape().levels_below_root(), 2);
}

#[test]
fn the_default_of_kvm_with_64k_pages_needs_one_page_below_the_root() {
    let g = geometry(Granule::K64, 40, 40);
    assert_eq!(start_and_order(&g), (2, 0));
    assert_eq!(g.shape().levels_below_root(), 1);
}

#[test]
fn a_48_bit_ipa_with_16k_pages_must_concatenate_two_tables_at_level_1() {
    assert_eq!(start_and_order(&geometry(Granule::K16, 48, 48)), (1, 1));
}

#[test]
fn a_40_bit_machine_with_16k_pages_concatenates_sixteen_tables() {
    assert_eq!(start_and_order(&geometry(Granule::K16, 40, 40)), (2, 4));
}

#[test]
fn a_52_bit_ipa_starts_at_the_fewest_levels_or_where_it_is_told() {
    let k4 = with_ds(Granule::K4, 52, 52);
    assert_eq!(start_and_order(&made(&k4)), (0, 4));
    let deep = made(&from_level(-1, k4));
    assert_eq!(start_and_order(&deep), (-1, 0));
    assert_eq!(deep.shape().root_entries(), 16);
    let k16 = with_ds(Granule::K16, 52, 52);
    assert_eq!(start_and_order(&made(&k16)), (0, 0));
    assert_eq!(made(&k16).shape().root_entries(), 32);
    assert_eq!(start_and_order(&geometry(Granule::K64, 52, 52)), (1, 0));
}

#[test]
fn only_wide_formats_have_the_largest_blocks() {
    let holds = |g: &Geometry, number| g.shape().holds_leaves(level(number));
    assert!(holds(&geometry(Granule::K64, 48, 52), 1));
    assert!(!holds(&geometry(Granule::K64, 48, 48), 1));
    assert!(holds(&made(&with_ds(Granule::K4, 48, 48)), 0));
    assert!(!holds(&geometry(Granule::K4, 48, 52), 0));
    assert!(holds(&made(&with_ds(Granule::K16, 48, 48)), 1));
    assert!(!holds(&made(&with_ds(Granule::K16, 50, 52)), 0));
    assert!(!holds(&made(&with_ds(Granule::K4, 52, 52)), -1));
}

#[test]
fn an_ipa_size_past_the_physical_address_size_is_refused() {
    let refused = refusal(&configuration(Granule::K4, 41, 40));
    assert_eq!(refused, GeometryError::IpaSize(41));
}

#[test]
fn more_than_48_bits_of_ipa_need_a_wide_format() {
    for granule in [Granule::K4, Granule::K16] {
        let refused = refusal(&configuration(granule, 49, 52));
        assert_eq!(refused, GeometryError::IpaSize(49));
        made(&with_ds(granule, 49, 52));
    }
    made(&configuration(Granule::K64, 49, 52));
}

#[test]
fn the_smallest_ipa_size_depends_on_ttst() {
    let ttst = Features {
        ttst: true,
        ..Features::default()
    };
    for (granule, least) in [(Granule::K4, 16), (Granule::K16, 16), (Granule::K64, 17)] {
        made(&configuration(granule, 25, 40));
        assert_eq!(
            refusal(&configuration(granule, 24, 40)),
            GeometryError::IpaSize(24)
        );
        let small = |bits| with_features(ttst, configuration(granule, bits, 40));
        assert_eq!(start_and_order(&made(&small(least))).0, 3);
        assert_eq!(
            refusal(&small(least - 1)),
            GeometryError::IpaSize(least - 1)
        );
    }
}

#[test]
fn ds_needs_lpa2_of_the_same_granule() {
    let mut other = with_ds(Granule::K4, 40, 48);
    other.granule = Granule::K16;
    assert_eq!(refusal(&other), GeometryError::Ds(Granule::K16));
    let k64 = with_ds(Granule::K64, 48, 52);
    assert_eq!(refusal(&k64), GeometryError::Ds(Granule::K64));
    // FEAT_LPA2 says nothing of PARange.
    made(&with_ds(Granule::K4, 36, 36));
}

#[test]
fn start_levels_that_the_machine_lacks_are_refused() {
    for (granule, start, ipa_bits, pa_bits) in [
        (Granule::K4, 0, 42, 42),
        (Granule::K4, 3, 25, 40),
        (Granule::K4, -1, 48, 52),
        (Granule::K16, 1, 40, 40),
        (Granule::K16, 0, 48, 48),
        (Granule::K64, 1, 42, 42),
        (Granule::K64, 0, 48, 52),
        (Granule::K4, 4, 40, 40),
        (Granule::K4, i8::MIN, 40, 40),
    ] {
        let refused = refusal(&from_level(
            start,
            configuration(granule, ipa_bits, pa_bits),
        ));
        let expected = GeometryError::StartLevel(start);
        assert_eq!(refused, expected, "{granule:?} level {start}");
    }
}

#[test]
fn every_start_level_is_made_once_the_machine_has_it() {
    let everything = Features {
        lpa2_4k: true,
        lpa2_16k: true,
        ttst: true,
        ..Features::default()
    };
    for (granule, start, ipa_bits, pa_bits, ds) in [
        (Granule::K4, 3, 25, 32, false),
        (Granule::K4, 0, 40, 44, false),
        (Granule::K4, -1, 49, 52, true),
        (Granule::K16, 1, 37, 42, false),
        (Granule::K16, 0, 48, 48, true),
        (Granule::K64, 1, 43, 44, false),
    ] {
        let wide = Configuration {
            ds,
            ..configuration(granule, ipa_bits, pa_bits)
        };
        let g = made(&from_level(start, with_features(everything, wide)));
        assert_eq!(g.shape().start().number(), start);
    }
}

#[test]
fn vtcr_of_a_40_bit_ipa() {
    // T0SZ=24, SL0=1, IRGN0=ORGN0=1, SH0=3, TG0=0, PS=2, RES1.
    assert_eq!(geometry(Granule::K4, 40, 40).vtcr(), 0x8002_3558);
}

#[test]
fn vtcr_says_the_start_level() {
    let sl = |configuration: &Configuration| {
        let vtcr = made(configuration).vtcr();
        (vtcr >> 33 & 1, vtcr >> 6 & 3)
    };
    let ttst = Features {
        ttst: true,
        ..Features::default()
    };
    let k4 = with_ds(Granule::K4, 49, 52);
    assert_eq!(sl(&from_level(-1, k4)), (1, 0));
    assert_eq!(sl(&from_level(0, k4)), (0, 2));
    assert_eq!(sl(&configuration(Granule::K4, 40, 40)), (0, 1));
    assert_eq!(sl(&configuration(Granule::K4, 32, 40)), (0, 0));
    assert_eq!(
        sl(&with_features(ttst, configuration(Granule::K4, 20, 40))),
        (0, 3)
    );
    assert_eq!(sl(&with_ds(Granule::K16, 52, 52)), (0, 3));
    assert_eq!(sl(&configuration(Granule::K16, 25, 40)), (0, 0));
    assert_eq!(sl(&configuration(Granule::K64, 48, 48)), (0, 2));
}

#[test]
fn vtcr_switches_on_what_the_features_allow() {
    let switches = |features| made(&with_features(features, configuration(Granule::K4, 40, 40)));
    let base = geometry(Granule::K4, 40, 40).vtcr();
    let none = Features::default();
    for (features, bits) in [
        (Features { haf: true, ..none }, 1 << 21),
        (Features { hd: true, ..none }, 0),
        (
            Features {
                haf: true,
                hd: true,
                ..none
            },
            3 << 21,
        ),
        (
            Features {
                vmid16: true,
                ..none
            },
            1 << 19,
        ),
    ] {
        assert_eq!(switches(features).vtcr(), base | bits, "{features:?}");
    }
    assert_eq!(made(&with_ds(Granule::K4, 40, 40)).vtcr(), base | 1 << 32);
}

#[test]
fn the_output_size_is_clamped_to_48_bits_without_a_wide_format() {
    let ps = |g: Geometry| g.vtcr() >> 16 & 7;
    assert_eq!(ps(geometry(Granule::K4, 40, 52)), 5);
    assert_eq!(ps(made(&with_ds(Granule::K4, 40, 52))), 6);
    assert_eq!(ps(geometry(Granule::K64, 40, 52)), 6);
}

#[test]
fn a_misaligned_root_is_refused() {
    let g = geometry(Granule::K4, 40, 40);
    let root = Pa::new(0x4800_1000);
    assert_eq!(g.base_field(root), Err(RootError::Misaligned(root)));
}

#[test]
fn a_root_past_the_output_size_is_refused() {
    let g = geometry(Granule::K4, 40, 40);
    let root = Pa::new(1 << 40);
    assert_eq!(g.base_field(root), Err(RootError::BeyondOutputSize(root)));
}

#[test]
fn vttbr_holds_the_high_bits_of_a_52_bit_root_at_bit_2() {
    let root = Pa::new(0xa_0000_0001_0000);
    for g in [
        geometry(Granule::K64, 42, 52),
        made(&with_ds(Granule::K4, 40, 52)),
    ] {
        assert_eq!(g.base_field(root), Ok(0x1_0000 | 0xa << 2));
    }
}

#[test]
fn a_vmid_of_more_than_8_bits_needs_16() {
    let vmid = |number| Vmid::new(number).unwrap();
    let narrow = geometry(Granule::K4, 40, 40);
    assert_eq!(narrow.vmid_field(vmid(255)), Some(255 << 48));
    assert_eq!(narrow.vmid_field(vmid(256)), None);
    let vmid16 = Features {
        vmid16: true,
        ..Features::default()
    };
    let wide = made(&with_features(vmid16, configuration(Granule::K4, 40, 40)));
    assert_eq!(wide.vmid_field(vmid(0xffff)), Some(0xffff << 48));
}

#[test]
fn the_default_ipa_size_is_40_bits_or_what_the_machine_has() {
    assert_eq!([32, 36, 40, 48].map(default_ipa_bits), [32, 36, 40, 40]);
}

/// One start level of a granule: the IPA sizes in bits from two entries to 16
/// tables (at most 52), and what the machine must have beside.
type StartLevelRow = (Granule, i8, core::ops::RangeInclusive<u8>, Condition);

#[derive(Clone, Copy)]
enum Condition {
    Always,
    Ttst,
    Ds,
    PaSize(u8),
}

const START_LEVELS: [StartLevelRow; 12] = [
    (Granule::K4, 3, 13..=25, Condition::Ttst),
    (Granule::K4, 2, 22..=34, Condition::Always),
    (Granule::K4, 1, 31..=43, Condition::Always),
    (Granule::K4, 0, 40..=52, Condition::PaSize(44)),
    (Granule::K4, -1, 49..=52, Condition::Ds),
    (Granule::K16, 3, 15..=29, Condition::Always),
    (Granule::K16, 2, 26..=40, Condition::Always),
    (Granule::K16, 1, 37..=51, Condition::PaSize(42)),
    (Granule::K16, 0, 48..=52, Condition::Ds),
    (Granule::K64, 3, 17..=33, Condition::Always),
    (Granule::K64, 2, 30..=46, Condition::Always),
    (Granule::K64, 1, 43..=52, Condition::PaSize(44)),
];

fn is_legal(c: &Configuration, level: i8) -> bool {
    let least = match c.granule {
        _ if !c.features.ttst => 25,
        Granule::K64 => 17,
        Granule::K4 | Granule::K16 => 16,
    };
    let wide = c.ds || (c.granule == Granule::K64 && c.pa_bits == 52);
    let most = if wide { 52 } else { 48 };
    let row = START_LEVELS
        .iter()
        .find(|row| row.0 == c.granule && row.1 == level);
    let Some((_, _, sizes, condition)) = row else {
        return false;
    };
    let has = match *condition {
        Condition::Always => true,
        Condition::Ttst => c.features.ttst,
        Condition::Ds => c.ds,
        Condition::PaSize(bits) => c.pa_bits >= bits,
    };
    let size_is_legal = (least..=most).contains(&c.ipa_bits) && c.ipa_bits <= c.pa_bits;
    has && size_is_legal && sizes.contains(&c.ipa_bits)
}

/// Every configuration of machines with LPA2 that use DS as they like.
fn every_configuration() -> impl Iterator<Item = Configuration> {
    let granules = [Granule::K4, Granule::K16, Granule::K64];
    let pa_sizes = [32, 36, 40, 42, 44, 48, 52];
    let switches = [(false, false), (false, true), (true, false), (true, true)];
    granules.into_iter().flat_map(move |granule| {
        pa_sizes.into_iter().flat_map(move |pa_bits| {
            switches
                .into_iter()
                .filter(move |(ds, _)| !ds || granule != Granule::K64)
                .flat_map(move |(ds, ttst)| {
                    (0..=70).map(move |ipa_bits| {
                        let mut c = with_ds(granule, ipa_bits, pa_bits);
                        (c.ds, c.features.ttst) = (ds, ttst);
                        c
                    })
                })
        })
    })
}

#[test]
fn the_table_of_start_levels_is_kept_and_the_highest_is_the_default() {
    let mut legal = 0;
    for c in every_configuration() {
        let mut highest = None;
        for level in -3..=5 {
            let made = Geometry::new(&from_level(level, c));
            assert_eq!(made.is_ok(), is_legal(&c, level), "{c:?} level {level}");
            if made.is_ok() {
                legal += 1;
                highest = Some(level);
            }
        }
        let default = Geometry::new(&c).ok();
        let start = default.map(|geometry| geometry.shape().start().number());
        assert_eq!(start, highest, "{c:?}");
    }
    assert!(legal > 1000, "only {legal} are legal");
}

#[test]
fn every_legal_root_is_said_to_hardware_as_it_is() {
    for geometry in every_configuration().filter_map(|c| Geometry::new(&c).ok()) {
        let (shape, vtcr) = (geometry.shape(), geometry.vtcr());
        // As hardware finds it: T0SZ, TG0, SL0 and SL2 to the entries of the root.
        let input_bits = 64 - (vtcr & 0x3f);
        let (page_bits, level) = match (vtcr >> 14 & 3, vtcr >> 6 & 3, vtcr >> 33 & 1) {
            (0, 0, 1) => (12, -1),
            (0, sl0, 0) => (12, [2, 1, 0, 3][usize::try_from(sl0).unwrap()]),
            (2, sl0, 0) => (14, [3, 2, 1, 0][usize::try_from(sl0).unwrap()]),
            (1, sl0 @ 0..=2, 0) => (16, [3, 2, 1, 0][usize::try_from(sl0).unwrap()]),
            reserved => panic!("{reserved:?} is reserved"),
        };
        assert_eq!(shape.start().number(), level);
        let below = u64::try_from(3 - level).unwrap();
        let entries = 1 << (input_bits - page_bits - below * (page_bits - 3));
        assert_eq!(u64::from(shape.root_entries()), entries);
        assert_eq!(shape.root_bytes(), (entries * 8).max(1 << page_bits));
    }
}
