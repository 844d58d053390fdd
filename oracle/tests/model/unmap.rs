//! U6 to U8, one story each.

use oracle::operation::Outcome;

use crate::support::*;

fn short(need: u16) -> Outcome {
    Outcome::NoPages { done: 0, need }
}

#[test]
fn unmap_of_nothing_is_done() {
    let mut model = vm_4k();
    assert_eq!(unmap(&mut model, 0, 1 << 40, 0), Outcome::Done);
    assert_eq!(model.tables(0), 2);
}

#[test]
fn tables_that_become_empty_go_upwards_but_not_the_root() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 8 * K).done(&mut model);
    Map::new(2 * M, 4 * G, 4 * K).done(&mut model);
    assert_eq!(model.tables(0), 2 + 3);
    assert_eq!(unmap(&mut model, 0, 4 * K, 0), Outcome::Done);
    assert_eq!((model.tables(0), at(&model, 0)), (2 + 3, Err(3)));
    assert_eq!(unmap(&mut model, 4 * K, 4 * K, 0), Outcome::Done);
    assert_eq!((model.tables(0), at(&model, 0)), (2 + 2, Err(2)));
    assert_eq!(unmap(&mut model, 2 * M, 4 * K, 0), Outcome::Done);
    assert_eq!((model.tables(0), at(&model, 0)), (2, Err(1)));
}

#[test]
fn whole_blocks_need_no_page() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 3 * G).done(&mut model);
    assert_eq!(unmap(&mut model, G, G, 0), Outcome::Done);
    let around = [G - 8, G, 2 * G - 8, 2 * G].map(|ipa| at(&model, ipa));
    assert_eq!(around, [Ok((5 * G - 8, 1)), Err(1), Err(1), Ok((6 * G, 1))]);
}

#[test]
fn a_cut_block_is_split_to_the_level_of_the_cut() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, G).done(&mut model);
    assert_eq!(unmap(&mut model, 0, 2 * M, 0), short(1));
    assert_eq!(at(&model, 0), Ok((4 * G, 1)));
    assert_eq!(unmap(&mut model, 0, 2 * M, 1), Outcome::Done);
    assert_eq!(at(&model, 2 * M - 8), Err(2));
    assert_eq!(at(&model, 2 * M), Ok((4 * G + 2 * M, 2)));
    assert_eq!(model.tables(0), 2 + 1);
}

#[test]
fn ends_in_one_block_share_the_tables_that_cover_both() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, G).done(&mut model);
    // Both cuts in one table of level 3.
    assert_eq!(unmap(&mut model, 4 * K, 4 * K, 0), short(2));
    // One of level 2 for both, one of level 3 for each.
    assert_eq!(unmap(&mut model, 4 * K, 2 * M, 0), short(3));
    // The end is a level 2 boundary.
    assert_eq!(unmap(&mut model, 4 * K, 4 * M - 4 * K, 0), short(2));
    assert_eq!(unmap(&mut model, 4 * K, 2 * M, 3), Outcome::Done);
    assert_eq!(model.tables(0), 2 + 3);
    let left = [0, 4 * K, 2 * M + 4 * K - 8, 2 * M + 4 * K, 4 * M].map(|ipa| at(&model, ipa));
    assert_eq!(
        left,
        [
            Ok((4 * G, 3)),
            Err(3),
            Err(3),
            Ok((4 * G + 2 * M + 4 * K, 3)),
            Ok((4 * G + 4 * M, 2))
        ]
    );
}

#[test]
fn ends_in_two_blocks_share_no_table() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 2 * G).done(&mut model);
    assert_eq!(unmap(&mut model, G - 4 * K, 8 * K, 3), short(4));
    assert_eq!(unmap(&mut model, G - 4 * K, 8 * K, 4), Outcome::Done);
    assert_eq!(model.tables(0), 2 + 4);
}

#[test]
fn tables_inside_the_range_go_and_do_not_pay_for_the_split() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 2 * M).in_pages().done(&mut model);
    Map::new(2 * M, 4 * G, 2 * M).done(&mut model);
    assert_eq!(unmap(&mut model, 0, 2 * M + 4 * K, 0), short(1));
    assert_eq!(at(&model, 0), Ok((4 * G, 3)));
    assert_eq!(unmap(&mut model, 0, 2 * M + 4 * K, 1), Outcome::Done);
    assert_eq!((model.tables(0), at(&model, 0)), (2 + 2, Err(2)));
}

#[test]
fn edges_show_both_ends_and_the_blocks_that_were_cut() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 6 * M).done(&mut model);
    assert_eq!(unmap(&mut model, 2 * M + 4 * K, 4 * K, 1), Outcome::Done);
    for edge in [2 * M, 2 * M + 4 * K, 2 * M + 8 * K, 4 * M] {
        assert!(model.edges().contains(&(edge - 8)), "below {edge:#x}");
        assert!(model.edges().contains(&edge), "{edge:#x}");
    }
}
