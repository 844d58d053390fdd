//! The preconditions of the operations, in the order of their clauses.

use super::error::{Error, RangeError};
use super::{Guest, Mapping};
use crate::addr::{Ipa, IpaRange, PaRange};
use crate::descriptor::{Attributes, MemoryType, Prot};
use crate::geometry::Geometry;

/// What a mapping comes to that passed its checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) range: IpaRange,
    pub(super) attributes: Attributes,
}

/// Clauses M2 to M8.
pub(super) fn mapping(guest: &Guest<'_>, mapping: &Mapping) -> Result<Checked, Error> {
    let granule = guest.space.geometry.granule().bytes();
    let Mapping { ipa, pa, bytes, .. } = *mapping;
    alignment(&[ipa.raw(), pa.raw(), bytes], bytes, granule)?;
    placement(guest, mapping)
}

/// Clauses M4 to M8.
pub(super) fn placement(guest: &Guest<'_>, mapping: &Mapping) -> Result<Checked, Error> {
    let geometry = &guest.space.geometry;
    let range = no_wrap(mapping.ipa, mapping.bytes)?;
    let wraps = RangeError::Wraps(mapping.pa.raw());
    let target = PaRange::new(mapping.pa, mapping.bytes).ok_or(wraps)?;
    within_ipa_size(geometry, range.end())?;
    if target.end().raw() > geometry.shape().pa_limit() {
        return Err(Error::BeyondOutputSize(target.end()));
    }
    let Mapping {
        prot,
        memory,
        software,
        ..
    } = *mapping;
    let attributes = Attributes::new(&guest.space.format, prot, memory, software)?;
    match guest.denied.iter().find(|denied| denied.overlaps(target)) {
        Some(denied) => Err(Error::Denied(*denied)),
        None => Ok(Checked { range, attributes }),
    }
}

/// Clauses U2 to U5.
pub(super) fn range(geometry: &Geometry, ipa: Ipa, bytes: u64) -> Result<IpaRange, RangeError> {
    alignment(&[ipa.raw(), bytes], bytes, geometry.granule().bytes())?;
    let range = no_wrap(ipa, bytes)?;
    within_ipa_size(geometry, range.end())?;
    Ok(range)
}

/// Clause M7 for permissions that a leaf of normal memory is to be given.
pub(super) fn prot(guest: &Guest<'_>, prot: Prot) -> Result<(), Error> {
    Attributes::new(&guest.space.format, prot, MemoryType::Normal, 0)?;
    Ok(())
}

/// Clause Y1: a single address.
pub(super) fn address(geometry: &Geometry, ipa: Ipa) -> Result<(), RangeError> {
    if ipa.raw() >= geometry.ipa_limit() {
        return Err(RangeError::BeyondIpaSize(ipa));
    }
    Ok(())
}

/// Whether `values` are multiples of `unit`, and there is something at all.
pub(super) fn alignment(values: &[u64], bytes: u64, unit: u64) -> Result<(), RangeError> {
    if bytes == 0 {
        return Err(RangeError::Empty);
    }
    match values.iter().find(|&value| value % unit != 0) {
        Some(value) => Err(RangeError::Misaligned(*value)),
        None => Ok(()),
    }
}

fn no_wrap(ipa: Ipa, bytes: u64) -> Result<IpaRange, RangeError> {
    IpaRange::new(ipa, bytes).ok_or(RangeError::Wraps(ipa.raw()))
}

fn within_ipa_size(geometry: &Geometry, end: Ipa) -> Result<(), RangeError> {
    if end.raw() > geometry.ipa_limit() {
        return Err(RangeError::BeyondIpaSize(end));
    }
    Ok(())
}
