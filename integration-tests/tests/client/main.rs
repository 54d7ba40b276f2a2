//! The native client against brokers: Tidemark and Apache Kafka, on good days and on bad ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod assignors;
mod bad_input;
mod consumer;
mod coordinators;
mod examples;
mod exchange;
mod faults;
mod foreign;
mod groups;
mod in_process;
mod producer;
mod reconnects;
mod security;
mod support;
