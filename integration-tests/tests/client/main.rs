//! The native client against brokers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod bad_input;
mod consumer;
mod cuts;
mod examples;
mod groups;
mod reconnects;
mod security;
