//! Sockets and streams in memory: listening, connections, order and limits. Knows bytes and their
//! order, not Kafka.
//!
//! A connection reads frames, hands each to [`crate::api::begin`], and writes the answers in the
//! order in which the requests came (rule 62). Requests are begun one after the other and answered
//! while later ones are already under way.

mod activity;
mod connection;
mod in_process;
mod limits;
mod listener;

pub use in_process::{Connector, Incoming, connector};
pub use limits::Limits;
pub use listener::{BindError, Sources, bind, serve};
