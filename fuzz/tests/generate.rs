//! What the generator makes, as far as it can be known without running it: the
//! mix of operations, where their addresses lie, and that every legal
//! configuration comes up. Seeds are fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use fuzz::text::Text;
use fuzz::{generate, translate};
use ops::{Execute, Machine, MemoryType, Operation};
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
    maps: usize,
    unmaps: usize,
    /// By the first word of the operation's text.
    verbs: BTreeMap<String, usize>,
    /// In the order of `Regime::ALL`.
    regimes: [usize; 4],
    /// Machines with any option, and with each.
    with_options: usize,
    options: [usize; 16],
    /// Maps with software bits, with execution at one EL alone, and of the memory types
    /// that the first version did not have.
    software: usize,
    one_el: usize,
    new_memory: usize,
    /// Links behind a build of the same VM that is not linked yet.
    links_of_built: usize,
    /// Other operations with an IPA at an address that was mapped before.
    meets_mapped: usize,
    others: usize,
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
        for (verb, count) in &self.verbs {
            writeln!(f, "{:6.1} % {verb}", of(*count, self.operations))?;
        }
        for (name, part, whole) in [
            ("with options", self.with_options, self.machines),
            ("with software bits", self.software, self.maps),
            ("execution at one EL", self.one_el, self.maps),
            ("new memory types", self.new_memory, self.maps),
            (
                "links of what is built",
                self.links_of_built,
                self.operations,
            ),
            (
                "others that meet what was mapped",
                self.meets_mapped,
                self.others,
            ),
            ("legal machines", self.legal_machines, self.machines),
            ("with a stub", self.stubs, self.machines),
            ("noncoherent", self.noncoherent, self.machines),
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
        self.legal_machines += usize::from(translate::configuration(&machine).is_some());
        self.stubs += usize::from(machine.stub.is_some());
        self.noncoherent += usize::from(!machine.coherent_walks);
        self.operations += sequence.steps.len();
        self.regimes[machine.regime as usize] += 1;
        self.with_options += usize::from(machine.options() != 0);
        for (bit, count) in self.options.iter_mut().enumerate() {
            *count += usize::from(machine.options() >> bit & 1 != 0);
        }
        let mut mapped = Vec::new();
        let mut built = [false; ops::VMS];
        for operation in sequence.operations() {
            let text = Text(operation).to_string();
            let verb = text.split(' ').next().unwrap_or_default().to_owned();
            *self.verbs.entry(verb).or_default() += 1;
            self.add_other(operation, &mapped);
            match *operation {
                Operation::Build { vm, .. } => built[vm.index()] = true,
                Operation::Link { vm } => {
                    self.links_of_built += usize::from(std::mem::take(&mut built[vm.index()]));
                }
                Operation::Map {
                    vm,
                    ipa,
                    pa,
                    size,
                    prot,
                    memory,
                    software,
                    ..
                } => {
                    self.maps += 1;
                    self.software += usize::from(software != 0);
                    self.one_el += usize::from(matches!(prot.execute, Execute::El1 | Execute::El0));
                    self.new_memory += usize::from(matches!(
                        memory,
                        MemoryType::NonCacheable | MemoryType::DeviceStrict
                    ));
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
                _ => {}
            }
        }
    }

    /// Counts an operation that neither maps nor unmaps, where it has an address.
    fn add_other(&mut self, operation: &Operation, mapped: &[(ops::Vm, u64, u64)]) {
        if matches!(operation, Operation::Map { .. } | Operation::Unmap { .. }) {
            return;
        }
        let mut operation = *operation;
        let parts = operation.parts();
        if let (Some(vm), Some(ipa)) = (parts.vm, parts.ipa) {
            let range = (*vm, *ipa, parts.size.map_or(1, |size| *size));
            self.others += 1;
            self.meets_mapped += usize::from(mapped.iter().any(|old| meets(*old, range)));
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
            translate::configuration(machine)
                .is_some_and(|legal| at_edge(root_table_bytes(&legal))),
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

/// How many operations of 100 are to be of each kind, rounded down.
const VERBS: [(&str, RangeInclusive<usize>); 25] = [
    ("vm", 3..=20),
    ("map", 20..=40),
    ("unmap", 7..=16),
    ("access", 12..=25),
    ("free", 1..=5),
    ("fail", 1..=5),
    ("protect", 2..=7),
    ("annotate", 2..=6),
    ("relax", 1..=5),
    ("make-young", 1..=4),
    ("leaf", 1..=5),
    ("build", 1..=5),
    ("link", 1..=3),
    ("discard", 0..=2),
    ("conflict", 0..=2),
    ("unmap-whole", 0..=3),
    ("write-protect", 1..=3),
    ("soften", 1..=3),
    ("revive", 1..=3),
    ("flush", 0..=2),
    ("test-young", 0..=2),
    ("clear-young", 0..=2),
    ("coalesce", 1..=4),
    ("split", 1..=3),
    ("destroy", 0..=1),
];

#[test]
fn distribution_stays_as_it_is_meant() {
    let distribution = Distribution::measure();
    println!("{distribution}");
    let Distribution {
        machines,
        operations,
        maps,
        unmaps,
        ref verbs,
        ..
    } = distribution;
    let changes = maps + unmaps;
    let regime = |index: usize| distribution.regimes[index];
    let verb = |verb: &str| verbs.get(verb).copied().unwrap_or(0);
    let of_operations = VERBS.map(|(name, percent)| (name, verb(name), operations, percent));
    let of_others = [
        (
            "legal machines",
            distribution.legal_machines,
            machines,
            90..=99,
        ),
        ("stubs", distribution.stubs, regime(0), 40..=60),
        ("stage2", regime(0), machines, 50..=80),
        ("el2", regime(1), machines, 10..=30),
        ("aarch32", regime(2), machines, 5..=20),
        ("aarch32-hyp", regime(3), machines, 2..=15),
        ("noncoherent", distribution.noncoherent, machines, 15..=35),
        ("options", distribution.with_options, machines, 40..=60),
        ("software", distribution.software, maps, 15..=35),
        ("one EL", distribution.one_el, maps, 1..=10),
        ("new memory types", distribution.new_memory, maps, 10..=30),
        ("overlaps", distribution.overlaps, changes, 35..=80),
        (
            "meets",
            distribution.meets_mapped,
            distribution.others,
            40..=80,
        ),
        ("block edges", distribution.block_edges, changes, 30..=80),
        ("root edges", distribution.root_edges, changes, 8..=50),
        ("tops", distribution.tops, changes, 3..=32),
        ("blocks", distribution.blocks, maps, 15..=50),
        ("out of range", distribution.out_of_range, changes, 1..=10),
        ("misaligned", distribution.misaligned, changes, 1..=8),
    ];
    for (name, part, whole, percent) in of_operations.into_iter().chain(of_others) {
        let found = 100 * part / whole;
        assert!(
            percent.contains(&found) && part > 0,
            "{name}: {found} % is outside {percent:?}\n{distribution}"
        );
    }
    for (name, count) in Machine::OPTIONS.iter().zip(distribution.options) {
        assert!(
            count > 100,
            "{name} in {count} machines only\n{distribution}"
        );
    }
    let links = distribution.links_of_built;
    assert!(2 * links > verb("build"), "{links} links\n{distribution}");
}

#[test]
fn every_legal_configuration_comes_up_in_200000_machines() {
    let name = |configuration: &legal::Configuration| configuration.to_string();
    let all: BTreeSet<String> = legal::configurations()
        .map(|configuration| name(&configuration))
        .collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut reached = BTreeSet::new();
    for _ in 0..200_000 {
        let mut choices = [0; 64];
        rng.fill(&mut choices);
        let machine = generate::machine(&mut arbitrary::Unstructured::new(&choices)).unwrap();
        reached.extend(translate::configuration(&machine).as_ref().map(name));
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
