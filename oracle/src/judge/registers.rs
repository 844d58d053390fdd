//! What an operation may write to `VTCR_EL2` and `VTTBR_EL2` (sections A and R, C4, D2,
//! F2, G8).

use crate::event::Event;
use crate::operation::{Action, Operation, Outcome, Regime};
use crate::protocol::Protocol;
use crate::regime::Registers;
use crate::verdict::{Class, Finding};

/// A register that stands for an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    Control,
    Root,
    Attributes,
}

impl Register {
    /// Its name in a regime, and the clause that says what it holds.
    pub(super) const fn of(self, regime: Regime) -> (&'static str, &'static str) {
        match (regime, self) {
            (Regime::Stage2, Register::Control) => ("VTCR_EL2", "R1"),
            (Regime::Stage2, Register::Root | Register::Attributes) => ("VTTBR_EL2", "R3"),
            (Regime::El2, Register::Control) => ("TCR_EL2", "E2"),
            (Regime::El2, Register::Root) => ("TTBR0_EL2", "E2"),
            (Regime::El2, Register::Attributes) => ("MAIR_EL2", "E2"),
            (Regime::Aarch32, Register::Control) => ("VTCR", "Z1"),
            (Regime::Aarch32, Register::Root | Register::Attributes) => ("VTTBR", "Z1"),
            (Regime::Aarch32Hyp, Register::Control) => ("HTCR", "Z3"),
            (Regime::Aarch32Hyp, Register::Root) => ("HTTBR", "Z3"),
            (Regime::Aarch32Hyp, Register::Attributes) => ("HMAIR0", "Z3"),
        }
    }
}

/// A write of a register.
#[derive(Clone, Copy, Debug)]
struct Write {
    register: Register,
    value: u64,
    /// It is one of a hypervisor's own tables, not of a guest's.
    of_own: bool,
}

impl Write {
    fn of(event: &Event) -> Option<Write> {
        let (register, value, of_own) = match *event {
            Event::WriteVtcr(value) => (Register::Control, value, false),
            Event::WriteVttbr(value) => (Register::Root, value, false),
            Event::WriteTcr(value) => (Register::Control, value, true),
            Event::WriteTtbr0(value) => (Register::Root, value, true),
            Event::WriteMair(value) => (Register::Attributes, value, true),
            _ => return None,
        };
        Some(Write {
            register,
            value,
            of_own,
        })
    }
}

/// The registers during one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writes {
    regime: Regime,
    cpu: u8,
    /// What they hold for any space; the root is not looked at.
    wanted: Registers,
    before: Registers,
    held: Registers,
    /// The root register of the operation's space, where that exists.
    own: Option<u64>,
    loaded_too_early: bool,
}

impl Writes {
    /// What the registers of any space of the regime hold, what the CPU's hold when the
    /// operation starts, and the root register of the operation's space, where that
    /// exists.
    pub(super) fn new(
        regime: Regime,
        wanted: Registers,
        protocol: &Protocol,
        cpu: u8,
        own: Option<u64>,
    ) -> Writes {
        let before = protocol.registers(cpu);
        Writes {
            regime,
            cpu,
            wanted,
            before,
            held: before,
            own,
            loaded_too_early: false,
        }
    }

    /// One event.
    pub(super) fn event(&mut self, operation: &Operation, event: &Event) -> Result<(), Finding> {
        let Some(write) = Write::of(event) else {
            return Ok(());
        };
        self.may_write(operation, write)?;
        let value = write.value;
        match write.register {
            Register::Control => {
                self.held.control = value;
                self.check(write, self.wanted.control)
            }
            Register::Attributes => {
                self.held.attributes = value;
                self.check(write, self.wanted.attributes)
            }
            Register::Root => {
                self.loaded_too_early |= self.own == Some(value) && !self.holds_the_rest();
                self.check_root(operation, write)
            }
        }
    }

    /// Whether the registers beside the root hold what they must.
    fn holds_the_rest(&self) -> bool {
        let Registers {
            control,
            attributes,
            ..
        } = self.held;
        (control, attributes) == (self.wanted.control, self.wanted.attributes)
    }

    /// C4, G2, F1, E2.
    fn may_write(&self, operation: &Operation, write: Write) -> Result<(), Finding> {
        let wrong = |name: &str, rule, why: &str| {
            let what = format!("{name} is written with {:#x} {why}", write.value);
            Err(Finding::new(Class::Register, rule, what))
        };
        if write.of_own != self.regime.is_own() {
            let other = if write.of_own {
                Regime::El2
            } else {
                Regime::Stage2
            };
            let why = "and is none of the registers of these tables";
            return wrong(write.register.of(other).0, self.load_rule(), why);
        }
        let (name, _) = write.register.of(self.regime);
        let loads = matches!(operation, Operation::Access { .. } | Operation::Free { .. });
        let rule = match operation {
            Operation::Create { .. } => "C4",
            Operation::Free { .. } if self.own.is_none() => "F1",
            _ if self.own.is_none() => "G2",
            _ if write.of_own && !loads => "E2",
            _ => return Ok(()),
        };
        wrong(name, rule, "by an operation that writes none")
    }

    fn check(&self, write: Write, wanted: u64) -> Result<(), Finding> {
        if write.value == wanted {
            return Ok(());
        }
        let (name, rule) = write.register.of(self.regime);
        let what = format!("{name} is written with {:#x}", write.value);
        Err(register(rule, what, wanted, write.value))
    }

    fn check_root(&self, operation: &Operation, write: Write) -> Result<(), Finding> {
        let goes = destroys(operation).is_some();
        if write.value == self.before.root || goes && write.value == 0 {
            return Ok(());
        }
        self.check(write, self.own.unwrap_or_default())
    }

    /// The clause behind what an access loads, and the free of an own space.
    const fn load_rule(&self) -> &'static str {
        if self.regime.is_own() { "E2" } else { "A2" }
    }

    /// A2, D2, F2, G8, E2: the state on return.
    pub(super) fn end(
        &self,
        operation: &Operation,
        outcome: Outcome,
        protocol: &Protocol,
    ) -> Result<(), Finding> {
        let (rule, wanted) = match (operation, outcome, self.own) {
            (Operation::Access { .. }, Outcome::Done, Some(own)) => {
                self.check_load(own, protocol)?;
                (self.load_rule(), own)
            }
            (_, Outcome::Done | Outcome::Freed { .. }, Some(own)) if self.before.root == own => {
                let gone = destroys(operation);
                if gone.is_some() && self.regime.is_own() {
                    self.check_synchronized(protocol)?;
                }
                gone.map_or(("G8", own), |rule| (rule, 0))
            }
            _ => ("G8", self.before.root),
        };
        let held = protocol.registers(self.cpu).root;
        if held == wanted {
            return Ok(());
        }
        let (name, _) = Register::Root.of(self.regime);
        let what = format!("{name} holds {held:#x} on return");
        Err(register(rule, what, wanted, held))
    }

    /// A2, E2. That what was written is right has been checked before.
    fn check_load(&self, own: u64, protocol: &Protocol) -> Result<(), Finding> {
        if self.before.root != own && self.loaded_too_early {
            let (name, _) = Register::Root.of(self.regime);
            let (control, _) = Register::Control.of(self.regime);
            let what = format!("{name} is written before {control} holds its value");
            return Err(Finding::new(Class::Register, self.load_rule(), what));
        }
        self.check_synchronized(protocol)
    }

    fn check_synchronized(&self, protocol: &Protocol) -> Result<(), Finding> {
        if !protocol.is_unsynchronized(self.cpu) {
            return Ok(());
        }
        let (root, _) = Register::Root.of(self.regime);
        let what = format!("no ISB follows the last write of {root} or a register with it");
        Err(Finding::new(Class::Barrier, self.load_rule(), what))
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
