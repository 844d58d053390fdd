//! An independent reference for Arm Stage-2 tables, written from the
//! architecture (DDI 0487) and the contract (`docs/contract.md`) alone.
//!
//! - `arch`: machine features and granules, the architecture's own numbers;
//! - `walk`: what the bytes in table memory mean;
//! - `ranges`: the whole address space of a table as maximal ranges;
//! - `model`: what the contract promises;
//! - `ledger`: who owns which page;
//! - `protocol`: the order of stores, invalidations and barriers;
//! - `judge`: all of these over one sequence, ending in a `verdict`.
//!
//! It knows no implementation of tables, and nobody's encoding of operations:
//! whoever tests a hypervisor translates their own words into `operation` and
//! `event`.

#![forbid(unsafe_code)]

pub mod arch;
pub mod event;
pub mod judge;
pub mod ledger;
pub mod model;
pub mod operation;
pub mod protocol;
pub mod ranges;
pub mod verdict;
pub mod walk;
