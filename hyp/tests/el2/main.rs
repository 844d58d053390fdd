//! EL2's own stage 1: what its operations leave in tables and registers, what they
//! execute, and what errors leave behind.

mod bench;
mod leaves;
mod map;
mod random;
mod registers;
#[path = "../support/mod.rs"]
mod support;
mod unmap;
