//! What an operation may write to `VTCR_EL2` and `VTTBR_EL2`, and to a leaf's
//! attribute bits (sections A and R, C4, F2, G8).

use crate::event::Event;
use crate::operation::{Operation, Outcome};
use crate::protocol::Protocol;
use crate::verdict::{Class, Finding};

/// Attribute bits of a leaf that are always 0: 63:55, 53:48 (bits 49:48 are no
/// address without DS, 53 is half of XN) and 11.
const LEAF_ZERO: u64 = 0xffbf_0000_0000_0800;

const ACCESS_FLAG: u64 = 1 << 10;

/// MemAttr and SH.
const MEMORY_TYPE: u64 = 0b1111 << 2 | 0b11 << 8;
const NORMAL: u64 = 0b1111 << 2 | 0b11 << 8;
const DEVICE: u64 = 0b0001 << 2;

/// R4 and G7, for a leaf that was stored to a table.
pub(super) fn check_leaf(descriptor: u64) -> Result<(), Finding> {
    let wrong = |rule, why: String| {
        let what = format!("the leaf descriptor {descriptor:#x} {why}");
        Err(Finding::new(Class::WrongAttributes, rule, what))
    };
    if descriptor & LEAF_ZERO != 0 {
        return wrong(
            "R4",
            format!("has attribute bits {:#x} set", descriptor & LEAF_ZERO),
        );
    }
    if descriptor & ACCESS_FLAG == 0 {
        return wrong("G7", "has AF = 0".into());
    }
    if ![NORMAL, DEVICE].contains(&(descriptor & MEMORY_TYPE)) {
        let (mem_attr, sh) = (descriptor >> 2 & 0b1111, descriptor >> 8 & 0b11);
        return wrong(
            "R4",
            format!("has MemAttr {mem_attr:#06b} and SH {sh:#04b}"),
        );
    }
    Ok(())
}

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
        let free = matches!(operation, Operation::Free { .. });
        if value == own || value == self.before || free && value == 0 {
            return Ok(());
        }
        let what = format!("VTTBR_EL2 is written with {value:#x}");
        Err(register("R3", what, own, value))
    }

    /// A2, F2, G8: the state on return.
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
            (Operation::Free { .. }, _, Some(own)) if self.before == own => ("F2", 0),
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

fn register(rule: &'static str, what: String, demanded: u64, found: u64) -> Finding {
    Finding::new(Class::Register, rule, what).differs(
        "value",
        format!("{demanded:#x}"),
        format!("{found:#x}"),
    )
}
