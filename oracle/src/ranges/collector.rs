//! Going through all tables of a regime once, in ascending order of input address.
//!
//! It leaves out what descriptors mean: that is the regime's.

use super::BudgetExceeded;
use crate::descriptor::{CONTIGUOUS, Entry, Unusable};
use crate::params::{State, WalkParams};
use crate::walk::Memory;

/// Entries that are passed over at once where all are zero: tables are sparse.
const STRETCH: u64 = ZEROES.len() as u64;
const ZEROES: [u64; 64] = [0; 64];

/// A stage of translation, as far as going through its tables needs it.
pub(crate) trait Regime {
    /// What table descriptors hand down to the entries below them; the default is
    /// handed to the root.
    type Inherited: Copy + Default;
    /// What an input address means.
    type Meaning: Copy + PartialEq;
    /// A stretch of addresses of equal meaning.
    type Range;

    fn params(&self) -> &WalkParams;
    fn state(&self) -> State;
    /// Physical address of the root.
    fn base(&self) -> u64;
    fn fetch<M: Memory + ?Sized>(&self, memory: &M, at: u64) -> Option<u64>;
    /// What the entries of a table inherit whose descriptor is `table`.
    fn below(&self, above: Self::Inherited, table: u64) -> Self::Inherited;
    /// What a leaf means at the address `input`; `base` is its address field.
    fn leaf(
        &self,
        above: Self::Inherited,
        level: i8,
        descriptor: u64,
        base: u64,
        input: u64,
    ) -> Self::Meaning;
    fn unusable(reason: Unusable, level: i8) -> Self::Meaning;
    /// Where the stage is disabled: how many bits of addresses get through, and what
    /// address 0 means.
    fn untranslated(&self) -> (u8, Self::Meaning);
    /// The meaning `offset` bytes on in the same range.
    fn advance(meaning: Self::Meaning, offset: u64) -> Self::Meaning;
    fn range(input: u64, bytes: u64, meaning: Self::Meaning) -> Self::Range;
    /// First address, length and meaning of a range.
    fn parts(range: &mut Self::Range) -> (u64, &mut u64, Self::Meaning);
}

/// All maximal ranges in ascending order.
///
/// # Errors
/// The tables hold more than `budget` descriptors, each table counted as often as it
/// is reached.
pub(crate) fn collect<R: Regime, M: Memory + ?Sized>(
    regime: &R,
    memory: &M,
    budget: u64,
) -> Result<Vec<R::Range>, BudgetExceeded> {
    let mut collector = Collector {
        regime,
        memory,
        budget: BudgetExceeded { budget },
        left: budget,
        ranges: Vec::new(),
    };
    match regime.state() {
        State::Valid => collector.root()?,
        State::Invalid => {}
        State::Off => {
            let (bits, meaning) = regime.untranslated();
            collector.push(0, 1 << bits, meaning);
        }
        State::Open { why, input_bits } => {
            collector.push(0, 1 << input_bits, R::unusable(Unusable::Open(why), 0));
        }
        State::OversizeBase => {
            let bytes = 1 << regime.params().input_bits;
            collector.push(0, bytes, R::unusable(Unusable::AddressSize, 0));
        }
    }
    Ok(collector.ranges)
}

/// A traversal of the tables.
struct Collector<'a, R: Regime, M: ?Sized> {
    regime: &'a R,
    memory: &'a M,
    budget: BudgetExceeded,
    /// What is left of the budget.
    left: u64,
    ranges: Vec<R::Range>,
}

/// One table, or the concatenated tables of the root.
#[derive(Clone, Copy)]
struct Table<I> {
    level: i8,
    at: u64,
    entries: u64,
    /// First address that it resolves.
    input: u64,
    above: I,
}

/// A leaf of the table at hand whose address is within the output size. Another one that
/// differs from it in its address alone means the same at another address, which saves
/// most decoding.
struct Template<R: Regime> {
    /// The descriptor without its address field.
    bits: u64,
    /// Its meaning where the address field is 0.
    meaning: R::Meaning,
    /// Input address and address field of the leaf that continues the last one of this
    /// template.
    next: (u64, u64),
}

impl<R: Regime, M: Memory + ?Sized> Collector<'_, R, M> {
    fn root(&mut self) -> Result<(), BudgetExceeded> {
        let params = self.regime.params();
        self.table(Table {
            level: params.start_level,
            at: self.regime.base(),
            entries: 1 << params.root_index_bits(),
            input: 0,
            above: R::Inherited::default(),
        })
    }

    /// Goes through a table. It descends four times at most, since tables of the final
    /// level link none.
    fn table(&mut self, table: Table<R::Inherited>) -> Result<(), BudgetExceeded> {
        self.left = self.left.checked_sub(table.entries).ok_or(self.budget)?;
        let params = *self.regime.params();
        let entry_bytes = params.entry_bytes(table.level);
        // The address field that every format has in place: bits 47 to lsb.
        let field = (1 << 48) - entry_bytes;
        let limit = 1 << params.output_bits.min(48);
        let mut template: Option<Template<R>> = None;
        let mut next_index = 0;
        while next_index < table.entries {
            let index = next_index;
            next_index += 1;
            let input = table.input + index * entry_bytes;
            let Some(descriptor) = self.regime.fetch(self.memory, table.at + index * 8) else {
                let meaning = R::unusable(Unusable::ExternalAbort, table.level);
                self.push(input, entry_bytes, meaning);
                continue;
            };
            if descriptor & 1 == 0 {
                next_index += self.zeroes_behind(table, index, descriptor);
                continue;
            }
            let address = descriptor & field;
            let next = (input + entry_bytes, address + entry_bytes);
            if let Some(same) = &mut template
                && descriptor & !field == same.bits
                && address < limit
            {
                if (input, address) == same.next {
                    self.extend(entry_bytes);
                } else {
                    self.push(input, entry_bytes, R::advance(same.meaning, address));
                }
                same.next = next;
            } else if let Some(meaning) = self.entry(table, input, descriptor)?
                && descriptor & CONTIGUOUS == 0
            {
                template = Some(Template {
                    bits: descriptor & !field,
                    meaning: R::advance(meaning, address.wrapping_neg()),
                    next,
                });
            }
        }
        Ok(())
    }

    /// How many entries behind the invalid one at `index` can be passed over, since
    /// they are zero as well.
    fn zeroes_behind(&self, table: Table<R::Inherited>, index: u64, descriptor: u64) -> u64 {
        let starts = descriptor == 0 && index.is_multiple_of(STRETCH);
        let is_whole = table.entries - index >= STRETCH;
        if starts && is_whole && self.memory.holds(table.at + index * 8, &ZEROES) {
            STRETCH - 1
        } else {
            0
        }
    }

    /// One valid entry. It returns the meaning of a leaf that is all within the output
    /// size.
    fn entry(
        &mut self,
        Table { level, above, .. }: Table<R::Inherited>,
        input: u64,
        descriptor: u64,
    ) -> Result<Option<R::Meaning>, BudgetExceeded> {
        let params = *self.regime.params();
        match params.entry(level, descriptor) {
            Entry::Invalid => Ok(None),
            Entry::Leaf { pa } => Ok(self.leaf(above, level, descriptor, pa, input)),
            Entry::Table { next } if params.is_oversize(next) => {
                let bytes = params.entry_bytes(level);
                self.push(input, bytes, R::unusable(Unusable::AddressSize, level));
                Ok(None)
            }
            Entry::Table { next } => {
                self.table(Table {
                    level: level + 1,
                    at: next,
                    entries: 1 << params.stride(),
                    input,
                    above: self.regime.below(above, descriptor),
                })?;
                Ok(None)
            }
        }
    }

    fn leaf(
        &mut self,
        above: R::Inherited,
        level: i8,
        descriptor: u64,
        base: u64,
        input: u64,
    ) -> Option<R::Meaning> {
        let params = self.regime.params();
        let bytes = params.entry_bytes(level);
        // A block that is larger than the output size can be used up to there.
        let usable = bytes.min(1 << params.output_bits);
        let meaning = self.regime.leaf(above, level, descriptor, base, input);
        self.push(input, usable, meaning);
        if usable < bytes {
            let first = input + usable;
            let beyond = self.regime.leaf(above, level, descriptor, base, first);
            self.push(first, bytes - usable, beyond);
            return None;
        }
        (!params.is_oversize(base)).then_some(meaning)
    }

    /// Widens the last range.
    fn extend(&mut self, bytes: u64) {
        if let Some(last) = self.ranges.last_mut() {
            *R::parts(last).1 += bytes;
        }
    }

    #[inline]
    fn push(&mut self, input: u64, bytes: u64, meaning: R::Meaning) {
        if let Some(last) = self.ranges.last_mut() {
            let (first, length, last_meaning) = R::parts(last);
            if first + *length == input && R::advance(last_meaning, *length) == meaning {
                *length += bytes;
                return;
            }
        }
        self.ranges.push(R::range(input, bytes, meaning));
    }
}
