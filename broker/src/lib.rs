//! The Tidemark broker: a partitioned, append-only segment log that speaks Kafka's protocol.

pub mod api;
pub mod catalog;
pub mod config;
pub mod coordinator;
pub mod environment;
pub mod partition;
pub mod types;
