//! The answer to a TLB conflict abort: the VM's whole VMID is invalidated (D3).

use crate::event::{Barrier, Event, Record, Tlbi};
use crate::protocol::Protocol;
use crate::verdict::{Class, Finding};

/// How far the invalidation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Conflict {
    #[default]
    Open,
    /// Issued, by a CPU.
    Issued(u8),
    Complete,
}

impl Conflict {
    /// One event, which `protocol` has seen; `own` is the VM's `VTTBR_EL2`.
    pub(super) fn event(&mut self, record: &Record, own: Option<u64>, protocol: &Protocol) {
        let by = record.cpu;
        let whole = Event::Tlbi {
            operation: Tlbi::Vmalls12e1is,
            operand: 0,
        };
        let vmid = |vttbr: u64| vttbr >> 48;
        let concerns_own = own.map(vmid) == Some(vmid(protocol.registers(by).root));
        match (*self, record.event) {
            (Conflict::Open, event) if event == whole && concerns_own => {
                *self = Conflict::Issued(by);
            }
            (Conflict::Issued(issuer), Event::Barrier(Barrier::DsbIsh)) if issuer == by => {
                *self = Conflict::Complete;
            }
            _ => {}
        }
    }

    /// The operation was done.
    pub(super) fn end(self, vm: usize) -> Result<(), Finding> {
        let why = match self {
            Conflict::Complete => return Ok(()),
            Conflict::Open => "no TLBI VMALLS12E1IS for the VM's VMID was issued",
            Conflict::Issued(_) => "no DSB ISH completes the TLBI VMALLS12E1IS",
        };
        Err(Finding::new(Class::StaleTlb, "D3", why.into()).of(vm))
    }
}
