//! The vocabulary between the sides that must not meet: what a sequence asks
//! for, what a subject answers, and what it did in order.
//!
//! Everything here is plain data with a fixed wire form. Nothing here knows a
//! page table: no level arithmetic, no descriptor bit, no legality rule. An
//! illegal machine configuration is representable on purpose, since refusing it
//! is an operation whose error is compared.

#![no_std]
#![forbid(unsafe_code)]

mod event;
mod machine;
pub mod mailbox;
mod operation;
mod options;
mod outcome;
mod parts;
pub mod wire;

pub use event::{Barrier, CacheOperation, Event, Record, Tlbi};
pub use machine::{
    Features, Granule, HYPERVISOR, Machine, MachineError, Pool, Regime, SENTINEL, Window, poison,
};
pub use operation::{AccessKind, Action, Execute, MemoryType, Operation, Prot, VMS, Vm};
pub use outcome::{AccessOutcome, Entry, FaultKind, LeafContent, Outcome, Refusal};
pub use parts::Parts;
