//! Subject and oracle over one sequence, operation by operation: execute, judge,
//! compare with what the sequence's author expects, and at the end look at
//! everything once more.
//!
//! All buffers are kept from one sequence to the next. A panic inside the subject
//! and an operation that does not end are left to whoever calls this.

mod run;

pub use run::{Answer, Counts, Reached, Run};

use crate::host::{Engine, Memory, Session, Stray};
use crate::text::Text;
use crate::{Expectation, Sequence, Step, translate};
use ops::{Machine, Operation, Outcome, Regime, Vm};
use oracle::judge::Judge;
use oracle::model::legal::{self, Configuration};
use oracle::verdict::{Class, Finding, Guilty, Verdict};
use oracle::walk::{Answer as Walked, Translation};
use std::fmt::Write;

/// Runs sequences on the host engine under the eyes of the oracle.
pub struct Lockstep {
    engine: Engine,
    judge: Judge,
    last: Run,
    legal: Vec<Configuration>,
}

impl Default for Lockstep {
    fn default() -> Lockstep {
        Lockstep {
            engine: Engine::new(),
            judge: Judge::new(translate::machine(&Machine::PLAIN)),
            last: Run::default(),
            legal: legal::configurations().collect(),
        }
    }
}

impl Lockstep {
    /// A lockstep that has run nothing.
    #[must_use]
    pub fn new() -> Lockstep {
        Lockstep::default()
    }

    /// Runs a whole sequence: the stub's operations, every step, and the look at
    /// all tables and pages that ends it.
    ///
    /// # Errors
    /// The first divergence. `last` tells what happened up to there.
    ///
    /// # Panics
    /// If `Machine::check` refuses the machine.
    pub fn run(&mut self, sequence: &Sequence) -> Result<&Run, Box<Verdict>> {
        let Lockstep {
            engine,
            judge,
            last,
            legal,
        } = self;
        last.clear();
        judge.reset(translate::machine(&sequence.machine));
        engine.run(&sequence.machine, |session| {
            Comparison {
                session,
                judge,
                last,
                legal,
                machine: &sequence.machine,
            }
            .sequence(sequence)
        })?;
        Ok(last)
    }

    /// The last run, also one that ended in a verdict.
    #[must_use]
    pub fn last(&self) -> &Run {
        &self.last
    }

    /// Memory as the last run left it.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        self.engine.memory()
    }

    /// Number of legal configurations, which `Reached::Legal` is an index into.
    #[must_use]
    pub fn legal_configurations(&self) -> usize {
        self.legal.len()
    }
}

/// The sequence with the operation marked that a verdict calls guilty, to go
/// below the verdict.
#[must_use]
pub fn marked(sequence: &Sequence, verdict: &Verdict) -> String {
    let guilty = verdict.guilty.as_ref().map(|guilty| guilty.index);
    let mark = |index| if guilty == Some(index) { '>' } else { ' ' };
    let mut text = format!("{} {}\n", mark(0), Text(&sequence.machine));
    for (index, step) in (1..).zip(&sequence.steps) {
        writeln!(text, "{} {step}", mark(index)).expect("a string takes all that is written to it");
    }
    text
}

/// One sequence on its way.
struct Comparison<'a, 's> {
    session: &'a mut Session<'s>,
    judge: &'a mut Judge,
    last: &'a mut Run,
    legal: &'a [Configuration],
    machine: &'a Machine,
}

impl Comparison<'_, '_> {
    fn sequence(&mut self, sequence: &Sequence) -> Result<(), Box<Verdict>> {
        for operation in self.machine.operation_0() {
            let answer = self.step(0, &Step::from(operation))?;
            self.last.stub.push(answer);
        }
        for (index, step) in (1..).zip(&sequence.steps) {
            let answer = self.step(index, step)?;
            self.last.answers.push(answer);
        }
        for (vm, registers) in (0..).map_while(Vm::new).zip(&mut self.last.registers) {
            *registers = self.session.space(vm);
        }
        let finished = self.judge.finish(self.session.memory());
        let finished = finished.and_then(|()| self.judge.references(self.session.references()));
        finished.map_err(|finding| self.verdict(None, finding))
    }

    fn step(&mut self, index: usize, step: &Step) -> Result<Answer, Box<Verdict>> {
        self.judge.number_next(index);
        let outcome = self.session.execute(&step.operation);
        self.last.counts.operations += 1;
        self.note_reached(&step.operation, outcome);
        let answer = self.judged(&step.operation, outcome);
        let answer = answer.and_then(|answer| as_expected(step, answer));
        answer.map_err(|finding| self.verdict(Some((index, &step.operation)), finding))
    }

    fn judged(&mut self, operation: &Operation, outcome: Outcome) -> Result<Answer, Finding> {
        if let Some(stray) = self.session.memory().take_stray() {
            return Err(astray(stray));
        }
        // A failure to come is the environment's: nobody is asked for anything.
        let Some(asked) = translate::operation(operation, self.machine.features.vmid16) else {
            return Ok(Answer {
                outcome,
                access: None,
            });
        };
        let events = self.session.events();
        let events = events.iter().copied().map(translate::record);
        let answered = translate::outcome(outcome);
        let judged = self
            .judge
            .operation(&asked, answered, events, self.session.memory())?;
        self.last.counts.add_judged(&judged);
        if let Some(Walked::Translation(Translation {
            update: Some(update),
            ..
        })) = judged.access
        {
            self.session.update(update);
        }
        let access = judged.access.as_ref().and_then(translate::access_outcome);
        Ok(Answer { outcome, access })
    }

    /// Notes which configuration a create came to.
    fn note_reached(&mut self, operation: &Operation, outcome: Outcome) {
        if !matches!(operation, Operation::Create { .. }) || outcome != Outcome::Done {
            return;
        }
        let legal = &self.legal;
        self.last.reached = match translate::configuration(self.machine) {
            None => Reached::Illegal,
            Some(_) if self.machine.regime != Regime::Stage2 => Reached::Unlisted,
            Some(reached) => legal
                .iter()
                .position(|other| *other == reached)
                .map_or(Reached::Illegal, Reached::Legal),
        };
    }

    /// The guilty operation is the one that was executed, also where the oracle has
    /// not come to judge it.
    #[cold]
    fn verdict(&self, guilty: Option<(usize, &Operation)>, finding: Finding) -> Box<Verdict> {
        let (index, text) = guilty.map_or((0, String::new()), |(index, operation)| {
            (index, Text(operation).to_string())
        });
        let memory = self.session.memory();
        let mut verdict = self.judge.explain(finding, index, &text, memory);
        verdict.machine_line = Some(Text(self.machine).to_string());
        let asked = guilty.and_then(|(_, operation)| {
            translate::operation(operation, self.machine.features.vmid16)
        });
        verdict.guilty = asked.map(|operation| Guilty {
            index,
            text,
            operation,
        });
        Box::new(verdict)
    }
}

/// An answer against what the sequence's author expects of it.
fn as_expected(step: &Step, answer: Answer) -> Result<Answer, Finding> {
    let met = match step.expected {
        None => true,
        Some(Expectation::Outcome(expected)) => expected == answer.outcome,
        Some(Expectation::Access(expected)) => answer.access == Some(expected),
    };
    if met {
        Ok(answer)
    } else {
        Err(unexpected(step, answer))
    }
}

#[cold]
fn unexpected(step: &Step, answer: Answer) -> Finding {
    let expected = step
        .expected
        .map(|expected| expected.to_string())
        .unwrap_or_default();
    let what = format!("the sequence expects `{expected}`, and the answer is `{answer}`");
    Finding::new(Class::ReturnValue, "expectation", what)
}

#[cold]
fn astray(stray: Stray) -> Finding {
    let Stray { at, reach } = stray;
    if stray.is_sentinel() {
        let what = format!("a {reach} at {at:#x}, to which only the poison in a free page leads");
        return Finding::new(Class::UseAfterFree, "G6", what);
    }
    let what =
        format!("a {reach} at {at:#x}, which is no place for a table: it is not in the pool");
    Finding::new(Class::Isolation, "P1", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Reach;

    #[test]
    fn a_stray_in_the_sentinel_page_came_out_of_a_free_page() {
        let stray = Stray {
            at: ops::SENTINEL.base + 8,
            reach: Reach::Load,
        };
        let finding = astray(stray);
        assert_eq!((finding.class, finding.rule), (Class::UseAfterFree, "G6"));
        assert!(
            finding.what.starts_with("a load at 0x47ff0008"),
            "{}",
            finding.what
        );
    }

    #[test]
    fn a_stray_elsewhere_is_no_page_of_the_pool() {
        let finding = astray(Stray {
            at: 0x5000_0000,
            reach: Reach::Store,
        });
        assert_eq!((finding.class, finding.rule), (Class::Isolation, "P1"));
        assert!(
            finding.what.starts_with("a store at 0x50000000"),
            "{}",
            finding.what
        );
    }
}
