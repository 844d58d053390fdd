//! Changes to the operations of a sequence.

use arbitrary::{Result, Unstructured};
use ops::{Operation, Parts};

use crate::generate::{self, Scene, place, weighted};
use crate::sequence::{Sequence, Step};

/// Most operations that are added at once.
const MOST_ADDED: usize = 4;

#[derive(Clone, Copy)]
enum Change {
    Insert,
    Drop,
    Duplicate,
    Swap,
    Splice,
    Address,
    Attributes,
    Size,
    Target,
    Replace,
    Failure,
}

/// Changes the operations in one way.
pub(super) fn change(sequence: &mut Sequence, u: &mut Unstructured<'_>) -> Result<()> {
    use Change::{
        Address, Attributes, Drop, Duplicate, Failure, Insert, Replace, Size, Splice, Swap, Target,
    };
    if sequence.steps.is_empty() {
        return insert(sequence, u, 0);
    }
    let at = u.int_in_range(0..=sequence.steps.len() - 1)?;
    let behind = u.int_in_range(at..=sequence.steps.len())?;
    let changes = [
        (10, Insert),
        (5, Drop),
        (3, Duplicate),
        (3, Swap),
        (3, Splice),
        (8, Address),
        (4, Size),
        (4, Target),
        (4, Attributes),
        (3, Replace),
        (3, Failure),
    ];
    match weighted(u, &changes)? {
        Insert => {
            let place = if u.ratio(1, 2)? {
                sequence.steps.len()
            } else {
                at
            };
            insert(sequence, u, place)?;
        }
        Drop => drop(
            sequence.steps.drain(
                at..behind
                    .clamp(at + 1, at + MOST_ADDED)
                    .min(sequence.steps.len()),
            ),
        ),
        Duplicate => {
            let copies = sequence.steps[at..behind.min(at + MOST_ADDED)].to_vec();
            let place = u.int_in_range(behind..=sequence.steps.len())?;
            sequence.steps.splice(place..place, copies);
        }
        Swap => {
            let other = u.int_in_range(0..=sequence.steps.len() - 1)?;
            if sequence.steps[at] == sequence.steps[other] {
                return insert(sequence, u, at);
            }
            sequence.steps.swap(at, other);
        }
        Splice => splice(sequence, u, at)?,
        Failure => move_failure(sequence, u, at)?,
        Replace => {
            sequence.steps.remove(at);
            insert(sequence, u, at)?;
        }
        Address => edit(sequence, u, at, address)?,
        Size => edit(sequence, u, at, size)?,
        Target => edit(sequence, u, at, target)?,
        Attributes => edit(sequence, u, at, attributes)?,
    }
    Ok(())
}

/// The scene in front of step `at`.
fn scene_before(sequence: &Sequence, u: &mut Unstructured<'_>, at: usize) -> Result<Scene> {
    let mut scene = Scene::new(u, &sequence.machine)?;
    for operation in sequence.operations().take(at) {
        scene.observe(operation);
    }
    Ok(scene)
}

/// Adds one to four operations that make sense there.
fn insert(sequence: &mut Sequence, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
    let mut scene = scene_before(sequence, u, at)?;
    let count = weighted(u, &[(6, 1), (3, 2), (1, 3), (1, MOST_ADDED)])?;
    for place in at..at + count {
        let operation = generate::operation(u, &scene)?;
        scene.observe(&operation);
        sequence.steps.insert(place, Step::from(operation));
    }
    Ok(())
}

/// Puts another sequence's end behind this one's beginning, on this machine.
fn splice(sequence: &mut Sequence, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
    let other = generate::from_seed(u.arbitrary()?);
    let scene = Scene::new(u, &sequence.machine)?;
    let from = u.int_in_range(0..=other.steps.len() - 1)?;
    sequence.steps.truncate(at + 1);
    for operation in other.operations().skip(from) {
        sequence.steps.push(Step::from(fit(u, &scene, *operation)?));
    }
    Ok(())
}

/// An operation from another machine as one for this scene: its addresses are
/// brought into the IPA space and onto this granule's pages, or for build onto its
/// entries, and its work is bounded.
pub(super) fn fit(
    u: &mut Unstructured<'_>,
    scene: &Scene,
    mut operation: Operation,
) -> Result<Operation> {
    let shape = &scene.shape;
    let Parts {
        ipa,
        pa,
        size,
        level,
        ..
    } = operation.parts();
    let Some(ipa) = ipa else {
        return Ok(operation);
    };
    *ipa &= shape.space() - 1;
    let unit = match (&size, level) {
        (_, Some(level)) => shape.entry(*level),
        (Some(_), None) => shape.page(),
        // A single address may be any byte's.
        (None, None) => 1,
    };
    *ipa &= !(unit - 1);
    if let Some(size) = size {
        *size = shape.page_of(*size).max(shape.page());
        *size = (*size).min(shape.space() - *ipa);
    }
    if let Some(pa) = pa {
        *pa &= (shape.output() - 1) & !(unit - 1);
    }
    generate::affordable(u, scene, operation)
}

/// The IPA at which an operation starts.
pub(crate) fn ipa_of(operation: &mut Operation) -> Option<&mut u64> {
    operation.parts().ipa
}

/// Moves the failing allocation: another number, another place, or a new one.
fn move_failure(sequence: &mut Sequence, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
    let is_failure = |step: &Step| matches!(step.operation, Operation::Fail { .. });
    let after = u.int_in_range(0..=8)?;
    let failure = Step::from(Operation::Fail { after });
    match sequence.steps.iter().position(is_failure) {
        Some(old) if u.ratio(1, 2)? => sequence.steps[old] = failure,
        Some(old) => {
            let moved = sequence.steps.remove(old);
            sequence.steps.insert(at.min(sequence.steps.len()), moved);
        }
        None => sequence.steps.insert(at, failure),
    }
    Ok(())
}

/// Changes the operation at `at` by `change`, within the work that a map may be.
/// Where that comes to nothing, an operation is added in front of it.
fn edit(
    sequence: &mut Sequence,
    u: &mut Unstructured<'_>,
    at: usize,
    change: impl FnOnce(&mut Operation, &mut Unstructured<'_>, &Scene) -> Result<()>,
) -> Result<()> {
    let scene = scene_before(sequence, u, at)?;
    let mut operation = sequence.steps[at].operation;
    change(&mut operation, u, &scene)?;
    let operation = generate::affordable(u, &scene, operation)?;
    if operation == sequence.steps[at].operation {
        return insert(sequence, u, at);
    }
    sequence.steps[at] = Step::from(operation);
    Ok(())
}

/// Another IPA: a little beside the old one, or where something else is. The PA
/// of a map follows half of the time, so that blocks still fit.
fn address(operation: &mut Operation, u: &mut Unstructured<'_>, scene: &Scene) -> Result<()> {
    let vm = generate::vm(u, scene)?;
    let Some(ipa) = ipa_of(operation) else {
        return Ok(());
    };
    let old = *ipa;
    *ipa = if u.ratio(1, 2)? {
        place::nudge(u, &scene.shape, old)?
    } else {
        place::ipa(u, scene, vm)?
    };
    let moved = ipa.wrapping_sub(old);
    if let Operation::Map { pa, .. } = operation
        && u.ratio(1, 2)?
    {
        *pa = pa.wrapping_add(moved);
    }
    Ok(())
}

/// Another size; of an access, another kind; of build, another level.
fn size(operation: &mut Operation, u: &mut Unstructured<'_>, scene: &Scene) -> Result<()> {
    let Parts {
        vm,
        ipa,
        size,
        level,
        kind,
        ..
    } = operation.parts();
    if let (Some(vm), Some(ipa), Some(size)) = (vm, ipa, size) {
        *size = if u.ratio(1, 2)? {
            place::nudge(u, &scene.shape, *size)?
        } else {
            place::size(u, scene, *vm, *ipa)?
        };
    }
    if let Some(kind) = kind {
        *kind = generate::access_kind(u)?;
    }
    if let Some(level) = level {
        *level = u.int_in_range(-1..=3)?;
    }
    Ok(())
}

/// Another PA of what is mapped.
fn target(operation: &mut Operation, u: &mut Unstructured<'_>, scene: &Scene) -> Result<()> {
    let Parts {
        ipa,
        pa,
        size,
        level,
        ..
    } = operation.parts();
    let entry = level.map(|level| scene.shape.entry(*level));
    let size = entry.or(size.copied());
    if let (Some(ipa), Some(pa), Some(size)) = (ipa, pa, size) {
        *pa = if u.ratio(1, 2)? {
            place::nudge(u, &scene.shape, *pa)?
        } else {
            place::pa(u, scene, *ipa, size)?
        };
    }
    Ok(())
}

/// Other permissions, another memory type, pages or blocks, other bits of software;
/// another owner or action; of any operation, another VM.
fn attributes(operation: &mut Operation, u: &mut Unstructured<'_>, scene: &Scene) -> Result<()> {
    let other = generate::vm(u, scene)?;
    match operation.parts() {
        Parts {
            pages_only: Some(pages_only),
            ..
        } if u.ratio(1, 4)? => *pages_only = !*pages_only,
        Parts {
            software: Some(software),
            ..
        } if u.ratio(1, 4)? => *software = generate::software(u)?,
        Parts {
            prot: Some(prot),
            memory: Some(memory),
            ..
        } => (*prot, *memory) = generate::permissions(u, scene)?,
        Parts {
            action: Some(action),
            ..
        } if u.ratio(1, 2)? => *action = generate::action(u)?,
        Parts {
            owner: Some(owner), ..
        } if u.ratio(1, 2)? => *owner = generate::owner(u)?,
        Parts {
            prot: Some(prot), ..
        } if u.ratio(1, 2)? => *prot = generate::prot(u, scene)?,
        Parts { vm: Some(vm), .. } => *vm = other,
        _ => {}
    }
    Ok(())
}
