//! A native async Kafka client for Rust.
//!
//! So far there is the lowest layer: [`Connection`], one ordered connection to one broker on which
//! typed requests are called or pipelined. Producer, consumer and admin are built on it next.

mod connection;

pub use connection::{CallError, Connection};
