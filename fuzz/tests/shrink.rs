//! The shrinker under planted predicates: what it comes to, and that it always
//! comes to something that shows the same.

use fuzz::shrink::{self, Shrunk, divergence, shrink};
use fuzz::text::parse;
use fuzz::{Sequence, generate};
use ops::{Granule, Operation};

const ENOUGH: u32 = 1_000_000;

fn sequence(text: &str) -> Sequence {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn shrunk(sequence: &Sequence, shows: fn(&Sequence) -> bool) -> Shrunk {
    assert!(shows(sequence), "{sequence}");
    let shrunk = shrink(sequence, ENOUGH, shows);
    assert!(shrunk.is_finished, "{} evaluations", shrunk.evaluations);
    shrunk
}

fn text(sequence: &str, shows: fn(&Sequence) -> bool) -> String {
    shrunk(&self::sequence(sequence), shows)
        .sequence
        .to_string()
}

/// A map that covers a whole block, and behind it an unmap of a part of that map.
fn block_then_part(sequence: &Sequence) -> bool {
    let block = match sequence.machine.granule {
        Granule::K4 => 2_u64 << 20,
        Granule::K16 => 32 << 20,
        Granule::K64 => 512 << 20,
    };
    let operations: Vec<_> = sequence.operations().collect();
    operations.iter().enumerate().any(|(index, operation)| {
        let Operation::Map {
            vm,
            ipa,
            pa,
            size,
            pages_only: false,
            ..
        } = **operation
        else {
            return false;
        };
        let is_block = [ipa, pa, size]
            .iter()
            .all(|number| number.is_multiple_of(block));
        size > 0
            && is_block
            && operations[index..].iter().any(|other| match **other {
                Operation::Unmap {
                    vm: of,
                    ipa: at,
                    size: part,
                } => of == vm && at >= ipa && part > 0 && part < size && at - ipa <= size - part,
                _ => false,
            })
    })
}

fn is_access_in_a_later_root_table(operation: &Operation) -> bool {
    matches!(operation, Operation::Access { ipa, .. } if *ipa >= 1 << 39)
}

#[test]
fn block_and_unmap_of_its_part_are_left_of_many() {
    let long = "machine granule=4K pa=48 ipa=48 start=0 walks=noncoherent cache=7 stub=0x1000
        vm b
        map b ipa=0x7fff00000000 pa=0x200000000 size=6M prot=r-x mem=device
        access b ipa=0x7fff00001000 execute
        map b ipa=0x1000 pa=0x50000000 size=12K prot=rwx mem=normal pages
        fail after=3
        unmap b ipa=0x7fff00203000 size=1M
        free b
        vm b";
    assert_eq!(
        text(long, block_then_part),
        "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M\n\
         map a ipa=0x0 pa=0x50000000 size=2M prot=rw- mem=normal\n\
         unmap a ipa=0x0 size=4K\n"
    );
}

#[test]
fn block_of_another_granule_becomes_one_of_the_plain_machine() {
    let long = "machine granule=64K pa=52 ipa=48 memory=0x60000000+512M
        vm a
        map a ipa=0x7fffe0000000 pa=0x60000000 size=512M prot=rw- mem=normal
        unmap a ipa=0x7ffff0000000 size=256M";
    assert_eq!(
        text(long, block_then_part),
        "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M\n\
         map a ipa=0x0 pa=0x50000000 size=2M prot=rw- mem=normal\n\
         unmap a ipa=0x0 size=4K\n"
    );
}

#[test]
fn what_needs_a_later_root_table_stays_in_it() {
    let long = "machine granule=4K ipa=40 stub=0x8000001000
        vm b
        access b ipa=0x8000012345 write
        access b ipa=0xffffffffff execute";
    assert_eq!(
        text(long, |sequence| sequence
            .operations()
            .any(is_access_in_a_later_root_table)),
        "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M\n\
         access a ipa=0x8000000000 read\n"
    );
}

#[test]
fn machine_keeps_what_is_needed() {
    let long = "machine granule=16K pa=48 ipa=47 start=0 walks=noncoherent cache=9 pool=0x50000000+32 memory=0x60000000+1M
        vm c";
    let shows = |sequence: &Sequence| {
        let machine = &sequence.machine;
        machine.granule != Granule::K4 && machine.pa_bits >= 42 && machine.cache_pages >= Some(2)
    };
    assert_eq!(
        text(long, shows),
        "machine granule=16K pa=42 ipa=40 pool=0x48000000+64 memory=0x50000000+64M cache=2\n"
    );
}

#[test]
fn operations_that_are_good_only_together_go_together() {
    let is_balanced = |sequence: &Sequence| {
        let creates = sequence
            .operations()
            .filter(|operation| matches!(operation, Operation::Create { .. }));
        let frees = sequence
            .operations()
            .filter(|operation| matches!(operation, Operation::Free { .. }));
        creates.count() == frees.count() + 1
    };
    let long = "machine\nvm a\nfree a\nvm a\naccess a ipa=0 read\nfree a\nvm a\nvm b\nfree b";
    assert_eq!(shrunk(&sequence(long), is_balanced).sequence.steps.len(), 1);
}

#[test]
fn size_comes_to_the_least_and_addresses_to_the_first_block_that_does() {
    let shows = |sequence: &Sequence| {
        sequence.operations().any(|operation| match operation {
            Operation::Map { ipa, pa, size, .. } => {
                *size >= 11 << 12 && *ipa >= 0x1234_5000 && *pa >= 0x5012_3000
            }
            _ => false,
        })
    };
    let long = "machine pa=48 ipa=44\nmap b ipa=0xedcba987000 pa=0xfedcba987000 size=300M prot=--x mem=device pages";
    assert_eq!(
        text(long, shows),
        "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M\n\
         map a ipa=0x12400000 pa=0x50200000 size=44K prot=rw- mem=normal\n"
    );
}

/// A model of a pool that maps use up, three tables each.
#[test]
fn operations_that_only_use_up_pages_are_fewer_pages() {
    let shows = |sequence: &Sequence| {
        let is_map = |operation: &&Operation| matches!(operation, Operation::Map { .. });
        let maps = sequence.operations().filter(is_map).count();
        maps > 0 && 3 * maps >= usize::from(sequence.machine.pool.pages)
    };
    let map = "map a ipa=0x0 pa=0x50000000 size=4K prot=rw- mem=normal\n";
    let long = format!("machine pool=0x48000000+18\n{}", map.repeat(6));
    let one =
        format!("machine granule=4K pa=40 ipa=40 pool=0x48000000+3 memory=0x50000000+64M\n{map}");
    assert_eq!(text(&long, shows), one);
}

#[test]
fn neighbours_move_together() {
    let shows = |sequence: &Sequence| {
        let mut ends = None;
        sequence.operations().any(|operation| match *operation {
            Operation::Map { ipa, size, .. } => ends.replace(ipa.wrapping_add(size)) == Some(ipa),
            _ => false,
        })
    };
    let long = "machine
        map a ipa=0x8040205000 pa=0x50005000 size=4K prot=rw- mem=normal
        map a ipa=0x8040206000 pa=0x50006000 size=4K prot=rw- mem=normal";
    let text = text(long, shows);
    assert!(
        text.contains("ipa=0x0 ") && text.contains("ipa=0x1000 "),
        "{text}"
    );
}

#[test]
fn bound_on_evaluations_is_kept_and_said() {
    let long = sequence("machine\nvm a\nvm a\nvm a\nvm a\nvm a\nvm a\nvm a\nvm a");
    let mut evaluations = 0;
    let shrunk = shrink(&long, 5, |_| {
        evaluations += 1;
        false
    });
    assert_eq!(
        (evaluations, shrunk.evaluations, shrunk.is_finished),
        (5, 5, false)
    );
    assert_eq!(shrunk.sequence, long);
}

#[test]
fn big_candidates_count_more() {
    let long =
        sequence("machine\nmap a ipa=0 pa=0x80000000 size=8M prot=rw- mem=normal pages\nvm a");
    let mut evaluations = 0;
    let shrunk = shrink(&long, ENOUGH, |sequence| {
        evaluations += 1;
        sequence.steps.len() == 2 && sequence.steps[0] == long.steps[0]
    });
    assert!(shrunk.evaluations > evaluations, "{shrunk:?}");
}

/// Predicates over generated sequences: what each of them shows is in many.
const SHOWN: [fn(&Sequence) -> bool; 4] = [
    block_then_part,
    |sequence| sequence.operations().any(is_access_in_a_later_root_table),
    |sequence| sequence.machine.stub.is_some() && sequence.steps.len() > 2,
    |sequence| {
        let is_unmap = |operation: &Operation| matches!(operation, Operation::Unmap { .. });
        let is_fail = |operation: &Operation| matches!(operation, Operation::Fail { .. });
        sequence
            .operations()
            .skip_while(|operation| !is_fail(operation))
            .any(is_unmap)
    },
];

#[test]
fn result_always_shows_the_same_and_shrinks_to_itself() {
    for shows in SHOWN {
        let sequences = (0..400).map(generate::from_seed).filter(shows).take(15);
        let mut tried = 0;
        for sequence in sequences {
            tried += 1;
            let once = shrunk(&sequence, shows);
            assert!(shows(&once.sequence), "{sequence}\n{}", once.sequence);
            assert!(once.sequence.machine.check().is_ok(), "{}", once.sequence);
            assert_eq!(once, shrunk(&sequence, shows));
            assert_eq!(
                once.sequence,
                shrunk(&once.sequence, shows).sequence,
                "{sequence}"
            );
        }
        assert!(tried >= 10, "only {tried} sequences show it");
    }
}

#[test]
fn options_software_bits_and_owners_that_do_not_matter_go() {
    let long = sequence(
        "machine features=xnx+haf+hd+ttl+bbm2+contiguous\nvm a\n\
         map a ipa=0 pa=0x50000000 size=4K prot=r-p mem=nc sw=7 pages\n\
         annotate a ipa=0 size=4K owner=9",
    );
    let shrunk = shrink(&long, ENOUGH, |sequence| {
        sequence.steps.len() == 3 && sequence.machine.features.haf
    });
    let text = shrunk.sequence.to_string();
    assert!(text.contains(" features=haf "), "{text}");
    assert!(text.contains("prot=rw- mem=normal\n"), "{text}");
    assert!(text.ends_with("owner=1\n"), "{text}");
}

#[test]
fn divergence_keeps_class_rule_and_kind_of_operation() {
    let long = sequence(
        "machine granule=16K pa=48 ipa=44 stub=0x4000
        vm b -> ok
        map b ipa=0 pa=0x50000000 size=64K prot=rw- mem=normal -> ok
        unmap b ipa=0x4000 size=16K -> ok
        free b -> ok pages=0
        access a ipa=0x4000 read",
    );
    let reduced = divergence(&long, shrink::CRASH_EVALUATIONS).expect("an expectation is wrong");
    let shrink::Failure::Verdict(verdict) = &reduced.failure else {
        panic!("{:?}", reduced.failure);
    };
    assert_eq!(verdict.finding.rule, "expectation");
    let guilty = verdict.guilty.as_ref().expect("the free is guilty");
    assert!(guilty.text.starts_with("free "), "{}", guilty.text);
    let expectations = reduced
        .sequence
        .steps
        .iter()
        .filter(|step| step.expected.is_some());
    assert_eq!(expectations.count(), 1, "{}", reduced.sequence);
    assert!(reduced.is_finished);
}

#[test]
fn sequence_that_agrees_has_nothing_to_shrink() {
    assert!(divergence(&sequence("machine\nvm a -> ok\nfree a"), ENOUGH).is_none());
}
