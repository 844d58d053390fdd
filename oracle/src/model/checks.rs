//! Preconditions, in the contract's order within each function.

use super::legal::Configuration;
use super::whole::is_device;
use crate::operation::{Execute, Machine, MemoryType, Prot, Refusal, Span};

/// M2 to M5 and U2 to U5; `pa` is the first PA of a map.
pub(super) fn range(
    configuration: &Configuration,
    ipa: u64,
    pa: Option<u64>,
    size: u64,
) -> Result<(), Refusal> {
    if size == 0 {
        return Err(Refusal::Empty);
    }
    let starts = || pa.into_iter().chain([ipa]);
    let aligned = |address: u64| address.is_multiple_of(configuration.page_bytes());
    if !aligned(size) || !starts().all(aligned) {
        return Err(Refusal::Misaligned);
    }
    space(configuration, ipa, pa, size)
}

/// M4 and M5, U4 and U5.
pub(super) fn space(
    configuration: &Configuration,
    ipa: u64,
    pa: Option<u64>,
    size: u64,
) -> Result<(), Refusal> {
    let mut starts = pa.into_iter().chain([ipa]);
    if starts.any(|start| start.checked_add(size).is_none()) {
        return Err(Refusal::Wraps);
    }
    if ipa + size > configuration.ipa_end() {
        return Err(Refusal::IpaRange);
    }
    Ok(())
}

/// M6.
pub(super) fn output(configuration: &Configuration, pa: u64, size: u64) -> Result<(), Refusal> {
    if pa + size > configuration.output_end() {
        return Err(Refusal::PaRange);
    }
    Ok(())
}

/// M7.
pub(super) fn attributes(machine: &Machine, prot: Prot, memory: MemoryType) -> Result<(), Refusal> {
    let executes = prot.execute != Execute::Never;
    let nothing = !(prot.read || prot.write || executes);
    let per_el = matches!(prot.execute, Execute::El1 | Execute::El0);
    if nothing || (executes && is_device(memory)) || (per_el && !machine.features.xnx) {
        return Err(Refusal::BadAttributes);
    }
    Ok(())
}

/// E4, in the place of M7.
pub(super) fn own_attributes(prot: Prot, memory: MemoryType) -> Result<(), Refusal> {
    let executes = prot.execute != Execute::Never;
    let per_el = matches!(prot.execute, Execute::El1 | Execute::El0);
    let both = prot.write && executes;
    if !prot.read || both || (executes && is_device(memory)) || per_el {
        return Err(Refusal::BadAttributes);
    }
    Ok(())
}

/// M8.
pub(super) fn ownership(machine: &Machine, pa: u64, size: u64) -> Result<(), Refusal> {
    let last = pa + (size - 1);
    let shares = |span: Span| {
        span.bytes != 0 && span.base <= last && pa <= span.base.saturating_add(span.bytes - 1)
    };
    if shares(machine.hypervisor) || shares(machine.pool) {
        return Err(Refusal::Denied);
    }
    Ok(())
}
