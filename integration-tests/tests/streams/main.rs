//! Applications of the streams library against brokers: that state is exact whatever ends them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod crash;
mod examples;
mod globals;
mod http;
mod running;
mod start_checks;
mod support;
mod zombies;
