//! Topologies driven by the test driver.
#![allow(clippy::unwrap_used, reason = "tests")]

mod aggregates;
mod bounds;
mod descriptions;
mod joins;
mod lookups;
mod processor_stores;
mod processors;
mod queries;
mod repartition;
mod sources;
mod stateless;
mod table_properties;
mod tables;
mod windows;

#[path = "../recent/mod.rs"]
mod recent;
#[path = "../seed/mod.rs"]
mod seed;
