//! Looking up offsets by time.
//!
//! A look at the log picks the next segment that may hold the answer and asks its indexes, which
//! are bounded and in memory. The rest of the segment is searched without the log's lock.

use std::ops::ControlFlow;

use tidemark_protocol::records::{BatchView, Records};

use super::{Log, LogAccess};
use crate::storage::error::StorageError;
use crate::storage::segment::view::{Reach, SegmentView};
use crate::storage::segment::{Located, Segment};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// The most a batch may unpack to while one of its records is looked for. A batch that unpacks to
/// more was accepted by nobody's limits.
const MAX_UNPACKED: usize = 256 << 20;

/// A record found by time: its timestamp, its offset, and its leader epoch if the batch has one.
pub type TimestampOffset = (Timestamp, Offset, Option<LeaderEpoch>);

/// The first record at or after the log start whose timestamp is `target` or later; `None` if
/// there is none below `upper`.
///
/// A batch that cannot be unpacked answers with what its header tells: its first offset and its
/// largest timestamp. So it hides nothing behind it.
pub fn offset_for_timestamp<A: LogAccess + ?Sized>(
    access: &A,
    target: Timestamp,
    upper: Offset,
) -> Result<Option<TimestampOffset>, A::Error> {
    let mut after = None;
    loop {
        let part = access.look(|log| log.part_with(target, upper, after))?;
        let Some(part) = part else { return Ok(None) };
        match part.first(target)? {
            // Also if the segment is gone by now: the answer may lie in a later one.
            None => after = Some(part.segment.base),
            Some(found) => {
                let start = access.look(|log| Ok(log.start))?;
                if found.1 >= start {
                    return Ok(Some(found));
                }
                // The record has been deleted meanwhile: once more, from the new start on.
            }
        }
    }
}

/// The first record with the largest timestamp between the log start and `upper`; `None` if no
/// record there has a timestamp.
pub fn max_timestamp<A: LogAccess + ?Sized>(
    access: &A,
    upper: Offset,
) -> Result<Option<TimestampOffset>, A::Error> {
    loop {
        let tops = access.look(|log| log.tops(upper))?;
        let Some(largest) = tops.largest()? else {
            return Ok(None);
        };
        if let Some(found) = offset_for_timestamp(access, largest, upper)? {
            return Ok(Some(found));
        }
        // Either the record has been deleted meanwhile, and another one is the largest; or a
        // header tells of a time that none of its records has.
        if access.look(|log| Ok(log.start))? == tops.start {
            return Ok(None);
        }
    }
}

/// A segment, or what the bounds leave of it, to be searched.
struct Part {
    segment: SegmentView,
    /// No record before it is wanted.
    from: Offset,
    /// Where the search for that offset may begin.
    hint: u32,
    /// Where the log began when the part was picked.
    start: Offset,
    upper: Offset,
}

/// What is known of the largest timestamps.
struct Tops {
    /// Of segments whose largest one lies between the bounds.
    known: Option<Timestamp>,
    /// Segments whose largest one (given here) lies outside, or may do so.
    open: Vec<(Timestamp, Part)>,
    start: Offset,
}

impl Log {
    /// See [`offset_for_timestamp`].
    pub fn offset_for_timestamp(
        &self,
        target: Timestamp,
        upper: Offset,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        offset_for_timestamp(self, target, upper)
    }

    /// See [`max_timestamp`].
    pub fn max_timestamp(&self, upper: Offset) -> Result<Option<TimestampOffset>, StorageError> {
        max_timestamp(self, upper)
    }

    /// The first segment, of those after the one at `after`, that may have a record with a
    /// timestamp of `target` or later.
    fn part_with(
        &self,
        target: Timestamp,
        upper: Offset,
        after: Option<Offset>,
    ) -> Result<Option<Part>, StorageError> {
        let first = match after {
            None => self.segment_of(self.start),
            Some(after) => self.segments.partition_point(|next| next.base <= after),
        };
        for (index, segment) in self.segments.iter().enumerate().skip(first) {
            if segment.base >= upper {
                break;
            }
            let largest = segment
                .max_timestamp
                .map_or(-1, |(timestamp, _)| timestamp.0);
            if largest >= target.0 && self.segment_end(index) > self.start {
                let from = segment.times.lookup(target)?;
                return self.part(segment, from, upper).map(Some);
            }
        }
        Ok(None)
    }

    fn part(&self, segment: &Segment, from: Offset, upper: Offset) -> Result<Part, StorageError> {
        let from = from.max(self.start);
        Ok(Part {
            segment: segment.view(),
            from,
            hint: segment.hint(from)?,
            start: self.start,
            upper,
        })
    }

    /// What the segments' largest timestamps tell about those between the log start and `upper`.
    fn tops(&self, upper: Offset) -> Result<Tops, StorageError> {
        let mut tops = Tops {
            known: None,
            open: Vec::new(),
            start: self.start,
        };
        let segments = self.segments.iter().skip(self.segment_of(self.start));
        for segment in segments.take_while(|segment| segment.base < upper) {
            let Some((largest, last)) = segment.max_timestamp else {
                continue;
            };
            if segment.base >= self.start && last < upper {
                tops.known = tops.known.max(Some(largest));
            } else {
                let part = self.part(segment, segment.base, upper)?;
                tops.open.push((largest, part));
            }
        }
        Ok(tops)
    }
}

impl Tops {
    fn largest(&self) -> Result<Option<Timestamp>, StorageError> {
        let mut largest = self.known;
        for (at_most, part) in &self.open {
            if largest.is_none_or(|largest| largest < *at_most) {
                largest = largest.max(part.largest()?);
            }
        }
        Ok(largest)
    }
}

impl Part {
    /// The batches that may have records of this part.
    fn visit(
        &self,
        mut visit: impl FnMut(&Located) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        let from = self.segment.locate(self.from, self.hint, Reach::Disk)?;
        let Some(from) = from else { return Ok(()) };
        let mut scan = self.segment.headers(from.position, Reach::Disk);
        while let Some(batch) = scan.next()? {
            if batch.header.base_offset >= self.upper.0 {
                break;
            }
            if batch.header.last_offset() >= self.start.0 && visit(&batch)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The first record whose timestamp is `target` or later.
    fn first(&self, target: Timestamp) -> Result<Option<TimestampOffset>, StorageError> {
        let mut found = None;
        self.visit(|batch| {
            if batch.header.max_timestamp >= target.0 {
                found = self.first_in(batch, target)?;
            }
            Ok(match found {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            })
        })?;
        Ok(found.filter(|(_, offset, _)| *offset < self.upper))
    }

    fn first_in(
        &self,
        batch: &Located,
        target: Timestamp,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        let epoch = batch.header.partition_leader_epoch;
        let epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
        let mut first = None;
        let walked = self.each_record(batch, |timestamp, offset| {
            if timestamp < target {
                return ControlFlow::Continue(());
            }
            first = Some((timestamp, offset, epoch));
            ControlFlow::Break(())
        })?;
        Ok(match walked {
            Ok(()) => first,
            Err(Damaged) => {
                let offset = Offset(batch.header.base_offset).max(self.start);
                Some((Timestamp(batch.header.max_timestamp), offset, epoch))
            }
        })
    }

    /// The largest timestamp.
    fn largest(&self) -> Result<Option<Timestamp>, StorageError> {
        let mut largest = None;
        self.visit(|batch| {
            let mut of_batch =
                Some(Timestamp(batch.header.max_timestamp)).filter(|timestamp| timestamp.0 >= 0);
            if of_batch.is_some() && batch.header.base_offset < self.start.0 {
                // Part of the batch is gone, and with it perhaps the record that has the largest.
                let mut left = None;
                let walked = self.each_record(batch, |timestamp, _| {
                    left = left.max(Some(timestamp));
                    ControlFlow::Continue(())
                })?;
                if walked.is_ok() {
                    of_batch = left;
                }
            }
            largest = largest.max(of_batch);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(largest)
    }

    /// Hands timestamp and offset of each record of a batch, at or after the log start, to `visit`
    /// until it has seen enough.
    fn each_record(
        &self,
        batch: &Located,
        mut visit: impl FnMut(Timestamp, Offset) -> ControlFlow<()>,
    ) -> Result<Result<(), Damaged>, StorageError> {
        let bytes = self.segment.read(batch)?;
        let Ok(view) = BatchView::parse(&bytes) else {
            return Ok(Err(Damaged));
        };
        let Ok(section) = view.uncompressed_records(MAX_UNPACKED) else {
            return Ok(Err(Damaged));
        };
        for record in Records::new(&section, view.header().records_count) {
            let Ok(record) = record else {
                return Ok(Err(Damaged));
            };
            let offset = Offset(view.header().base_offset).plus(i64::from(record.offset_delta));
            let timestamp = Timestamp(view.record_timestamp(record.timestamp_delta));
            if offset >= self.start && visit(timestamp, offset).is_break() {
                break;
            }
        }
        Ok(Ok(()))
    }
}

/// The records of a batch cannot be read.
struct Damaged;
