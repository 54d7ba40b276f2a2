//! Outcomes: one shared state per batch, and futures that look into it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::error::ProduceError;
use crate::topic_partition::TopicPartition;

/// Where a record was written (Kafka: `RecordMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic and partition.
    pub partition: TopicPartition,
    /// The record's offset; -1 if the broker does not tell, as with [`super::Acks::None`].
    pub offset: i64,
    /// Milliseconds since 1970 (UTC): the record's own timestamp, or the broker's on topics with
    /// LogAppendTime.
    pub timestamp: i64,
}

/// The outcome of one record (Kafka: the `Future<RecordMetadata>` of `Producer.send`). Whether it
/// is awaited, dropped or polled now and then makes no difference to the record.
///
/// # Errors
///
/// - [`ProduceError::Timeout`]: [`super::ProducerConfig::delivery_timeout`] is over.
/// - [`ProduceError::Refused`]: the broker refused the batch, for a reason that does not pass.
/// - [`ProduceError::Build`]: the batch cannot be built or sent in a version that the broker
///   speaks.
/// - [`ProduceError::ProducerId`]: the cluster refuses the producer an id.
/// - [`ProduceError::Closed`]: the producer or the client was closed before the answer came.
///
/// [`ProduceError::advice`] says what to do then, [`ProduceError::maybe_written`] whether the
/// record may be in the log all the same.
#[derive(Debug)]
pub struct Delivery {
    state: Arc<BatchOutcome>,
    index: u32,
    timestamp: i64,
}

impl Delivery {
    pub(super) fn new(state: Arc<BatchOutcome>, index: u32, timestamp: i64) -> Self {
        Self {
            state,
            index,
            timestamp,
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.state.inner.lock();
        let part = inner.done.iter().find(|part| {
            let at = self.index.checked_sub(part.first);
            at.is_some_and(|at| at < part.count)
        });
        let Some(part) = part else {
            inner.wakers.insert(self.index, context.waker().clone());
            return Poll::Pending;
        };
        let place = self.index - part.first;
        Poll::Ready(match &part.result {
            Ok(written) => Ok(RecordMetadata {
                partition: self.state.partition.clone(),
                offset: match written.base_offset {
                    base @ 0.. => base.saturating_add(i64::from(place)),
                    unknown => unknown,
                },
                timestamp: written.append_time.unwrap_or(self.timestamp),
            }),
            Err(error) => Err(error.clone().for_record(place)),
        })
    }
}

/// What became of a batch, or, once it has been split, of its pieces.
#[derive(Debug)]
pub(super) struct BatchOutcome {
    partition: TopicPartition,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    done: Vec<Part>,
    wakers: HashMap<u32, Waker>,
}

/// A run of records that came to the same end.
#[derive(Debug)]
struct Part {
    first: u32,
    count: u32,
    result: Result<Written, ProduceError>,
}

/// Where a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Offset of the first record, -1 for unknown.
    pub(crate) base_offset: i64,
    /// The broker's time, if that counts.
    pub(crate) append_time: Option<i64>,
}

impl BatchOutcome {
    pub(super) fn new(partition: TopicPartition) -> Self {
        Self {
            partition,
            inner: Mutex::default(),
        }
    }

    /// Settles `count` records from `first` on.
    pub(super) fn settle(&self, first: u32, count: u32, result: Result<Written, ProduceError>) {
        let wakers = {
            let mut inner = self.inner.lock();
            inner.done.push(Part {
                first,
                count,
                result,
            });
            let mut woken = Vec::new();
            inner.wakers.retain(|index, waker| {
                let covered = index.checked_sub(first).is_some_and(|at| at < count);
                if covered {
                    woken.push(waker.clone());
                }
                !covered
            });
            woken
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}
