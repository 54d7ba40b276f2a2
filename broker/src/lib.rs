//! The Tidemark broker: a partitioned, append-only segment log that speaks Kafka's protocol.

pub mod coordinator;
pub mod environment;
pub mod storage;
pub mod types;
