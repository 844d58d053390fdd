//! Verdicts as people and programs read them, from hand-made traces.

#[cfg(feature = "json")]
mod json;
mod support;
mod text;
#[path = "../trace/mod.rs"]
mod trace;
