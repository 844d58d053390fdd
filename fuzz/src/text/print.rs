//! The canonical text of a sequence and of its parts.

use std::fmt::{self, Display, Formatter};

use ops::{
    AccessKind, AccessOutcome, FaultKind, Granule, Machine, MemoryType, Operation, Outcome, Prot,
    Refusal,
};

use super::Text;
use super::number::Size;
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
        let granule = granule_word(machine.granule);
        write!(
            f,
            "machine granule={granule} pa={} ipa={}",
            machine.pa_bits, machine.ipa_bits
        )?;
        if let Some(level) = machine.start_level {
            write!(f, " start={level}")?;
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
            f.write_str(" walks=noncoherent")?;
        }
        if let Some(pages) = machine.cache_pages {
            write!(f, " cache={pages}")?;
        }
        Ok(())
    }
}

impl Display for Text<'_, Operation> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Operation::Create { vm } => write!(f, "vm {}", vm.name()),
            Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                pages_only,
            } => {
                write!(
                    f,
                    "map {} ipa={ipa:#x} pa={pa:#x} size={}",
                    vm.name(),
                    Size(size)
                )?;
                write!(f, " prot={} mem={}", Text(&prot), memory_word(memory))?;
                f.write_str(if pages_only { " pages" } else { "" })
            }
            Operation::Unmap { vm, ipa, size } => {
                write!(f, "unmap {} ipa={ipa:#x} size={}", vm.name(), Size(size))
            }
            Operation::Free { vm } => write!(f, "free {}", vm.name()),
            Operation::Access { vm, ipa, kind } => {
                write!(f, "access {} ipa={ipa:#x} {}", vm.name(), access_word(kind))
            }
            Operation::Fail { after } => write!(f, "fail after={after}"),
        }
    }
}

impl Display for Text<'_, Prot> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = |granted: bool, letter: char| if granted { letter } else { '-' };
        let Prot {
            read,
            write,
            execute,
        } = *self.0;
        write!(
            f,
            "{}{}{}",
            letter(read, 'r'),
            letter(write, 'w'),
            letter(execute, 'x')
        )
    }
}

impl Display for Text<'_, Outcome> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Outcome::Done => f.write_str("ok"),
            Outcome::Freed { pages } => write!(f, "ok pages={pages}"),
            Outcome::NoPages { done, need } => {
                write!(f, "no-pages done={} need={need}", Size(done))
            }
            Outcome::Refused(refusal) => f.write_str(refusal_word(refusal)),
            Outcome::Nothing => f.write_str("nothing"),
        }
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

pub(super) fn granule_word(granule: Granule) -> &'static str {
    match granule {
        Granule::K4 => "4K",
        Granule::K16 => "16K",
        Granule::K64 => "64K",
    }
}

pub(super) fn memory_word(memory: MemoryType) -> &'static str {
    match memory {
        MemoryType::Normal => "normal",
        MemoryType::Device => "device",
    }
}

pub(super) fn access_word(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Write => "write",
        AccessKind::Execute => "execute",
    }
}

pub(super) fn refusal_word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoVm => "no-vm",
        Refusal::Exists => "exists",
        Refusal::IllegalConfiguration => "illegal-configuration",
        Refusal::NoMemory => "no-memory",
        Refusal::Empty => "empty",
        Refusal::Misaligned => "misaligned",
        Refusal::Wraps => "wraps",
        Refusal::IpaRange => "ipa-range",
        Refusal::PaRange => "pa-range",
        Refusal::BadAttributes => "bad-attributes",
        Refusal::Denied => "denied",
    }
}

pub(super) fn fault_word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Translation => "translation",
        FaultKind::AddressSize => "address-size",
        FaultKind::AccessFlag => "access-flag",
        FaultKind::Permission => "permission",
        FaultKind::Stage1AddressSize => "stage1-address-size",
    }
}
