//! What runs a topology: tasks without I/O, and the shell around them.

pub(crate) mod graph;
pub(crate) mod outbox;
pub(crate) mod task;
