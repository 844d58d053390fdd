//! The model against the contract: one story per clause, and a naive second
//! model over many random operations.

mod apply;
mod entries;
mod legal;
mod map;
mod naive;
mod own;
mod random;
mod registers;
mod shape;
mod support;
mod unmap;
