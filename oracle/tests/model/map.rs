//! M9 to M15, one story each.

use oracle::arch::Granule;
use oracle::model::Run;
use oracle::operation::{MemoryType, Outcome};

use crate::support::*;

#[test]
fn a_page_links_the_tables_on_its_way() {
    let mut model = vm_4k();
    Map::new(0, 2 * G, 4 * K).done(&mut model);
    assert_eq!(model.tables(0), 2 + 2);
    assert_eq!(at(&model, 0xff8), Ok((2 * G + 0xff8, 3)));
    assert_eq!(at(&model, 4 * K), Err(3));
    assert_eq!(at(&model, 2 * M), Err(2));
    assert_eq!(at(&model, G), Err(1));
}

#[test]
fn leaves_are_as_large_as_both_addresses_and_the_rest_allow() {
    let mut model = vm_4k();
    let start = G - 2 * M - 4 * K;
    let size = 4 * K + 2 * M + G + 2 * M + 4 * K;
    Map::new(start, 4 * G + start, size).done(&mut model);
    let levels = [start, G - 2 * M, G, 2 * G - 8, 2 * G, 2 * G + 2 * M].map(|ipa| at(&model, ipa));
    assert_eq!(
        levels,
        [
            Ok((4 * G + start, 3)),
            Ok((5 * G - 2 * M, 2)),
            Ok((5 * G, 1)),
            Ok((6 * G - 8, 1)),
            Ok((6 * G, 2)),
            Ok((6 * G + 2 * M, 3)),
        ]
    );
    assert_eq!(at(&model, start + size), Err(3));
    // Levels 2 and 3 on either side of the block.
    assert_eq!(model.tables(0), 2 + 2 + 2);
}

#[test]
fn a_pa_out_of_step_makes_leaves_smaller() {
    let mut model = vm_4k();
    Map::new(G, 4 * G + 2 * M, G).done(&mut model);
    assert_eq!(at(&model, G), Ok((4 * G + 2 * M, 2)));
    Map::new(G, 4 * G + 4 * K, 2 * M).done(&mut model);
    assert_eq!(at(&model, G), Ok((4 * G + 4 * K, 3)));
}

#[test]
fn pages_only_maps_pages_where_blocks_fit() {
    let mut model = vm_4k();
    Map::new(0, 2 * G, 4 * M).in_pages().done(&mut model);
    assert_eq!(at(&model, 2 * M), Ok((2 * G + 2 * M, 3)));
    assert_eq!(model.tables(0), 2 + 3);
}

#[test]
fn an_identical_leaf_is_skipped_without_a_page() {
    let mut model = vm_4k();
    let map = Map::new(0, 4 * G, G + 2 * M + 4 * K);
    map.done(&mut model);
    assert_eq!(map.with(&mut model, 0), Outcome::Done);
    assert_eq!(map.in_pages().with(&mut model, 0), Outcome::Done);
    assert_eq!(at(&model, 0), Ok((4 * G, 1)));
}

#[test]
fn a_block_is_split_down_to_the_leaf_and_the_rest_is_kept() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, G).done(&mut model);
    let page = Map::new(2 * M + 4 * K, 8 * G, 4 * K);
    let short = Outcome::NoPages { done: 0, need: 2 };
    assert_eq!(page.with(&mut model, 1), short);
    assert_eq!(at(&model, page.ipa), Ok((4 * G + page.ipa, 1)));
    assert_eq!(page.with(&mut model, 2), Outcome::Done);
    assert_eq!(at(&model, 0), Ok((4 * G, 2)));
    assert_eq!(at(&model, 2 * M), Ok((4 * G + 2 * M, 3)));
    assert_eq!(at(&model, page.ipa), Ok((8 * G, 3)));
    assert_eq!(at(&model, 4 * M - 8), Ok((4 * G + 4 * M - 8, 3)));
    assert_eq!(at(&model, 4 * M), Ok((4 * G + 4 * M, 2)));
    assert_eq!(model.tables(0), 2 + 2);
}

#[test]
fn a_block_with_other_permissions_is_split_even_for_the_same_pa() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 2 * M).done(&mut model);
    let read_only = Map {
        prot: READ,
        ..Map::new(4 * K, 4 * G + 4 * K, 4 * K)
    };
    read_only.done(&mut model);
    assert_eq!(at(&model, 4 * K), Ok((4 * G + 4 * K, 3)));
    assert_eq!(prot_at(&model, 4 * K), READ);
    assert_eq!(prot_at(&model, 0), READ_WRITE);
}

#[test]
fn a_block_replaces_a_table_and_what_is_below_goes() {
    let mut model = vm_4k();
    let map = Map::new(0, 4 * G, 4 * M);
    map.in_pages().done(&mut model);
    assert_eq!(model.tables(0), 2 + 3);
    // The same meaning in smaller leaves is no identical leaf.
    assert_eq!(map.with(&mut model, 0), Outcome::Done);
    assert_eq!(model.tables(0), 2 + 1);
    assert_eq!(at(&model, 0), Ok((4 * G, 2)));
}

#[test]
fn tables_that_go_do_not_feed_the_cache() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 2 * M).in_pages().done(&mut model);
    // The block frees one table; the page behind it needs one.
    let map = Map::new(0, 4 * G, 2 * M + 4 * K);
    let stop = Outcome::NoPages {
        done: 2 * M,
        need: 1,
    };
    assert_eq!(map.with(&mut model, 0), stop);
    assert_eq!(at(&model, 0), Ok((4 * G, 2)));
    assert_eq!(at(&model, 2 * M), Err(2));
}

#[test]
fn map_stops_before_a_leaf_that_it_cannot_pay_and_keeps_the_rest() {
    let mut model = vm_4k();
    let map = Map::new(0, 4 * G, 8 * M).in_pages();
    let stop = Outcome::NoPages {
        done: 4 * M,
        need: 1,
    };
    assert_eq!(map.with(&mut model, 3), stop);
    assert_eq!(at(&model, 4 * M - 8), Ok((4 * G + 4 * M - 8, 3)));
    assert_eq!(at(&model, 4 * M), Err(2));
    let rest = Map::new(4 * M, 4 * G + 4 * M, 4 * M).in_pages();
    assert_eq!(rest.with(&mut model, 2), Outcome::Done);
    assert_eq!(model.tables(0), 2 + 1 + 4);
}

#[test]
fn a_need_of_two_is_not_begun_with_one_page() {
    let mut model = vm_4k();
    let page = Map::new(0, 4 * G, 4 * K);
    let short = Outcome::NoPages { done: 0, need: 2 };
    assert_eq!(page.with(&mut model, 1), short);
    assert_eq!((model.tables(0), at(&model, 0)), (2, Err(1)));
}

#[test]
fn a_large_map_costs_what_its_tables_cost() {
    let mut model = vm(machine(Granule::K4, Some(0), 48, 48));
    // 2^36 pages if the model went page by page.
    Map::new(0, 0x4000 * G, 0x4000 * G).done(&mut model);
    assert_eq!(model.tables(0), 1 + 32);
    Map {
        prot: READ,
        ..Map::new(0, 0x4000 * G, 2 * G).in_pages()
    }
    .done(&mut model);
    assert_eq!(model.tables(0), 1 + 32 + 2 * (1 + 512));
}

#[test]
fn runs_join_leaves_of_all_sizes_and_part_where_attributes_do() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, G + 2 * M + 4 * K).done(&mut model);
    Map {
        memory: MemoryType::Device,
        ..Map::new(4 * K, 4 * G + 4 * K, 4 * K)
    }
    .done(&mut model);
    let run = |ipa, bytes, memory| Run {
        accessible: true,
        ipa,
        bytes,
        pa: 4 * G + ipa,
        prot: READ_WRITE,
        memory,
    };
    let runs: Vec<Run> = model.runs(0).collect();
    let expected = [
        run(0, 4 * K, MemoryType::Normal),
        run(4 * K, 4 * K, MemoryType::Device),
        run(8 * K, G + 2 * M - 4 * K, MemoryType::Normal),
    ];
    assert_eq!(runs, expected);
}

#[test]
fn edges_show_both_ends_the_split_block_and_where_it_stopped() {
    let mut model = vm_4k();
    Map::new(0, 4 * G, 2 * M).done(&mut model);
    let map = Map::new(4 * K, 8 * G, 4 * M - 4 * K);
    let stop = Outcome::NoPages {
        done: 2 * M - 4 * K,
        need: 1,
    };
    assert_eq!(map.with(&mut model, 1), stop);
    let edges = [0, 4 * K, 2 * M, 4 * M];
    for edge in edges
        .into_iter()
        .flat_map(|edge| [edge, edge.wrapping_sub(8)])
    {
        assert!(edge > 4 * M || model.edges().contains(&edge), "{edge:#x}");
    }
}

#[test]
fn blocks_of_64k_at_level_1_need_52_bits() {
    let t = 1 << 42;
    let mut wide = vm(machine(Granule::K64, Some(1), 48, 52));
    Map::new(0, t, t).done(&mut wide);
    assert_eq!((at(&wide, 0), wide.tables(0)), (Ok((t, 1)), 1));
    let mut narrow = vm(machine(Granule::K64, Some(1), 48, 48));
    Map::new(0, t, t).done(&mut narrow);
    assert_eq!((at(&narrow, 0), narrow.tables(0)), (Ok((t, 2)), 2));
}
