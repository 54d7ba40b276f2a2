//! Kafka's wire protocol and record batches: bytes to values and back. No sockets, no clock.
//!
//! | module | what it holds |
//! |---|---|
//! | [`records`] | v2 batches as views over bytes, building and compressing them, old message sets |
//!
//! Bytes from a peer or a file never panic here and never make the process allocate more than the
//! bytes at hand justify; each reader has a typed error that says what was wrong and where.

mod reader;
pub mod records;

pub use reader::ReadError;
