//! Section R of the contract: `VTCR_EL2` and `VTTBR_EL2` for a configuration.
//!
//! It leaves out R4, which is about descriptors, not registers.

use super::legal::{Configuration, PA_SIZES};
use crate::arch::Granule;

/// `PS` for 52 bits: the root's address then has the 52-bit format.
const PS_52_BITS: u64 = 6;

/// R1: `VTCR_EL2`.
pub fn vtcr(configuration: &Configuration) -> u64 {
    const IRGN0_WRITE_BACK: u64 = 1 << 8;
    const ORGN0_WRITE_BACK: u64 = 1 << 10;
    const SH0_INNER: u64 = 3 << 12;
    const RES1: u64 = 1 << 31;
    let t0sz = 64 - u64::from(configuration.ipa_bits());
    t0sz | sl0(configuration) << 6
        | IRGN0_WRITE_BACK
        | ORGN0_WRITE_BACK
        | SH0_INNER
        | tg0(configuration.granule()) << 14
        | ps(configuration) << 16
        | RES1
}

/// R3: `VTTBR_EL2` for a root at `root_pa`, or `None` where the register has no
/// room for that VMID (8 bits) or address (a multiple of 64 below 2^52 in the
/// 52-bit format, an even number below 2^48 else).
///
/// DDI 0487 K.a: AArch64.S2TTBaseAddress.
pub fn vttbr(configuration: &Configuration, vmid: u16, root_pa: u64) -> Option<u64> {
    let vmid = u64::from(u8::try_from(vmid).ok()?) << 48;
    let (fits, baddr) = if ps(configuration) == PS_52_BITS {
        let high = root_pa >> 48;
        let low = root_pa & 0xffff_ffff_ffc0;
        (high << 48 | low, low | high << 2)
    } else {
        let low = root_pa & 0xffff_ffff_fffe;
        (low, low)
    };
    let representable = fits == root_pa && root_pa >> 52 == 0;
    representable.then_some(vmid | baddr)
}

/// `SL0` of the start level, with SL2 = 0.
fn sl0(configuration: &Configuration) -> u64 {
    let level = u64::from(configuration.start_level().unsigned_abs());
    match configuration.granule() {
        Granule::K4 => 2 - level,
        Granule::K16 | Granule::K64 => 3 - level,
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
