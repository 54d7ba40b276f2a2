//! Operators against models that are plain loops over the whole input: random order, lateness, several
//! partitions, chunks of other sizes, commits and restarts.
#![allow(clippy::unwrap_used, reason = "tests")]

mod aggregates;
mod calendar;
mod global_tables;
mod harness;
mod in_order;
mod processors;
mod stream_joins;
mod suppression;
mod versions;
mod windows_behind;

#[path = "../recent/mod.rs"]
mod recent;
#[path = "../seed/mod.rs"]
mod seed;
