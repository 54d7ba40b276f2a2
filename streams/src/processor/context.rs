//! What a processor works with.

use super::Failure;
use tidemark_client::TopicPartition;

use super::stores::{Place, StoreHandle, StoreKind};
use crate::record::Record;
use crate::record::chunk::Chunk;
use crate::state::Stores;

/// Where the record is from that a processor works on, or of which it was made (Kafka: `RecordMetadata`):
/// a record of the topic that the task reads, which may be a repartition topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its topic and partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
}

/// What a processor works with (Kafka: `ProcessorContext`): stores, time, and where records go on to.
pub struct ProcessorContext<'a, L, W> {
    pub(crate) output: &'a mut Chunk<L, W>,
    pub(crate) stores: &'a mut Stores,
    pub(crate) places: &'a [Place],
    pub(crate) watermark: i64,
    pub(crate) wall: i64,
    pub(crate) source: Option<&'a SourceRecord>,
}

impl<L, W> ProcessorContext<'_, L, W> {
    /// Gives a record on, with whatever timestamp it has.
    pub fn forward(&mut self, mut record: Record<L, W>) {
        record.watermark = self.watermark;
        self.output.rows.push(record);
    }

    /// A store that the processor has been given.
    ///
    /// # Errors
    ///
    /// If it has not been given it: see [`super::Processing::store`].
    pub fn store<S: StoreKind>(&mut self, store: &StoreHandle<S>) -> Result<S::View<'_>, Failure> {
        store.view(self.stores, self.places)
    }

    /// The watermark in front of the record, in milliseconds since 1970 (UTC): records with timestamps
    /// up to it are not expected any more. `i64::MIN` before the first.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The record of a topic that it is about, if [`super::Processing::with_source`] was asked for it.
    /// `None` if it is time that has moved on. (The record's timestamp and headers are in
    /// [`Record`].)
    #[must_use]
    pub fn source(&self) -> Option<&SourceRecord> {
        self.source
    }

    /// The clock as the task was last told, in milliseconds since 1970 (UTC); 0 before that.
    #[must_use]
    pub fn wall_clock(&self) -> i64 {
        self.wall
    }
}
