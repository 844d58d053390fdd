//! Machines: a configuration that the architecture allows most of the time, and the
//! rest of the machine line around it.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use ops::{Granule, Machine, Pool, Regime, Window};

use super::{Shape, weighted};
use crate::translate;

/// Regimes, and how often each comes up.
const REGIMES: [(u32, Regime); 4] = [
    (14, Regime::Stage2),
    (4, Regime::El2),
    (2, Regime::Aarch32),
    (1, Regime::Aarch32Hyp),
];

/// Bits of `Machine::options` that change what is legal.
const LPA2_4K: u16 = 1;
const LPA2_16K: u16 = 1 << 1;
const TTST: u16 = 1 << 2;
const DS: u16 = 1 << 14;

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
    let has_stub = placed.regime == Regime::Stage2 && u.ratio(1, 2)?;
    Ok(Machine {
        coherent_walks: u.ratio(3, 4)?,
        cache_pages: weighted(u, &[(14, None), (2, Some(0..=4)), (1, Some(5..=40))])?
            .map(|pages| u.int_in_range(pages))
            .transpose()?,
        stub: if has_stub {
            Some(stub(u, &placed)?)
        } else {
            None
        },
        ..placed
    })
}

/// A machine of a legal configuration, its start level given or left to be found.
fn configured(u: &mut Unstructured<'_>) -> Result<Machine> {
    let regime = weighted(u, &REGIMES)?;
    let machine = Machine {
        regime,
        ..Machine::PLAIN
    };
    let machine = match regime {
        Regime::Stage2 | Regime::El2 => {
            // A table of 64K has sixteen times the entries of one of 4K, and costs as
            // much.
            let granule = weighted(u, &[(6, Granule::K4), (3, Granule::K16), (2, Granule::K64)])?;
            let machine = Machine {
                granule,
                pa_bits: *u.choose(&Machine::PA_BITS)?,
                ..machine
            };
            machine.with_options(options(u, granule)?)
        }
        Regime::Aarch32 | Regime::Aarch32Hyp => machine,
    };
    sized(u, machine)
}

/// Options that a machine of this granule can have: none for about half of them.
fn options(u: &mut Unstructured<'_>, granule: Granule) -> Result<u16> {
    if u.ratio(1, 2)? {
        return Ok(0);
    }
    let bbm = weighted(u, &[(2, 0), (1, 1 << 12), (3, 2 << 12)])?;
    let all = u.arbitrary::<u16>()? & u.arbitrary::<u16>()?;
    let ttst = if u.ratio(1, 4)? { TTST } else { 0 };
    let options = all & !(3 << 12) & !DS | bbm | ttst;
    let lpa2 = match granule {
        Granule::K4 => LPA2_4K,
        Granule::K16 => LPA2_16K,
        Granule::K64 => 0,
    };
    let wants_ds = u.ratio(1, 3)?;
    Ok(if lpa2 != 0 && wants_ds {
        options | lpa2 | DS
    } else {
        options
    })
}

/// The machine with a start level and an IPA size out of all that are legal for it.
fn sized(u: &mut Unstructured<'_>, machine: Machine) -> Result<Machine> {
    // Few of all sizes need FEAT_TTST.
    let is_small = machine.features.ttst && u.ratio(1, 3)?;
    let all = &LEGAL[number(&machine)];
    let small = all.partition_point(|(ipa_bits, _)| *ipa_bits < 25);
    let sizes = if is_small { &all[..small] } else { &all[..] };
    if sizes.is_empty() {
        return Ok(machine);
    }
    let (ipa_bits, start) = *u.choose(sizes)?;
    let machine = Machine {
        ipa_bits,
        ..machine
    };
    let is_default = Shape::new(&machine).start_level == start;
    let is_named = !is_default || u.ratio(1, 2)?;
    Ok(Machine {
        start_level: is_named.then_some(start),
        ..machine
    })
}

/// IPA size and start level of all legal configurations, smallest sizes first, for each
/// `number`.
static LEGAL: LazyLock<Vec<Vec<(u8, i8)>>> = LazyLock::new(|| {
    let mut legal = vec![Vec::new(); NUMBERS];
    for machine in kinds() {
        let sizes = (16..=52).flat_map(|ipa_bits| (-1..=3).map(move |start| (ipa_bits, start)));
        let is_legal = |(ipa_bits, start): &(u8, i8)| {
            is_legal(&Machine {
                ipa_bits: *ipa_bits,
                start_level: Some(*start),
                ..machine
            })
        };
        legal[number(&machine)] = sizes.filter(is_legal).collect();
    }
    legal
});

/// A machine for each combination of what decides which sizes are legal.
fn kinds() -> impl Iterator<Item = Machine> {
    let regimes = Regime::ALL.into_iter();
    let granules = regimes.flat_map(|regime| Granule::ALL.map(|granule| (regime, granule)));
    let sized = granules.flat_map(|(regime, granule)| {
        Machine::PA_BITS.map(|pa_bits| Machine {
            regime,
            granule,
            pa_bits,
            ..Machine::PLAIN
        })
    });
    let options = [
        0,
        TTST,
        LPA2_4K | LPA2_16K | DS,
        LPA2_4K | LPA2_16K | DS | TTST,
    ];
    sized.flat_map(move |machine| options.map(|options| machine.with_options(options)))
}

const NUMBERS: usize = Regime::ALL.len() * Granule::ALL.len() * Machine::PA_BITS.len() * 4;

/// A number below `NUMBERS` for each of `kinds`.
fn number(machine: &Machine) -> usize {
    let sizes = Machine::PA_BITS.iter();
    let size = sizes.take_while(|bits| **bits < machine.pa_bits).count();
    let granule = machine.regime as usize * Granule::ALL.len() + machine.granule as usize;
    let options = usize::from(machine.ds) << 1 | usize::from(machine.features.ttst);
    (granule * Machine::PA_BITS.len() + size) << 2 | options
}

/// Whether the architecture allows the machine's configuration, so that VMs can
/// be created on it.
pub(crate) fn is_legal(machine: &Machine) -> bool {
    translate::configuration(machine).is_some()
}

/// Any configuration, near the legal ones: most of them are not.
fn illegal(u: &mut Unstructured<'_>) -> Result<Machine> {
    let granule = *u.choose(&Granule::ALL)?;
    let options = options(u, granule)? ^ weighted(u, &[(3, 0), (1, DS), (1, LPA2_4K)])?;
    let machine = Machine {
        regime: weighted(u, &REGIMES)?,
        ..Machine::PLAIN.with_options(options)
    };
    Ok(Machine {
        granule,
        pa_bits: *u.choose(&Machine::PA_BITS)?,
        ipa_bits: weighted(u, &[(4, 15..=53), (1, 0..=64), (1, 0..=u8::MAX)])
            .and_then(|bits| u.int_in_range(bits))?,
        start_level: weighted(
            u,
            &[(2, None), (4, Some(-1..=4)), (1, Some(i8::MIN..=i8::MAX))],
        )?
        .map(|level| u.int_in_range(level))
        .transpose()?,
        ..machine
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
        // Tables lie below 2^48.
        _ => top.min(1 << 48) - page * u64::from(pages),
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
