//! A complete EL2 Stage-2 for Arm, the tables that give a virtual machine its memory,
//! and EL2's own stage 1; with every granule and size chosen at run time.
//!
//! It is the code that a hypervisor links. What it needs of the machine comes in
//! through `platform::Platform`, and pages through `pages::PageSource`; nothing in
//! it exists for tests. It allocates nothing, panics on no request, given pages and
//! memory as `PageSource` and `Platform` promise them, and holds no `unsafe` outside
//! of `platform`.
//!
//! - `addr`: addresses and ranges;
//! - `geometry`: granule and sizes to start level, root and registers;
//! - `descriptor`: the bits;
//! - `pages`: page source, default pool, page lists;
//! - `platform`: instructions, memory and locks;
//! - `cpu`: what one CPU brings to an operation;
//! - `vmid`: VMIDs;
//! - `stage2`: the operations on guests' tables;
//! - `el2`: those on EL2's own.
//!
//! A hypervisor in AArch32 has the same, by `geometry::ExecutionState`. Several CPUs
//! may work on one address space, one after the other by its lock. Left out: taking an
//! address space that goes (`free`, `destroy`) out of other CPUs' registers.

#![no_std]

mod aarch32;
pub mod addr;
pub mod cpu;
pub mod descriptor;
pub mod el2;
pub mod geometry;
mod invalidate;
pub mod pages;
pub mod platform;
pub mod stage2;
mod tables;
mod tlbi;
pub mod vmid;
mod walk;
