//! Map: what is not mapped yet, with the largest leaves that fit, in ascending order.
//! A live entry never changes. Clauses M9 to M15 as E4 has them.

use super::space::Space;
use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Cpu;
use crate::descriptor::el2::Attributes;
use crate::descriptor::{Descriptor, Kind};
use crate::geometry::{Features, Level};
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{DESCRIPTOR_BYTES, Run, Slot, Table, Visitor, walk};

/// A map request that passed its checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) range: IpaRange,
    pub(super) pa: Pa,
    pub(super) attributes: Attributes,
    pub(super) pages_only: bool,
}

impl Request {
    /// What a VA of the range lacks to its PA, modulo 2^64.
    fn offset(&self) -> u64 {
        self.pa.raw().wrapping_sub(self.range.start().raw())
    }
}

/// Why nothing, or not everything, was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Something else is mapped here; nothing has changed.
    Mapped { at: Ipa },
    /// For want of this many pages. Everything before `at` is mapped.
    NoPages { at: Ipa, need: u8 },
}

/// Maps what of a range is not mapped.
pub(super) fn map<P: Platform, S: PageSource>(
    cpu: &mut Cpu<'_, P, S>,
    space: &Space,
    request: &Request,
) -> Result<(), Stopped> {
    let offset = request.offset();
    let (tables, range) = (&space.tables, request.range);
    let mut check = Check {
        platform: cpu.platform(),
        space,
        offset,
        attributes: request.attributes,
    };
    walk(&tables.shape, tables.root, range, &mut check)?;
    let largest = if request.pages_only {
        Level::PAGE
    } else {
        tables.shape.largest_leaf(offset)
    };
    let mut visitor = Map {
        cpu,
        space,
        request,
        offset,
        largest,
        stored: false,
    };
    let result = walk(&tables.shape, tables.root, range, &mut visitor);
    if visitor.stored {
        // A walker that finds a new entry invalid may not do so after this, nor may
        // what this CPU has fetched or translated ahead.
        tables.barrier(cpu.platform());
        cpu.platform().isb();
    }
    result
}

/// Looks for what is mapped otherwise than asked for.
struct Check<'m, P> {
    platform: &'m P,
    space: &'m Space,
    offset: u64,
    attributes: Attributes,
}

impl<P: Platform> Visitor for Check<'_, P> {
    type Stop = Stopped;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Stopped> {
        let level = run.table().level;
        while !run.range().is_empty() {
            let found = self.space.tables.read(self.platform, run.at());
            match found.kind(level) {
                Kind::Table => return Ok(Some(self.space.tables.child(found, level))),
                Kind::Leaf if !self.is_as_asked(found, run.entry_start()) => {
                    let at = run.range().start();
                    return Err(Stopped::Mapped { at });
                }
                Kind::Leaf | Kind::Invalid => run.skip(1),
            }
        }
        Ok(None)
    }

    fn leave(&mut self, _: &Run, _: Table) -> Result<(), Stopped> {
        Ok(())
    }
}

impl<P: Platform> Check<'_, P> {
    /// Whether a leaf whose first VA is `start` maps as asked for.
    fn is_as_asked(&self, leaf: Descriptor, start: Ipa) -> bool {
        let addresses = &self.space.tables.addresses;
        let wanted = Pa::new(start.raw().wrapping_add(self.offset));
        addresses.address(leaf) == wanted && Attributes::of(leaf, addresses) == self.attributes
    }
}

struct Map<'m, 'c, P, S> {
    cpu: &'m mut Cpu<'c, P, S>,
    space: &'m Space,
    request: &'m Request,
    offset: u64,
    largest: Level,
    stored: bool,
}

impl<P: Platform, S: PageSource> Visitor for Map<'_, '_, P, S> {
    type Stop = Stopped;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Stopped> {
        let level = run.table().level;
        while !run.range().is_empty() {
            let found = self.space.tables.read(self.cpu.platform(), run.at());
            match found.kind(level) {
                // A table stays, even where a block would fit.
                Kind::Table => return Ok(Some(self.space.tables.child(found, level))),
                // It was checked to map as asked for.
                Kind::Leaf => run.skip(1),
                Kind::Invalid if level >= self.largest && run.whole_entries() > 0 => {
                    let written = self.write_leaves(run);
                    run.skip(written);
                }
                Kind::Invalid => return self.table_for(run).map(Some),
            }
        }
        Ok(None)
    }

    fn leave(&mut self, _: &Run, _: Table) -> Result<(), Stopped> {
        Ok(())
    }
}

impl<P: Platform, S: PageSource> Map<'_, '_, P, S> {
    /// Links an empty table into the first entry of `run`, if the cache suffices for
    /// the whole path.
    fn table_for(&mut self, run: &Run) -> Result<Table, Stopped> {
        let at = run.range().start();
        let need = self.pages_to_leaf(run);
        let stopped = Stopped::NoPages { at, need };
        if self.cpu.cached() < u32::from(need) {
            return Err(stopped);
        }
        self.stored = true;
        let table = self.space.tables.link_table(self.cpu, run);
        table.ok_or(stopped)
    }

    /// Tables from the one of `run` down to the leaf at its first address.
    fn pages_to_leaf(&self, run: &Run) -> u8 {
        let level = run.table().level;
        let at = run.range().start();
        let left = self.request.range.split_at(at).1.bytes();
        let below = level.below().max(self.largest);
        level.distance_to(self.space.tables.shape.leaf_level(below, at, left))
    }

    /// Makes leaves of the invalid entries that lead `run` and lie wholly in the range,
    /// at least the first one; returns how many.
    fn write_leaves(&mut self, run: &Run) -> u16 {
        let (platform, tables) = (self.cpu.platform(), &self.space.tables);
        let count = self.invalid_entries(run);
        let first = Slot::of(run, 0);
        let attributes = self.request.attributes;
        if attributes.is_executable() {
            let bytes = u64::from(count) * run.entry_bytes();
            let features = self.space.geometry.features();
            prepare_for_fetches(platform, features, self.output(first), bytes);
        }
        let mut slot = first;
        for _ in 0..count {
            let leaf = attributes.leaf(&tables.addresses, run.table().level, self.output(slot));
            tables.make(platform, slot.at, leaf);
            slot = slot.next(run);
        }
        tables.clean(platform, first.at, u64::from(count) * DESCRIPTOR_BYTES);
        self.cpu.pages().add_references(run.table().page, count);
        self.stored = true;
        count
    }

    /// How many leading entries of `run` are invalid and lie wholly in the range.
    fn invalid_entries(&self, run: &Run) -> u16 {
        let whole = run.whole_entries();
        let mut slot = Slot::of(run, 0);
        for index in 0..whole {
            let found = self.space.tables.read(self.cpu.platform(), slot.at);
            if found.is_valid() {
                return index;
            }
            slot = slot.next(run);
        }
        whole
    }

    fn output(&self, slot: Slot) -> Pa {
        Pa::new(slot.ipa.raw().wrapping_add(self.offset))
    }
}

/// Makes memory as the instruction caches will see it what the data caches hold.
/// Clause K2.
fn prepare_for_fetches<P: Platform>(platform: &P, features: &Features, pa: Pa, bytes: u64) {
    if !features.idc {
        platform.dc_cvau(pa, bytes);
    }
    if !features.idc || !features.dic {
        platform.dsb_ish();
    }
    if !features.dic {
        platform.ic_ialluis();
        platform.dsb_ish();
    }
}
