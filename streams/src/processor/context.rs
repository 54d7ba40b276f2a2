//! What a processor works with.

use super::Failure;
use super::stores::{Place, StoreHandle, StoreKind};
use crate::chunk::Chunk;
use crate::record::Record;
use crate::state::Stores;

/// What a processor works with (Kafka: `ProcessorContext`): stores, time, and where records go on to.
pub struct ProcessorContext<'a, L, W> {
    pub(crate) output: &'a mut Chunk<L, W>,
    pub(crate) stores: &'a mut Stores,
    pub(crate) places: &'a [Place],
    pub(crate) watermark: i64,
    pub(crate) wall: i64,
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

    /// The clock as the task was last told, in milliseconds since 1970 (UTC); 0 before that.
    #[must_use]
    pub fn wall_clock(&self) -> i64 {
        self.wall
    }
}
