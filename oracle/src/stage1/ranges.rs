//! The whole virtual address space of EL2 as maximal ranges of equal meaning.
//!
//! It leaves out what a single access adds: permission checks, hardware's own updates,
//! and address tags.

use super::leaf::{Hierarchical, Permissions, UNTRANSLATED};
use super::{FaultKind, Memory, Stage1, Why};
use crate::descriptor::Unusable;
use crate::params::{State, WalkParams};
use crate::ranges::{self, BUDGET, BudgetExceeded, Regime, collect};
use crate::walk::Reported;

/// A stretch of virtual address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// First virtual address.
    pub va: u64,
    /// Length in bytes, not 0.
    pub bytes: u64,
    /// What all of it means.
    pub meaning: Meaning,
}

/// What an address means. A Translation fault is no meaning: such addresses are in
/// no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// A leaf that can be used; loads are always permitted. The access flag is set, or
    /// hardware sets it.
    Mapped {
        /// Physical address of the range's first byte; it advances with the address.
        pa: u64,
        /// Stores are permitted, also where they would set dirty state first.
        write: bool,
        /// Fetches are permitted.
        execute: bool,
        /// The GP bit.
        guarded: bool,
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

/// All maximal ranges in ascending order, with a budget of [`BUDGET`] descriptors.
///
/// # Errors
/// See [`ranges_within`].
pub fn ranges<M: Memory + ?Sized>(
    stage1: &Stage1,
    memory: &M,
) -> Result<Vec<Range>, BudgetExceeded> {
    ranges_within(stage1, memory, BUDGET)
}

/// All maximal ranges in ascending order. The cost is one read for each descriptor of
/// each table that a valid entry leads to.
///
/// # Errors
/// The tables hold more than `budget` descriptors, each table counted as often as it
/// is reached.
pub fn ranges_within<M: Memory + ?Sized>(
    stage1: &Stage1,
    memory: &M,
    budget: u64,
) -> Result<Vec<Range>, BudgetExceeded> {
    collect(stage1, memory, budget)
}

impl Regime for Stage1 {
    type Inherited = Hierarchical;
    type Meaning = Meaning;
    type Range = Range;

    fn params(&self) -> &WalkParams {
        &self.params
    }

    fn state(&self) -> State {
        self.state
    }

    fn base(&self) -> u64 {
        self.base
    }

    fn fetch<M: Memory + ?Sized>(&self, memory: &M, at: u64) -> Option<u64> {
        self.fetch(memory, at)
    }

    fn below(&self, above: Hierarchical, table: u64) -> Hierarchical {
        self.below(above, table)
    }

    fn leaf(&self, above: Hierarchical, level: i8, descriptor: u64, base: u64, va: u64) -> Meaning {
        let pa = match self.params.output(level, descriptor, base, va) {
            Ok(pa) => pa,
            Err(reason) => return Self::unusable(reason, level),
        };
        match self.reported(descriptor) {
            Err(why) => Meaning::Unpredictable(why),
            Ok(reported) => {
                let permissions = self.permissions(descriptor, above);
                mapped(pa, permissions, self.is_guarded(descriptor), reported)
            }
        }
    }

    fn unusable(reason: Unusable, level: i8) -> Meaning {
        let kind = match reason {
            Unusable::Open(why) => return Meaning::Unpredictable(why),
            Unusable::AddressSize => FaultKind::AddressSize,
            Unusable::AccessFlag => FaultKind::AccessFlag,
            Unusable::ExternalAbort => FaultKind::ExternalAbort,
        };
        Meaning::Fault { kind, level }
    }

    fn untranslated(&self) -> (u8, Meaning) {
        let meaning = mapped(0, Permissions::ALL, false, UNTRANSLATED);
        (self.pa_bits, meaning)
    }

    fn advance(meaning: Meaning, offset: u64) -> Meaning {
        meaning.at(offset)
    }

    fn range(va: u64, bytes: u64, meaning: Meaning) -> Range {
        Range { va, bytes, meaning }
    }

    #[inline]
    fn parts(range: &mut Range) -> (u64, &mut u64, Meaning) {
        (range.va, &mut range.bytes, range.meaning)
    }
}

impl From<Range> for ranges::Range {
    /// In the words of stage 2, as [`walk::Answer`](crate::walk::Answer) has them.
    fn from(range: Range) -> ranges::Range {
        ranges::Range {
            ipa: range.va,
            bytes: range.bytes,
            meaning: match range.meaning {
                Meaning::Mapped {
                    pa,
                    write,
                    execute,
                    attributes,
                    shareability,
                    ..
                } => ranges::Meaning::Mapped {
                    pa,
                    read: true,
                    write,
                    execute_el1: execute,
                    execute_el0: execute,
                    attributes,
                    shareability,
                },
                Meaning::Fault { kind, level } => ranges::Meaning::Fault {
                    kind: kind.into(),
                    level,
                },
                Meaning::Unpredictable(why) => ranges::Meaning::Unpredictable(why),
            },
        }
    }
}

impl Meaning {
    /// The meaning `offset` bytes on in the same range.
    #[inline]
    #[must_use]
    pub fn at(mut self, offset: u64) -> Meaning {
        if let Meaning::Mapped { pa, .. } = &mut self {
            *pa = pa.wrapping_add(offset);
        }
        self
    }
}

fn mapped(pa: u64, permissions: Permissions, guarded: bool, reported: Reported) -> Meaning {
    Meaning::Mapped {
        pa,
        write: permissions.write,
        execute: permissions.execute,
        guarded,
        attributes: reported.attributes,
        shareability: reported.shareability,
    }
}
