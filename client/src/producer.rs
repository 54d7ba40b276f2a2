//! Writing: records go into batches by partition, batches to their leaders, outcomes to whoever
//! asked for them.

mod batch;
mod config;
mod core;
mod delivery;
mod error;
mod messages;
mod partitioner;
mod queue;
mod record;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::core::{Append, Core};
use crate::cluster::Cluster;
use crate::error::ClientError;
use sender::{LineUp, Shared};

pub use config::{Acks, ProducerConfig};
pub use delivery::{Delivery, RecordMetadata};
pub use error::{Advice, ProduceError, RecordProblem};
pub use partitioner::{DefaultPartitioner, Partitioner, murmur2};
pub use record::{ProducerRecord, RecordParts};
pub use tidemark_protocol::records::Compression;

/// Writes records (Kafka: `KafkaProducer`). Made by [`crate::Client::producer`]. Clones share
/// everything, and any number of tasks may send at the same time; the records that wait when the
/// last one is dropped are given up, so [`Self::flush`] or [`Self::close`] first.
///
/// Transactions (KIP-98) are not there yet; idempotence is.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    handle: Arc<Handle>,
}

/// Ends the driver with the last clone.
struct Handle {
    shared: Arc<Shared>,
    driver: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// How many records have come to an end, by kind. Records that [`Producer::send`] and its like did
/// not take in are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written, as far as `acks` tells.
    pub delivered: u64,
    /// Not written, or not known to be.
    pub failed: u64,
}

impl Producer {
    pub(crate) fn start(cluster: Cluster, config: ProducerConfig) -> Result<Self, ClientError> {
        config.validate()?;
        let shared = Arc::new(Shared::new(cluster, config));
        let driver = tokio::spawn(sender::run(Arc::clone(&shared)));
        let handle = Arc::new(Handle {
            shared: Arc::clone(&shared),
            driver: parking_lot::Mutex::new(Some(driver)),
        });
        Ok(Self { shared, handle })
    }

    /// Takes a record in and gives a future of its outcome (Kafka: `Producer.send`). Waits while
    /// the topic is not known yet or the buffer is full, at most [`ProducerConfig::max_block`].
    ///
    /// The record is on its way when this returns, whether the [`Delivery`] is awaited or not. If
    /// the future of this call is dropped before that, it is not. Records of one caller for one
    /// partition keep the order of the calls, unless [`ProducerConfig::max_in_flight`] lets retries
    /// change it.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tidemark_client::{Client, producer::{ProducerConfig, ProducerRecord}};
    /// let producer = Client::connect("localhost:9092")?.producer(ProducerConfig::new())?;
    /// let record = ProducerRecord::to("events").key("user1").value("login");
    /// let delivery = producer.send(&record).await?;
    /// println!("written at offset {}", delivery.await?.offset);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// These say that the record was not taken in; what happens to it later is the [`Delivery`]'s
    /// to tell.
    ///
    /// - [`ProduceError::Client`]: the topic was not found within `max_block`
    ///   ([`ClientError::Timeout`], whose `last` says why), or the cluster refuses to tell of it
    ///   (`TOPIC_AUTHORIZATION_FAILED`, `INVALID_TOPIC_EXCEPTION`).
    /// - [`ProduceError::BufferFull`]: there was no room within `max_block`.
    /// - [`ProduceError::TooLarge`]: the record is larger than
    ///   [`ProducerConfig::max_request_size`].
    /// - [`ProduceError::UnknownPartition`]: the topic has no such partition.
    /// - [`ProduceError::Build`]: the record does not fit the format.
    /// - [`ProduceError::ProducerId`]: the cluster has refused the producer an id.
    /// - [`ProduceError::Closed`]: the producer has been closed. If the client has been, it may be
    ///   [`ProduceError::Client`] with [`ClientError::Closed`].
    pub async fn send(&self, record: &ProducerRecord) -> Result<Delivery, ProduceError> {
        let headers = record.header_slices();
        let parts = record.parts(&headers);
        let mut patience = None;
        loop {
            match self.append(&record.topic, &parts, true)? {
                Append::Taken(delivery) => {
                    return delivery.ok_or(ProduceError::Closed {
                        maybe_written: false,
                    });
                }
                wait => {
                    self.wait(&record.topic, wait, &parts, &mut patience)
                        .await?
                }
            }
        }
    }

    /// Takes a record in without asking for its outcome: it shows in [`Self::counts`], and costs
    /// nothing of its own. Waits as [`Self::send`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`]. What goes wrong later shows in [`Self::counts`] and
    /// [`Self::last_error`].
    pub async fn send_counted(
        &self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
    ) -> Result<(), ProduceError> {
        let mut patience = None;
        loop {
            match self.append(topic, parts, false)? {
                Append::Taken(_) => return Ok(()),
                wait => self.wait(topic, wait, parts, &mut patience).await?,
            }
        }
    }

    /// As [`Self::send_counted`], but never waits: `false` if the topic or the partition is not
    /// known yet, or the buffer is full. Then wait with [`Self::ready`], give the record to
    /// [`Self::send_counted`], or do something else meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`] that need no waiting: [`ProduceError::TooLarge`],
    /// [`ProduceError::UnknownPartition`], [`ProduceError::Build`], [`ProduceError::ProducerId`],
    /// [`ProduceError::Closed`].
    #[inline]
    pub fn try_send(
        &self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
    ) -> Result<bool, ProduceError> {
        Ok(matches!(
            self.append(topic, parts, false)?,
            Append::Taken(_)
        ))
    }

    /// Holds the producer while many records are put in, one after the other: they share one lock and
    /// one look at the clock. Nothing is sent meanwhile and nobody else can put records in, so let go
    /// of it after some hundred records.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use tidemark_client::producer::{ProduceError, Producer, RecordParts};
    /// # fn example(producer: &Producer, topic: &Arc<str>) -> Result<(), ProduceError> {
    /// let mut bulk = producer.bulk();
    /// for value in [&b"one"[..], b"two"] {
    ///     let parts = RecordParts { value: Some(value), ..RecordParts::default() };
    ///     if !bulk.try_send(topic, &parts)? {
    ///         break;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn bulk(&self) -> Bulk<'_> {
        Bulk(self.shared.line_up())
    }

    /// Waits until this record can be taken in, at most [`ProducerConfig::max_block`]; with
    /// [`RecordParts::default`], until the topic is known and the buffer not full.
    ///
    /// # Errors
    ///
    /// [`ProduceError::Client`], [`ProduceError::UnknownPartition`], [`ProduceError::TooLarge`],
    /// [`ProduceError::BufferFull`], [`ProduceError::ProducerId`] and [`ProduceError::Closed`], as
    /// [`Self::send`] has them.
    pub async fn ready(
        &self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
    ) -> Result<(), ProduceError> {
        let mut patience = None;
        loop {
            match self.shared.check(topic, parts)? {
                Append::Taken(_) => return Ok(()),
                wait => self.wait(topic, wait, parts, &mut patience).await?,
            }
        }
    }

    #[inline]
    fn append(
        &self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
        wants_outcome: bool,
    ) -> Result<Append, ProduceError> {
        self.shared.append(topic, parts, wants_outcome)
    }

    /// Waits for what is in the way. `patience` is when the caller's is over, from the first wait
    /// on, whatever it waits for.
    async fn wait(
        &self,
        topic: &Arc<str>,
        why: Append,
        parts: &RecordParts<'_>,
        patience: &mut Option<u64>,
    ) -> Result<(), ProduceError> {
        let deadline = *patience.get_or_insert_with(|| self.shared.patience());
        match why {
            Append::Taken(_) => Ok(()),
            Append::UnknownTopic => self.shared.learn(topic, deadline).await,
            Append::UnknownPartition => {
                let partition = parts.partition.unwrap_or(-1);
                self.shared
                    .learn_partition(topic, partition, deadline)
                    .await
            }
            Append::Full => self.shared.room(parts.size(), deadline).await,
        }
    }

    /// How the records so far have ended.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// How many records of such topics brokers have refused for good, each by itself
    /// ([`Advice::ChangeRecord`]), since the last call. They do not count as failed any more: for
    /// those who can do without them.
    pub fn take_refused(&self, topics: impl Fn(&str) -> bool) -> u64 {
        self.shared.core.lock().take_refused(&topics)
    }

    /// The last reason why a record has failed after it was taken in.
    #[must_use]
    pub fn last_error(&self) -> Option<ProduceError> {
        self.shared.core.lock().last_error()
    }

    /// Sends everything that has been taken in now, without lingering, and waits until each of it
    /// has come to an end, good or bad (Kafka: `Producer.flush`, KIP-8). That takes
    /// [`ProducerConfig::delivery_timeout`] at most.
    pub async fn flush(&self) {
        self.shared.flush().await;
    }

    /// Ends the producer for all its clones, at once: what has not been sent is given up, what has been
    /// may be written or not (librdkafka: `rd_kafka_purge`).
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// Takes no more records, and waits until those it has have come to an end; what has not within
    /// `limit` is given up (Kafka: `Producer.close(Duration)`, KIP-15). Ends the producer for all
    /// its clones. Gives what has become of all; [`Self::last_error`] says why, where something
    /// failed.
    pub async fn close(&self, limit: Duration) -> Counts {
        let shared = Arc::clone(&self.shared);
        shared.core.lock().refuse_more();
        let clock = shared.cluster.clock().clone();
        let _ = clock.timeout(limit, shared.flush()).await;
        shared.close();
        let driver = self.handle.driver.lock().take();
        if let Some(driver) = driver {
            let _ = driver.await;
        }
        shared.counts()
    }
}

/// Many records on their way in: see [`Producer::bulk`].
pub struct Bulk<'a>(LineUp<'a>);

impl Bulk<'_> {
    /// As [`Producer::try_send`]. A record without a timestamp has that of the moment at which
    /// [`Producer::bulk`] was called.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::try_send`].
    #[inline]
    pub fn try_send(
        &mut self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
    ) -> Result<bool, ProduceError> {
        Ok(matches!(
            self.0.append(topic, parts, false)?,
            Append::Taken(_)
        ))
    }
}

/// Used by the sender and by tests.
pub(crate) type SharedCore = parking_lot::Mutex<Core>;
