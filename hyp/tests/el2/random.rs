//! Random sequences of map and unmap against a map of pages, and the entries of every
//! table against the references that the page source counts.

use crate::bench::{Bench, mapping, plain, shapes, with_el2};
use crate::support::{RO, RW, TestCpu};
use hyp::addr::{Pa, Va};
use hyp::el2::{Configuration, Geometry, MapError, Mapping, UnmapError};
use hyp::geometry::AddressFormat;
use hyp::pages::PageSource;
use hyp::platform::Platform;
use std::collections::BTreeMap;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

/// What each page number maps to: page number and whether it may be written.
type Naive = BTreeMap<u64, (u64, bool)>;

/// Pages from which ranges are chosen: three tables of pages and a part of a fourth.
fn window(configuration: &Configuration) -> u64 {
    u64::from(configuration.granule.entries()) * 7 / 2
}

fn map(
    bench: &Bench<'_>,
    cpu: &mut TestCpu<'_>,
    naive: &mut Naive,
    random: &mut Random,
    c: &Configuration,
) {
    let (page, window) = (c.granule.bytes(), window(c));
    let first = random.below(window);
    let pages = random.below(window - first) + 1;
    let writable = random.below(4) > 0;
    // Mostly where blocks fit, so that much is mapped alike.
    let shift = if random.below(8) == 0 { 1 } else { 0 };
    let request = Mapping {
        pages_only: random.below(2) == 0,
        ..mapping(
            first * page,
            (first + shift) * page,
            pages * page,
            if writable { RW } else { RO },
        )
    };
    let differs = |number: &u64| {
        naive
            .get(number)
            .is_some_and(|&there| there != (number + shift, writable))
    };
    let refused = (first..first + pages).find(differs);
    let expected = refused.map_or(Ok(()), |number| {
        Err(MapError::Mapped(Va::new(number * page)))
    });
    assert_eq!(bench.el2.map(cpu, &request), expected);
    if refused.is_none() {
        naive.extend((first..first + pages).map(|number| (number, (number + shift, writable))));
    }
}

fn unmap(
    bench: &Bench<'_>,
    cpu: &mut TestCpu<'_>,
    naive: &mut Naive,
    random: &mut Random,
    c: &Configuration,
) {
    let (page, window) = (c.granule.bytes(), window(c));
    let first = random.below(window);
    let pages = random.below(window - first) + 1;
    match bench.el2.unmap(cpu, Va::new(first * page), pages * page) {
        Ok(()) => naive.retain(|&number, _| number < first || number >= first + pages),
        Err(UnmapError::CutsBlock(at)) => {
            let number = at.raw() / page;
            assert!(number == first || number == first + pages);
            assert!(naive.contains_key(&number) && naive.contains_key(&(number - 1)));
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn check_pages(bench: &Bench<'_>, naive: &Naive, c: &Configuration) {
    for number in 0..window(c) {
        let va = number * c.granule.bytes();
        let found = bench.el2.leaf(bench.machine, Va::new(va)).unwrap();
        let maps_to = found.leaf.map(|leaf| {
            let entry_bytes = Geometry::new(c).unwrap().shape().entry_bytes(found.level);
            let pa = leaf.pa.raw() + va % entry_bytes;
            (pa / c.granule.bytes(), leaf.prot.write)
        });
        assert_eq!(maps_to, naive.get(&number).copied(), "page {number}");
    }
}

/// Counts the tables from `table` of `level` down, and holds the references of each
/// against its entries.
fn check_table(bench: &Bench<'_>, c: &Configuration, table: Pa, level: i8) -> usize {
    let entries = (0..u64::from(c.granule.entries()))
        .map(|index| bench.machine.load(table.forward(8 * index)));
    let valid: Vec<u64> = entries.filter(|&entry| entry != 0).collect();
    assert_eq!(usize::from(bench.pool.references(table)), valid.len());
    let tables = valid.iter().filter(|&entry| level < 3 && entry & 3 == 3);
    let below: usize = tables
        .map(|entry| {
            let child = Pa::new(entry & ((1 << 48) - c.granule.bytes()));
            assert!(bench.pool.references(child) > 0, "an empty table is linked");
            check_table(bench, c, child, level + 1)
        })
        .sum();
    below + 1
}

#[test]
fn random_sequences_leave_what_a_map_of_pages_says() {
    for configuration in shapes() {
        let shape = *Geometry::new(&configuration).unwrap().shape();
        assert_eq!(shape.address_format(), AddressFormat::Bits48);
        with_el2(&configuration, 0, |bench, cpu| {
            let root = crate::bench::ROOT;
            let mut random = Random(0x2f6e_2b1d_9c4a_7e35);
            let mut naive = Naive::new();
            for _ in 0..30 {
                cpu.top_up(10);
                if random.below(2) == 0 {
                    map(bench, cpu, &mut naive, &mut random, &configuration);
                } else {
                    unmap(bench, cpu, &mut naive, &mut random, &configuration);
                }
                check_pages(bench, &naive, &configuration);
                let tables = check_table(bench, &configuration, root, shape.start().number());
                assert_eq!(bench.pages_in_use(cpu), tables);
            }
        });
    }
}

#[test]
fn a_sequence_that_is_cut_short_can_be_continued() {
    let configuration = plain();
    with_el2(&configuration, 0, |bench, cpu| {
        let all = mapping(0, 0x1000, 20 << 20, RW);
        let mut left = all.bytes;
        let mut rounds = 0;
        while left > 0 {
            cpu.top_up(2);
            let from = all.bytes - left;
            let rest = mapping(from, all.pa.raw() + from, left, RW);
            left = match bench.el2.map(cpu, &rest) {
                Ok(()) => 0,
                Err(MapError::NoPages { done, .. }) => left - done,
                Err(other) => panic!("{other:?}"),
            };
            rounds += 1;
        }
        // Ten tables of pages and one of level 2, two at a time.
        assert_eq!(rounds, 6);
        let naive = (0..20 << 8)
            .map(|number| (number, (number + 1, true)))
            .collect();
        check_pages(bench, &naive, &configuration);
    });
}
