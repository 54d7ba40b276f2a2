//! A native async Kafka client for Rust.
//!
//! So far there is the lowest layer: [`Connection`], one ordered connection to one broker on which
//! typed requests are called or pipelined. Producer, consumer and admin are built on it next.

pub mod admin;
mod client;
mod clock;
mod cluster;
mod config;
mod connection;
pub mod consumer;
mod error;
pub mod producer;
mod retry;
mod topic_partition;

pub use admin::Admin;
pub use client::Client;
pub use clock::{Clock, ManualClock, Now};
pub use cluster::metadata::{Broker, Metadata, PartitionMetadata, TopicMetadata};
pub use config::{ClientConfig, SaslConfig, SaslMechanism};
pub use connection::{
    BoxStream, CallError, ConnectError, Connection, RawError, Stream, Tcp, TlsConfig, Transport,
};
pub use error::ClientError;
pub use tidemark_protocol::ErrorCode;
pub use topic_partition::TopicPartition;
pub use uuid::Uuid;
