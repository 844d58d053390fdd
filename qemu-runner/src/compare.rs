//! Holds what the machine did against the host's run and the oracle's walker,
//! step by step: outcome, events, registers, probe; then table memory byte for
//! byte, and what stores left in guest memory. The first difference counts.
//!
//! The walker's answers were computed on the host's tables. They hold for the
//! machine's as well: up to that step both wrote the same events, and at the end
//! the same bytes, or an earlier difference is reported instead.

mod difference;
mod probe;

pub use difference::{Between, Difference, Field, Place};

use crate::host::{Run, Step};
use crate::mailbox::Answered;
use crate::plan::{Reason, Reasons};
use crate::ram::Ram;
use fuzz::Sequence;
use fuzz::host::Memory;
use fuzz::text::Text;
use ops::mailbox::StepReply;
use ops::{Operation, Record, Regime};

/// What was compared, for a sequence without a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps whose outcome, events and registers were compared.
    pub steps: u64,
    /// Events compared.
    pub events: u64,
    /// Real accesses at EL1 compared with the walker.
    pub accesses: u64,
    /// Addresses compared by `AT`.
    pub translations: u64,
    /// Bytes of table memory compared.
    pub table_bytes: u64,
    /// What was not compared, or not in full.
    pub reasons: Reasons,
}

impl Counts {
    /// Whether nothing was compared at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps == 0 && self.table_bytes == 0
    }

    /// Adds another sequence's.
    pub fn add(&mut self, other: &Counts) {
        self.steps += other.steps;
        self.events += other.events;
        self.accesses += other.accesses;
        self.translations += other.translations;
        self.table_bytes += other.table_bytes;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(*reason).or_default() += count;
        }
    }
}

/// Everything that is known about one sequence once the machine has run it.
pub struct Evidence<'a> {
    /// The sequence.
    pub sequence: &'a Sequence,
    /// The host's run.
    pub host: &'a Run,
    /// The host's table memory at the end of it.
    pub memory: &'a Memory,
    /// What the machine answered.
    pub answered: &'a Answered,
    /// The machine's RAM at the end.
    pub ram: &'a Ram,
}

impl Evidence<'_> {
    /// Compares everything.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self) -> Result<Counts, Box<Difference>> {
        let mut counts = Counts {
            reasons: self.host.plan.reasons.clone(),
            ..Counts::default()
        };
        if self.answered.steps.len() != self.host.steps.len() {
            let field = Field::new("steps", self.host.steps.len(), self.answered.steps.len());
            return Err(self.difference(Between::HostAndEl2, None, vec![field]));
        }
        let mut events_before = 0;
        for (index, (step, reply)) in self.host.steps.iter().zip(&self.answered.steps).enumerate() {
            self.compare_subject(index, step, reply)?;
            counts.events += self.compare_events(index, events_before, step, reply)?;
            self.compare_probe(index, step, reply, &mut counts)?;
            events_before = step.events_end;
            counts.steps += 1;
        }
        let told = self.answered.events.len() as u64 + u64::from(self.answered.events_lost);
        if let Some(field) = Field::unless_equal(
            "events, lost ones counted",
            self.host.events.len() as u64,
            told,
        ) {
            return Err(self.difference(Between::HostAndEl2, None, vec![field]));
        }
        if self.answered.events_lost > 0 {
            *counts.reasons.entry(Reason::LogFull).or_default() +=
                u64::from(self.answered.events_lost);
        }
        counts.table_bytes = self.compare_tables()?;
        self.compare_stores()?;
        Ok(counts)
    }

    /// Outcome, registers and strays: the same code must do the same.
    fn compare_subject(
        &self,
        index: usize,
        step: &Step,
        reply: &StepReply,
    ) -> Result<(), Box<Difference>> {
        let mut fields = Vec::new();
        if step.outcome != reply.outcome {
            fields.push(Field::new(
                "outcome",
                Text(&step.outcome),
                Text(&reply.outcome),
            ));
        }
        let [control, base] = match self.sequence.machine.regime {
            Regime::El2 => ["TCR_EL2", "TTBR0_EL2"],
            _ => ["VTCR_EL2", "VTTBR_EL2"],
        };
        let registers = [
            (control, step.registers.control, reply.vtcr),
            (base, step.registers.base, reply.vttbr),
        ];
        for (name, written, read) in registers {
            fields.extend(written.and_then(|written| Field::unless_equal(name, written, read)));
        }
        // The host keeps the first one only.
        if step.strayed != (reply.strays > 0) {
            let host = if step.strayed { "some" } else { "0" };
            fields.push(Field::new(
                "accesses outside of the pool",
                host,
                reply.strays,
            ));
        }
        self.none_or_difference(Between::HostAndEl2, index, fields)
    }

    fn compare_events(
        &self,
        index: usize,
        before: usize,
        step: &Step,
        reply: &StepReply,
    ) -> Result<u64, Box<Difference>> {
        let expected = &self.host.events[before..step.events_end];
        let in_log = self.answered.events.len();
        let end = reply.events as usize;
        let logged = self
            .answered
            .events
            .get(before..end.min(in_log))
            .unwrap_or_default();
        let is_whole = end <= in_log;
        let differs = expected
            .iter()
            .zip(logged)
            .position(|(host, machine)| host != machine);
        let fields = match differs {
            Some(at) => vec![event_field(at, Some(&expected[at]), Some(&logged[at]))],
            None if is_whole && expected.len() != logged.len() => {
                let at = expected.len().min(logged.len());
                vec![event_field(at, expected.get(at), logged.get(at))]
            }
            // What did not fit into the log was counted all the same.
            None => {
                let (host, machine) = (step.events_end as u64, u64::from(reply.events));
                Field::unless_equal("events so far", host, machine)
                    .into_iter()
                    .collect()
            }
        };
        self.none_or_difference(Between::HostAndEl2, index, fields)?;
        Ok(expected.len().min(logged.len()) as u64)
    }

    fn compare_probe(
        &self,
        index: usize,
        step: &Step,
        reply: &StepReply,
        counts: &mut Counts,
    ) -> Result<(), Box<Difference>> {
        let Some(operation) = index.checked_sub(self.own_steps()) else {
            return Ok(());
        };
        let (Some(planned), Operation::Access { ipa, kind, .. }, Some(prediction)) = (
            self.host.plan.probes.get(operation),
            step.operation,
            &step.prediction,
        ) else {
            return Ok(());
        };
        let loaded = self.host.plan.loads.get(&operation).copied();
        let probe = probe::Probe {
            ipa,
            kind,
            prediction,
            loaded,
        };
        let fields = match planned.method {
            ops::mailbox::Method::None => return Ok(()),
            ops::mailbox::Method::Access => {
                counts.accesses += 1;
                probe.compare_access(reply)
            }
            ops::mailbox::Method::Translate => {
                counts.translations += 1;
                probe.compare_translation(reply)
            }
        };
        self.none_or_difference(Between::WalkerAndMachine, index, fields)
    }

    fn compare_tables(&self) -> Result<u64, Box<Difference>> {
        let pool = self.sequence.machine.pool_window();
        for at in (0..pool.bytes).step_by(8).map(|offset| pool.base + offset) {
            let (host, machine) = (self.memory.peek(at), self.ram.load(at).ok());
            if host != machine {
                let show = |value: Option<u64>| {
                    value.map_or("unreadable".into(), |value| format!("{value:#018x}"))
                };
                let field = Field::new(
                    format!("table memory at {at:#x}"),
                    show(host),
                    show(machine),
                );
                return Err(self.difference(Between::HostAndEl2, None, vec![field]));
            }
        }
        Ok(pool.bytes)
    }

    /// A store proves by what it left where it went.
    fn compare_stores(&self) -> Result<(), Box<Difference>> {
        for (at, value) in &self.host.plan.after {
            let found = self.ram.load(*at).unwrap_or_default();
            if found != *value {
                let name = format!("guest memory at {at:#x}");
                let field = Field::new(name, probe::meaning(*value), probe::meaning(found));
                return Err(self.difference(Between::WalkerAndMachine, None, vec![field]));
            }
        }
        Ok(())
    }

    fn none_or_difference(
        &self,
        between: Between,
        index: usize,
        fields: Vec<Field>,
    ) -> Result<(), Box<Difference>> {
        if fields.is_empty() {
            Ok(())
        } else {
            Err(self.difference(between, Some(index), fields))
        }
    }

    fn difference(
        &self,
        between: Between,
        index: Option<usize>,
        fields: Vec<Field>,
    ) -> Box<Difference> {
        let step = index.and_then(|index| self.host.steps.get(index));
        let place = index.zip(step).map(|(index, step)| Place {
            // Operation 0 is the stub's, as in the text; the others count from 1.
            number: (index + 1).saturating_sub(self.own_steps()),
            operation: step.operation,
            prediction: step.prediction.clone(),
        });
        Box::new(Difference {
            between,
            machine: self.sequence.machine,
            place,
            fields,
        })
    }

    /// Steps of operation 0.
    fn own_steps(&self) -> usize {
        self.sequence.machine.operation_0().count()
    }
}

fn event_field(at: usize, host: Option<&Record>, machine: Option<&Record>) -> Field {
    let show = |record: Option<&Record>| {
        record.map_or("none".into(), |record| format!("{:x?}", record.event))
    };
    Field::new(format!("event {at} of the step"), show(host), show(machine))
}
