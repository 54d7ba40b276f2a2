//! A partition as the log of a replayed machine.

use std::sync::Arc;

use tidemark_protocol::records::{BatchBuilder, BatchHeader, BatchView, Records};

use crate::coordinator::KeyValue;
use crate::coordinator::runtime::{
    BoxFuture, Failure, LoadError, LogHandle, Timekeeper, Unavailable,
};
use crate::environment::Clock;
use crate::partition::{Acks, MAX_UNCOMPRESSED_BYTES, Partition, PartitionError, ValidBatch};
use crate::types::{Monotonic, Now, Offset};

/// The log of one machine.
pub(crate) struct MachineLog(pub Arc<Partition>);

impl From<PartitionError> for LoadError {
    fn from(error: PartitionError) -> Self {
        Self::Log(unavailable(&error))
    }
}

impl LogHandle for MachineLog {
    fn append(&self, records: &[KeyValue], now: Now) -> Result<Offset, Failure> {
        let max = self.max_batch_bytes();
        let batch = encode(records, now, max)?;
        let appended = self.0.append(&batch, Acks::All, now);
        let appended = appended.map_err(|error| unavailable(&error))?;
        Ok(appended.base_offset)
    }

    /// What a producer could write at most, as in Kafka.
    fn max_batch_bytes(&self) -> usize {
        self.0.batch_rules().max_message_bytes
    }

    fn end(&self) -> Offset {
        self.0.bounds().map_or(Offset::ZERO, |bounds| bounds.end)
    }

    fn durable(&self, end: Offset) -> BoxFuture<Result<(), Unavailable>> {
        let partition = Arc::clone(&self.0);
        Box::pin(async move {
            partition
                .wait_durable(end)
                .await
                .map_err(|error| unavailable(&error))
        })
    }

    fn replay(
        &self,
        visit: &mut dyn FnMut(Offset, KeyValue) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        self.0.for_each_batch::<LoadError>(&mut |bytes| {
            let batch = BatchView::parse(&bytes).map_err(|error| unavailable(&error))?;
            if batch.is_control() {
                return Ok(());
            }
            let section = batch
                .uncompressed_records(MAX_UNCOMPRESSED_BYTES)
                .map_err(|error| unavailable(&error))?;
            for record in Records::new(&section, batch.records_count) {
                let record = record.map_err(|error| unavailable(&error))?;
                let owned = |bytes: Option<&[u8]>| bytes.map(bytes::Bytes::copy_from_slice);
                let offset = Offset(batch.base_offset + i64::from(record.offset_delta));
                visit(
                    offset,
                    KeyValue {
                        key: owned(record.key),
                        value: owned(record.value),
                    },
                )?;
            }
            Ok(())
        })
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> Unavailable {
    Unavailable(error.to_string())
}

/// The records as one batch of at most `max` bytes.
fn encode(records: &[KeyValue], now: Now, max: usize) -> Result<ValidBatch, Failure> {
    let mut builder = BatchBuilder::new();
    for record in records {
        builder
            .append(
                now.wall.0,
                record.key.as_deref(),
                record.value.as_deref(),
                &[],
            )
            .map_err(|error| unavailable(&error))?;
        if builder.size_estimate() > max {
            return Err(Failure::TooLarge { max });
        }
    }
    let bytes = builder.build().map_err(|error| unavailable(&error))?;
    let header = BatchHeader::parse(&bytes).map_err(|error| unavailable(&error))?;
    Ok(ValidBatch { header, bytes })
}

/// The environment's clock for a machine's runtime.
pub(crate) struct MachineClock(pub Arc<dyn Clock>);

impl Timekeeper for MachineClock {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<()> {
        self.0.sleep_until(deadline)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_batch_is_exactly_as_large_as_it_may_be_or_refused() {
        let record = KeyValue {
            key: Some(Bytes::from_static(b"key")),
            value: Some(Bytes::from_static(&[0; 100])),
        };
        let records = vec![record; 10];
        let size = |max| encode(&records, Now::default(), max).map(|batch| batch.bytes.len());
        let exact = size(usize::MAX).expect("it fits");
        assert_eq!(size(exact), Ok(exact));
        let max = exact - 1;
        assert_eq!(size(max), Err(Failure::TooLarge { max }));
    }
}
