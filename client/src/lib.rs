//! A native async Kafka client for Rust: no C library, on tokio. It speaks to Tidemark and
//! Apache Kafka, against which it is tested, and to whatever else speaks Kafka's protocol.
//!
//! A [`Client`] holds the connections and the picture of one cluster. What is made from it shares
//! both:
//!
//! - [`producer`]: [`Client::producer`] gives a [`Producer`](producer::Producer), which batches,
//!   retries and is idempotent by default.
//! - [`consumer`]: [`Client::consumer`] gives a [`Consumer`](consumer::Consumer), which reads
//!   partitions by itself or as a member of a group, record by record or in whole batches.
//! - [`admin`]: [`Client::admin`] gives an [`Admin`], for topics, configs, groups and offsets.
//!
//! [`ClientConfig`] has addresses, TLS and SASL, time limits, and the [`Transport`]: a broker in
//! the same process can be reached without a socket. [`ClientError`] is what calls to the cluster
//! fail with; records have [`ProduceError`](producer::ProduceError) and
//! [`ConsumerError`](consumer::ConsumerError).
//!
//! # Write
//!
//! ```no_run
//! use tidemark_client::Client;
//! use tidemark_client::producer::{ProducerConfig, ProducerRecord};
//!
//! async fn produce(bootstrap: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let producer = Client::connect(bootstrap)?.producer(ProducerConfig::new())?;
//!     let mut deliveries = Vec::new();
//!     for user in ["user1", "user2", "user1"] {
//!         let record = ProducerRecord::to("logins").key(user).value("login");
//!         deliveries.push(producer.send(&record).await?);
//!     }
//!     for delivery in deliveries {
//!         println!("written at offset {}", delivery.await?.offset);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Read
//!
//! ```no_run
//! use tidemark_client::Client;
//! use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
//!
//! async fn consume(bootstrap: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let config = ConsumerConfig::group("readme").offset_reset(OffsetReset::Earliest);
//!     let mut consumer = Client::connect(bootstrap)?.consumer(config)?;
//!     consumer.subscribe(["logins"])?;
//!     for _ in 0..3 {
//!         let record = consumer.recv().await?;
//!         println!("{:?} at offset {}", record.key, record.offset);
//!     }
//!     consumer.close().await?;
//!     Ok(())
//! }
//! ```
//!
//! # Where to go next
//!
//! `docs/client.md` of the repository is the guide: an example for each task, what is promised,
//! what to do about errors, what is not there yet (transactions, the group protocol of KIP-848),
//! and a table for those who come from rdkafka. `docs/decisions/0004-the-clients-own-rules.md` says
//! where the client does otherwise than Kafka's own, and why.
#![warn(clippy::missing_errors_doc)]

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
pub use connection::{BoxStream, CallError, ConnectError, Stream, Tcp, TlsConfig, Transport};
pub use error::ClientError;
pub use tidemark_protocol::ErrorCode;
pub use topic_partition::TopicPartition;
pub use uuid::Uuid;
