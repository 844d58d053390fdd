//! Hyp mode's own stage 1, the Non-secure EL2 translation regime in AArch32: the
//! registers, decoded and checked once, and the walk.
//!
//! See [`crate::stage1`] for what else is taken for granted.

use super::{Features, HIGHEST_LEVEL, long_descriptors, root};
use crate::params::{FINAL_LEVEL, State, WalkParams, bit, field};
use crate::ranges::{BUDGET, BudgetExceeded};
use crate::stage1::{self, Access, Answer, Controls, Entry, Memory, Range};
use crate::walk::Step;

/// The registers that Hyp mode's stage 1 reads, as raw values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// `HTCR`.
    pub htcr: u32,
    /// `HTTBR`.
    pub httbr: u64,
    /// `HMAIR0`, attributes 0 to 3.
    pub hmair0: u32,
    /// `HMAIR1`, attributes 4 to 7.
    pub hmair1: u32,
    /// `HSCTLR`, of which M, C, WXN and EE matter.
    pub hsctlr: u32,
}

/// Registers decoded once, for many walks.
///
/// A configuration that no walk can use is remembered, and answers every walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage1 {
    /// The stage of an EL2 in AArch64 that walks in the same way.
    tables: stage1::Stage1,
}

/// AArch32.S1IASize: T0SZ is an unsigned number of three bits, all of which are valid.
fn input_bits(htcr: u64) -> u8 {
    32 - field(htcr, 0, 3)
}

/// AArch32.S1WalkLD: the lowest level at which one table is enough.
fn start_level(input_bits: u8) -> i8 {
    if input_bits > 30 { 1 } else { 2 }
}

/// AArch32.S1TTWParamsEL2
fn controls(features: Features, registers: &Registers) -> Controls {
    let hsctlr = u64::from(registers.hsctlr);
    Controls {
        ignores_top_byte: false,
        keeps_top_byte_of_instructions: false,
        ignores_table_permissions: features.hpd && bit(registers.htcr.into(), 24),
        write_implies_execute_never: bit(hsctlr, 19),
        caches_disabled: !bit(hsctlr, 2),
        big_endian_tables: bit(hsctlr, 25),
        // AArch32.S1TranslateLD: SetInGuardedPage(FALSE)
        has_guarded_pages: false,
    }
}

impl Stage1 {
    /// Decodes the registers. It accepts any values: see [`Stage1`].
    pub fn new(features: Features, registers: Registers) -> Stage1 {
        let htcr = u64::from(registers.htcr);
        let input_bits = input_bits(htcr);
        let mut tables = stage1::Stage1 {
            state: State::Off,
            params: long_descriptors(FINAL_LEVEL, input_bits),
            // Where the MMU is off, every virtual address is a physical one.
            pa_bits: 32,
            base: 0,
            mair: u64::from(registers.hmair1) << 32 | u64::from(registers.hmair0),
            sh0: field(htcr, 12, 2),
            controls: controls(features, &registers),
            // S1DecodeMemAttrs knows these encodings in AArch64 alone.
            xs: false,
            mte2: false,
        };
        // AArch32.S1Enabled
        if bit(registers.hsctlr.into(), 0) {
            tables.params.start_level = start_level(input_bits);
            (tables.state, tables.base) = root(&tables.params, registers.httbr);
        }
        Stage1 { tables }
    }

    /// Translates one access: AArch32.S1TranslateLD, AArch32.S1WalkLD.
    ///
    /// [`Access::AtRead`] stands for `ATS1HR`, [`Access::AtWrite`] for `ATS1HW`. No
    /// answer has an update, and no page is guarded.
    pub fn translate<M: Memory + ?Sized>(&self, memory: &M, va: u32, access: Access) -> Answer {
        self.tables.translate(memory, va.into(), access)
    }

    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        self.tables.start_level()
    }

    /// Physical address of the root and the number of its entries, where descriptors are
    /// read at all.
    pub fn root(&self) -> Option<(u64, u32)> {
        self.tables.root()
    }

    /// The size of virtual addresses in bits, 32 - `HTCR.T0SZ`.
    pub fn va_bits(&self) -> u8 {
        self.tables.va_bits()
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

    /// The bytes of virtual address space that an entry of `level` covers; 0 for a level
    /// other than 1 to 3.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        if level < HIGHEST_LEVEL {
            return 0;
        }
        self.tables.entry_bytes(level)
    }

    pub(crate) fn params(&self) -> &WalkParams {
        &self.tables.params
    }

    /// Entries of one table below the root.
    pub fn entries_per_table(&self) -> u32 {
        self.tables.entries_per_table()
    }
}

/// The steps of the walk that [`Stage1::translate`] makes, as [`stage1::trace`] tells
/// them.
pub fn trace<M: Memory + ?Sized>(
    stage1: &Stage1,
    memory: &M,
    va: u32,
    access: Access,
) -> Vec<Step<Answer>> {
    stage1::trace(&stage1.tables, memory, va.into(), access)
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
/// The tables hold more than `budget` descriptors, each table counted as often as it is
/// reached.
pub fn ranges_within<M: Memory + ?Sized>(
    stage1: &Stage1,
    memory: &M,
    budget: u64,
) -> Result<Vec<Range>, BudgetExceeded> {
    stage1::ranges_within(&stage1.tables, memory, budget)
}
