//! The Tidemark broker: a partitioned, append-only segment log that speaks Kafka's protocol.

pub mod catalog;
pub mod config;
pub mod coordinator;
pub mod environment;
pub mod types;
