//! Subtrees that are built out of any walker's reach, and linked or given back.
//! Section B.

use super::editor::Editor;
use super::error::Error;
use super::fill::largest_leaf;
use super::map::Leaves;
use super::{Guest, Mapping, Stage2, check};
use crate::addr::{Ipa, IpaRange};
use crate::cpu::Cpu;
use crate::descriptor::Descriptor;
use crate::geometry::{Granule, Level};
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Slot, Table};

/// A table that no entry leads to yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Built {
    table: Table,
    /// First address that it maps, and the level of the entry that it is for.
    ipa: Ipa,
    level: Level,
}

impl Stage2<'_> {
    /// Builds a table, with all tables below it, that maps what one entry of `level`
    /// covers, without linking it; `mapping.bytes` is ignored. Clauses B1 and B2.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Busy`, `Level`, `Range`, `BeyondOutputSize`, `Attributes`
    /// or `Denied`; `NoPages` with `done` 0 where the cache holds fewer pages than the
    /// tables are.
    pub fn build<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        mapping: &Mapping,
        level: i8,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            if guest.built.is_some() {
                return Err(Error::Busy);
            }
            let plan = Plan::checked(guest, mapping, level)?;
            if u64::from(cpu.cached()) < plan.tables {
                let need = u16::try_from(plan.tables).unwrap_or(u16::MAX);
                return Err(Error::NoPages { done: 0, need });
            }
            let mut editor = Editor::new(cpu, &guest.space);
            guest.built = editor.build(&plan);
            editor.finish();
            Ok(())
        })
    }

    /// Puts the table that was built into its entry, in the place of what is there.
    /// Clause B3.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `NothingBuilt` or `NoPath`.
    pub fn link<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            let built = guest.built.ok_or(Error::NothingBuilt)?;
            let mut editor = Editor::new(cpu, &guest.space);
            editor.link_built(&built)?;
            editor.finish();
            guest.built = None;
            Ok(())
        })
    }

    /// Gives the pages of the table that was built back. Clause B4.
    ///
    /// # Errors
    /// `NoSpace`, `Dying` or `NothingBuilt`.
    pub fn discard<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            if guest.built.is_none() {
                return Err(Error::NothingBuilt);
            }
            let mut editor = Editor::without_reports(cpu, &guest.space);
            editor.discard(&mut guest.built);
            editor.finish();
            Ok(())
        })
    }
}

/// What is to be built, and of how many tables.
struct Plan {
    ipa: Ipa,
    level: Level,
    leaf_level: Level,
    leaves: Leaves,
    tables: u64,
}

impl Plan {
    /// Clause B1, from the level on.
    fn checked(guest: &Guest<'_>, mapping: &Mapping, level: i8) -> Result<Plan, Error> {
        let shape = guest.space.geometry.shape();
        let level = Level::new(level)
            .filter(|&level| level >= shape.start() && level < Level::PAGE)
            .ok_or(Error::Level(level))?;
        let bytes = shape.entry_bytes(level);
        let Mapping {
            ipa,
            pa,
            pages_only,
            ..
        } = *mapping;
        check::alignment(&[ipa.raw(), pa.raw()], bytes, bytes)?;
        let checked = check::placement(guest, &Mapping { bytes, ..*mapping })?;
        let largest = largest_leaf(&guest.space, bytes, pages_only);
        let leaf_level = largest.max(level.below());
        Ok(Plan {
            ipa,
            level,
            leaf_level,
            leaves: Leaves::new(ipa, pa, checked.attributes),
            tables: tables(guest.space.geometry.granule(), level, leaf_level),
        })
    }
}

/// Tables below an entry of `level`, down to those that hold the leaves.
fn tables(granule: Granule, level: Level, leaf_level: Level) -> u64 {
    let mut on_level = 1;
    let mut tables = 1;
    let mut level = level.below();
    // At most three times, from 8192 entries a table at level 2, or 512 at level 0.
    while level < leaf_level {
        on_level *= u64::from(granule.entries());
        tables += on_level;
        level = level.below();
    }
    tables
}

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// Builds what the cache was checked to hold pages for.
    fn build(&mut self, plan: &Plan) -> Option<Built> {
        let bytes = self.space.geometry.shape().entry_bytes(plan.level);
        let covered = IpaRange::between(plan.ipa, plan.ipa.forward(bytes));
        plan.leaves.maintain(self, plan.leaf_level, covered);
        let table = self.build_table(plan, plan.level.below(), plan.ipa)?;
        Some(Built {
            table,
            ipa: plan.ipa,
            level: plan.level,
        })
    }

    fn build_table(&mut self, plan: &Plan, level: Level, ipa: Ipa) -> Option<Table> {
        let page = self.new_table()?;
        let table = Table { page, level };
        let shape = self.space.geometry.shape();
        let covered = IpaRange::between(ipa, ipa.forward(shape.table_bytes(level)));
        let run = Run::new(shape, table, covered);
        let entries = run.whole_entries();
        if level == plan.leaf_level {
            plan.leaves.store(self, &run, entries);
        } else {
            let mut slot = Slot::of(&run, 0);
            for _ in 0..entries {
                let below = self.build_table(plan, level.below(), slot.ipa)?;
                let link = self.space.format.table(below.page);
                self.space.tables.make(self.cpu.platform(), slot.at, link);
                slot = slot.next(&run);
            }
        }
        // The whole table is cleaned below.
        self.made(&run, 0, entries);
        self.space.tables.clean_table(self.cpu.platform(), page);
        Some(table)
    }

    fn link_built(&mut self, built: &Built) -> Result<(), Error> {
        let platform = self.cpu.platform();
        let (run, found) = self
            .space
            .tables
            .descend_to(platform, built.ipa, built.level);
        if run.table().level != built.level {
            return Err(Error::NoPath(built.ipa));
        }
        if found == Descriptor::INVALID {
            self.cpu.pages().add_references(run.table().page, 1);
        } else {
            self.isolate(run.range(), |_, _| true);
            self.remove_entry(&run, Slot::of(&run, 0), found, Descriptor::INVALID);
            self.stored_in(&run, 1);
            self.flush();
        }
        self.make(run.at(), self.space.format.table(built.table.page));
        Ok(())
    }

    /// Gives back what was built, if anything was, with the next flush. No walker can
    /// have held it.
    pub(super) fn discard(&mut self, built: &mut Option<Built>) {
        if let Some(built) = built.take() {
            self.retire(built.table);
        }
    }
}
