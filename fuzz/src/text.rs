//! A sequence as text: the form of regressions and reports (`.s2`).
//!
//! ```text
//! # Comments go to the end of the line.
//! machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M
//! vm a
//! map a ipa=0x8000000000 pa=0x50000000 size=4K prot=rw- mem=normal   -> ok
//! access a ipa=0x8000000000 write                                     -> ok pa=0x50000000
//! leaf a ipa=0x8000000000                                             -> entry level=3 leaf pa=0x50000000 prot=rw- mem=normal sw=0 young clean
//! free a                                                              -> ok pages=0
//! ```
//!
//! One line, one operation; the machine comes first. Every key of the machine
//! line may be left out (`Machine::PLAIN` has the rest), keys come in any order
//! and once each. Addresses and counts are decimal or hexadecimal, sizes may end
//! in K, M, G or T. Permissions are three letters or `-`: `r`, `w`, and `x` for
//! execution at EL1 and EL0, `p` at EL1 alone, `u` at EL0 alone. What is printed is canonical: parsing it gives the same
//! sequence, and printing that gives the same text. Comments are not kept.

mod error;
mod expectation;
mod fault;
mod fields;
mod machine;
mod number;
mod operation;
mod parse;
mod print;
mod words;

pub use error::{ErrorKind, ParseError};
pub use fault::{MachineFault, Misplaced};
pub use parse::parse;

/// Prints a machine, an operation or an answer in the words of this format:
/// `Text(&operation).to_string()`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a, T>(pub &'a T);
