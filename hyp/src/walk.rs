//! The one walker. It descends; what happens to entries is a visitor's.
//!
//! A visitor is shown runs of sibling entries, not single ones, so that its inner
//! loop is a loop over one table. The concatenated tables of a root are siblings
//! without a parent: each is shown by itself, since each is a page of its own.

use crate::addr::{Ipa, IpaRange, Pa};
use crate::geometry::{Level, Shape};

/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_BYTES: u64 = 8;

/// A table that is linked, or a page of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// The page that holds it.
    pub(crate) page: Pa,
    /// Level of its entries.
    pub(crate) level: Level,
}

/// Consecutive entries of one table, and the part of the range that they cover.
/// The first and the last may reach out of the range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    table: Table,
    entry_bytes: u64,
    index: u16,
    range: IpaRange,
}

impl Run {
    /// The entries of `table` that a range within it covers.
    pub(crate) fn new(shape: &Shape, table: Table, range: IpaRange) -> Run {
        let index = shape.index(table.level, range.start());
        Run {
            table,
            entry_bytes: shape.entry_bytes(table.level),
            index,
            range,
        }
    }

    /// The table that holds the entries.
    #[inline]
    pub(crate) const fn table(&self) -> Table {
        self.table
    }

    /// What is left of the range.
    #[inline]
    pub(crate) const fn range(&self) -> IpaRange {
        self.range
    }

    /// Where the first entry stands.
    #[inline]
    pub(crate) fn at(&self) -> Pa {
        self.table
            .page
            .forward(u64::from(self.index) * DESCRIPTOR_BYTES)
    }

    /// First IPA that the first entry covers, in or out of the range.
    #[inline]
    pub(crate) const fn entry_start(&self) -> Ipa {
        self.range.start().align_down(self.entry_bytes)
    }

    /// Bytes that each entry covers.
    #[inline]
    pub(crate) const fn entry_bytes(&self) -> u64 {
        self.entry_bytes
    }

    /// How many leading entries lie wholly in the range.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a table has at most 8192 entries"
    )]
    pub(crate) const fn whole_entries(&self) -> u16 {
        if self.range.start().is_aligned(self.entry_bytes) {
            (self.range.bytes() / self.entry_bytes) as u16
        } else {
            0
        }
    }

    /// How many entries lie in the range, in whole or in part.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a table has at most 8192 entries"
    )]
    pub(crate) const fn overlapped_entries(&self) -> u16 {
        let bytes = self.range.end().raw() - self.entry_start().raw();
        bytes.div_ceil(self.entry_bytes) as u16
    }

    /// What the first `entries` entries cover, in and out of the range.
    pub(crate) fn covered_by(&self, entries: u16) -> IpaRange {
        let start = self.entry_start();
        IpaRange::between(start, start.forward(u64::from(entries) * self.entry_bytes))
    }

    /// Goes on behind the first `entries` entries.
    #[inline]
    pub(crate) fn skip(&mut self, entries: u16) {
        let next = self
            .entry_start()
            .forward(u64::from(entries) * self.entry_bytes);
        self.range = self.range.split_at(next).1;
        self.index += entries;
    }

    /// The part of the range that the first entry covers.
    fn first_entry_range(&self) -> IpaRange {
        self.range
            .split_at(self.entry_start().forward(self.entry_bytes))
            .0
    }
}

/// One entry of a run.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    /// Where it stands.
    pub(crate) at: Pa,
    /// First IPA that it covers.
    pub(crate) ipa: Ipa,
}

impl Slot {
    /// The entry `index` entries into `run`.
    pub(crate) fn of(run: &Run, index: u16) -> Slot {
        Slot {
            at: run.at().forward(u64::from(index) * DESCRIPTOR_BYTES),
            ipa: run
                .entry_start()
                .forward(u64::from(index) * run.entry_bytes()),
        }
    }

    /// The entry of `run`, or of those after it, that begins at `ipa`.
    #[inline]
    pub(crate) fn at(run: &Run, ipa: Ipa) -> Slot {
        let bytes = ipa.raw() - run.entry_start().raw();
        Slot {
            at: run
                .at()
                .forward(bytes / run.entry_bytes() * DESCRIPTOR_BYTES),
            ipa,
        }
    }

    /// The entry after this one.
    #[inline]
    pub(crate) fn next(self, run: &Run) -> Slot {
        Slot {
            at: self.at.forward(DESCRIPTOR_BYTES),
            ipa: self.ipa.forward(run.entry_bytes()),
        }
    }
}

/// What is done to the entries of a range.
pub(crate) trait Visitor {
    /// Why a walk ends early.
    type Stop;

    /// Handles leading entries of `run`, skipping them. Returns the table to
    /// which the first entry that is left leads, or `None` if none is left.
    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Self::Stop>;

    /// Comes back from `child`, to which the first entry of `run` leads, once the
    /// whole of the range below it was visited.
    fn leave(&mut self, run: &Run, child: Table) -> Result<(), Self::Stop>;
}

/// Walks `range` from the root at `root` on.
pub(crate) fn walk<V: Visitor>(
    shape: &Shape,
    root: Pa,
    range: IpaRange,
    visitor: &mut V,
) -> Result<(), V::Stop> {
    let level = shape.start();
    let table_bytes = shape.table_bytes(level);
    let mut rest = range;
    while !rest.is_empty() {
        let table_start = rest.start().align_down(table_bytes);
        let (here, beyond) = rest.split_at(table_start.forward(table_bytes));
        let page = root_page(shape, root, table_start);
        descend(shape, Table { page, level }, here, visitor)?;
        rest = beyond;
    }
    Ok(())
}

/// The page of the root whose table covers `ipa`.
pub(crate) fn root_page(shape: &Shape, root: Pa, ipa: Ipa) -> Pa {
    let number = ipa.raw() / shape.table_bytes(shape.start());
    root.forward(number * shape.granule().bytes())
}

fn descend<V: Visitor>(
    shape: &Shape,
    table: Table,
    range: IpaRange,
    visitor: &mut V,
) -> Result<(), V::Stop> {
    let mut run = Run::new(shape, table, range);
    while let Some(child) = visitor.visit(&mut run)? {
        descend(shape, child, run.first_entry_range(), visitor)?;
        visitor.leave(&run, child)?;
        run.skip(1);
        if run.range().is_empty() {
            break;
        }
    }
    Ok(())
}
