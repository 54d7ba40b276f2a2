//! Topologies driven by the test driver.

mod aggregates;
mod tables;
mod windows;
