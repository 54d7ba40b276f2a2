//! Appending and rolling.

use tidemark_protocol::records::{BatchHeader, BatchView, EndTxnMarker, Records};

use super::Log;
use crate::storage::error::{At, StorageError};
use crate::storage::names::{Kind, file_path};
use crate::storage::producers::snapshot;
use crate::storage::segment::Segment;
use crate::types::{LeaderEpoch, Now, Offset, Position, Timestamp};

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The log end after it.
    pub end: Offset,
    /// The base offset of the segment it is in.
    pub segment_base: Offset,
    /// Where it begins in that segment's file.
    pub position: Position,
    /// Whether it went to a new segment.
    pub rolled: bool,
}

impl Log {
    /// Appends one v2 batch as it came: its base offset becomes the log end, its leader epoch
    /// `epoch`; both lie outside the CRC, all other bytes stay. `header` is that of `batch`, which
    /// the caller has validated. After an error the log ends where it did.
    pub fn append(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        epoch: LeaderEpoch,
        now: Now,
    ) -> Result<Appended, StorageError> {
        self.check_online()?;
        let size = check_batch(header, batch)?;
        let placed = BatchHeader {
            base_offset: self.end.0,
            partition_leader_epoch: epoch.0,
            ..*header
        };
        let last = Offset(placed.last_offset());
        if last.0 == i64::MAX {
            return Err(StorageError::InvalidBatch {
                what: "no offsets are left".to_owned(),
            });
        }
        let timestamp = Timestamp(placed.max_timestamp);
        let (config, seed) = (&self.config, self.seed);
        let rolled = self
            .active()
            .must_roll(size, last, timestamp, now.wall, config, seed);
        if rolled {
            self.roll_active(now)?;
        }
        let head = header.patched(placed.base_offset, epoch.0);
        let active = self
            .segments
            .last_mut()
            .expect("a log has a segment from open on");
        let position = Position(active.size);
        active.write(&head, batch)?;
        active.account(&placed, &self.config);
        active.modified = now.wall;
        let segment_base = active.base;
        self.end = Offset(placed.next_offset());
        self.epochs.assign(epoch, Offset(placed.base_offset));
        self.producers.apply(&placed, marker_in(&placed, batch));
        let base = Offset(placed.base_offset);
        Ok(Appended {
            base,
            last,
            end: self.end,
            segment_base,
            position,
            rolled,
        })
    }

    /// Starts a new segment at the log end, unless the active one is empty.
    pub fn roll(&mut self, now: Now) -> Result<(), StorageError> {
        self.check_online()?;
        if self.active().size == 0 {
            Ok(())
        } else {
            self.roll_active(now)
        }
    }

    /// Makes the new segment and the producers' snapshot first, so that a failure leaves the old
    /// segment in use.
    fn roll_active(&mut self, now: Now) -> Result<(), StorageError> {
        if self.active().base == self.end {
            return Ok(());
        }
        let new = Segment::create(&self.disk, &self.dir, self.end, &self.config, now.wall)?;
        let made = self.take_snapshot().and_then(|()| self.active_mut().seal());
        match made {
            Ok(files) => {
                self.dirty.files(files);
                self.dirty.file(new.file.clone());
                self.dirty.dir(self.dir.clone());
                self.segments.push(new);
                Ok(())
            }
            Err(error) => {
                // Left behind, the empty file would end the log early at the next start; its
                // removal must be durable before the recovery point moves past it.
                if let Err(kept) = self.disk.remove_file(&new.path) {
                    self.fail(format!("{} cannot be removed: {kept}", new.path.display()));
                }
                self.dirty.dir(self.dir.clone());
                Err(error)
            }
        }
    }

    /// Writes the producers' state at the log end, to be synced with the next flush.
    pub(super) fn take_snapshot(&mut self) -> Result<(), StorageError> {
        let nothing_to_say = self.producers.is_empty() && self.end == self.start;
        if nothing_to_say || self.snapshots.contains(&self.end) {
            return Ok(());
        }
        let path = file_path(&self.dir, self.end, Kind::Snapshot);
        let content = snapshot::encode(&self.producers);
        let file = self
            .disk
            .open(&path, crate::environment::disk::OpenMode::Create)
            .at(&path, "make")?;
        file.set_len(0).at(&path, "cut")?;
        file.write_all_at(&mut [std::io::IoSlice::new(&content)], 0)
            .at(&path, "write")?;
        self.snapshots.insert(self.end);
        self.dirty.file(file);
        self.dirty.dir(self.dir.clone());
        Ok(())
    }
}

fn check_batch(header: &BatchHeader, batch: &[u8]) -> Result<u32, StorageError> {
    let invalid = |what: String| Err(StorageError::InvalidBatch { what });
    if batch.len() != header.size_in_bytes() {
        return invalid(format!(
            "{} bytes, its header says {}",
            batch.len(),
            header.size_in_bytes()
        ));
    }
    if header.last_offset_delta < 0 {
        return invalid(format!(
            "its last offset delta is {}",
            header.last_offset_delta
        ));
    }
    match u32::try_from(batch.len()) {
        Ok(size) if size <= crate::storage::config::MAX_SEGMENT_BYTES => Ok(size),
        _ => invalid(format!("{} bytes fit no segment", batch.len())),
    }
}

/// What a control batch says about its producer's transaction; `None` for all other batches.
pub(super) fn marker_in(header: &BatchHeader, batch: &[u8]) -> Option<EndTxnMarker> {
    if !header.is_control() {
        return None;
    }
    let view = BatchView::parse(batch).ok()?;
    let record = Records::new(view.records_bytes(), header.records_count)
        .next()?
        .ok()?;
    EndTxnMarker::parse(&record).ok()
}
