//! Stage 2: the walker, its trace, the ranges and the reports of one input.

use oracle::arch::Features;
use oracle::ranges::{Meaning, Range, ranges_within};
use oracle::walk::{
    Access, Answer, Decision, Entry, Fault, FaultKind, Registers, Stage2, Step, Translation, Why,
    trace,
};

use super::edges::{BUDGET, NOISE_BUDGET, check_list, position, probes};
use super::input::Input;
use super::tables::{Regime, Tables, build};
use super::{Contradiction, Counts, syndrome};

const ACCESSES: [Access; 6] = [
    Access::Read,
    Access::Write,
    Access::Execute { el0: false },
    Access::Execute { el0: true },
    Access::AtRead,
    Access::AtWrite,
];

/// The registers of an input, with what the tables are built by.
struct Subject {
    features: Features,
    registers: Registers,
    stage2: Stage2,
    /// Addresses of this many bits get past stage 1 (AArch64.S1DisabledOutput, and 40
    /// bits where EL1 is AArch32).
    stage1_bits: u8,
}

impl Regime for Subject {
    fn root(&self) -> Option<(i8, u64)> {
        Some((self.stage2.start_level()?, self.stage2.root()?.0))
    }

    fn input_bits(&self) -> u8 {
        self.stage2.ipa_bits()
    }

    fn entry(&self, level: i8, descriptor: u64) -> Entry {
        self.stage2.entry(level, descriptor)
    }

    fn entry_bytes(&self, level: i8) -> u64 {
        self.stage2.entry_bytes(level)
    }

    fn entries_per_table(&self) -> u64 {
        self.stage2.entries_per_table().into()
    }

    /// AF, S2AP, MemAttr of write-back memory; SH where it is not address bits (DS).
    fn usable(&self) -> u64 {
        let has_ds = self.registers.vtcr >> 32 & 1 != 0;
        let has_fwb = self.features.fwb && self.registers.hcr >> 46 & 1 != 0;
        let sh = if has_ds { 0 } else { 0b11 };
        let mem_attr = if has_fwb { 0b0110 } else { 0b1111 };
        1 << 10 | sh << 8 | 0b11 << 6 | mem_attr << 2
    }

    fn in_memory(&self, descriptor: u64) -> u64 {
        descriptor
    }
}

/// One walk.
struct Walk<'a> {
    subject: &'a Subject,
    ipa: u64,
    access: Access,
    answer: Answer,
}

impl Walk<'_> {
    #[cold]
    fn contradiction(&self, check: &'static str, other: &dyn std::fmt::Debug) -> Contradiction {
        let Walk {
            subject,
            ipa,
            access,
            answer,
        } = self;
        let what = format!(
            "{:?}\n{:x?}\n{access:?} at {ipa:#x}: {answer:x?}\nagainst {other:x?}",
            subject.features, subject.registers
        );
        Contradiction { check, what }
    }
}

pub(super) fn check(input: &Input) -> Result<Counts, Contradiction> {
    let (features, registers) = input.stage2();
    let pa_bits = features.pa_bits.clamp(32, 52);
    let is_aarch32 = registers.hcr >> 31 & 1 == 0;
    let subject = Subject {
        features,
        registers,
        stage2: Stage2::new(features, registers),
        stage1_bits: if is_aarch32 { pa_bits.max(40) } else { pa_bits },
    };
    let tables = build(&subject, &input.records, input.noise());
    let budget = if input.noise().is_some() {
        NOISE_BUDGET
    } else {
        BUDGET
    };
    let list = ranges_within(&subject.stage2, &tables.memory, budget).ok();
    let ranges = list.as_deref().unwrap_or_default();
    check_list(ranges)?;
    let bits = subject.stage2.ipa_bits();
    let (addresses, not_probed) = probes(ranges, &tables.places, bits, input.address());
    let mut counts = Counts {
        inputs: 1,
        valid: subject.stage2.root().is_some().into(),
        ranges: ranges.len() as u64,
        too_long: list.is_none().into(),
        not_probed,
        ..Counts::default()
    };
    for (index, ipa) in addresses.into_iter().enumerate() {
        // One access in turn: a trace is costly, and what it decides on the way is the
        // same for all.
        let traced = ACCESSES[index % ACCESSES.len()];
        let meaning = position(ranges, ipa).map(|index| at(&ranges[index], ipa));
        for access in ACCESSES {
            let answer = subject.stage2.translate(&tables.memory, ipa, access);
            let walk = Walk {
                subject: &subject,
                ipa,
                access,
                answer,
            };
            if access == traced {
                check_steps(&walk, &tables)?;
            }
            check_answer(&walk, &tables)?;
            check_reports(&walk, input)?;
            if list.is_some() {
                check_meaning(&walk, meaning)?;
                counts.compared += 1;
            }
            counts.ends[end(&answer)] += 1;
        }
    }
    Ok(counts)
}

fn at(range: &Range, ipa: u64) -> Meaning {
    range.meaning.at(ipa - range.ipa)
}

/// Where `Counts::ends` counts an answer.
fn end(answer: &Answer) -> usize {
    match answer {
        Answer::Translation(_) => 0,
        Answer::Fault(_) => 1,
        Answer::Unpredictable(_) => 2,
    }
}

/// The trace ends in the answer, goes down level by level, and read what is in memory.
fn check_steps(walk: &Walk<'_>, tables: &Tables) -> Result<(), Contradiction> {
    use oracle::walk::Memory;
    let stage2 = &walk.subject.stage2;
    let steps = trace(stage2, &tables.memory, walk.ipa, walk.access);
    let Some(last) = steps.last() else {
        // No descriptor is read where nothing is valid, or beyond the addresses.
        let is_early = stage2.start_level().is_none()
            || walk.ipa >> stage2.ipa_bits() != 0
            || walk.ipa >> walk.subject.stage1_bits != 0;
        return if is_early {
            Ok(())
        } else {
            Err(walk.contradiction("a valid walk has no steps", &steps))
        };
    };
    let first = stage2.start_level().unwrap_or(i8::MAX);
    let levels = steps
        .iter()
        .zip(first..)
        .all(|(step, level)| step.level == level);
    let reads = steps
        .iter()
        .all(|step| step.descriptor == tables.memory.read(step.at));
    let links = steps
        .windows(2)
        .all(|pair| leads(stage2, &pair[0], &pair[1]));
    if last.decision != Decision::End(walk.answer) {
        Err(walk.contradiction("translate does not answer as trace ends", &steps))
    } else if !(levels && reads && links) || last.level > 3 {
        Err(walk.contradiction("a trace is no walk", &steps))
    } else {
        Ok(())
    }
}

/// Whether a step leads into the table in which the next one is.
fn leads(stage2: &Stage2, step: &Step, next: &Step) -> bool {
    let table_bytes = u64::from(stage2.entries_per_table()) * 8;
    match step.decision {
        Decision::Table { next: table } => next.at & !(table_bytes - 1) == table,
        Decision::End(_) => false,
    }
}

/// An answer by itself.
fn check_answer(walk: &Walk<'_>, tables: &Tables) -> Result<(), Contradiction> {
    let stage2 = &walk.subject.stage2;
    let is_sound = match walk.answer {
        Answer::Translation(found) => {
            let is_off = stage2.start_level().is_none();
            let below = found.size.wrapping_sub(1);
            permits(&found, walk.access)
                && found.size.is_power_of_two()
                && (found.pa ^ walk.ipa) & below == 0
                && (is_off || found.size == stage2.entry_bytes(found.level))
                && found
                    .update
                    .is_none_or(|update| is_update(tables, &update, WRITE))
        }
        Answer::Fault(fault) => {
            let is_beyond = walk.ipa >> walk.subject.stage1_bits != 0;
            (-1..=3).contains(&fault.level)
                && is_beyond == (fault.kind == FaultKind::Stage1AddressSize)
                && fault
                    .permitted_update
                    .is_none_or(|update| is_update(tables, &update, 0))
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
/// `S2AP[1]`.
const WRITE: u64 = 1 << 7;

/// Hardware sets the access flag and the dirty state, and nothing else.
fn is_update(tables: &Tables, update: &oracle::walk::Update, dirty: u64) -> bool {
    use oracle::walk::Memory;
    let old = tables.memory.read(update.at);
    old.is_some_and(|old| {
        let changed = old ^ update.new;
        changed != 0 && changed & !(ACCESS_FLAG | dirty) == 0 && update.new & changed == changed
    })
}

fn permits(found: &Translation, access: Access) -> bool {
    match access {
        Access::Read | Access::AtRead => found.read,
        Access::Write | Access::AtWrite => found.write,
        Access::Execute { el0: false } => found.execute_el1,
        Access::Execute { el0: true } => found.execute_el0,
    }
}

fn check_reports(walk: &Walk<'_>, input: &Input) -> Result<(), Contradiction> {
    if !syndrome::par_of_stage2_agrees(&walk.answer) {
        let par = oracle::report::par_s12e1(&walk.answer);
        return Err(walk.contradiction("PAR_EL1 contradicts the answer", &par));
    }
    if let Answer::Fault(fault) = &walk.answer {
        let origin = syndrome::origin(input, walk.ipa);
        if !syndrome::stage2_abort_agrees(fault, walk.access, &origin) {
            let abort = oracle::report::stage2_abort(fault, walk.access, &origin);
            return Err(walk.contradiction("the syndrome contradicts the fault", &(origin, abort)));
        }
    }
    Ok(())
}

fn check_meaning(walk: &Walk<'_>, meaning: Option<Meaning>) -> Result<(), Contradiction> {
    if agree(meaning, walk.answer, walk.access) {
        Ok(())
    } else {
        Err(walk.contradiction("walker and ranges disagree", &meaning))
    }
}

fn agree(meaning: Option<Meaning>, answer: Answer, access: Access) -> bool {
    let Some(meaning) = meaning else {
        return matches!(
            answer,
            Answer::Fault(Fault {
                kind: FaultKind::Translation | FaultKind::Stage1AddressSize,
                ..
            })
        );
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
        (Meaning::Mapped { .. }, Answer::Translation(found)) => meaning == mapped(&found),
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
        read: found.read,
        write: found.write,
        execute_el1: found.execute_el1,
        execute_el0: found.execute_el0,
        attributes: found.attributes,
        shareability: found.shareability,
    }
}

fn grants(meaning: Meaning, access: Access) -> bool {
    let Meaning::Mapped {
        read,
        write,
        execute_el1,
        execute_el0,
        ..
    } = meaning
    else {
        return false;
    };
    match access {
        Access::Read | Access::AtRead => read,
        Access::Write | Access::AtWrite => write,
        Access::Execute { el0: false } => execute_el1,
        Access::Execute { el0: true } => execute_el0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPED: Meaning = Meaning::Mapped {
        pa: 0x1000,
        read: true,
        write: false,
        execute_el1: false,
        execute_el0: false,
        attributes: 0xff,
        shareability: 3,
    };

    fn translation(pa: u64) -> Answer {
        Answer::Translation(Translation {
            pa,
            level: 3,
            size: 0x1000,
            read: true,
            write: false,
            execute_el1: false,
            execute_el0: false,
            attributes: 0xff,
            shareability: 3,
            update: None,
        })
    }

    fn fault(kind: FaultKind, level: i8) -> Answer {
        Answer::Fault(Fault {
            kind,
            level,
            permitted_update: None,
        })
    }

    #[test]
    fn the_same_meaning_agrees() {
        assert!(agree(Some(MAPPED), translation(0x1000), Access::Read));
        assert!(agree(
            Some(MAPPED),
            fault(FaultKind::Permission, 3),
            Access::Write
        ));
        assert!(agree(None, fault(FaultKind::Translation, 1), Access::Read));
    }

    #[test]
    fn another_meaning_does_not() {
        assert!(!agree(Some(MAPPED), translation(0x2000), Access::Read));
        assert!(!agree(
            Some(MAPPED),
            fault(FaultKind::Permission, 3),
            Access::Read
        ));
        assert!(!agree(
            Some(MAPPED),
            fault(FaultKind::Translation, 3),
            Access::Read
        ));
        assert!(!agree(None, translation(0x1000), Access::Read));
        assert!(!agree(None, fault(FaultKind::AccessFlag, 3), Access::Read));
        let meaning = Meaning::Fault {
            kind: FaultKind::AccessFlag,
            level: 3,
        };
        assert!(!agree(
            Some(meaning),
            fault(FaultKind::AccessFlag, 2),
            Access::Read
        ));
        let open = Answer::Unpredictable(Why::FetchFromDevice);
        assert!(!agree(Some(MAPPED), open, Access::Execute { el0: true }));
    }
}
