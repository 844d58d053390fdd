//! The register fields that tell hardware about tables: what the control registers
//! of all regimes have in common, and those of a guest's Stage-2.

use super::granule::Granule;
use super::shape::{AddressFormat, Shape};
use super::sizes::ps;
use super::stage2::Geometry;
use super::state::ExecutionState;
use crate::aarch32;
use crate::addr::Pa;
use crate::vmid::Vmid;

const WRITE_BACK: u64 = 1;
const INNER_SHAREABLE: u64 = 3;
const IRGN0: u32 = 8;
const ORGN0: u32 = 10;
const SH0: u32 = 12;
const TG0: u32 = 14;
const PS: u32 = 16;
const VS: u64 = 1 << 19;
const HA: u64 = 1 << 21;
const HD: u64 = 1 << 22;
const RES1: u64 = 1 << 31;
const DS: u64 = 1 << 32;

/// How tables are walked: IRGN0, ORGN0 and SH0, in the same place in every control
/// register.
pub(crate) const WALKS: u64 = WRITE_BACK << IRGN0 | WRITE_BACK << ORGN0 | INNER_SHAREABLE << SH0;

/// TG0, PS and DS, which `VTCR_EL2` and `TCR_EL2` have in the same places.
pub(crate) const fn format_fields(shape: &Shape) -> u64 {
    let tg0 = match shape.granule() {
        Granule::K4 => 0,
        Granule::K64 => 1,
        Granule::K16 => 2,
    };
    let ds = if matches!(shape.address_format(), AddressFormat::Lpa2) {
        DS
    } else {
        0
    };
    tg0 << TG0 | ps(shape.output_bits()) << PS | ds
}

/// T0SZ of the registers of AArch64.
pub(crate) const fn t0sz(shape: &Shape) -> u64 {
    64 - shape.input_bits() as u64
}

/// The base address of a root as `VTTBR_EL2`, `TTBR0_EL2`, VTTBR and HTTBR hold it.
///
/// # Errors
/// `RootError` if the root is not aligned to its size or cannot be named.
pub(crate) const fn base_field(shape: &Shape, root: Pa) -> Result<u64, RootError> {
    let (bytes, limit) = (shape.root_bytes(), shape.pa_limit());
    if !root.is_aligned(bytes) {
        return Err(RootError::Misaligned(root));
    }
    if root.raw() >= limit || limit - root.raw() < bytes {
        return Err(RootError::BeyondOutputSize(root));
    }
    // AArch64.S1TTBaseAddress and S2TTBaseAddress: with an output size of 52 bits, and
    // with DS, BADDR[5:2] holds PA[51:48]. Without them there is no PA[51:48].
    let low = root.raw() & ((1 << 48) - 1);
    let high = root.raw() >> 48;
    Ok(low | high << 2)
}

/// Why no base register can name a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootError {
    /// Not aligned to the size of all its tables together.
    Misaligned(Pa),
    /// Part of it lies past the output size.
    BeyondOutputSize(Pa),
}

impl Geometry {
    /// `VTCR_EL2` for these tables, or VTCR.
    #[must_use]
    pub const fn vtcr(&self) -> u64 {
        match self.state() {
            ExecutionState::Aarch64 => {
                let shape = self.shape();
                t0sz(shape) | self.start_level_fields() | format_fields(shape) | self.switches()
            }
            ExecutionState::Aarch32 => aarch32::vtcr(self.shape()),
        }
    }

    /// `VTTBR_EL2.BADDR` for a root. With a VMID's field it makes the register.
    ///
    /// # Errors
    /// `RootError` if the root is not aligned to its size or cannot be named.
    pub const fn base_field(&self, root: Pa) -> Result<u64, RootError> {
        base_field(self.shape(), root)
    }

    /// `VTTBR_EL2.VMID` for a VMID, or `None` if the machine's are narrower.
    #[must_use]
    pub const fn vmid_field(&self, vmid: Vmid) -> Option<u64> {
        let number = vmid.number();
        if number > 0xff && !self.features().vmid16 {
            return None;
        }
        Some((number as u64) << 48)
    }

    /// SL0 and SL2 (AArch64.S2StartLevel).
    const fn start_level_fields(&self) -> u64 {
        let (sl2, sl0) = match (self.granule(), self.shape().start().number()) {
            (Granule::K4, -1) => (1, 0),
            (Granule::K4, 3) => (0, 3),
            (Granule::K4, level) => (0, 2 - level),
            (Granule::K16 | Granule::K64, level) => (0, 3 - level),
        };
        sl2 << 33 | (sl0.unsigned_abs() as u64) << 6
    }

    const fn switches(&self) -> u64 {
        let mut bits = RES1 | WALKS;
        if self.features().vmid16 {
            bits |= VS;
        }
        if self.features().haf {
            bits |= HA;
        }
        if self.hardware_dirty() {
            bits |= HD;
        }
        bits
    }
}
