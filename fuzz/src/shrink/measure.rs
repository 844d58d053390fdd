//! How plain a sequence is: the order in which shrinking only ever descends.

use ops::{AccessKind, Execute, Machine, MemoryType, Operation, Parts, Prot};

use crate::sequence::{Sequence, Step};

/// Fewer operations are plainer, then a plainer machine, then plainer operations
/// from the first on. Every part is a natural number and their count never grows,
/// so no descent is endless.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measure {
    operations: usize,
    machine: [u64; 15],
    steps: Vec<[u64; 6]>,
}

impl Measure {
    pub(super) fn of(sequence: &Sequence) -> Measure {
        let machine = &sequence.machine;
        Measure {
            operations: operations(sequence),
            machine: of_machine(machine),
            steps: sequence
                .steps
                .iter()
                .map(|step| of_step(step, machine))
                .collect(),
        }
    }
}

/// How many operations are executed, those of operation 0 included.
pub(super) fn operations(sequence: &Sequence) -> usize {
    sequence.steps.len() + sequence.machine.operation_0().count()
}

fn of_machine(machine: &Machine) -> [u64; 15] {
    let plain = Machine::PLAIN;
    let options = machine.options();
    let Machine {
        regime,
        granule,
        pa_bits,
        ipa_bits,
        start_level,
        coherent_walks,
        cache_pages,
        pool,
        memory,
        stub,
        // In `options`.
        ds: _,
        features: _,
        contiguous: _,
    } = *machine;
    [
        u64::from(stub.is_some()),
        regime as u64,
        u64::from(options.count_ones()),
        granule.bytes() - plain.granule.bytes(),
        u64::from(pa_bits.abs_diff(plain.pa_bits)),
        u64::from(ipa_bits.abs_diff(plain.ipa_bits)),
        u64::from(start_level.is_some()),
        u64::from(!coherent_walks),
        cache_pages.map_or(0, |pages| 1 + u64::from(pages)),
        u64::from(pool.pages.abs_diff(plain.pool.pages)),
        above(pool.base, plain.pool.base),
        above(memory.base, plain.memory.base),
        memory.bytes.abs_diff(plain.memory.bytes),
        stub.unwrap_or(0),
        options.into(),
    ]
}

/// The IPA comes behind the size: a range that loses its start is plainer.
fn of_step(step: &Step, machine: &Machine) -> [u64; 6] {
    let mut operation = step.operation;
    let after = match operation {
        Operation::Fail { after } => after.into(),
        _ => 0,
    };
    let parts = operation.parts();
    [
        parts.size.as_deref().copied().unwrap_or(after),
        parts.ipa.as_deref().copied().unwrap_or(0),
        parts
            .pa
            .as_deref()
            .map_or(0, |pa| above(*pa, machine.memory.base)),
        parts.vm.as_deref().map_or(0, |vm| vm.index() as u64),
        attributes(&parts),
        u64::from(step.expected.is_some()),
    ]
}

/// How plain is what an operation has beside addresses.
fn attributes(parts: &Parts<'_>) -> u64 {
    let number = |byte: &Option<&mut u8>| byte.as_deref().map_or(0, |byte| u64::from(*byte));
    let memory = parts.memory.as_deref().copied();
    let prot = parts.prot.as_deref();
    let rank = prot.map_or(0, |prot| rank(*prot, memory.unwrap_or(MemoryType::Normal)));
    let kind = parts.kind.as_deref().map_or(0, |kind| access_rank(*kind));
    let pages_only = parts.pages_only.as_deref() == Some(&true);
    let bits = (rank << 8 | number(&parts.software)) << 1 | u64::from(pages_only);
    bits + kind + number(&parts.owner)
}

/// How far an address is above `base`; those below come last.
pub(super) fn above(address: u64, base: u64) -> u64 {
    // All addresses that a machine has are below 2^63; of others only the order
    // among themselves is lost.
    address.checked_sub(base).unwrap_or(1 << 63 | address)
}

/// `rw-` and normal first: the attributes that permit most accesses and are the
/// least special. Then fewer permissions, then executable ones, those of one EL alone,
/// and other memory types.
pub(super) fn rank(prot: Prot, memory: MemoryType) -> u64 {
    let executes = prot.execute != Execute::Never;
    let letters = match (prot.read, prot.write, executes) {
        (true, true, false) => 0,
        (true, false, false) => 1,
        (true, true, true) => 2,
        (true, false, true) => 3,
        (false, true, false) => 4,
        (false, false, true) => 5,
        (false, true, true) => 6,
        (false, false, false) => 7,
    };
    let levels = match prot.execute {
        Execute::Never | Execute::Both => 0,
        Execute::El1 => 1,
        Execute::El0 => 2,
    };
    let memory = match memory {
        MemoryType::Normal => 0,
        MemoryType::Device => 1,
        MemoryType::NonCacheable => 2,
        MemoryType::DeviceStrict => 3,
    };
    (memory * 3 + levels) * 8 + letters
}

pub(super) fn access_rank(kind: AccessKind) -> u64 {
    match kind {
        AccessKind::Read => 0,
        AccessKind::Write => 1,
        AccessKind::Execute => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    fn measure(text: &str) -> Measure {
        Measure::of(&parse(text).unwrap())
    }

    #[test]
    fn fewer_operations_outweigh_everything() {
        assert!(
            measure("machine granule=64K pa=52 ipa=48 walks=noncoherent\nvm d")
                < measure("machine\nvm a\nvm a")
        );
    }

    #[test]
    fn stub_counts_as_its_two_operations() {
        assert!(measure("machine\nvm a") < measure("machine stub=0"));
        assert_eq!(operations(&parse("machine stub=0\nvm b").unwrap()), 3);
    }

    #[test]
    fn nothing_is_plainer_than_the_plain_machine() {
        assert_eq!(of_machine(&Machine::PLAIN), [0; 15]);
    }

    #[test]
    fn range_that_loses_its_start_is_plainer() {
        assert!(
            measure("machine\nunmap a ipa=0x2000 size=4K")
                < measure("machine\nunmap a ipa=0x1000 size=8K")
        );
    }

    #[test]
    fn pa_at_the_start_of_guest_memory_is_plainest() {
        let at = |pa| {
            measure(&format!(
                "machine\nmap a ipa=0 pa={pa} size=4K prot=rw- mem=normal"
            ))
        };
        assert!(at("0x50000000") < at("0x50001000"));
        assert!(at("0x50001000") < at("0x4ffff000"));
    }
}
