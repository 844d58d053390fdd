//! Leaves that an operation stored where walkers find them: what they must say, and what
//! they wait for (R4, G7, K1, K2).

use super::Judge;
use super::caches::{Caches, Stored};
use super::leaf::{self, LeafFormat};
use crate::ledger::{Live, Place, next_nonzero};
use crate::model::Model;
use crate::operation::{LeafContent, Operation};
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
            is_own: machine.regime.is_own(),
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
    is_own: bool,
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
            Entry::Table { .. } if self.is_own => {
                leaf::check_table(descriptor).map_err(|f| f.at(place.vm, place.ipa, 0))
            }
            Entry::Table { .. } | Entry::Invalid => Ok(()),
        }
    }

    fn leaf(
        &self,
        place: Place,
        descriptor: u64,
        pa: u64,
        caches: &mut Caches,
    ) -> Result<(), Finding> {
        let stored = Stored {
            ipa: place.ipa,
            bytes: self.model.entry_bytes(place.level),
            leaf: self.format.content(descriptor, pa),
        };
        let is_new = asks_for(self.operation, &stored) && !self.is_made_again(place, &stored);
        let checked = self.format.check(descriptor).and_then(|()| {
            // Parts of a block that is split, and what is made again, are what they were.
            if is_new || matches!(self.operation, Operation::Link { .. }) {
                leaf::check_young(descriptor)?;
            }
            let old = || self.old(place).map(|(_, leaf)| leaf);
            caches.stored(self.operation, &stored, is_new, old)
        });
        checked.map_err(|finding| finding.at(place.vm, place.ipa, 0))
    }

    /// What the model maps from an IPA on before the operation, and the level of the leaf.
    fn old(&self, place: Place) -> Option<(i8, LeafContent)> {
        let Place { vm, ipa, .. } = place;
        let covering = self.model.stretches_within(vm, ipa, ipa.saturating_add(1));
        let covering = covering.first()?;
        Some((covering.level, covering.content_at(ipa).leaf()?))
    }

    /// O2: what stays of a contiguous group is made again, a leaf for a leaf.
    fn is_made_again(&self, place: Place, stored: &Stored) -> bool {
        let alike =
            |(level, old): (i8, LeafContent)| level == place.level && old.maps_as(&stored.leaf);
        self.format.may_be_contiguous() && self.old(place).is_some_and(alike)
    }
}

/// Whether a leaf is what map was asked for, not a part of a block that it split.
fn asks_for(operation: &Operation, stored: &Stored) -> bool {
    let Operation::Map {
        ipa,
        pa,
        size,
        prot,
        memory,
        software,
        ..
    } = *operation
    else {
        return false;
    };
    let Some(offset) = stored.ipa.checked_sub(ipa).filter(|offset| *offset < size) else {
        return false;
    };
    let leaf = &stored.leaf;
    leaf.pa == pa.wrapping_add(offset)
        && (leaf.prot, leaf.memory, leaf.software) == (prot, memory, software)
}
