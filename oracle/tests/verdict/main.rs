//! Verdicts as people read them, from hand-made traces.

mod support;
mod text;
#[path = "../trace/mod.rs"]
mod trace;
