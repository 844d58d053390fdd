//! Judgements as text: one line where everything agrees, the verdict where not.

use crate::compare::{Between, Counts};
use crate::plan::Reasons;
use crate::runner::{HostFailure, Judgement, Machine};
use fuzz::Sequence;
use fuzz::lockstep;
use std::fmt::Write;

/// Everything about one sequence; `name` is its file. Ends with a line feed.
#[must_use]
pub fn judgement(name: &str, sequence: &Sequence, judgement: &Judgement) -> String {
    let mut text = match &judgement.host {
        Ok(counts) => match &judgement.machine {
            Machine::Differs(cpu, difference) => format!(
                "{name}: diverges\n{difference}\n  cpu        {}\n\n{}",
                cpu.name(),
                without_mark(sequence)
            ),
            machine => format!("{name}: {}\n", one_line(counts, machine)),
        },
        Err(HostFailure::Panicked(message)) => format!(
            "{name}: diverges\nthe subject or the oracle panicked: {message}\n\n{}",
            without_mark(sequence)
        ),
        Err(HostFailure::Verdict(verdict)) => format!(
            "{name}: diverges\n{verdict}\n  at EL2     {}\n\n{}",
            reach(&judgement.machine),
            lockstep::marked(sequence, verdict)
        ),
    };
    if judgement.exit() == crate::error::Exit::Diverges {
        let _ = write!(text, "\nreplay: qemu-runner replay {name}\n");
    }
    text
}

/// Counts of what was not compared, one line each, indented.
#[must_use]
pub fn reasons(reasons: &Reasons) -> String {
    reasons
        .iter()
        .fold(String::new(), |mut text, (reason, count)| {
            let _ = writeln!(text, "  not compared: {count} × {reason}");
            text
        })
}

/// What the machine compared, in a few words.
#[must_use]
pub fn counts(counts: &Counts) -> String {
    format!(
        "{} steps, {} events, {} accesses, {} by AT, {} KiB of tables",
        counts.steps,
        counts.events,
        counts.accesses,
        counts.translations,
        counts.table_bytes / 1024
    )
}

fn one_line(host: &lockstep::Counts, machine: &Machine) -> String {
    let host = format!(
        "{} operations, {} comparisons",
        host.operations, host.compared
    );
    match machine {
        Machine::Agrees(cpu, machine) => {
            let left_out: u64 = machine.reasons.values().sum();
            format!(
                "agrees (host: {host}; {}: {}; {left_out} not compared in full)",
                cpu.name(),
                counts(machine)
            )
        }
        Machine::CannotRun(reason) => format!("agrees on the host ({host}); {reason}"),
        Machine::Failed(what, _) => format!("agrees on the host ({host}); not run at EL2: {what}"),
        Machine::NotAsked => format!("agrees on the host ({host})"),
        Machine::Differs(_, difference) => format!("diverges ({})", difference.id()),
    }
}

/// How far a divergence of the host reaches.
fn reach(machine: &Machine) -> String {
    match machine {
        Machine::Agrees(cpu, _) => format!(
            "the same code does the same on {}, and accesses there follow the tables",
            cpu.name()
        ),
        Machine::Differs(cpu, difference) => {
            let cause = match difference.between {
                Between::WalkerAndMachine => "an access shows it",
                Between::HostAndEl2 => "the same code does another thing",
            };
            let indented = difference.to_string().replace('\n', "\n    ");
            format!("{cause} on {}:\n    {indented}", cpu.name())
        }
        Machine::CannotRun(reason) => format!("not observable there: {reason}"),
        Machine::Failed(what, _) => format!("unknown: {what}"),
        Machine::NotAsked => "not asked".into(),
    }
}

fn without_mark(sequence: &Sequence) -> String {
    sequence
        .to_string()
        .lines()
        .fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "  {line}");
            text
        })
}
