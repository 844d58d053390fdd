//! Carries the addresses of a sequence over to another machine.
//!
//! An address is taken apart into its root table, the index in the table of each
//! level and the offset in the page, and put together again by the other machine's
//! granule and levels: what lay at an edge lies at the same edge, what was a block
//! is a block, neighbours stay neighbours. Nothing depends on that being perfect:
//! what does not show the divergence is dropped.

use ops::{Machine, Operation};

use crate::generate::Shape;
use crate::sequence::Sequence;

/// The sequence on `machine`.
pub(super) fn carry(sequence: &Sequence, machine: Machine) -> Sequence {
    let mut carrier = Carrier {
        from: Shape::new(&sequence.machine),
        to: Shape::new(&machine),
        old: sequence.machine,
        new: machine,
        offsets: Vec::new(),
    };
    let mut carried = sequence.clone();
    carried.machine = machine;
    carried.machine.stub = machine.stub.map(|ipa| carrier.ipa(ipa));
    for step in &mut carried.steps {
        carrier.operation(&mut step.operation);
    }
    carried
}

struct Carrier {
    from: Shape,
    to: Shape,
    old: Machine,
    new: Machine,
    /// What PAs are above their IPAs, each once, with the level whose entries map
    /// the one to the other.
    offsets: Vec<(i8, u64)>,
}

impl Carrier {
    fn operation(&mut self, operation: &mut Operation) {
        let parts = operation.parts();
        let Some(ipa) = parts.ipa else { return };
        if let Some(pa) = parts.pa {
            *pa = self.pa(*ipa, *pa);
        }
        match parts.size {
            Some(size) => (*ipa, *size) = self.range(*ipa, *size),
            None => *ipa = self.ipa(*ipa),
        }
    }

    /// By its two ends. One that wraps keeps its size.
    fn range(&self, ipa: u64, size: u64) -> (u64, u64) {
        let start = self.ipa(ipa);
        let end = ipa.checked_add(size).map(|end| self.ipa(end));
        let carried = end.and_then(|end| end.checked_sub(start)).unwrap_or(size);
        let least = if size == 0 { 0 } else { self.to.page() };
        (start, carried.max(least))
    }

    /// What lies behind the IPA space stays as far behind it.
    fn ipa(&self, ipa: u64) -> u64 {
        let (from, to) = (&self.from, &self.to);
        if ipa >= from.space() {
            return to.space().saturating_add(ipa - from.space());
        }
        let root = self.root_table(ipa) * to.root_table();
        let levels = to
            .levels()
            .map(|level| to.entry(level) * self.index(ipa, level));
        let offset = digit(ipa % from.page(), from.page(), to.page());
        root + levels.sum::<u64>() + offset
    }

    /// The first root table is the first, the last one of several the last. Where
    /// the top levels are not there any more, what was not under their first entries
    /// is behind the first root table.
    fn root_table(&self, ipa: u64) -> u64 {
        let (from, to) = (&self.from, &self.to);
        let (table, last) = (ipa / from.root_table(), roots(from) - 1);
        let lost = ipa % from.root_table() / to.root_table();
        let carried = if table == last && last > 0 {
            roots(to)
        } else {
            table.max(lost)
        };
        carried.min(roots(to) - 1)
    }

    /// The index in a table of `level`. In a level that is new, the last entry is
    /// for what was under the root's last one.
    fn index(&self, ipa: u64, level: i8) -> u64 {
        let (from, to) = (&self.from, &self.to);
        if from.levels().contains(&level) {
            let index = ipa / from.entry(level) % entries(from, level);
            return digit(index, entries(from, level), entries(to, level));
        }
        let is_last = ipa >= from.space() - from.entry(from.start_level);
        if is_last { entries(to, level) - 1 } else { 0 }
    }

    /// A PA for the map of `ipa`, both still those of the old machine: the lowest in
    /// guest memory to which an entry of the same level can map the carried IPA.
    /// Maps of one offset keep one, and those of different ones do not meet. What
    /// cannot be guest memory stays as it is.
    fn pa(&mut self, ipa: u64, pa: u64) -> u64 {
        let (from, to) = (&self.from, &self.to);
        let base = self.new.memory.base;
        if pa < self.old.memory.base || pa >= from.output() {
            return pa;
        }
        let is_aligned = |level: &i8| (ipa ^ pa) & (from.entry(*level) - 1) == 0;
        let Some(level) = from.levels().find(is_aligned) else {
            return base + digit(pa % from.page(), from.page(), to.page());
        };
        let offset = (level, pa.wrapping_sub(ipa));
        let known = self.offsets.iter().position(|other| *other == offset);
        let number = known.unwrap_or(self.offsets.len()) as u64;
        let carried = self.ipa(ipa);
        let entry = to.entry(level.max(to.start_level));
        // Every other entry, so that there is room beside each for what must not
        // be aligned to the entries of the level above as well.
        let first = base.div_ceil(entry) + 2 * number;
        let above = to.entry(level.max(to.start_level) - 1);
        let is_alike = ((first * entry) ^ (carried / entry * entry)) & (above - 1) == 0;
        let bump = u64::from(is_alike && level > from.start_level);
        if known.is_none() {
            self.offsets.push(offset);
        }
        (first + bump) * entry + carried % entry
    }
}

/// How many root tables there are.
fn roots(shape: &Shape) -> u64 {
    (shape.space() / shape.root_table()).max(1)
}

/// Entries of a table of `level` that can be in use.
fn entries(shape: &Shape, level: i8) -> u64 {
    let above = if level == shape.start_level {
        shape.root_table()
    } else {
        shape.entry(level - 1)
    };
    (above.min(shape.space()) / shape.entry(level)).max(1)
}

/// An index out of `count` as one out of `to`: as far from the nearer end as it
/// was, or in the middle where there is no room for that.
fn digit(index: u64, count: u64, to: u64) -> u64 {
    let half = count.min(to) / 2;
    if index < half {
        index
    } else if count - index <= half {
        to - (count - index)
    } else {
        half
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    fn carried(from: &str, to: &str) -> String {
        let to = parse(to).unwrap().machine;
        let carried = carry(&parse(from).unwrap(), to);
        let lines = carried.steps.iter().map(|step| format!("{step}; "));
        lines.collect()
    }

    #[test]
    fn block_becomes_the_block_of_the_other_granule() {
        let text = carried(
            "machine granule=64K pa=48 ipa=40\n\
             map a ipa=0x20000000 pa=0x60000000 size=512M prot=rw- mem=normal\n\
             unmap a ipa=0x3fff0000 size=64K",
            "machine",
        );
        assert_eq!(
            text,
            "map a ipa=0x200000 pa=0x50000000 size=2M prot=rw- mem=normal; \
             unmap a ipa=0x3ff000 size=4K; "
        );
    }

    #[test]
    fn last_page_stays_the_last_and_later_root_tables_stay_later() {
        let text = carried(
            "machine granule=4K ipa=34\naccess a ipa=0x3fffff000 read\naccess a ipa=0x40000000 read",
            "machine",
        );
        assert_eq!(
            text,
            "access a ipa=0xfffffff000 read; access a ipa=0x8000000000 read; "
        );
    }

    #[test]
    fn pa_that_no_block_can_map_stays_one() {
        let text = carried(
            "machine granule=16K pa=48 ipa=40\n\
             map a ipa=0x2000000 pa=0x52004000 size=32M prot=rw- mem=normal",
            "machine",
        );
        assert_eq!(
            text,
            "map a ipa=0x200000 pa=0x50001000 size=2M prot=rw- mem=normal; "
        );
    }

    #[test]
    fn addresses_outside_stay_outside() {
        let text = carried(
            "machine ipa=36\nunmap a ipa=0x1000000000 size=4K\nmap a ipa=0 pa=0x1000 size=4K prot=rw- mem=normal",
            "machine",
        );
        assert_eq!(
            text,
            "unmap a ipa=0x10000000000 size=4K; map a ipa=0x0 pa=0x1000 size=4K prot=rw- mem=normal; "
        );
    }
}
