//! Operations on ranges that map nothing new.

use arbitrary::{Result, Unstructured};
use ops::{Action, Operation, Vm};

use super::super::place::{self, within};
use super::super::scene::{Range, Scene};
use super::super::{Shape, weighted};
use super::attributes::{owner, prot};

pub(super) fn unmap(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let (ipa, size) = in_play(u, scene, vm)?;
    Ok(Operation::Unmap { vm, ipa, size })
}

pub(super) fn protect(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let (ipa, size) = in_play(u, scene, vm)?;
    Ok(Operation::Protect {
        vm,
        ipa,
        size,
        prot: prot(u, scene)?,
    })
}

pub(super) fn annotate(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let (ipa, size) = in_play(u, scene, vm)?;
    Ok(Operation::Annotate {
        vm,
        ipa,
        size,
        owner: owner(u)?,
    })
}

/// An operation on every entry that a range overlaps.
pub(super) fn of_entries(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let action = action(u)?;
    let (ipa, size) = in_play(u, scene, vm)?;
    // Tables that a range covers wholly are those that can become blocks.
    let (ipa, size) = if action == Action::Coalesce && u.ratio(3, 4)? {
        widened(u, &scene.shape, ipa, size)?
    } else {
        (ipa, size)
    };
    Ok(Operation::Range {
        vm,
        action,
        ipa,
        size,
    })
}

pub(crate) fn action(u: &mut Unstructured<'_>) -> Result<Action> {
    weighted(
        u,
        &[
            (3, Action::UnmapWhole),
            (4, Action::WriteProtect),
            (4, Action::Soften),
            (4, Action::Revive),
            (2, Action::Flush),
            (2, Action::TestYoung),
            (3, Action::ClearYoung),
            (5, Action::Coalesce),
            (4, Action::Split),
            (1, Action::Destroy),
        ],
    )
}

/// The entries of some level that the range overlaps.
fn widened(u: &mut Unstructured<'_>, shape: &Shape, ipa: u64, size: u64) -> Result<(u64, u64)> {
    let level = u.int_in_range(1..=2)?;
    let entry = shape.entry(level).min(shape.space());
    let first = ipa & !(entry - 1);
    let end = ipa
        .saturating_add(size)
        .div_ceil(entry)
        .saturating_mul(entry);
    Ok((
        first,
        end.min(shape.space())
            .saturating_sub(first)
            .max(shape.page()),
    ))
}

/// Where something is in play, most of the time.
pub(super) fn in_play(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<(u64, u64)> {
    let is_known = u.ratio(9, 10)?;
    match place::range(u, scene, vm)?.filter(|_| is_known) {
        Some(range) => part(u, scene, &range),
        None => {
            let ipa = place::ipa(u, scene, vm)?;
            Ok((ipa, place::size(u, scene, vm, ipa)?))
        }
    }
}

/// A range in play, or a part of it, or it and a little beside it.
pub(super) fn part(u: &mut Unstructured<'_>, scene: &Scene, range: &Range) -> Result<(u64, u64)> {
    let shape = &scene.shape;
    let Range { ipa, size, .. } = *range;
    let end = ipa.saturating_add(size);
    let cut = within(u, shape, range)?.clamp(ipa, end);
    let few = shape.page() * u.int_in_range(1..=3)?;
    let before = ipa.saturating_sub(few);
    let behind = end.saturating_add(few).min(shape.space());
    let (from, to) = weighted(
        u,
        &[
            (8, (ipa, end)),
            (3, (ipa, cut)),
            (3, (cut, end)),
            (4, (cut, cut.saturating_add(few))),
            (1, (before, end)),
            (1, (ipa, behind)),
        ],
    )?;
    let size = to.min(shape.space()).saturating_sub(from);
    Ok(if size == 0 {
        (ipa, range.size)
    } else {
        (from, size)
    })
}
