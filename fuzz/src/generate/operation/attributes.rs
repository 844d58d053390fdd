//! Permissions, memory types, and what software writes into entries.

use arbitrary::{Result, Unstructured};
use ops::{Execute, MemoryType, Prot};

use super::super::scene::Scene;
use super::super::weighted;

/// Permissions and a memory type; one in 40 excludes itself.
pub(crate) fn permissions(u: &mut Unstructured<'_>, scene: &Scene) -> Result<(Prot, MemoryType)> {
    if u.ratio(1, 40)? {
        let nothing = Prot::default();
        let everything = letters("rwx");
        return weighted(
            u,
            &[
                (1, (nothing, MemoryType::Normal)),
                (1, (everything, MemoryType::Device)),
                (1, (everything, MemoryType::DeviceStrict)),
            ],
        );
    }
    let memory = weighted(
        u,
        &[
            (12, MemoryType::Normal),
            (2, MemoryType::Device),
            (2, MemoryType::NonCacheable),
            (1, MemoryType::DeviceStrict),
        ],
    )?;
    let mut prot = some(u, scene)?;
    if memory.is_device() {
        prot = Prot {
            read: prot.read || prot.execute != Execute::Never,
            execute: Execute::Never,
            ..prot
        };
    }
    Ok((prot, memory))
}

/// Permissions for a leaf that keeps its memory type; one in 40 are none.
pub(crate) fn prot(u: &mut Unstructured<'_>, scene: &Scene) -> Result<Prot> {
    if u.ratio(1, 40)? {
        return Ok(Prot::default());
    }
    some(u, scene)
}

/// Permissions that fit normal memory.
fn some(u: &mut Unstructured<'_>, scene: &Scene) -> Result<Prot> {
    let prot = if scene.machine.regime.is_own() {
        let own = [(6, "rw"), (4, "r"), (4, "rx"), (1, "w"), (1, "rwx")];
        letters(weighted(u, &own)?)
    } else {
        let guest = [
            (5, "rw"),
            (4, "rwx"),
            (3, "r"),
            (3, "rx"),
            (1, "w"),
            (1, "x"),
            (1, "wx"),
        ];
        letters(weighted(u, &guest)?)
    };
    // Where the machine does not tell the ELs apart, that is refused.
    let per_el = if scene.machine.features.xnx {
        u.ratio(1, 2)?
    } else {
        u.ratio(1, 60)?
    };
    if prot.execute == Execute::Never {
        return Ok(prot);
    }
    let one_el = *u.choose(&[Execute::El1, Execute::El0])?;
    Ok(Prot {
        execute: if per_el { one_el } else { prot.execute },
        ..prot
    })
}

fn letters(text: &str) -> Prot {
    Prot {
        read: text.contains('r'),
        write: text.contains('w'),
        execute: if text.contains('x') {
            Execute::Both
        } else {
            Execute::Never
        },
    }
}

/// Software bits.
pub(crate) fn software(u: &mut Unstructured<'_>) -> Result<u8> {
    weighted(u, &[(9, 0), (1, 1), (1, 6), (1, 15)])
}

/// An owner; one in 40 is none.
pub(crate) fn owner(u: &mut Unstructured<'_>) -> Result<u8> {
    weighted(u, &[(20, 1), (15, 2), (4, u8::MAX), (1, 0)])
}
