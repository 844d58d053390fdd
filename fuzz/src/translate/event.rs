//! What the subject did.

use ops::{Barrier, CacheOperation, Event, Record, Tlbi};
use oracle::event;

/// One event of the subject.
#[must_use]
pub fn record(record: Record) -> event::Record {
    event::Record {
        cpu: record.cpu,
        event: event(record.event),
    }
}

fn event(event: Event) -> event::Event {
    match event {
        Event::Store {
            at,
            old,
            new,
            release,
        } => event::Event::Store {
            at,
            old,
            new,
            release,
        },
        Event::Zero { at, bytes } => event::Event::Zero { at, bytes },
        Event::Tlbi { operation, operand } => event::Event::Tlbi {
            operation: tlbi(operation),
            operand,
        },
        Event::Barrier(barrier) => event::Event::Barrier(self::barrier(barrier)),
        Event::Exchange { at, old, new } => event::Event::Exchange { at, old, new },
        Event::Cache {
            operation,
            at,
            bytes,
        } => event::Event::Cache {
            operation: cache_operation(operation),
            at,
            bytes,
        },
        Event::InstructionCaches => event::Event::InstructionCaches,
        Event::WriteVtcr(value) => event::Event::WriteVtcr(value),
        Event::WriteVttbr(value) => event::Event::WriteVttbr(value),
        Event::WriteTcr(value) => event::Event::WriteTcr(value),
        Event::WriteTtbr0(value) => event::Event::WriteTtbr0(value),
        Event::WriteMair(value) => event::Event::WriteMair(value),
        Event::Dirty { ipa, bytes } => event::Event::Dirty { ipa, bytes },
        Event::Allocate { page, order } => event::Event::Allocate { page, order },
        Event::AllocateFailed { order, injected } => {
            event::Event::AllocateFailed { order, injected }
        }
        Event::Release { page, order } => event::Event::Release { page, order },
    }
}

fn tlbi(operation: Tlbi) -> event::Tlbi {
    match operation {
        Tlbi::Ipas2e1is => event::Tlbi::Ipas2e1is,
        Tlbi::Vmalle1is => event::Tlbi::Vmalle1is,
        Tlbi::Vmalls12e1is => event::Tlbi::Vmalls12e1is,
        Tlbi::Ripas2e1is => event::Tlbi::Ripas2e1is,
        Tlbi::Vae2is => event::Tlbi::Vae2is,
        Tlbi::Rvae2is => event::Tlbi::Rvae2is,
        Tlbi::Alle2is => event::Tlbi::Alle2is,
    }
}

fn barrier(barrier: Barrier) -> event::Barrier {
    match barrier {
        Barrier::DsbIshst => event::Barrier::DsbIshst,
        Barrier::DsbIsh => event::Barrier::DsbIsh,
        Barrier::Isb => event::Barrier::Isb,
    }
}

fn cache_operation(operation: CacheOperation) -> event::CacheOperation {
    match operation {
        CacheOperation::Cvac => event::CacheOperation::Cvac,
        CacheOperation::Civac => event::CacheOperation::Civac,
        CacheOperation::Cvau => event::CacheOperation::Cvau,
    }
}
