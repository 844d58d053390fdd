//! The walker of one address space, whichever tables it has: those of a guest's Stage-2
//! or of EL2's own stage 1, under an EL2 in AArch64 or in AArch32.
//!
//! All answer in the words of stage 2 ([`crate::walk`]): "IPA" stands for the virtual
//! address of a stage 1, and what EL2 itself may fetch, EL1 and EL0 may. The regime is
//! looked at once for each walk, never in one.
//!
//! It leaves out what the descriptors of each regime mean, which is `walk`'s, `stage1`'s
//! and `aarch32`'s, and the bits that no judged subject sets (those of `SCTLR_EL2` and
//! `HCR_EL2` beside the ones here).

use crate::operation::{Machine, Regime};
use crate::params::WalkParams;
use crate::ranges::{self, BUDGET, BudgetExceeded, Range};
use crate::walk::{Access, Answer, Entry, Fault, FaultKind, Memory, Step};
use crate::{aarch32, arch, stage1, walk};

/// `HCR_EL2`: RW, DC and VM. DC makes stage 1 normal, write-back and non-shareable,
/// so that an answer's attributes show what stage 2 says.
pub const HCR: u64 = 1 << 31 | 1 << 12 | 1;

/// [`HCR`] as a machine has it: with FWB where FEAT_S2FWB is in use.
pub fn hcr(machine: &Machine) -> u64 {
    HCR | u64::from(machine.features.fwb) << 46
}

/// `SCTLR_EL2` and `HSCTLR`: C and M.
const SCTLR: u32 = 1 << 2 | 1;

/// `HCR`: DC and VM.
const HCR_32: u32 = 1 << 12 | 1;

/// The level that a Translation fault of an address reports which is too large for any
/// register of AArch32.
const UNREAD_LEVEL_32: i8 = 1;

/// The registers that stand for an address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// `VTCR_EL2`, `TCR_EL2`, `VTCR` or `HTCR`.
    pub control: u64,
    /// `VTTBR_EL2`, `TTBR0_EL2`, `VTTBR` or `HTTBR`.
    pub root: u64,
    /// `MAIR_EL2` or `HMAIR0`; of no meaning at stage 2.
    pub attributes: u64,
}

/// The walker of an address space, decoded once for many walks.
///
/// A configuration that no walk can use is remembered, and answers every walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walker {
    /// A guest's Stage-2 under an EL2 in AArch64.
    Stage2(walk::Stage2),
    /// EL2's own stage 1.
    El2(stage1::Stage1),
    /// A guest's Stage-2 under an EL2 in AArch32.
    Aarch32(aarch32::Stage2),
    /// Hyp mode's own stage 1.
    Aarch32Hyp(aarch32::Stage1),
}

/// What the machine implements, in the words of the walks.
fn features(machine: &Machine) -> arch::Features {
    arch::Features {
        pa_bits: machine.pa_bits,
        granule_16k: true,
        bbm: machine.bbm,
        ..machine.features
    }
}

fn stage2(machine: &Machine, registers: &Registers) -> walk::Stage2 {
    let registers = walk::Registers {
        vtcr: registers.control,
        vttbr: registers.root,
        hcr: hcr(machine),
    };
    walk::Stage2::new(features(machine), registers)
}

fn el2(machine: &Machine, registers: &Registers) -> stage1::Stage1 {
    let features = stage1::Features {
        both: features(machine),
        // E1: 52-bit addresses of the 64K granule come together.
        lva: machine.pa_bits == 52,
        hpds: false,
        pauth: false,
        xs: false,
        mte2: false,
    };
    let registers = stage1::Registers {
        tcr: registers.control,
        ttbr0: registers.root,
        mair: registers.attributes,
        sctlr: SCTLR.into(),
    };
    stage1::Stage1::new(features, registers)
}

/// Bits 31:0, all that a register of AArch32 has.
fn word(register: u64) -> u32 {
    let [b0, b1, b2, b3, ..] = register.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

/// Section Z: no features.
const FEATURES_32: aarch32::Features = aarch32::Features {
    xnx: false,
    hpd: false,
};

fn stage2_32(registers: &Registers) -> aarch32::Stage2 {
    let registers = aarch32::stage2::Registers {
        vtcr: word(registers.control),
        vttbr: registers.root,
        hcr: HCR_32,
        hcr2: 0,
        hsctlr: SCTLR,
    };
    aarch32::Stage2::new(FEATURES_32, registers)
}

fn hyp(registers: &Registers) -> aarch32::Stage1 {
    let registers = aarch32::stage1::Registers {
        htcr: word(registers.control),
        httbr: registers.root,
        hmair0: word(registers.attributes),
        hmair1: 0,
        hsctlr: SCTLR,
    };
    aarch32::Stage1::new(FEATURES_32, registers)
}

impl Walker {
    /// The walker of the machine's regime. Any registers are accepted: see [`Walker`].
    pub fn new(machine: &Machine, registers: &Registers) -> Walker {
        match machine.regime {
            Regime::Stage2 => Walker::Stage2(stage2(machine, registers)),
            Regime::El2 => Walker::El2(el2(machine, registers)),
            Regime::Aarch32 => Walker::Aarch32(stage2_32(registers)),
            Regime::Aarch32Hyp => Walker::Aarch32Hyp(hyp(registers)),
        }
    }

    /// Translates one access. An address that no register of AArch32 holds takes Hyp
    /// mode's Translation fault for one beyond the size of its address space.
    pub fn translate<M: Memory + ?Sized>(&self, memory: &M, ipa: u64, access: Access) -> Answer {
        match self {
            Walker::Stage2(stage2) => stage2.translate(memory, ipa, access),
            Walker::El2(stage1) => stage1.translate(memory, ipa, access.into()).into(),
            Walker::Aarch32(stage2) => stage2.translate(memory, ipa, access),
            Walker::Aarch32Hyp(stage1) => match u32::try_from(ipa) {
                Ok(va) => stage1.translate(memory, va, access.into()).into(),
                Err(_) => Answer::Fault(Fault::new(FaultKind::Translation, UNREAD_LEVEL_32)),
            },
        }
    }

    /// The steps of the walk that [`Walker::translate`] makes, as [`walk::trace`] tells
    /// them.
    pub fn trace<M: Memory + ?Sized>(&self, memory: &M, ipa: u64, access: Access) -> Vec<Step> {
        let common = |steps: Vec<Step<stage1::Answer>>| {
            let steps = steps.into_iter().map(|step| step.map(Answer::from));
            steps.collect()
        };
        match self {
            Walker::Stage2(stage2) => walk::trace(stage2, memory, ipa, access),
            Walker::El2(stage1) => common(stage1::trace(stage1, memory, ipa, access.into())),
            Walker::Aarch32(stage2) => aarch32::stage2::trace(stage2, memory, ipa, access),
            Walker::Aarch32Hyp(stage1) => match u32::try_from(ipa) {
                Ok(va) => common(aarch32::stage1::trace(stage1, memory, va, access.into())),
                Err(_) => Vec::new(),
            },
        }
    }

    /// All maximal ranges in ascending order, with a budget of [`BUDGET`] descriptors.
    ///
    /// # Errors
    /// See [`Walker::ranges_within`].
    pub fn ranges<M: Memory + ?Sized>(&self, memory: &M) -> Result<Vec<Range>, BudgetExceeded> {
        self.ranges_within(memory, BUDGET)
    }

    /// All maximal ranges in ascending order, as [`ranges::ranges_within`] finds them.
    ///
    /// # Errors
    /// The tables hold more than `budget` descriptors, each table counted as often as it
    /// is reached.
    pub fn ranges_within<M: Memory + ?Sized>(
        &self,
        memory: &M,
        budget: u64,
    ) -> Result<Vec<Range>, BudgetExceeded> {
        let common = |ranges: Vec<stage1::Range>| ranges.into_iter().map(Range::from).collect();
        match self {
            Walker::Stage2(stage2) => ranges::ranges_within(stage2, memory, budget),
            Walker::El2(stage1) => stage1::ranges_within(stage1, memory, budget).map(common),
            Walker::Aarch32(stage2) => aarch32::stage2::ranges_within(stage2, memory, budget),
            Walker::Aarch32Hyp(stage1) => {
                aarch32::stage1::ranges_within(stage1, memory, budget).map(common)
            }
        }
    }

    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        match self {
            Walker::Stage2(stage2) => stage2.start_level(),
            Walker::El2(stage1) => stage1.start_level(),
            Walker::Aarch32(stage2) => stage2.start_level(),
            Walker::Aarch32Hyp(stage1) => stage1.start_level(),
        }
    }

    /// Physical address of the root and the number of its entries, those of all
    /// concatenated tables together, where descriptors are read at all.
    pub fn root(&self) -> Option<(u64, u64)> {
        let base = match self {
            Walker::Stage2(stage2) => stage2.root().map(|(base, _)| base),
            Walker::El2(stage1) => stage1.root().map(|(base, _)| base),
            Walker::Aarch32(stage2) => stage2.root().map(|(base, _)| base),
            Walker::Aarch32Hyp(stage1) => stage1.root().map(|(base, _)| base),
        };
        base.map(|base| (base, 1 << self.params().root_index_bits()))
    }

    /// The size of input addresses in bits.
    pub fn input_bits(&self) -> u8 {
        self.params().input_bits
    }

    /// The level that a Translation fault of an address beyond that size reports.
    pub fn unread_level(&self) -> i8 {
        self.params().unread_level
    }

    /// Type and address of a descriptor of `level`. It checks neither the address nor
    /// the attributes. A level that the regime does not have holds nothing but invalid
    /// entries.
    pub fn entry(&self, level: i8, descriptor: u64) -> Entry {
        match self {
            Walker::Stage2(stage2) => stage2.entry(level, descriptor),
            Walker::El2(stage1) => stage1.entry(level, descriptor),
            Walker::Aarch32(stage2) => stage2.entry(level, descriptor),
            Walker::Aarch32Hyp(stage1) => stage1.entry(level, descriptor),
        }
    }

    /// The bytes of input addresses that an entry of `level` covers; 0 for a level that
    /// the regime does not have.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        match self {
            Walker::Stage2(stage2) => stage2.entry_bytes(level),
            Walker::El2(stage1) => stage1.entry_bytes(level),
            Walker::Aarch32(stage2) => stage2.entry_bytes(level),
            Walker::Aarch32Hyp(stage1) => stage1.entry_bytes(level),
        }
    }

    /// Entries of one table.
    pub fn entries_per_table(&self) -> u32 {
        1 << self.params().stride()
    }

    pub(crate) fn params(&self) -> &WalkParams {
        match self {
            Walker::Stage2(stage2) => &stage2.params,
            Walker::El2(stage1) => &stage1.params,
            Walker::Aarch32(stage2) => stage2.params(),
            Walker::Aarch32Hyp(stage1) => stage1.params(),
        }
    }
}
