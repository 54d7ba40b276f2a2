//! The way in: sequence check, append, visibility, group commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidemark_protocol::error::ErrorCode;
use tidemark_protocol::records::TimestampType;

use super::{Acks, Appended, Partition, PartitionError, Unsynced, ValidBatch, storage_failed};
use crate::storage::{Log, ProducerError, SequenceCheck, StorageError};
use crate::types::{Now, Offset, Timestamp};

impl Partition {
    /// Appends a validated batch. If it was promised the disk, by [`Acks::All`] or because it makes
    /// `flush.messages` due, the caller then waits with [`Partition::wait_on_disk`] for the
    /// returned end.
    ///
    /// A batch that one of the producer's last five was already (rule 1) is not written again: its
    /// first offsets are returned, and waiting for its end means waiting for the original.
    pub fn append(
        self: &Arc<Self>,
        batch: &ValidBatch,
        acks: Acks,
        now: Now,
    ) -> Result<Appended, PartitionError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let log = match &mut state.log {
            Some(log) if state.offline.is_none() => log,
            _ => return Err(state.unavailable()),
        };
        let log_append_time = match batch.header.timestamp_type() {
            TimestampType::LogAppendTime => Timestamp(batch.header.max_timestamp),
            TimestampType::CreateTime => Timestamp(-1),
        };
        let promised = acks == Acks::All && self.durable_acks;
        if let SequenceCheck::Duplicate {
            base,
            last,
            timestamp,
        } = check_sequence(log, batch)?
        {
            let end = last.plus(1);
            let original_waits = |unsynced: &Unsynced| unsynced.base < end && end <= unsynced.end;
            let on_disk_first = promised || state.unsynced.iter().any(original_waits);
            if promised && end > log.last_flushed() {
                // The original may have come with less than acks=all: nobody has asked yet.
                self.request_flush();
            }
            return Ok(Appended {
                base_offset: base,
                // Kafka tells the original's timestamp here, whatever the topic's type.
                log_append_time: timestamp,
                log_start: log.start_offset(),
                end,
                on_disk_first,
            });
        }
        let written = log
            .append(&batch.header, &batch.bytes, self.epoch, now)
            .map_err(|error| append_failed(&error))?;
        // A flush has been asked for everything that waits already.
        let asked = state.unsynced.back().map_or(Offset::ZERO, |last| last.end);
        let unflushed = written.end.0 - log.last_flushed().max(asked).0;
        let on_disk_first = promised || unflushed >= state.settings.log.flush_messages;
        let appended = Appended {
            base_offset: written.base,
            log_append_time,
            log_start: log.start_offset(),
            end: written.end,
            on_disk_first,
        };
        state.dirty_since.get_or_insert(now.monotonic);
        if on_disk_first {
            state.unsynced.push_back(Unsynced {
                base: written.base,
                end: written.end,
            });
            self.request_flush();
        }
        // Under the lock, so that two appends cannot tell of their ends in the wrong order.
        self.high_watermark.advance(state.visible_end());
        Ok(appended)
    }

    /// Waits until everything below `end` is on disk.
    pub async fn wait_on_disk(&self, end: Offset) -> Result<(), PartitionError> {
        self.durable.wait(end).await.map_err(|_| {
            let state = self.state.lock();
            state.unavailable()
        })
    }

    /// Waits until everything below `end` is where it was promised to be: at once if that is not
    /// the disk.
    pub async fn wait_durable(&self, end: Offset) -> Result<(), PartitionError> {
        let promised = {
            let state = self.state.lock();
            let first = state.unsynced.front();
            self.durable_acks || first.is_some_and(|first| first.base < end)
        };
        match promised {
            true => self.wait_on_disk(end).await,
            false => Ok(()),
        }
    }

    /// Puts everything that has been written on the disk and wakes those who wait for that. A
    /// failed sync takes the partition out of service: the kernel may have dropped the dirty
    /// pages, so trying again would promise what nobody knows.
    pub fn flush_now(self: &Arc<Self>) {
        // Cleared first: whoever appends from here on asks anew.
        self.flush_requested.store(false, Ordering::Release);
        let plan = {
            let mut state = self.state.lock();
            state.dirty_since = None;
            if state.offline.is_some() {
                // A sync that succeeds now would say nothing about what the failed one lost.
                return;
            }
            let Some(log) = state.log.as_mut() else {
                return;
            };
            log.flush_plan()
        };
        let Some(plan) = plan else { return };
        let up_to = plan.up_to();
        if let Err(error) = plan.run(&*self.disk) {
            self.take_offline(&format!("{}: cannot sync the log: {error}", self.name));
            return;
        }
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if let Some(log) = state.log.as_mut() {
                log.flushed(up_to);
                while state
                    .unsynced
                    .front()
                    .is_some_and(|unsynced| unsynced.end <= up_to)
                {
                    state.unsynced.pop_front();
                }
                self.high_watermark.advance(state.visible_end());
            }
        }
        self.durable.advance(up_to);
    }

    fn take_offline(&self, reason: &str) {
        tracing::error!(partition = %self.name, reason, "partition is offline");
        let mut state = self.state.lock();
        state.offline = Some(reason.to_owned());
        if let Some(log) = state.log.as_mut() {
            log.fail(reason);
        }
        drop(state);
        self.durable.close();
    }
}

fn check_sequence(log: &Log, batch: &ValidBatch) -> Result<SequenceCheck, PartitionError> {
    log.producers().check(&batch.header).map_err(|error| {
        let code = match error {
            ProducerError::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerError::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        };
        PartitionError::new(code, error.to_string())
    })
}

fn append_failed(error: &StorageError) -> PartitionError {
    tracing::error!(%error, "append failed");
    storage_failed(error)
}
