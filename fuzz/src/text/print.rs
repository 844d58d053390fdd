//! The canonical text of a sequence and of its parts.

use std::fmt::{self, Display, Formatter};

use ops::{
    AccessOutcome, Entry, Execute, LeafContent, Machine, MemoryType, Operation, Outcome, Prot,
    Regime,
};

use super::Text;
use super::number::Size;
use super::words::{
    access_word, action_word, dirty_word, fault_word, granule_word, memory_word, refusal_word,
    regime_word, walks_word, young_word,
};
use crate::sequence::{Expectation, Sequence, Step};

/// Column at which expectations start, where the operation is shorter.
const EXPECTATION_COLUMN: usize = 80;

impl Display for Sequence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Text(&self.machine))?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operation = Text(&self.operation);
        match &self.expected {
            Some(expected) => {
                write!(
                    f,
                    "{:EXPECTATION_COLUMN$} -> {expected}",
                    operation.to_string()
                )
            }
            None => operation.fmt(f),
        }
    }
}

impl Display for Expectation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Outcome(outcome) => Text(outcome).fmt(f),
            Expectation::Access(access) => Text(access).fmt(f),
        }
    }
}

impl Display for Text<'_, Machine> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Text(machine) = self;
        f.write_str("machine")?;
        if machine.regime != Regime::Stage2 {
            write!(f, " regime={}", regime_word(machine.regime))?;
        }
        write!(
            f,
            " granule={} pa={} ipa={}",
            granule_word(machine.granule),
            machine.pa_bits,
            machine.ipa_bits
        )?;
        if let Some(level) = machine.start_level {
            write!(f, " start={level}")?;
        }
        let options: Vec<_> = options(machine).collect();
        if !options.is_empty() {
            write!(f, " features={}", options.join("+"))?;
        }
        write!(f, " pool={:#x}+{}", machine.pool.base, machine.pool.pages)?;
        write!(
            f,
            " memory={:#x}+{}",
            machine.memory.base,
            Size(machine.memory.bytes)
        )?;
        if let Some(ipa) = machine.stub {
            write!(f, " stub={ipa:#x}")?;
        }
        if !machine.coherent_walks {
            write!(f, " walks={}", walks_word(false))?;
        }
        if let Some(pages) = machine.cache_pages {
            write!(f, " cache={pages}")?;
        }
        Ok(())
    }
}

/// The words of the machine's options.
fn options(machine: &Machine) -> impl Iterator<Item = &'static str> {
    let bits = machine.options();
    let words = Machine::OPTIONS.into_iter().enumerate();
    words.filter_map(move |(bit, word)| (bits >> bit & 1 != 0).then_some(word))
}

impl Display for Text<'_, Operation> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operation = self.0;
        f.write_str(verb(operation))?;
        if let Some(vm) = operation.vm() {
            write!(f, " {}", vm.name())?;
        }
        match *operation {
            Operation::Map {
                ipa,
                pa,
                size,
                prot,
                memory,
                software,
                pages_only,
                ..
            } => {
                write!(f, " ipa={ipa:#x} pa={pa:#x} size={}", Size(size))?;
                mapping(f, prot, memory, software, pages_only)
            }
            Operation::Build {
                ipa,
                pa,
                level,
                prot,
                memory,
                software,
                pages_only,
                ..
            } => {
                write!(f, " ipa={ipa:#x} pa={pa:#x} level={level}")?;
                mapping(f, prot, memory, software, pages_only)
            }
            Operation::Unmap { ipa, size, .. } | Operation::Range { ipa, size, .. } => {
                range(f, ipa, size)
            }
            Operation::Protect {
                ipa, size, prot, ..
            } => {
                range(f, ipa, size)?;
                write!(f, " prot={}", Text(&prot))
            }
            Operation::Annotate {
                ipa, size, owner, ..
            } => {
                range(f, ipa, size)?;
                write!(f, " owner={owner}")
            }
            Operation::Relax { ipa, prot, .. } => {
                write!(f, " ipa={ipa:#x} prot={}", Text(&prot))
            }
            Operation::MakeYoung { ipa, .. } | Operation::Leaf { ipa, .. } => {
                write!(f, " ipa={ipa:#x}")
            }
            Operation::Access { ipa, kind, .. } => {
                write!(f, " ipa={ipa:#x} {}", access_word(kind))
            }
            Operation::Fail { after } => write!(f, " after={after}"),
            Operation::Create { .. }
            | Operation::Link { .. }
            | Operation::Discard { .. }
            | Operation::Conflict { .. }
            | Operation::Free { .. } => Ok(()),
        }
    }
}

fn verb(operation: &Operation) -> &'static str {
    match *operation {
        Operation::Create { .. } => "vm",
        Operation::Map { .. } => "map",
        Operation::Unmap { .. } => "unmap",
        Operation::Range { action, .. } => action_word(action),
        Operation::Protect { .. } => "protect",
        Operation::Annotate { .. } => "annotate",
        Operation::Relax { .. } => "relax",
        Operation::MakeYoung { .. } => "make-young",
        Operation::Leaf { .. } => "leaf",
        Operation::Build { .. } => "build",
        Operation::Link { .. } => "link",
        Operation::Discard { .. } => "discard",
        Operation::Conflict { .. } => "conflict",
        Operation::Free { .. } => "free",
        Operation::Access { .. } => "access",
        Operation::Fail { .. } => "fail",
    }
}

fn range(f: &mut Formatter<'_>, ipa: u64, size: u64) -> fmt::Result {
    write!(f, " ipa={ipa:#x} size={}", Size(size))
}

fn mapping(
    f: &mut Formatter<'_>,
    prot: Prot,
    memory: MemoryType,
    software: u8,
    pages_only: bool,
) -> fmt::Result {
    write!(f, " prot={} mem={}", Text(&prot), memory_word(memory))?;
    if software != 0 {
        write!(f, " sw={software}")?;
    }
    f.write_str(if pages_only { " pages" } else { "" })
}

impl Display for Text<'_, Prot> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = |granted: bool, letter: char| if granted { letter } else { '-' };
        let Prot {
            read,
            write,
            execute,
        } = *self.0;
        let execute = match execute {
            Execute::Never => '-',
            Execute::Both => 'x',
            Execute::El1 => 'p',
            Execute::El0 => 'u',
        };
        write!(f, "{}{}{execute}", letter(read, 'r'), letter(write, 'w'))
    }
}

impl Display for Text<'_, Outcome> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Outcome::Done => f.write_str("ok"),
            Outcome::Freed { pages } => write!(f, "ok pages={pages}"),
            Outcome::Young(young) => f.write_str(young_word(young)),
            Outcome::Entry { level, entry } => write!(f, "entry level={level} {}", Text(&entry)),
            Outcome::NoPages { done, need } => {
                write!(f, "no-pages done={} need={need}", Size(done))
            }
            Outcome::Refused(refusal) => f.write_str(refusal_word(refusal)),
            Outcome::Nothing => f.write_str("nothing"),
        }
    }
}

impl Display for Text<'_, Entry> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Entry::Empty => f.write_str("empty"),
            Entry::Annotated { owner } => write!(f, "owner={owner}"),
            Entry::Leaf(content) => write!(f, "leaf {}", Text(content)),
            Entry::Softened(content) => write!(f, "softened {}", Text(content)),
        }
    }
}

impl Display for Text<'_, LeafContent> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let LeafContent {
            pa,
            prot,
            memory,
            software,
            young,
            dirty,
        } = *self.0;
        write!(
            f,
            "pa={pa:#x} prot={} mem={} sw={software} {} {}",
            Text(&prot),
            memory_word(memory),
            young_word(young),
            dirty_word(dirty)
        )
    }
}

impl Display for Text<'_, AccessOutcome> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self.0 {
            AccessOutcome::Ok { pa } => write!(f, "ok pa={pa:#x}"),
            AccessOutcome::Fault { kind, level } => {
                write!(f, "fault {} level={level}", fault_word(kind))
            }
        }
    }
}
