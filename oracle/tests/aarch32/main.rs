//! An EL2 in AArch32: the walkers of both its stages and their ranges, rule by rule.

mod builder;
mod configuration;
mod edges;
mod hyp;
mod leaves;
mod model;
mod noise;
mod report;
mod support;
