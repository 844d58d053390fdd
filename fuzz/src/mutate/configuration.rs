//! Changes to the machine of a sequence, and to its operations with it.

use arbitrary::{Result, Unstructured};
use ops::{Machine, Operation, Pool, Regime};

use super::steps::{fit, ipa_of};
use crate::generate::{self, Scene, Shape, weighted};
use crate::sequence::{Sequence, Step};

#[derive(Clone, Copy)]
enum Change {
    Whole,
    Surroundings,
    Walks,
    Cache,
    Pages,
    Stub,
    Option,
}

/// Changes the machine in one way. Addresses keep their meaning where they can.
pub(super) fn change(sequence: &mut Sequence, u: &mut Unstructured<'_>) -> Result<()> {
    use Change::{Cache, Option, Pages, Stub, Surroundings, Walks, Whole};
    let machine = sequence.machine;
    let other = generate::machine(u)?;
    let changes = [
        (6, Whole),
        (2, Surroundings),
        (2, Walks),
        (2, Cache),
        (2, Pages),
        (2, Stub),
        (3, Option),
    ];
    let changed = match weighted(u, &changes)? {
        Whole => other,
        Surroundings => generate::pool_and_memory(u, &machine)?,
        Walks => Machine {
            coherent_walks: !machine.coherent_walks,
            ..machine
        },
        Cache => {
            let pages = u.int_in_range(0..=8)?;
            Machine {
                cache_pages: weighted(u, &[(1, None), (3, Some(pages))])?,
                ..machine
            }
        }
        Pages => {
            let pages = u.int_in_range(1..=machine.pool.pages)?;
            Machine {
                pool: Pool {
                    pages,
                    ..machine.pool
                },
                ..machine
            }
        }
        Stub => {
            let is_without = machine.stub.is_none() && machine.regime == Regime::Stage2;
            let stub = generate::stub(u, &machine)?;
            Machine {
                stub: is_without.then_some(stub),
                ..machine
            }
        }
        Option => {
            let bit = u.int_in_range(0..=Machine::OPTIONS.len() - 1)?;
            machine.with_options(machine.options() ^ 1 << bit)
        }
    };
    if changed.check().is_err() {
        return Ok(());
    }
    let scene = Scene::new(u, &changed)?;
    let moves = changed.granule != machine.granule || changed.ipa_bits != machine.ipa_bits;
    if moves {
        for step in &mut sequence.steps {
            *step = Step::from(relocated(u, &Shape::new(&machine), &scene, step.operation)?);
        }
    }
    sequence.machine = changed;
    Ok(())
}

/// The operation for another IPA space and granule: what lay in the upper half
/// keeps its distance from the top, the rest its distance from 0. What lay
/// outside stays as it is.
fn relocated(
    u: &mut Unstructured<'_>,
    old: &Shape,
    scene: &Scene,
    mut operation: Operation,
) -> Result<Operation> {
    if let Some(ipa) = ipa_of(&mut operation) {
        if *ipa >= old.space() {
            return Ok(operation);
        }
        if *ipa >= old.space() / 2 {
            *ipa = scene.shape.space().wrapping_sub(old.space() - *ipa);
        }
    }
    fit(u, scene, operation)
}
