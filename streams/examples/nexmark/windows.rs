//! Queries about spans of time.

pub(crate) mod q11;
pub(crate) mod q12;
pub(crate) mod q5;
pub(crate) mod q7;
pub(crate) mod q8;
