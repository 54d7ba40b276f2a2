//! Event-time stream processing in a library that needs nothing but a Kafka-compatible broker.
//!
//! ```no_run
//! use tidemark_streams::{Streams, StreamsBuilder, StreamsConfig, StreamsError};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), StreamsError> {
//!     let builder = StreamsBuilder::new();
//!     builder
//!         .stream::<(), String>("text")
//!         .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
//!         .group_by(|_, word| word.clone())
//!         .count()
//!         .to_stream()
//!         .to("counts");
//!     let config = StreamsConfig::new("word-counter", "localhost:9092").http("127.0.0.1:9700");
//!     let streams = Streams::start(&builder.build()?, config).await?;
//!     streams.run_until(tokio::signal::ctrl_c()).await
//! }
//! ```
#![warn(clippy::missing_errors_doc)]

mod data;
mod dsl;
mod error;
mod operator;
pub mod processor;
pub mod query;
mod record;
mod runtime;
pub mod serving;
mod state;
pub mod testing;
pub mod time;
mod topology;

pub use data::{Data, DataError, Json, Payload};
#[doc(hidden)]
pub use data::{decode_json, encode_json, json_from_text, json_to_value};
pub use dsl::aggregator::{Aggregator, Count, Fold, Merging, NoMerge, Reduce, Update};
pub use dsl::{
    Branches, CogroupedStream, Consumed, Contribution, GlobalTable, GroupedStream, GroupedTable,
    JoinedStream, Produced, Repartitioned, SessionWindowedStream, SlidingWindowedStream, Stream,
    StreamsBuilder, Suppress, Table, TimeWindowedStream, VersionedTable, WindowedStream,
    WindowedTable, Windowing,
};
pub use error::StreamsError;
pub use operator::Counts;
pub use operator::source::OnBadRecord;
pub use operator::suppress::WhenFull;
pub use operator::window_aggregate::Emit;
pub use record::late::{Late, LateReason, LateWindow};
pub use record::{Change, Headers, Record};
pub use runtime::{BeginAt, OnProduceError, Progress, Streams, StreamsConfig, TaskId};
#[doc(hidden)]
pub use serde_json::Value as JsonValue;
pub use topology::{NodeKind, Subtopology, Topic, Topology};

/// The programs of the guide, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/streams-guide.md")]
struct Guide;

/// Those of the guide to views.
#[cfg(doctest)]
#[doc = include_str!("../../docs/serving-guide.md")]
struct ServingGuide;
