//! Which page is what, and what has been stored to it: kept once, for the ledger
//! and the protocol.
//!
//! Each page of the pool has a state and a copy of its contents as the events tell
//! them. The copy is what finds the pages and leaves that hang below a table when it
//! is linked or unlinked, at the cost of one look through that table.

use super::format::Format;
use crate::arch::Granule;
use crate::operation::Machine;
use crate::verdict::PageCounts;
use crate::walk::Entry;

/// What a page is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// In the page source.
    #[default]
    Free,
    /// Taken from the page source, and in no table.
    Cached,
    /// One of a VM's root tables.
    Root,
    /// A table that a descriptor at this address leads to.
    Linked {
        /// Physical address of the descriptor.
        parent: u64,
    },
    /// A table of a subtree that is not linked yet, from the operation that built it on.
    Built,
    /// A table that left, or that hangs below one that left, and is not free yet.
    Unlinked,
}

/// Which part of which address space a table, or an entry, translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The VM.
    pub vm: usize,
    /// The level of the table, or of the table that the entry is in.
    pub level: i8,
    /// First IPA.
    pub ipa: u64,
}

/// A descriptor that walkers and TLBs may hold and that the tables no longer have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The entry.
    pub place: Place,
    /// A table descriptor, not a leaf.
    pub table: bool,
    /// Where it stood.
    pub at: u64,
    /// What it was.
    pub descriptor: u64,
}

/// One page of the pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) state: State,
    /// Meaningful for roots, linked and unlinked tables; of built ones only the VM is.
    pub(crate) place: Place,
    /// First page of the allocation that it came from.
    pub(crate) run: usize,
    /// It is in the list of used pages.
    touched: bool,
    /// Bytes from its start that were zeroed since it was allocated.
    zeroed: u64,
    /// What the events stored; junk beyond `zeroed` where nothing was stored.
    contents: Vec<u64>,
}

/// The pages of the pool.
#[derive(Clone, Debug)]
pub struct Tables {
    format: Format,
    page_bytes: u64,
    /// Its binary logarithm.
    page_shift: u32,
    base: u64,
    count: usize,
    /// As far as any page was used; those beyond are free.
    pages: Vec<Page>,
    /// Pages that were allocated since the last reset.
    touched: Vec<usize>,
    counts: PageCounts,
    broken: Vec<Broken>,
    joined: Vec<usize>,
    /// A VM of which the last event linked a page that was built before.
    linked_built: Option<usize>,
    released: Vec<(usize, State)>,
}

pub(crate) const fn granule_bytes(granule: Granule) -> u64 {
    match granule {
        Granule::K4 => 1 << 12,
        Granule::K16 => 1 << 14,
        Granule::K64 => 1 << 16,
    }
}

impl Tables {
    /// All pages of the machine's pool are free. `format` decodes descriptors.
    pub fn new(machine: &Machine, format: Format) -> Tables {
        let mut tables = Tables {
            format,
            page_bytes: granule_bytes(machine.granule),
            page_shift: 0,
            base: 0,
            count: 0,
            pages: Vec::new(),
            touched: Vec::new(),
            counts: PageCounts::default(),
            broken: Vec::new(),
            joined: Vec::new(),
            linked_built: None,
            released: Vec::new(),
        };
        tables.reset(machine, format);
        tables
    }

    /// As [`Tables::new`], but keeps the buffers. The cost follows the pages used.
    pub fn reset(&mut self, machine: &Machine, format: Format) {
        for index in self.touched.drain(..) {
            self.pages[index].state = State::Free;
            self.pages[index].touched = false;
        }
        self.format = format;
        self.page_bytes = granule_bytes(machine.granule);
        self.page_shift = self.page_bytes.trailing_zeros();
        let end = machine.pool.base.saturating_add(machine.pool.bytes);
        self.base = machine
            .pool
            .base
            .checked_next_multiple_of(self.page_bytes)
            .unwrap_or(u64::MAX);
        let count = end.saturating_sub(self.base) / self.page_bytes;
        self.count = usize::try_from(count).unwrap_or(usize::MAX);
        self.counts = PageCounts {
            free: u32::try_from(count).unwrap_or(u32::MAX),
            ..PageCounts::default()
        };
        self.forget();
    }

    /// Forgets what the last event broke and joined.
    pub(crate) fn forget(&mut self) {
        self.broken.clear();
        self.joined.clear();
        self.linked_built = None;
        self.released.clear();
    }

    /// Descriptors that the last event took from walkers, those below an unlinked
    /// table included.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Pages that the last event linked, by number.
    pub fn joined(&self) -> &[usize] {
        &self.joined
    }

    /// A VM of which the last event linked a page that was built before.
    pub(crate) fn linked_built(&self) -> Option<usize> {
        self.linked_built
    }

    /// Pages that the last event gave back, by number, and what they were.
    pub fn released(&self) -> &[(usize, State)] {
        &self.released
    }

    /// Gives a page back.
    pub(crate) fn give_back(&mut self, number: usize) {
        self.released.push((number, self.state(number)));
        self.enter(number, State::Free);
    }

    /// How many pages are what.
    pub fn counts(&self) -> PageCounts {
        self.counts
    }

    /// The decoder of descriptors.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// What a descriptor of a table of `level` is.
    #[inline]
    pub(crate) fn entry(&self, level: i8, descriptor: u64) -> Entry {
        self.format.entry(level, descriptor)
    }

    /// Bytes of a page.
    pub fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// Pages in the pool.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the pool has no page.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of the page that holds a physical address.
    pub fn number(&self, at: u64) -> Option<usize> {
        let number = usize::try_from(at.checked_sub(self.base)? >> self.page_shift).ok()?;
        (number < self.count).then_some(number)
    }

    /// The part of a stretch of physical addresses that lies in the pool.
    pub(crate) fn within(&self, stretch: std::ops::Range<u64>) -> std::ops::Range<u64> {
        let end = self
            .base
            .saturating_add((self.count as u64) << self.page_shift);
        stretch.start.max(self.base)..stretch.end.min(end)
    }

    /// Physical address of a page of the pool.
    pub fn address(&self, number: usize) -> u64 {
        self.base + ((number as u64) << self.page_shift)
    }

    /// What a page is.
    pub fn state(&self, number: usize) -> State {
        self.pages.get(number).map_or(State::Free, |p| p.state)
    }

    /// Where a root, linked or unlinked table stands.
    pub fn place(&self, number: usize) -> Place {
        self.pages.get(number).map_or(Place::default(), |p| p.place)
    }

    /// What the events stored to a root or linked table.
    pub fn contents(&self, number: usize) -> &[u64] {
        self.pages.get(number).map_or(&[], |p| &p.contents)
    }

    /// Whether all of a page was zeroed since it was allocated.
    pub fn is_zeroed(&self, number: usize) -> bool {
        self.pages
            .get(number)
            .is_some_and(|p| p.zeroed >= self.page_bytes)
    }

    /// Whether all of a page was zeroed, and nothing else was stored.
    pub fn is_zero(&self, number: usize) -> bool {
        self.is_zeroed(number) && next_nonzero(self.contents(number), 0).is_none()
    }

    /// The entry of a root, linked or unlinked table that `at` lies in.
    pub fn entry_place(&self, number: usize, at: u64) -> Place {
        let table = self.place(number);
        let index = (at - self.address(number)) / 8;
        Place {
            ipa: table.ipa + index * self.format.entry_bytes(table.level),
            ..table
        }
    }

    /// Pages that were used since the last reset.
    pub(crate) fn touched(&self) -> &[usize] {
        &self.touched
    }

    pub(crate) fn run_of(&self, number: usize) -> usize {
        self.pages.get(number).map_or(number, |p| p.run)
    }

    /// Gives a free page to the caller as [`State::Cached`].
    pub(crate) fn take(&mut self, number: usize, run: usize) {
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, Page::default);
        }
        let entries = self.format.entries_per_table() as usize;
        let page = &mut self.pages[number];
        page.run = run;
        page.zeroed = 0;
        page.contents.resize(entries, 0);
        if !std::mem::replace(&mut page.touched, true) {
            self.touched.push(number);
        }
        self.enter(number, State::Cached);
    }

    /// Makes a page one of a VM's root tables.
    pub(crate) fn make_root(&mut self, number: usize, place: Place) {
        self.pages[number].place = place;
        self.enter(number, State::Root);
    }

    /// Makes a page of the cache part of a VM's subtree that is not linked.
    pub(crate) fn make_built(&mut self, number: usize, vm: usize) {
        self.pages[number].place = Place {
            vm,
            ..Place::default()
        };
        self.enter(number, State::Built);
    }

    /// Changes a page's state and the counts.
    pub(crate) fn enter(&mut self, number: usize, state: State) {
        let page = &mut self.pages[number];
        *self.counts.of(page.state) -= 1;
        *self.counts.of(state) += 1;
        page.state = state;
    }

    /// Stores to a page that is not free; the value that was there before.
    pub(crate) fn store(&mut self, number: usize, at: u64, new: u64) -> u64 {
        let index = self.index_in(number, at);
        std::mem::replace(&mut self.pages[number].contents[index], new)
    }

    fn index_in(&self, number: usize, at: u64) -> usize {
        ((at - self.address(number)) / 8) as usize
    }

    /// Zeroes part of a page that is in no table that walkers can reach.
    pub(crate) fn zero(&mut self, number: usize, from: u64, bytes: u64) {
        let offset = from - self.address(number);
        let end = offset + bytes;
        let page = &mut self.pages[number];
        page.contents[(offset / 8) as usize..(end / 8) as usize].fill(0);
        if offset <= page.zeroed {
            page.zeroed = page.zeroed.max(end);
        }
    }

    /// Records that a descriptor is gone, with all that hangs below it.
    pub(crate) fn break_entry(&mut self, place: Place, at: u64, descriptor: u64) {
        let old = self.entry(place.level, descriptor);
        if old == Entry::Invalid {
            return;
        }
        self.broken.push(Broken {
            place,
            table: matches!(old, Entry::Table { .. }),
            at,
            descriptor,
        });
        if let Entry::Table { next } = old
            && let Some(child) = self.number(next)
            && matches!(self.state(child), State::Linked { .. })
        {
            self.unlink(child);
        }
    }

    fn unlink(&mut self, number: usize) {
        self.enter(number, State::Unlinked);
        let table = self.pages[number].place;
        let bytes = self.format.entry_bytes(table.level);
        let base = self.address(number);
        let mut from = 0;
        while let Some((index, descriptor)) = next_nonzero(&self.pages[number].contents, from) {
            let ipa = table.ipa.wrapping_add(index as u64 * bytes);
            self.break_entry(Place { ipa, ..table }, base + 8 * index as u64, descriptor);
            from = index + 1;
        }
    }

    /// Makes a page a table with the given place, and all that hangs below it.
    ///
    /// # Errors
    /// The page that cannot be linked, and why; the state is half changed then.
    pub(crate) fn link(
        &mut self,
        next: u64,
        parent: u64,
        place: Place,
    ) -> Result<(), (u64, NotLinkable)> {
        let refuse = |why| Err((next, why));
        if !next.is_multiple_of(self.page_bytes) {
            return refuse(NotLinkable::Misaligned);
        }
        let Some(number) = self.number(next) else {
            return refuse(NotLinkable::OutsidePool);
        };
        match self.state(number) {
            State::Built if self.place(number).vm != place.vm => {
                return refuse(NotLinkable::State(State::Built));
            }
            State::Cached | State::Built if !self.is_zeroed(number) => {
                return refuse(NotLinkable::NotZeroed);
            }
            State::Built => self.linked_built = Some(place.vm),
            State::Cached => {}
            other => return refuse(NotLinkable::State(other)),
        }
        self.pages[number].place = place;
        self.enter(number, State::Linked { parent });
        self.joined.push(number);
        self.link_children(number, place)
    }

    fn link_children(&mut self, number: usize, table: Place) -> Result<(), (u64, NotLinkable)> {
        let bytes = self.format.entry_bytes(table.level);
        let mut from = 0;
        while let Some((index, descriptor)) = next_nonzero(&self.pages[number].contents, from) {
            from = index + 1;
            if let Entry::Table { next } = self.entry(table.level, descriptor) {
                let child = Place {
                    vm: table.vm,
                    level: table.level + 1,
                    ipa: table.ipa.wrapping_add(index as u64 * bytes),
                };
                self.link(next, self.address(number) + 8 * index as u64, child)?;
            }
        }
        Ok(())
    }
}

/// The first word at or behind `from` that is not zero, with its index. Tables are
/// sparse and large: stretches of zeroes are compared at once.
pub(crate) fn next_nonzero(words: &[u64], mut from: usize) -> Option<(usize, u64)> {
    const STRETCH: usize = 64;
    while let Some(&word) = words.get(from) {
        if word != 0 {
            return Some((from, word));
        }
        let stretch = &words[from..words.len().min(from + STRETCH)];
        if stretch != &[0; STRETCH][..stretch.len()] {
            let skipped = stretch.iter().position(|&word| word != 0)?;
            return Some((from + skipped, stretch[skipped]));
        }
        from += STRETCH;
    }
    None
}

/// Why a descriptor may not lead to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotLinkable {
    Misaligned,
    OutsidePool,
    NotZeroed,
    State(State),
}

impl PageCounts {
    fn of(&mut self, state: State) -> &mut u32 {
        match state {
            State::Free => &mut self.free,
            State::Cached => &mut self.cached,
            State::Root => &mut self.roots,
            State::Linked { .. } => &mut self.linked,
            State::Built => &mut self.built,
            State::Unlinked => &mut self.unlinked,
        }
    }
}
