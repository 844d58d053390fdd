//! Where the edges of a machine's tables are.
//!
//! This steers choices and judges nothing: for an illegal configuration it
//! answers with some shape near it, and a wrong answer would only make the
//! choices dull.

use ops::{Granule, Machine, Regime};

/// The level whose entries are pages.
const PAGE_LEVEL: i8 = 3;

/// Sizes and edges of a machine's tables, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    page_bits: u32,
    pub(crate) start_level: i8,
    ipa_bits: u32,
    output_bits: u32,
    /// The level of the largest blocks.
    block_level: i8,
    /// Entries of a group that may carry the contiguous hint together, of pages.
    group: u64,
}

impl Shape {
    pub(crate) fn new(machine: &Machine) -> Shape {
        let page_bits = machine.granule.bytes().trailing_zeros();
        let ipa_bits = u32::from(machine.ipa_bits).clamp(page_bits + 1, 56);
        let start_level = match machine.regime {
            Regime::Stage2 | Regime::Aarch32 => root_level(machine, page_bits, ipa_bits),
            // One root table, and no choice.
            Regime::El2 | Regime::Aarch32Hyp => (-1..=PAGE_LEVEL)
                .rev()
                .find(|level| level_lsb(page_bits, *level - 1) >= ipa_bits)
                .unwrap_or(-1),
        };
        let output_bits = match machine.granule {
            Granule::K4 | Granule::K16 if !machine.ds => u32::from(machine.pa_bits).min(48),
            _ => u32::from(machine.pa_bits),
        };
        Shape {
            page_bits,
            start_level,
            ipa_bits,
            output_bits,
            block_level: match machine.granule {
                Granule::K4 => 1 - i8::from(machine.ds),
                Granule::K16 => 2 - i8::from(machine.ds),
                Granule::K64 => 2 - i8::from(machine.pa_bits == 52),
            },
            group: match machine.granule {
                Granule::K4 => 16,
                Granule::K16 => 128,
                Granule::K64 => 32,
            },
        }
    }

    pub(crate) fn page(&self) -> u64 {
        1 << self.page_bits
    }

    /// The smallest block.
    pub(crate) fn block(&self) -> u64 {
        self.entry(2)
    }

    /// What an entry of `level` covers.
    pub(crate) fn entry(&self, level: i8) -> u64 {
        1 << level_lsb(self.page_bits, level).min(63)
    }

    /// What one table of the start level covers: the distance of the edges at
    /// which one concatenated root table ends and the next begins.
    pub(crate) fn root_table(&self) -> u64 {
        self.entry(self.start_level.saturating_sub(1))
    }

    /// The IPA space.
    pub(crate) fn space(&self) -> u64 {
        1 << self.ipa_bits
    }

    /// The output space.
    pub(crate) fn output(&self) -> u64 {
        1 << self.output_bits
    }

    /// The bytes of the smallest group that may carry the contiguous hint.
    pub(crate) fn group(&self) -> u64 {
        self.group << self.page_bits
    }

    /// Sizes of leaves, largest first.
    fn leaf_sizes(&self) -> impl Iterator<Item = u64> {
        (self.block_level..=PAGE_LEVEL).map(|level| self.entry(level))
    }

    /// The largest block of at most `size` bytes, or a page.
    pub(crate) fn leaf_for(&self, size: u64) -> u64 {
        self.leaf_sizes()
            .find(|leaf| *leaf <= size)
            .unwrap_or(self.page())
    }

    /// How many leaves a map of a range within the IPA space writes.
    pub(crate) fn leaves(&self, ipa: u64, pa: u64, size: u64, pages_only: bool) -> u64 {
        let fits = |leaf: &u64| (ipa ^ pa) & (leaf - 1) == 0;
        let sizes = self.leaf_sizes().filter(|leaf| {
            if pages_only {
                *leaf == self.page()
            } else {
                fits(leaf)
            }
        });
        leaves(ipa, ipa.saturating_add(size), &sizes.collect::<Vec<_>>())
    }

    /// How many leaves a table has that stands in the place of an entry of `level`.
    pub(crate) fn leaves_below(&self, level: i8, pages_only: bool) -> u64 {
        let entry = self.entry(level);
        let leaf = if pages_only {
            self.page()
        } else {
            self.leaf_for(entry - 1)
        };
        entry / leaf
    }

    /// The levels of the tables, root first.
    pub(crate) fn levels(&self) -> std::ops::RangeInclusive<i8> {
        self.start_level..=PAGE_LEVEL
    }

    /// `address` rounded down to a page.
    pub(crate) fn page_of(&self, address: u64) -> u64 {
        address & !(self.page() - 1)
    }
}

/// How many leaves cover `start..end`, with as many of the first size as fit, and
/// the sizes behind it for the rest at both ends.
fn leaves(start: u64, end: u64, sizes: &[u64]) -> u64 {
    let [largest, smaller @ ..] = sizes else {
        return 0;
    };
    let first = start.saturating_add(largest - 1) & !(largest - 1);
    let last = end & !(largest - 1);
    if first >= last {
        return leaves(start, end, smaller);
    }
    (last - first) / largest + leaves(start, first, smaller) + leaves(last, end, smaller)
}

/// The start level that is asked for, or the one with the fewest levels.
fn root_level(machine: &Machine, page_bits: u32, ipa_bits: u32) -> i8 {
    let last = match machine.granule {
        Granule::K4 if !machine.features.ttst => 2,
        _ => PAGE_LEVEL,
    };
    let reaches = |level: &i8| level_lsb(page_bits, *level) + (page_bits - 3) + 4 >= ipa_bits;
    let fewest = (-1..=last).rev().find(reaches).unwrap_or(0);
    machine
        .start_level
        .filter(|level| (-1..=PAGE_LEVEL).contains(level))
        .unwrap_or(fewest)
}

/// The lowest address bit that an entry of `level` resolves, or a table of the one
/// below it.
fn level_lsb(page_bits: u32, level: i8) -> u32 {
    let above = u32::try_from(PAGE_LEVEL - level.clamp(-2, PAGE_LEVEL)).unwrap_or(0);
    page_bits + above * (page_bits - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_the_architecture() {
        let plain = Shape::new(&Machine::PLAIN);
        assert_eq!(
            (plain.start_level, plain.root_table(), plain.block()),
            (1, 1 << 39, 2 << 20)
        );
        let small = Machine {
            granule: Granule::K64,
            ipa_bits: 32,
            ..Machine::PLAIN
        };
        let small = Shape::new(&small);
        assert_eq!(
            (small.start_level, small.root_table(), small.block()),
            (3, 512 << 20, 512 << 20)
        );
    }

    #[test]
    fn machines_with_52_bits_have_their_levels_and_blocks() {
        let wide = Machine {
            pa_bits: 52,
            ipa_bits: 52,
            ..Machine::PLAIN.with_options(1 | 1 << 14)
        };
        assert_eq!(Shape::new(&wide).start_level, 0);
        let shape = Shape::new(&Machine {
            start_level: Some(-1),
            ..wide
        });
        assert_eq!((shape.start_level, shape.output()), (-1, 1 << 52));
        assert_eq!(shape.leaf_for(1 << 40), 1 << 39);
        assert_eq!(shape.leaves_below(-1, false), 512);
    }

    #[test]
    fn any_machine_has_a_shape() {
        for granule in Granule::ALL {
            for ipa_bits in 0..=u8::MAX {
                for start in [
                    None,
                    Some(i8::MIN),
                    Some(-1),
                    Some(0),
                    Some(3),
                    Some(i8::MAX),
                ] {
                    let shape = Shape::new(&Machine {
                        granule,
                        ipa_bits,
                        start_level: start,
                        ..Machine::PLAIN
                    });
                    assert!(shape.space() > shape.page() && shape.root_table() >= shape.page());
                }
            }
        }
    }

    #[test]
    fn leaves_are_counted() {
        let plain = Shape::new(&Machine::PLAIN);
        assert_eq!(plain.leaves(0, 0, 4 << 20, true), 1024);
        assert_eq!(plain.leaves(0, 0x1000, 4 << 20, false), 1024);
        assert_eq!(plain.leaves(0, 0, 4 << 20, false), 2);
        assert_eq!(plain.leaves(0x1000, 0x1000, 4 << 20, false), 511 + 1 + 1);
        assert_eq!(
            plain.leaves(0x3fe0_0000, 0xffe0_0000, (1 << 30) + (4 << 20), false),
            1 + 1 + 1
        );
        assert_eq!(plain.leaves(0x20_0000, 0x20_0000, 1 << 30, false), 512);
    }
}
