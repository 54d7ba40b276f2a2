//! Where a consumer reads: seeking, pausing, and what is known of a partition.

use super::fetcher::{Fetcher, Position, ResetTo};
use super::{Consumer, ConsumerError, Cursor};
use crate::topic_partition::TopicPartition;

impl Consumer {
    /// Goes on from an offset (Kafka: `Consumer.seek`). What was fetched ahead is dropped.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if the offset is negative, or the partition is not assigned to this
    /// consumer. An offset that the partition does not have shows in the next read.
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
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if the partition is not assigned to this consumer.
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.jump(partition, |fetcher| {
            fetcher.reset(partition, ResetTo::Earliest)
        })
    }

    /// Goes on with what comes from now on (Kafka: `Consumer.seekToEnd`).
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if the partition is not assigned to this consumer.
    pub fn seek_to_end(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.jump(partition, |fetcher| {
            fetcher.reset(partition, ResetTo::Latest)
        })
    }

    /// Goes on from the first record whose timestamp is at least `timestamp`, in milliseconds since
    /// 1970 (UTC); from the end if there is none (Kafka: `Consumer.offsetsForTimes`, then `seek`,
    /// KIP-79).
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if the partition is not assigned to this consumer.
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
    /// while it is being looked up, and for a partition that is not assigned.
    pub fn position(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.set_cursor_aside();
        let position = self.shared.fetcher.lock().position(partition)?;
        Some(position.offset)
    }

    /// Gives no records of these partitions until they are resumed (Kafka: `Consumer.pause`). What
    /// was fetched ahead is kept, up to [`super::ConsumerConfig::prefetch_bytes`] of all of them.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if one of them is not assigned to this consumer: then none is
    /// paused.
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumerError> {
        self.set_paused(partitions, true)
    }

    /// Gives records of these partitions again (Kafka: `Consumer.resume`).
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if one of them is not assigned to this consumer: then none is
    /// resumed.
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumerError> {
        self.set_paused(partitions, false)
    }

    fn set_paused(
        &mut self,
        partitions: &[TopicPartition],
        paused: bool,
    ) -> Result<(), ConsumerError> {
        let of_these = |cursor: &mut Cursor| partitions.contains(cursor.records.partition());
        if paused {
            self.set_cursor_aside();
            if let Some(cursor) = self.cursor.take_if(of_these) {
                let rest = cursor.records.rest();
                let mut fetcher = self.shared.fetcher.lock();
                fetcher.put_back(rest, cursor.turn, cursor.end);
            }
        }
        let done = self.shared.change(|fetcher| {
            let done = fetcher.pause(partitions, paused);
            done.map_err(Clone::clone)
        });
        done.or_else(|missing| self.assigned(&missing, false))
    }

    /// Partitions that are paused (Kafka: `Consumer.paused`).
    #[must_use]
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.shared.fetcher.lock().paused()
    }

    /// What is known of a partition from the last answer: log start offset, last stable offset and
    /// high watermark, each -1 while unknown (Kafka: `Consumer.currentLag` reckons with them,
    /// KIP-695); `None` for a partition that is not assigned. [`crate::Admin::list_offsets`] asks
    /// the cluster.
    #[must_use]
    pub fn watermarks(&self, partition: &TopicPartition) -> Option<(i64, i64, i64)> {
        self.shared.fetcher.lock().watermarks(partition)
    }

    /// When, in milliseconds of the clock, the broker that a partition is fetched from last answered for it
    /// without an error: what [`Self::watermarks`] tells was so at that time. `None` as long as it has not.
    #[must_use]
    pub fn heard(&self, partition: &TopicPartition) -> Option<u64> {
        self.shared.fetcher.lock().heard(partition)
    }
}
