//! A native async Kafka client for Rust.
//!
//! So far there is the lowest layer: [`Connection`], one ordered connection to one broker on which
//! typed requests are called or pipelined. Producer, consumer and admin are built on it next.

mod clock;
mod connection;
mod retry;
mod topic_partition;

pub use clock::{Clock, ManualClock, Now};
pub use connection::{CallError, Connection};
pub use topic_partition::TopicPartition;
