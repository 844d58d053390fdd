//! Smaller sizes: a page, a block, and what is nearest below.

use ops::Operation;

use super::{Search, below};
use crate::generate::Shape;
use crate::sequence::Sequence;

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    let mut sizes: Vec<u64> = search
        .best
        .steps
        .iter()
        .filter_map(|step| size(&step.operation))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    for old in sizes.into_iter().rev() {
        smaller(search, old)
            .into_iter()
            .any(|new| search.attempt(|sequence| resize_all(sequence, old, new)));
    }
    for index in 0..search.best.steps.len() {
        shorten(search, index, cut_end);
        shorten(search, index, cut_start);
    }
}

/// Shortens one range by `cut` as far as it goes.
fn shorten<F: FnMut(&Sequence) -> bool>(
    search: &mut Search<F>,
    index: usize,
    cut: impl Fn(&mut Operation, u64),
) {
    let Some(old) = size(&search.best.steps[index].operation) else {
        return;
    };
    smaller(search, old)
        .into_iter()
        .any(|new| search.attempt(|sequence| cut(&mut sequence.steps[index].operation, old - new)));
}

/// Sizes to try in the place of `size`: a page and the blocks, and then ever more.
fn smaller<F>(search: &Search<F>, size: u64) -> Vec<u64> {
    let shape = Shape::new(&search.best.machine);
    let page = shape.page();
    let entries = shape.levels().rev().map(|level| shape.entry(level));
    let unit = if size.is_multiple_of(page) { page } else { 1 };
    let entries = entries.filter(|entry| *entry < size);
    entries.chain(below(size, page, unit)).collect()
}

fn size(operation: &Operation) -> Option<u64> {
    let mut operation = *operation;
    operation.parts().size.copied()
}

fn resize_all(sequence: &mut Sequence, old: u64, new: u64) {
    for step in &mut sequence.steps {
        if size(&step.operation) == Some(old) {
            cut_end(&mut step.operation, old - new);
        }
    }
}

fn cut_end(operation: &mut Operation, bytes: u64) {
    let size = operation.parts().size;
    size.into_iter().for_each(|size| *size -= bytes);
}

fn cut_start(operation: &mut Operation, bytes: u64) {
    cut_end(operation, bytes);
    let parts = operation.parts();
    for address in parts.ipa.into_iter().chain(parts.pa) {
        *address = address.wrapping_add(bytes);
    }
}
