//! Reading: by oneself or as a member of a group, record by record or in raw batches.

pub mod assignor;
mod batch;
mod commit;
mod config;
mod driver;
mod error;
mod fetcher;
mod isolation;
mod messages;
mod session;
mod split;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;
use batch::RecordCursor;
use driver::Shared;
use fetcher::{Fetcher, Position, ResetTo};
use messages::FetchTerms;

pub use batch::{Batch, ConsumerRecord, Fetched, MAX_UNPACKED, RecordRef, Section, SectionRecords};
pub use commit::CommittedOffset;
pub use config::{ConsumerConfig, IsolationLevel, OffsetReset};
pub use error::ConsumerError;
pub use stream::RecordStream;

/// Reads partitions. Made by [`crate::Client::consumer`].
pub struct Consumer {
    shared: Arc<Shared>,
    config: ConsumerConfig,
    /// What is being given out record by record.
    cursor: Option<Cursor>,
    driver: JoinHandle<()>,
}

struct Cursor {
    records: RecordCursor,
    turn: u64,
    /// The position when all of it has been read.
    end: Position,
}

impl Consumer {
    pub(crate) fn start(cluster: Cluster, config: ConsumerConfig) -> Result<Self, ClientError> {
        config.validate()?;
        let settings = config.fetch_settings(cluster.config());
        let millis = |limit: Duration| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        let shared = Arc::new(Shared {
            cluster,
            group: config.group.as_ref().map(|group| group.id.clone()),
            terms: FetchTerms {
                max_wait_ms: millis(config.fetch_max_wait),
                min_bytes: i32::try_from(config.fetch_min_bytes).unwrap_or(i32::MAX),
                read_committed: settings.read_committed,
            },
            fetcher: Mutex::new(Fetcher::new(settings)),
            wake_driver: Notify::new(),
            wake_reader: Notify::new(),
            closed: watch::Sender::new(false),
        });
        let driver = tokio::spawn(driver::run(Arc::clone(&shared)));
        Ok(Self {
            shared,
            config,
            cursor: None,
            driver,
        })
    }

    /// Reads exactly these partitions from now on (Kafka: `Consumer.assign`). Those that were read
    /// before go on where they are; new ones begin at the group's offset if there is a group, else,
    /// or if it has none, as [`ConsumerConfig::offset_reset`] says.
    pub fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<(), ConsumerError> {
        let wanted: Vec<TopicPartition> = partitions.into_iter().collect();
        self.set_cursor_aside();
        let topics = wanted.iter().map(|partition| Arc::clone(&partition.topic));
        self.shared.cluster.want_topics(topics);
        let with_group = self.shared.group.is_some();
        self.shared.change(|fetcher| {
            let gone: Vec<TopicPartition> = fetcher
                .assigned()
                .filter(|old| !wanted.contains(old))
                .cloned()
                .collect();
            fetcher.remove(&gone);
            fetcher.add(&wanted, with_group);
        });
        self.drop_stale_cursor();
        Ok(())
    }

    /// The partitions that are being read.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.fetcher.lock().assigned().cloned().collect()
    }

    /// The next record. Waits until there is one.
    ///
    /// An error does not end the consumer: the next call goes on as far as that is possible. Safe to
    /// be dropped at any time; no record is lost by it.
    pub async fn recv(&mut self) -> Result<ConsumerRecord, ConsumerError> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            let (fetched, turn, end) = self.next_fetched().await?;
            let from = self
                .shared
                .fetcher
                .lock()
                .position(&fetched.partition)
                .map_or(fetched.next_offset, |position| position.offset);
            self.cursor = Some(Cursor {
                records: RecordCursor::new(fetched, from),
                turn,
                end,
            });
        }
    }

    /// The records as a stream: [`Self::recv`] again and again.
    pub fn stream(&mut self) -> RecordStream<'_> {
        RecordStream::new(self)
    }

    /// The next batches of one partition, as the broker sent them: checked, and not decoded. Waits
    /// until there are some. The list is empty when a fetch brought nothing but what is left out.
    ///
    /// Errors and dropping are as with [`Self::recv`]. With both in use on one consumer, this goes on
    /// behind the last record that `recv` gave.
    pub async fn recv_batches(&mut self) -> Result<Fetched, ConsumerError> {
        if let Some(Cursor { records, turn, end }) = self.cursor.take() {
            let rest = records.rest();
            let mut fetcher = self.shared.fetcher.lock();
            fetcher.advance(&rest.partition, turn, end);
            if !rest.batches.is_empty() {
                return Ok(rest);
            }
        }
        let (fetched, turn, end) = self.next_fetched().await?;
        self.shared
            .fetcher
            .lock()
            .advance(&fetched.partition, turn, end);
        Ok(fetched)
    }

    /// The record that is at hand, if there is one.
    #[inline]
    fn try_next(&mut self) -> Option<Result<ConsumerRecord, ConsumerError>> {
        let cursor = self.cursor.as_mut()?;
        match cursor.records.next() {
            Some(Ok(record)) => Some(Ok(record)),
            Some(Err(error)) => {
                let to = cursor.records.position();
                self.set_cursor_aside();
                if let Some(cursor) = self.cursor.take() {
                    let clock = self.shared.cluster.clock();
                    let (now, random) = (clock.now(), clock.random());
                    let partition = cursor.records.partition();
                    self.shared.change(|fetcher| {
                        fetcher.step_back(partition, cursor.turn, to.offset, now, random)
                    });
                }
                Some(Err(error))
            }
            None => {
                self.set_cursor_aside();
                self.cursor = None;
                None
            }
        }
    }

    /// Tells the fetcher how far the application has come within what it is being given.
    fn set_cursor_aside(&mut self) {
        let Some(cursor) = &self.cursor else { return };
        let position = cursor.records.position();
        let position = if position.offset >= cursor.end.offset {
            cursor.end
        } else {
            position
        };
        let partition = cursor.records.partition();
        self.shared
            .fetcher
            .lock()
            .advance(partition, cursor.turn, position);
    }

    /// Gives up what is being given out if its partition has jumped or gone.
    fn drop_stale_cursor(&mut self) {
        if let Some(cursor) = &self.cursor {
            let fetcher = self.shared.fetcher.lock();
            if !fetcher.is_current(cursor.records.partition(), cursor.turn) {
                drop(fetcher);
                self.cursor = None;
            }
        }
    }

    /// The next fetched batches, checked.
    async fn next_fetched(&mut self) -> Result<(Fetched, u64, Position), ConsumerError> {
        let shared = Arc::clone(&self.shared);
        loop {
            if *shared.closed.borrow() {
                return Err(ClientError::Closed.into());
            }
            let taken = shared.fetcher.lock().take();
            if let Some(taken) = taken {
                // There is room again.
                shared.wake_driver.notify_one();
                let (fetched, turn, end) = taken?;
                return self.checked(fetched, turn, end);
            }
            shared.wake_reader.notified().await;
        }
    }

    /// Checks the CRCs. What is in front of a broken batch is given out first.
    fn checked(
        &self,
        mut fetched: Fetched,
        turn: u64,
        end: Position,
    ) -> Result<(Fetched, u64, Position), ConsumerError> {
        if !self.config.check_crcs {
            return Ok((fetched, turn, end));
        }
        let broken = fetched.batches.iter().enumerate().find_map(|(at, batch)| {
            let reason = batch.validate_crc().err()?;
            Some((at, batch.header.base_offset, reason))
        });
        let Some((at, offset, reason)) = broken else {
            return Ok((fetched, turn, end));
        };
        let clock = self.shared.cluster.clock();
        let (now, random) = (clock.now(), clock.random());
        let turn = self
            .shared
            .change(|fetcher| fetcher.step_back(&fetched.partition, turn, offset, now, random));
        if at == 0 {
            return Err(ConsumerError::Corrupt {
                partition: fetched.partition,
                offset,
                reason,
            });
        }
        fetched.batches.truncate(at);
        fetched.next_offset = offset;
        let epoch = fetched
            .batches
            .last()
            .map_or(-1, |b| b.header.partition_leader_epoch);
        Ok((fetched, turn, Position { offset, epoch }))
    }

    // ---- positions ----

    /// Goes on from an offset (Kafka: `Consumer.seek`). What was fetched ahead is dropped.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ConsumerError> {
        if offset < 0 {
            return Err(ConsumerError::Usage(format!(
                "{partition}: cannot seek to {offset}: offsets begin at 0"
            )));
        }
        let to = Position { offset, epoch: -1 };
        self.jump(partition, |fetcher| fetcher.seek(partition, to))
    }

    /// Goes on from the first offset that the partition has (Kafka: `Consumer.seekToBeginning`).
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.jump(partition, |fetcher| {
            fetcher.reset(partition, ResetTo::Earliest)
        })
    }

    /// Goes on with what comes from now on (Kafka: `Consumer.seekToEnd`).
    pub fn seek_to_end(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.jump(partition, |fetcher| {
            fetcher.reset(partition, ResetTo::Latest)
        })
    }

    /// Goes on from the first record whose timestamp is at least `timestamp`, in milliseconds since
    /// 1970 (UTC); from the end if there is none (Kafka: `offsetsForTimes`, then `seek`).
    pub fn seek_to_time(
        &mut self,
        partition: &TopicPartition,
        timestamp: i64,
    ) -> Result<(), ConsumerError> {
        self.jump(partition, |fetcher| {
            fetcher.reset(partition, ResetTo::Time(timestamp))
        })
    }

    fn jump(
        &mut self,
        partition: &TopicPartition,
        jump: impl FnOnce(&mut Fetcher) -> bool,
    ) -> Result<(), ConsumerError> {
        let done = self.shared.change(jump);
        self.drop_stale_cursor();
        self.assigned(partition, done)
    }

    fn assigned(&self, partition: &TopicPartition, done: bool) -> Result<(), ConsumerError> {
        if done {
            return Ok(());
        }
        Err(ConsumerError::Usage(format!(
            "{partition} is not assigned to this consumer"
        )))
    }

    /// The offset of the record that is to be given out next (Kafka: `Consumer.position`); `None`
    /// while it is being looked up.
    pub fn position(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.set_cursor_aside();
        let position = self.shared.fetcher.lock().position(partition)?;
        Some(position.offset)
    }

    /// Gives no records of these partitions until they are resumed (Kafka: `Consumer.pause`). What
    /// was fetched ahead is kept.
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumerError> {
        self.set_paused(partitions, true)
    }

    /// Gives records of these partitions again (Kafka: `Consumer.resume`).
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumerError> {
        self.set_paused(partitions, false)
    }

    fn set_paused(
        &mut self,
        partitions: &[TopicPartition],
        paused: bool,
    ) -> Result<(), ConsumerError> {
        for partition in partitions {
            let done = self
                .shared
                .change(|fetcher| fetcher.pause(partition, paused));
            self.assigned(partition, done)?;
        }
        // The rest of what was being given out of a paused partition is fetched again later.
        if let Some(cursor) = &self.cursor
            && paused
            && partitions.contains(cursor.records.partition())
        {
            let partition = cursor.records.partition().clone();
            self.set_cursor_aside();
            self.cursor = None;
            self.shared.change(|fetcher| fetcher.rewind(&partition));
        }
        Ok(())
    }

    /// Partitions that are paused.
    #[must_use]
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.shared.fetcher.lock().paused()
    }

    /// What is known of a partition from the last answer: log start offset, last stable offset and
    /// high watermark, each -1 while unknown.
    #[must_use]
    pub fn watermarks(&self, partition: &TopicPartition) -> Option<(i64, i64, i64)> {
        self.shared.fetcher.lock().watermarks(partition)
    }

    /// Stops reading.
    pub async fn close(mut self) -> Result<(), ConsumerError> {
        self.set_cursor_aside();
        self.shared.closed.send_replace(true);
        let _ = (&mut self.driver).await;
        Ok(())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.closed.send_replace(true);
    }
}
