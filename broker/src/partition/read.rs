//! The way out: reads, look-ups by time, epochs.

use bytes::Bytes;
use tidemark_protocol::error::ErrorCode;

use super::{Bounds, Isolation, Partition, PartitionError, storage_failed};
use crate::storage::{
    self, Available, Log, LogAccess, LogSlice, Reach, StorageError, TimestampOffset, Wish,
};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// Why a look at the log found nothing out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It was to look at what is in memory, and that is on the disk.
    Cold,
    /// It failed.
    Failed(PartitionError),
}

impl From<PartitionError> for Miss {
    fn from(error: PartitionError) -> Self {
        Self::Failed(error)
    }
}

impl From<StorageError> for Miss {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotInMemory { .. } => Self::Cold,
            error => Self::Failed(storage_failed(&error)),
        }
    }
}

impl From<Miss> for PartitionError {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Cold => Self::new(ErrorCode::KafkaStorageError, "the log is not in memory"),
            Miss::Failed(error) => error,
        }
    }
}

impl LogAccess for Partition {
    type Error = Miss;

    fn look<T>(&self, look: impl FnOnce(&Log) -> Result<T, StorageError>) -> Result<T, Miss> {
        let state = self.state.lock();
        Ok(look(Self::open_log(&state)?)?)
    }
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
        reach: Reach,
    ) -> Result<Option<LogSlice>, Miss> {
        let wish = Wish {
            from,
            upper: self.bounds()?.upper(isolation),
            max_bytes,
            min_one,
        };
        storage::find_slice(self, &wish, reach)
    }

    /// How much a read from `from` would find. Asked each time a parked fetch wakes.
    pub fn available(
        &self,
        from: Offset,
        isolation: Isolation,
        reach: Reach,
    ) -> Result<Available, Miss> {
        let upper = self.bounds()?.upper(isolation);
        storage::find_available(self, from, upper, reach)
    }

    /// The first record below `isolation`'s bound with a timestamp of at least `target`. Waits for
    /// the disk.
    pub fn offset_for_timestamp(
        &self,
        target: Timestamp,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, PartitionError> {
        let upper = self.bounds()?.upper(isolation);
        Ok(storage::offset_for_timestamp(self, target, upper)?)
    }

    /// The first record with the largest timestamp. Waits for the disk.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, PartitionError> {
        let upper = self.bounds()?.high_watermark;
        Ok(storage::max_timestamp(self, upper)?)
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
