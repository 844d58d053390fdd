//! Section R of the contract: `VTCR_EL2` and `VTTBR_EL2` for a configuration.
//!
//! It leaves out R4, which is about descriptors, not registers.

use super::legal::{Configuration, PA_SIZES};
use crate::arch::Granule;
use crate::operation::Machine;

/// `PS` for 52 bits: the root's address then has the 52-bit format.
const PS_52_BITS: u64 = 6;

/// R1: `VTCR_EL2` for a configuration on that machine.
pub fn vtcr(configuration: &Configuration, machine: &Machine) -> u64 {
    const IRGN0_WRITE_BACK: u64 = 1 << 8;
    const ORGN0_WRITE_BACK: u64 = 1 << 10;
    const SH0_INNER: u64 = 3 << 12;
    const VS: u64 = 1 << 19;
    const HA: u64 = 1 << 21;
    const HD: u64 = 1 << 22;
    const RES1: u64 = 1 << 31;
    const DS: u64 = 1 << 32;
    let haf = machine.features.haf;
    let flags = [
        (VS, machine.vmid16),
        (HA, haf),
        (HD, haf && machine.features.dbm),
        (DS, configuration.ds()),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set);
    let t0sz = 64 - u64::from(configuration.ipa_bits());
    flags.fold(
        t0sz | start(configuration)
            | IRGN0_WRITE_BACK
            | ORGN0_WRITE_BACK
            | SH0_INNER
            | tg0(configuration.granule()) << 14
            | ps(configuration) << 16
            | RES1,
        |register, (flag, _)| register | flag,
    )
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

/// The root's address as `VTTBR_EL2` has it.
fn base(configuration: &Configuration, root_pa: u64) -> Option<u64> {
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
