//! What all inputs together came to.

use std::fmt::{self, Display, Formatter};

use ops::{AccessOutcome, Outcome};

use crate::lockstep::{Answer, Counts, Reached, Run};

/// Counts over all inputs of a process. Its text is a few lines.
#[derive(Clone, Debug)]
pub struct Summary {
    sequences: u64,
    undecoded: u64,
    unrun: u64,
    answers: u64,
    succeeded: u64,
    counts: Counts,
    /// By index among the legal configurations, whether a VM was created in it.
    reached: Vec<bool>,
}

impl Summary {
    /// Nothing yet, out of so many legal configurations.
    #[must_use]
    pub fn new(legal_configurations: usize) -> Summary {
        Summary {
            sequences: 0,
            undecoded: 0,
            unrun: 0,
            answers: 0,
            succeeded: 0,
            counts: Counts::default(),
            reached: vec![false; legal_configurations],
        }
    }

    /// Adds a run.
    pub fn count(&mut self, run: &Run) {
        self.sequences += 1;
        self.counts.add(&run.counts);
        for answer in run.stub.iter().chain(&run.answers) {
            if let Some(success) = is_success(answer) {
                self.answers += 1;
                self.succeeded += u64::from(success);
            }
        }
        if let Reached::Legal(index) = run.reached {
            self.reached[index] = true;
        }
    }

    /// How many operations of 100 did what they were for: maps, unmaps and frees
    /// that are done, accesses that reach memory.
    #[must_use]
    pub fn success_percent(&self) -> u64 {
        100 * self.succeeded / self.answers.max(1)
    }

    /// How many legal configurations VMs were created in.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.reached.iter().filter(|reached| **reached).count()
    }

    /// Adds an input that is no sequence.
    pub fn count_undecoded(&mut self) {
        self.undecoded += 1;
    }

    /// Adds a sequence that was not run for the work that it asks for.
    pub fn count_unrun(&mut self) {
        self.unrun += 1;
    }
}

/// Whether the operation did what it was for. A planned failure is for nothing, and
/// an access that the architecture leaves open cannot be told.
fn is_success(answer: &Answer) -> Option<bool> {
    match (answer.outcome, answer.access) {
        (_, Some(access)) => Some(matches!(access, AccessOutcome::Ok { .. })),
        (
            Outcome::Done | Outcome::Freed { .. } | Outcome::Young(_) | Outcome::Entry { .. },
            None,
        ) => Some(true),
        (Outcome::NoPages { .. } | Outcome::Refused(_), None) => Some(false),
        (Outcome::Nothing, None) => None,
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counts {
            operations,
            compared,
            ref not_comparable,
        } = self.counts;
        let skipped: u64 = not_comparable.iter().map(|(_, times)| times).sum();
        writeln!(
            f,
            "{} sequences, {operations} operations executed, {} succeeded",
            self.sequences,
            Percent(self.succeeded, self.answers)
        )?;
        writeln!(
            f,
            "{compared} translations compared, {skipped} not comparable"
        )?;
        for (why, times) in not_comparable {
            writeln!(f, "  not comparable {times} times: {why:?}")?;
        }
        writeln!(f, "{} inputs not run: they are no sequence", self.undecoded)?;
        writeln!(
            f,
            "{} sequences not run: too much work for one input",
            self.unrun
        )?;
        writeln!(
            f,
            "{} of {} legal configurations reached",
            self.reached(),
            self.reached.len()
        )
    }
}

/// A part of a whole.
struct Percent(u64, u64);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Percent(part, whole) = *self;
        if whole == 0 {
            return f.write_str("none");
        }
        let tenths = u128::from(part) * 1000 / u128::from(whole);
        write!(f, "{}.{} %", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_decode_to_nothing_are_counted() {
        let mut summary = Summary::new(1);
        assert!(summary.to_string().contains("\n0 inputs not run: "));
        summary.count_undecoded();
        summary.count_undecoded();
        let text = summary.to_string();
        assert!(text.starts_with("0 sequences, "), "{text}");
        assert!(
            text.contains("\n2 inputs not run: they are no sequence\n"),
            "{text}"
        );
    }
}
