//! An in-memory disk.
