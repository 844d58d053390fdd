//! What an operation may write to `VTCR_EL2` and `VTTBR_EL2` (sections A and R, C4, D2,
//! F2, G8).

use crate::event::Event;
use crate::operation::{Action, Operation, Outcome};
use crate::protocol::Protocol;
use crate::verdict::{Class, Finding};

/// The registers during one operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Writes {
    cpu: u8,
    vtcr: u64,
    before: u64,
    own: Option<u64>,
    vtcr_held: u64,
    loaded_before_vtcr: bool,
}

impl Writes {
    /// `VTCR_EL2` as R1 has it, what the CPU's registers hold when the operation starts,
    /// and `VTTBR_EL2` as R3 has it for the operation's VM, where that exists.
    pub(super) fn new(vtcr: u64, protocol: &Protocol, cpu: u8, own: Option<u64>) -> Writes {
        Writes {
            cpu,
            vtcr,
            before: protocol.vttbr(cpu),
            own,
            vtcr_held: protocol.vtcr(cpu),
            loaded_before_vtcr: false,
        }
    }

    /// One event.
    pub(super) fn event(&mut self, operation: &Operation, event: &Event) -> Result<(), Finding> {
        match *event {
            Event::WriteVtcr(value) => {
                self.may_write(operation, "VTCR_EL2", value)?;
                self.vtcr_held = value;
                if value == self.vtcr {
                    return Ok(());
                }
                let what = format!("VTCR_EL2 is written with {value:#x}");
                Err(register("R1", what, self.vtcr, value))
            }
            Event::WriteVttbr(value) => {
                self.may_write(operation, "VTTBR_EL2", value)?;
                let loads = self.own == Some(value);
                self.loaded_before_vtcr |= loads && self.vtcr_held != self.vtcr;
                self.check_vttbr(operation, value)
            }
            _ => Ok(()),
        }
    }

    /// C4, G2.
    fn may_write(&self, operation: &Operation, name: &str, value: u64) -> Result<(), Finding> {
        if self.own.is_some() {
            return Ok(());
        }
        let rule = match operation {
            Operation::Create { .. } => "C4",
            Operation::Free { .. } => "F1",
            _ => "G2",
        };
        let what = format!("{name} is written with {value:#x} by an operation that writes none");
        Err(Finding::new(Class::Register, rule, what))
    }

    fn check_vttbr(&self, operation: &Operation, value: u64) -> Result<(), Finding> {
        let own = self.own.unwrap_or_default();
        let goes = destroys(operation).is_some();
        if value == own || value == self.before || goes && value == 0 {
            return Ok(());
        }
        let what = format!("VTTBR_EL2 is written with {value:#x}");
        Err(register("R3", what, own, value))
    }

    /// A2, D2, F2, G8: the state on return.
    pub(super) fn end(
        &self,
        operation: &Operation,
        outcome: Outcome,
        protocol: &Protocol,
    ) -> Result<(), Finding> {
        let (rule, wanted) = match (operation, outcome, self.own) {
            (Operation::Access { .. }, Outcome::Done, Some(own)) => {
                self.check_load(own, protocol)?;
                ("A2", own)
            }
            (_, Outcome::Done | Outcome::Freed { .. }, Some(own)) if self.before == own => {
                destroys(operation).map_or(("G8", own), |rule| (rule, 0))
            }
            _ => ("G8", self.before),
        };
        let held = protocol.vttbr(self.cpu);
        if held == wanted {
            return Ok(());
        }
        let what = format!("VTTBR_EL2 holds {held:#x} on return");
        Err(register(rule, what, wanted, held))
    }

    /// A2. That what was written is right has been checked before.
    fn check_load(&self, own: u64, protocol: &Protocol) -> Result<(), Finding> {
        if self.before != own && self.loaded_before_vtcr {
            let what = "VTTBR_EL2 is written before VTCR_EL2 holds the VM's value";
            return Err(Finding::new(Class::Register, "A2", what.into()));
        }
        if protocol.is_unsynchronized(self.cpu) {
            let what = "no ISB between the writes of VTCR_EL2 and VTTBR_EL2 and the guest";
            return Err(Finding::new(Class::Barrier, "A2", what.into()));
        }
        Ok(())
    }
}

/// The clause by which `VTTBR_EL2` must not hold the VM any more.
fn destroys(operation: &Operation) -> Option<&'static str> {
    match operation {
        Operation::Free { .. } => Some("F2"),
        Operation::Range {
            action: Action::Destroy,
            ..
        } => Some("D2"),
        _ => None,
    }
}

fn register(rule: &'static str, what: String, demanded: u64, found: u64) -> Finding {
    Finding::new(Class::Register, rule, what).differs(
        "value",
        format!("{demanded:#x}"),
        format!("{found:#x}"),
    )
}
