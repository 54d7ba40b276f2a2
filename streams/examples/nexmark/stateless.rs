//! Queries that look at one bid at a time.

pub(crate) mod q0;
pub(crate) mod q1;
pub(crate) mod q14;
pub(crate) mod q2;
