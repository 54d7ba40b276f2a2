//! What the tests in `tests/` share.

pub mod allocations;
pub mod applications;
pub mod harness;
pub mod places;
pub mod rounds;
