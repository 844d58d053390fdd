//! Splitting of blocks and marks: at the ends of a range (clause U6), in the way of
//! a smaller leaf (M11), and on request down to pages (T2).

use super::Stage2;
use super::editor::Editor;
use super::error::Error;
use super::space::Space;
use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Absence, Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Table, Visitor, walk};

impl Stage2<'_> {
    /// Splits every block that a range overlaps into pages, each of which is what
    /// the block was. Clause T2.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`; `NoPages` where the cache ran empty: the first
    /// `done` bytes are pages or nothing, and what was split stays split.
    pub fn split<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            let (shape, root) = (*editor.space.geometry.shape(), editor.space.tables.root);
            let stopped = walk(&shape, root, range, &mut SplitAll { editor });
            stopped.map_err(|at: Ipa| Error::NoPages {
                done: range.split_at(at).0.bytes(),
                need: 1,
            })
        })
    }
}

/// Splits blocks until there are only pages. Stops where the cache is empty, at the
/// first address that is not done.
struct SplitAll<'v, 'e, 'c, P, S> {
    editor: &'v mut Editor<'e, 'c, P, S>,
}

impl<P: Platform, S: PageSource> Visitor for SplitAll<'_, '_, '_, P, S> {
    type Stop = Ipa;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Ipa> {
        let level = run.table().level;
        while level < Level::PAGE && !run.range().is_empty() {
            let found = self.editor.read(run.at());
            match found.kind(level) {
                Kind::Table => return Ok(Some(self.editor.space.tables.child(found, level))),
                Kind::Leaf => {
                    let table = self.editor.split(run, found);
                    return table.map(Some).ok_or(run.range().start());
                }
                Kind::Invalid => run.skip(1),
            }
        }
        Ok(None)
    }

    fn leave(&mut self, _: &Run, _: Table) -> Result<(), Ipa> {
        Ok(())
    }
}

/// Which entries a range that cuts them splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cuts {
    /// Blocks and marks.
    All,
    /// Blocks alone.
    Blocks,
}

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// Splits what the ends of a range cut, on each level down to the lowest of
    /// which the cut address is an entry boundary.
    ///
    /// # Errors
    /// The pages that this needs, where the cache holds fewer; nothing has changed.
    pub(super) fn split_ends(&mut self, range: IpaRange, cuts: Cuts) -> Result<(), Error> {
        let need = pages_to_split(self.cpu.platform(), self.space, range, cuts);
        if self.cpu.cached() < u32::from(need) {
            let need = u16::from(need);
            return Err(Error::NoPages { done: 0, need });
        }
        self.split_at(range.start(), cuts);
        self.split_at(range.end(), cuts);
        Ok(())
    }

    fn split_at(&mut self, ipa: Ipa, cuts: Cuts) {
        while let Some(cut) = Cut::at(self.cpu.platform(), self.space, ipa, cuts) {
            if self.split(&cut.run, cut.found).is_none() {
                // Not reached: the cache was checked to hold what this takes.
                return;
            }
        }
    }

    /// Replaces the block or mark `found` in the first entry of `run` by a table of
    /// entries of the next level that say the same. `None`, and nothing has changed,
    /// where the cache is empty.
    pub(super) fn split(&mut self, run: &Run, found: Descriptor) -> Option<Table> {
        let page = self.new_table()?;
        let level = run.table().level.below();
        let entries = self.space.geometry.granule().entries();
        self.cpu.pages().add_references(page, entries);
        let table = Table { page, level };
        if found.is_contiguous() {
            // Clause O2: the rest of its group may not keep the hint.
            self.break_group(run);
        }
        let found = found.without_contiguous();
        if !found.is_valid() {
            self.fill(table, found);
            self.make(run.at(), self.space.format.table(page));
        } else if self.space.geometry.features().bbm >= 2 {
            self.split_in_place(run, table, found);
        } else {
            self.split_through_invalid(run, table, found);
        }
        Some(table)
    }

    /// Clause G4: block, invalid, table.
    fn split_through_invalid(&mut self, run: &Run, table: Table, block: Descriptor) {
        self.fill(table, block);
        let last = self.break_entry(run.at(), block, Descriptor::INVALID);
        self.stored_in(run, 1);
        self.add_block(run);
        self.flush();
        if last != block {
            // Nobody holds the table yet.
            self.fill(table, last);
        }
        self.make(run.at(), self.space.format.table(table.page));
    }

    /// FEAT_BBM at level 2: the table takes the place of the block at once, which is
    /// invalidated after it.
    fn split_in_place(&mut self, run: &Run, table: Table, mut block: Descriptor) {
        let link = self.space.format.table(table.page);
        self.fill(table, block);
        while let Err(now) = self
            .space
            .exchange(self.cpu.platform(), run.at(), block, link)
        {
            block = now;
            self.fill(table, block);
        }
        self.stored_in(run, 1);
        self.add_block(run);
        self.flush();
    }

    fn add_block(&mut self, run: &Run) {
        let level = run.table().level;
        self.pending
            .add_leaves(run.entry_start(), run.entry_bytes(), level);
    }

    /// Fills a table that is not linked with the parts of a block or mark.
    fn fill(&self, table: Table, whole: Descriptor) {
        let part_bytes = self.space.geometry.shape().entry_bytes(table.level);
        let mut pa = self.space.format.address(whole);
        for index in 0..self.space.geometry.granule().entries() {
            let at = table.page.forward(u64::from(index) * DESCRIPTOR_BYTES);
            let part = part(self.space, table.level, pa, whole);
            self.cpu.platform().store(at, part.raw());
            pa = pa.forward(part_bytes);
        }
        self.space
            .tables
            .clean_table(self.cpu.platform(), table.page);
    }
}

/// The part of a block or mark that an entry of `level` holds; `pa` is what it maps
/// to if the whole names memory.
fn part(space: &Space, level: Level, pa: Pa, whole: Descriptor) -> Descriptor {
    let leaf = || space.format.leaf(level, pa, space.format.attributes(whole));
    match whole.absence() {
        None => leaf(),
        Some(Absence::Soft) => leaf().softened(),
        Some(Absence::Owned(_) | Absence::Empty) => whole,
    }
}

/// A block or mark that an end of a range lies inside of.
struct Cut {
    ipa: Ipa,
    run: Run,
    found: Descriptor,
}

impl Cut {
    /// What `ipa` lies inside of; `None` where it is an entry boundary of what is
    /// there, or nothing is.
    fn at<P: Platform>(platform: &P, space: &Space, ipa: Ipa, cuts: Cuts) -> Option<Cut> {
        let boundary = boundary_level(space, space.geometry.shape().start(), ipa);
        if boundary == space.geometry.shape().start() {
            // Also where `ipa` is the end of the address space.
            return None;
        }
        let (run, found) = space.tables.descend_to(platform, ipa, boundary);
        let cut = match found.kind(run.table().level) {
            Kind::Table => false,
            Kind::Leaf => true,
            Kind::Invalid => cuts == Cuts::All && found != Descriptor::INVALID,
        };
        let whole = run.table().level == boundary;
        (cut && !whole).then_some(Cut { ipa, run, found })
    }

    fn level(&self) -> Level {
        self.run.table().level
    }

    /// Tables down to the level at which the cut is a boundary.
    fn pages(&self, space: &Space) -> u8 {
        let boundary = boundary_level(space, self.level(), self.ipa);
        self.level().distance_to(boundary)
    }
}

/// The first level from `level` downwards of which `ipa` is an entry boundary.
fn boundary_level(space: &Space, mut level: Level, ipa: Ipa) -> Level {
    while !ipa.is_aligned(space.geometry.shape().entry_bytes(level)) {
        level = level.below();
    }
    level
}

/// Tables that splitting takes at both ends of a range together.
fn pages_to_split<P: Platform>(platform: &P, space: &Space, range: IpaRange, cuts: Cuts) -> u8 {
    let start = Cut::at(platform, space, range.start(), cuts);
    let end = Cut::at(platform, space, range.end(), cuts);
    let pages = |cut: &Option<Cut>| cut.as_ref().map_or(0, |cut| cut.pages(space));
    pages(&start) + pages(&end) - shared_pages(space, start, end)
}

/// Tables that both cuts need: those that cover both addresses.
fn shared_pages(space: &Space, start: Option<Cut>, end: Option<Cut>) -> u8 {
    let (Some(start), Some(end)) = (start, end) else {
        return 0;
    };
    let most = start.pages(space).min(end.pages(space));
    let mut level = start.level();
    let mut shared = 0;
    while shared < most {
        let entry_bytes = space.geometry.shape().entry_bytes(level);
        if start.ipa.align_down(entry_bytes) != end.ipa.align_down(entry_bytes) {
            break;
        }
        shared += 1;
        level = level.below();
    }
    shared
}
