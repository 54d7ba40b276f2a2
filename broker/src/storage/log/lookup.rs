//! Looking up offsets by time.

use tidemark_protocol::records::{BatchView, Records};

use super::Log;
use crate::storage::error::{At, StorageError};
use crate::storage::segment::{Located, Segment};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// The most a batch may unpack to while one of its records is looked for. A batch that unpacks to
/// more was accepted by nobody's limits and is reported as damaged.
const MAX_UNPACKED: usize = 256 << 20;

/// A record found by time: its timestamp, its offset, and its leader epoch if the batch has one.
pub type TimestampOffset = (Timestamp, Offset, Option<LeaderEpoch>);

impl Log {
    /// The first record at or after the log start whose timestamp is `target` or later; `None` if
    /// there is none below `upper`.
    pub fn offset_for_timestamp(
        &self,
        target: Timestamp,
        upper: Offset,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        for (index, segment) in self
            .segments
            .iter()
            .enumerate()
            .skip(self.segment_of(self.start))
        {
            if segment.base >= upper {
                break;
            }
            let largest = segment
                .max_timestamp
                .map_or(-1, |(timestamp, _)| timestamp.0);
            if largest < target.0 || self.segment_end(index) <= self.start {
                continue;
            }
            let wanted = |timestamp: Timestamp| timestamp >= target;
            let from = segment.times.lookup(target)?.max(self.start);
            let mut scan = segment.headers(position_of(segment, from)?);
            while let Some(batch) = scan.next()? {
                if batch.header.base_offset >= upper.0 {
                    return Ok(None);
                }
                let may_hold = batch.header.max_timestamp >= target.0
                    && batch.header.last_offset() >= self.start.0;
                if may_hold && let Some(found) = self.first_in(segment, &batch, &wanted)? {
                    return Ok((found.1 < upper).then_some(found));
                }
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp between the log start and `upper`; `None` if no
    /// record there has a timestamp.
    pub fn max_timestamp(&self, upper: Offset) -> Result<Option<TimestampOffset>, StorageError> {
        let mut best: Option<(usize, Timestamp)> = None;
        for index in self.segment_of(self.start)..self.segments.len() {
            let largest = self.largest_in(index, upper)?;
            if let Some(largest) = largest
                && best.is_none_or(|(_, known)| largest > known)
            {
                best = Some((index, largest));
            }
        }
        let Some((index, largest)) = best else {
            return Ok(None);
        };
        let Some(segment) = self.segments.get(index) else {
            return Ok(None);
        };
        let wanted = |timestamp: Timestamp| timestamp >= largest;
        // An entry for the largest timestamp itself names the batch that has it.
        let from = segment
            .times
            .lookup(Timestamp(largest.0.saturating_sub(1)))?
            .max(self.start);
        let mut scan = segment.headers(position_of(segment, from)?);
        while let Some(batch) = scan.next()? {
            if batch.header.base_offset >= upper.0 {
                break;
            }
            let may_hold = batch.header.max_timestamp >= largest.0
                && batch.header.last_offset() >= self.start.0;
            if may_hold && let Some(found) = self.first_in(segment, &batch, &wanted)? {
                return Ok((found.1 < upper).then_some(found));
            }
        }
        Ok(None)
    }

    /// The largest timestamp of a segment's records between the log start and `upper`. Known
    /// without a look at the file unless one of the bounds, or the answer, lies inside.
    fn largest_in(&self, index: usize, upper: Offset) -> Result<Option<Timestamp>, StorageError> {
        let Some(segment) = self.segments.get(index) else {
            return Ok(None);
        };
        let inside = segment.base >= self.start && self.segment_end(index) <= upper;
        let Some((largest, _)) = segment.max_timestamp else {
            return Ok(None);
        };
        if inside {
            return Ok(Some(largest));
        }
        let mut found = None;
        let mut scan = segment.headers(position_of(segment, self.start)?);
        while let Some(batch) = scan.next()? {
            if batch.header.base_offset >= upper.0 {
                break;
            }
            if batch.header.last_offset() < self.start.0 || batch.header.max_timestamp < 0 {
                continue;
            }
            let mut candidate = Timestamp(batch.header.max_timestamp);
            if batch.header.base_offset < self.start.0 {
                // Part of the batch is gone, and with it perhaps the record that has the maximum.
                match self
                    .times_in(segment, &batch)?
                    .into_iter()
                    .map(|(t, _)| t)
                    .max()
                {
                    Some(largest) => candidate = largest,
                    None => continue,
                }
            }
            found = found.max(Some(candidate));
        }
        Ok(found)
    }

    /// The first record of a batch, at or after the log start, with a wanted timestamp.
    fn first_in(
        &self,
        segment: &Segment,
        batch: &Located,
        wanted: &dyn Fn(Timestamp) -> bool,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        let epoch = batch.header.partition_leader_epoch;
        let epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
        let times = self.times_in(segment, batch)?;
        let first = times.into_iter().find(|(timestamp, _)| wanted(*timestamp));
        Ok(first.map(|(timestamp, offset)| (timestamp, offset, epoch)))
    }

    /// Timestamp and offset of each record of a batch, at or after the log start.
    fn times_in(
        &self,
        segment: &Segment,
        batch: &Located,
    ) -> Result<Vec<(Timestamp, Offset)>, StorageError> {
        let damaged =
            |what: String| StorageError::corrupt(&segment.path, u64::from(batch.position), what);
        let mut bytes = vec![0; batch.size() as usize];
        let at = u64::from(batch.position);
        segment
            .file
            .read_exact_at(&mut bytes, at)
            .at(&segment.path, "read")?;
        let view = BatchView::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        let section = view
            .uncompressed_records(MAX_UNPACKED)
            .map_err(|error| damaged(error.to_string()))?;
        let mut times = Vec::new();
        for record in Records::new(&section, view.header().records_count) {
            let record = record.map_err(|error| damaged(error.to_string()))?;
            let offset = Offset(view.header().base_offset).plus(i64::from(record.offset_delta));
            if offset >= self.start {
                times.push((
                    Timestamp(view.record_timestamp(record.timestamp_delta)),
                    offset,
                ));
            }
        }
        Ok(times)
    }
}

fn position_of(segment: &Segment, offset: Offset) -> Result<u32, StorageError> {
    Ok(segment
        .locate(offset)?
        .map_or(segment.size, |batch| batch.position))
}
