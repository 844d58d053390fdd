//! One sequence: memory and registers made fresh, then step by step.

use crate::convert::to_u32;
use crate::guest::{self, Access};
use crate::log::EventLog;
use crate::mailbox::Mailbox;
use crate::platform::BootCpu;
use crate::registers::{forget_guests, read, set_forced_write_back};
use crate::{el2, poison, stub, watchdog};
use driver::{Driver, Lab};
use hyp::pages::PageInfo;
use ops::mailbox::{Method, Probe, Request, RequestError, STEP_BYTES, StepReply, encode_step};
use ops::wire::Reader;
use ops::{Machine, Operation, Outcome, Regime};

/// What the steps of a sequence share.
struct Steps<'a> {
    machine: &'a Machine,
    mailbox: &'a Mailbox,
    log: &'a EventLog<'a>,
    cpu: &'a BootCpu,
    driver: Driver<'a, 'a, BootCpu, EventLog<'a>>,
    records: &'a mut [[u8; STEP_BYTES]],
    done: usize,
}

/// Executes a sequence that `request` has judged, and answers the number of
/// steps; an error where `driver` refuses the machine all the same.
pub(crate) fn run(
    request: &Request<'_>,
    sequence: Reader<'_>,
    mailbox: &Mailbox,
    log: &EventLog<'_>,
    info: &mut [PageInfo],
    records: &mut [[u8; STEP_BYTES]],
) -> Result<u32, RequestError> {
    let machine = *sequence.machine();
    prepare(&machine, info);
    let cpu = BootCpu::new(machine.pool_window());
    let lab = Lab::new(&machine, &cpu, log, info).map_err(|_| RequestError::Sequence(u64::MAX))?;
    let mut steps = Steps {
        machine: &machine,
        mailbox,
        log,
        cpu: &cpu,
        driver: lab.driver(),
        records,
        done: 0,
    };
    for operation in machine.operation_0() {
        steps.step(&operation, Probe::NONE);
    }
    // Each operation and probe has decoded before: there is nothing to skip.
    for (index, operation) in sequence.enumerate() {
        if let (Ok(operation), Ok(probe)) = (operation, request.probe(index)) {
            steps.step(&operation, probe);
        }
    }
    watchdog::stop();
    Ok(to_u32(steps.done))
}

/// As if no sequence had run before.
fn prepare(machine: &Machine, info: &mut [PageInfo]) {
    forget_guests();
    set_forced_write_back(machine.features.fwb);
    poison::spoil_window(machine.memory);
    poison::prepare(machine.pool_window());
    info[..usize::from(machine.pool.pages)].fill_with(PageInfo::new);
    if machine.stub.is_some() {
        stub::install(machine.memory);
        watchdog::start();
    }
}

impl Steps<'_> {
    fn step(&mut self, operation: &Operation, probe: Probe) {
        self.mailbox.progress(self.done as u64);
        let outcome = self.driver.execute(operation);
        let mut reply = StepReply::without_probe(outcome);
        if outcome == Outcome::Nothing {
            self.probe(operation, probe, &mut reply);
        }
        (reply.vtcr, reply.vttbr) = self.registers();
        (reply.events, reply.strays) = (self.log.count(), self.cpu.take_strays());
        self.records[self.done] = encode_step(&reply);
        self.done += 1;
    }

    /// Control and base of the tables that the sequence is about. Those of EL2's own
    /// regime are what the subject wrote: the registers hold the image's.
    fn registers(&self) -> (u64, u64) {
        match self.machine.regime {
            Regime::El2 => {
                let own = self.cpu.own();
                (own.tcr, own.ttbr0)
            }
            _ => (read!("vtcr_el2"), read!("vttbr_el2")),
        }
    }

    /// The VM is loaded: the driver's answer says so.
    fn probe(&self, operation: &Operation, probe: Probe, reply: &mut StepReply) {
        let Operation::Access { ipa, kind, .. } = *operation else {
            return;
        };
        let access = Access {
            ipa,
            kind,
            value: probe.value,
        };
        let memory = self.machine.memory;
        match (probe.method, self.machine.regime, self.machine.stub) {
            (Method::Access, Regime::El2, _) => {
                el2::access(&access, self.cpu.own(), memory, reply);
            }
            (Method::Translate, Regime::El2, _) => {
                el2::translate(&access, self.cpu.own(), reply);
            }
            (Method::Access, _, Some(stub)) => guest::access(&access, stub, memory, reply),
            (Method::Translate, ..) => guest::translate(&access, reply),
            (Method::None | Method::Access, ..) => {}
        }
    }
}
