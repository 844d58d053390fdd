//! Operations that map, and how much they may write.

use arbitrary::{Result, Unstructured};
use ops::{Operation, Vm};

use super::super::place;
use super::super::scene::{Range, Scene, Target};
use super::super::weighted;
use super::attributes::{permissions, software};
use super::range::part;

/// The most leaves that a map may write, by how often it may write so many: each
/// costs time, and few inputs need all entries of a table. The largest fill a
/// table of 4K and of 64K pages, and a little more.
const LEAVES: [(u32, u64); 3] = [(24, 32), (7, (1 << 9) + 16), (1, (1 << 13) + 16)];

pub(super) fn map(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let ipa = place::ipa(u, scene, vm)?;
    let size = place::size(u, scene, vm, ipa)?;
    let pa = place::pa(u, scene, ipa, size)?;
    let (prot, memory) = permissions(u, scene)?;
    Ok(Operation::Map {
        vm,
        ipa,
        pa,
        size,
        prot,
        memory,
        software: software(u)?,
        pages_only: u.ratio(1, 8)?,
    })
}

/// Maps over a range in play, or over a part of it and its surroundings: the
/// same again, with other attributes, or to another place.
pub(super) fn remap(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let Some(range) = place::range(u, scene, vm)? else {
        return map(u, scene, vm);
    };
    let (ipa, size) = part(u, scene, &range)?;
    let is_related = u.ratio(7, 10)?;
    let Some(target) = range.target.filter(|_| is_related) else {
        let pa = place::pa(u, scene, ipa, size)?;
        let (prot, memory) = permissions(u, scene)?;
        return Ok(Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot,
            memory,
            software: software(u)?,
            pages_only: false,
        });
    };
    let Target {
        pa,
        prot,
        memory,
        software,
    } = changed(u, scene, &range, target, ipa)?;
    Ok(Operation::Map {
        vm,
        ipa,
        pa,
        size,
        prot,
        memory,
        software,
        pages_only: u.ratio(1, 5)?,
    })
}

/// The same place as before for every address from `ipa` on, or one beside it, wrapped
/// where it cannot be; with the same attributes, or others.
fn changed(
    u: &mut Unstructured<'_>,
    scene: &Scene,
    range: &Range,
    target: Target,
    ipa: u64,
) -> Result<Target> {
    let same = target.pa.wrapping_add(ipa.wrapping_sub(range.ipa));
    let pa = weighted(
        u,
        &[
            (8, same),
            (1, same.wrapping_add(scene.shape.page())),
            (1, same.wrapping_add(scene.shape.block())),
        ],
    )?;
    if u.ratio(1, 3)? {
        return Ok(Target { pa, ..target });
    }
    let (prot, memory) = permissions(u, scene)?;
    Ok(Target {
        pa,
        prot,
        memory,
        software: software(u)?,
    })
}

/// A table for an entry of which something is in play, or for any.
pub(super) fn build(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let shape = &scene.shape;
    let first = shape.start_level.min(2);
    let above = u.int_in_range(first..=2)?;
    let level = weighted(
        u,
        &[(16, 2), (6, above), (1, shape.start_level - 1), (1, 3)],
    )?;
    let entry = shape.entry(level).min(shape.space());
    let near = place::ipa(u, scene, vm)?;
    let off = if u.ratio(1, 30)? { shape.page() } else { 0 };
    let ipa = (near & !(entry - 1)) + off;
    let (prot, memory) = permissions(u, scene)?;
    let was = scene
        .ranges_of(vm)
        .find(|range| range.ipa <= ipa && ipa - range.ipa < range.size);
    let fresh = place::pa(u, scene, ipa, entry)? & !(entry - 1);
    // The same memory again is what splitting a block by hand comes to.
    let same = was
        .and_then(|range| Some(range.target?.pa.wrapping_add(ipa - range.ipa)))
        .filter(|pa| pa & (entry - 1) == 0);
    let pa = if u.ratio(1, 2)? {
        same.unwrap_or(fresh)
    } else {
        fresh
    };
    Ok(Operation::Build {
        vm,
        ipa,
        pa,
        level,
        prot,
        memory,
        software: software(u)?,
        pages_only: u.ratio(1, 4)?,
    })
}

/// More pages than any generated machine's page cache holds.
const SURELY_CACHED: u64 = 64;

/// The operation, or what is left of one that would write too many leaves: a map gets
/// blocks where it had pages, its PA moved to where blocks fit, or else only a few
/// pages; an annotation gets shorter. Ranges that leave the IPA space are refused
/// before anything is written, and stay.
pub(crate) fn affordable(
    u: &mut Unstructured<'_>,
    scene: &Scene,
    mut operation: Operation,
) -> Result<Operation> {
    let most = weighted(u, &LEAVES)?;
    let shape = &scene.shape;
    let is_within = |ipa: u64, size: u64| {
        let end = ipa.checked_add(size);
        end.is_some_and(|end| end <= shape.space())
    };
    let few = 4 * shape.page();
    match &mut operation {
        Operation::Map {
            ipa,
            pa,
            size,
            pages_only,
            ..
        } if is_within(*ipa, *size) && shape.leaves(*ipa, *pa, *size, *pages_only) > most => {
            let within_block = shape.block() - 1;
            let alike = (*pa & !within_block) | (*ipa & within_block);
            let fits = |pa: &u64| shape.leaves(*ipa, *pa, *size, false) <= most;
            *pages_only = false;
            match [*pa, alike].into_iter().find(fits) {
                Some(fitting) => *pa = fitting,
                None => *size = few.min(*size),
            }
        }
        Operation::Annotate { ipa, size, .. }
            if is_within(*ipa, *size) && shape.leaves(*ipa, *ipa, *size, false) > most =>
        {
            *size = few.min(*size);
        }
        Operation::Build {
            level, pages_only, ..
        } => {
            let leaves = shape.leaves_below(*level, true);
            // Where the cache holds fewer pages than tables are needed, nothing is written.
            let is_refused = leaves / (shape.page() / 8) > SURELY_CACHED;
            *pages_only &= leaves <= most || is_refused;
        }
        _ => {}
    }
    Ok(operation)
}
