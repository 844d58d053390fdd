//! The emulated machine as a witness: runs sequences in the image under QEMU,
//! and holds what the machine did against the host's run and the oracle's walker.
//!
//! - `workspace`, `sources`, `build`, `image`: the EL2 image, found, built when its
//!   sources have changed, checked;
//! - `children`, `qemu`: the emulator's process, from its version to its end on any
//!   exit;
//! - `ram`, `mailbox`: the memory that both sides share, and the protocol in it;
//! - `cpu`, `machine`: which CPU model runs a sequence, and one boot of it;
//! - `host`, `plan`, `witness`, `compare`: what the host did, where to probe, what
//!   the machine makes of it, and what differs;
//! - `deviations`: where an emulator is known to differ from the architecture;
//! - `input`, `runner`, `report`, `json`, `output`: files in, judgements, text or
//!   JSON out.
//!
//! Left out: several CPUs, fuzzing on the machine, gdb, and tables of a hypervisor in
//! AArch32, which run on the host only.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where nothing can be written: see `output`"
)]

pub mod build;
pub mod children;
pub mod compare;
pub mod cpu;
pub mod deviations;
pub mod error;
pub mod host;
pub mod image;
pub mod input;
pub mod json;
pub mod machine;
pub mod mailbox;
pub mod output;
pub mod plan;
pub mod qemu;
pub mod ram;
pub mod report;
pub mod runner;
mod sources;
pub mod witness;
pub mod workspace;
