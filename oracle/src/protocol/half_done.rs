//! What another CPU may see while an operation runs (G10).
//!
//! A walk reads one entry of each level, and stores to one entry are seen in order. So
//! an address has as many states as values were stored to the entries over it, and
//! only these can be wrong:
//!
//! - a leaf that the operation makes and breaks again, if it is neither the old nor
//!   the new meaning;
//! - a new table in the place of a leaf, if what was mapped there and will be again is
//!   missing from it when it is linked;
//! - a new table whose contents need not be seen before its link;
//! - a table that walkers may still hold though it was unlinked, if something valid is
//!   stored to it.
//!
//! A leaf that is made where nothing was costs one bit. The rest follows what is
//! broken; old and new meaning are compared when the operation is over.

use super::bbm::{Valid, is_moved};
use super::cpus::Cpus;
use super::levels::Levels;
use super::pending::Time;
use super::sorted::Addressed;
use crate::descriptor::MODIFIER;
use crate::ledger::{Format, Ledger, Place, Tables};
use crate::verdict::{Class, Finding};
use crate::walk::Entry;

/// The leaf bits that an access can tell: MemAttr, S2AP, SH, AF, FnXS, DBM, XN.
const MEANING: u64 = 0x3ff << 2 | MODIFIER | 0b11 << 53;

impl Addressed for Valid {
    fn address(&self) -> u64 {
        self.place.ipa
    }
}

/// The operation so far.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfDone {
    pages: Pages,
    /// Leaves from before the operation that it broke.
    old: Levels<Valid>,
    /// Leaves that it made and broke.
    between: Vec<Valid>,
    /// Entries that were invalid when it linked their tables, where leaves had been.
    holes: Vec<Place>,
}

impl HalfDone {
    pub(super) fn begin(&mut self) {
        self.pages.operation += 1;
        self.old.clear();
        self.between.clear();
        self.holes.clear();
    }

    /// A CPU writes to a page that walkers cannot reach.
    pub(super) fn write(&mut self, number: usize, by: u8, now: Time) {
        let last = &mut self.pages.get(number).written;
        if last[0].time != 0 && last[0].by != by {
            last[1] = last[0];
        }
        last[0] = Written { by, time: now };
    }

    /// What the last event took from walkers.
    pub(super) fn broken(&mut self, tables: &Tables) {
        for broken in tables.broken().iter().filter(|broken| !broken.table) {
            let leaf = Valid {
                place: broken.place,
                descriptor: broken.descriptor,
            };
            let number = tables.number(broken.at);
            let index = |number| (broken.at - tables.address(number)) / 8;
            if number.is_some_and(|number| self.pages.is_made(number, index(number))) {
                self.between.push(leaf);
            } else {
                self.old.push(leaf.place.level, leaf);
            }
        }
    }

    /// A leaf is made in a table that walkers can reach.
    pub(super) fn made(&mut self, at: u64, tables: &Tables) {
        if let Some(number) = tables.number(at) {
            let index = (at - tables.address(number)) / 8;
            let page = self.pages.get(number);
            let word = (index / 64) as usize;
            if word >= page.made.len() {
                page.made.resize(word + 1, 0);
            }
            page.made[word] |= 1 << (index % 64);
        }
    }

    /// The last event linked tables.
    ///
    /// # Errors
    /// Their contents need not be seen before the link.
    pub(super) fn linked(
        &mut self,
        by: u8,
        release: bool,
        tables: &Tables,
        cpus: &Cpus,
    ) -> Result<(), Finding> {
        for &number in tables.joined() {
            let page = self.pages.get(number);
            page.linked = true;
            let ordered = |written: &Written| {
                written.time < cpus.of(written.by).barrier || release && written.by == by
            };
            let unordered = page.written.iter().filter(|written| written.time != 0);
            if let Some(written) = unordered.into_iter().find(|written| !ordered(written)) {
                return Err(unfilled(tables, number, written.by));
            }
            self.find_holes(number, tables);
        }
        Ok(())
    }

    fn find_holes(&mut self, number: usize, tables: &Tables) {
        let (format, table) = (tables.format(), tables.place(number));
        let parent = Place {
            level: table.level - 1,
            ..table
        };
        if self.old.is_empty() || self.old.over(format, parent).next().is_none() {
            return;
        }
        for (at, &descriptor) in (tables.address(number)..)
            .step_by(8)
            .zip(tables.contents(number))
        {
            if tables.entry(table.level, descriptor) == Entry::Invalid {
                let place = tables.entry_place(number, at);
                if self.old.over(format, place).next().is_some() {
                    self.holes.push(place);
                }
            }
        }
    }

    /// The operation is over, and what it left is the new meaning.
    ///
    /// # Errors
    /// Something that could be seen in between is neither that nor the old meaning.
    pub(super) fn end(&mut self, ledger: &Ledger) -> Result<(), Finding> {
        let order = |leaf: &Valid| {
            let Place { vm, level, ipa } = leaf.place;
            (vm, level, ipa, leaf.descriptor)
        };
        self.between.sort_unstable_by_key(order);
        self.between.dedup_by_key(|leaf| order(leaf));
        let mut between = self.between.iter();
        between.try_for_each(|&leaf| self.was_meant(leaf, ledger))?;
        let mut holes = self.holes.iter();
        holes.try_for_each(|&hole| self.was_unmapped(hole, ledger))
    }

    /// Each address of a leaf has its old or its new meaning.
    fn was_meant(&self, leaf: Valid, ledger: &Ledger) -> Result<(), Finding> {
        let format = ledger.tables().format();
        let Place { vm, ipa, .. } = leaf.place;
        let end = end_of(format, leaf.place);
        let mut at = ipa;
        while at < end {
            let (new, mut next) = meaning(ledger, vm, at);
            if !new.is_some_and(|new| means_the_same(format, new, leaf)) {
                let page = Place {
                    vm,
                    level: 3,
                    ipa: at,
                };
                let old = self.old.over(format, page).next();
                match old.filter(|&&old| means_the_same(format, old, leaf)) {
                    Some(old) => next = next.min(end_of(format, old.place)),
                    None => return Err(neither(leaf, at)),
                }
            }
            at = next;
        }
        Ok(())
    }

    /// No address of an entry that was invalid for a while was mapped before and is now.
    fn was_unmapped(&self, hole: Place, ledger: &Ledger) -> Result<(), Finding> {
        let format = ledger.tables().format();
        for old in self.old.over(format, hole) {
            let mut at = old.place.ipa.max(hole.ipa);
            let end = end_of(format, old.place).min(end_of(format, hole));
            while at < end {
                let (new, next) = meaning(ledger, hole.vm, at);
                if new.is_some() {
                    return Err(missing(hole, at));
                }
                at = next;
            }
        }
        Ok(())
    }
}

fn unfilled(tables: &Tables, number: usize, by: u8) -> Finding {
    let place = tables.place(number);
    let what = format!(
        "the level {} table at {:#x} may be seen before what CPU {by} stored to it: nothing orders these stores before its link",
        place.level,
        tables.address(number)
    );
    Finding::new(Class::TornUpdate, "G10", what).at(place.vm, place.ipa, 0)
}

fn neither(leaf: Valid, at: u64) -> Finding {
    let what = format!(
        "while the operation runs, a level {} leaf {:#x} translates IPA {at:#x}: neither what it meant before nor what it means now",
        leaf.place.level, leaf.descriptor
    );
    Finding::new(Class::TornUpdate, "G10", what).at(leaf.place.vm, at, 0)
}

fn missing(hole: Place, at: u64) -> Finding {
    let what = format!(
        "IPA {at:#x} was mapped and is mapped, and takes a Translation fault at level {} while the operation runs: the new table is linked before it is filled",
        hole.level
    );
    Finding::new(Class::TornUpdate, "G10", what).at(hole.vm, at, 0)
}

/// The first address behind an entry.
fn end_of(format: &Format, entry: Place) -> u64 {
    entry.ipa.saturating_add(format.entry_bytes(entry.level))
}

/// Whether two leaves translate the addresses that they share alike, but for what
/// hardware sets by itself.
fn means_the_same(format: &Format, one: Valid, two: Valid) -> bool {
    // With DS, bits 9:8 are of the address, and alike where that is the same.
    let changed = (one.descriptor ^ two.descriptor) & MEANING;
    changed & !format.hardware_bits(one.descriptor) == 0 && !is_moved(format, one, two)
}

/// The leaf that translates an IPA now, and the first IPA for which another entry does.
fn meaning(ledger: &Ledger, vm: usize, ipa: u64) -> (Option<Valid>, u64) {
    let tables = ledger.tables();
    let format = tables.format();
    let nothing = (None, u64::MAX);
    let (Some(mut base), Some(start)) = (ledger.root(vm), format.start_level()) else {
        return nothing;
    };
    let mut first = 0;
    for level in start..=3 {
        let bytes = format.entry_bytes(level);
        let index = (ipa - first) / bytes;
        let at = base.wrapping_add(8 * index);
        let Some(number) = tables.number(at) else {
            return nothing;
        };
        let word = (at - tables.address(number)) / 8;
        let word = tables.contents(number).get(word as usize);
        let descriptor = word.copied().unwrap_or_default();
        first += index * bytes;
        let place = Place {
            vm,
            level,
            ipa: first,
        };
        match tables.entry(level, descriptor) {
            Entry::Table { next } => base = next,
            Entry::Leaf { .. } => {
                return (Some(Valid { place, descriptor }), end_of(format, place));
            }
            Entry::Invalid => return (None, end_of(format, place)),
        }
    }
    nothing
}

/// What the operation did to each page of the pool.
#[derive(Clone, Debug, Default)]
struct Pages {
    operation: u64,
    pages: Vec<Page>,
}

#[derive(Clone, Debug, Default)]
struct Page {
    /// The operation that the rest is about; 0 is none.
    operation: u64,
    /// It was linked.
    linked: bool,
    /// One bit for each entry, as far as any was made since.
    made: Vec<u64>,
    /// The last store, and the last of another CPU before it.
    written: [Written; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    by: u8,
    /// 0 is never.
    time: Time,
}

impl Pages {
    #[inline]
    fn get(&mut self, number: usize) -> &mut Page {
        let known = self.pages.get(number);
        if known.is_none_or(|page| page.operation != self.operation) {
            self.start(number);
        }
        &mut self.pages[number]
    }

    /// The first use of a page in this operation.
    #[cold]
    fn start(&mut self, number: usize) {
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, Page::default);
        }
        let page = &mut self.pages[number];
        page.made.clear();
        *page = Page {
            operation: self.operation,
            made: std::mem::take(&mut page.made),
            ..Page::default()
        };
    }

    /// Whether an entry was made by this operation, by its link or by itself.
    fn is_made(&self, number: usize, index: u64) -> bool {
        let page = self.pages.get(number);
        page.is_some_and(|page| {
            let word = page.made.get((index / 64) as usize);
            page.operation == self.operation
                && (page.linked || word.is_some_and(|word| word >> (index % 64) & 1 != 0))
        })
    }
}
