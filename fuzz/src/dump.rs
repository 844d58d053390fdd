//! The tables of a VM as text that a person can review and a snapshot can hold:
//! the registers by field, then every table from the root down with its entries,
//! those that continue each other on one line.
//!
//! The text is a function of registers and memory alone, so that memory read back
//! from a machine gives the same text as the host's. It tells the bytes exactly:
//! of each line it shows the first descriptor as it is, and the others follow
//! from it. It judges nothing, and is bounded on any bytes: a walk has five levels
//! at most, and a dump `MAX_TABLES` tables.

mod attributes;
mod registers;

use crate::Sequence;
use crate::lockstep::Run;
use crate::text::Text;
use crate::translate;
use attributes::{Attributes, Meaning};
use ops::{Machine, Regime, Vm};
use oracle::regime::{Registers, Walker};
use oracle::walk::{Entry, Memory};
use registers::Shown;
use std::fmt::{self, Display, Write};

/// Tables in one dump: as many as the largest pool has pages.
const MAX_TABLES: u32 = Machine::MAX_POOL_PAGES as u32;

/// What the snapshot of a regression holds: every operation with its answer, then
/// the tables of each VM that exists when the sequence has ended. Tables of a VM
/// that the sequence frees are not in it.
#[must_use]
pub fn snapshot<M: Memory + ?Sized>(sequence: &Sequence, run: &Run, memory: &M) -> String {
    let mut text = format!("{}\n", Text(&sequence.machine));
    let stub = sequence.machine.operation_0();
    let stub = stub
        .zip(&run.stub)
        .map(|(operation, answer)| (0, operation, answer));
    let steps = sequence.operations().copied().zip(&run.answers);
    let steps = (1..)
        .zip(steps)
        .map(|(index, (operation, answer))| (index, operation, answer));
    for (index, operation, answer) in stub.chain(steps) {
        append(
            &mut text,
            format_args!("{index:3} {} -> {answer}", Text(&operation)),
        );
    }
    let vms = (0..).map_while(Vm::new);
    let is_own = sequence.machine.regime.is_own();
    for (vm, registers) in vms.zip(&run.registers) {
        if let Some(registers) = registers {
            let what = if is_own { "The hypervisor, " } else { "VM " };
            append(&mut text, format_args!("\n{what}{}", vm.name()));
            text += &tables(&sequence.machine, registers, memory);
        }
    }
    text
}

fn append(text: &mut String, line: fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes all that is written to it");
}

/// The tables to which the registers of the machine's regime lead.
#[must_use]
pub fn tables<M: Memory + ?Sized>(machine: &Machine, registers: &Registers, memory: &M) -> String {
    let walker = Walker::new(&translate::machine(machine), registers);
    let is_own = machine.regime.is_own();
    let mut text = Shown(machine.regime, registers).to_string();
    let (Some(level), Some((root, entries))) = (walker.start_level(), walker.root()) else {
        text.push_str("No walk starts with these registers.\n");
        return text;
    };
    let has_wide_control = matches!(machine.regime, Regime::Stage2 | Regime::El2);
    let mut dump = Dump {
        walker,
        meaning: Meaning {
            is_own,
            forced_write_back: machine.features.fwb,
            has_no_sh: has_wide_control && registers.control >> 32 & 1 != 0,
        },
        address: if is_own { "VA" } else { "IPA" },
        memory,
        tables: 0,
        text,
    };
    let table_entries = u64::from(walker.entries_per_table());
    let count = entries.div_ceil(table_entries);
    let mut first = 0u64;
    for index in 0..count {
        let at = root + index * table_entries * 8;
        let address = dump.address;
        dump.line(format_args!(
            "level {level} root {} of {count} at {at:#x}, {address} {first:#x}",
            index + 1
        ));
        dump.table(level, at, first);
        first += table_entries * walker.entry_bytes(level);
    }
    dump.text
}

struct Dump<'a, M: ?Sized> {
    walker: Walker,
    meaning: Meaning,
    /// What input addresses are called.
    address: &'static str,
    memory: &'a M,
    tables: u32,
    text: String,
}

/// Entries of one table that continue each other.
struct Entries {
    first: u32,
    last: u32,
    level: i8,
    /// By how much the descriptor grows from each to the next.
    step: u64,
    /// The first one; `None` where memory does not answer.
    descriptor: Option<u64>,
    entry: Entry,
    meaning: Meaning,
}

impl<M: Memory + ?Sized> Dump<'_, M> {
    /// The entries of one table, then each table below it with its heading.
    fn table(&mut self, level: i8, at: u64, ipa: u64) {
        let runs = self.runs(level, at);
        for run in runs.iter().filter(|run| run.descriptor != Some(0)) {
            self.line(format_args!("  {run}"));
        }
        for run in &runs {
            if let Entry::Table { next } = run.entry {
                let offset = u64::from(run.first) * self.walker.entry_bytes(level);
                self.below(level + 1, next, ipa + offset);
            }
        }
    }

    fn runs(&self, level: i8, at: u64) -> Vec<Entries> {
        let mut runs: Vec<Entries> = Vec::new();
        for index in 0..self.walker.entries_per_table() {
            let next = self.entry(level, at, index);
            match runs
                .last_mut()
                .and_then(|run| Some((self.step(run, &next)?, run)))
            {
                Some((step, run)) => (run.step, run.last) = (step, index),
                None => runs.push(next),
            }
        }
        runs
    }

    fn below(&mut self, level: i8, at: u64, ipa: u64) {
        self.tables += 1;
        if self.tables == MAX_TABLES {
            self.line(format_args!(
                "More than {MAX_TABLES} tables: the rest is left out."
            ));
        }
        if self.tables < MAX_TABLES {
            let address = self.address;
            self.line(format_args!(
                "level {level} table at {at:#x}, {address} {ipa:#x}"
            ));
            self.table(level, at, ipa);
        }
    }

    fn entry(&self, level: i8, at: u64, index: u32) -> Entries {
        let descriptor = at
            .checked_add(u64::from(index) * 8)
            .and_then(|at| self.memory.read(at));
        let entry = descriptor.map_or(Entry::Invalid, |bits| self.walker.entry(level, bits));
        Entries {
            first: index,
            last: index,
            step: 0,
            level,
            descriptor,
            entry,
            meaning: self.meaning,
        }
    }

    /// By how much descriptors grow from `run` on to `next`, where that is the same
    /// from each entry to the following one: not at all, or, for leaves, by as much
    /// as an entry covers.
    fn step(&self, run: &Entries, next: &Entries) -> Option<u64> {
        let (Some(first), Some(bits)) = (run.descriptor, next.descriptor) else {
            return (run.descriptor == next.descriptor).then_some(0);
        };
        let distance = u64::from(next.first - run.first);
        let continues = |step: &u64| first.checked_add(distance * step) == Some(bits);
        if run.first != run.last {
            return Some(run.step).filter(continues);
        }
        let leaves = matches!(
            (run.entry, next.entry),
            (Entry::Leaf { .. }, Entry::Leaf { .. })
        );
        let onward = leaves.then(|| self.walker.entry_bytes(run.level));
        [Some(0), onward].into_iter().flatten().find(continues)
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        append(&mut self.text, line);
    }
}

impl Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "[{:4}] ", self.first)?;
        } else {
            write!(f, "[{:4}..{}] ", self.first, self.last)?;
        }
        let onward = if self.step == 0 { "" } else { "+" };
        match (self.descriptor, self.entry) {
            (None, _) => write!(f, "no answer from memory"),
            (Some(bits), Entry::Invalid) => write!(f, "invalid {bits:#018x}"),
            (Some(bits), Entry::Table { next }) => write!(f, "table {next:#x} {bits:#018x}"),
            (Some(bits), Entry::Leaf { pa }) => {
                let kind = if self.level == 3 { "page" } else { "block" };
                write!(
                    f,
                    "{kind} pa={pa:#x}{onward} {} {bits:#018x}",
                    Attributes(bits, self.meaning)
                )
            }
        }
    }
}
