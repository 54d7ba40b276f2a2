//! Bringing the producers' state back at start: the newest good snapshot, then the batches after
//! it (Kafka's `UnifiedLog.rebuildProducerState`).

use std::collections::BTreeMap;

use tidemark_protocol::records::BatchHeader;

use super::Log;
use super::append::marker_in;
use crate::storage::error::{At, StorageError};
use crate::storage::names::{Kind, file_path};
use crate::storage::producers::{BATCHES_KEPT, Producers, snapshot};
use crate::storage::segment::{Located, Segment};
use crate::types::{Now, Offset};

/// How far before a snapshot the batches are looked at again. A snapshot holds one batch per
/// producer, but a client that lost the answers to its five batches in flight sends all of them
/// again after a restart. (Kafka looks no further than the snapshot.)
const REFILL_BYTES: u32 = 16 << 20;

impl Log {
    /// Rebuilds the producers' state. Returns the snapshots that were unusable.
    pub(super) fn load_producers(&mut self, now: Now) -> Result<Vec<String>, StorageError> {
        let mut notes = Vec::new();
        let mut from = self.start;
        while let Some(offset) = self.snapshots.last().copied() {
            let path = file_path(&self.dir, offset, Kind::Snapshot);
            let content = self.disk.read(&path).at(&path, "read")?;
            let damaged = match snapshot::decode(&content) {
                Ok(producers) if offset <= self.end => {
                    self.producers = producers;
                    from = offset;
                    break;
                }
                Ok(_) => "lies past the log end".to_owned(),
                Err(what) => what,
            };
            notes.push(format!("{}: {damaged}", path.display()));
            self.disk.remove_file(&path).at(&path, "remove")?;
            self.dirty.dir(self.dir.clone());
            self.snapshots.remove(&offset);
        }
        // Before the replay, as in Kafka: whoever wrote after the snapshot may still send it again,
        // whatever timestamps it gave to its records.
        self.expire_producers(now);
        if !self.producers.is_empty() {
            self.refill(from)?;
        }
        self.replay(from)?;
        Ok(notes)
    }

    /// Forgets producers whose last record is older than `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Now) {
        self.producers
            .expire(now.wall, self.config.producer_id_expiration_ms);
    }

    /// Finds the batches before `until` that the snapshot there does not hold.
    fn refill(&mut self, until: Offset) -> Result<(), StorageError> {
        let mut newest: BTreeMap<i64, Vec<BatchHeader>> = BTreeMap::new();
        let mut left = REFILL_BYTES;
        let first = self.segment_of(Offset(until.0.saturating_sub(1)));
        for segment in self.segments.get(..=first).unwrap_or_default().iter().rev() {
            let end = segment
                .locate(until)?
                .map_or(segment.size, |batch| batch.position);
            let from = segment.position_at_or_before(end.saturating_sub(left))?;
            let mut found: BTreeMap<i64, Vec<BatchHeader>> = BTreeMap::new();
            let mut scan = segment.headers(from);
            while let Some(batch) = scan.next()?.filter(|batch| batch.position < end) {
                if batch.header.has_producer_id() {
                    let batches = found.entry(batch.header.producer_id).or_default();
                    batches.push(batch.header);
                    // Enough for the window, and the one batch that is in the snapshot.
                    if batches.len() > BATCHES_KEPT {
                        batches.remove(0);
                    }
                }
            }
            for (producer, batches) in found {
                newest
                    .entry(producer)
                    .or_default()
                    .extend(batches.into_iter().rev());
            }
            left = left.saturating_sub(end.saturating_sub(from));
            if left == 0 {
                break;
            }
        }
        for header in newest.values().flatten() {
            self.producers.refill(header);
        }
        Ok(())
    }

    /// Takes in every batch from `from` on.
    fn replay(&mut self, from: Offset) -> Result<(), StorageError> {
        if from >= self.end {
            return Ok(());
        }
        for segment in self
            .segments
            .get(self.segment_of(from)..)
            .unwrap_or_default()
        {
            let Some(first) = segment.locate(from)? else {
                continue;
            };
            let mut scan = segment.headers(first.position);
            while let Some(batch) = scan.next()? {
                apply(&mut self.producers, segment, &batch)?;
            }
        }
        Ok(())
    }
}

fn apply(
    producers: &mut Producers,
    segment: &Segment,
    batch: &Located,
) -> Result<(), StorageError> {
    let mut marker = None;
    if batch.header.is_control() {
        let mut bytes = vec![0; batch.size() as usize];
        let at = u64::from(batch.position);
        segment
            .file
            .read_exact_at(&mut bytes, at)
            .at(&segment.path, "read")?;
        marker = marker_in(&batch.header, &bytes);
    }
    producers.apply(&batch.header, marker);
    Ok(())
}
