//! The small files of a data directory, and the names of all of them.

pub(super) mod checkpoint;
pub(super) mod meta_properties;
pub(super) mod names;
pub(super) mod partition_metadata;
