//! Reading what stores hold, from outside of the topology (Kafka: interactive queries).
//!
//! [`crate::Streams::store`] finds a store of the tasks that run in this instance by its name, and
//! [`StoreReader::key_value`], [`StoreReader::windows`] and [`StoreReader::sessions`] give it its types
//! back. What is read is the state as it is now, committed or not. A key is read at one moment. A range
//! of keys is first looked for and then read in many short steps, between which tasks go on: what is
//! there all the time is found, and each value is one that its key had meanwhile, but rows may be of
//! different moments.
//!
//! ```
//! use tidemark_streams::StreamsBuilder;
//! use tidemark_streams::testing::TestDriver;
//!
//! let builder = StreamsBuilder::new();
//! let clicks = builder.stream::<String, String>("clicks").group_by_key();
//! let _ = clicks.count().materialized("clicks_by_user");
//! let mut driver = TestDriver::new(&builder.build()?);
//! driver.pipe("clicks", "ada".to_owned(), "/".to_owned(), 5)?;
//! driver.pipe("clicks", "bob".to_owned(), "/".to_owned(), 6)?;
//! driver.pipe("clicks", "ada".to_owned(), "/".to_owned(), 7)?;
//! let counts = driver.store("clicks_by_user")?.key_value::<String, i64>()?;
//! assert_eq!(counts.get(&"ada".to_owned())?, Some(2));
//! assert_eq!(counts.all()?, [("ada".to_owned(), 2), ("bob".to_owned(), 1)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod error;
pub(crate) mod http;
mod readers;
mod reads;

pub use access::{Kind, StoreInfo, StoreReader};
pub use error::QueryError;
pub use readers::{KeyValueReader, SessionReader, WindowReader};

pub(crate) use access::{Access, Next, Page};
pub(crate) use reads::{AnyReads, Keys, Place, Query, Reads, Row, Slices};
