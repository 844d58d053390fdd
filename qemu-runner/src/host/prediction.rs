//! What the walkers say that an access comes to on the machine, and what hardware then
//! writes to the tables there.

use super::{Emulated, Registers};
use crate::cpu;
use crate::deviations::{AT_SETS_DIRTY, EL2_PAR_SHAREABILITY, FWB_DEVICE_TYPE, FWB_SHAREABILITY};
use crate::qemu::Version;
use fuzz::host::Memory;
use ops::mailbox::Method;
use ops::{AccessKind, HYPERVISOR, Machine};
use oracle::stage1::{self, Stage1};
use oracle::walk::{self, Access, Answer, Entry, Stage2, Translation, Update};

/// `HCR_EL2.VM` and `HCR_EL2.RW`, as the image sets them for its guest.
const HCR: u64 = 1 | 1 << 31;
/// `HCR_EL2.FWB`.
const HCR_FWB: u64 = 1 << 46;
/// `SCTLR_EL2` as the image has it: M, C, SA, I, WXN, and RES1 bits.
const SCTLR: u64 = 0x30c5_0830 | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// Where the image's code is (contract E8), and the smallest piece in which it may be mapped.
const CODE_BYTES: u64 = 2 << 20;
const PAGE_STEP: usize = 4096;

/// What the walker says about an access at the moment it is made.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Whether it is EL2's own, on tables of its own stage 1.
    pub is_el2: bool,
    /// Of the real access.
    pub access: Answer,
    /// Of `AT S12E1R` or `AT S1E2R` (reads, fetches), or their counterparts for writes.
    pub at: Answer,
    /// The descriptors of the walk; none of EL2's own.
    pub walk: Vec<walk::Step>,
    /// Whether the code that makes the access is mapped: the stub where the machine line
    /// has it, or the image.
    pub code_ready: bool,
    /// What hardware writes when the stub is fetched.
    pub code_update: Option<Update>,
}

impl Prediction {
    /// What hardware writes to the tables where the machine is asked in this way, in this
    /// order.
    pub(super) fn updates(
        &self,
        method: Method,
        kind: AccessKind,
        version: Version,
    ) -> impl Iterator<Item = Update> {
        let by_at = match kind {
            AccessKind::Write if AT_SETS_DIRTY.applies(version) => &self.access,
            _ => &self.at,
        };
        let updates = match method {
            Method::None => [None, None],
            Method::Access => [self.code_update, update(&self.access)],
            Method::Translate => [update(by_at), None],
        };
        updates.into_iter().flatten()
    }
}

/// EL2's own tables, and what its accesses come to.
pub(super) struct Own<'a> {
    machine: &'a Machine,
    version: Version,
    tcr: u64,
    stage1: Stage1,
}

impl Own<'_> {
    /// The tables that these registers select; `None` before there are any.
    pub(super) fn new<'a>(
        machine: &'a Machine,
        emulated: Emulated<'_>,
        registers: &Registers,
    ) -> Option<Own<'a>> {
        let registers = stage1::Registers {
            tcr: registers.control?,
            ttbr0: registers.base?,
            mair: registers.mair?,
            sctlr: SCTLR,
        };
        let features = cpu::stage1_features(emulated.description);
        Some(Own {
            machine,
            version: emulated.version,
            tcr: registers.tcr,
            stage1: Stage1::new(features, registers),
        })
    }

    pub(super) fn predict(&self, memory: &Memory, va: u64, kind: AccessKind) -> Prediction {
        let (access, at) = match kind {
            AccessKind::Read => (stage1::Access::Read, stage1::Access::AtRead),
            AccessKind::Write => (stage1::Access::Write, stage1::Access::AtWrite),
            AccessKind::Execute => (stage1::Access::Execute, stage1::Access::AtRead),
        };
        let answer = |access| in_words_of_walk(self.stage1.translate(memory, va, access));
        Prediction {
            is_el2: true,
            access: answer(access),
            at: self.as_reported(answer(at), memory, va),
            walk: Vec::new(),
            code_ready: self.has_image(memory),
            code_update: None,
        }
    }

    /// Whether the tables map the image's code to itself.
    fn has_image(&self, memory: &Memory) -> bool {
        let offsets = (0..CODE_BYTES).step_by(PAGE_STEP);
        let mut pages = offsets.map(|offset| HYPERVISOR.base + offset);
        pages.all(|page| {
            let answer = self.stage1.translate(memory, page, stage1::Access::Execute);
            matches!(answer, stage1::Answer::Translation(translation) if translation.pa == page)
        })
    }

    /// The answer as this emulator reports it.
    fn as_reported(&self, mut at: Answer, memory: &Memory, va: u64) -> Answer {
        if let Answer::Translation(translation) = &mut at
            && EL2_PAR_SHAREABILITY.applies(self.version)
            && let Some(descriptor) = self.leaf(memory, va)
        {
            let (sh, sh0) = (descriptor >> 8 & 3, self.tcr >> 12 & 3);
            translation.shareability = byte(if self.machine.ds { sh0 } else { sh });
        }
        at
    }

    /// The descriptor of the leaf that maps an address.
    fn leaf(&self, memory: &Memory, va: u64) -> Option<u64> {
        let index = |level| va.checked_div(self.stage1.entry_bytes(level));
        let mut level = self.stage1.start_level()?;
        let (root, _) = self.stage1.root()?;
        // Addresses in tables have 52 bits, and `va` was translated: no sum overflows.
        let mut at = root + index(level)? * 8;
        loop {
            let descriptor = memory.peek(at)?;
            match self.stage1.entry(level, descriptor) {
                Entry::Invalid => return None,
                Entry::Leaf { .. } => return Some(descriptor),
                Entry::Table { next } => {
                    level += 1;
                    let entries = u64::from(self.stage1.entries_per_table());
                    at = next + index(level)? % entries * 8;
                }
            }
        }
    }
}

/// EL2's answer in the form that Stage-2's have. Whatever it is, it has one stage.
fn in_words_of_walk(answer: stage1::Answer) -> Answer {
    match answer {
        stage1::Answer::Translation(translation) => Answer::Translation(Translation {
            pa: translation.pa,
            level: translation.level,
            size: translation.size,
            read: translation.read,
            write: translation.write,
            execute_el1: translation.execute,
            execute_el0: translation.execute,
            attributes: translation.attributes,
            shareability: translation.shareability,
            update: translation.update,
        }),
        stage1::Answer::Fault(fault) => Answer::Fault(walk::Fault {
            kind: fault.kind.into(),
            level: fault.level,
            permitted_update: fault.permitted_update,
        }),
        stage1::Answer::Unpredictable(why) => Answer::Unpredictable(why),
    }
}

fn update(answer: &Answer) -> Option<Update> {
    match answer {
        Answer::Translation(translation) => translation.update,
        _ => None,
    }
}

/// A guest's tables, and what its accesses come to.
pub(super) struct Guest<'a> {
    machine: &'a Machine,
    version: Version,
    vtcr: u64,
    stage2: Stage2,
}

impl Guest<'_> {
    /// Tables by `VTCR_EL2` and `VTTBR_EL2`.
    pub(super) fn new<'a>(
        machine: &'a Machine,
        emulated: Emulated<'_>,
        (vtcr, vttbr): (u64, u64),
    ) -> Guest<'a> {
        let forced = if machine.features.fwb { HCR_FWB } else { 0 };
        let hcr = HCR | forced;
        let features = cpu::features(emulated.description);
        Guest {
            machine,
            version: emulated.version,
            vtcr,
            stage2: Stage2::new(features, walk::Registers { vtcr, vttbr, hcr }),
        }
    }

    pub(super) fn predict(&self, memory: &Memory, ipa: u64, kind: AccessKind) -> Prediction {
        // `AT` knows no fetches.
        let (access, at) = match kind {
            AccessKind::Read => (Access::Read, Access::AtRead),
            AccessKind::Write => (Access::Write, Access::AtWrite),
            AccessKind::Execute => (Access::Execute { el0: false }, Access::AtRead),
        };
        let stub = self.stub(memory);
        let walk = walk::trace(&self.stage2, memory, ipa, access);
        let at = self.stage2.translate(memory, ipa, at);
        Prediction {
            is_el2: false,
            access: self.stage2.translate(memory, ipa, access),
            at: self.as_reported(at, walk.last()),
            walk,
            code_ready: stub.is_some(),
            code_update: stub.and_then(|stub| stub.update),
        }
    }

    /// How the stub is fetched, where it can be.
    fn stub(&self, memory: &Memory) -> Option<Translation> {
        let fetch = Access::Execute { el0: false };
        match self.stage2.translate(memory, self.machine.stub?, fetch) {
            Answer::Translation(stub) if stub.pa == self.machine.memory.base => Some(stub),
            _ => None,
        }
    }

    /// The answer as this emulator reports it. Stage 1 is off, hence Device-nGnRnE.
    fn as_reported(&self, mut at: Answer, leaf: Option<&walk::Step>) -> Answer {
        let descriptor = leaf.and_then(|step| step.descriptor);
        if let (true, Answer::Translation(translation), Some(descriptor)) =
            (self.machine.features.fwb, &mut at, descriptor)
        {
            let mem_attr = descriptor >> 2 & 0xf;
            let is_device = mem_attr < 4;
            if is_device && FWB_DEVICE_TYPE.applies(self.version) {
                // In the form of PAR_EL1.ATTR.
                translation.attributes = byte(mem_attr << 2);
            }
            let is_write_back = translation.attributes == 0xff;
            if is_write_back && FWB_SHAREABILITY.applies(self.version) {
                let (sh, sh0) = (descriptor >> 8 & 3, self.vtcr >> 12 & 3);
                translation.shareability = byte(if self.machine.ds { sh0 } else { sh });
            }
        }
        at
    }
}

/// A field of a few bits.
fn byte(field: u64) -> u8 {
    field.to_le_bytes()[0]
}
