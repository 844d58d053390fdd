//! Mutated sequences: still sequences, bounded, and decided by input and seed.

use std::collections::BTreeSet;

use fuzz::{Sequence, generate, mutate, text, wire};
use ops::{Machine, Operation};

const CAPACITY: usize = 4096;

/// Mutates `input` in a buffer of 4096 bytes; the plain mutator is not to be met.
fn mutated(input: &[u8], max_size: usize, seed: u32) -> Option<Vec<u8>> {
    let mut data = [0; CAPACITY];
    data[..input.len()].copy_from_slice(input);
    let mut is_plain = false;
    let size = mutate::bytes(&mut data, input.len(), max_size, seed, |_, size, _| {
        is_plain = true;
        size
    });
    (!is_plain).then(|| data[..size].to_vec())
}

fn decode(bytes: &[u8]) -> Sequence {
    wire::from_bytes(bytes).expect("a mutated sequence is a sequence")
}

#[test]
fn mutations_of_mutations_stay_sequences_within_bounds() {
    let mut bytes = wire::to_bytes(&generate::from_seed(1));
    for seed in 0..5000 {
        if let Some(next) = mutated(&bytes, CAPACITY, seed) {
            let sequence = decode(&next);
            assert!(sequence.steps.len() <= mutate::MAX_OPERATIONS);
            bytes = next;
        }
    }
}

#[test]
fn output_keeps_to_the_size_it_may_have() {
    let input = wire::to_bytes(&generate::from_seed(5));
    for seed in 0..2000 {
        let max_size = 120 + seed as usize % 400;
        let size = mutated(&input, max_size, seed).map_or(0, |bytes| bytes.len());
        assert!(size <= max_size, "{size} bytes of at most {max_size}");
    }
}

#[test]
fn input_and_seed_decide_the_output() {
    let input = wire::to_bytes(&generate::from_seed(3));
    for seed in 0..200 {
        assert_eq!(
            mutated(&input, CAPACITY, seed),
            mutated(&input, CAPACITY, seed)
        );
    }
}

#[test]
fn most_mutations_change_something() {
    let input = wire::to_bytes(&generate::from_seed(11));
    let outputs: Vec<_> = (0..1000)
        .filter_map(|seed| mutated(&input, CAPACITY, seed))
        .collect();
    let unchanged = outputs.iter().filter(|output| **output == input).count();
    assert!(
        unchanged * 12 < outputs.len(),
        "{unchanged} of {} are as before",
        outputs.len()
    );
}

#[test]
fn one_input_in_eight_goes_to_the_plain_mutator() {
    let input = wire::to_bytes(&generate::from_seed(3));
    let plain = (0..8000)
        .filter(|seed| mutated(&input, CAPACITY, *seed).is_none())
        .count();
    assert!((800..1200).contains(&plain), "{plain} of 8000");
}

#[test]
fn header_fits_what_the_plain_mutator_leaves() {
    let input = wire::to_bytes(&generate::from_seed(3));
    let mut cut = 0;
    for seed in 0..200 {
        let mut data = input.clone();
        let size = mutate::bytes(&mut data, input.len(), input.len(), seed, |_, size, _| {
            cut += 1;
            size - 1
        });
        decode(&data[..size]);
    }
    assert!(cut > 10, "the plain mutator was met {cut} times only");
}

#[test]
fn bytes_that_are_no_sequence_become_a_fresh_one() {
    let outputs: Vec<_> = (0..100)
        .filter_map(|seed| mutated(b"\n", CAPACITY, seed))
        .collect();
    let machines = outputs.iter().map(|bytes| decode(bytes).machine);
    assert!(
        machines
            .filter(|machine| *machine != Machine::PLAIN)
            .count()
            > 50
    );
}

#[test]
fn too_little_room_is_left_to_the_plain_mutator() {
    for seed in 0..100 {
        assert_eq!(mutated(b"\n", 80, seed), None);
    }
}

/// Each operand of each kind of operation is changed while all others stay.
#[test]
fn every_operand_gets_changed() {
    const STEPS: &str = "machine features=xnx\nvm a\n\
        map a ipa=0x200000 pa=0x50200000 size=2M prot=rw- mem=normal sw=1 pages\n\
        soften a ipa=0x200000 size=2M\n\
        protect a ipa=0x200000 size=4K prot=r--\n\
        annotate a ipa=0x200000 size=4K owner=1\n\
        build a ipa=0x200000 pa=0x50200000 level=2 prot=rw- mem=normal sw=1\n\
        access a ipa=0x200000 read";
    let before = text::parse(STEPS).unwrap();
    let input = wire::to_bytes(&before);
    let mut changed = BTreeSet::new();
    for seed in 0..20_000 {
        let Some(after) = mutated(&input, CAPACITY, seed).map(|bytes| decode(&bytes)) else {
            continue;
        };
        for (old, new) in before.operations().zip(after.operations()) {
            let (mut old, mut new) = (*old, *new);
            let name = std::mem::discriminant(&old);
            if before.steps.len() == after.steps.len() && name == std::mem::discriminant(&new) {
                changed.extend(differences(&mut old, &mut new));
            }
        }
    }
    let all = [
        "action",
        "ipa",
        "kind",
        "level",
        "memory",
        "owner",
        "pa",
        "pages_only",
        "prot",
        "size",
        "software",
        "vm",
    ];
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), all);
}

/// The name of the one operand in which two operations of a kind differ.
fn differences(old: &mut Operation, new: &mut Operation) -> Option<&'static str> {
    let (old, new) = (old.parts(), new.parts());
    let all = [
        ("action", old.action != new.action),
        ("ipa", old.ipa != new.ipa),
        ("kind", old.kind != new.kind),
        ("level", old.level != new.level),
        ("memory", old.memory != new.memory),
        ("owner", old.owner != new.owner),
        ("pa", old.pa != new.pa),
        ("pages_only", old.pages_only != new.pages_only),
        ("prot", old.prot != new.prot),
        ("size", old.size != new.size),
        ("software", old.software != new.software),
        ("vm", old.vm != new.vm),
    ];
    let mut different = all.into_iter().filter(|(_, differs)| *differs);
    let first = different.next().map(|(name, _)| name);
    first.filter(|_| different.next().is_none())
}

#[test]
fn every_part_of_a_sequence_gets_changed() {
    let before = generate::from_seed(11);
    let input = wire::to_bytes(&before);
    let after: Vec<_> = (0..4000)
        .filter_map(|seed| mutated(&input, CAPACITY, seed))
        .map(|bytes| decode(&bytes))
        .collect();
    let some = |what: &str, changed: &dyn Fn(&Sequence) -> bool| {
        let count = after.iter().filter(|sequence| changed(sequence)).count();
        assert!(
            count > 20,
            "{what} changed {count} times in {}",
            after.len()
        );
    };
    some("granule", &|s| s.machine.granule != before.machine.granule);
    some("IPA size", &|s| {
        s.machine.ipa_bits != before.machine.ipa_bits
    });
    some("pool", &|s| s.machine.pool != before.machine.pool);
    some("stub", &|s| {
        s.machine.stub.is_some() != before.machine.stub.is_some()
    });
    some("walks", &|s| {
        s.machine.coherent_walks != before.machine.coherent_walks
    });
    some("cache", &|s| {
        s.machine.cache_pages != before.machine.cache_pages
    });
    some("options", &|s| {
        s.machine.options() != before.machine.options()
    });
    some("length", &|s| s.steps.len() > before.steps.len());
    some("length", &|s| s.steps.len() < before.steps.len());
    some("one operation only", &|s| {
        s.steps.len() == before.steps.len()
            && s.steps
                .iter()
                .zip(&before.steps)
                .filter(|(a, b)| a != b)
                .count()
                == 1
    });
    some("order only", &|s| {
        let mut there = before.steps.clone();
        s.steps != before.steps
            && s.steps.iter().all(|step| {
                there
                    .iter()
                    .position(|other| other == step)
                    .map(|at| there.remove(at))
                    .is_some()
            })
            && there.is_empty()
    });
}
