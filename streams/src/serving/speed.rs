//! The speed layer: what is newer than the snapshots, one partition at a time.

pub(crate) mod cut_rule;
mod operator;
pub(crate) mod segments;
mod store;
mod tally;
mod topology;

pub use tally::Tally;
pub(crate) use tally::{GOLDEN, mix};
pub(crate) use topology::topology;
