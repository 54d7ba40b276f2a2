//! Whoever wants to know when a group moves partitions.

use std::future::Future;
use std::pin::Pin;

use super::Consumer;
use crate::topic_partition::TopicPartition;

/// What a listener does with what it is told.
pub type Told<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Told of partitions that come and go (Kafka: `ConsumerRebalanceListener`).
///
/// It is called within a read of the consumer, which goes on when it is done, and within
/// [`Consumer::unsubscribe`] and [`Consumer::close`]; the group waits for it as long as
/// [`super::ConsumerConfig::max_poll_interval`]. It may commit, seek and pause with the consumer it
/// is given, and must not read from it. If the read is dropped meanwhile, the next one begins with
/// the same call again.
///
/// Under an eager assignor everything is revoked before each rebalance; under a cooperative one
/// only what goes to others (KIP-429).
pub trait RebalanceListener: Send + 'static {
    /// These partitions are the consumer's from now on (Kafka: `onPartitionsAssigned`). Nothing of
    /// them has been read yet: a seek here says where to begin. Called at the end of every
    /// rebalance, with no partitions if none are new. Does nothing unless it is overridden.
    fn assigned<'a>(
        &'a mut self,
        _consumer: &'a mut Consumer,
        _partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async {})
    }

    /// These partitions are about to go to others: what is to be committed of them has to be now
    /// (Kafka: `onPartitionsRevoked`). With [`super::ConsumerConfig::auto_commit`] that has been
    /// done. Does nothing unless it is overridden.
    fn revoked<'a>(
        &'a mut self,
        _consumer: &'a mut Consumer,
        _partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async {})
    }

    /// These partitions have gone, because the group took the consumer for dead; others may read
    /// them already, and commits will be refused (Kafka: `onPartitionsLost`, KIP-429). Does what
    /// [`Self::revoked`] does unless it is overridden, as in Kafka.
    fn lost<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        self.revoked(consumer, partitions)
    }
}
