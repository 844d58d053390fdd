//! A hypervisor in AArch32 (ARMv7 with the Virtualization Extensions, and ARMv8
//! AArch32): which configurations are legal, and what its registers hold. Section Z of
//! the contract.
//!
//! The long descriptor format (LPAE) is that of AArch64's 4K granule with addresses
//! of 40 bits, so that tables and operations are `stage2`'s and `el2`'s own. Left out:
//! the short descriptor format, which no hypervisor can use for either.

use crate::geometry::registers::WALKS;
use crate::geometry::{
    AddressFormat, Configuration, Features, GeometryError, Granule, Level, Shape, start_of,
};

/// Size of physical addresses and of the largest address space of a guest.
const ADDRESS_BITS: u8 = 40;
/// T0SZ of Stage-2 is 4 bits, signed: -8 to 7.
const IPA_BITS: core::ops::RangeInclusive<u8> = 25..=ADDRESS_BITS;
/// T0SZ of Hyp mode is 3 bits: 0 to 7.
const VA_BITS: core::ops::RangeInclusive<u8> = 25..=32;

const RES1: u64 = 1 << 31;
const RES1_HTCR: u64 = RES1 | 1 << 23;
const SL0: u32 = 6;
/// `VTCR.S`: the sign of T0SZ.
const S: u32 = 4;

/// What a machine must be to have AArch32 at EL2 in its plain form. Clause Z.
pub(crate) fn check_machine(
    granule: Granule,
    pa_bits: u8,
    ds: bool,
    features: &Features,
) -> Result<(), GeometryError> {
    if granule != Granule::K4 {
        return Err(GeometryError::Granule(granule));
    }
    if pa_bits != ADDRESS_BITS {
        return Err(GeometryError::PaSize(pa_bits));
    }
    if ds {
        return Err(GeometryError::Ds(granule));
    }
    if *features != Features::default() {
        return Err(GeometryError::Features(*features));
    }
    Ok(())
}

/// A guest's Stage-2. Clause Z1: the start level is 1 or 2.
pub(crate) fn stage2_shape(configuration: &Configuration) -> Result<Shape, GeometryError> {
    let Configuration {
        granule,
        ipa_bits,
        pa_bits,
        start_level,
        ds,
        ..
    } = *configuration;
    check_machine(granule, pa_bits, ds, &configuration.features)?;
    if !IPA_BITS.contains(&ipa_bits) {
        return Err(GeometryError::IpaSize(ipa_bits));
    }
    start_of(start_level, |level| match level {
        1 | 2 => shape_from(level, ipa_bits),
        _ => None,
    })
}

/// Whether Hyp mode can have a VA of this size. Clause Z3.
pub(crate) fn is_va_size(va_bits: u8) -> bool {
    VA_BITS.contains(&va_bits)
}

fn shape_from(level: i8, input_bits: u8) -> Option<Shape> {
    let format = AddressFormat::Bits48;
    Shape::new(
        Granule::K4,
        Level::new(level)?,
        input_bits,
        ADDRESS_BITS,
        format,
    )
}

/// VTCR: T0SZ in bits 3:0 and its sign once more in bit 4, SL0 = 0 for level 2 and 1
/// for level 1 (DDI 0406 C.d, VTCR).
pub(crate) const fn vtcr(shape: &Shape) -> u64 {
    let t0sz = 32_i64 - shape.input_bits() as i64;
    let sign = if t0sz < 0 { 1 } else { 0 };
    let sl0 = 2 - shape.start().number() as i64;
    t0sz.cast_unsigned() & 0b1111 | sign << S | sl0.cast_unsigned() << SL0 | WALKS | RES1
}

/// HTCR: T0SZ in bits 2:0 (DDI 0406 C.d, HTCR).
pub(crate) const fn htcr(shape: &Shape) -> u64 {
    let t0sz = 32 - shape.input_bits() as u64;
    t0sz | WALKS | RES1_HTCR
}
