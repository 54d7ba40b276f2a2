//! Drives a topology without a cluster: the real tasks, with a clock set by hand.

mod driver;
mod log;

pub use driver::{DriverConfig, TestDriver};
