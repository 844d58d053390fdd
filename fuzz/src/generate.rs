//! Fresh sequences, from a source of choices.
//!
//! What is made is meant to reach into tables: most operations succeed, most
//! addresses lie at edges of entries, tables and root tables or where an earlier
//! operation was, and the rest is what must be refused. Everything is decided by
//! the bytes of an `Unstructured`, so that the same bytes make the same sequence.

mod choice;
mod machine;
mod operation;
pub(crate) mod place;
mod scene;
mod shape;

use arbitrary::{Result, Unstructured};

pub use machine::machine;

pub(crate) use choice::{Choices, weighted};
pub(crate) use machine::{is_legal, pool_and_memory, stub};
pub(crate) use operation::{
    access_kind, action, affordable, operation, owner, permissions, prot, software, vm,
};
pub(crate) use scene::Scene;
pub(crate) use shape::Shape;

use crate::sequence::{Sequence, Step};

/// A machine, and operations that make sense on it.
///
/// # Errors
/// When `u` has no bytes left; a generator from a seed never runs out.
pub fn sequence(u: &mut Unstructured<'_>) -> Result<Sequence> {
    let machine = machine(u)?;
    let mut scene = Scene::new(u, &machine)?;
    let length = if is_legal(&machine) {
        weighted(u, &[(6, 2..=6), (10, 7..=16), (4, 17..=40)])?
    } else {
        1..=3
    };
    let length = u.int_in_range(length)?;
    let mut steps = Vec::with_capacity(length);
    for _ in 0..length {
        let operation = operation(u, &scene)?;
        scene.observe(&operation);
        steps.push(Step::from(operation));
    }
    Ok(Sequence { machine, steps })
}

/// The sequence of this seed.
#[must_use]
pub fn from_seed(seed: u64) -> Sequence {
    let choices = Choices::new(seed);
    sequence(&mut choices.unstructured()).expect("choices of a seed do not run out")
}
