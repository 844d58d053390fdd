//! One guest's tables: beside what `tables` has for every regime, how entries change
//! that hardware may change too. What operations do with them is in `editor` and in the
//! files beside it.

use crate::addr::Pa;
use crate::cpu::Registers;
use crate::descriptor::{Descriptor, Format};
use crate::geometry::Geometry;
use crate::platform::Platform;
use crate::tables::Tables;

/// The tables of a guest that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) geometry: Geometry,
    pub(super) format: Format,
    pub(super) tables: Tables,
    pub(super) registers: Registers,
}

impl Space {
    /// Exchanges an entry that holds `old` for `new`. Where hardware has changed it
    /// since it was read, the error is what it holds, and nothing has changed (H4).
    #[inline]
    pub(super) fn exchange<P: Platform>(
        &self,
        platform: &P,
        at: Pa,
        old: Descriptor,
        new: Descriptor,
    ) -> Result<(), Descriptor> {
        if self.is_updated_by_hardware() {
            let exchanged = platform.compare_exchange(at, old.raw(), new.raw());
            return exchanged.map_err(Descriptor::from_raw);
        }
        self.tables.make(platform, at, new);
        Ok(())
    }

    /// Stores an invalid descriptor over an entry that was read as `found`, and
    /// returns what it held in the end: hardware may have set flags since (H4).
    #[inline]
    pub(super) fn break_entry<P: Platform>(
        &self,
        platform: &P,
        at: Pa,
        found: Descriptor,
        invalid: Descriptor,
    ) -> Descriptor {
        if self.is_updated_by_hardware() && found.is_valid() {
            return Descriptor::from_raw(platform.swap(at, invalid.raw()));
        }
        platform.store(at, invalid.raw());
        found
    }

    /// Whether hardware changes valid descriptors on its own (H1).
    #[inline]
    pub(super) const fn is_updated_by_hardware(&self) -> bool {
        self.geometry.features().haf
    }

    /// Whether leaves may carry the contiguous hint (O1 and O3).
    #[inline]
    pub(super) const fn uses_contiguous(&self) -> bool {
        self.geometry.contiguous() && !self.is_updated_by_hardware()
    }
}
