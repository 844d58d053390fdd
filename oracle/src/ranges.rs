//! The whole IPA space of a Stage-2 as maximal ranges of equal meaning.
//!
//! It leaves out what a single access adds: permission checks and hardware's own
//! updates. The decisions about a descriptor are `walk`'s.

use crate::walk::{
    Entry, FaultKind, Leaf, Memory, Permissions, Reported, Stage2, State, Unusable, Why,
};

/// A stretch of IPA space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// First IPA.
    pub ipa: u64,
    /// Length in bytes, not 0.
    pub bytes: u64,
    /// What all of it means.
    pub meaning: Meaning,
}

/// What an address means. A Translation fault is no meaning: such addresses are in
/// no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// A leaf that can be used, though perhaps nothing is permitted. The access flag
    /// is set, or hardware sets it.
    Mapped {
        /// Physical address of the range's first byte; it advances with the IPA.
        pa: u64,
        /// Loads are permitted.
        read: bool,
        /// Stores are permitted, also where they would set dirty state first.
        write: bool,
        /// Fetches at EL1 are permitted.
        execute_el1: bool,
        /// Fetches at EL0 are permitted.
        execute_el0: bool,
        /// In the form of `PAR_EL1.ATTR`.
        attributes: u8,
        /// In the form of `PAR_EL1.SH`.
        shareability: u8,
    },
    /// Every access faults in the same way.
    Fault {
        /// Address size, Access flag or External abort.
        kind: FaultKind,
        /// Level that is reported.
        level: i8,
    },
    /// The architecture leaves it open.
    Unpredictable(Why),
}

/// More descriptors than the budget allows: tables that are shared between entries,
/// or that lead back to themselves, can stand for more than any memory could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExceeded {
    /// The budget, in descriptors.
    pub budget: u64,
}

impl core::fmt::Display for BudgetExceeded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "the tables hold more than {} descriptors (shared, or linked in a loop)",
            self.budget
        )
    }
}

impl core::error::Error for BudgetExceeded {}

/// The budget of [`ranges`] in descriptors: 16 GiB in 4 KiB pages, in full tables.
pub const BUDGET: u64 = 1 << 22;

/// All maximal ranges in ascending order, with a budget of [`BUDGET`] descriptors.
///
/// # Errors
/// See [`ranges_within`].
pub fn ranges<M: Memory + ?Sized>(
    stage2: &Stage2,
    memory: &M,
) -> Result<Vec<Range>, BudgetExceeded> {
    ranges_within(stage2, memory, BUDGET)
}

/// All maximal ranges in ascending order. The cost is one read for each descriptor of
/// each table that a valid entry leads to.
///
/// # Errors
/// The tables hold more than `budget` descriptors, each table counted as often as it
/// is reached.
pub fn ranges_within<M: Memory + ?Sized>(
    stage2: &Stage2,
    memory: &M,
    budget: u64,
) -> Result<Vec<Range>, BudgetExceeded> {
    let mut collector = Collector {
        stage2,
        memory,
        budget: BudgetExceeded { budget },
        left: budget,
        ranges: Vec::new(),
    };
    match stage2.state {
        State::Valid => collector.root()?,
        State::Invalid => {}
        State::Off => collector.identity(),
        State::Open { why, ipa_bits } => {
            let bits = ipa_bits.min(stage2.stage1_bits);
            collector.push(0, 1 << bits, Meaning::Unpredictable(why));
        }
        State::OversizeBase => {
            let meaning = Meaning::Fault {
                kind: FaultKind::AddressSize,
                level: 0,
            };
            collector.push(0, 1 << stage2.ipa_bits(), meaning);
        }
    }
    Ok(collector.ranges)
}

/// The Contiguous bit, which makes a leaf's meaning depend on its place.
const CONTIGUOUS: u64 = 1 << 52;

/// A traversal of the tables in ascending order of IPA.
struct Collector<'a, M: ?Sized> {
    stage2: &'a Stage2,
    memory: &'a M,
    budget: BudgetExceeded,
    /// What is left of the budget.
    left: u64,
    ranges: Vec<Range>,
}

/// One table, or the concatenated tables of the root.
#[derive(Clone, Copy)]
struct Table {
    level: i8,
    at: u64,
    entries: u64,
    /// First IPA that it resolves.
    ipa: u64,
}

/// A mapped leaf of the table at hand. Another leaf that differs from it in its address
/// alone means the same at another address, which saves most decoding.
#[derive(Clone, Copy)]
struct Template {
    /// The descriptor without its address field.
    bits: u64,
    /// Its meaning where the address field is 0.
    meaning: Meaning,
    /// IPA and address field of the leaf that continues the last one of this template.
    next: (u64, u64),
}

impl<M: Memory + ?Sized> Collector<'_, M> {
    fn identity(&mut self) {
        let leaf = Leaf {
            pa: 0,
            permissions: Permissions::ALL,
        };
        let meaning = mapped(leaf, self.stage2.controls.stage1_attributes());
        self.push(0, 1 << self.stage2.stage1_bits, meaning);
    }

    fn root(&mut self) -> Result<(), BudgetExceeded> {
        let (Some(level), Some((at, _))) = (self.stage2.start_level(), self.stage2.root()) else {
            return Ok(());
        };
        let entries = (1 << self.stage2.ipa_bits()) / self.stage2.entry_bytes(level);
        self.table(Table {
            level,
            at,
            entries,
            ipa: 0,
        })
    }

    /// Goes through a table. It descends four times at most, since tables of the final
    /// level link none.
    fn table(&mut self, table: Table) -> Result<(), BudgetExceeded> {
        self.left = self.left.checked_sub(table.entries).ok_or(self.budget)?;
        let entry_bytes = self.stage2.entry_bytes(table.level);
        // The address field that every format has in place: bits 47 to lsb.
        let field = (1 << 48) - entry_bytes;
        let limit = 1 << self.stage2.output_bits.min(48);
        let mut template: Option<Template> = None;
        for index in 0..table.entries {
            let ipa = table.ipa + index * entry_bytes;
            let Some(descriptor) = self.memory.read(table.at + index * 8) else {
                self.fault(ipa, entry_bytes, FaultKind::ExternalAbort, table.level);
                continue;
            };
            if descriptor & 1 == 0 {
                continue;
            }
            let address = descriptor & field;
            let next = (ipa + entry_bytes, address + entry_bytes);
            if let Some(same) = &mut template
                && descriptor & !field == same.bits
                && address < limit
            {
                if (ipa, address) == same.next {
                    self.extend(entry_bytes);
                } else {
                    self.push(ipa, entry_bytes, same.meaning.at(address));
                }
                same.next = next;
            } else if let Some(meaning) = self.entry(table.level, ipa, descriptor)?
                && descriptor & CONTIGUOUS == 0
            {
                template = Some(Template {
                    bits: descriptor & !field,
                    meaning: meaning.at(address.wrapping_neg()),
                    next,
                });
            }
        }
        Ok(())
    }

    /// One valid entry. It returns the meaning of a leaf that is mapped in full.
    fn entry(
        &mut self,
        level: i8,
        ipa: u64,
        descriptor: u64,
    ) -> Result<Option<Meaning>, BudgetExceeded> {
        match self.stage2.entry(level, descriptor) {
            Entry::Invalid => Ok(None),
            Entry::Leaf { pa } => Ok(self.leaf(level, ipa, descriptor, pa)),
            Entry::Table { next } if self.stage2.is_oversize(next) => {
                let bytes = self.stage2.entry_bytes(level);
                self.fault(ipa, bytes, FaultKind::AddressSize, level);
                Ok(None)
            }
            Entry::Table { next } => {
                let entries = self.stage2.entries_per_table().into();
                self.table(Table {
                    level: level + 1,
                    at: next,
                    entries,
                    ipa,
                })?;
                Ok(None)
            }
        }
    }

    fn leaf(&mut self, level: i8, ipa: u64, descriptor: u64, pa: u64) -> Option<Meaning> {
        let bytes = self.stage2.entry_bytes(level);
        // A block that is larger than the output size can be used up to there.
        let usable = bytes.min(1 << self.stage2.output_bits);
        let meaning = self.meaning(level, ipa, descriptor, pa);
        self.push(ipa, usable, meaning);
        if usable < bytes {
            let beyond = self.meaning(level, ipa + usable, descriptor, pa);
            self.push(ipa + usable, bytes - usable, beyond);
            return None;
        }
        matches!(meaning, Meaning::Mapped { .. }).then_some(meaning)
    }

    /// What a leaf means at one address. `pa` is its address field.
    fn meaning(&self, level: i8, ipa: u64, descriptor: u64, pa: u64) -> Meaning {
        match self.stage2.leaf(level, descriptor, pa, ipa) {
            Err(Unusable::Open(why)) => Meaning::Unpredictable(why),
            Err(Unusable::Fault(kind)) => Meaning::Fault { kind, level },
            Ok(leaf) => match self.stage2.reported(descriptor) {
                Err(why) => Meaning::Unpredictable(why),
                Ok(reported) => mapped(leaf, reported),
            },
        }
    }

    fn fault(&mut self, ipa: u64, bytes: u64, kind: FaultKind, level: i8) {
        self.push(ipa, bytes, Meaning::Fault { kind, level });
    }

    /// Widens the last range.
    fn extend(&mut self, bytes: u64) {
        if let Some(last) = self.ranges.last_mut() {
            last.bytes += bytes;
        }
    }

    #[inline]
    fn push(&mut self, ipa: u64, bytes: u64, meaning: Meaning) {
        if self
            .ranges
            .last()
            .is_some_and(|last| last.ipa + last.bytes == ipa && last.continues_as(meaning))
        {
            self.extend(bytes);
        } else {
            self.ranges.push(Range {
                ipa,
                bytes,
                meaning,
            });
        }
    }
}

impl Range {
    /// Whether the meaning at the end of this range is the same, and its physical
    /// address the next.
    #[inline]
    fn continues_as(&self, next: Meaning) -> bool {
        self.meaning.at(self.bytes) == next
    }
}

impl Meaning {
    /// The meaning `offset` bytes on in the same range.
    #[inline]
    pub fn at(self, offset: u64) -> Meaning {
        match self {
            Meaning::Mapped {
                pa,
                read,
                write,
                execute_el1,
                execute_el0,
                attributes,
                shareability,
            } => Meaning::Mapped {
                pa: pa.wrapping_add(offset),
                read,
                write,
                execute_el1,
                execute_el0,
                attributes,
                shareability,
            },
            other => other,
        }
    }
}

fn mapped(leaf: Leaf, reported: Reported) -> Meaning {
    Meaning::Mapped {
        pa: leaf.pa,
        read: leaf.permissions.read,
        write: leaf.permissions.write,
        execute_el1: leaf.permissions.execute_el1,
        execute_el0: leaf.permissions.execute_el0,
        attributes: reported.attributes,
        shareability: reported.shareability,
    }
}
