//! Stores: what they break, what they make, and what they link (G4, G5).

use super::Protocol;
use super::bbm::{self, Discipline, Valid};
use super::explain::{located, name};
use super::groups;
use super::pending::{Item, Progress};
use crate::descriptor::CONTIGUOUS;
use crate::ledger::{Broken, Live, Place, State, Tables, next_nonzero};
use crate::verdict::{Class, Finding};
use crate::walk::Entry;

/// A store event, or an exchange.
#[derive(Clone, Copy)]
pub(super) struct Store {
    pub(super) by: u8,
    pub(super) at: u64,
    pub(super) new: u64,
    pub(super) release: bool,
    /// An exchange, whose old value is what hardware left.
    pub(super) atomic: bool,
}

impl Protocol {
    pub(super) fn store(
        &mut self,
        store: Store,
        live: Option<Live>,
        tables: &Tables,
    ) -> Result<(), Finding> {
        let Store { by, at, .. } = store;
        if !self.coherent {
            let stretch = at..at.saturating_add(8);
            self.lines.write(tables, by, stretch, live.is_some());
        }
        self.cpus.get(by).has_stored = true;
        let Some(live) = live else {
            return self.store_apart(store, tables);
        };
        if !live.changed {
            return Ok(());
        }
        self.may_replace(store, &live, tables)?;
        self.half_done.broken(tables);
        let silent = live.replaced && bbm::needs_no_invalidation(live.old, live.descriptor);
        if !silent {
            self.broken(by, live.replaced, tables);
        }
        if live.entry == Entry::Invalid {
            return Ok(());
        }
        if !silent {
            self.cpus.get(by).unpublished = Some((at, live.place));
        }
        self.may_make(&live, tables)?;
        match live.entry {
            Entry::Table { .. } => self.may_link(store, live.place, tables),
            Entry::Leaf { .. } => {
                self.half_done.made(at, tables);
                self.hint(at, live.place, live.descriptor, tables)
            }
            Entry::Invalid => Ok(()),
        }
    }

    /// G4 and H4 for a descriptor that was valid.
    fn may_replace(&self, store: Store, live: &Live, tables: &Tables) -> Result<(), Finding> {
        if self.discipline == Discipline::Architecture {
            return Ok(());
        }
        let (at, place) = (store.at, live.place);
        let bytes = tables.format().entry_bytes(place.level);
        if live.replaced && !self.in_place.allows(live, tables) {
            let what = format!(
                "the level {} descriptor at {at:#x} changes from one valid value to another",
                place.level
            );
            let finding = Finding::new(Class::BreakBeforeMake, "G4", what);
            return Err(finding.at(place.vm, place.ipa, bytes));
        }
        let was_valid = || tables.entry(place.level, live.old) != Entry::Invalid;
        if !store.atomic && tables.format().is_updated_by_hardware() && was_valid() {
            return Err(not_atomic(at, place).at(place.vm, place.ipa, bytes));
        }
        Ok(())
    }

    /// O1 for a leaf that is made.
    fn hint(&mut self, at: u64, place: Place, leaf: u64, tables: &Tables) -> Result<(), Finding> {
        if !self.judges_groups() || leaf & CONTIGUOUS == 0 {
            return Ok(());
        }
        if tables.format().group_bits(place.level).is_none() {
            let what = format!(
                "the contiguous bit is set at level {}, which ignores it",
                place.level
            );
            let finding = Finding::new(Class::WrongAttributes, "O1", what);
            return Err(finding.at(place.vm, place.ipa, 0));
        }
        self.groups.touch(tables.format(), at, place, false);
        Ok(())
    }

    /// A store to a page that is in no table, or in none any more.
    fn store_apart(&mut self, store: Store, tables: &Tables) -> Result<(), Finding> {
        let Some(number) = tables.number(store.at) else {
            return Ok(());
        };
        if tables.state(number) != State::Unlinked {
            self.half_done.write(number, store.by, self.now);
            return Ok(());
        }
        let place = tables.entry_place(number, store.at);
        if tables.entry(place.level, store.new) == Entry::Invalid {
            return Ok(());
        }
        match self.holder(tables, tables.place(number)) {
            None => Ok(()),
            Some((vmid, item, progress)) => {
                let (_, why) = self.explain(vmid, progress);
                let what = format!(
                    "{:#x} is stored to an unlinked level {} table while walkers may hold {}: {why}",
                    store.new,
                    place.level,
                    name(&item)
                );
                let finding = Finding::new(Class::TornUpdate, "G10", what);
                Err(finding.at(place.vm, place.ipa, 0))
            }
        }
    }

    /// The descriptor through which walkers may still hold an unlinked table, and the
    /// VMID.
    pub(super) fn holder(&self, tables: &Tables, table: Place) -> Option<(u16, Item, Progress)> {
        let mut spaces = self.spaces.iter();
        let space = spaces.find(|space| space.vm == table.vm)?;
        if space.pending.is_empty() {
            return None;
        }
        let (item, progress) = space.pending.open_above(tables.format(), table)?;
        Some((space.vmid, item, progress))
    }

    pub(super) fn zero(
        &mut self,
        by: u8,
        at: u64,
        bytes: u64,
        tables: &Tables,
    ) -> Result<(), Finding> {
        self.cpus.get(by).has_stored = true;
        self.half_done.broken(tables);
        let last = at.saturating_add(bytes.saturating_sub(1));
        if let (Some(first), Some(last)) = (tables.number(at), tables.number(last)) {
            for number in first..=last {
                self.half_done.write(number, by, self.now);
            }
        }
        if !self.coherent {
            let state = tables.number(at).map(|number| tables.state(number));
            let reachable =
                matches!(state, Some(State::Linked { .. })) || !tables.broken().is_empty();
            let stretch = at..at.saturating_add(bytes.max(1));
            self.lines.write(tables, by, stretch, reachable);
        }
        self.broken(by, false, tables);
        match tables.broken().first() {
            Some(Broken { at, place, .. })
                if self.discipline == Discipline::Contract
                    && tables.format().is_updated_by_hardware() =>
            {
                Err(not_atomic(*at, *place).at(place.vm, place.ipa, 0))
            }
            _ => Ok(()),
        }
    }

    fn broken(&mut self, by: u8, in_place: bool, tables: &Tables) {
        let (format, in_groups) = (tables.format(), self.judges_groups());
        for broken in tables.broken() {
            let mut spaces = self.spaces.iter_mut();
            let Some(space) = spaces.find(|space| space.vm == broken.place.vm) else {
                continue;
            };
            let mut group = None;
            if in_groups && !broken.table {
                group = groups::region(format, broken.place, broken.descriptor);
            }
            if group.is_some() {
                self.groups.touch(format, broken.at, broken.place, true);
            }
            let when = (by, self.now);
            space.pending.push(broken, when, in_place, group);
        }
    }

    /// Nothing that must not meet the new descriptor, or the leaves of the tables that
    /// it links, may still be held.
    fn may_make(&self, live: &Live, tables: &Tables) -> Result<(), Finding> {
        let mut spaces = self.spaces.iter();
        let of_vm = spaces.find(|space| space.vm == live.place.vm);
        if of_vm.is_none_or(|space| space.pending.is_empty()) {
            return Ok(());
        }
        self.may_meet(live.place, live.descriptor, tables)?;
        if self.discipline == Discipline::Contract {
            // Each leaf of the new table lies under the entry that links it, and maps what
            // the block mapped that it takes the place of.
            return self.may_join(live.place, tables);
        }
        for &number in tables.joined() {
            let mut from = 0;
            while let Some((index, descriptor)) = next_nonzero(tables.contents(number), from) {
                from = index + 1;
                let at = tables.address(number) + 8 * index as u64;
                self.may_meet(tables.entry_place(number, at), descriptor, tables)?;
            }
        }
        Ok(())
    }

    /// G4, or R_WHZWS, for one descriptor.
    fn may_meet(&self, place: Place, descriptor: u64, tables: &Tables) -> Result<(), Finding> {
        let mut spaces = self.spaces.iter();
        let Some(space) = spaces.find(|space| space.vm == place.vm) else {
            return Ok(());
        };
        let new = Valid { place, descriptor };
        for (item, progress) in space.pending.open_over(tables.format(), place) {
            let Some((rule, change)) = self.forbids(&item, new, tables) else {
                continue;
            };
            let (_, why) = self.explain(space.vmid, progress);
            let what = format!(
                "a new level {} descriptor{change} is stored before {} is invalidated: {why}",
                place.level,
                name(&item)
            );
            let finding = Finding::new(Class::BreakBeforeMake, rule, what);
            return Err(located(finding, &item, tables));
        }
        Ok(())
    }

    /// O2: nothing is made in a contiguous group of which a TLB may hold other members.
    fn may_join(&self, place: Place, tables: &Tables) -> Result<(), Finding> {
        let format = tables.format();
        let mut spaces = self.spaces.iter().filter(|_| self.judges_groups());
        let (Some(space), Some((start, bytes))) = (
            spaces.find(|space| space.vm == place.vm),
            groups::region(format, place, CONTIGUOUS),
        ) else {
            return Ok(());
        };
        let mut open = space.pending.open_of(place.level, (start, bytes));
        match open.find(|(item, _)| item.hinted && !item.in_place) {
            None => Ok(()),
            Some((item, progress)) => {
                let (_, why) = self.explain(space.vmid, progress);
                let what = format!(
                    "a new level {} descriptor is stored in the contiguous group of {}, which is not invalidated: {why}",
                    place.level,
                    name(&item)
                );
                let finding = Finding::new(Class::BreakBeforeMake, "O2", what);
                Err(located(finding, &item, tables))
            }
        }
    }

    /// The rule that keeps a descriptor that may be held from meeting a new one, and
    /// what changes.
    fn forbids(&self, item: &Item, new: Valid, tables: &Tables) -> Option<(&'static str, String)> {
        let old = Valid {
            place: item.place,
            descriptor: item.descriptor,
        };
        match self.discipline {
            Discipline::Contract => {
                let excepted = item.in_place && self.in_place.may_meet(tables.format(), old, new);
                (!excepted).then(|| ("G4", String::new()))
            }
            Discipline::Architecture => bbm::required(tables.format(), self.bbm, old, new)
                .map(|why| ("R_WHZWS", format!(" with {why}"))),
        }
    }

    /// G5, but for the zeroing, which the ledger knows.
    fn may_link(&mut self, store: Store, place: Place, tables: &Tables) -> Result<(), Finding> {
        let Store {
            by, at, release, ..
        } = store;
        let mut joined = tables.joined().iter();
        let contract = self.discipline == Discipline::Contract;
        if contract && !release && joined.len() != 0 {
            let what = format!(
                "the level {} table descriptor at {at:#x} is not stored with release",
                place.level
            );
            let finding = Finding::new(Class::Barrier, "G5", what);
            return Err(finding.at(place.vm, place.ipa, 0));
        }
        self.half_done.linked(by, release, tables, &self.cpus)?;
        joined.try_for_each(|&number| self.is_clean(tables, number))?;
        if self.judges_groups() {
            self.hints_below(tables)?;
        }
        Ok(())
    }

    /// O1 for the leaves of tables that are linked.
    fn hints_below(&mut self, tables: &Tables) -> Result<(), Finding> {
        for &number in tables.joined() {
            let level = tables.place(number).level;
            let mut from = 0;
            while let Some((index, leaf)) = next_nonzero(tables.contents(number), from) {
                from = index + 1;
                if let Entry::Leaf { .. } = tables.entry(level, leaf) {
                    let at = tables.address(number) + 8 * index as u64;
                    self.hint(at, tables.entry_place(number, at), leaf, tables)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_clean(&self, tables: &Tables, number: usize) -> Result<(), Finding> {
        if self.coherent {
            return Ok(());
        }
        match self.lines.first_dirty(tables, number) {
            None => Ok(()),
            Some(line) => {
                let place = tables.place(number);
                let what = format!(
                    "a level {} table is linked, and no DSB ISH completes a clean of its line at {line:#x}",
                    place.level
                );
                Err(Finding::new(Class::Cache, "G5", what).at(place.vm, place.ipa, 0))
            }
        }
    }
}

fn not_atomic(at: u64, place: Place) -> Finding {
    let what = format!(
        "the level {} descriptor at {at:#x} was valid and is not changed by an exchange: what hardware set in it is lost",
        place.level
    );
    Finding::new(Class::TornUpdate, "H4", what)
}
