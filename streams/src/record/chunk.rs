//! Records that go from operator to operator together.

use std::any::Any;

use crate::record::Record;

/// Some records in order, and the watermark behind them. Every record carries the watermark in front
/// of it, so that what an operator does never depends on where one chunk ends and the next begins.
#[derive(Clone, Debug)]
pub(crate) struct Chunk<K, V> {
    pub(crate) rows: Vec<Record<K, V>>,
    /// The task's watermark behind the last record.
    pub(crate) watermark: i64,
}

impl<K, V> Default for Chunk<K, V> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            watermark: i64::MIN,
        }
    }
}

/// A chunk of whatever types: what the graph moves about.
pub(crate) trait AnyChunk: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn len(&self) -> usize;
    fn watermark(&self) -> i64;
    /// The watermark in front of the last record.
    fn last_watermark(&self) -> Option<i64>;
    fn set_watermark(&mut self, watermark: i64);
    /// Puts the watermark back by so many milliseconds, in front of every record, too.
    fn hold_back(&mut self, by: i64);
    /// Leaves no rows; the watermark and the room stay.
    fn clear(&mut self);
    fn boxed_clone(&self) -> Box<dyn AnyChunk>;
}

impl<K, V> AnyChunk for Chunk<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn watermark(&self) -> i64 {
        self.watermark
    }

    fn last_watermark(&self) -> Option<i64> {
        self.rows.last().map(|row| row.watermark)
    }

    fn set_watermark(&mut self, watermark: i64) {
        self.watermark = watermark;
    }

    fn hold_back(&mut self, by: i64) {
        if by == 0 {
            return;
        }
        self.watermark = self.watermark.saturating_sub(by);
        for row in &mut self.rows {
            row.watermark = row.watermark.saturating_sub(by);
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
    }

    fn boxed_clone(&self) -> Box<dyn AnyChunk> {
        Box::new(self.clone())
    }
}

/// The chunk with its types. The DSL connects only what fits.
pub(crate) fn typed<K, V>(chunk: &mut dyn AnyChunk) -> &mut Chunk<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    chunk
        .as_any()
        .downcast_mut()
        .expect("the DSL connects only operators whose types fit")
}
