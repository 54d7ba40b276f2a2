//! Tests of the group machine as a whole: stories told as transcripts, and random lives.

mod admin;
mod clients;
mod handshake;
mod invariants;
mod lives;
mod offsets;
mod partitions;
mod rebalance;
mod static_members;
mod story;
