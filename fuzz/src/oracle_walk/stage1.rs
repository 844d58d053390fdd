//! EL2's stage 1: the walker, the ranges and the reports of one input. It has no trace.

use oracle::stage1::{
    Access, Answer, Entry, Fault, FaultKind, Features, Meaning, Range, Registers, Stage1,
    Translation, Update, Why, ranges_within,
};
use oracle::walk::Memory;

use super::edges::{BUDGET, NOISE_BUDGET, check_list, position, probes};
use super::input::Input;
use super::tables::{Regime, Tables, build};
use super::{Contradiction, Counts, syndrome};

const ACCESSES: [Access; 5] = [
    Access::Read,
    Access::Write,
    Access::Execute,
    Access::AtRead,
    Access::AtWrite,
];

/// The registers of an input, with what the tables are built by.
struct Subject {
    features: Features,
    registers: Registers,
    stage1: Stage1,
}

impl Regime for Subject {
    fn root(&self) -> Option<(i8, u64)> {
        Some((self.stage1.start_level()?, self.stage1.root()?.0))
    }

    fn input_bits(&self) -> u8 {
        self.stage1.va_bits()
    }

    fn entry(&self, level: i8, descriptor: u64) -> Entry {
        self.stage1.entry(level, descriptor)
    }

    fn entry_bytes(&self, level: i8) -> u64 {
        self.stage1.entry_bytes(level)
    }

    fn entries_per_table(&self) -> u64 {
        self.stage1.entries_per_table().into()
    }

    /// AF, and AP[1], which is RES1 here; SH where it is not address bits (DS).
    fn usable(&self) -> u64 {
        let sh = if self.registers.tcr >> 32 & 1 == 0 {
            0b11
        } else {
            0
        };
        1 << 10 | sh << 8 | 1 << 6
    }

    /// `SCTLR_EL2.EE`
    fn in_memory(&self, descriptor: u64) -> u64 {
        if self.registers.sctlr >> 25 & 1 == 0 {
            descriptor
        } else {
            descriptor.swap_bytes()
        }
    }
}

impl Subject {
    /// The address that is translated: with TBI its top byte counts for nothing, which
    /// TBID takes back for fetches (AArch64.AddrTop).
    fn untagged(&self, va: u64, access: Access) -> u64 {
        let Registers { tcr, .. } = self.registers;
        let tbid = self.features.pauth && tcr >> 29 & 1 != 0;
        let is_tagged = tcr >> 20 & 1 != 0 && !(tbid && access == Access::Execute);
        if is_tagged { va << 8 >> 8 } else { va }
    }

    /// `SCTLR_EL2.M`
    fn is_enabled(&self) -> bool {
        self.registers.sctlr & 1 != 0
    }
}

/// One walk.
struct Walk<'a> {
    subject: &'a Subject,
    va: u64,
    access: Access,
    answer: Answer,
}

impl Walk<'_> {
    #[cold]
    fn contradiction(&self, check: &'static str, other: &dyn std::fmt::Debug) -> Contradiction {
        let Walk {
            subject,
            va,
            access,
            answer,
        } = self;
        let what = format!(
            "{:?}\n{:x?}\n{access:?} at {va:#x}: {answer:x?}\nagainst {other:x?}",
            subject.features, subject.registers
        );
        Contradiction { check, what }
    }
}

pub(super) fn check(input: &Input) -> Result<Counts, Contradiction> {
    let (features, registers) = input.stage1();
    let subject = Subject {
        features,
        registers,
        stage1: Stage1::new(features, registers),
    };
    let tables = build(&subject, &input.records, input.noise());
    let budget = if input.noise().is_some() {
        NOISE_BUDGET
    } else {
        BUDGET
    };
    let list = ranges_within(&subject.stage1, &tables.memory, budget).ok();
    let ranges = list.as_deref().unwrap_or_default();
    check_list(ranges)?;
    let bits = subject.stage1.va_bits();
    let (addresses, not_probed) = probes(ranges, &tables.places, bits, input.address());
    let mut counts = Counts {
        inputs: 1,
        stage1: 1,
        valid: subject.stage1.root().is_some().into(),
        ranges: ranges.len() as u64,
        too_long: list.is_none().into(),
        not_probed,
        ..Counts::default()
    };
    for va in addresses {
        for access in ACCESSES {
            let answer = subject.stage1.translate(&tables.memory, va, access);
            let walk = Walk {
                subject: &subject,
                va,
                access,
                answer,
            };
            check_answer(&walk, &tables)?;
            check_reports(&walk)?;
            if list.is_some() {
                check_meaning(&walk, ranges)?;
                counts.compared += 1;
            }
            counts.ends[end(&answer)] += 1;
        }
    }
    Ok(counts)
}

/// Where `Counts::ends` counts an answer.
fn end(answer: &Answer) -> usize {
    match answer {
        Answer::Translation(_) => 0,
        Answer::Fault(_) => 1,
        Answer::Unpredictable(_) => 2,
    }
}

/// An answer by itself.
fn check_answer(walk: &Walk<'_>, tables: &Tables) -> Result<(), Contradiction> {
    let Subject { stage1, .. } = walk.subject;
    let is_update = |update, dirty| is_update(walk.subject, tables, update, dirty);
    let is_sound = match walk.answer {
        Answer::Translation(found) => {
            let va = walk.subject.untagged(walk.va, walk.access);
            let below = found.size.wrapping_sub(1);
            permits(&found, walk.access)
                && found.size.is_power_of_two()
                && (found.pa ^ va) & below == 0
                && (!walk.subject.is_enabled() || found.size == stage1.entry_bytes(found.level))
                && found
                    .update
                    .is_none_or(|update| is_update(update, READ_ONLY))
        }
        Answer::Fault(fault) => {
            (-1..=3).contains(&fault.level)
                && fault
                    .permitted_update
                    .is_none_or(|update| is_update(update, 0))
        }
        Answer::Unpredictable(_) => true,
    };
    if is_sound {
        Ok(())
    } else {
        Err(walk.contradiction("an answer contradicts itself", &"its own fields"))
    }
}

const ACCESS_FLAG: u64 = 1 << 10;
/// `AP[2]`, which is clear where a page is dirty.
const READ_ONLY: u64 = 1 << 7;

/// Hardware sets the access flag, clears `AP[2]`, and does nothing else.
fn is_update(subject: &Subject, tables: &Tables, update: Update, dirty: u64) -> bool {
    let new = subject.in_memory(update.new);
    let old = tables
        .memory
        .read(update.at)
        .map(|word| subject.in_memory(word));
    old.is_some_and(|old| {
        let changed = old ^ new;
        changed != 0
            && changed & !(ACCESS_FLAG | dirty) == 0
            && new & ACCESS_FLAG != 0
            && (changed & READ_ONLY == 0 || new & READ_ONLY == 0)
    })
}

fn permits(found: &Translation, access: Access) -> bool {
    match access {
        Access::Read | Access::AtRead => found.read,
        Access::Write | Access::AtWrite => found.write,
        Access::Execute => found.execute,
    }
}

fn check_reports(walk: &Walk<'_>) -> Result<(), Contradiction> {
    if !syndrome::par_of_stage1_agrees(&walk.answer) {
        let par = oracle::report::par_s1e2(&walk.answer);
        return Err(walk.contradiction("PAR_EL1 contradicts the answer", &par));
    }
    if let Answer::Fault(fault) = &walk.answer
        && !syndrome::el2_abort_agrees(fault, walk.access, walk.va)
    {
        let abort = oracle::report::el2_abort(fault, walk.access, walk.va);
        return Err(walk.contradiction("the syndrome contradicts the fault", &abort));
    }
    Ok(())
}

fn check_meaning(walk: &Walk<'_>, ranges: &[Range]) -> Result<(), Contradiction> {
    let va = walk.subject.untagged(walk.va, walk.access);
    let range = position(ranges, va).map(|index| ranges[index]);
    let meaning = range.map(|range| range.meaning.at(va - range.va));
    if agree(meaning, walk.answer, walk.access, walk.subject.is_enabled()) {
        Ok(())
    } else {
        Err(walk.contradiction("walker and ranges disagree", &meaning))
    }
}

fn agree(meaning: Option<Meaning>, answer: Answer, access: Access, is_enabled: bool) -> bool {
    let Some(meaning) = meaning else {
        // With the MMU off, what is no physical address has the wrong size.
        let expected = if is_enabled {
            FaultKind::Translation
        } else {
            FaultKind::AddressSize
        };
        return matches!(answer, Answer::Fault(Fault { kind, .. }) if kind == expected);
    };
    match (meaning, answer) {
        (Meaning::Fault { kind, level }, Answer::Fault(fault)) => {
            (kind, level) == (fault.kind, fault.level)
        }
        (Meaning::Unpredictable(why), Answer::Unpredictable(found)) => why == found,
        // Reserved attributes count for a permitted access alone.
        (Meaning::Unpredictable(Why::MemAttr | Why::Shareability), Answer::Fault(fault)) => {
            fault.kind == FaultKind::Permission
        }
        (Meaning::Mapped { .. }, Answer::Translation(found)) => {
            found.read && meaning == mapped(&found)
        }
        (Meaning::Mapped { .. }, Answer::Fault(fault)) => {
            fault.kind == FaultKind::Permission && !grants(meaning, access)
        }
        (Meaning::Mapped { .. }, Answer::Unpredictable(why)) => {
            why == Why::FetchFromDevice && grants(meaning, access)
        }
        _ => false,
    }
}

fn mapped(found: &Translation) -> Meaning {
    Meaning::Mapped {
        pa: found.pa,
        write: found.write,
        execute: found.execute,
        guarded: found.guarded,
        attributes: found.attributes,
        shareability: found.shareability,
    }
}

fn grants(meaning: Meaning, access: Access) -> bool {
    let Meaning::Mapped { write, execute, .. } = meaning else {
        return false;
    };
    match access {
        Access::Read | Access::AtRead => true,
        Access::Write | Access::AtWrite => write,
        Access::Execute => execute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPED: Meaning = Meaning::Mapped {
        pa: 0x1000,
        write: false,
        execute: false,
        guarded: false,
        attributes: 0xff,
        shareability: 3,
    };

    fn fault(kind: FaultKind) -> Answer {
        Answer::Fault(Fault {
            kind,
            level: 3,
            permitted_update: None,
        })
    }

    #[test]
    fn a_permission_fault_agrees_with_what_is_not_granted_alone() {
        assert!(agree(
            Some(MAPPED),
            fault(FaultKind::Permission),
            Access::Write,
            true
        ));
        assert!(!agree(
            Some(MAPPED),
            fault(FaultKind::Permission),
            Access::Read,
            true
        ));
        assert!(!agree(
            Some(MAPPED),
            fault(FaultKind::Translation),
            Access::Write,
            true
        ));
    }

    #[test]
    fn nothing_mapped_is_a_translation_fault_or_no_address() {
        assert!(agree(
            None,
            fault(FaultKind::Translation),
            Access::Read,
            true
        ));
        assert!(!agree(
            None,
            fault(FaultKind::AddressSize),
            Access::Read,
            true
        ));
        assert!(agree(
            None,
            fault(FaultKind::AddressSize),
            Access::Read,
            false
        ));
    }
}
