//! EL2's own stage 1: which configurations are legal, and what its registers hold.
//! Clauses E1, E2 and Z3.

use crate::aarch32;
use crate::addr::Pa;
use crate::cpu::OwnRegisters;
use crate::descriptor::el2::MAIR;
use crate::geometry::registers::{WALKS, base_field, format_fields, t0sz};
use crate::geometry::sizes::{address_format, least_input_bits, output_bits};
use crate::geometry::{
    AddressFormat, ExecutionState, Features, GeometryError, Granule, Level, RootError, Shape,
};

/// `TCR_EL2` with HCR_EL2.E2H = 0.
const RES1: u64 = 1 << 31 | 1 << 23;

/// What EL2's own tables are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// In which state the hypervisor executes.
    pub state: ExecutionState,
    /// Translation granule.
    pub granule: Granule,
    /// Size of EL2's address space in bits. More than 48 with the 64K granule need
    /// FEAT_LVA, which is taken to come with a `pa_bits` of 52 (contract, E1).
    pub va_bits: u8,
    /// Physical address size of the machine in bits, as PARange states it.
    pub pa_bits: u8,
    /// Level of the root, which must be the one that the VA size gives, or `None`.
    pub start_level: Option<i8>,
    /// The 52-bit descriptor format of the 4K and 16K granules (`TCR_EL2.DS`).
    pub ds: bool,
    /// Whether walks snoop the data caches of this CPU.
    pub coherent_walks: bool,
    /// What the machine implements.
    pub features: Features,
}

/// EL2's own stage 1. Proves that the configuration is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    state: ExecutionState,
    shape: Shape,
    coherent_walks: bool,
    features: Features,
}

impl Geometry {
    /// The stage 1 for a configuration.
    ///
    /// # Errors
    /// The first reason why the architecture refuses it.
    pub fn new(configuration: &Configuration) -> Result<Geometry, GeometryError> {
        let Configuration {
            state,
            granule,
            va_bits,
            pa_bits,
            start_level,
            ds,
            coherent_walks,
            features,
        } = *configuration;
        if state == ExecutionState::Aarch32 {
            aarch32::check_machine(granule, pa_bits, ds, &features)?;
        }
        let format = address_format(granule, pa_bits, ds, &features)?;
        if !is_va_size(configuration, format) {
            return Err(GeometryError::IpaSize(va_bits));
        }
        let start = start_level_of(granule, va_bits);
        if let Some(asked) = start_level.filter(|&asked| asked != start) {
            return Err(GeometryError::StartLevel(asked));
        }
        let output_bits = output_bits(pa_bits, format);
        let shape = Level::new(start)
            .and_then(|start| Shape::new(granule, start, va_bits, output_bits, format))
            .ok_or(GeometryError::IpaSize(va_bits))?;
        Ok(Geometry {
            state,
            shape,
            coherent_walks,
            features,
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

    /// Size of EL2's address space in bytes.
    #[must_use]
    pub const fn va_limit(&self) -> u64 {
        1 << self.shape.input_bits()
    }

    /// Whether walks snoop the data caches.
    #[must_use]
    pub const fn coherent_walks(&self) -> bool {
        self.coherent_walks
    }

    /// What the machine implements.
    #[must_use]
    pub const fn features(&self) -> &Features {
        &self.features
    }

    /// The registers that select tables with this root: `MAIR_EL2`, `TCR_EL2` and
    /// `TTBR0_EL2`, or HMAIR0, HTCR and HTTBR.
    ///
    /// # Errors
    /// `RootError` if the root is not aligned to a page or cannot be named.
    pub const fn registers(&self, root: Pa) -> Result<OwnRegisters, RootError> {
        let ttbr0 = match base_field(&self.shape, root) {
            Ok(field) => field,
            Err(error) => return Err(error),
        };
        let tcr = match self.state {
            ExecutionState::Aarch64 => {
                t0sz(&self.shape) | WALKS | format_fields(&self.shape) | RES1
            }
            ExecutionState::Aarch32 => aarch32::htcr(&self.shape),
        };
        Ok(OwnRegisters {
            mair: MAIR,
            tcr,
            ttbr0,
        })
    }
}

/// AArch64.S1TxSZFaults (DDI 0487 K.a), without FEAT_LVA where physical addresses have
/// no 52 bits. The physical address size does not limit VAs otherwise.
fn is_va_size(configuration: &Configuration, format: AddressFormat) -> bool {
    let va_bits = configuration.va_bits;
    match configuration.state {
        ExecutionState::Aarch64 => {
            let most = match format {
                AddressFormat::Bits48 => 48,
                AddressFormat::Lpa | AddressFormat::Lpa2 => 52,
            };
            let least = least_input_bits(configuration.granule, &configuration.features);
            (least..=most).contains(&va_bits)
        }
        ExecutionState::Aarch32 => aarch32::is_va_size(va_bits),
    }
}

/// AArch64.S1StartLevel (DDI 0487 K.a): as few levels as resolve the VA. `va_bits` is
/// legal, so that it exceeds the page's.
fn start_level_of(granule: Granule, va_bits: u8) -> i8 {
    let levels_below = (va_bits - 1 - granule.shift()) / granule.stride();
    3_i8.saturating_sub_unsigned(levels_below)
}
