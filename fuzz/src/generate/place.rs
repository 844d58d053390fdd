//! Addresses and sizes: near edges, and near what is already in play.

use arbitrary::{Result, Unstructured};
use ops::{HYPERVISOR, Vm};

use super::scene::{Range, Scene};
use super::{Shape, weighted};

/// An IPA at an edge of an entry, a table or a root table, or near an end.
pub(crate) fn edge(u: &mut Unstructured<'_>, shape: &Shape) -> Result<u64> {
    let level = u.int_in_range(shape.levels())?;
    let distance = weighted(
        u,
        &[
            (3, shape.entry(level)),
            (3, shape.root_table()),
            (2, shape.block()),
        ],
    )?;
    let edges = shape.space() / distance.min(shape.space());
    let first = u.int_in_range(0..=edges.min(4))?;
    let any = u.int_in_range(0..=edges)?;
    let last = edges - first;
    let edge = weighted(u, &[(4, first), (3, any), (2, last)])? * distance;
    Ok(edge.min(shape.space() - shape.page()))
}

/// An IPA for an operation on `vm`, a multiple of the page but for one in 50.
pub(crate) fn ipa(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<u64> {
    let shape = &scene.shape;
    if u.ratio(1, 50)? {
        return wild(u, shape);
    }
    let near = match weighted(u, &[(9, 0), (6, 1), (5, 2)])? {
        0 => match range(u, scene, vm)? {
            Some(range) => within(u, shape, &range)?,
            None => scene.focus[0],
        },
        1 => *u.choose(&scene.focus)?,
        _ => edge(u, shape)?,
    };
    let nudged = nudge(u, shape, near)?;
    Ok(shape.page_of(nudged).min(shape.space() - shape.page()))
}

/// A range of the VM in play, late ones more often.
pub(crate) fn range(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Option<Range>> {
    let count = scene.ranges_of(vm).count();
    if count == 0 {
        return Ok(None);
    }
    let a = u.int_in_range(0..=count - 1)?;
    let b = u.int_in_range(0..=count - 1)?;
    Ok(scene.ranges_of(vm).rev().nth(a.min(b)).copied())
}

/// An address of a range that is likely to matter: its ends, and the edges of
/// entries within.
pub(crate) fn within(u: &mut Unstructured<'_>, shape: &Shape, range: &Range) -> Result<u64> {
    let end = range.ipa.saturating_add(range.size);
    let last = shape.page_of(end.saturating_sub(1));
    let any = shape.page_of(range.ipa + u.int_in_range(0..=range.size.saturating_sub(1))?);
    let block_edge = (range.ipa | (shape.block() - 1)).saturating_add(1);
    let inner = if block_edge < end { block_edge } else { any };
    weighted(
        u,
        &[(5, range.ipa), (3, last), (3, inner), (3, any), (1, end)],
    )
}

/// An address a little beside `address`, or itself.
pub(crate) fn nudge(u: &mut Unstructured<'_>, shape: &Shape, address: u64) -> Result<u64> {
    let (page, block) = (shape.page(), shape.block());
    let by = weighted(
        u,
        &[
            (12, 0),
            (4, page),
            (2, 2 * page),
            (2, block),
            (1, block - page),
            (1, shape.entry(1)),
        ],
    )?;
    let nudged = if u.ratio(1, 2)? {
        address.checked_sub(by)
    } else {
        address.checked_add(by)
    };
    Ok(nudged.unwrap_or(address))
}

/// What must be refused: misaligned, behind the IPA space, or about to wrap.
fn wild(u: &mut Unstructured<'_>, shape: &Shape) -> Result<u64> {
    let offset = u.int_in_range(1..=shape.page() - 1)?;
    let space = shape.space();
    let any: u64 = u.arbitrary()?;
    weighted(
        u,
        &[
            (3, space),
            (1, space - offset),
            (1, space.saturating_mul(2)),
            (2, offset),
            (1, any),
            (1, u64::MAX << 12),
        ],
    )
}

/// A length for an operation on `vm` that starts at `ipa`; one in 40 is refused.
pub(crate) fn size(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm, ipa: u64) -> Result<u64> {
    let shape = &scene.shape;
    let (page, block) = (shape.page(), shape.block());
    if u.ratio(1, 40)? {
        let huge = u64::MAX - ipa;
        return weighted(
            u,
            &[
                (2, 0),
                (2, page / 2),
                (2, block + 8),
                (1, huge),
                (2, shape.page_of(huge)),
                (2, shape.space()),
            ],
        );
    }
    let few = u.int_in_range(2..=4)?;
    let level = u.int_in_range(shape.levels())?;
    let to_edge = shape.entry(level) - (ipa & (shape.entry(level) - 1));
    let like = range(u, scene, vm)?.map_or(page, |range| range.size);
    let upper = if shape.leaf_for(shape.entry(1)) == shape.entry(1) {
        shape.entry(1)
    } else {
        block
    };
    let size = weighted(
        u,
        &[
            (8, page),
            (5, few * page),
            (9, block),
            (2, block + page),
            (2, block - page),
            (3, few * block),
            (4, to_edge),
            (4, like),
            (2, upper),
            (3, shape.group()),
        ],
    )?;
    let left = shape.space().saturating_sub(ipa);
    let trimmed = left >= page && !u.ratio(1, 40)?;
    Ok(if trimmed { size.min(left) } else { size })
}

/// A PA for a map of `size` bytes at `ipa`: aligned alike most of the time, so
/// that blocks fit, and in the guest's memory where there is room.
pub(crate) fn pa(u: &mut Unstructured<'_>, scene: &Scene, ipa: u64, size: u64) -> Result<u64> {
    let shape = &scene.shape;
    let memory = scene.machine.memory;
    let leaf = shape.leaf_for(size);
    let alike = in_memory(u, scene, ipa, size, leaf)?;
    let any_page = memory.base + shape.page_of(u.int_in_range(0..=memory.bytes - 1)?);
    let taken = weighted(
        u,
        &[
            (2, HYPERVISOR.base),
            (1, HYPERVISOR.base + HYPERVISOR.bytes - shape.page()),
            (2, scene.machine.pool.base),
        ],
    )?;
    let beyond = weighted(
        u,
        &[
            (2, shape.output()),
            (1, shape.output() - shape.page()),
            (1, u64::MAX << 12),
            (1, memory.base + 8),
        ],
    )?;
    let high = high(u, shape, ipa, size, leaf)?;
    weighted(
        u,
        &[
            (30, alike),
            (5, high),
            (3, alike + shape.page()),
            (3, any_page),
            (1, taken),
            (1, beyond),
        ],
    )
}

/// A PA in guest memory that is as far into a leaf of this size as `ipa`; where
/// memory has no room for that, any page of it.
fn in_memory(
    u: &mut Unstructured<'_>,
    scene: &Scene,
    ipa: u64,
    size: u64,
    leaf: u64,
) -> Result<u64> {
    let memory = scene.machine.memory;
    let end = memory.base + memory.bytes;
    let offset = ipa & (leaf - 1);
    let first = (memory.base & !(leaf - 1)) + offset;
    let first = if first < memory.base {
        first + leaf
    } else {
        first
    };
    let room = end
        .checked_sub(first)
        .and_then(|room| room.checked_sub(size));
    match room {
        Some(room) => Ok(first + leaf * u.int_in_range(0..=(room / leaf).min(7))?),
        None if leaf == scene.shape.page() => Ok(memory.base),
        None => high(u, &scene.shape, ipa, size, leaf),
    }
}

/// A PA anywhere in the output space, the top included, aligned as `ipa` is.
fn high(u: &mut Unstructured<'_>, shape: &Shape, ipa: u64, size: u64, leaf: u64) -> Result<u64> {
    let offset = ipa & (leaf - 1);
    let leaves = shape.output().saturating_sub(size.saturating_add(offset)) / leaf;
    let any = u.int_in_range(0..=leaves)?;
    Ok(weighted(u, &[(2, any), (1, leaves)])? * leaf + offset)
}
