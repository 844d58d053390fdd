//! Ledger and protocol over the same events, in the order that each needs.

use crate::event::Record;
use crate::ledger::{Format, Ledger, Live, Work};
use crate::operation::Machine;
use crate::protocol::{InPlace, Protocol};
use crate::verdict::Finding;

/// What the events of a subject tell.
#[derive(Clone, Debug)]
pub struct Observer {
    /// Who owns which page.
    pub ledger: Ledger,
    /// What TLBs may hold.
    pub protocol: Protocol,
}

impl Observer {
    /// Nothing has happened. `format` decodes the descriptors of every VM.
    pub fn new(machine: &Machine, format: impl Into<Format>) -> Observer {
        Observer {
            ledger: Ledger::new(machine, format),
            protocol: Protocol::new(machine),
        }
    }

    /// As [`Observer::new`], but keeps the buffers.
    pub fn reset(&mut self, machine: &Machine, format: impl Into<Format>) {
        self.ledger.reset(machine, format);
        self.protocol.reset(machine);
    }

    /// An operation starts.
    pub fn begin(&mut self, work: Work, in_place: InPlace) {
        self.ledger.begin(work);
        self.protocol.begin(in_place);
    }

    /// One event; `Some` where it stored a descriptor that walkers can reach.
    ///
    /// # Errors
    /// The rule that is broken. Nothing that is said after it counts.
    pub fn event(&mut self, record: &Record) -> Result<Option<Live>, Finding> {
        let live = self.ledger.event(record)?;
        self.protocol.event(record, live, self.ledger.tables())?;
        Ok(live)
    }

    /// The operation is over: what it broke is invalidated, what it stored is visible,
    /// and no page is lost.
    ///
    /// # Errors
    /// The first that is not so, invalidations before pages.
    pub fn end(&mut self) -> Result<(), Finding> {
        self.protocol.end(&self.ledger)?;
        self.ledger.end()
    }
}
