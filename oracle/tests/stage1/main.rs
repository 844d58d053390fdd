//! EL2's stage 1, rule by rule, and walker against ranges.

mod addresses;
mod attributes;
mod configuration;
mod permissions;
mod random;
mod ranges;
mod support;
