//! Section R of the contract: `VTCR_EL2` and `VTTBR_EL2` for a configuration, and which
//! registers stand in their place in the other regimes.
//!
//! It leaves out R4, which is about descriptors, not registers.

use super::legal::{Configuration, PA_SIZES};
use super::{aarch32, own};
use crate::arch::Granule;
use crate::operation::{Machine, Regime};
use crate::regime::Registers;

/// `PS` for 52 bits: the root's address then has the 52-bit format.
const PS_52_BITS: u64 = 6;

/// IRGN0 and ORGN0 write-back, SH0 inner: at the same place in each control register.
pub(super) const WALKS: u64 = 1 << 8 | 1 << 10 | 3 << 12;

/// The registers that stand for an address space of the machine's regime whose root is
/// at `root_pa`; `None` where one has no room for the VMID or the address.
pub fn of_space(
    configuration: &Configuration,
    machine: &Machine,
    vmid: u16,
    root_pa: u64,
) -> Option<Registers> {
    let root = match machine.regime {
        Regime::Stage2 => vttbr(configuration, machine, vmid, root_pa),
        Regime::El2 => own::ttbr0(configuration, root_pa),
        Regime::Aarch32 => aarch32::vttbr(vmid, root_pa),
        Regime::Aarch32Hyp => aarch32::httbr(root_pa),
    }?;
    Some(Registers {
        root,
        ..of_machine(configuration, machine)
    })
}

/// What is the same for each address space of the machine: all but the root, which is 0.
pub fn of_machine(configuration: &Configuration, machine: &Machine) -> Registers {
    let (control, attributes) = match machine.regime {
        Regime::Stage2 => (vtcr(configuration, machine), 0),
        Regime::El2 => (own::tcr(configuration), own::MAIR),
        Regime::Aarch32 => (aarch32::vtcr(configuration), 0),
        Regime::Aarch32Hyp => (aarch32::htcr(configuration), aarch32::HMAIR0),
    };
    Registers {
        control,
        root: 0,
        attributes,
    }
}

/// R1: `VTCR_EL2` for a configuration on that machine.
pub fn vtcr(configuration: &Configuration, machine: &Machine) -> u64 {
    const VS: u64 = 1 << 19;
    const HA: u64 = 1 << 21;
    const HD: u64 = 1 << 22;
    const RES1: u64 = 1 << 31;
    let haf = machine.features.haf;
    let flags = [
        (VS, machine.vmid16),
        (HA, haf),
        (HD, haf && machine.features.dbm),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set);
    let t0sz = 64 - u64::from(configuration.ipa_bits());
    flags.fold(
        t0sz | start(configuration) | WALKS | format(configuration) | RES1,
        |register, (flag, _)| register | flag,
    )
}

/// TG0, PS and DS, which both control registers of AArch64 have at the same place.
pub(super) fn format(configuration: &Configuration) -> u64 {
    let ds = u64::from(configuration.ds()) << 32;
    tg0(configuration.granule()) << 14 | ps(configuration) << 16 | ds
}

/// R3: `VTTBR_EL2` for a root at `root_pa`, or `None` where the register has no
/// room for that VMID (16 bits with VS, else 8) or address (a multiple of 64 below 2^52
/// in the 52-bit format, an even number below 2^48 else).
///
/// DDI 0487 K.a: AArch64.S2TTBaseAddress.
pub fn vttbr(
    configuration: &Configuration,
    machine: &Machine,
    vmid: u16,
    root_pa: u64,
) -> Option<u64> {
    let fits = machine.vmid16 || vmid <= u16::from(u8::MAX);
    let vmid = fits.then_some(u64::from(vmid) << 48)?;
    Some(vmid | base(configuration, root_pa)?)
}

/// The root's address as `VTTBR_EL2` and `TTBR0_EL2` have it.
pub(super) fn base(configuration: &Configuration, root_pa: u64) -> Option<u64> {
    let wide = configuration.ds()
        || configuration.granule() == Granule::K64 && ps(configuration) == PS_52_BITS;
    let (fits, baddr) = if wide {
        let high = root_pa >> 48;
        let low = root_pa & 0xffff_ffff_ffc0;
        (high << 48 | low, low | high << 2)
    } else {
        let low = root_pa & 0xffff_ffff_fffe;
        (low, low)
    };
    (fits == root_pa && root_pa >> 52 == 0).then_some(baddr)
}

/// SL0 and SL2 of the start level.
fn start(configuration: &Configuration) -> u64 {
    const SL2: u64 = 1 << 33;
    let sl0 = |value: u64| value << 6;
    match (configuration.granule(), configuration.start_level()) {
        (Granule::K4, -1) => SL2,
        (Granule::K4, 3) => sl0(3),
        (Granule::K4, level) => sl0(2 - u64::from(level.unsigned_abs())),
        (Granule::K16 | Granule::K64, level) => sl0(3 - u64::from(level.unsigned_abs())),
    }
}

/// `TG0` of the granule.
fn tg0(granule: Granule) -> u64 {
    match granule {
        Granule::K4 => 0,
        Granule::K64 => 1,
        Granule::K16 => 2,
    }
}

/// R2: `PS` of the output size.
fn ps(configuration: &Configuration) -> u64 {
    let smaller = |size: &&u8| **size < configuration.output_bits();
    PA_SIZES.iter().filter(smaller).map(|_| 1).sum()
}
