//! The Tidemark broker: a partitioned, append-only segment log that speaks Kafka's protocol.
//!
//! [`Broker::start`] runs one in this process; the `tidemark` binary, the tests and embedders all
//! call it. ARCHITECTURE.md at the root of the repository is the map.

pub mod admin;
pub mod api;
mod broker;
pub mod catalog;
pub mod config;
pub mod coordinator;
pub mod environment;
mod janitor;
mod machine_log;
pub mod metrics;
pub mod net;
pub mod partition;
mod reconcile;
pub mod storage;
pub mod types;
pub mod vitals;

pub use broker::{Broker, Handle, StartError};
