//! Queries whose result is a table, and joins.

pub(crate) mod q17;
pub(crate) mod q18;
pub(crate) mod q19;
pub(crate) mod q20;
pub(crate) mod q3;
pub(crate) mod q4;
pub(crate) mod q9;
pub(crate) mod winning;
