//! Section Z: a hypervisor in AArch32. Which configurations are legal, and what the
//! registers hold.

use super::legal::{self, Configuration, Illegal, Request};
use super::own::{self, with_start_of_va};
use super::registers::WALKS;
use crate::arch::{Features, Granule};
use crate::operation::Machine;

/// The size of physical addresses in bits.
const PA_BITS: u8 = 40;

/// Z3: sizes of Hyp mode's VAs in bits.
const SMALLEST_VA: u8 = 25;
const LARGEST_VA: u8 = 32;

/// The address of the root in `VTTBR` and `HTTBR`, at least: bits 39:12.
const BASE: u64 = (1 << PA_BITS) - (1 << 12);

/// Z1.
pub(super) fn check(machine: &Machine) -> Result<Configuration, Illegal> {
    check_machine(machine)?;
    legal::check(&Request::of(machine))
}

/// Z3.
pub(super) fn check_hyp(machine: &Machine) -> Result<Configuration, Illegal> {
    check_machine(machine)?;
    let request = Request::of(machine);
    let (at_least, at_most) = (SMALLEST_VA, LARGEST_VA);
    if !(at_least..=at_most).contains(&request.ipa_bits) {
        return Err(Illegal::IpaBits {
            ipa_bits: request.ipa_bits,
            at_least,
            at_most,
        });
    }
    with_start_of_va(&request)
}

/// What both need of a machine.
fn check_machine(machine: &Machine) -> Result<(), Illegal> {
    let Machine {
        ttl,
        tlb_range,
        vmid16,
        idc,
        dic,
        bbm,
        ..
    } = *machine;
    // What is not looked at in them is as the contract has it.
    let features = Features {
        pa_bits: machine.pa_bits,
        granule_16k: true,
        bbm: 0,
        ..machine.features
    };
    let plain = features == Features::of_contract(PA_BITS)
        && machine.granule == Granule::K4
        && !machine.ds
        && bbm == 0;
    if plain && ![ttl, tlb_range, vmid16, idc, dic].contains(&true) {
        Ok(())
    } else {
        Err(Illegal::Aarch32)
    }
}

/// Z1: `VTCR`.
pub fn vtcr(configuration: &Configuration) -> u64 {
    const RES1: u64 = 1 << 31;
    const S: u64 = 1 << 4;
    let t0sz = 32 - i16::from(configuration.ipa_bits());
    let sign = if t0sz < 0 { S } else { 0 };
    let sl0 = u64::from(configuration.start_level() == 1);
    (t0sz.cast_unsigned() & 0b1111) as u64 | sign | sl0 << 6 | WALKS | RES1
}

/// Z1: `VTTBR`, or `None` where it has no room for the VMID or the root's address.
pub fn vttbr(vmid: u16, root_pa: u64) -> Option<u64> {
    let vmid = u8::try_from(vmid).ok()?;
    Some(u64::from(vmid) << 48 | httbr(root_pa)?)
}

/// Z3: `HTCR`.
pub fn htcr(configuration: &Configuration) -> u64 {
    const RES1: u64 = 1 << 31 | 1 << 23;
    let t0sz = 32 - u64::from(configuration.ipa_bits());
    t0sz | WALKS | RES1
}

/// Z3: `HTTBR`, or `None` where it has no room for the root's address.
pub fn httbr(root_pa: u64) -> Option<u64> {
    (root_pa & BASE == root_pa).then_some(root_pa)
}

/// Z3: `HMAIR0`.
pub const HMAIR0: u64 = own::MAIR & 0xffff_ffff;
