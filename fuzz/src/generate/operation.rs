//! One more operation for a scene.

use arbitrary::{Result, Unstructured};
use ops::{AccessKind, MemoryType, Operation, Prot, Vm};

use super::place::{self, within};
use super::scene::{Range, Scene, Target, all_vms};
use super::weighted;

/// The most leaves that a map may write, by how often it may write so many: each
/// costs time, and few inputs need all entries of a table. The largest fill a
/// table of 4K and of 64K pages, and a little more.
const LEAVES: [(u32, u64); 3] = [(24, 32), (7, (1 << 9) + 16), (1, (1 << 13) + 16)];

#[derive(Clone, Copy)]
enum Kind {
    Map,
    Remap,
    Unmap,
    Access,
    Fail,
    Free,
    Create,
}

/// An operation that makes sense now, most of the time.
pub(crate) fn operation(u: &mut Unstructured<'_>, scene: &Scene) -> Result<Operation> {
    let operation = proposed(u, scene)?;
    affordable(u, scene, operation)
}

fn proposed(u: &mut Unstructured<'_>, scene: &Scene) -> Result<Operation> {
    let vm = vm(u, scene)?;
    if !scene.is_live(vm) && !u.ratio(1, 20)? {
        return Ok(Operation::Create { vm });
    }
    use Kind::{Access, Create, Fail, Free, Map, Remap, Unmap};
    let kinds = [
        (24, Map),
        (16, Remap),
        (22, Unmap),
        (26, Access),
        (3, Fail),
        (3, Free),
        (1, Create),
    ];
    match weighted(u, &kinds)? {
        Map => map(u, scene, vm),
        Remap => match place::range(u, scene, vm)? {
            Some(range) => remap(u, scene, &range),
            None => map(u, scene, vm),
        },
        Unmap => unmap(u, scene, vm),
        Access => access(u, scene, vm),
        Fail => Ok(Operation::Fail {
            after: weighted(u, &[(4, 0), (2, 1), (2, 2), (1, 3), (1, 7)])?,
        }),
        Free => Ok(Operation::Free { vm }),
        Create => Ok(Operation::Create { vm }),
    }
}

/// A VM: mostly one that exists, and mostly a.
pub(crate) fn vm(u: &mut Unstructured<'_>, scene: &Scene) -> Result<Vm> {
    let vms: Vec<Vm> = all_vms().collect();
    let any = if u.ratio(3, 4)? {
        vms[0]
    } else {
        *u.choose(&vms)?
    };
    let live: Vec<Vm> = scene.live_vms().collect();
    if live.is_empty() || scene.is_live(any) || u.ratio(1, 6)? {
        return Ok(any);
    }
    u.choose(&live).copied()
}

fn map(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let ipa = place::ipa(u, scene, vm)?;
    let size = place::size(u, scene, vm, ipa)?;
    let pa = place::pa(u, scene, ipa, size)?;
    let (prot, memory) = permissions(u)?;
    let pages_only = u.ratio(1, 8)?;
    Ok(Operation::Map {
        vm,
        ipa,
        pa,
        size,
        prot,
        memory,
        pages_only,
    })
}

/// Maps over a range in play, or over a part of it and its surroundings: the
/// same again, with other attributes, or to another place.
fn remap(u: &mut Unstructured<'_>, scene: &Scene, range: &Range) -> Result<Operation> {
    let (ipa, size) = part(u, scene, range)?;
    let is_related = u.ratio(7, 10)?;
    let Some(target) = range.target.filter(|_| is_related) else {
        let pa = place::pa(u, scene, ipa, size)?;
        let (prot, memory) = permissions(u)?;
        return Ok(Operation::Map {
            vm: range.vm,
            ipa,
            pa,
            size,
            prot,
            memory,
            pages_only: false,
        });
    };
    // The same place as before for every address, wrapped where it cannot be.
    let same = target.pa.wrapping_add(ipa.wrapping_sub(range.ipa));
    let pa = weighted(
        u,
        &[
            (8, same),
            (1, same.wrapping_add(scene.shape.page())),
            (1, same.wrapping_add(scene.shape.block())),
        ],
    )?;
    let Target { prot, memory, .. } = target;
    let (prot, memory) = if u.ratio(1, 3)? {
        (prot, memory)
    } else {
        permissions(u)?
    };
    let pages_only = u.ratio(1, 5)?;
    Ok(Operation::Map {
        vm: range.vm,
        ipa,
        pa,
        size,
        prot,
        memory,
        pages_only,
    })
}

fn unmap(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let in_play = u.ratio(9, 10)?;
    let range = place::range(u, scene, vm)?.filter(|_| in_play);
    let (ipa, size) = match range {
        Some(range) => part(u, scene, &range)?,
        None => {
            let ipa = place::ipa(u, scene, vm)?;
            (ipa, place::size(u, scene, vm, ipa)?)
        }
    };
    Ok(Operation::Unmap { vm, ipa, size })
}

/// A range in play, or a part of it, or it and a little beside it.
fn part(u: &mut Unstructured<'_>, scene: &Scene, range: &Range) -> Result<(u64, u64)> {
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

/// An access: mostly where something is mapped, and mostly one that is permitted.
fn access(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    let shape = &scene.shape;
    let range = match weighted(u, &[(6, 0), (2, 1), (1, 2)])? {
        0 => scene
            .ranges_of(vm)
            .rev()
            .find(|range| range.target.is_some())
            .copied(),
        1 => place::range(u, scene, vm)?,
        _ => None,
    };
    let near = match range {
        Some(range) => within(u, shape, &range)?,
        None => place::ipa(u, scene, vm)?,
    };
    // An 8-byte access that does not cross its own alignment.
    let any = 8 * u.int_in_range(0..=shape.page() / 8 - 1)?;
    let offset = weighted(u, &[(2, 0), (2, shape.page() - 8), (1, any)])?;
    let target = range.and_then(|range| range.target);
    let permitted = target.and_then(|target| permitted(target.prot));
    let any_kind = access_kind(u)?;
    let kind = if u.ratio(3, 4)? {
        permitted.unwrap_or(any_kind)
    } else {
        any_kind
    };
    Ok(Operation::Access {
        vm,
        ipa: shape.page_of(near) + offset,
        kind,
    })
}

/// A kind of access that these permissions allow.
fn permitted(prot: Prot) -> Option<AccessKind> {
    let kinds = [
        (prot.write, AccessKind::Write),
        (prot.execute, AccessKind::Execute),
        (prot.read, AccessKind::Read),
    ];
    kinds
        .into_iter()
        .find_map(|(granted, kind)| granted.then_some(kind))
}

pub(crate) fn access_kind(u: &mut Unstructured<'_>) -> Result<AccessKind> {
    weighted(
        u,
        &[
            (4, AccessKind::Read),
            (3, AccessKind::Write),
            (3, AccessKind::Execute),
        ],
    )
}

/// Permissions and a memory type; one in 40 excludes itself.
pub(crate) fn permissions(u: &mut Unstructured<'_>) -> Result<(Prot, MemoryType)> {
    let prot = |text: &str| Prot {
        read: text.contains('r'),
        write: text.contains('w'),
        execute: text.contains('x'),
    };
    if u.ratio(1, 40)? {
        return weighted(
            u,
            &[
                (1, (prot(""), MemoryType::Normal)),
                (1, (prot("rwx"), MemoryType::Device)),
            ],
        );
    }
    let memory = weighted(u, &[(5, MemoryType::Normal), (1, MemoryType::Device)])?;
    let text = weighted(
        u,
        &[
            (5, "rw"),
            (4, "rwx"),
            (3, "r"),
            (3, "rx"),
            (1, "w"),
            (1, "x"),
            (1, "wx"),
        ],
    )?;
    let mut prot = prot(text);
    if memory == MemoryType::Device {
        prot = Prot {
            execute: false,
            read: prot.read || prot.execute,
            ..prot
        };
    }
    Ok((prot, memory))
}

/// The operation, or what is left of a map that would write too many leaves: it
/// gets blocks where it had pages, its PA moved to where blocks fit, or else only a
/// few pages. Ranges that leave the IPA space are refused before anything is
/// written, and stay.
pub(crate) fn affordable(
    u: &mut Unstructured<'_>,
    scene: &Scene,
    operation: Operation,
) -> Result<Operation> {
    let most = weighted(u, &LEAVES)?;
    let Operation::Map {
        vm,
        ipa,
        pa,
        size,
        prot,
        memory,
        pages_only,
    } = operation
    else {
        return Ok(operation);
    };
    let shape = &scene.shape;
    let is_within = ipa
        .checked_add(size)
        .is_some_and(|end| end <= shape.space());
    if !is_within || shape.leaves(ipa, pa, size, pages_only) <= most {
        return Ok(operation);
    }
    let within_block = shape.block() - 1;
    let alike = (pa & !within_block) | (ipa & within_block);
    let fits = |pa: &u64| shape.leaves(ipa, *pa, size, false) <= most;
    let (pa, size) = match [pa, alike].into_iter().find(fits) {
        Some(pa) => (pa, size),
        None => (pa, size.min(4 * shape.page())),
    };
    Ok(Operation::Map {
        vm,
        ipa,
        pa,
        size,
        prot,
        memory,
        pages_only: false,
    })
}
