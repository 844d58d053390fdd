//! The table dump on tables that no hypervisor should leave: the text of good
//! ones is in the snapshots of the regressions.

use fuzz::dump::tables;
use ops::{Machine, SENTINEL, poison};
use oracle::regime::Registers;
use oracle::walk::Memory;
use std::collections::BTreeMap;

/// 4K granule, 40 bits of IPA, two tables at level 1.
const VTCR: u64 = 0x8002_3558;
const ROOT: u64 = 0x4800_0000;
const TABLE: u64 = 0x4800_4000;
const PAGE: u64 = 0x5000_07ff;

/// Memory that is zero where nothing else is said, and ends at 4 GiB.
#[derive(Default)]
struct Words(BTreeMap<u64, u64>);

impl Memory for Words {
    fn read(&self, at: u64) -> Option<u64> {
        (at < 1 << 32).then(|| self.0.get(&at).copied().unwrap_or(0))
    }
}

fn registers(vtcr: u64, vttbr: u64) -> Registers {
    Registers {
        control: vtcr,
        root: vttbr,
        attributes: 0,
    }
}

fn dump(words: &[(u64, u64)]) -> String {
    let memory = Words(words.iter().copied().collect());
    tables(&Machine::PLAIN, &registers(VTCR, ROOT), &memory)
}

#[test]
fn an_empty_root_shows_both_of_its_tables() {
    let text = dump(&[]);
    assert!(
        text.contains("level 1 root 1 of 2 at 0x48000000, IPA 0x0\n"),
        "{text}"
    );
    assert!(
        text.ends_with("level 1 root 2 of 2 at 0x48001000, IPA 0x8000000000\n"),
        "{text}"
    );
}

#[test]
fn registers_that_start_no_walk_are_shown_and_nothing_else() {
    let text = tables(
        &Machine::PLAIN,
        &registers(0x3f, 0x7_0000_0000_0001),
        &Words::default(),
    );
    assert!(text.contains("T0SZ=63 "), "{text}");
    assert!(text.contains("RES1=0"), "{text}");
    assert!(text.contains("VMID=7 BADDR=0x0 CnP=1"), "{text}");
    assert!(
        text.ends_with("No walk starts with these registers.\n"),
        "{text}"
    );
}

#[test]
fn leaves_that_continue_each_other_are_one_line() {
    let below = [(ROOT, TABLE | 3), (TABLE, TABLE + 0x1003)];
    let pages = (0..3).map(|index| (TABLE + 0x1000 + index * 8, PAGE + index * 0x1000));
    let text = dump(&below.into_iter().chain(pages).collect::<Vec<_>>());
    assert!(
        text.contains("  [   0..2] page pa=0x50000000+ rw"),
        "{text}"
    );
}

#[test]
fn a_leaf_that_differs_in_one_attribute_has_its_own_line() {
    let read_only = PAGE + 0x1000 - (1 << 7);
    let level_3 = TABLE + 0x1000;
    let text = dump(&[
        (ROOT, TABLE | 3),
        (TABLE, level_3 | 3),
        (level_3, PAGE),
        (level_3 + 8, read_only),
    ]);
    assert!(
        text.contains("  [   0] page pa=0x50000000 rwx normal"),
        "{text}"
    );
    assert!(
        text.contains("  [   1] page pa=0x50001000 r-x normal"),
        "{text}"
    );
}

#[test]
fn attributes_that_not_every_leaf_has_are_named() {
    let block: u64 = 1 << 59 | 0b101 << 55 | 1 << 52 | 0x8000_0000 | 0b0111 << 2 | 0b10 << 8 | 1;
    let text = dump(&[(ROOT + 16, block)]);
    assert!(
        text.contains("--x MemAttr=0b0111 SH=0b10 AF=0 Contig=0x1 SW=0x5 high=0x1"),
        "{text}"
    );
}

#[test]
fn dirty_state_is_told_where_hardware_records_it() {
    const DBM: u64 = 1 << 51;
    const WRITE: u64 = 1 << 7;
    let block = 0x8000_0000 | 0b11 << 53 | 1 << 10 | 0b11 << 8 | 1 << 6 | 0b1111 << 2 | 1;
    let shown = |bits: u64| dump(&[(ROOT + 16, block | bits)]);
    assert!(shown(DBM).contains(" rwx(el1) normal clean 0x"));
    assert!(shown(DBM | WRITE).contains(" rwx(el1) normal dirty 0x"));
    assert!(shown(WRITE).contains(" rwx(el1) normal 0x"));
}

#[test]
fn memory_types_are_those_of_forced_write_back_where_it_is_in_use() {
    let memory = Words([(ROOT + 16, 0x8000_0000 | 0b11 << 8 | 0b0110 << 2 | 1)].into());
    let forced = Machine::PLAIN.with_options(1 << 4);
    let text = tables(&forced, &registers(VTCR, ROOT), &memory);
    assert!(text.contains("--x normal AF=0 0x"), "{text}");
    let text = tables(&Machine::PLAIN, &registers(VTCR, ROOT), &memory);
    assert!(text.contains("--x MemAttr=0b0110 AF=0 0x"), "{text}");
}

#[test]
fn an_invalid_entry_that_is_not_zero_is_shown() {
    let text = dump(&[(ROOT + 8, 0xdead_0000)]);
    assert!(
        text.contains("  [   1] invalid 0x00000000dead0000\n"),
        "{text}"
    );
}

#[test]
fn a_table_where_memory_does_not_answer_is_shown_as_such() {
    let text = dump(&[(ROOT, 1 << 39 | 3)]);
    assert!(
        text.contains(
            "level 2 table at 0x8000000000, IPA 0x0\n  [   0..511] no answer from memory\n"
        ),
        "{text}"
    );
}

#[test]
fn poison_is_shown_once_for_each_level() {
    let sentinel = (0..512).map(|index| (SENTINEL.base + index * 8, poison()));
    let words: Vec<_> = sentinel.chain([(ROOT, poison())]).collect();
    let text = dump(&words);
    assert_eq!(text.matches("table at 0x47ff0000").count(), 2, "{text}");
    assert!(text.contains("[   0..511] page pa=0x47ff0000"), "{text}");
}

#[test]
fn tables_that_lead_back_to_the_root_end_at_the_limit() {
    // Alternately two tables, so that no two neighbours are the same.
    let entry = |index: u64| (ROOT + index % 2 * 0x1000) | 3;
    let words: Vec<_> = (0..64)
        .flat_map(|index| [0, 0x1000].map(|table| (ROOT + table + index * 8, entry(index))))
        .collect();
    let text = dump(&words);
    assert_eq!(text.matches("the rest is left out").count(), 1);
    assert!(text.matches(" table at ").count() <= usize::from(Machine::MAX_POOL_PAGES));
}
