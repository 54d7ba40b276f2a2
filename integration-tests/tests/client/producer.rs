//! The producer on good days: outcomes, partitions, batches, codecs, limits.

mod batches;
mod buffer;
mod partitions;
mod records;
mod topics;
