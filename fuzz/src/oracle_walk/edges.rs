//! A list of ranges by itself: its order, that ranges are maximal, and the addresses
//! that are worth a walk.

use oracle::{ranges, stage1};

use super::Contradiction;

/// Most ranges at whose edges walks are made; more are sampled evenly.
const MAX_PROBED: usize = 40;

/// Most descriptors that a list may take: the root of 16 tables of 64K pages,
/// and as much again. Noise is shared everywhere, and ends in the budget soon.
pub(super) const BUDGET: u64 = 1 << 18;
pub(super) const NOISE_BUDGET: u64 = 1 << 14;

/// A stretch of input addresses.
pub(super) trait Stretch: std::fmt::Debug {
    fn first(&self) -> u64;
    fn bytes(&self) -> u64;
    /// Whether another one goes on where this ends, with the same meaning.
    fn is_continued_by(&self, other: &Self) -> bool;
}

impl Stretch for ranges::Range {
    fn first(&self) -> u64 {
        self.ipa
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_continued_by(&self, other: &ranges::Range) -> bool {
        self.ipa + self.bytes == other.ipa && self.meaning.at(self.bytes) == other.meaning
    }
}

impl Stretch for stage1::Range {
    fn first(&self) -> u64 {
        self.va
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_continued_by(&self, other: &stage1::Range) -> bool {
        self.va + self.bytes == other.va && self.meaning.at(self.bytes) == other.meaning
    }
}

/// Ranges ascend without overlap, each as long as it can be, within 52 bits.
pub(super) fn check_list<R: Stretch>(ranges: &[R]) -> Result<(), Contradiction> {
    let wrong = |check, what| Err(Contradiction { check, what });
    for range in ranges {
        let end = range.first().checked_add(range.bytes());
        if range.bytes() == 0 || end.is_none_or(|end| end > 1 << 52) {
            return wrong(
                "a range is empty or beyond all addresses",
                format!("{range:x?}"),
            );
        }
    }
    for pair in ranges.windows(2) {
        if pair[0].first() + pair[0].bytes() > pair[1].first() {
            return wrong("ranges overlap or do not ascend", format!("{pair:x?}"));
        }
        if pair[0].is_continued_by(&pair[1]) {
            return wrong("ranges are not maximal", format!("{pair:x?}"));
        }
    }
    Ok(())
}

/// The index of the range that holds an address.
pub(super) fn position<R: Stretch>(ranges: &[R], address: u64) -> Option<usize> {
    let index = ranges
        .partition_point(|range| range.first() <= address)
        .checked_sub(1)?;
    (address - ranges[index].first() < ranges[index].bytes()).then_some(index)
}

/// Addresses of walks: both sides of both ends of ranges, the places at which something
/// was entered, the end of the address space, and others. Also how many ranges are left
/// out.
pub(super) fn probes<R: Stretch>(
    ranges: &[R],
    places: &[u64],
    input_bits: u8,
    any: u64,
) -> (Vec<u64>, u64) {
    let stride = ranges.len().div_ceil(MAX_PROBED).max(1);
    let probed = ranges.iter().step_by(stride);
    let left_out = ranges.len() - probed.len();
    let edges = probed.flat_map(|range| {
        let (first, end) = (range.first(), range.first() + range.bytes());
        [first.wrapping_sub(8), first, end - 8, end]
    });
    let space = 1_u64 << input_bits.min(63);
    let others = [
        0,
        any,
        any % space,
        any ^ any.rotate_left(29),
        space.saturating_sub(8),
        space,
        u64::MAX - 7,
    ];
    let near = places.iter().map(|place| place | any & 0xfff);
    let all = edges.chain(near).chain(others);
    (all.map(|address| address & !7).collect(), left_out as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle::ranges::{Meaning, Range};
    use oracle::walk::Why;

    fn range(ipa: u64, bytes: u64) -> Range {
        Range {
            ipa,
            bytes,
            meaning: Meaning::Unpredictable(Why::T0sz),
        }
    }

    fn failed(ranges: &[Range]) -> &'static str {
        check_list(ranges).expect_err("the list is wrong").check
    }

    #[test]
    fn a_list_that_is_none_is_a_contradiction() {
        assert_eq!(check_list(&[range(0, 8), range(16, 8)]), Ok(()));
        assert_eq!(
            failed(&[range(0, 8), range(8, 8)]),
            "ranges are not maximal"
        );
        assert_eq!(
            failed(&[range(0, 16), range(8, 8)]),
            "ranges overlap or do not ascend"
        );
        let beyond = "a range is empty or beyond all addresses";
        assert_eq!(failed(&[range(0, 0)]), beyond);
        assert_eq!(failed(&[range(u64::MAX, 8)]), beyond);
    }

    #[test]
    fn the_range_of_an_address_is_found() {
        let list = [range(0, 8), range(16, 8)];
        let found = [0, 7, 8, 15, 16, 24].map(|address| position(&list, address));
        assert_eq!(found, [Some(0), Some(0), None, None, Some(1), None]);
    }

    #[test]
    fn long_lists_are_sampled_and_what_is_left_out_is_counted() {
        let list: Vec<Range> = (0..1000).map(|index| range(index * 16, 8)).collect();
        let (_, left_out) = probes(&list, &[], 40, 0);
        assert_eq!(left_out, 960);
        assert_eq!(probes(&list[..MAX_PROBED], &[], 40, 0).1, 0);
    }
}
