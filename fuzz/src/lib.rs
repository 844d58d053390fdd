//! Sequences, and everything that makes, runs and compares them on the host.
//!
//! The fuzz targets are a few lines each and call into here; no line of this
//! library names libFuzzer, so that a command line or another fuzzer uses the
//! same code.

pub mod dump;
pub mod generate;
pub mod host;
pub mod hostile;
pub mod lockstep;
pub mod mutate;
pub mod oracle_walk;
pub mod scope;
pub mod sequence;
pub mod shrink;
pub mod sweep;
pub mod target;
pub mod text;
pub mod translate;
pub mod wire;

pub use sequence::{Expectation, Sequence, Step};
