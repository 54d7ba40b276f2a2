//! Event-time stream processing in a library that needs nothing but a Kafka-compatible broker.
//!
//! Nothing is here yet: the crate holds the place of the streams library, which is built on the
//! client when that is done.
