//! Who owns which page, from the events alone, at constant cost per event (a look
//! through a table where one is linked or unlinked).
//!
//! It finds pages used after they were freed, pages linked twice or never
//! allocated, pages that nobody holds, and page sources that fail or hand out
//! without a reason. Whether an invalidation came first is `protocol`'s.

mod format;
mod references;
mod subtrees;
mod supply;
mod tables;

use std::fmt;

use crate::event::{Event, Record};
use crate::model::Supply;
use crate::operation::Machine;
use crate::verdict::{Class, Finding, PageCounts};
use crate::walk::Entry;

pub use format::Format;
use subtrees::Subtrees;
use supply::Purchase;
use tables::NotLinkable;
pub(crate) use tables::next_nonzero;
pub use tables::{Broken, Place, State, Tables};

/// What an operation may do with pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Create of a VM: it may take a root.
    Create {
        /// The VM.
        vm: usize,
        /// Binary logarithm of the pages of its root.
        order: u8,
    },
    /// An operation on a VM that exists which tops the cache up first (P2).
    Change {
        /// P3, in pages.
        capacity: u32,
    },
    /// Build in a VM: the same, and the pages that it fills stay in no table.
    Build {
        /// The VM.
        vm: usize,
        /// P3, in pages.
        capacity: u32,
    },
    /// Discard or destroy: what was built for the VM may go.
    Discard {
        /// The VM.
        vm: usize,
    },
    /// Free of a VM: its root may go, and what was built.
    Free {
        /// The VM.
        vm: usize,
    },
    /// Anything else takes and gives nothing.
    Other,
}

/// What an event did to a descriptor that walkers can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The entry.
    pub place: Place,
    /// Its value before.
    pub old: u64,
    /// Its value now.
    pub descriptor: u64,
    /// What that is.
    pub entry: Entry,
    /// It was valid, and became another valid value without being invalid between.
    pub replaced: bool,
    /// It changed at all.
    pub changed: bool,
}

/// A root.
#[derive(Clone, Copy, Debug)]
struct Root {
    vm: usize,
    base: u64,
    /// Its pages, by number.
    first: usize,
    last: usize,
}

/// The pages of all VMs.
#[derive(Clone, Debug)]
pub struct Ledger {
    tables: Tables,
    roots: Vec<Root>,
    work: Work,
    purchase: Purchase,
    built: Subtrees,
}

impl Ledger {
    /// All pages are free. `format` decodes the descriptors of every VM.
    pub fn new(machine: &Machine, format: impl Into<Format>) -> Ledger {
        Ledger {
            tables: Tables::new(machine, format.into()),
            roots: Vec::new(),
            work: Work::Other,
            purchase: Purchase::default(),
            built: Subtrees::default(),
        }
    }

    /// As [`Ledger::new`], but keeps the buffers.
    pub fn reset(&mut self, machine: &Machine, format: impl Into<Format>) {
        self.tables.reset(machine, format.into());
        self.roots.clear();
        self.begin(Work::Other);
    }

    /// Pages and their contents.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How many pages are what.
    pub fn counts(&self) -> PageCounts {
        self.tables.counts()
    }

    /// F3: pages that are neither free nor in the page cache, over all VMs.
    pub fn in_use(&self) -> u32 {
        let counts = self.counts();
        counts.roots + counts.linked + counts.built + counts.unlinked
    }

    /// Pages that a VM holds: roots, linked, built and unlinked tables. The cost follows the
    /// pages used so far.
    pub fn held_by(&self, vm: usize) -> usize {
        let held = |&&number: &&usize| {
            let state = self.tables.state(number);
            let held = !matches!(state, State::Free | State::Cached);
            held && self.tables.place(number).vm == vm
        };
        self.tables.touched().iter().filter(held).count()
    }

    /// Physical address of a VM's root.
    pub fn root(&self, vm: usize) -> Option<u64> {
        let root = self.roots.iter().find(|root| root.vm == vm);
        root.map(|root| root.base)
    }

    /// What the page source did in this operation.
    pub fn supply(&self) -> Supply {
        self.purchase.supply(self.counts().cached)
    }

    /// An operation starts.
    pub fn begin(&mut self, work: Work) {
        self.work = work;
        self.purchase = Purchase::default();
        self.built.begin();
    }

    /// One event. `Some` where it stored a descriptor that walkers can reach; what it
    /// broke, linked and gave back is in [`Ledger::tables`] until the next event.
    ///
    /// # Errors
    /// A page that is used against its state; what the ledger says afterwards is not
    /// to be relied on.
    pub fn event(&mut self, record: &Record) -> Result<Option<Live>, Finding> {
        self.tables.forget();
        match record.event {
            Event::Store { at, old, new, .. } | Event::Exchange { at, old, new } => {
                self.store(at, old, new)
            }
            Event::Zero { at, bytes } => self.zero(at, bytes).map(|()| None),
            Event::Allocate { page, order } => self.allocate(page, order).map(|()| None),
            Event::AllocateFailed { order, injected } => {
                self.allocate_failed(order, injected).map(|()| None)
            }
            Event::Release { page, order } => self.release(page, order).map(|()| None),
            Event::Tlbi { .. }
            | Event::Barrier(_)
            | Event::Cache { .. }
            | Event::InstructionCaches
            | Event::WriteVtcr(_)
            | Event::WriteVttbr(_)
            | Event::WriteTcr(_)
            | Event::WriteTtbr0(_)
            | Event::WriteMair(_)
            | Event::Dirty { .. } => Ok(None),
        }
    }

    /// An access made hardware change a descriptor by itself (H1, H2), of which no event
    /// tells.
    ///
    /// # Errors
    /// The descriptor is in no table that walkers can reach, or hardware makes no such
    /// change.
    pub fn updated_by_hardware(&mut self, at: u64, new: u64) -> Result<(), Finding> {
        let number = self.used_page(at, 8, "updates")?;
        let place = self.tables.entry_place(number, at);
        let before = self.tables.store(number, at, new);
        let format = self.tables.format();
        if self.is_live(number) && format.hardware_may_make(place.level, before, new) {
            return Ok(());
        }
        Err(unseen_store(place, at, before, new))
    }

    /// The operation is over.
    ///
    /// # Errors
    /// Pages that nobody holds any more and that are not free.
    pub fn end(&mut self) -> Result<(), Finding> {
        let counts = self.counts();
        if counts.unlinked != 0 {
            return Err(self.forgotten(counts.unlinked));
        }
        self.end_of_subtrees()?;
        if let Work::Free { vm } = self.work
            && self.root(vm).is_some()
        {
            let what = format!(
                "the VM is gone, and {} of its pages are not free",
                self.held_by(vm)
            );
            return Err(Finding::new(Class::Leak, "F2", what).of(vm));
        }
        Ok(())
    }

    /// C4: a root reads zero, for all that the events tell.
    ///
    /// # Errors
    /// A page of it was not zeroed since it was allocated.
    pub fn root_is_zero(&self, vm: usize) -> Result<(), Finding> {
        let pages = |root: &Root| root.first..=root.last;
        let of_vm = |root: &&Root| root.vm == vm;
        let mut pages = self.roots.iter().filter(of_vm).flat_map(pages);
        match pages.find(|&number| !self.tables.is_zero(number)) {
            None => Ok(()),
            Some(number) => {
                let page = self.tables.address(number);
                let what =
                    format!("the root table at {page:#x} was not zeroed since it was allocated");
                Err(Finding::new(Class::UseAfterFree, "C4", what).of(vm))
            }
        }
    }

    fn forgotten(&self, count: u32) -> Finding {
        let unlinked = |&&number: &&usize| self.tables.state(number) == State::Unlinked;
        let first = self.tables.touched().iter().find(unlinked);
        let number = first.copied().unwrap_or_default();
        let place = self.tables.place(number);
        let what = format!(
            "{count} unlinked table(s) did not go back to the page source, first the one at {:#x}",
            self.tables.address(number)
        );
        Finding::new(Class::Leak, "G6", what).at(place.vm, place.ipa, 0)
    }

    fn store(&mut self, at: u64, old: u64, new: u64) -> Result<Option<Live>, Finding> {
        self.purchase.close(self.counts().cached);
        let number = self.used_page(at, 8, "stores to")?;
        let before = self.tables.store(number, at, new);
        if !self.is_live(number) {
            self.fill(number);
            return Ok(None);
        }
        let place = self.tables.entry_place(number, at);
        let format = self.tables.format();
        if before != old && !format.hardware_may_make(place.level, before, old) {
            return Err(unseen_store(place, at, before, old));
        }
        let was = self.tables.entry(place.level, old);
        let entry = self.tables.entry(place.level, new);
        let changed = old != new;
        // Another descriptor that leads to the same table leaves what walkers hold.
        if was != entry || !matches!(entry, Entry::Table { .. }) {
            if changed {
                self.tables.break_entry(place, at, old);
            }
            if let Entry::Table { next } = entry {
                self.link(next, at, place)?;
                self.built.link(self.tables.linked_built());
            }
        }
        Ok(Some(Live {
            place,
            old,
            descriptor: new,
            entry,
            replaced: changed && was != Entry::Invalid && entry != Entry::Invalid,
            changed,
        }))
    }

    fn link(&mut self, next: u64, parent: u64, place: Place) -> Result<(), Finding> {
        let child = Place {
            level: place.level + 1,
            ..place
        };
        self.tables
            .link(next, parent, child)
            .map_err(|(page, why)| {
                let rule = if why == NotLinkable::NotZeroed {
                    "G5"
                } else {
                    "P1"
                };
                let what = format!(
                    "a level {} descriptor leads to {page:#x}, {why}",
                    place.level
                );
                Finding::new(Class::UseAfterFree, rule, what).at(place.vm, place.ipa, 0)
            })
    }

    fn zero(&mut self, at: u64, bytes: u64) -> Result<(), Finding> {
        let mut from = at;
        let end = at.saturating_add(bytes);
        while from < end {
            let number = self.used_page(from, 8, "zeroes")?;
            let page_end = self.tables.address(number) + self.tables.page_bytes();
            let piece = end.min(page_end);
            self.zero_in_page(number, from, piece - from);
            from = piece;
        }
        Ok(())
    }

    fn zero_in_page(&mut self, number: usize, from: u64, bytes: u64) {
        // What a fresh root holds before it is zeroed was never a descriptor.
        if self.is_live(number) && self.tables.is_zeroed(number) {
            for at in (from..from + bytes).step_by(8) {
                let place = self.tables.entry_place(number, at);
                let old = self.tables.store(number, at, 0);
                self.tables.break_entry(place, at, old);
            }
        }
        self.tables.zero(number, from, bytes);
    }

    fn is_live(&self, number: usize) -> bool {
        let state = self.tables.state(number);
        matches!(state, State::Root | State::Linked { .. })
    }

    /// The page of the pool that holds `at`, which must not be free.
    fn used_page(&self, at: u64, bytes: u64, verb: &str) -> Result<usize, Finding> {
        let wrong = |what| Err(Finding::new(Class::UseAfterFree, "P1", what));
        match self.tables.number(at) {
            None => wrong(format!("the operation {verb} {at:#x}, outside the pool")),
            Some(_) if !at.is_multiple_of(bytes) => wrong(format!(
                "the operation {verb} {at:#x}, not a multiple of {bytes}"
            )),
            Some(number) if self.tables.state(number) == State::Free => wrong(format!(
                "the operation {verb} {at:#x}, in a page that is free"
            )),
            Some(number) => Ok(number),
        }
    }
}

fn unseen_store(place: Place, at: u64, before: u64, old: u64) -> Finding {
    let what = format!(
        "the descriptor at {at:#x} changed from {before:#x} to {old:#x} without a store event"
    );
    Finding::new(Class::TornUpdate, "G3", what).at(place.vm, place.ipa, 0)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Free => f.write_str("free"),
            State::Cached => f.write_str("in no table"),
            State::Root => f.write_str("a root table"),
            State::Linked { parent } => {
                write!(f, "a table that the descriptor at {parent:#x} leads to")
            }
            State::Built => f.write_str("a table that was built and is not linked"),
            State::Unlinked => f.write_str("an unlinked table that is not free yet"),
        }
    }
}

impl fmt::Display for NotLinkable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotLinkable::Misaligned => f.write_str("which is not aligned to the granule"),
            NotLinkable::OutsidePool => f.write_str("which is outside the pool"),
            NotLinkable::NotZeroed => f.write_str("which was not zeroed since it was allocated"),
            NotLinkable::State(state) => write!(f, "which is {state}"),
        }
    }
}
