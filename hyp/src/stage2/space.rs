//! One guest's tables: how single entries are found, read, made and cleaned. What
//! operations do with them is in `editor` and in the files beside it.

use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Registers;
use crate::descriptor::{Descriptor, Format, Kind};
use crate::geometry::{Geometry, Level};
use crate::platform::Platform;
use crate::walk::{Run, Table, root_page};

/// The tables of a guest that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) geometry: Geometry,
    pub(super) format: Format,
    pub(super) root: Pa,
    pub(super) registers: Registers,
}

impl Space {
    /// Reads an entry, once.
    #[inline]
    pub(super) fn read<P: Platform>(&self, platform: &P, at: Pa) -> Descriptor {
        Descriptor::from_raw(platform.load(at))
    }

    /// The table below an entry.
    #[inline]
    pub(super) fn child(&self, table: Descriptor, level: Level) -> Table {
        Table {
            page: self.format.address(table),
            level: level.below(),
        }
    }

    /// Makes an entry that was invalid, or broken and invalidated.
    #[inline]
    pub(super) fn make<P: Platform>(&self, platform: &P, at: Pa, descriptor: Descriptor) {
        // A release: whoever sees the entry sees what was written before it, the
        // table that it leads to or the contents of the page.
        platform.store_release(at, descriptor.raw());
    }

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
        self.make(platform, at, new);
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

    /// Cleans `bytes` of a table for a walker that does not snoop this CPU's
    /// caches; nothing where walkers do. Complete by the next `barrier`.
    #[inline]
    pub(super) fn clean<P: Platform>(&self, platform: &P, at: Pa, bytes: u64) {
        if !self.geometry.coherent_walks() {
            clean(platform, at, bytes);
        }
    }

    /// Cleans a whole table that is not linked yet, and waits for it: a walker
    /// that finds the link must find the table in memory.
    pub(super) fn clean_table<P: Platform>(&self, platform: &P, at: Pa) {
        if !self.geometry.coherent_walks() {
            clean(platform, at, self.geometry.granule().bytes());
            self.barrier(platform);
        }
    }

    /// Waits until every walker sees what was stored.
    pub(super) fn barrier<P: Platform>(&self, platform: &P) {
        if self.geometry.coherent_walks() {
            platform.dsb_ishst();
        } else {
            // A DSB for stores alone does not wait for cleans.
            platform.dsb_ish();
        }
    }

    /// Follows tables from the root to the entry that covers `ipa`, at `lowest` or
    /// where no table leads on: a run that begins with this entry and ends with it,
    /// and what it holds.
    pub(super) fn descend_to<P: Platform>(
        &self,
        platform: &P,
        ipa: Ipa,
        lowest: Level,
    ) -> (Run, Descriptor) {
        let shape = self.geometry.shape();
        let page = root_page(shape, self.root, ipa);
        let level = shape.start();
        let mut table = Table { page, level };
        loop {
            let run = Run::new(shape, table, self.entry_range(table.level, ipa));
            let found = self.read(platform, run.at());
            if table.level == lowest || found.kind(table.level) != Kind::Table {
                return (run, found);
            }
            table = self.child(found, table.level);
        }
    }

    /// What the entry of `level` that covers `ipa` covers.
    fn entry_range(&self, level: Level, ipa: Ipa) -> IpaRange {
        let bytes = self.geometry.shape().entry_bytes(level);
        let start = ipa.align_down(bytes);
        IpaRange::between(start, start.forward(bytes))
    }

    /// The page that holds an IPA below the IPA size.
    pub(super) fn page_around(&self, ipa: Ipa) -> IpaRange {
        self.entry_range(Level::PAGE, ipa)
    }
}

/// Cleans memory to the point of coherency.
fn clean<P: Platform>(platform: &P, at: Pa, bytes: u64) {
    let line_bytes = platform.cache_line_bytes();
    let end = at.forward(bytes);
    let mut line = at.align_down(line_bytes);
    while line < end {
        platform.dc_cvac(line);
        line = line.forward(line_bytes);
    }
}
