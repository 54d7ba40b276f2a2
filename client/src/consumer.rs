//! Reading: by oneself or as a member of a group, record by record or in raw batches.

pub mod assignor;
mod batch;
mod commit;
mod config;
mod error;
mod fetcher;
mod group;
pub(crate) mod lease;
mod listener;
mod member;
mod positions;
pub(crate) mod protocol;
mod rebalance;
mod stream;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;
use batch::RecordCursor;
use commit::queue::CommitQueue;
use fetcher::driver::{self, Shared};
use fetcher::messages::FetchTerms;
use fetcher::{Fetcher, Position};
use member::GroupMember;

pub use batch::{
    Batch, BatchReader, ConsumerRecord, Fetched, MAX_UNPACKED, RecordRef, Section, SectionRecords,
};
pub use commit::CommittedOffset;
pub use config::{ConsumerConfig, IsolationLevel, OffsetReset};
pub use error::ConsumerError;
pub use lease::Lease;
pub use listener::{RebalanceListener, Told};
pub use stream::RecordStream;
pub use tidemark_protocol::records::{
    BatchError, BatchHeader, HeaderView, Headers, RecordError, TimestampType,
};

/// Reads partitions (Kafka: `KafkaConsumer`). Made by [`crate::Client::consumer`]. What it reads is
/// for [`Self::assign`] to say, or for the group after [`Self::subscribe`].
///
/// Records are fetched ahead by a task of its own, in fetch sessions (KIP-227) and by topic ids
/// (KIP-516) where brokers have them, always from the leader: not from followers nearby (KIP-392).
/// A member's heartbeats are a task of their own, too (KIP-62), so nothing that takes its time
/// between two reads ends its session; [`ConsumerConfig::max_poll_interval`] has its limit.
/// Membership is the classic one, not yet that of KIP-848.
///
/// When one is dropped it does not commit, and does not leave its group: [`Self::close`] does.
pub struct Consumer {
    shared: Arc<Shared>,
    config: ConsumerConfig,
    /// What is being given out record by record.
    cursor: Option<Cursor>,
    driver: JoinHandle<()>,
    member: Option<Arc<GroupMember>>,
    member_driver: Option<JoinHandle<()>>,
    /// Never locked: a listener need not be `Sync`, and a consumer is to be all the same.
    listener: Mutex<Option<Box<dyn RebalanceListener>>>,
    /// The commits that have been begun.
    commits: CommitQueue,
    /// The last one that was begun because it was time.
    auto_commit: Option<JoinHandle<()>>,
    /// What is being committed of partitions that are about to go.
    last_words: Option<JoinHandle<Result<(), ConsumerError>>>,
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
        let lanes = Arc::new(cluster.own_lanes());
        let commit_at = config
            .auto_commit
            .map_or(u64::MAX, |interval| cluster.clock().deadline(interval));
        let shared = Arc::new(Shared {
            cluster,
            lanes: Arc::clone(&lanes),
            group: config.group.as_ref().map(|group| group.id.clone()),
            terms: FetchTerms {
                max_wait_ms: millis(config.fetch_max_wait),
                min_bytes: i32::try_from(config.fetch_min_bytes).unwrap_or(i32::MAX),
                read_committed: settings.read_committed,
            },
            fetcher: Mutex::new(Fetcher::new(settings)),
            wake_driver: Notify::new(),
            wake_reader: Notify::new(),
            attention: AtomicBool::new(false),
            commit_at: AtomicU64::new(commit_at),
            closed: watch::Sender::new(false),
        });
        let driver = tokio::spawn(driver::run(Arc::clone(&shared)));
        let member = config
            .group
            .as_ref()
            .map(|group| Arc::new(GroupMember::new(shared.cluster.clone(), lanes, group)));
        Ok(Self {
            shared,
            config,
            cursor: None,
            driver,
            member,
            member_driver: None,
            listener: Mutex::default(),
            commits: CommitQueue::default(),
            auto_commit: None,
            last_words: None,
        })
    }

    /// Reads exactly these partitions from now on (Kafka: `Consumer.assign`). Those that were read
    /// before go on where they are; new ones begin at the group's offset if there is a group, else,
    /// or if it has none, as [`ConsumerConfig::offset_reset`] says.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if the consumer has subscribed.
    pub fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<(), ConsumerError> {
        if self.member_driver.is_some() {
            return Err(ConsumerError::Usage(
                "the consumer has subscribed: what it reads is for the group to say".to_owned(),
            ));
        }
        let wanted: Vec<TopicPartition> = partitions.into_iter().collect();
        let kept: HashSet<&TopicPartition> = wanted.iter().collect();
        self.set_cursor_aside();
        let topics: HashSet<Arc<str>> = wanted.iter().map(|p| Arc::clone(&p.topic)).collect();
        self.shared.cluster.keep_topics(&topics);
        self.shared.cluster.want_topics(topics);
        let with_group = self.shared.group.is_some();
        self.shared.change(|fetcher| {
            let gone: Vec<TopicPartition> = fetcher
                .assigned()
                .filter(|old| !kept.contains(old))
                .cloned()
                .collect();
            fetcher.remove(&gone);
            fetcher.add(&wanted, with_group);
        });
        self.drop_stale_cursor();
        Ok(())
    }

    /// The partitions that are being read, paused ones too (Kafka: `Consumer.assignment`). Those
    /// that a group gives show once a read has taken them over.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.fetcher.lock().assigned().cloned().collect()
    }

    /// The next record (Kafka: `Consumer.poll`, one record at a time). Waits until there is one,
    /// without end if nothing is assigned or nothing comes.
    ///
    /// It is also where the group's changes are carried out: the [`RebalanceListener`] is called in
    /// it, and the positions are committed when [`ConsumerConfig::auto_commit`] says so.
    ///
    /// An error does not end the consumer: the next call goes on as far as that is possible. Safe
    /// to be dropped at any time; no record is lost by it.
    ///
    /// # Errors
    ///
    /// - [`ConsumerError::NoOffset`], [`ConsumerError::OffsetOutOfRange`],
    ///   [`ConsumerError::Truncated`]: only with [`OffsetReset::Error`]. The partition stands still
    ///   until the application seeks; others go on.
    /// - [`ConsumerError::Corrupt`]: told again and again until the application seeks past the
    ///   batch.
    /// - [`ConsumerError::Partition`]: the broker does not serve the partition. Told at once and at
    ///   each try if the reason does not pass by itself (`TOPIC_AUTHORIZATION_FAILED`), else when
    ///   it has lasted for [`crate::ClientConfig::api_timeout`].
    /// - [`ConsumerError::Group`]: the group does not go on with this member. Every read tells it
    ///   again; [`Self::unsubscribe`], then [`Self::subscribe`] begins anew.
    /// - [`ConsumerError::Client`]: the cluster or the coordinator has not been reached for
    ///   `api_timeout` ([`ClientError::Timeout`]), does not let the client in
    ///   ([`ClientError::Connect`]), does not speak what is needed ([`ClientError::Call`]), or the
    ///   client has been closed ([`ClientError::Closed`], for good).
    pub async fn recv(&mut self) -> Result<ConsumerRecord, ConsumerError> {
        loop {
            if let Some(next) = self.at_hand() {
                return next;
            }
            self.look_around().await?;
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

    /// The records as a stream: [`Self::recv`] again and again (rdkafka: `StreamConsumer::stream`).
    pub fn stream(&mut self) -> RecordStream<'_> {
        RecordStream::new(self)
    }

    /// The next batches of one partition, as the broker sent them: checked, and not decoded. Waits
    /// until there are some. The list is empty when a fetch brought nothing but what is left out.
    ///
    /// Errors and dropping are as with [`Self::recv`]. With both in use on one consumer, this goes
    /// on behind the last record that `recv` gave.
    ///
    /// # Errors
    ///
    /// As with [`Self::recv`]. Of a corrupt batch only what its header and its CRC say shows here;
    /// the rest shows in [`Batch::decode`] and in [`SectionRecords`].
    pub async fn recv_batches(&mut self) -> Result<Fetched, ConsumerError> {
        if self.cursor.is_some() {
            self.look_around().await?;
        }
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

    /// The next record of what is being given out.
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

    /// Does what has to be done before more is given out.
    async fn look_around(&mut self) -> Result<(), ConsumerError> {
        self.serve_group().await?;
        self.settle();
        self.commit_if_due();
        Ok(())
    }

    /// Goes back to where logs are still what they were, if some have been cut back.
    fn settle(&mut self) {
        self.shared.attention.store(false, Ordering::Release);
        if self.shared.fetcher.lock().has_diverged() {
            self.set_cursor_aside();
            self.shared.change(Fetcher::settle);
            self.drop_stale_cursor();
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
        let _reading = self.member.clone().map(Reading::begin);
        loop {
            if *shared.closed.borrow() {
                return Err(ClientError::Closed.into());
            }
            self.look_around().await?;
            let taken = {
                let mut fetcher = shared.fetcher.lock();
                if fetcher.has_diverged() {
                    continue;
                }
                let taken = fetcher.take();
                if fetcher.made_room() {
                    shared.wake_driver.notify_one();
                }
                taken
            };
            if let Some(taken) = taken {
                let (fetched, turn, end) = taken?;
                return self.checked(fetched, turn, end);
            }
            let clock = shared.cluster.clock();
            let commit_at = shared.commit_at.load(Ordering::Relaxed);
            tokio::select! {
                () = shared.wake_reader.notified() => {}
                () = clock.sleep_until(commit_at) => {}
            }
        }
    }

    /// The record that is at hand, if nothing has to be done before it is given out.
    #[inline]
    fn at_hand(&mut self) -> Option<Result<ConsumerRecord, ConsumerError>> {
        if let Some(member) = &self.member {
            member.note_read();
            if member.attention.load(Ordering::Acquire) {
                return None;
            }
        }
        if self.shared.attention.load(Ordering::Acquire) {
            return None;
        }
        self.try_next()
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
            Some((at, batch.first_offset(), batch.next_offset(), reason))
        });
        let Some((at, offset, behind, reason)) = broken else {
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
                next_offset: Some(behind),
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

    /// Stops reading (Kafka: `Consumer.close`). A member of a group commits what has been given
    /// out, unless [`ConsumerConfig::auto_commit`] is off, tells its [`RebalanceListener`] that its
    /// partitions go, and leaves the group, so that others need not wait for its session to end; a
    /// static member only goes (KIP-345).
    ///
    /// # Errors
    ///
    /// Those of [`Self::commit`], if there was something to commit and it could not be. The
    /// consumer is closed all the same.
    pub async fn close(mut self) -> Result<(), ConsumerError> {
        self.set_cursor_aside();
        let committed = self.leave_group("the consumer was closed").await;
        self.shared.closed.send_replace(true);
        let _ = (&mut self.driver).await;
        if let Some(mut driver) = self.member_driver.take() {
            let _ = (&mut driver).await;
        }
        committed
    }
}

/// As long as it lives the application waits for something to read.
struct Reading(Arc<GroupMember>);

impl Reading {
    fn begin(member: Arc<GroupMember>) -> Self {
        member.note_waiting(true);
        Self(member)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.note_waiting(false);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.closed.send_replace(true);
    }
}
