//! Sockets: listening, connections, order and limits. Knows bytes and their order, not Kafka.
//!
//! A connection reads frames, hands each to [`crate::api::begin`], and writes the answers in the
//! order in which the requests came (rule 62). Requests are begun one after the other and answered
//! while later ones are already under way.

mod activity;
mod connection;
mod limits;
mod listener;

pub use limits::Limits;
pub use listener::{BindError, bind, serve};
