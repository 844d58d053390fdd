//! What an operation may write to the registers of its regime: `VTCR_EL2` and `VTTBR_EL2`
//! (sections A and R, C4, D2, F2, G8), or `MAIR_EL2`, `TCR_EL2` and `TTBR0_EL2` (E2), or
//! those of AArch32 in their place (Z).

use crate::event::Event;
use crate::model::registers::MAIR;
use crate::operation::{Action, Operation, Outcome, Regime};
use crate::protocol::Protocol;
use crate::verdict::{Class, Finding};

/// How the registers of a regime are called, and the clauses about them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) control: &'static str,
    pub(super) base: &'static str,
    pub(super) mair: &'static str,
    control_rule: &'static str,
    pub(super) base_rule: &'static str,
    load_rule: &'static str,
    restore_rule: &'static str,
    free_rule: &'static str,
}

const STAGE2: Names = Names {
    control: "VTCR_EL2",
    base: "VTTBR_EL2",
    mair: "MAIR_EL2",
    control_rule: "R1",
    base_rule: "R3",
    load_rule: "A2",
    restore_rule: "G8",
    free_rule: "F2",
};

const EL2: Names = Names {
    control: "TCR_EL2",
    base: "TTBR0_EL2",
    control_rule: "E2",
    base_rule: "E2",
    load_rule: "E2",
    restore_rule: "E2",
    free_rule: "E2",
    ..STAGE2
};

impl Names {
    pub(super) const fn of(regime: Regime) -> Names {
        match regime {
            Regime::Stage2 => STAGE2,
            Regime::El2 => EL2,
            Regime::Aarch32 => Names {
                control: "VTCR",
                base: "VTTBR",
                control_rule: "Z1",
                base_rule: "Z1",
                ..STAGE2
            },
            Regime::Aarch32Hyp => Names {
                control: "HTCR",
                base: "HTTBR",
                mair: "HMAIR0",
                control_rule: "Z3",
                base_rule: "Z3",
                ..EL2
            },
        }
    }
}

/// What registers of a CPU hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    control: u64,
    base: u64,
    mair: u64,
}

impl Held {
    fn of(regime: Regime, protocol: &Protocol, cpu: u8) -> Held {
        if regime.is_own() {
            Held {
                control: protocol.tcr(cpu),
                base: protocol.ttbr0(cpu),
                mair: protocol.mair(cpu),
            }
        } else {
            Held {
                control: protocol.vtcr(cpu),
                base: protocol.vttbr(cpu),
                mair: MAIR,
            }
        }
    }
}

/// The registers during one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writes {
    regime: Regime,
    cpu: u8,
    control: u64,
    before: u64,
    own: Option<u64>,
    held: Held,
    loaded_too_early: bool,
}

impl Writes {
    /// The control register as the contract has it, what the CPU's registers hold when
    /// the operation starts, and the base register for the operation's VM, where that
    /// exists.
    pub(super) fn new(
        regime: Regime,
        control: u64,
        protocol: &Protocol,
        cpu: u8,
        own: Option<u64>,
    ) -> Writes {
        let held = Held::of(regime, protocol, cpu);
        Writes {
            regime,
            cpu,
            control,
            before: held.base,
            own,
            held,
            loaded_too_early: false,
        }
    }

    fn names(&self) -> Names {
        Names::of(self.regime)
    }

    /// One event.
    pub(super) fn event(&mut self, operation: &Operation, event: &Event) -> Result<(), Finding> {
        let is_own = self.regime.is_own();
        let names = self.names();
        match *event {
            Event::WriteVtcr(value) if !is_own => self.write_control(operation, value),
            Event::WriteTcr(value) if is_own => self.write_control(operation, value),
            Event::WriteVttbr(value) if !is_own => self.write_base(operation, value),
            Event::WriteTtbr0(value) if is_own => self.write_base(operation, value),
            Event::WriteMair(value) if is_own => {
                self.may_write(operation, names.mair, value)?;
                self.held.mair = value;
                if value == MAIR {
                    return Ok(());
                }
                let what = format!("{} is written with {value:#x}", names.mair);
                Err(register(names.control_rule, what, MAIR, value))
            }
            Event::WriteVtcr(value)
            | Event::WriteTcr(value)
            | Event::WriteVttbr(value)
            | Event::WriteTtbr0(value)
            | Event::WriteMair(value) => {
                let what = format!("a register of another regime is written with {value:#x}");
                Err(Finding::new(Class::Register, names.load_rule, what))
            }
            _ => Ok(()),
        }
    }

    fn write_control(&mut self, operation: &Operation, value: u64) -> Result<(), Finding> {
        let names = self.names();
        self.may_write(operation, names.control, value)?;
        self.held.control = value;
        if value == self.control {
            return Ok(());
        }
        let what = format!("{} is written with {value:#x}", names.control);
        Err(register(names.control_rule, what, self.control, value))
    }

    fn write_base(&mut self, operation: &Operation, value: u64) -> Result<(), Finding> {
        self.may_write(operation, self.names().base, value)?;
        let loads = self.own == Some(value);
        self.loaded_too_early |= loads && !self.is_ready();
        self.check_base(operation, value)
    }

    /// Whether all but the base register hold what they must.
    fn is_ready(&self) -> bool {
        (self.held.control, self.held.mair) == (self.control, MAIR)
    }

    /// C4, F1, G2, E2.
    fn may_write(&self, operation: &Operation, name: &str, value: u64) -> Result<(), Finding> {
        let exists = self.own.is_some();
        let rule = match operation {
            Operation::Access { .. } | Operation::Free { .. } if exists => return Ok(()),
            // Invalidations for a VMID need its register to hold it (G8).
            _ if exists && !self.regime.is_own() => return Ok(()),
            _ if exists => self.names().load_rule,
            Operation::Create { .. } => "C4",
            Operation::Free { .. } => "F1",
            _ => "G2",
        };
        let what = format!("{name} is written with {value:#x} by an operation that writes none");
        Err(Finding::new(Class::Register, rule, what))
    }

    fn check_base(&self, operation: &Operation, value: u64) -> Result<(), Finding> {
        let own = self.own.unwrap_or_default();
        let goes = self.destroys(operation).is_some();
        if value == own || value == self.before || goes && value == 0 {
            return Ok(());
        }
        let names = self.names();
        let what = format!("{} is written with {value:#x}", names.base);
        Err(register(names.base_rule, what, own, value))
    }

    /// The clause by which the base register must not hold the VM any more.
    fn destroys(&self, operation: &Operation) -> Option<&'static str> {
        match operation {
            Operation::Free { .. } => Some(self.names().free_rule),
            Operation::Range {
                action: Action::Destroy,
                ..
            } => Some("D2"),
            _ => None,
        }
    }

    /// A2, D2, F2, G8, E2: the state on return.
    pub(super) fn end(
        &self,
        operation: &Operation,
        outcome: Outcome,
        protocol: &Protocol,
    ) -> Result<(), Finding> {
        let names = self.names();
        let (rule, wanted) = match (operation, outcome, self.own) {
            (Operation::Access { .. }, Outcome::Done, Some(own)) => {
                self.check_load(own, protocol)?;
                (names.load_rule, own)
            }
            (_, Outcome::Done | Outcome::Freed { .. }, Some(own)) if self.before == own => self
                .destroys(operation)
                .map_or((names.restore_rule, own), |rule| (rule, 0)),
            _ => (names.restore_rule, self.before),
        };
        let held = Held::of(self.regime, protocol, self.cpu).base;
        if held != wanted {
            let what = format!("{} holds {held:#x} on return", names.base);
            return Err(register(rule, what, wanted, held));
        }
        if self.regime.is_own() && protocol.is_unsynchronized(self.cpu) {
            let what = "no ISB follows the last write of a register".into();
            return Err(Finding::new(Class::Barrier, rule, what));
        }
        Ok(())
    }

    /// A2, E2. That what was written is right has been checked before.
    fn check_load(&self, own: u64, protocol: &Protocol) -> Result<(), Finding> {
        let names = self.names();
        if self.before != own && self.loaded_too_early || !self.is_ready() {
            let what = format!(
                "{} is written before {} holds the VM's value",
                names.base, names.control
            );
            return Err(Finding::new(Class::Register, names.load_rule, what));
        }
        if protocol.is_unsynchronized(self.cpu) {
            let what = format!(
                "no ISB between the writes of {} and {} and the access",
                names.control, names.base
            );
            return Err(Finding::new(Class::Barrier, names.load_rule, what));
        }
        Ok(())
    }
}

fn register(rule: &'static str, what: String, demanded: u64, found: u64) -> Finding {
    Finding::new(Class::Register, rule, what).differs(
        "value",
        format!("{demanded:#x}"),
        format!("{found:#x}"),
    )
}
