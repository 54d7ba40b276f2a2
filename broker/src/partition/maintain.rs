//! What happens to a log over time: retention, timed flushes, DeleteRecords, checkpoints.

use std::sync::Arc;

use tidemark_protocol::error::ErrorCode;

use super::{Checkpoint, Partition, PartitionError, storage_failed};
use crate::storage::PendingDelete;
use crate::types::{Now, Offset};

impl Partition {
    /// Applies retention. Returns the files that are to be unlinked once their delay is over.
    pub fn maintain(&self, now: Now) -> Result<Vec<PendingDelete>, PartitionError> {
        let mut state = self.state.lock();
        let visible = state.visible_end();
        let Some(log) = state.log.as_mut() else {
            return Ok(Vec::new());
        };
        let deleted = log
            .maintain(now, visible)
            .map_err(|error| storage_failed(&error))?;
        drop(state);
        if !deleted.is_empty() {
            // Parked fetches below the new start must be answered, not left to time out.
            self.high_watermark.wake_all();
        }
        Ok(deleted)
    }

    /// Forgets producers that have been idle for `producer.id.expiration.ms` (rule 5).
    pub fn expire_producers(&self, now: Now) {
        if let Some(log) = self.state.lock().log.as_mut() {
            log.expire_producers(now);
        }
    }

    /// Asks for a sync if the log has been dirty for longer than the topic's `flush.ms`.
    pub fn flush_if_due(self: &Arc<Self>, now: Now) {
        let due = {
            let state = self.state.lock();
            state
                .dirty_since
                .is_some_and(|since| since.plus_ms(state.settings.log.flush_ms) <= now.monotonic)
        };
        if due {
            self.request_flush();
        }
    }

    /// Moves the log's start to `to` (-1: the high watermark) and returns the new start. The caller
    /// makes that durable by writing the checkpoint before it answers (rule 33).
    pub fn delete_records(&self, to: i64) -> Result<Offset, PartitionError> {
        let mut state = self.state.lock();
        let visible = state.visible_end();
        let Some(log) = state.log.as_mut() else {
            return Err(state.unavailable());
        };
        let target = if to == -1 { visible } else { Offset(to) };
        if target < Offset::ZERO || target > visible {
            return Err(PartitionError::new(
                ErrorCode::OffsetOutOfRange,
                format!(
                    "{}: cannot delete up to {to}: the high watermark is {visible}",
                    self.name
                ),
            ));
        }
        log.advance_start(target)
            .map_err(|error| storage_failed(&error))?;
        let start = log.start_offset();
        drop(state);
        self.high_watermark.wake_all();
        Ok(start)
    }

    /// What the checkpoint files should say.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let state = self.state.lock();
        let Some(log) = state.log.as_ref() else {
            return state.last_known;
        };
        Some(Checkpoint {
            recovery_point: log.last_flushed(),
            log_start: log.start_offset(),
            high_watermark: state.visible_end(),
        })
    }
}
