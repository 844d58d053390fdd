//! Section R of the contract, and E2, Z1 and Z3: what the registers hold for a
//! configuration.
//!
//! It leaves out R4, which is about descriptors, not registers.

use super::legal::{Configuration, PA_SIZES};
use crate::arch::Granule;
use crate::operation::{Machine, Regime};

/// `PS` for 52 bits: the root's address then has the 52-bit format.
const PS_52_BITS: u64 = 6;

const IRGN0_WRITE_BACK: u64 = 1 << 8;
const ORGN0_WRITE_BACK: u64 = 1 << 10;
const SH0_INNER: u64 = 3 << 12;
/// What the contract has alike in all of them.
const WALKS: u64 = IRGN0_WRITE_BACK | ORGN0_WRITE_BACK | SH0_INNER;
const DS: u64 = 1 << 32;

/// `MAIR_EL2` and, in its low half, HMAIR0 (E2, Z3).
pub const MAIR: u64 = 0x0044_04ff;

/// The control register of the machine's regime: `VTCR_EL2` (R1), `TCR_EL2` (E2), VTCR
/// (Z1) or HTCR (Z3).
pub fn control(configuration: &Configuration, machine: &Machine) -> u64 {
    match machine.regime {
        Regime::Stage2 => vtcr(configuration, machine),
        Regime::El2 => tcr(configuration),
        Regime::Aarch32 => vtcr_of_aarch32(configuration),
        Regime::Aarch32Hyp => htcr(configuration),
    }
}

/// The base register of the machine's regime for a root at `root_pa`: `VTTBR_EL2` (R3),
/// `TTBR0_EL2` (E2), VTTBR (Z1) or HTTBR (Z3). `None` where it has no room for the VMID
/// or the address.
pub fn base(
    configuration: &Configuration,
    machine: &Machine,
    vmid: u16,
    root_pa: u64,
) -> Option<u64> {
    if machine.regime.is_own() {
        root(configuration, root_pa)
    } else {
        vttbr(configuration, machine, vmid, root_pa)
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
        (DS, configuration.ds()),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set);
    let plain = t0sz(configuration, 64)
        | start(configuration)
        | WALKS
        | tg0(configuration.granule()) << 14
        | ps(configuration) << 16
        | RES1;
    flags.fold(plain, |register, (flag, _)| register | flag)
}

/// E2: `TCR_EL2`.
fn tcr(configuration: &Configuration) -> u64 {
    const RES1: u64 = 1 << 31 | 1 << 23;
    let ds = if configuration.ds() { DS } else { 0 };
    t0sz(configuration, 64)
        | WALKS
        | tg0(configuration.granule()) << 14
        | ps(configuration) << 16
        | ds
        | RES1
}

/// Z1: VTCR. T0SZ is signed, and S is its sign.
fn vtcr_of_aarch32(configuration: &Configuration) -> u64 {
    const RES1: u64 = 1 << 31;
    let t0sz = t0sz(configuration, 32) & 0b1111;
    let sign = t0sz >> 3;
    let sl0 = u64::from(configuration.start_level() == 1);
    t0sz | sign << 4 | sl0 << 6 | WALKS | RES1
}

/// Z3: HTCR.
fn htcr(configuration: &Configuration) -> u64 {
    const RES1: u64 = 1 << 31 | 1 << 23;
    t0sz(configuration, 32) | WALKS | RES1
}

/// T0SZ in registers for input addresses of at most `most` bits, in two's complement.
fn t0sz(configuration: &Configuration, most: u64) -> u64 {
    most.wrapping_sub(configuration.ipa_bits().into())
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
    Some(vmid | root(configuration, root_pa)?)
}

/// The root's address as a base register has it.
fn root(configuration: &Configuration, root_pa: u64) -> Option<u64> {
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
