//! Fewer operations, and none that somebody expects something of.

use std::ops::Range;

use super::Search;
use crate::sequence::Sequence;

/// How far apart two operations may be that are dropped together: as many trials
/// for each operation are enough for what a fuzzer's sequences are long.
const PAIR_DISTANCE: usize = 32;

/// Pages that an operation takes at most that stays small: a table of each level
/// below the root.
const TABLES_OF_AN_OPERATION: u16 = 4;

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    drop_chunks(search);
    drop_pairs(search);
    drop_users_of_pages(search);
    drop_expectations(search);
}

/// Drops chunks from the end on: the whole, its halves, and so on to single
/// operations. What comes behind the guilty one goes first that way.
fn drop_chunks<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    for_chunks(search, |search, chunk| {
        search.attempt(|sequence| drop(sequence.steps.drain(chunk)));
    });
}

fn for_chunks<F>(search: &mut Search<F>, mut each: impl FnMut(&mut Search<F>, Range<usize>)) {
    let mut length = search.best.steps.len();
    while length > 0 {
        let mut end = search.best.steps.len();
        while end > 0 {
            let start = end.saturating_sub(length);
            each(search, start..end);
            end = start;
        }
        length /= 2;
    }
}

/// Drops two operations that are good only together: what is freed and created
/// again, a failure and the operation that it strikes.
fn drop_pairs<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    let mut behind = search.best.steps.len();
    while let Some(second) = behind.checked_sub(1) {
        let mut firsts = (0..second).rev().take(PAIR_DISTANCE);
        let is_dropped = firsts.any(|first| {
            search.attempt(|sequence| {
                sequence.steps.remove(second);
                sequence.steps.remove(first);
            })
        });
        behind = if is_dropped {
            search.best.steps.len()
        } else {
            second
        };
    }
}

/// Drops operations that are there to use up pages, and takes some of the pages
/// instead: out of the pool, or out of the page cache.
fn drop_users_of_pages<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    for_chunks(search, |search, chunk| {
        let pool = search.best.machine.pool.pages;
        let is_dropped = (1..=TABLES_OF_AN_OPERATION).any(|fewer| {
            search.attempt(|sequence| {
                sequence.machine.pool.pages = pool.saturating_sub(fewer);
                sequence.steps.drain(chunk.clone());
            })
        });
        if !is_dropped {
            (0..TABLES_OF_AN_OPERATION).any(|cached| {
                search.attempt(|sequence| {
                    sequence.machine.cache_pages = Some(cached);
                    sequence.steps.drain(chunk.clone());
                })
            });
        }
    });
}

fn drop_expectations<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    search.attempt(|sequence| {
        for step in &mut sequence.steps {
            step.expected = None;
        }
    });
    // Where the divergence is that one of them is not met.
    for index in 0..search.best.steps.len() {
        search.attempt(|sequence| sequence.steps[index].expected = None);
    }
}
