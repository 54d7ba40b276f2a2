//! What is wrong is told: where, and what would be right.

mod addresses;
mod answers;
mod corrupt;
mod topics;
