//! A guest's Stage-2: which configurations are legal, and what they come to.

use super::features::Features;
use super::granule::{Granule, Level};
use super::shape::{AddressFormat, Shape};
use crate::addr::{Ipa, IpaRange};

/// IPA size in bits of a guest for which nothing else is asked: as much as KVM
/// has always given, so that guests need not know.
pub const DEFAULT_IPA_BITS: u8 = 40;

/// The IPA size in bits where nothing else is asked, on a machine with this
/// physical address size.
#[must_use]
pub const fn default_ipa_bits(pa_bits: u8) -> u8 {
    if pa_bits < DEFAULT_IPA_BITS {
        pa_bits
    } else {
        DEFAULT_IPA_BITS
    }
}

/// What a VM's tables are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Translation granule.
    pub granule: Granule,
    /// Size of the guest's address space in bits.
    pub ipa_bits: u8,
    /// Physical address size of the machine in bits, as PARange states it.
    pub pa_bits: u8,
    /// Level of the root, or `None` for the fewest levels.
    pub start_level: Option<i8>,
    /// The 52-bit descriptor format of the 4K and 16K granules (`VTCR_EL2.DS`).
    pub ds: bool,
    /// Whether leaves that lie together carry the contiguous hint.
    pub contiguous: bool,
    /// Whether walks snoop the data caches of this CPU.
    pub coherent_walks: bool,
    /// What the machine implements.
    pub features: Features,
}

/// Why no tables can have this configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// PARange cannot state this physical address size.
    PaSize(u8),
    /// The machine has no 52-bit descriptor format (DS) for this granule.
    Ds(Granule),
    /// The IPA size is below what the machine allows (AArch64.MaxTxSZ), or
    /// above the physical address size or what descriptors can hold
    /// (AArch64.S2MinTxSZ).
    IpaSize(u8),
    /// The machine has no such start level for the granule
    /// (AArch64.S2InvalidSL), or the IPA size does not give it 2 entries to 16
    /// tables (AArch64.S2InconsistentSL).
    StartLevel(i8),
    /// No start level fits.
    NoStartLevel,
}

/// A guest's Stage-2. Proves that the configuration is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    shape: Shape,
    contiguous: bool,
    coherent_walks: bool,
    features: Features,
}

/// Sizes in bits that `ID_AA64MMFR0_EL1.PARange` and `VTCR_EL2.PS` encode, in
/// the order of their encodings.
pub(super) const PA_SIZES: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

impl Geometry {
    /// The Stage-2 for a configuration.
    ///
    /// # Errors
    /// The first reason why the architecture refuses it.
    pub fn new(configuration: &Configuration) -> Result<Geometry, GeometryError> {
        if !PA_SIZES.contains(&configuration.pa_bits) {
            return Err(GeometryError::PaSize(configuration.pa_bits));
        }
        if configuration.ds && !has_lpa2(configuration) {
            return Err(GeometryError::Ds(configuration.granule));
        }
        let format = address_format(configuration);
        let ipa_sizes = least_ipa_bits(configuration)..=most_bits(configuration, format);
        if !ipa_sizes.contains(&configuration.ipa_bits) {
            return Err(GeometryError::IpaSize(configuration.ipa_bits));
        }
        let shape = match configuration.start_level {
            Some(level) => {
                shape_from(configuration, format, level).ok_or(GeometryError::StartLevel(level))?
            }
            // The highest number has the fewest levels.
            None => (-1..=3)
                .rev()
                .find_map(|level| shape_from(configuration, format, level))
                .ok_or(GeometryError::NoStartLevel)?,
        };
        Ok(Geometry {
            shape,
            contiguous: configuration.contiguous,
            coherent_walks: configuration.coherent_walks,
            features: configuration.features,
        })
    }

    /// The shape of the tables.
    #[inline]
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The granule.
    #[inline]
    #[must_use]
    pub const fn granule(&self) -> Granule {
        self.shape.granule()
    }

    /// Whether leaves that lie together carry the contiguous hint.
    #[inline]
    #[must_use]
    pub const fn contiguous(&self) -> bool {
        self.contiguous
    }

    /// Whether walks snoop the data caches.
    #[inline]
    #[must_use]
    pub const fn coherent_walks(&self) -> bool {
        self.coherent_walks
    }

    /// What the machine implements.
    #[inline]
    #[must_use]
    pub const fn features(&self) -> &Features {
        &self.features
    }

    /// Whether hardware records writes in the leaves (`VTCR_EL2.HD`).
    #[inline]
    #[must_use]
    pub const fn hardware_dirty(&self) -> bool {
        self.features.haf && self.features.hd
    }

    /// Size of the guest's address space in bytes.
    #[must_use]
    pub const fn ipa_limit(&self) -> u64 {
        1 << self.shape.input_bits()
    }

    /// The guest's whole address space.
    #[must_use]
    pub const fn ipa_space(&self) -> IpaRange {
        IpaRange::up_to(Ipa::new(self.ipa_limit()))
    }
}

const fn has_lpa2(configuration: &Configuration) -> bool {
    match configuration.granule {
        Granule::K4 => configuration.features.lpa2_4k,
        Granule::K16 => configuration.features.lpa2_16k,
        // Its 52-bit format is FEAT_LPA's and has no switch.
        Granule::K64 => false,
    }
}

/// FEAT_LPA comes with a PARange of 52 bits, and only with it.
const fn address_format(configuration: &Configuration) -> AddressFormat {
    match configuration.granule {
        Granule::K64 if configuration.pa_bits == 52 => AddressFormat::Lpa,
        _ if configuration.ds => AddressFormat::Lpa2,
        _ => AddressFormat::Bits48,
    }
}

/// AArch64.MaxTxSZ (DDI 0487 K.a).
const fn least_ipa_bits(configuration: &Configuration) -> u8 {
    match configuration.granule {
        _ if !configuration.features.ttst => 25,
        Granule::K4 | Granule::K16 => 16,
        Granule::K64 => 17,
    }
}

/// The physical address size, as far as descriptors can hold it; also the
/// largest IPA size (AArch64.S2MinTxSZ, DDI 0487 K.a).
const fn most_bits(configuration: &Configuration, format: AddressFormat) -> u8 {
    match format {
        AddressFormat::Bits48 if configuration.pa_bits > 48 => 48,
        _ => configuration.pa_bits,
    }
}

fn shape_from(configuration: &Configuration, format: AddressFormat, level: i8) -> Option<Shape> {
    if !is_start_level(configuration, level) {
        return None;
    }
    let output_bits = most_bits(configuration, format);
    let (granule, ipa_bits) = (configuration.granule, configuration.ipa_bits);
    Shape::new(granule, Level::new(level)?, ipa_bits, output_bits, format)
}

/// AArch64.S2InvalidSL (DDI 0487 K.a).
const fn is_start_level(configuration: &Configuration, level: i8) -> bool {
    let (ds, pa_bits) = (configuration.ds, configuration.pa_bits);
    match (configuration.granule, level) {
        (Granule::K4, 1 | 2) | (Granule::K16 | Granule::K64, 2 | 3) => true,
        (Granule::K4, 3) => configuration.features.ttst,
        (Granule::K4, 0) | (Granule::K64, 1) => pa_bits >= 44,
        (Granule::K16, 1) => pa_bits >= 42,
        (Granule::K4, -1) | (Granule::K16, 0) => ds,
        _ => false,
    }
}
