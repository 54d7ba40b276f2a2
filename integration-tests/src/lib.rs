//! What the tests in `tests/` share.

pub mod harness;
