//! Aggregates that are made of others.

mod mapped;
mod tuples;

pub use mapped::{MapValue, OfEvent};
