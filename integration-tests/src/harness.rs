//! Starts brokers for tests, as a process or in this one, and talks to them.
//!
//! | file | what it holds |
//! |---|---|
//! | `process.rs` | the built binary as a child process: start, banner, signals, exit |
//! | `embedded.rs` | a broker inside the test's process |
//! | `proxy.rs` | what goes wrong between clients and a broker: cuts, silence, garbage, scripted answers |
//! | `kafka.rs` | a real Apache Kafka with listeners of every security protocol |
//! | `tls.rs` | certificates |
//! | `cluster.rs` | the same test on Tidemark and on Apache Kafka |
//! | `wait.rs` | the one loop that polls until something has happened |
//! | `ports.rs` | ports that stay the same over a restart |
//! | `http.rs` | HTTP GET and values of metrics |
//! | `calls.rs` | the few Kafka requests that tests send by hand |
//! | `rebalance.rs` | what librdkafka does when partitions are given and taken |
//! | `files.rs` | what lies in a data directory, and what tests put there |
//!
//! Helpers panic with what went wrong: in a test that is the report.

pub mod calls;
pub mod cluster;
pub mod embedded;
pub mod files;
pub mod http;
pub mod kafka;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod rebalance;
pub mod tls;
pub mod wait;
