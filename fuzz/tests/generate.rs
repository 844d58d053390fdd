//! What the generator makes, as far as it can be known without running it: the
//! mix of operations, where their addresses lie, and that every legal
//! configuration comes up. Seeds are fixed.

use std::collections::BTreeSet;
use std::fmt;

use fuzz::generate;
use ops::{Machine, Operation};
use oracle::model::legal;

const SEQUENCES: u64 = 3000;

/// Counts over many sequences.
#[derive(Default)]
struct Distribution {
    machines: usize,
    legal_machines: usize,
    stubs: usize,
    noncoherent: usize,
    operations: usize,
    creates: usize,
    maps: usize,
    unmaps: usize,
    accesses: usize,
    frees: usize,
    fails: usize,
    /// Maps and unmaps that share a page with an earlier map of the same VM.
    overlaps: usize,
    /// Maps and unmaps with an end at an edge of a block.
    block_edges: usize,
    /// Maps and unmaps with an end at an edge of a root table.
    root_edges: usize,
    /// Maps and unmaps that end at the top of the IPA space.
    tops: usize,
    /// Maps of at least a block with IPA and PA aligned alike.
    blocks: usize,
    /// Maps and unmaps that the address checks refuse.
    out_of_range: usize,
    misaligned: usize,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
        let changes = self.maps + self.unmaps;
        writeln!(
            f,
            "{} machines, {:.1} operations each",
            self.machines,
            self.operations as f64 / self.machines as f64
        )?;
        for (name, part, whole) in [
            ("legal machines", self.legal_machines, self.machines),
            ("with a stub", self.stubs, self.machines),
            ("noncoherent", self.noncoherent, self.machines),
            ("vm", self.creates, self.operations),
            ("map", self.maps, self.operations),
            ("unmap", self.unmaps, self.operations),
            ("access", self.accesses, self.operations),
            ("free", self.frees, self.operations),
            ("fail", self.fails, self.operations),
            ("overlap an earlier map", self.overlaps, changes),
            ("an end at a block's edge", self.block_edges, changes),
            ("an end at a root table's edge", self.root_edges, changes),
            ("end at the top", self.tops, changes),
            ("leave room for a block", self.blocks, self.maps),
            ("out of range", self.out_of_range, changes),
            ("misaligned", self.misaligned, changes),
        ] {
            writeln!(f, "{:6.1} % {name}", of(part, whole))?;
        }
        Ok(())
    }
}

impl Distribution {
    fn measure() -> Distribution {
        let mut distribution = Distribution::default();
        (0..SEQUENCES).for_each(|seed| distribution.add(seed));
        distribution
    }

    fn add(&mut self, seed: u64) {
        let sequence = generate::from_seed(seed);
        let machine = sequence.machine;
        self.machines += 1;
        self.legal_machines += usize::from(configuration(&machine).is_some());
        self.stubs += usize::from(machine.stub.is_some());
        self.noncoherent += usize::from(!machine.coherent_walks);
        self.operations += sequence.steps.len();
        let mut mapped = Vec::new();
        for operation in sequence.operations() {
            match *operation {
                Operation::Create { .. } => self.creates += 1,
                Operation::Free { .. } => self.frees += 1,
                Operation::Access { .. } => self.accesses += 1,
                Operation::Fail { .. } => self.fails += 1,
                Operation::Map {
                    vm, ipa, pa, size, ..
                } => {
                    self.maps += 1;
                    let block = block_bytes(&machine);
                    self.blocks += usize::from(size >= block && (ipa ^ pa).is_multiple_of(block));
                    self.change(
                        &machine,
                        ipa,
                        size,
                        mapped.iter().any(|old| meets(*old, (vm, ipa, size))),
                    );
                    mapped.push((vm, ipa, size));
                }
                Operation::Unmap { vm, ipa, size } => {
                    self.unmaps += 1;
                    self.change(
                        &machine,
                        ipa,
                        size,
                        mapped.iter().any(|old| meets(*old, (vm, ipa, size))),
                    );
                }
            }
        }
    }

    fn change(&mut self, machine: &Machine, ipa: u64, size: u64, overlaps: bool) {
        let page = machine.granule.bytes();
        let end = ipa.wrapping_add(size);
        let space = 1_u64
            .checked_shl(machine.ipa_bits.into())
            .unwrap_or(u64::MAX);
        let at_edge = |distance: u64| ipa.is_multiple_of(distance) || end.is_multiple_of(distance);
        self.overlaps += usize::from(overlaps);
        self.block_edges += usize::from(at_edge(block_bytes(machine)));
        self.root_edges += usize::from(
            configuration(machine).is_some_and(|legal| at_edge(root_table_bytes(&legal))),
        );
        self.tops += usize::from(end == space);
        self.out_of_range += usize::from(ipa.checked_add(size).is_none_or(|end| end > space));
        self.misaligned += usize::from(!(ipa | size).is_multiple_of(page));
    }
}

fn meets(old: (ops::Vm, u64, u64), new: (ops::Vm, u64, u64)) -> bool {
    old.0 == new.0 && old.1 < new.1.saturating_add(new.2) && new.1 < old.1.saturating_add(old.2)
}

/// A level-2 block: the square of the entries of a table times 8 bytes.
fn block_bytes(machine: &Machine) -> u64 {
    machine.granule.bytes() / 8 * machine.granule.bytes()
}

fn root_table_bytes(configuration: &legal::Configuration) -> u64 {
    let space = 1_u64 << configuration.ipa_bits();
    space / u64::from(configuration.root_tables())
}

fn configuration(machine: &Machine) -> Option<legal::Configuration> {
    let granule = match machine.granule {
        ops::Granule::K4 => oracle::arch::Granule::K4,
        ops::Granule::K16 => oracle::arch::Granule::K16,
        ops::Granule::K64 => oracle::arch::Granule::K64,
    };
    legal::check(
        granule,
        machine.start_level,
        machine.ipa_bits,
        machine.pa_bits,
    )
    .ok()
}

#[test]
fn distribution_stays_as_it_is_meant() {
    let distribution = Distribution::measure();
    println!("{distribution}");
    let Distribution {
        machines,
        operations,
        maps,
        unmaps,
        ..
    } = distribution;
    let changes = maps + unmaps;
    let bounds = [
        (
            "legal machines",
            distribution.legal_machines,
            machines,
            90..=99,
        ),
        ("stubs", distribution.stubs, machines, 40..=60),
        ("noncoherent", distribution.noncoherent, machines, 15..=35),
        ("creates", distribution.creates, operations, 3..=20),
        ("maps", maps, operations, 35..=60),
        ("unmaps", unmaps, operations, 15..=25),
        ("accesses", distribution.accesses, operations, 18..=30),
        ("frees", distribution.frees, operations, 1..=6),
        ("fails", distribution.fails, operations, 1..=6),
        ("overlaps", distribution.overlaps, changes, 35..=80),
        ("block edges", distribution.block_edges, changes, 30..=80),
        ("root edges", distribution.root_edges, changes, 8..=50),
        ("tops", distribution.tops, changes, 3..=20),
        ("blocks", distribution.blocks, maps, 15..=50),
        ("out of range", distribution.out_of_range, changes, 1..=10),
        ("misaligned", distribution.misaligned, changes, 1..=8),
    ];
    for (name, part, whole, percent) in bounds {
        let found = 100 * part / whole;
        assert!(
            percent.contains(&found),
            "{name}: {found} % is outside {percent:?}\n{distribution}"
        );
    }
}

#[test]
fn every_legal_configuration_comes_up_in_20000_machines() {
    let name = |configuration: &legal::Configuration| configuration.to_string();
    let all: BTreeSet<String> = legal::configurations()
        .map(|configuration| name(&configuration))
        .collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut reached = BTreeSet::new();
    for _ in 0..20_000 {
        let mut choices = [0; 64];
        rng.fill(&mut choices);
        let machine = generate::machine(&mut arbitrary::Unstructured::new(&choices)).unwrap();
        reached.extend(configuration(&machine).as_ref().map(name));
    }
    let missing: Vec<_> = all.difference(&reached).collect();
    assert!(
        missing.is_empty(),
        "{} of {} never came up: {missing:?}",
        missing.len(),
        all.len()
    );
}

#[test]
fn seed_decides_the_sequence() {
    assert_eq!(generate::from_seed(7), generate::from_seed(7));
    assert_ne!(generate::from_seed(7), generate::from_seed(8));
}

#[test]
fn every_generated_machine_can_run() {
    for seed in 0..SEQUENCES {
        let machine = generate::from_seed(seed).machine;
        assert_eq!(machine.check(), Ok(()), "seed {seed}");
    }
}

#[test]
fn few_choices_still_make_a_sequence_or_an_error() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut made = 0;
    for length in 0..400 {
        let bytes: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
        made += usize::from(generate::sequence(&mut arbitrary::Unstructured::new(&bytes)).is_ok());
    }
    assert!(made > 0);
}
