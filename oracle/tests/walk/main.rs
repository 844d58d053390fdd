//! The walker and the ranges, rule by rule.

mod addresses;
mod attributes;
mod configuration;
mod open;
mod permissions;
mod priority;
mod random;
mod ranges;
mod support;
