//! The native client against brokers: Tidemark and Apache Kafka, on good days and on bad ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod consumer;
mod faults;
mod producer;
mod support;
