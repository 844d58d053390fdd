//! What granule, physical address size and features decide alike in every regime:
//! descriptor format, output size, and the smallest address space.

use super::features::Features;
use super::granule::Granule;
use super::shape::AddressFormat;
use super::stage2::GeometryError;

/// Sizes in bits that `ID_AA64MMFR0_EL1.PARange` and the PS fields of `VTCR_EL2` and
/// `TCR_EL2` encode, in the order of their encodings.
const PA_SIZES: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

/// The descriptor format on a machine with this physical address size.
pub(crate) fn address_format(
    granule: Granule,
    pa_bits: u8,
    ds: bool,
    features: &Features,
) -> Result<AddressFormat, GeometryError> {
    if !PA_SIZES.contains(&pa_bits) {
        return Err(GeometryError::PaSize(pa_bits));
    }
    let has_lpa2 = match granule {
        Granule::K4 => features.lpa2_4k,
        Granule::K16 => features.lpa2_16k,
        // Its 52-bit format is FEAT_LPA's and has no switch.
        Granule::K64 => false,
    };
    match granule {
        _ if ds && !has_lpa2 => Err(GeometryError::Ds(granule)),
        // FEAT_LPA comes with a PARange of 52 bits, and only with it.
        Granule::K64 if pa_bits == 52 => Ok(AddressFormat::Lpa),
        _ if ds => Ok(AddressFormat::Lpa2),
        _ => Ok(AddressFormat::Bits48),
    }
}

/// The physical address size, as far as descriptors can hold it.
pub(crate) const fn output_bits(pa_bits: u8, format: AddressFormat) -> u8 {
    match format {
        AddressFormat::Bits48 if pa_bits > 48 => 48,
        _ => pa_bits,
    }
}

/// The smallest address space in bits (AArch64.MaxTxSZ, DDI 0487 K.a).
pub(crate) const fn least_input_bits(granule: Granule, features: &Features) -> u8 {
    match granule {
        _ if !features.ttst => 25,
        Granule::K4 | Granule::K16 => 16,
        Granule::K64 => 17,
    }
}

/// The PS encoding of an output size.
pub(super) const fn ps(output_bits: u8) -> u64 {
    let mut encoding = 0;
    while PA_SIZES[encoding] != output_bits {
        encoding += 1;
    }
    encoding as u64
}
