//! The whole IPA space of a Stage-2 as maximal ranges of equal meaning.
//!
//! It leaves out what a single access adds: permission checks and hardware's own
//! updates. The decisions about a descriptor are `walk`'s.

mod collector;

pub(crate) use collector::{Regime, collect};

use crate::descriptor::Unusable;
use crate::params::{State, WalkParams};
use crate::walk::{FaultKind, Leaf, Memory, Permissions, Reported, Stage2, Why};

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

/// The budget of [`ranges`] in descriptors: 1024 full tables of the 64K granule.
pub const BUDGET: u64 = 1 << 23;

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
    collect(stage2, memory, budget)
}

impl Regime for Stage2 {
    type Inherited = ();
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
        memory.read(at)
    }

    fn below(&self, (): (), _table: u64) {}

    /// What a leaf means at one address. `pa` is its address field.
    #[inline]
    fn leaf(&self, (): (), level: i8, descriptor: u64, pa: u64, ipa: u64) -> Meaning {
        match self.leaf(level, descriptor, pa, ipa) {
            Err(reason) => Self::unusable(reason, level),
            Ok(leaf) => match self.reported(descriptor) {
                Err(why) => Meaning::Unpredictable(why),
                Ok(reported) => mapped(leaf, reported),
            },
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
        let leaf = Leaf {
            pa: 0,
            permissions: Permissions::ALL,
        };
        let meaning = mapped(leaf, self.controls.stage1_attributes());
        (self.stage1_bits, meaning)
    }

    #[inline]
    fn advance(meaning: Meaning, offset: u64) -> Meaning {
        meaning.at(offset)
    }

    #[inline]
    fn range(ipa: u64, bytes: u64, meaning: Meaning) -> Range {
        Range {
            ipa,
            bytes,
            meaning,
        }
    }

    #[inline]
    fn parts(range: &mut Range) -> (u64, &mut u64, Meaning) {
        (range.ipa, &mut range.bytes, range.meaning)
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
