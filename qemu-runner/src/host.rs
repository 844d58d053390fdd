//! The host's run of a sequence, step by step, as the machine has to repeat it:
//! outcomes, events, registers, and for each guest access what the walker says
//! that this very CPU makes of it.
//!
//! It judges nothing: that the host's run keeps the contract is `fuzz::lockstep`'s
//! to say.

use fuzz::Sequence;
use fuzz::host::{Engine, Session};
use ops::{AccessKind, Event, Machine, Operation, Outcome, Record, Vm};
use oracle::arch::Features;
use oracle::walk::{self, Access, Answer, Registers, Stage2};

/// `HCR_EL2.VM` and `HCR_EL2.RW`, as the image sets them for its guest.
const HCR: u64 = 1 | 1 << 31;

/// What the walker says about a guest access at the moment it is made.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Of the real access at EL1.
    pub access: Answer,
    /// Of `AT S12E1R` (reads, fetches) or `AT S12E1W`.
    pub at: Answer,
    /// The descriptors of the walk.
    pub walk: Vec<walk::Step>,
    /// Whether the stub's page is mapped where the machine line has it, so that
    /// the guest can be entered.
    pub stub_ready: bool,
}

/// One step: an operation of the stub or of the sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was asked.
    pub operation: Operation,
    /// What the subject answered.
    pub outcome: Outcome,
    /// Whether it reached for memory outside of the pool.
    pub strayed: bool,
    /// Events up to the end of this step, as an index into `Run::events`.
    pub events_end: usize,
    /// `VTCR_EL2` after it; `None` before the first write, when it may hold
    /// anything.
    pub vtcr: Option<u64>,
    /// `VTTBR_EL2` after it; likewise.
    pub vttbr: Option<u64>,
    /// For an access that was let through.
    pub prediction: Option<Prediction>,
}

/// The whole run. Table memory stays in the engine until its next sequence.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The stub's operations, where there is a stub, then the sequence's.
    pub steps: Vec<Step>,
    /// The events of all steps, in order.
    pub events: Vec<Record>,
}

/// Runs a sequence on the host and predicts its accesses for a CPU with these
/// features.
pub fn run(engine: &mut Engine, sequence: &Sequence, features: Features) -> Run {
    let machine = sequence.machine;
    let stub = machine.stub_operations().into_iter().flatten();
    let mut run = Run::default();
    engine.run(&machine, |session| {
        for operation in stub.chain(sequence.operations().copied()) {
            run.step(session, &machine, features, operation);
        }
    });
    run
}

impl Run {
    fn step(
        &mut self,
        session: &mut Session<'_>,
        machine: &Machine,
        features: Features,
        operation: Operation,
    ) {
        let outcome = session.execute(&operation);
        let (mut vtcr, mut vttbr) = self
            .steps
            .last()
            .map_or((None, None), |step| (step.vtcr, step.vttbr));
        for record in session.events().iter() {
            match record.event {
                Event::WriteVtcr(value) => vtcr = Some(value),
                Event::WriteVttbr(value) => vttbr = Some(value),
                _ => {}
            }
            self.events.push(*record);
        }
        let strayed = session.memory().take_stray().is_some();
        let prediction = predict(session, machine, features, &operation, outcome);
        let events_end = self.events.len();
        self.steps.push(Step {
            operation,
            outcome,
            strayed,
            events_end,
            vtcr,
            vttbr,
            prediction,
        });
    }
}

fn predict(
    session: &Session<'_>,
    machine: &Machine,
    features: Features,
    operation: &Operation,
    outcome: Outcome,
) -> Option<Prediction> {
    let Operation::Access { vm, ipa, kind } = *operation else {
        return None;
    };
    if outcome != Outcome::Nothing {
        return None;
    }
    let stage2 = stage2(session, features, vm)?;
    let memory = session.memory();
    let (access, at) = accesses(kind);
    Some(Prediction {
        access: stage2.translate(memory, ipa, access),
        at: stage2.translate(memory, ipa, at),
        walk: walk::trace(&stage2, memory, ipa, access),
        stub_ready: machine.stub.is_some_and(|stub| {
            let fetch = Access::Execute { el0: false };
            matches!(
                stage2.translate(memory, stub, fetch),
                Answer::Translation(translation) if translation.pa == machine.memory.base
            )
        }),
    })
}

fn stage2(session: &Session<'_>, features: Features, vm: Vm) -> Option<Stage2> {
    let registers = session.registers(vm)?;
    Some(Stage2::new(
        features,
        Registers {
            vtcr: registers.vtcr,
            vttbr: registers.vttbr,
            hcr: HCR,
        },
    ))
}

/// A real access, and the `AT` that stands for it. `AT` knows no fetches.
fn accesses(kind: AccessKind) -> (Access, Access) {
    match kind {
        AccessKind::Read => (Access::Read, Access::AtRead),
        AccessKind::Write => (Access::Write, Access::AtWrite),
        AccessKind::Execute => (Access::Execute { el0: false }, Access::AtRead),
    }
}
