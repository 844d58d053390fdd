//! Every allocation of a sequence fails once: the sequence is replayed with the
//! first one failing, then with the second, and so on until none is left to fail.
//!
//! Each replay goes through the lockstep, which accepts only the states that the
//! contract names for a failed allocation. After the sequence itself, all of it is
//! asked for a second time, by which what the failure left undone is done; then
//! every VM is freed, and no page may be left over. Failures that the sequence
//! brings along are taken out, since a second one would replace the first.

use crate::host::Engine;
use crate::lockstep::Lockstep;
use crate::{Expectation, Sequence, Step};
use ops::{Event, Machine, Operation, Outcome, VMS, Vm};
use oracle::verdict::Verdict;
use std::fmt;

/// A replay that diverged.
#[derive(Debug)]
pub struct Divergence {
    /// Allocations that succeed before the one that fails.
    pub after: u16,
    /// The sequence that was run.
    pub sequence: Sequence,
    /// How subject and oracle differ on it.
    pub verdict: Box<Verdict>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence {
            after,
            sequence,
            verdict,
        } = self;
        write!(
            f,
            "where the allocation fails that follows {after} others:\n{verdict}\n{sequence}"
        )
    }
}

impl std::error::Error for Divergence {}

/// Replays sequences.
#[derive(Default)]
pub struct Sweep {
    lockstep: Lockstep,
    /// The subject alone, to see whether an allocation is left to fail.
    engine: Engine,
}

impl Sweep {
    /// A sweep that has run nothing.
    #[must_use]
    pub fn new() -> Sweep {
        Sweep::default()
    }

    /// Fails each allocation of the sequence in turn, those of a stub included, and
    /// answers how many there were. What the sequence expects of its operations does
    /// not count.
    ///
    /// # Errors
    /// The first replay on which subject and oracle differ.
    ///
    /// # Panics
    /// If `Machine::check` refuses the machine, or the subject panics.
    pub fn run(&mut self, sequence: &Sequence) -> Result<u16, Box<Divergence>> {
        let machine = Machine {
            stub: None,
            ..sequence.machine
        };
        let plain = operations(sequence, &machine);
        for after in 0..u16::MAX {
            if !self.strikes(&machine, &plain, after) {
                return Ok(after);
            }
            let sequence = failing(&machine, &plain, after);
            if let Err(verdict) = self.lockstep.run(&sequence) {
                return Err(Box::new(Divergence {
                    after,
                    sequence,
                    verdict,
                }));
            }
        }
        Ok(u16::MAX)
    }

    /// Whether the operations ask for more than `after` allocations.
    fn strikes(&mut self, machine: &Machine, operations: &[Operation], after: u16) -> bool {
        self.engine.run(machine, |session| {
            session.execute(&Operation::Fail { after });
            operations.iter().any(|operation| {
                session.execute(operation);
                session.events().iter().any(|record| {
                    matches!(record.event, Event::AllocateFailed { injected: true, .. })
                })
            })
        })
    }
}

/// The operations of a sequence on `machine`: those of a stub that it has not as any
/// others, and no failures.
fn operations(sequence: &Sequence, machine: &Machine) -> Vec<Operation> {
    let is_lost = machine.operation_0().count() == 0;
    let stub = sequence.machine.operation_0().filter(|_| is_lost);
    let all = stub.chain(sequence.operations().copied());
    all.filter(|operation| !matches!(operation, Operation::Fail { .. }))
        .collect()
}

/// The failure, the operations, all of them once more, and the end of every VM.
fn failing(machine: &Machine, operations: &[Operation], after: u16) -> Sequence {
    let fail = Step::from(Operation::Fail { after });
    let once = || operations.iter().copied().map(Step::from);
    let vms = if machine.regime.is_own() { 1 } else { VMS };
    let frees = (0..)
        .map_while(Vm::new)
        .take(vms)
        .map(|vm| Step::from(Operation::Free { vm }));
    let mut steps: Vec<Step> = [fail]
        .into_iter()
        .chain(once())
        .chain(once())
        .chain(frees)
        .collect();
    if let Some(last) = steps.last_mut() {
        last.expected = Some(Expectation::Outcome(Outcome::Freed { pages: 0 }));
    }
    Sequence {
        machine: *machine,
        steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    fn swept(steps: &str) -> u16 {
        let sequence = parse(&format!("machine cache=0\n{steps}")).expect("the text is a sequence");
        Sweep::new().run(&sequence).expect("it agrees")
    }

    #[test]
    fn nothing_allocated_is_nothing_to_fail() {
        assert_eq!(swept("free a\n"), 0);
    }

    #[test]
    fn each_allocation_fails_once() {
        assert_eq!(swept("vm a\nvm b\nvm a\n"), 2);
    }

    #[test]
    fn top_ups_are_allocations() {
        let sequence =
            parse("machine cache=3\nvm a\nmap a ipa=0 pa=0x50000000 size=4K prot=rw- mem=normal\n");
        let sequence = sequence.expect("the text is a sequence");
        assert_eq!(Sweep::new().run(&sequence).expect("it agrees"), 4);
    }

    #[test]
    fn a_failure_of_the_sequence_itself_does_not_count() {
        assert_eq!(swept("fail after=0\nvm a\nfail after=0\nvm b\n"), 2);
    }

    #[test]
    fn allocations_for_the_stub_fail_as_well() {
        let sequence = parse("machine cache=2 stub=0x1000\n").expect("the text is a sequence");
        assert_eq!(Sweep::new().run(&sequence).expect("it agrees"), 3);
    }

    #[test]
    fn a_replay_fails_first_and_frees_last() {
        let machine = Machine::PLAIN;
        let sequence = failing(&machine, &[Operation::Create { vm: Vm::A }], 7);
        let text = sequence.to_string();
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines[..4], ["fail after=7", "vm a", "vm a", "free a"]);
        assert!(
            lines[6].starts_with("free d") && lines[6].ends_with("-> ok pages=0"),
            "{text}"
        );
        assert_eq!(lines.len(), 7);
    }
}
