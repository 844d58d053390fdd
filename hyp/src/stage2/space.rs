//! One guest's tables: how single entries are read, linked, broken and made.
//! What a whole operation does with them is in the files beside this one.

use super::invalidate::Invalidation;
use crate::addr::{Ipa, Pa, PaRange};
use crate::cpu::{Cpu, Registers};
use crate::descriptor::{Descriptor, Format, Kind};
use crate::geometry::{Geometry, Level};
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Table};

/// The tables of a guest that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space<'a> {
    pub(super) geometry: Geometry,
    pub(super) format: Format,
    pub(super) root: Pa,
    pub(super) registers: Registers,
    /// Physical memory that no guest may be given.
    pub(super) denied: &'a [PaRange],
}

impl Space<'_> {
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

    /// Breaks an entry; `pending` is told by the caller what was there.
    #[inline]
    pub(super) fn break_entry<P: Platform>(&self, platform: &P, at: Pa) {
        platform.store(at, Descriptor::INVALID.raw());
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
    pub(super) fn clean_table<P: Platform>(&self, platform: &P, at: Pa, bytes: u64) {
        if !self.geometry.coherent_walks() {
            clean(platform, at, bytes);
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

    /// Takes a page from the cache as an empty table. The caller has checked
    /// that the cache holds one.
    fn new_table<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) -> Option<Pa> {
        let page = cpu.take_page()?;
        cpu.platform().zero(page, self.geometry.granule().bytes());
        Some(page)
    }

    /// Links an empty table into the invalid first entry of `run`.
    pub(super) fn link_table<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        run: &Run,
    ) -> Option<Table> {
        let page = self.new_table(cpu)?;
        self.clean_table(cpu.platform(), page, self.geometry.granule().bytes());
        self.make(cpu.platform(), run.at(), self.format.table(page));
        self.clean(cpu.platform(), run.at(), DESCRIPTOR_BYTES);
        cpu.pages().add_references(run.table().page, 1);
        Some(Table {
            page,
            level: run.table().level.below(),
        })
    }

    /// Replaces the block in the first entry of `run` by a table of entries of
    /// the next level that map the same. What `pending` holds is invalidated
    /// along with the block.
    pub(super) fn split<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        run: &Run,
        block: Descriptor,
        pending: &mut Invalidation,
    ) -> Option<Table> {
        let page = self.new_table(cpu)?;
        let level = run.table().level.below();
        self.fill(cpu.platform(), page, level, block);
        cpu.pages()
            .add_references(page, self.geometry.granule().entries());
        self.clean_table(cpu.platform(), page, self.geometry.granule().bytes());

        self.break_entry(cpu.platform(), run.at());
        self.clean(cpu.platform(), run.at(), DESCRIPTOR_BYTES);
        pending.add_leaves(run.entry_start(), run.entry_bytes(), run.table().level);
        pending.flush(cpu, self);
        self.make(cpu.platform(), run.at(), self.format.table(page));
        self.clean(cpu.platform(), run.at(), DESCRIPTOR_BYTES);
        Some(Table { page, level })
    }

    /// Fills a table that is not linked yet with the parts of a block.
    fn fill<P: Platform>(&self, platform: &P, page: Pa, level: Level, block: Descriptor) {
        let attributes = self.format.attributes(block);
        let part_bytes = self.geometry.shape().entry_bytes(level);
        let mut pa = self.format.address(block);
        for index in 0..self.geometry.granule().entries() {
            let at = page.forward(u64::from(index) * DESCRIPTOR_BYTES);
            platform.store(at, self.format.leaf(level, pa, attributes).raw());
            pa = pa.forward(part_bytes);
        }
    }

    /// Hands the pages of a table that was unlinked, and of all tables below it,
    /// to `pending`, which releases them once it has invalidated.
    pub(super) fn retire<P: Platform, S: PageSource>(
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
        let mut valid_left = cpu.pages().references(table.page);
        let mut at = table.page;
        let end = table.page.forward(self.geometry.granule().bytes());
        while valid_left > 0 && at < end {
            let descriptor = self.read(cpu.platform(), at);
            match descriptor.kind(table.level) {
                Kind::Table => self.retire(cpu, self.child(descriptor, table.level), pending),
                Kind::Leaf => {}
                Kind::Invalid => {
                    at = at.forward(DESCRIPTOR_BYTES);
                    continue;
                }
            }
            valid_left -= 1;
            at = at.forward(DESCRIPTOR_BYTES);
        }
    }

    /// The block that `ipa` lies inside of, with its level and first IPA; `None`
    /// where `ipa` is an entry boundary of what is mapped there, or nothing is.
    pub(super) fn block_cut_at<P: Platform>(&self, platform: &P, ipa: Ipa) -> Option<Cut> {
        let mut level = self.geometry.shape().start();
        let mut page = crate::walk::root_page(self.geometry.shape(), self.root, ipa);
        while !ipa.is_aligned(self.geometry.shape().entry_bytes(level)) {
            let index = u64::from(self.geometry.shape().index(level, ipa));
            let descriptor = self.read(platform, page.forward(index * DESCRIPTOR_BYTES));
            match descriptor.kind(level) {
                Kind::Invalid => return None,
                Kind::Leaf => return Some(Cut { ipa, level }),
                Kind::Table => {
                    page = self.format.address(descriptor);
                    level = level.below();
                }
            }
        }
        None
    }
}

/// A block of `level` that a range begins or ends inside of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) ipa: Ipa,
    pub(super) level: Level,
}

/// Cleans memory to the point of coherency.
pub(super) fn clean<P: Platform>(platform: &P, at: Pa, bytes: u64) {
    let line_bytes = platform.cache_line_bytes();
    let end = at.forward(bytes);
    let mut line = at.align_down(line_bytes);
    while line < end {
        platform.dc_cvac(line);
        line = line.forward(line_bytes);
    }
}
