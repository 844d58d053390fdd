//! The walker of the machine's regime, in the terms of Stage-2: what the judge compares
//! with the model is the same for all of them.
//!
//! In the hypervisor's own regimes addresses are VAs, reading is always permitted, and
//! execution at EL2 counts as execution at EL1 and EL0.

use crate::aarch32;
use crate::arch::Features;
use crate::ledger::Format;
use crate::model::registers::MAIR;
use crate::operation::{Machine, Regime};
use crate::ranges::{self, BUDGET, BudgetExceeded, Meaning, Range};
use crate::stage1::{self, Stage1};
use crate::walk::{
    self, Access, Answer, Decision, Entry, Fault, Memory, Registers, Stage2, Step, Translation,
};

/// `SCTLR_EL2` and HSCTLR: M and C.
const SCTLR: u32 = 0b101;

/// A walker with its registers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Walker {
    Stage2(Stage2),
    El2(Stage1),
    Aarch32(aarch32::Stage2),
    Hyp(aarch32::Stage1),
}

fn features(machine: &Machine) -> Features {
    Features {
        pa_bits: machine.pa_bits,
        granule_16k: true,
        bbm: machine.bbm,
        ..machine.features
    }
}

/// The low half of a register that AArch32 has in 32 bits.
fn low(register: u64) -> u32 {
    (register & u64::from(u32::MAX))
        .try_into()
        .expect("32 bits are left")
}

impl Walker {
    /// With a control register and a base register of the machine's regime.
    pub(super) fn new(machine: &Machine, control: u64, base: u64) -> Walker {
        match machine.regime {
            Regime::Stage2 => Walker::Stage2(Stage2::new(
                features(machine),
                Registers {
                    vtcr: control,
                    vttbr: base,
                    hcr: super::hcr(machine),
                },
            )),
            Regime::El2 => Walker::El2(Stage1::new(
                stage1::Features {
                    both: features(machine),
                    lva: machine.pa_bits == 52,
                    hpds: false,
                    pauth: false,
                    xs: false,
                    mte2: false,
                },
                stage1::Registers {
                    tcr: control,
                    ttbr0: base,
                    mair: MAIR,
                    sctlr: SCTLR.into(),
                },
            )),
            Regime::Aarch32 => Walker::Aarch32(aarch32::Stage2::new(
                aarch32_features(machine),
                aarch32::stage2::Registers {
                    vtcr: low(control),
                    vttbr: base,
                    hcr: low(super::HCR) & !(1 << 31),
                    hcr2: 0,
                    hsctlr: SCTLR,
                },
            )),
            Regime::Aarch32Hyp => Walker::Hyp(aarch32::Stage1::new(
                aarch32_features(machine),
                aarch32::stage1::Registers {
                    htcr: low(control),
                    httbr: base,
                    hmair0: low(MAIR),
                    hmair1: 0,
                    hsctlr: SCTLR,
                },
            )),
        }
    }

    /// Translates one access.
    pub(super) fn translate<M: Memory + ?Sized>(
        &self,
        memory: &M,
        address: u64,
        access: Access,
    ) -> Answer {
        match self {
            Walker::Stage2(stage2) => stage2.translate(memory, address, access),
            Walker::Aarch32(stage2) => stage2.translate(memory, address, access),
            Walker::El2(stage1) => answer(stage1.translate(memory, address, own_access(access))),
            Walker::Hyp(stage1) => {
                // A VA of AArch32 has 32 bits; larger ones are in no address space.
                match u32::try_from(address) {
                    Ok(va) => answer(stage1.translate(memory, va, own_access(access))),
                    Err(_) => Answer::Fault(Fault::new(walk::FaultKind::Translation, 1)),
                }
            }
        }
    }

    /// All maximal ranges, with the usual budget.
    pub(super) fn ranges<M: Memory + ?Sized>(
        &self,
        memory: &M,
    ) -> Result<Vec<Range>, BudgetExceeded> {
        self.ranges_within(memory, BUDGET)
    }

    /// All maximal ranges in ascending order.
    pub(super) fn ranges_within<M: Memory + ?Sized>(
        &self,
        memory: &M,
        budget: u64,
    ) -> Result<Vec<Range>, BudgetExceeded> {
        let own = |ranges: Vec<stage1::Range>| ranges.into_iter().map(range).collect();
        match self {
            Walker::Stage2(stage2) => ranges::ranges_within(stage2, memory, budget),
            Walker::Aarch32(stage2) => aarch32::stage2::ranges_within(stage2, memory, budget),
            Walker::El2(stage1) => stage1::ranges_within(stage1, memory, budget).map(own),
            Walker::Hyp(stage1) => aarch32::stage1::ranges_within(stage1, memory, budget).map(own),
        }
    }

    /// The descriptors that a load's walk reads, for a reader.
    pub(super) fn trace<M: Memory + ?Sized>(&self, memory: &M, address: u64) -> Vec<Step> {
        let access = Access::Read;
        match self {
            Walker::Stage2(stage2) => walk::trace(stage2, memory, address, access),
            Walker::Aarch32(stage2) => aarch32::stage2::trace(stage2, memory, address, access),
            Walker::El2(_) | Walker::Hyp(_) => {
                let mut steps = Vec::new();
                self.walk(memory, address, |step| steps.push(step));
                steps
            }
        }
    }

    /// The last descriptor of a walk, with its level and the first address that it
    /// decides over.
    pub(super) fn last<M: Memory + ?Sized>(
        &self,
        memory: &M,
        address: u64,
    ) -> Option<(i8, u64, u64)> {
        let mut last = None;
        self.walk(memory, address, |step| last = Some(step));
        let Step {
            level, descriptor, ..
        } = last?;
        let bytes = self.entry_bytes(level);
        Some((level, address - address % bytes, descriptor?))
    }

    fn walk<M: Memory + ?Sized>(&self, memory: &M, address: u64, mut observe: impl FnMut(Step)) {
        let format = self.format();
        let (Some(mut level), Some((mut table, _))) = (format.start_level(), self.root()) else {
            return;
        };
        if address.checked_shr(format.input_bits().into()) != Some(0) {
            return;
        }
        let mut first = 0;
        loop {
            let bytes = format.entry_bytes(level);
            let index = (address - first) / bytes;
            first += index * bytes;
            let at = table.wrapping_add(8 * index);
            let descriptor = memory.read(at);
            let entry = descriptor.map(|descriptor| format.entry(level, descriptor));
            let decision = match entry {
                Some(Entry::Table { next }) => Decision::Table { next },
                _ => Decision::End(self.translate(memory, address, Access::Read)),
            };
            observe(Step {
                level,
                at,
                descriptor,
                decision,
            });
            match decision {
                Decision::Table { next } => table = next,
                Decision::End(_) => return,
            }
            level += 1;
        }
    }

    /// How descriptors are read.
    pub(super) fn format(&self) -> Format {
        match self {
            Walker::Stage2(stage2) => (*stage2).into(),
            Walker::El2(stage1) => (*stage1).into(),
            Walker::Aarch32(stage2) => (*stage2.tables()).into(),
            Walker::Hyp(stage1) => (*stage1.tables()).into(),
        }
    }

    fn root(&self) -> Option<(u64, u32)> {
        match self {
            Walker::Stage2(stage2) => stage2.root(),
            Walker::El2(stage1) => stage1.root(),
            Walker::Aarch32(stage2) => stage2.root(),
            Walker::Hyp(stage1) => stage1.root(),
        }
    }

    fn entry_bytes(&self, level: i8) -> u64 {
        self.format().entry_bytes(level)
    }

    /// The level of a Translation fault for an address beyond the address space.
    pub(super) fn level_beyond(&self) -> i8 {
        match self {
            Walker::Stage2(_) | Walker::El2(_) => 0,
            Walker::Aarch32(_) | Walker::Hyp(_) => 1,
        }
    }
}

fn aarch32_features(machine: &Machine) -> aarch32::Features {
    aarch32::Features {
        xnx: machine.features.xnx,
        hpd: false,
    }
}

fn own_access(access: Access) -> stage1::Access {
    match access {
        Access::Read => stage1::Access::Read,
        Access::Write => stage1::Access::Write,
        Access::Execute { .. } => stage1::Access::Execute,
        Access::AtRead => stage1::Access::AtRead,
        Access::AtWrite => stage1::Access::AtWrite,
    }
}

fn answer(answer: stage1::Answer) -> Answer {
    match answer {
        stage1::Answer::Translation(found) => Answer::Translation(Translation {
            pa: found.pa,
            level: found.level,
            size: found.size,
            read: found.read,
            write: found.write,
            execute_el1: found.execute,
            execute_el0: found.execute,
            attributes: found.attributes,
            shareability: found.shareability,
            update: found.update,
        }),
        stage1::Answer::Fault(fault) => Answer::Fault(Fault {
            kind: fault.kind.into(),
            level: fault.level,
            permitted_update: fault.permitted_update,
        }),
        stage1::Answer::Unpredictable(why) => Answer::Unpredictable(why),
    }
}

fn range(range: stage1::Range) -> Range {
    Range {
        ipa: range.va,
        bytes: range.bytes,
        meaning: match range.meaning {
            stage1::Meaning::Mapped {
                pa,
                write,
                execute,
                attributes,
                shareability,
                ..
            } => Meaning::Mapped {
                pa,
                read: true,
                write,
                execute_el1: execute,
                execute_el0: execute,
                attributes,
                shareability,
            },
            stage1::Meaning::Fault { kind, level } => Meaning::Fault {
                kind: kind.into(),
                level,
            },
            stage1::Meaning::Unpredictable(why) => Meaning::Unpredictable(why),
        },
    }
}
