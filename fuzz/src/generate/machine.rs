//! Machines: a legal configuration out of the architecture's table most of the
//! time, and the rest of the machine line around it.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use ops::{Granule, Machine, Pool, Window};
use oracle::arch;
use oracle::model::legal::{self, Configuration};

use super::{Shape, weighted};

/// The legal configurations of each granule.
static LEGAL: LazyLock<[Vec<Configuration>; 3]> = LazyLock::new(|| {
    Granule::ALL.map(|wanted| {
        legal::configurations()
            .filter(|other| granule(other) == wanted)
            .collect()
    })
});

/// A machine on which sequences can run; about one in twenty cannot create a VM.
///
/// # Errors
/// When `u` has no bytes left.
pub fn machine(u: &mut Unstructured<'_>) -> Result<Machine> {
    let configured = if u.ratio(1, 20)? {
        illegal(u)?
    } else {
        configured(u)?
    };
    let placed = pool_and_memory(u, &configured)?;
    Ok(Machine {
        coherent_walks: u.ratio(3, 4)?,
        cache_pages: weighted(u, &[(14, None), (2, Some(0..=4)), (1, Some(5..=40))])?
            .map(|pages| u.int_in_range(pages))
            .transpose()?,
        stub: if u.ratio(1, 2)? {
            Some(stub(u, &placed)?)
        } else {
            None
        },
        ..placed
    })
}

/// A machine of a legal configuration, its start level given or left to be found.
fn configured(u: &mut Unstructured<'_>) -> Result<Machine> {
    // A table of 64K has sixteen times the entries of one of 4K, and costs as much.
    let granule_index: usize = weighted(u, &[(6, 0), (3, 1), (2, 2)])?;
    let configuration = u.choose(&LEGAL[granule_index])?;
    let machine = Machine {
        granule: granule(configuration),
        pa_bits: configuration.pa_bits(),
        ipa_bits: configuration.ipa_bits(),
        ..Machine::PLAIN
    };
    let is_default = Shape::new(&machine).start_level == configuration.start_level();
    let start_level = if is_default && u.ratio(1, 2)? {
        None
    } else {
        Some(configuration.start_level())
    };
    Ok(Machine {
        start_level,
        ..machine
    })
}

/// Whether the architecture allows the machine's configuration, so that VMs can
/// be created on it.
pub(crate) fn is_legal(machine: &Machine) -> bool {
    let granule = match machine.granule {
        Granule::K4 => arch::Granule::K4,
        Granule::K16 => arch::Granule::K16,
        Granule::K64 => arch::Granule::K64,
    };
    legal::check(
        granule,
        machine.start_level,
        machine.ipa_bits,
        machine.pa_bits,
    )
    .is_ok()
}

fn granule(configuration: &Configuration) -> Granule {
    match configuration.granule() {
        arch::Granule::K4 => Granule::K4,
        arch::Granule::K16 => Granule::K16,
        arch::Granule::K64 => Granule::K64,
    }
}

/// Any configuration, near the legal ones: most of them are not.
fn illegal(u: &mut Unstructured<'_>) -> Result<Machine> {
    Ok(Machine {
        granule: *u.choose(&Granule::ALL)?,
        pa_bits: *u.choose(&Machine::PA_BITS)?,
        ipa_bits: weighted(u, &[(4, 28..=53), (1, 0..=64), (1, 0..=u8::MAX)])
            .and_then(|bits| u.int_in_range(bits))?,
        start_level: weighted(
            u,
            &[(2, None), (4, Some(-1..=4)), (1, Some(i8::MIN..=i8::MAX))],
        )?
        .map(|level| u.int_in_range(level))
        .transpose()?,
        ..Machine::PLAIN
    })
}

/// Places pool and memory: mostly in the RAM of QEMU's `virt`, sometimes at the
/// top of physical memory, and always so that the machine can run.
pub(crate) fn pool_and_memory(u: &mut Unstructured<'_>, machine: &Machine) -> Result<Machine> {
    let page = machine.granule.bytes();
    let top = 1_u64 << machine.pa_bits;
    let pages = weighted(
        u,
        &[(12, 48..=64), (4, 20..=40), (2, 1..=19), (1, 100..=160)],
    )?;
    let pages = u.int_in_range(pages)?;
    let base = match weighted(u, &[(12, 0), (3, 1), (1, 2)])? {
        0 => Machine::PLAIN.pool.base,
        // The root's alignment must then be found, not met by luck.
        1 => Machine::PLAIN.pool.base + page * u.int_in_range(1..=31)?,
        _ => top - page * u64::from(pages),
    };
    let memory = match weighted(u, &[(8, 0), (4, 1), (2, 2), (1, 3)])? {
        0 => Window {
            base: 0x5000_0000,
            bytes: 0x3000_0000,
        },
        1 => Machine::PLAIN.memory,
        2 => Window {
            base: 0x5000_0000,
            bytes: 16 * page,
        },
        _ => Window {
            base: top - 0x4000_0000,
            bytes: 0x2000_0000,
        },
    };
    let placed = Machine {
        pool: Pool { base, pages },
        memory,
        ..*machine
    };
    let plain = Machine {
        pool: Machine::PLAIN.pool,
        memory: Machine::PLAIN.memory,
        ..*machine
    };
    Ok(if placed.check().is_ok() {
        placed
    } else {
        plain
    })
}

/// An IPA for the stub's page: at an end or an edge of the IPA space.
pub(crate) fn stub(u: &mut Unstructured<'_>, machine: &Machine) -> Result<u64> {
    let shape = Shape::new(machine);
    let page = shape.page();
    let last = shape.space() - page;
    let within = u.int_in_range(0..=last / page)? * page;
    let level = u.int_in_range(shape.levels())?;
    let ipa = weighted(
        u,
        &[
            (4, page),
            (1, 0),
            (2, last),
            (3, shape.root_table()),
            (3, shape.entry(level)),
            (3, within),
        ],
    )?;
    Ok(ipa.min(last))
}
