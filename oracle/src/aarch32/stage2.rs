//! Stage 2 of the Non-secure PL1&0 translation regime, where EL2 is in AArch32: the
//! registers, decoded and checked once, and the walk.
//!
//! The stage-1 attributes are those of a stage 1 that is off, also for the IPAs above
//! 32 bits that only one that is on can hand on; see [`crate::walk`] for what else is
//! taken for granted.

use super::byte_order::BigEndian;
use super::{Features, HIGHEST_LEVEL, OUTPUT_BITS, long_descriptors, root};
use crate::params::{FINAL_LEVEL, State, WalkParams, bit, field};
use crate::ranges::{self, BUDGET, BudgetExceeded, Range};
use crate::walk::{
    self, Access, Answer, Controls, Entry, Fetches, Memory, Step, Why, start_level_is_inconsistent,
};

/// The registers that stage 2 reads, as raw values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// `VTCR`.
    pub vtcr: u32,
    /// `VTTBR`.
    pub vttbr: u64,
    /// `HCR`, of which VM and DC matter.
    pub hcr: u32,
    /// `HCR2`, of which CD matters.
    pub hcr2: u32,
    /// `HSCTLR`, of which EE matters.
    pub hsctlr: u32,
}

/// Registers decoded once, for many walks.
///
/// A configuration that no walk can use is remembered, and answers every walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2 {
    /// The stage of an EL2 in AArch64 that walks in the same way.
    tables: walk::Stage2,
    /// `HSCTLR.EE`
    big_endian: bool,
}

/// AArch32.S2StartLevel; `None` for the reserved encodings.
fn start_level(vtcr: u64) -> Option<i8> {
    match field(vtcr, 6, 2) {
        0b00 => Some(2),
        0b01 => Some(1),
        _ => None,
    }
}

/// AArch32.S2IASize: T0SZ is a signed number of four bits.
fn input_bits(vtcr: u64) -> u8 {
    let t0sz = field(vtcr, 0, 4);
    if t0sz < 8 { 32 - t0sz } else { 48 - t0sz }
}

fn controls(features: Features, registers: &Registers) -> Controls {
    Controls {
        // AArch32.S2HasPermissionsFault
        fetches: Fetches::new(features.xnx).of_readable(),
        // HCR2 has no FWB.
        forced_write_back: false,
        default_cacheable: bit(registers.hcr.into(), 12),
        caches_disabled: bit(registers.hcr2.into(), 0),
        sh0: field(registers.vtcr.into(), 12, 2),
    }
}

/// The configuration checks of AArch32.S2Translate and AArch32.S2Walk. Both faults of
/// the configuration and those of the IPA's size are Translation faults at level 1, so
/// that their order does not show.
fn check(tables: &mut walk::Stage2, registers: &Registers) -> State {
    let vtcr = u64::from(registers.vtcr);
    let hcr = u64::from(registers.hcr);
    if !bit(hcr, 0) && !bit(hcr, 12) {
        return State::Off;
    }
    let Some(start_level) = start_level(vtcr) else {
        return State::Invalid;
    };
    // AArch32.GetS2TTWParams
    if bit(vtcr, 4) != bit(vtcr, 3) {
        return State::Open {
            why: Why::SignOfT0sz,
            input_bits: OUTPUT_BITS,
        };
    }
    let params = long_descriptors(start_level, input_bits(vtcr));
    // AArch32.S2InconsistentSL
    if start_level_is_inconsistent(&params) {
        return State::Invalid;
    }
    let (state, base) = root(&params, registers.vttbr);
    tables.params = params;
    tables.base = base;
    state
}

impl Stage2 {
    /// Decodes the registers. It accepts any values: see [`Stage2`].
    pub fn new(features: Features, registers: Registers) -> Stage2 {
        let mut tables = walk::Stage2 {
            state: State::Invalid,
            params: long_descriptors(FINAL_LEVEL, input_bits(registers.vtcr.into())),
            // A stage 1 of AArch32 hands on 40 bits.
            stage1_bits: OUTPUT_BITS,
            base: 0,
            controls: controls(features, &registers),
        };
        tables.state = check(&mut tables, &registers);
        Stage2 {
            tables,
            big_endian: bit(registers.hsctlr.into(), 25),
        }
    }

    /// Translates one access: AArch32.S2Translate, AArch32.S2Walk.
    ///
    /// [`Access::AtRead`] stands for `ATS12NSOPR` and `ATS12NSOUR`, [`Access::AtWrite`]
    /// for `ATS12NSOPW` and `ATS12NSOUW`. An IPA of more than 40 bits, which no stage 1
    /// hands on, is stage 1's Address size fault. No answer has an update.
    pub fn translate<M: Memory + ?Sized>(&self, memory: &M, ipa: u64, access: Access) -> Answer {
        if self.big_endian {
            self.tables.translate(&BigEndian(memory), ipa, access)
        } else {
            self.tables.translate(memory, ipa, access)
        }
    }

    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        self.tables.start_level()
    }

    /// Physical address of the root and the number of concatenated tables in it, where
    /// descriptors are read at all.
    pub fn root(&self) -> Option<(u64, u32)> {
        self.tables.root()
    }

    /// The IPA size in bits, 32 - `VTCR.T0SZ`.
    pub fn ipa_bits(&self) -> u8 {
        self.tables.ipa_bits()
    }

    /// Type and address of a descriptor of `level`, in the processor's byte order. It
    /// checks neither the address nor the attributes. A level other than 1 to 3 holds
    /// nothing but invalid entries.
    pub fn entry(&self, level: i8, descriptor: u64) -> Entry {
        if level < HIGHEST_LEVEL {
            return Entry::Invalid;
        }
        self.tables.entry(level, descriptor)
    }

    /// The bytes of IPA space that an entry of `level` covers; 0 for a level other than
    /// 1 to 3.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        if level < HIGHEST_LEVEL {
            return 0;
        }
        self.tables.entry_bytes(level)
    }

    pub(crate) fn params(&self) -> &WalkParams {
        &self.tables.params
    }

    /// Entries of one table.
    pub fn entries_per_table(&self) -> u32 {
        self.tables.entries_per_table()
    }
}

/// The steps of the walk that [`Stage2::translate`] makes, as [`walk::trace`] tells them.
pub fn trace<M: Memory + ?Sized>(
    stage2: &Stage2,
    memory: &M,
    ipa: u64,
    access: Access,
) -> Vec<Step> {
    if stage2.big_endian {
        walk::trace(&stage2.tables, &BigEndian(memory), ipa, access)
    } else {
        walk::trace(&stage2.tables, memory, ipa, access)
    }
}

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
/// The tables hold more than `budget` descriptors, each table counted as often as it is
/// reached.
pub fn ranges_within<M: Memory + ?Sized>(
    stage2: &Stage2,
    memory: &M,
    budget: u64,
) -> Result<Vec<Range>, BudgetExceeded> {
    if stage2.big_endian {
        ranges::ranges_within(&stage2.tables, &BigEndian(memory), budget)
    } else {
        ranges::ranges_within(&stage2.tables, memory, budget)
    }
}
