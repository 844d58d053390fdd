//! Fewer operations, and none that somebody expects something of.

use super::Search;
use crate::sequence::Sequence;

/// How far apart two operations may be that are dropped together: as many trials
/// for each operation are enough for what a fuzzer's sequences are long.
const PAIR_DISTANCE: usize = 32;

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    drop_chunks(search);
    drop_pairs(search);
    drop_expectations(search);
}

/// Drops chunks from the end on: the whole, its halves, and so on to single
/// operations. What comes behind the guilty one goes first that way.
fn drop_chunks<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    let mut chunk = search.best.steps.len();
    while chunk > 0 {
        let mut end = search.best.steps.len();
        while end > 0 {
            let start = end.saturating_sub(chunk);
            search.attempt(|sequence| drop(sequence.steps.drain(start..end)));
            end = start;
        }
        chunk /= 2;
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
