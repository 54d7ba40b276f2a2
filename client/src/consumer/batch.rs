//! What a consumer reads: raw batches, borrowed from the received buffer and decoded when asked,
//! and the records in them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::records::{
    BatchError, BatchHeader, BatchView, Compression, Headers, RecordError, RecordView, Records,
    TimestampType,
};

use super::error::ConsumerError;
use super::fetcher::Position;
use crate::topic_partition::TopicPartition;

/// The most bytes that one batch may unpack to: what the broker accepts, and Kafka's own limit of a
/// batch by far.
pub const MAX_UNPACKED: usize = 100 * 1024 * 1024;

/// One batch as the broker sent it (Kafka: `DefaultRecordBatch`, KIP-98); one of an older format
/// was made anew as such a batch. Holds a reference to the received buffer, not a copy; that buffer
/// lives until its last batch and record are dropped.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(super) bytes: Bytes,
    pub(super) header: BatchHeader,
    /// Records below it were asked for by nobody: the fetch offset lay inside the batch.
    pub(super) from: i64,
}

impl Batch {
    /// Offset, timestamps, producer and the rest of the header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch with its header, byte for byte as it lies in the log; one of an older format
    /// as it was made anew.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Offset of the first record that is to be read: the batch's base offset, or a later one if
    /// the consumer's position lay inside of the batch.
    #[must_use]
    pub fn first_offset(&self) -> i64 {
        self.header.base_offset.max(self.from)
    }

    /// The offset behind the batch.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.header.next_offset()
    }

    /// The batch to be read from that offset on, if it is one of the batch's: for whoever keeps
    /// batches, and for tests.
    #[must_use]
    pub fn starting_at(mut self, offset: i64) -> Self {
        self.from = offset;
        self
    }

    /// Decodes the records section: nothing to do, and no copy, unless it is compressed.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Corrupt`] if the batch does not decompress, or would unpack to more than
    /// [`MAX_UNPACKED`].
    pub fn decode(&self, partition: &TopicPartition) -> Result<Section<'_>, ConsumerError> {
        let failed = |reason: String| ConsumerError::Corrupt {
            partition: partition.clone(),
            offset: self.first_offset(),
            next_offset: Some(self.next_offset()),
            reason,
        };
        let view = BatchView::parse(&self.bytes).map_err(|error| failed(error.to_string()))?;
        let section = view
            .uncompressed_records(MAX_UNPACKED)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Section {
            section,
            header: self.header,
            from: self.from,
        })
    }

    /// A batch from its bytes, as [`Self::bytes`] gives them: for whoever keeps batches, and for tests.
    /// The CRC is not checked.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the bytes are not one whole batch.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchView::parse(&bytes)?.header();
        Ok(Self {
            bytes: bytes.slice(..header.size_in_bytes()),
            header,
            from: header.base_offset,
        })
    }

    /// Reads the records one by one, unpacked, from [`Self::first_offset`] on. Unlike a [`Section`]
    /// the reader owns what it reads, so it can be kept.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn reader(&self, partition: &TopicPartition) -> Result<BatchReader, ConsumerError> {
        let open = OpenBatch::new(self).map_err(|reason| ConsumerError::Corrupt {
            partition: partition.clone(),
            offset: self.first_offset(),
            next_offset: Some(self.next_offset()),
            reason,
        })?;
        Ok(BatchReader(open))
    }

    pub(super) fn validate_crc(&self) -> Result<(), String> {
        let view = BatchView::parse(&self.bytes).map_err(|error| error.to_string())?;
        view.validate_crc().map_err(|error| error.to_string())
    }
}

/// The records of a batch, uncompressed.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    section: Cow<'a, [u8]>,
    header: BatchHeader,
    from: i64,
}

impl Section<'_> {
    /// The records in order, from [`Batch::first_offset`] on. An error ends the iteration: the
    /// batch is not what its header says.
    pub fn records(&self) -> SectionRecords<'_> {
        SectionRecords {
            records: Records::new(&self.section, self.header.records_count),
            times: Times::of(&self.header),
            from: self.from,
        }
    }
}

/// How a batch's header places its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
}

impl Times {
    pub(super) fn of(header: &BatchHeader) -> Self {
        Self {
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time: match header.timestamp_type() {
                TimestampType::LogAppendTime => Some(header.max_timestamp),
                TimestampType::CreateTime => None,
            },
        }
    }

    /// Deltas come from outside: they wrap as Java's do.
    #[inline]
    fn offset(&self, record: &RecordView<'_>) -> i64 {
        self.base_offset
            .wrapping_add(i64::from(record.offset_delta))
    }

    #[inline]
    fn timestamp(&self, record: &RecordView<'_>) -> i64 {
        match self.log_append_time {
            Some(time) => time,
            None => self.base_timestamp.wrapping_add(record.timestamp_delta),
        }
    }

    fn timestamp_type(&self) -> TimestampType {
        match self.log_append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        }
    }
}

/// Iterator over the records of a [`Section`].
#[derive(Clone, Debug)]
pub struct SectionRecords<'a> {
    records: Records<'a>,
    times: Times,
    from: i64,
}

impl<'a> Iterator for SectionRecords<'a> {
    type Item = Result<RecordRef<'a>, tidemark_protocol::records::RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let offset = self.times.offset(&record);
            if offset >= self.from {
                let timestamp = self.times.timestamp(&record);
                return Some(Ok(RecordRef {
                    offset,
                    timestamp,
                    record,
                }));
            }
        }
    }
}

/// One record, borrowed from its batch (Kafka: `Record`).
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970 (UTC), -1 for none.
    pub timestamp: i64,
    record: RecordView<'a>,
}

impl<'a> RecordRef<'a> {
    /// The key; `None` is null, which is not the same as empty.
    #[must_use]
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key
    }

    /// The value; `None` is null, a tombstone on compacted topics.
    #[must_use]
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.record.value
    }

    /// The headers in the order in which they were written; a key may come more than once.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.record.headers()
    }

    /// Number of headers.
    #[must_use]
    #[inline]
    pub fn header_count(&self) -> usize {
        self.record.header_count()
    }
}

/// Reads the records of one [`Batch`].
#[derive(Debug)]
pub struct BatchReader(OpenBatch);

impl BatchReader {
    /// The next record, and the buffer that its key, value and headers lie in; `None` when there are
    /// no more. An error ends the batch: it is not what its header says.
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "the record is borrowed from the reader"
    )]
    pub fn next(&mut self) -> Option<Result<(RecordRef<'_>, &Bytes), RecordError>> {
        let open = &mut self.0;
        while open.left > 0 {
            let rest = open.section.get(open.at..).unwrap_or_default();
            let mut records = Records::new(rest, open.left);
            let record = match records.next()? {
                Ok(record) => record,
                Err(error) => {
                    open.left = 0;
                    return Some(Err(error));
                }
            };
            open.left -= 1;
            open.at += records.position();
            let offset = open.times.offset(&record);
            if offset >= open.from {
                let timestamp = open.times.timestamp(&record);
                let record = RecordRef {
                    offset,
                    timestamp,
                    record,
                };
                return Some(Ok((record, &open.section)));
            }
        }
        None
    }
}

/// Batches of one partition that came with one fetch (Kafka: `ConsumerRecords` of one partition).
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where they are from.
    pub partition: TopicPartition,
    /// The batches in order; control batches and, under read_committed, those of aborted
    /// transactions are left out.
    pub batches: Vec<Batch>,
    /// The consumer's position behind them. It may lie behind the last batch: batches that are left
    /// out count too.
    pub next_offset: i64,
    /// The high watermark when they were read: the offset behind the last record that consumers may
    /// see.
    pub high_watermark: i64,
    /// The last stable offset: all transactions below it have ended. -1 where the broker does not
    /// tell.
    pub last_stable_offset: i64,
    /// The first offset that the partition still has, -1 where the broker does not tell.
    pub log_start_offset: i64,
}

/// One record with all that belongs to it (Kafka: `ConsumerRecord`). Key, value and headers are
/// slices of the received buffer, not copies (of the unpacked one, if the batch was compressed):
/// one that is kept keeps that buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970 (UTC), -1 for none.
    pub timestamp: i64,
    /// Who set the timestamp: the producer or the broker.
    pub timestamp_type: TimestampType,
    /// The leader epoch under which it was appended (KIP-320); -1 for none.
    pub leader_epoch: i32,
    /// The key; `None` is null, which is not the same as empty.
    pub key: Option<Bytes>,
    /// The value; `None` is null, a tombstone on compacted topics.
    pub value: Option<Bytes>,
    /// The headers in the order in which they were written; a key may come more than once.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Reads the records of one fetch one after the other.
#[derive(Debug)]
pub(super) struct RecordCursor {
    fetched: Fetched,
    /// The batch that is being read, counted from the front.
    batch: usize,
    /// Its records section and how far it has been read; `None` before it has been opened.
    open: Option<OpenBatch>,
    /// Offset behind the last record that was given out.
    position: i64,
    /// Leader epoch of that record, -1 for none.
    epoch: i32,
}

#[derive(Debug)]
struct OpenBatch {
    section: Bytes,
    at: usize,
    left: i32,
    times: Times,
    leader_epoch: i32,
    from: i64,
    next_offset: i64,
}

impl RecordCursor {
    /// `position` is the consumer's before it.
    pub(super) fn new(fetched: Fetched, position: i64) -> Self {
        Self {
            fetched,
            batch: 0,
            open: None,
            position,
            epoch: -1,
        }
    }

    pub(super) fn partition(&self) -> &TopicPartition {
        &self.fetched.partition
    }

    /// The consumer's position in the partition: behind the last record given out.
    pub(super) fn position(&self) -> Position {
        Position {
            offset: self.position,
            epoch: self.epoch,
        }
    }

    /// What has not been given out, as batches.
    pub(super) fn rest(self) -> Fetched {
        let mut fetched = self.fetched;
        fetched
            .batches
            .retain(|batch| batch.header.next_offset() > self.position);
        for batch in &mut fetched.batches {
            batch.from = batch.from.max(self.position);
        }
        fetched
    }

    /// The next record; `None` when there are no more.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Result<ConsumerRecord, ConsumerError>> {
        loop {
            if let Some(open) = &mut self.open {
                match open.next() {
                    Some(Ok(Some((offset, timestamp, key, value, headers)))) => {
                        self.position = offset.saturating_add(1);
                        self.epoch = open.leader_epoch;
                        return Some(Ok(ConsumerRecord {
                            topic: Arc::clone(&self.fetched.partition.topic),
                            partition: self.fetched.partition.partition,
                            offset,
                            timestamp,
                            timestamp_type: open.times.timestamp_type(),
                            leader_epoch: open.leader_epoch,
                            key,
                            value,
                            headers,
                        }));
                    }
                    // Below the position.
                    Some(Ok(None)) => continue,
                    Some(Err(reason)) => {
                        let error = ConsumerError::Corrupt {
                            partition: self.fetched.partition.clone(),
                            offset: self.position,
                            next_offset: Some(open.next_offset),
                            reason,
                        };
                        self.open = None;
                        self.batch = self.fetched.batches.len();
                        // Nothing behind the broken batch counts as read.
                        self.fetched.next_offset = self.position;
                        return Some(Err(error));
                    }
                    None => {
                        self.position = self.position.max(open.next_offset);
                        self.epoch = open.leader_epoch;
                        self.open = None;
                        self.batch += 1;
                    }
                }
            }
            let Some(batch) = self.fetched.batches.get(self.batch) else {
                self.position = self.position.max(self.fetched.next_offset);
                return None;
            };
            match OpenBatch::new(batch) {
                Ok(open) => self.open = Some(open),
                Err(reason) => {
                    let error = ConsumerError::Corrupt {
                        partition: self.fetched.partition.clone(),
                        offset: batch.first_offset(),
                        next_offset: Some(batch.next_offset()),
                        reason,
                    };
                    self.batch = self.fetched.batches.len();
                    self.fetched.next_offset = self.position;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Offset, timestamp, key, value and headers.
type Owned = (
    i64,
    i64,
    Option<Bytes>,
    Option<Bytes>,
    Vec<(Bytes, Option<Bytes>)>,
);

impl OpenBatch {
    fn new(batch: &Batch) -> Result<Self, String> {
        let view = BatchView::parse(&batch.bytes).map_err(|error| error.to_string())?;
        let plain = matches!(view.header().compression(), Ok(Compression::None));
        let section = if plain {
            batch.bytes.slice_ref(view.records_bytes())
        } else {
            let section = view
                .uncompressed_records(MAX_UNPACKED)
                .map_err(|error| error.to_string())?;
            Bytes::from(section.into_owned())
        };
        Ok(Self {
            section,
            at: 0,
            left: batch.header.records_count,
            times: Times::of(&batch.header),
            leader_epoch: batch.header.partition_leader_epoch,
            from: batch.from,
            next_offset: batch.header.next_offset(),
        })
    }

    #[inline]
    fn next(&mut self) -> Option<Result<Option<Owned>, String>> {
        if self.left <= 0 {
            return None;
        }
        let rest = self.section.get(self.at..).unwrap_or_default();
        let mut records = Records::new(rest, self.left);
        let record = match records.next()? {
            Ok(record) => record,
            Err(error) => {
                self.left = 0;
                return Some(Err(error.to_string()));
            }
        };
        self.left -= 1;
        let offset = self.times.offset(&record);
        let owned = (offset >= self.from).then(|| {
            let slice = |bytes: &[u8]| self.section.slice_ref(bytes);
            (
                offset,
                self.times.timestamp(&record),
                record.key.map(slice),
                record.value.map(slice),
                record
                    .headers()
                    .map(|header| (slice(header.key), header.value.map(slice)))
                    .collect(),
            )
        });
        self.at += records.position();
        Some(Ok(owned))
    }
}

#[cfg(test)]
mod tests;
