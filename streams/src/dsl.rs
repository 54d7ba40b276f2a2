//! The typed way to build a topology: each call adds a node.

mod builder;
mod grouped;
mod source;
mod stream;
mod table;
mod windowed;

pub use builder::StreamsBuilder;
pub use grouped::GroupedStream;
pub use source::Consumed;
pub use stream::{Branches, Produced, Stream};
pub use table::Table;
pub use windowed::{TimeWindowedStream, WindowedTable};
