//! The speed layer: what is newer than the snapshots, one partition at a time.

pub(crate) mod cut_rule;
pub(crate) mod segments;
mod tally;

pub use tally::Tally;
