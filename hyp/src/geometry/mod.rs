//! From granule, sizes and features to the shape of the tables: start level,
//! concatenated root, block levels, address format, and the register fields that
//! say so. Everything is computed; nothing is looked up per configuration.
//!
//! `Shape` is what tables of any regime have, and all that the walker knows;
//! `Geometry` is a guest's Stage-2, and `el2::Geometry` EL2's own stage 1. Left out:
//! D128, stage 2 permission indirection, and IPA sizes that only a guest with an
//! AArch32 EL1 may have.

mod features;
mod granule;
pub(crate) mod registers;
mod shape;
pub(crate) mod sizes;
mod stage2;
mod state;

pub use features::Features;
pub use granule::{Granule, Level};
pub use registers::RootError;
pub use shape::{AddressFormat, Shape};
pub(crate) use stage2::start_of;
pub use stage2::{Configuration, DEFAULT_IPA_BITS, Geometry, GeometryError, default_ipa_bits};
pub use state::ExecutionState;

#[cfg(test)]
mod tests;
