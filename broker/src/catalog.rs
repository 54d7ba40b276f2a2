//! The catalog: which topics, partitions, configs, producer id blocks and features exist.
//!
//! It is a replayed machine ([`machine::CatalogMachine`]) over its own log, `__cluster_metadata-0`.
//! The log's values are Kafka's KRaft metadata records ([`records`]), so that Kafka's own tools can
//! read the log. What the log adds up to is an immutable [`image::CatalogImage`]; readers keep an
//! `Arc` of it and never wait. [`changes::changes`] says what lies between two images, for those
//! who must act on it: directories to create or delete, configs to hand on.

pub mod changes;
pub mod command;
pub mod image;
pub mod machine;
pub mod records;
pub mod topic_name;
