//! The walker of each regime, in the common words.

mod support;
mod walker;
