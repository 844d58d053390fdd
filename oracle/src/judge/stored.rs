//! Leaves that an operation stored where walkers find them: what they must say, and what
//! they wait for (R4, G7, K1, K2).

use super::Judge;
use super::caches::{Caches, Stored};
use super::leaf::{self, LeafFormat};
use crate::ledger::{Live, Place, next_nonzero};
use crate::model::Model;
use crate::operation::{EntryContent, LeafContent, Operation};
use crate::verdict::Finding;
use crate::walk::Entry;

impl Judge {
    /// R4, G7, K1 and K2 for a descriptor that was stored, and for those in tables that
    /// it linked.
    pub(super) fn check_leaves(
        &mut self,
        operation: &Operation,
        live: &Live,
    ) -> Result<(), Finding> {
        let Judge {
            machine,
            model,
            observer,
            caches,
            ..
        } = self;
        let tables = observer.ledger.tables();
        let check = Check {
            operation,
            model,
            format: LeafFormat::new(machine),
        };
        check.entry(live.place, live.descriptor, live.entry, caches)?;
        for &number in tables.joined() {
            let level = tables.place(number).level;
            let mut from = 0;
            while let Some((index, descriptor)) = next_nonzero(tables.contents(number), from) {
                from = index + 1;
                let at = tables.address(number) + 8 * index as u64;
                let (place, entry) = (
                    tables.entry_place(number, at),
                    tables.entry(level, descriptor),
                );
                check.entry(place, descriptor, entry, caches)?;
            }
        }
        Ok(())
    }
}

/// What leaves that an operation stored are held against.
struct Check<'a> {
    operation: &'a Operation,
    model: &'a Model,
    format: LeafFormat,
}

impl Check<'_> {
    fn entry(
        &self,
        place: Place,
        descriptor: u64,
        entry: Entry,
        caches: &mut Caches,
    ) -> Result<(), Finding> {
        match entry {
            Entry::Leaf { pa } => self.leaf(place, descriptor, pa, caches),
            Entry::Table { .. } => {
                let checked = self.format.check_table(descriptor);
                checked.map_err(|finding| finding.at(place.vm, place.ipa, 0))
            }
            Entry::Invalid => Ok(()),
        }
    }

    fn leaf(
        &self,
        place: Place,
        descriptor: u64,
        pa: u64,
        caches: &mut Caches,
    ) -> Result<(), Finding> {
        let bytes = self.model.entry_bytes(place.level);
        let old = || match self.model.entry(place.vm, place.ipa) {
            Some((level, EntryContent::Leaf(leaf))) => Some((level, leaf)),
            _ => None,
        };
        let stored = Stored {
            ipa: place.ipa,
            bytes,
            leaf: self.format.content(descriptor, pa),
        };
        let checked = self.format.check(descriptor);
        let checked = checked.and_then(|()| self.young(descriptor, &stored, place.level, old));
        let checked = checked.and_then(|()| {
            let old = || old().map(|(_, leaf)| leaf);
            caches.stored(self.operation, &stored, old)
        });
        checked.map_err(|finding| finding.at(place.vm, place.ipa, 0))
    }

    /// G7: parts of a block that is split are what it was.
    fn young(
        &self,
        descriptor: u64,
        stored: &Stored,
        level: i8,
        old: impl Fn() -> Option<(i8, LeafContent)>,
    ) -> Result<(), Finding> {
        let makes = matches!(
            self.operation,
            Operation::Map { .. } | Operation::Link { .. }
        );
        if stored.leaf.young || !makes {
            return Ok(());
        }
        match old() {
            Some((block, leaf)) if block < level && !leaf.young => Ok(()),
            _ => leaf::check_young(descriptor),
        }
    }
}
