//! What runs a topology: tasks without I/O, and the shell around them.

mod application;
mod assignment;
mod commit;
mod config;
mod finish;
mod globals;
pub(crate) mod graph;
mod live;
pub(crate) mod metrics;
pub(crate) mod outbox;
mod position;
mod restore;
mod setup;
pub(crate) mod shared;
mod snapshot;
pub(crate) mod task;
mod worker;

pub use application::Streams;
pub use assignment::TaskId;
pub use config::{OnProduceError, StreamsConfig};
pub use shared::Progress;
