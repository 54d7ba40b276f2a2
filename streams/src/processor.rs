//! Operators of the application's own: the Processor API.
//!
//! ```
//! use tidemark_streams::processor::{Failure, KeyValue, Processing, Processor, ProcessorContext};
//! use tidemark_streams::processor::StoreHandle;
//! use tidemark_streams::testing::TestDriver;
//! use tidemark_streams::{Record, StreamsBuilder};
//!
//! /// Gives on only what differs from the key's last value.
//! struct Changes {
//!     last: StoreHandle<KeyValue<String, i64>>,
//! }
//!
//! impl Processor<String, i64, String, i64> for Changes {
//!     fn process(
//!         &mut self,
//!         record: Record<String, i64>,
//!         cx: &mut ProcessorContext<'_, String, i64>,
//!     ) -> Result<(), Failure> {
//!         let mut last = cx.store(&self.last)?;
//!         if last.get(&record.key)? != Some(record.value) {
//!             last.put(&record.key, record.value, record.timestamp)?;
//!             cx.forward(record);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let builder = StreamsBuilder::new();
//! let last = builder.add_store(KeyValue::new("last"));
//! let processing = Processing::new().store(&last);
//! builder
//!     .stream::<String, i64>("in")
//!     .process_with(processing, move || Changes { last: last.clone() })
//!     .to("out");
//! let mut driver = TestDriver::new(&builder.build()?);
//! for value in [1_i64, 1, 2] {
//!     driver.pipe("in", "k".to_owned(), value, 0)?;
//! }
//! assert_eq!(driver.read::<String, i64>("out")?.len(), 2);
//! # Ok::<(), tidemark_streams::StreamsError>(())
//! ```

mod context;
mod options;
mod stores;

pub use context::{ProcessorContext, SourceRecord};
pub use options::{OnError, Processing, Punctuation, Tick};
pub(crate) use options::{Policy, Schedule};
pub(crate) use stores::Place;
pub use stores::{
    KeyValue, KeyValueView, SessionValue, SessionValueView, StoreHandle, StoreKind, WindowValue,
    WindowValueView,
};

use crate::record::Record;

/// Why a processor could not do its work. Any error will do, and so will text.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An operator of the application's own (Kafka: `Processor`). It takes records of K and V and gives
/// on records of L and W. One is made for every task, and again after a restart: what it has to
/// remember goes to stores.
pub trait Processor<K, V, L, W>: Send {
    /// Takes a record.
    ///
    /// # Errors
    ///
    /// What is done then is said by [`Processing::on_error`]. What has been given on and stored
    /// before stays.
    fn process(
        &mut self,
        record: Record<K, V>,
        cx: &mut ProcessorContext<'_, L, W>,
    ) -> Result<(), Failure>;

    /// Time has passed a point of a schedule (KIP-138); [`Processing::schedule`] makes one.
    ///
    /// # Errors
    ///
    /// As for [`Self::process`]; there is no record that could go to a topic then.
    fn punctuate(
        &mut self,
        tick: Tick,
        cx: &mut ProcessorContext<'_, L, W>,
    ) -> Result<(), Failure> {
        let _ = (tick, cx);
        Ok(())
    }
}
