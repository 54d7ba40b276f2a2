//! A processor with a window store.

use tidemark_streams::processor::{Failure, Processor, ProcessorContext, StoreHandle, WindowValue};
use tidemark_streams::{Data, Record};

/// How many records of a key there have been with times up to 9 ms before a record's.
pub(crate) struct Recent<K> {
    pub(crate) counts: StoreHandle<WindowValue<K, i64>>,
}

impl<K: Data> Processor<K, i64, K, i64> for Recent<K> {
    fn process(
        &mut self,
        record: Record<K, i64>,
        cx: &mut ProcessorContext<'_, K, i64>,
    ) -> Result<(), Failure> {
        let mut counts = cx.store(&self.counts)?;
        let here = counts.get(&record.key, record.timestamp)?.unwrap_or(0);
        counts.put(&record.key, record.timestamp, here + 1)?;
        let last = counts.between(&record.key, record.timestamp - 9, record.timestamp)?;
        let sum = last.into_iter().map(|(_, count)| count).sum();
        cx.forward(Record::new(record.key, sum, record.timestamp));
        Ok(())
    }
}
