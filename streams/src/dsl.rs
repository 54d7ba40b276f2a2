//! The typed way to build a topology: each call adds a node.

pub(crate) mod aggregator;
mod builder;
mod cogroup;
mod global_table;
mod grouped;
mod grouped_table;
mod source;
mod spans;
mod stream;
mod table;
mod view;
mod windowed;

pub use builder::StreamsBuilder;
pub use cogroup::{CogroupedStream, Contribution};
pub use global_table::GlobalTable;
pub use grouped::GroupedStream;
pub use grouped_table::GroupedTable;
pub(crate) use source::Carried;
pub use source::Consumed;
pub use spans::{SessionWindowedStream, SlidingWindowedStream};
pub use stream::{Branches, JoinedStream, Produced, Repartitioned, Stream};
pub use table::{Suppress, Table, VersionedTable};
pub use windowed::{TimeWindowedStream, WindowedStream, WindowedTable, Windowing};
