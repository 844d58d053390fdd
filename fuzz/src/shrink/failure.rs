//! What a smaller sequence must still show: a divergence of the same kind.

use std::cell::RefCell;
use std::mem::{self, Discriminant};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use oracle::operation::Operation;
use oracle::verdict::{Class, Verdict};

use super::measure::operations;
use super::shrink;
use crate::lockstep::Lockstep;
use crate::sequence::Sequence;

/// What a sequence diverges in.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Subject and oracle differ.
    Verdict(Box<Verdict>),
    /// One of them panicked.
    Panic(Panic),
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// File, line and column.
    pub place: String,
    /// Its message.
    pub message: String,
}

/// A smaller sequence that diverges alike.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// The sequence.
    pub sequence: Sequence,
    /// What it diverges in.
    pub failure: Failure,
    /// How many evaluations it took, as `Shrunk` counts them.
    pub evaluations: u32,
    /// Whether everything was tried.
    pub is_finished: bool,
}

impl Reduced {
    /// What became of `sequence`, in a few words.
    #[must_use]
    pub fn counts(&self, sequence: &Sequence) -> String {
        let (before, after) = (operations(sequence), operations(&self.sequence));
        let evaluations = self.evaluations;
        let bound = if self.is_finished {
            ""
        } else {
            ", where its bound ended it"
        };
        format!("{before} operations to {after} in {evaluations} evaluations{bound}")
    }
}

/// Shrinks a sequence that diverges on the host, in at most `most` evaluations, to
/// one that diverges in the same class, by the same rule, at the same kind of
/// operation; where it panics, that panics at the same place. `None` where it
/// agrees. Panics are caught and not printed. A candidate that does not end is not
/// met with: as for any run in lockstep, that is the caller's.
#[must_use]
pub fn divergence(sequence: &Sequence, most: u32) -> Option<Reduced> {
    let mut lockstep = Lockstep::new();
    let mut failure = run(&mut lockstep, sequence)?;
    let kind = Kind::of(&failure);
    let mut start = sequence.clone();
    if let Failure::Verdict(verdict) = &failure
        && let Some(guilty) = &verdict.guilty
    {
        // The run ended there: what comes behind has not been looked at.
        start.steps.truncate(guilty.index);
    }
    let shrunk = shrink(&start, most, |candidate| {
        match run(&mut lockstep, candidate) {
            Some(found) if Kind::of(&found) == kind => {
                failure = found;
                true
            }
            _ => false,
        }
    });
    Some(Reduced {
        sequence: shrunk.sequence,
        failure,
        evaluations: shrunk.evaluations,
        is_finished: shrunk.is_finished,
    })
}

fn run(lockstep: &mut Lockstep, sequence: &Sequence) -> Option<Failure> {
    match quietly(|| lockstep.run(sequence).map(|_| ())) {
        Ok(Ok(())) => None,
        Ok(Err(verdict)) => Some(Failure::Verdict(verdict)),
        Err(panic) => {
            // What it left half-done goes with it.
            *lockstep = Lockstep::new();
            Some(Failure::Panic(panic))
        }
    }
}

/// What two divergences have in common that are of one kind.
#[derive(PartialEq, Eq)]
enum Kind {
    Verdict {
        class: Class,
        rule: &'static str,
        guilty: Option<Discriminant<Operation>>,
        /// Both answers, where the sequence's author expected another: without
        /// them, a step without its VM would be as good.
        answers: Option<String>,
    },
    Panic {
        place: String,
    },
}

impl Kind {
    fn of(failure: &Failure) -> Kind {
        match failure {
            Failure::Verdict(verdict) => {
                let finding = &verdict.finding;
                let guilty = verdict.guilty.as_ref();
                Kind::Verdict {
                    class: finding.class,
                    rule: finding.rule,
                    guilty: guilty.map(|guilty| mem::discriminant(&guilty.operation)),
                    answers: (finding.rule == "expectation").then(|| finding.what.clone()),
                }
            }
            Failure::Panic(panic) => Kind::Panic {
                place: panic.place.clone(),
            },
        }
    }
}

thread_local! {
    /// On a thread that catches panics: the last one.
    static CAUGHT: RefCell<Option<Option<Panic>>> = const { RefCell::new(None) };
}

/// Runs something whose panics are expected: this thread's are kept from the hooks
/// that are installed, of which libFuzzer's would end the process.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(hook);
    CAUGHT.set(Some(None));
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    let caught = CAUGHT.take().flatten();
    // Without the hook's record if somebody took the hook away.
    result.map_err(|_| {
        caught.unwrap_or_else(|| Panic {
            place: String::new(),
            message: String::new(),
        })
    })
}

fn hook() {
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_caught = CAUGHT.with_borrow_mut(|caught| {
            let Some(last) = caught else { return false };
            *last = Some(Panic {
                place: info.location().map(ToString::to_string).unwrap_or_default(),
                message: info
                    .payload_as_str()
                    .unwrap_or("without a message")
                    .to_string(),
            });
            true
        });
        if !is_caught {
            next(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_panic_has_place_and_message() {
        let number = 7;
        let panic = quietly::<()>(|| panic!("number {number}")).unwrap_err();
        assert_eq!(panic.message, "number 7");
        assert!(panic.place.starts_with(file!()), "{}", panic.place);
    }

    #[test]
    fn what_does_not_panic_passes_through() {
        assert_eq!(quietly(|| 5), Ok(5));
    }
}
