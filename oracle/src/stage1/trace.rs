//! The steps of one walk, for a reader.

use super::{Access, Answer, Memory, Stage1};
use crate::walk::Step;

/// The steps of the walk that [`Stage1::translate`] makes, the last one with its
/// answer, and descriptors in the processor's byte order. There are none where no
/// descriptor is read: `translate` alone has the answer then.
pub fn trace<M: Memory + ?Sized>(
    stage1: &Stage1,
    memory: &M,
    va: u64,
    access: Access,
) -> Vec<Step<Answer>> {
    let mut steps = Vec::new();
    stage1.walk(memory, va, access, |step| steps.push(step));
    steps
}
