//! A guest's Stage-2: which configurations are legal, and what they come to.

use super::features::Features;
use super::granule::{Granule, Level};
use super::shape::{AddressFormat, Shape};
use super::sizes::{address_format, least_input_bits, output_bits};
use super::state::ExecutionState;
use crate::aarch32;
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
    /// In which state the hypervisor executes.
    pub state: ExecutionState,
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
    /// Whether leaves that lie together carry the contiguous hint; of no effect with
    /// `Features::haf` (contract, O3).
    pub contiguous: bool,
    /// Whether walks snoop the data caches of this CPU.
    pub coherent_walks: bool,
    /// What the machine implements.
    pub features: Features,
}

/// Why no tables can have this configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// PARange cannot state this physical address size, or AArch32 has another.
    PaSize(u8),
    /// AArch32 has no such granule.
    Granule(Granule),
    /// AArch32 has none of these.
    Features(Features),
    /// The machine has no 52-bit descriptor format (DS) for this granule.
    Ds(Granule),
    /// The size of the address space is below what the machine allows
    /// (AArch64.MaxTxSZ), or above what descriptors can hold or, of IPAs, the
    /// physical address size (AArch64.S2MinTxSZ).
    IpaSize(u8),
    /// The machine has no such start level for the granule
    /// (AArch64.S2InvalidSL), or the IPA size does not give it 2 entries to 16
    /// tables (AArch64.S2InconsistentSL). Of EL2's own tables: not the level that
    /// the VA size gives.
    StartLevel(i8),
    /// No start level fits.
    NoStartLevel,
}

/// A guest's Stage-2. Proves that the configuration is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    state: ExecutionState,
    shape: Shape,
    contiguous: bool,
    coherent_walks: bool,
    features: Features,
}

impl Geometry {
    /// The Stage-2 for a configuration.
    ///
    /// # Errors
    /// The first reason why the architecture refuses it.
    pub fn new(configuration: &Configuration) -> Result<Geometry, GeometryError> {
        let shape = match configuration.state {
            ExecutionState::Aarch64 => aarch64_shape(configuration)?,
            ExecutionState::Aarch32 => aarch32::stage2_shape(configuration)?,
        };
        Ok(Geometry {
            state: configuration.state,
            shape,
            contiguous: configuration.contiguous,
            coherent_walks: configuration.coherent_walks,
            features: configuration.features,
        })
    }

    /// In which state the hypervisor executes.
    #[must_use]
    pub const fn state(&self) -> ExecutionState {
        self.state
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

    /// Whether the configuration asks for the contiguous hint, which leaves have only
    /// without `Features::haf` (O3).
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

fn aarch64_shape(configuration: &Configuration) -> Result<Shape, GeometryError> {
    let Configuration {
        granule,
        ipa_bits,
        pa_bits,
        ds,
        ..
    } = *configuration;
    let format = address_format(granule, pa_bits, ds, &configuration.features)?;
    let least = least_input_bits(granule, &configuration.features);
    // AArch64.S2MinTxSZ (DDI 0487 K.a): no more than physical addresses have.
    if !(least..=output_bits(pa_bits, format)).contains(&ipa_bits) {
        return Err(GeometryError::IpaSize(ipa_bits));
    }
    start_of(configuration.start_level, |level| {
        shape_from(configuration, format, level)
    })
}

/// The shape from the start level that is asked for, or from the highest number that
/// has one, which has the fewest levels.
pub(crate) fn start_of(
    asked: Option<i8>,
    shape: impl Fn(i8) -> Option<Shape>,
) -> Result<Shape, GeometryError> {
    match asked {
        Some(level) => shape(level).ok_or(GeometryError::StartLevel(level)),
        None => (-1..=3)
            .rev()
            .find_map(shape)
            .ok_or(GeometryError::NoStartLevel),
    }
}

fn shape_from(configuration: &Configuration, format: AddressFormat, level: i8) -> Option<Shape> {
    if !is_start_level(configuration, level) {
        return None;
    }
    let output_bits = output_bits(configuration.pa_bits, format);
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
