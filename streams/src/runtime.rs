//! What runs a topology: tasks without I/O, and the shell around them.

mod application;
mod assignment;
mod commit;
mod config;
mod finish;
mod globals;
mod live;
pub(crate) mod metrics;
mod restore;
mod setup;
pub(crate) mod shared;
pub(crate) mod spent;
pub(crate) mod task;
mod worker;

pub use application::Streams;
pub use assignment::TaskId;
pub use config::{BeginAt, OnProduceError, StreamsConfig};
pub(crate) use restore::read_range;
pub use shared::Progress;
