//! What the tests in `tests/` share.

pub mod allocations;
pub mod harness;
