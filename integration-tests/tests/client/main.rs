//! The native client against brokers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod assignors;
mod consumer;
mod examples;
mod exchange;
mod foreign;
mod groups;
