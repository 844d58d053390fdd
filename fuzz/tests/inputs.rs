//! The named inputs from which the targets `parse` and `oracle_walk` start. They are
//! made here; `TWOFOLD_UPDATE=1 cargo test -p fuzz --test inputs` writes them again.
//! Those of `stage2_ops` have their source in `corpora/seeds` (see `seeds`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use fuzz::oracle_walk::{self, Counts, HEADER_BYTES, RECORD_BYTES};
use fuzz::{hostile, text, wire};
use ops::mailbox::{self, Description, Method, Note, Probe, Reply, StepReply};
use ops::wire::encode_record;
use ops::{Event, Outcome, Record, Tlbi};

type Inputs = BTreeMap<String, Vec<u8>>;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpora")
}

/// Compares what is tracked with what is expected, or writes it again.
fn tracked(target: &str, expected: &Inputs) {
    let directory = corpora().join("fuzz").join(target);
    if env::var_os("TWOFOLD_UPDATE").is_some() {
        fs::create_dir_all(&directory).expect("a writable corpus");
        for (name, bytes) in expected {
            fs::write(directory.join(name), bytes).expect("a writable corpus");
        }
    }
    let is_finding = |name: &str| name.len() == 40 && name.chars().all(|c| c.is_ascii_hexdigit());
    let entries = directory.read_dir().expect("a directory of the repository");
    let paths = entries.map(|entry| entry.expect("a file of the repository").path());
    let found: Inputs = paths
        .map(|path| {
            let name = path
                .file_name()
                .expect("a file name")
                .to_string_lossy()
                .into_owned();
            (name, path)
        })
        .filter(|(name, _)| !is_finding(name))
        .map(|(name, path)| (name, fs::read(path).expect("readable bytes")))
        .collect();
    let names = |inputs: &Inputs| inputs.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&found), names(expected));
    let stale: Vec<_> = expected
        .iter()
        .filter(|(name, bytes)| found[*name] != **bytes)
        .collect();
    assert!(
        stale.is_empty(),
        "not as this test makes them: {stale:02x?}"
    );
}

/// Copies of tracked sequences that together have every word of the format.
const TEXTS: [&str; 5] = [
    "regressions/fail-during-map.s2",
    "regressions/attributes-refused.s2",
    "regressions/cache-of-0.s2",
    "seeds/4k-noncoherent-walks.s2",
    "seeds/16k-37-concatenated-2.s2",
];

fn parse_inputs() -> Inputs {
    let read = |path: &str| fs::read(corpora().join(path)).expect("a tracked sequence");
    let copies = TEXTS.iter().map(|path| {
        let (_, name) = path.rsplit_once('/').expect("a directory and a name");
        (name.to_owned(), read(path))
    });
    let made = [
        ("sequence", sequence()),
        ("records", records()),
        ("mailbox-description", description()),
        ("mailbox-note", note()),
        ("mailbox-request", request()),
        ("mailbox-reply", reply()),
    ];
    copies
        .chain(made.map(|(name, bytes)| (name.to_owned(), bytes)))
        .collect()
}

fn sequence() -> Vec<u8> {
    let text = "machine\nvm a\nmap a ipa=0 pa=0x50000000 size=4K prot=rw- mem=normal\naccess a ipa=0 read\n";
    wire::to_bytes(&text::parse(text).expect("the text is a sequence"))
}

fn records() -> Vec<u8> {
    let events = [
        Event::Store {
            at: 0x4800_0000,
            old: 0,
            new: 1,
            release: true,
        },
        Event::Tlbi {
            operation: Tlbi::Ipas2e1is,
            operand: 1,
        },
        Event::AllocateFailed {
            order: 0,
            injected: true,
        },
    ];
    events
        .map(|event| encode_record(&Record { cpu: 0, event }))
        .concat()
}

fn description() -> Vec<u8> {
    let description = Description {
        mmfr: [0x1125, 0x10_2122, 0x1_2012],
        isar0: 0x0221_1110_0001_0000,
        midr: 0x000f_0510,
        counter_hz: 62_500_000,
    };
    mailbox::encode_description(&description).to_vec()
}

fn note() -> Vec<u8> {
    let note = Note {
        mailbox: mailbox::MAILBOX.base,
        pool: mailbox::POOL_BASE,
    };
    mailbox::encode_note(&note).to_vec()
}

fn request() -> Vec<u8> {
    let access = Probe {
        method: Method::Translate,
        value: 0,
    };
    let probes = [Probe::NONE, Probe::NONE, access];
    let mut area = vec![0; mailbox::MAX_REQUEST_BYTES];
    let length = mailbox::encode_request(1, true, &sequence(), &probes, &mut area);
    area.truncate(length.expect("a short request"));
    area
}

fn reply() -> Vec<u8> {
    let steps = [
        Outcome::Done,
        Outcome::NoPages {
            done: 4096,
            need: 2,
        },
    ];
    let steps = steps.map(|outcome| mailbox::encode_step(&StepReply::without_probe(outcome)));
    let reply = Reply {
        number: 1,
        steps: Ok(2),
        events: 3,
        events_lost: 0,
        events_checksum: mailbox::CHECKSUM_START,
    };
    let header = mailbox::encode_reply(&reply, steps.as_flattened());
    [&header[..], steps.as_flattened()].concat()
}

#[test]
fn inputs_of_parse_are_tracked_and_accepted() {
    let inputs = parse_inputs();
    tracked("parse", &inputs);
    for (name, bytes) in &inputs {
        let accepted = hostile::parse(bytes);
        assert_ne!(accepted, hostile::Accepted::default(), "{name}");
    }
}

#[test]
fn changed_inputs_of_parse_do_no_harm() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut accepted = 0;
    let inputs: Vec<_> = parse_inputs().into_values().collect();
    for _ in 0..3000 {
        let mut bytes = rng.choice(&inputs).expect("there are inputs").clone();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            bytes[at] = rng.u8(..);
        }
        bytes.truncate(rng.usize(bytes.len() / 2..=bytes.len()));
        accepted += u32::from(hostile::parse(&bytes) != hostile::Accepted::default());
    }
    assert!(
        accepted > 300,
        "only {accepted} of 3000 accepted: too few to show anything"
    );
}

const STAGE1: u8 = 1;
const RAW: u8 = 2;
const NOISE: u8 = 4;

const TG0_16K: u64 = 0b10 << 14;
const TG0_64K: u64 = 0b01 << 14;
const PS_48: u64 = 0b101 << 16;
const PS_52: u64 = 0b110 << 16;
const HA_HD: u64 = 0b11 << 21;
const DS: u64 = 1 << 32;
/// In `HCR_EL2`.
const RW: u64 = 1 << 31;
const FWB: u64 = 1 << 46;
/// T0SZ and start level that are tried first, from 12 and in `SL0`.
const T0SZ_24: u8 = 12;
const T0SZ_25: u8 = 13;

/// What an input says: mode, size of T0SZ and start level, registers.
fn header(mode: u8, size: [u8; 2], registers: [u64; 4]) -> Vec<u8> {
    let mut bytes = vec![mode, 0, 0, 0, 0, size[0], size[1], 0];
    for word in registers {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0x1234_5678_u64.to_le_bytes());
    assert_eq!(bytes.len(), HEADER_BYTES);
    bytes
}

/// A run of pages, a block, a page that cannot be used, a link to a table, a descriptor
/// that cannot be read, and one at the top.
fn entries() -> Vec<u8> {
    let entries: [([u8; 8], u64, u64); 7] = [
        ([0, 0, 0, 3, 0, 0, 0, 0], 0x1000, 0x8000_0000),
        ([0, 0, 1, 0, 128, 0, 0, 0], 0, 0x8000_4000),
        ([0, 1, 1, 1, 0, 0, 0, 0], 0, 0x4000_0000),
        ([0, 0, 3, 0, 137, 0, 0, 0], 0, 0x1000_0000),
        ([6, 2, 0, 0, 0, 0, 0, 0], 0x60_0000_0000, 0),
        ([7, 0, 2, 0, 0, 0, 0, 0], 0, 0),
        ([5, 0, 0, 0, 0, 0, 0, 0], 0x50_0000_0000, 0x8000_0000_07ff),
    ];
    let bytes: Vec<u8> = entries
        .iter()
        .flat_map(|(head, address, word)| {
            [&head[..], &address.to_le_bytes(), &word.to_le_bytes()].concat()
        })
        .collect();
    assert_eq!(bytes.len(), entries.len() * RECORD_BYTES);
    bytes
}

fn walk_inputs() -> Inputs {
    const SL0_1: u8 = 1;
    let mair = 0x0000_0000_0044_04ff;
    let cacheable = 1 << 2;
    let inputs = [
        ("stage2-4k", 0, [T0SZ_25, SL0_1], [PS_48, 0, RW, 0]),
        (
            "stage2-4k-concatenated",
            0,
            [T0SZ_24, SL0_1],
            [PS_48, 0, RW, 0],
        ),
        ("stage2-4k-52-bit", 0, [0, 2], [PS_52 | DS, 0, RW, 0]),
        (
            "stage2-16k",
            0,
            [T0SZ_24, SL0_1],
            [TG0_16K | PS_48 | HA_HD, 0, RW, 0],
        ),
        (
            "stage2-64k",
            0,
            [T0SZ_24, SL0_1],
            [TG0_64K | PS_52, 0, FWB | RW, 0],
        ),
        ("stage2-noise", NOISE, [T0SZ_25, SL0_1], [PS_48, 0, RW, 0]),
        ("stage2-off", RAW, [0, 0], [0, 0, RW, 0]),
        (
            "stage1-4k",
            STAGE1,
            [T0SZ_25, 0],
            [PS_48, 0, cacheable, mair],
        ),
        (
            "stage1-4k-52-bit",
            STAGE1,
            [0, 0],
            [PS_52 | DS, 0, cacheable, mair],
        ),
        (
            "stage1-16k-tagged",
            STAGE1,
            [T0SZ_25, 0],
            [TG0_16K | PS_48 | 1 << 20, 0, cacheable, mair],
        ),
        (
            "stage1-64k-big-endian",
            STAGE1,
            [4, 0],
            [TG0_64K | PS_48, 0, cacheable | 1 << 25, mair],
        ),
        (
            "stage1-dirty-state",
            STAGE1,
            [T0SZ_25, 0],
            [PS_48 | HA_HD, 0, cacheable | 1 << 19, mair],
        ),
        (
            "stage1-noise",
            STAGE1 | NOISE,
            [T0SZ_25, 0],
            [PS_48, 0, cacheable, mair],
        ),
        ("stage1-off", STAGE1 | RAW, [0, 0], [0, 0, 0, mair]),
    ];
    inputs
        .into_iter()
        .map(|(name, mode, size, registers)| {
            let bytes = [header(mode, size, registers), entries()].concat();
            (name.to_owned(), bytes)
        })
        .collect()
}

#[test]
fn inputs_of_oracle_walk_are_tracked_and_reach_tables() {
    let inputs = walk_inputs();
    tracked("oracle_walk", &inputs);
    for (name, bytes) in &inputs {
        let counts = match oracle_walk::check(bytes) {
            Ok(counts) => counts,
            Err(contradiction) => panic!("{name}: {contradiction}"),
        };
        let Counts { valid, ends, .. } = counts;
        assert_eq!(valid == 0, name.ends_with("-off"), "{name}: {counts}");
        assert!(ends[0] > 0 && ends[1] > 0, "{name}: {counts}");
    }
}
