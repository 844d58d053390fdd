//! How much a sequence asks for, so that no single input takes long.

use ops::{Action, Machine, Operation};

use crate::generate::Shape;
use crate::sequence::Sequence;

/// Most descriptors that the operations of a sequence may write if it is to be run.
pub const MOST_WORK: u64 = 1 << 18;

/// At most how many descriptors the operations of a sequence write for what they map
/// or split. Others take away or change what was written.
#[must_use]
pub fn work(sequence: &Sequence) -> u64 {
    let shape = Shape::new(&sequence.machine);
    let room = room(&sequence.machine);
    let work = |operation: &Operation| match *operation {
        Operation::Map {
            ipa,
            pa,
            size,
            pages_only,
            ..
        } if is_within(&shape, ipa, size) => shape.leaves(ipa, pa, size, pages_only).min(room),
        Operation::Annotate { ipa, size, .. } if is_within(&shape, ipa, size) => {
            shape.leaves(ipa, ipa, size, false).min(room)
        }
        Operation::Build {
            level, pages_only, ..
        } => shape.leaves_below(level, pages_only).min(room),
        Operation::Range {
            action: Action::Split,
            ipa,
            size,
            ..
        } if is_within(&shape, ipa, size) => (size / shape.page()).min(cached(&sequence.machine)),
        _ => 0,
    };
    sequence.operations().map(work).sum()
}

/// Whether the range lies in the IPA space: others are refused at once.
fn is_within(shape: &Shape, ipa: u64, size: u64) -> bool {
    ipa.checked_add(size)
        .is_some_and(|end| end <= shape.space())
}

/// The descriptors that the pages of the cache hold, which are all that a split has.
fn cached(machine: &Machine) -> u64 {
    // Twice the levels below the root, where nothing is said.
    let pages = machine.cache_pages.unwrap_or(8).min(machine.pool.pages);
    u64::from(pages) * (machine.granule.bytes() / 8)
}

/// The descriptors that all pages of the pool hold.
fn room(machine: &Machine) -> u64 {
    u64::from(machine.pool.pages) * (machine.granule.bytes() / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn work_of(lines: &str) -> u64 {
        work(&text::parse(&format!("machine\n{lines}")).unwrap())
    }

    #[test]
    fn pages_of_maps_are_counted() {
        assert_eq!(
            work_of("map a ipa=0 pa=0x50000000 size=8M prot=rw- mem=normal pages"),
            2048
        );
    }

    #[test]
    fn refused_maps_count_nothing() {
        assert_eq!(
            work_of("map a ipa=0 pa=0 size=16777215T prot=rw- mem=normal pages"),
            0
        );
        assert_eq!(
            work_of("map a ipa=0xfffffffffffff000 pa=0 size=4K prot=rw- mem=normal"),
            0
        );
    }

    #[test]
    fn pool_limits_what_a_map_can_write() {
        assert_eq!(
            work_of("map a ipa=0 pa=0 size=1T prot=rw- mem=normal pages"),
            64 * 512
        );
    }
}
