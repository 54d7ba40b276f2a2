//! Kafka's wire protocol and record batches: bytes to values and back. No sockets, no clock.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | length-delimited frames with caps, whole responses and requests as frames |
//! | [`api`] | API keys, names and header versions, the headers in front of bodies |
//! | [`guard`] | the only door to the decoders: lengths and counts are checked first |
//! | [`error`] | Kafka's error codes as a type |
//! | [`records`] | v2 batches as views, building and compressing them, old message sets |
//!
//! Message types come from the `kafka-protocol` crate, which [`messages`] re-exports.
//!
//! Bytes from a peer or a file never panic here and never make the process allocate more than the
//! bytes at hand justify; each reader has a typed error that says what was wrong and where.

pub mod api;
pub mod error;
pub mod frame;
pub mod guard;
mod reader;
pub mod records;

pub use error::ErrorCode;
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::StrBytes;
pub use reader::ReadError;
