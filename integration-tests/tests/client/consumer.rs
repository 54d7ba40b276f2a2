//! The consumer by itself on good days: what it reads, from where, and how far ahead.

mod isolation;
mod positions;
mod prefetch;
mod reading;
