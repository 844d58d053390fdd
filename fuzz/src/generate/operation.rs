//! One more operation for a scene.

mod attributes;
mod mapping;
mod range;

use arbitrary::{Result, Unstructured};
use ops::{AccessKind, Operation, Prot, Vm};

pub(crate) use attributes::{owner, permissions, prot, software};
pub(crate) use mapping::affordable;
pub(crate) use range::action;

use super::place::{self, within};
use super::scene::{Scene, all_vms};
use super::weighted;

#[derive(Clone, Copy)]
enum Kind {
    Map,
    Remap,
    Unmap,
    Range,
    Protect,
    Annotate,
    Relax,
    MakeYoung,
    Leaf,
    Build,
    Conflict,
    Access,
    Fail,
    Free,
    Create,
}

/// What a guest's address space is asked for, and how often.
const GUEST_KINDS: [(u32, Kind); 15] = [
    (20, Kind::Map),
    (13, Kind::Remap),
    (15, Kind::Unmap),
    (17, Kind::Range),
    (6, Kind::Protect),
    (5, Kind::Annotate),
    (4, Kind::Relax),
    (2, Kind::MakeYoung),
    (4, Kind::Leaf),
    (4, Kind::Build),
    (1, Kind::Conflict),
    (24, Kind::Access),
    (3, Kind::Fail),
    (3, Kind::Free),
    (1, Kind::Create),
];

/// The same of a hypervisor's own; what it does not have is seldom asked for.
const OWN_KINDS: [(u32, Kind); 8] = [
    (26, Kind::Map),
    (14, Kind::Remap),
    (22, Kind::Unmap),
    (26, Kind::Access),
    (6, Kind::Leaf),
    (3, Kind::Fail),
    (3, Kind::Free),
    (1, Kind::Protect),
];

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
    if scene.is_dying(vm) && u.ratio(1, 2)? {
        return end(u, scene, vm);
    }
    if scene.has_built(vm) && u.ratio(1, 3)? {
        let link = Operation::Link { vm };
        return weighted(u, &[(5, link), (1, Operation::Discard { vm })]);
    }
    let kind = if scene.machine.regime.is_own() {
        weighted(u, &OWN_KINDS)?
    } else {
        weighted(u, &GUEST_KINDS)?
    };
    of_kind(u, scene, vm, kind)
}

fn of_kind(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm, kind: Kind) -> Result<Operation> {
    match kind {
        Kind::Map => mapping::map(u, scene, vm),
        Kind::Remap => mapping::remap(u, scene, vm),
        Kind::Build => mapping::build(u, scene, vm),
        Kind::Unmap => range::unmap(u, scene, vm),
        Kind::Range => range::of_entries(u, scene, vm),
        Kind::Protect => range::protect(u, scene, vm),
        Kind::Annotate => range::annotate(u, scene, vm),
        Kind::Relax => Ok(Operation::Relax {
            vm,
            ipa: address(u, scene, vm)?,
            prot: prot(u, scene)?,
        }),
        Kind::MakeYoung => address(u, scene, vm).map(|ipa| Operation::MakeYoung { vm, ipa }),
        Kind::Leaf => address(u, scene, vm).map(|ipa| Operation::Leaf { vm, ipa }),
        Kind::Conflict => weighted(
            u,
            &[
                (4, Operation::Conflict { vm }),
                (1, Operation::Link { vm }),
                (1, Operation::Discard { vm }),
            ],
        ),
        Kind::Access => access(u, scene, vm),
        Kind::Fail => Ok(Operation::Fail {
            after: weighted(u, &[(4, 0), (2, 1), (2, 2), (1, 3), (1, 7)])?,
        }),
        Kind::Free => Ok(Operation::Free { vm }),
        Kind::Create => Ok(Operation::Create { vm }),
    }
}

/// What ends a VM that is being destroyed, or takes more of it away.
fn end(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<Operation> {
    if u.ratio(1, 2)? {
        return Ok(Operation::Free { vm });
    }
    let (ipa, size) = range::in_play(u, scene, vm)?;
    Ok(Operation::Range {
        vm,
        action: ops::Action::Destroy,
        ipa,
        size,
    })
}

/// A VM: mostly one that exists, and mostly a.
pub(crate) fn vm(u: &mut Unstructured<'_>, scene: &Scene) -> Result<Vm> {
    let vms: Vec<Vm> = all_vms().collect();
    let mostly_a = if scene.machine.regime.is_own() {
        u.ratio(39, 40)?
    } else {
        u.ratio(3, 4)?
    };
    let any = if mostly_a { vms[0] } else { *u.choose(&vms)? };
    let live: Vec<Vm> = scene.live_vms().collect();
    if live.is_empty() || scene.is_live(any) || u.ratio(1, 6)? {
        return Ok(any);
    }
    u.choose(&live).copied()
}

/// Any byte of a page that is likely to be mapped, or to have been.
fn address(u: &mut Unstructured<'_>, scene: &Scene, vm: Vm) -> Result<u64> {
    let shape = &scene.shape;
    let near = match place::range(u, scene, vm)? {
        Some(range) if u.ratio(9, 10)? => within(u, shape, &range)?,
        _ => place::ipa(u, scene, vm)?,
    };
    let any = u.int_in_range(0..=shape.page() - 1)?;
    let offset = weighted(u, &[(3, 0), (1, shape.page() - 1), (1, any)])?;
    Ok(shape.page_of(near) + offset)
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
    let executes_at_el1 = matches!(prot.execute, ops::Execute::Both | ops::Execute::El1);
    let kinds = [
        (prot.write, AccessKind::Write),
        (executes_at_el1, AccessKind::Execute),
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
