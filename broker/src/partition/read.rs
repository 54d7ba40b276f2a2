//! The way out: reads, look-ups by time, epochs.

use bytes::Bytes;
use tidemark_protocol::error::ErrorCode;

use super::{Bounds, Isolation, Partition, PartitionError, storage_failed};
use crate::storage::{LogSlice, TimestampOffset};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// What a fetch would find, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// Bytes from the fetch offset on, in its segment.
    pub bytes: u64,
    /// The offset is in a segment that is no longer written to: the fetch need not wait for more
    /// (rule 16, Kafka's `DelayedFetch` case F).
    pub older_segment: bool,
}

impl Partition {
    /// The offsets that matter to the outside.
    pub fn bounds(&self) -> Result<Bounds, PartitionError> {
        let state = self.state.lock();
        let log = Self::open_log(&state)?;
        // Never ahead of what waiters have been told, never behind it either.
        let high_watermark = state.visible_end();
        let last_stable = log
            .first_unstable_offset()
            .map_or(high_watermark, |first| first.min(high_watermark));
        Ok(Bounds {
            start: log.start_offset(),
            high_watermark,
            last_stable,
            end: log.end_offset(),
            epoch: self.epoch,
        })
    }

    /// Rule 26: a client that knows an older epoch must learn of the new one, and one that knows a
    /// newer epoch must wait for this broker to catch up. Below 0 the client does not say.
    pub fn check_epoch(&self, current: i32) -> Result<(), PartitionError> {
        let (code, how) = match current {
            unknown if unknown < 0 => return Ok(()),
            older if older < self.epoch.0 => (ErrorCode::FencedLeaderEpoch, "older"),
            newer if newer > self.epoch.0 => (ErrorCode::UnknownLeaderEpoch, "newer"),
            _ => return Ok(()),
        };
        let message = format!(
            "the request's leader epoch {current} is {how} than {} ({})",
            self.epoch, self.name
        );
        Err(PartitionError::new(code, message))
    }

    /// Finds the batches from the one that holds `from` on: whole bytes of one segment, at most
    /// `max_bytes`, but with `min_one` at least the first batch. `None` if nothing is there yet.
    pub fn read(
        &self,
        from: Offset,
        isolation: Isolation,
        max_bytes: u32,
        min_one: bool,
    ) -> Result<Option<LogSlice>, PartitionError> {
        let upper = self.bounds()?.upper(isolation);
        let state = self.state.lock();
        let log = Self::open_log(&state)?;
        log.read(from, upper, max_bytes, min_one)
            .map_err(|error| storage_failed(&error))
    }

    /// How much a read from `from` would find. Cheap: asked each time a parked fetch wakes.
    pub fn available(
        &self,
        from: Offset,
        isolation: Isolation,
    ) -> Result<Available, PartitionError> {
        let upper = self.bounds()?.upper(isolation);
        let state = self.state.lock();
        let log = Self::open_log(&state)?;
        let (bytes, older_segment) = log.bytes_between(from, upper);
        Ok(Available {
            bytes,
            older_segment,
        })
    }

    /// The first record below `isolation`'s bound with a timestamp of at least `target`.
    pub fn offset_for_timestamp(
        &self,
        target: Timestamp,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, PartitionError> {
        let upper = self.bounds()?.upper(isolation);
        let state = self.state.lock();
        let log = Self::open_log(&state)?;
        log.offset_for_timestamp(target, upper)
            .map_err(|error| storage_failed(&error))
    }

    /// The first record with the largest timestamp.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, PartitionError> {
        let upper = self.bounds()?.high_watermark;
        let state = self.state.lock();
        let log = Self::open_log(&state)?;
        log.max_timestamp(upper)
            .map_err(|error| storage_failed(&error))
    }

    /// Where `epoch` ended in this log (rule 31).
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Result<(LeaderEpoch, Offset), PartitionError> {
        let state = self.state.lock();
        Ok(Self::open_log(&state)?.epoch_end(epoch))
    }

    /// The epoch of the record at `offset`, if the log knows.
    pub fn epoch_for(&self, offset: Offset) -> Result<Option<LeaderEpoch>, PartitionError> {
        let state = self.state.lock();
        Ok(Self::open_log(&state)?.epoch_for(offset))
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> Result<u64, PartitionError> {
        let state = self.state.lock();
        Ok(Self::open_log(&state)?.size_bytes())
    }
}

impl Partition {
    /// Hands every batch of the log to `visit`, in order: for machines that replay their log.
    pub fn for_each_batch<E: From<PartitionError>>(
        &self,
        visit: &mut dyn FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let bounds = self.bounds()?;
        let state = self.state.lock();
        for batch in Self::open_log(&state)?.scan(bounds.start, bounds.end) {
            visit(batch.map_err(|error| storage_failed(&error))?)?;
        }
        Ok(())
    }
}
