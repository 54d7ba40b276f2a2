//! Windows against models that look at the whole input: random order, lateness, partitions; the same
//! bytes whatever the chunks and the restarts.
#![allow(clippy::unwrap_used, reason = "tests")]

mod arithmetic;
mod calendar;
mod extremes;
mod fixed;
mod harness;
mod old_values;
mod sessions;
mod several_inputs;
mod sliding;

#[path = "../seed/mod.rs"]
mod seed;
