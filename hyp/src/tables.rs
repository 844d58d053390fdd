//! The tables of one address space as memory, in whatever regime: entries read, made
//! and broken, tables linked and given up, all of it cleaned where walkers need that.
//!
//! Left out: attributes and invalidation, which are each regime's own.

use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Addresses, Descriptor, Kind};
use crate::geometry::{Level, Shape};
use crate::invalidate::Invalidation;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Table, root_page};

/// The tables of an address space that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    pub(crate) shape: Shape,
    pub(crate) addresses: Addresses,
    pub(crate) root: Pa,
    pub(crate) coherent_walks: bool,
}

impl Tables {
    /// Makes the pages at `root` a root without entries, visible to every walker.
    pub(crate) fn new<P: Platform>(
        platform: &P,
        shape: Shape,
        root: Pa,
        coherent_walks: bool,
    ) -> Tables {
        let tables = Tables {
            shape,
            addresses: Addresses::new(&shape),
            root,
            coherent_walks,
        };
        platform.zero(root, shape.root_bytes());
        tables.clean(platform, root, shape.root_bytes());
        tables.barrier(platform);
        tables
    }

    /// Reads an entry, once.
    #[inline]
    pub(crate) fn read<P: Platform>(&self, platform: &P, at: Pa) -> Descriptor {
        Descriptor::from_raw(platform.load(at))
    }

    /// The table below an entry.
    #[inline]
    pub(crate) fn child(&self, table: Descriptor, level: Level) -> Table {
        Table {
            page: self.addresses.address(table),
            level: level.below(),
        }
    }

    /// Makes an entry that was invalid, or broken and invalidated.
    #[inline]
    pub(crate) fn make<P: Platform>(&self, platform: &P, at: Pa, descriptor: Descriptor) {
        // A release: whoever sees the entry sees what was written before it, the
        // table that it leads to or the contents of the page.
        platform.store_release(at, descriptor.raw());
    }

    /// Breaks an entry; the invalidation is the caller's.
    #[inline]
    pub(crate) fn break_entry<P: Platform>(&self, platform: &P, at: Pa) {
        platform.store(at, Descriptor::INVALID.raw());
    }

    /// Cleans `bytes` of a table for a walker that does not snoop this CPU's caches;
    /// nothing where walkers do. Complete by the next `barrier`.
    #[inline]
    pub(crate) fn clean<P: Platform>(&self, platform: &P, at: Pa, bytes: u64) {
        if !self.coherent_walks {
            clean(platform, at, bytes);
        }
    }

    /// Cleans a whole table that is not linked yet, and waits for it: a walker that
    /// finds the link must find the table in memory.
    pub(crate) fn clean_table<P: Platform>(&self, platform: &P, at: Pa) {
        if !self.coherent_walks {
            clean(platform, at, self.shape.granule().bytes());
            self.barrier(platform);
        }
    }

    /// Waits until every walker sees what was stored.
    pub(crate) fn barrier<P: Platform>(&self, platform: &P) {
        if self.coherent_walks {
            platform.dsb_ishst();
        } else {
            // A DSB for stores alone does not wait for cleans.
            platform.dsb_ish();
        }
    }

    /// Takes a page from the cache as an empty table, `None` where it holds none.
    pub(crate) fn new_table<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
    ) -> Option<Pa> {
        let page = cpu.take_page()?;
        cpu.platform().zero(page, self.shape.granule().bytes());
        Some(page)
    }

    /// Links an empty table into the invalid first entry of `run`; `None` if the cache
    /// holds no page for it.
    pub(crate) fn link_table<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        run: &Run,
    ) -> Option<Table> {
        let page = self.new_table(cpu)?;
        let platform = cpu.platform();
        self.clean_table(platform, page);
        self.make(platform, run.at(), self.addresses.table(page));
        self.clean(platform, run.at(), DESCRIPTOR_BYTES);
        cpu.pages().add_references(run.table().page, 1);
        Some(Table {
            page,
            level: run.table().level.below(),
        })
    }

    /// Hands the pages of a table that was unlinked, and of all tables below it, to
    /// `pending`, which releases them once it has invalidated.
    pub(crate) fn retire<P: Platform, S: PageSource>(
        &self,
        cpu: &Cpu<'_, P, S>,
        table: Table,
        pending: &mut Invalidation,
    ) {
        if table.level < Level::PAGE {
            self.retire_children(cpu, table, pending);
        }
        pending.retire(cpu.pages(), table.page);
    }

    fn retire_children<P: Platform, S: PageSource>(
        &self,
        cpu: &Cpu<'_, P, S>,
        table: Table,
        pending: &mut Invalidation,
    ) {
        let mut used = cpu.pages().references(table.page);
        let mut at = table.page;
        let end = table.page.forward(self.shape.granule().bytes());
        while used > 0 && at < end {
            let descriptor = self.read(cpu.platform(), at);
            if descriptor.kind(table.level) == Kind::Table {
                self.retire(cpu, self.child(descriptor, table.level), pending);
            }
            used -= u16::from(descriptor != Descriptor::INVALID);
            at = at.forward(DESCRIPTOR_BYTES);
        }
    }

    /// Follows tables from the root to the entry that covers `address`, at `lowest` or
    /// where no table leads on: a run that begins with this entry and ends with it,
    /// and what it holds.
    pub(crate) fn descend_to<P: Platform>(
        &self,
        platform: &P,
        address: Ipa,
        lowest: Level,
    ) -> (Run, Descriptor) {
        let page = root_page(&self.shape, self.root, address);
        let level = self.shape.start();
        let mut table = Table { page, level };
        loop {
            let run = Run::new(&self.shape, table, self.entry_range(table.level, address));
            let found = self.read(platform, run.at());
            if table.level == lowest || found.kind(table.level) != Kind::Table {
                return (run, found);
            }
            table = self.child(found, table.level);
        }
    }

    /// What the entry of `level` that covers `address` covers.
    fn entry_range(&self, level: Level, address: Ipa) -> IpaRange {
        let bytes = self.shape.entry_bytes(level);
        let start = address.align_down(bytes);
        IpaRange::between(start, start.forward(bytes))
    }

    /// The page that holds an address below the size of the address space.
    pub(crate) fn page_around(&self, address: Ipa) -> IpaRange {
        self.entry_range(Level::PAGE, address)
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
