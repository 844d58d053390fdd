//! The host's run of a sequence, step by step, as the machine has to repeat it:
//! outcomes, events, registers, and for each guest access what the walker says
//! that this very CPU makes of it, how it will be tried there, and what hardware then
//! writes to the tables.
//!
//! It judges nothing: that the host's run keeps the contract is `fuzz::lockstep`'s
//! to say.

mod prediction;

pub use prediction::Prediction;
use prediction::{Guest, Own};

use crate::plan::Plan;
use crate::qemu::Version;
use fuzz::Sequence;
use fuzz::host::{Engine, Session};
use ops::mailbox::{Description, Probe};
use ops::{AccessKind, Event, Machine, Operation, Outcome, Record, Regime, Vm};

/// One step: an operation of the machine's own (contract S1, E8) or of the sequence.
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
    /// The registers after it.
    pub registers: Registers,
    /// For an access that was let through.
    pub prediction: Option<Prediction>,
}

/// What the subject has written so far; `None` before the first write, when the register
/// may hold anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// `VTCR_EL2`, or `TCR_EL2` in EL2's own regime.
    pub control: Option<u64>,
    /// `VTTBR_EL2`, or `TTBR0_EL2` in EL2's own regime.
    pub base: Option<u64>,
    /// `MAIR_EL2`, in EL2's own regime.
    pub mair: Option<u64>,
}

impl Registers {
    fn follow(&mut self, event: &Event) {
        match *event {
            Event::WriteVtcr(value) | Event::WriteTcr(value) => self.control = Some(value),
            Event::WriteVttbr(value) | Event::WriteTtbr0(value) => self.base = Some(value),
            Event::WriteMair(value) => self.mair = Some(value),
            _ => {}
        }
    }
}

/// The whole run. Table memory stays in the engine until its next sequence.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Operation 0, where the machine has one, then the sequence's.
    pub steps: Vec<Step>,
    /// The events of all steps, in order.
    pub events: Vec<Record>,
    /// How the machine is to be asked.
    pub plan: Plan,
}

/// The machine on which a run is to be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Emulated<'a> {
    /// What its CPU says.
    pub description: &'a Description,
    /// The emulator's version.
    pub version: Version,
}

/// Runs a sequence on the host, and predicts and plans its accesses for a machine.
/// Tables are as the machine will have them: where it is asked for no access, hardware
/// updates none.
pub fn run(engine: &mut Engine, sequence: &Sequence, emulated: Emulated<'_>) -> Run {
    let mut running = Running {
        machine: sequence.machine,
        emulated,
        run: Run::default(),
    };
    engine.run(&sequence.machine, |session| {
        for operation in sequence.machine.operation_0() {
            running.step(session, operation);
        }
        for operation in sequence.operations() {
            let probe = running.step(session, *operation);
            running.run.plan.probes.push(probe);
        }
    });
    running.run
}

/// A run on its way.
struct Running<'a> {
    machine: Machine,
    emulated: Emulated<'a>,
    run: Run,
}

impl Running<'_> {
    fn step(&mut self, session: &mut Session<'_>, operation: Operation) -> Probe {
        let outcome = session.execute(&operation);
        let last = self.run.steps.last();
        let mut registers = last.map_or_else(Registers::default, |step| step.registers);
        for record in session.events().iter() {
            registers.follow(&record.event);
            self.run.events.push(*record);
        }
        let strayed = session.memory().take_stray().is_some();
        let (prediction, probe) = match (operation, outcome) {
            (Operation::Access { vm, ipa, kind }, Outcome::Nothing) => {
                self.access(session, &registers, vm, ipa, kind)
            }
            _ => (None, Probe::NONE),
        };
        self.run.steps.push(Step {
            operation,
            outcome,
            strayed,
            events_end: self.run.events.len(),
            registers,
            prediction,
        });
        probe
    }

    /// Predicts and plans an access, and updates the tables as the machine will.
    fn access(
        &mut self,
        session: &Session<'_>,
        registers: &Registers,
        vm: Vm,
        ipa: u64,
        kind: AccessKind,
    ) -> (Option<Prediction>, Probe) {
        let version = self.emulated.version;
        let predicted = match self.machine.regime {
            Regime::El2 => {
                let own = Own::new(&self.machine, self.emulated, registers);
                own.map(|own| own.predict(session.memory(), ipa, kind))
            }
            _ => {
                let registers = session.registers(vm);
                registers.map(|registers| {
                    let tables = (registers.vtcr, registers.vttbr);
                    let guest = Guest::new(&self.machine, self.emulated, tables);
                    guest.predict(session.memory(), ipa, kind)
                })
            }
        };
        let Some(prediction) = predicted else {
            return (None, Probe::NONE);
        };
        let plan = &mut self.run.plan;
        let probe = plan.choose(&self.machine, ipa, kind, &prediction, version);
        for update in prediction.updates(probe.method, kind, version) {
            session.update(update);
        }
        (Some(prediction), probe)
    }
}
