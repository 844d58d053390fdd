//! An independent reference for Arm Stage-2 tables, written from the
//! architecture (DDI 0487) and the contract (`docs/contract.md`) alone.
//!
//! - `arch`: machine features and granules, the architecture's own numbers;
//! - `walk`: what the bytes in Stage-2 table memory mean;
//! - `stage1`: what those of EL2's own stage 1 mean;
//! - `aarch32`: both for an EL2 in AArch32, Hyp mode;
//! - `regime`: the walker of an address space, whichever of these it is;
//! - `ranges`: the whole address space of a table as maximal ranges;
//! - `report`: what the syndrome registers say of a walk;
//! - `model`: what the contract promises;
//! - `ledger`: who owns which page;
//! - `protocol`: the order of stores, invalidations and barriers;
//! - `judge`: all of these over one sequence, ending in a `verdict`.
//!
//! It knows no implementation of tables, and nobody's encoding of operations:
//! whoever tests a hypervisor translates their own words into `operation` and
//! `event`.

#![forbid(unsafe_code)]

pub mod aarch32;
pub mod arch;
mod descriptor;
pub mod event;
pub mod judge;
pub mod ledger;
pub mod model;
pub mod operation;
mod params;
pub mod protocol;
pub mod ranges;
pub mod regime;
pub mod report;
pub mod stage1;
pub mod verdict;
pub mod walk;
