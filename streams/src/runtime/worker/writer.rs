//! What a worker writes with, as long as the group counts on it.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemark_client::consumer::{Consumer, Lease};
use tidemark_client::producer::{Producer, ProducerConfig};

use crate::error::StreamsError;
use crate::runtime::metrics::Counter;
use crate::runtime::shared::Shared;

/// Bytes of records that the producer holds before a task has to wait.
const PRODUCER_BUFFER: usize = 64 << 20;

/// A producer for one stay in the group. There are no transactions that would keep out an instance which
/// has lost its tasks and does not know it, because it was stopped or too busy. So it writes only while
/// its lease holds, and nothing that is left over when the stay is over is written in the next one.
#[derive(Clone)]
pub(in crate::runtime) struct Writer {
    pub(in crate::runtime) producer: Producer,
    /// Records for topics that the producer was given since the last commit, those for changelogs not
    /// counted.
    pub(in crate::runtime) handed: Arc<Counter>,
    lease: Lease,
}

impl Writer {
    /// For the stay that the consumer has begun, or is to begin.
    pub(in crate::runtime) fn new(
        shared: &Shared,
        consumer: &Consumer,
    ) -> Result<Self, StreamsError> {
        let lease = consumer.lease();
        let lease = lease.ok_or_else(|| StreamsError::Internal("no group".to_owned()))?;
        let config = ProducerConfig::new()
            .buffer_memory(PRODUCER_BUFFER)
            .batch_size(128 << 10)
            .lease(lease.clone());
        let producer = shared.client.producer(config)?;
        Ok(Self {
            producer,
            handed: Arc::default(),
            lease,
        })
    }

    /// Whether the stay is over: its tasks are lost, what they have not written is not to be written,
    /// and that it was not is no error.
    pub(in crate::runtime) fn is_over(&self) -> bool {
        self.lease.is_over()
    }
}

/// A worker's writer, which its listener changes.
#[derive(Clone)]
pub(in crate::runtime) struct Current(Arc<Mutex<Writer>>);

impl Current {
    pub(in crate::runtime) fn new(writer: Writer) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    pub(in crate::runtime) fn get(&self) -> Writer {
        self.0.lock().clone()
    }

    /// Begins anew if the stay is over. Only when its tasks are gone: none of them may write by the next
    /// one's lease.
    pub(in crate::runtime) fn renew(
        &self,
        shared: &Shared,
        consumer: &Consumer,
    ) -> Result<(), StreamsError> {
        let mut writer = self.0.lock();
        if writer.is_over() {
            writer.producer.abort();
            *writer = Writer::new(shared, consumer)?;
        }
        Ok(())
    }
}
