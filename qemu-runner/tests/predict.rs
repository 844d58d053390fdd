//! What the host's run predicts for a machine: hardware's own updates as the emulator
//! makes them, by how an access is tried, and answers as it reports them.

use fuzz::host::Engine;
use ops::mailbox::{Description, Method};
use ops::{Entry, Outcome};
use oracle::walk::Answer;
use qemu_runner::host::{self, Emulated, Prediction, Run};
use qemu_runner::plan::Reason;
use qemu_runner::qemu::{OLDEST, Version};

/// A CPU with 52 bits and all features.
const ALL: Description = Description {
    mmfr: [
        0x0000_0323_1020_1126,
        0x0101_1021_1122,
        0x1021_0110_1001_1011,
    ],
    isar0: 2 << 56,
    midr: 0,
    counter_hz: 1,
};

/// A version before all deviations.
const PERFECT: Version = Version { major: 0, minor: 0 };

fn run(text: &str, version: Version) -> Run {
    let sequence = fuzz::text::parse(text).unwrap();
    let emulated = Emulated {
        description: &ALL,
        version,
    };
    host::run(&mut Engine::new(), &sequence, emulated)
}

/// Whether the leaf is young and dirty that the last operation asks for.
fn last_leaf(run: &Run) -> (bool, bool) {
    match run.steps.last().unwrap().outcome {
        Outcome::Entry {
            entry: Entry::Leaf(leaf),
            ..
        } => (leaf.young, leaf.dirty),
        outcome => panic!("{outcome:?}"),
    }
}

fn predicted(run: &Run) -> &Prediction {
    let mut steps = run.steps.iter().rev();
    steps.find_map(|step| step.prediction.as_ref()).unwrap()
}

const HARDWARE: &str = "machine features=haf+hd stub=0x1000\n\
    map a ipa=0x200000 pa=0x50200000 size=2M prot=rw- mem=normal\n";

#[test]
fn a_store_makes_the_leaf_dirty_and_a_load_does_not() {
    let after = |kind| {
        let text = format!("{HARDWARE}access a ipa=0x201000 {kind}\nleaf a ipa=0x200000\n");
        last_leaf(&run(&text, OLDEST))
    };
    assert_eq!(after("read"), (true, false));
    assert_eq!(after("write"), (true, true));
}

#[test]
fn entering_the_stub_makes_its_leaf_young() {
    let text = format!(
        "{HARDWARE}clear-young a ipa=0x0 size=2M\n\
         access a ipa=0x201000 read\nleaf a ipa=0x1000\n"
    );
    assert_eq!(last_leaf(&run(&text, OLDEST)), (true, false));
}

#[test]
fn at_makes_a_leaf_young_and_dirty_only_where_the_emulator_does() {
    let at = "machine features=haf+hd\nvm a\n\
        map a ipa=0x200000 pa=0x50200000 size=2M prot=rw- mem=normal\n\
        clear-young a ipa=0x200000 size=2M\n\
        access a ipa=0x201000 write\nleaf a ipa=0x200000\n";
    let deviating = run(at, OLDEST);
    assert_eq!(deviating.plan.probes[3].method, Method::Translate);
    assert_eq!(last_leaf(&deviating), (true, true));
    assert_eq!(last_leaf(&run(at, PERFECT)), (true, false));
}

#[test]
fn an_access_that_is_not_tried_updates_nothing() {
    // Whether the access flag is set beside a permission fault is left open.
    let text = "machine features=haf stub=0x1000\n\
        map a ipa=0x200000 pa=0x50200000 size=2M prot=r-- mem=normal\n\
        clear-young a ipa=0x200000 size=2M\n\
        access a ipa=0x201000 write\nleaf a ipa=0x200000\n";
    let run = run(text, OLDEST);
    assert_eq!(run.plan.probes[2].method, Method::None);
    assert_eq!(run.plan.reasons[&Reason::LeftOpen], 2);
    assert_eq!(last_leaf(&run), (false, false));
}

#[test]
fn attributes_with_fwb_are_those_that_the_emulator_reports() {
    let reported = |memory, version| {
        let text = format!(
            "machine features=fwb\nvm a\n\
             map a ipa=0x0 pa=0x50000000 size=4K prot=rw- mem={memory}\naccess a ipa=0x0 read\n"
        );
        match predicted(&run(&text, version)).at {
            Answer::Translation(found) => (found.attributes, found.shareability),
            answer => panic!("{answer:?}"),
        }
    };
    assert_eq!(reported("normal", OLDEST), (0xff, 3));
    assert_eq!(reported("normal", PERFECT), (0xff, 2));
    assert_eq!(reported("device", OLDEST), (0x04, 2));
    // Stage 1's Device stays with what is Non-cacheable at stage 2.
    assert_eq!(reported("nc", OLDEST), (0x00, 2));
}

#[test]
fn shareability_at_el2_is_the_one_that_the_emulator_reports() {
    let reported = |memory, version| {
        let text = format!(
            "machine regime=el2 ipa=39\n\
             map a ipa=0x0 pa=0x50000000 size=4K prot=rw- mem={memory}\naccess a ipa=0x0 read\n"
        );
        match predicted(&run(&text, version)).at {
            Answer::Translation(found) => found.shareability,
            answer => panic!("{answer:?}"),
        }
    };
    assert_eq!((reported("nc", OLDEST), reported("nc", PERFECT)), (3, 2));
    assert_eq!(
        (reported("device", OLDEST), reported("device", PERFECT)),
        (0, 2)
    );
    assert_eq!(
        (reported("normal", OLDEST), reported("normal", PERFECT)),
        (3, 3)
    );
}

#[test]
fn a_probe_at_el2_needs_the_image_to_be_mapped() {
    let text = "machine regime=el2 ipa=39\nunmap a ipa=0x40000000 size=2M\naccess a ipa=0x0 read\n";
    let run = run(text, OLDEST);
    assert_eq!(run.plan.probes[1].method, Method::None);
    assert_eq!(run.plan.reasons[&Reason::ImageUnmapped], 1);
}
