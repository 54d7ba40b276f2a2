//! Reads one partition of a source topic: raw batches in, typed records out (Kafka: `SourceNode` and
//! `RecordQueue`).

use std::collections::VecDeque;
use std::sync::Arc;

use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Batch, BatchReader, ConsumerError, RecordRef};

use super::Counts;
use super::repartition::Writer;
use crate::data::{Data, DataError, Payload};
use crate::dsl::Carried;
use crate::error::StreamsError;
use crate::record::chunk::{AnyChunk, typed};
use crate::record::{Headers, Record};
use crate::runtime::task::outbox::{Outbox, TopicId};
use crate::time::{TimestampExtractor, WatermarkGenerator, WatermarkStrategy};

/// So many records are decoded ahead where several partitions are read in the order of time.
const DECODE_AHEAD: usize = 256;

/// What is done with a record that does not decode, or whose timestamp is out of bounds (Kafka:
/// `DeserializationExceptionHandler`, KIP-1034).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnBadRecord {
    /// The application stops and says which record it is. The default: nothing is lost in silence.
    #[default]
    Fail,
    /// The record is counted and left out.
    Skip,
    /// The record goes to that topic as it came, with headers that say where it was and why:
    /// `tidemark.topic`, `tidemark.partition`, `tidemark.offset`, `tidemark.reason`. If its timestamp is
    /// what is bad, brokers would refuse it (`message.timestamp.after.max.ms`) or delete it at once
    /// (`retention.ms`): it gets the time of writing, and has its own in `tidemark.timestamp`. Not for
    /// global tables.
    DeadLetter(Arc<str>),
}

/// How a source reads.
pub(crate) struct SourceSpec<K, V> {
    pub(crate) decode: Arc<dyn Decode<K, V>>,
    pub(crate) watermarks: WatermarkStrategy<K, V>,
    pub(crate) on_bad_record: OnBadRecord,
    /// Timestamps outside of it make a record a bad one.
    pub(crate) bounds: (i64, i64),
    pub(crate) carried: Option<Carried<K, V>>,
    /// Whether records without a key are left out and counted: those of tables.
    pub(crate) skip_null_keys: bool,
}

/// Decodes records with their event times: one call for many of them.
pub(crate) trait Decode<K, V>: Send + Sync {
    /// Decodes until `limit` records are ready or there are no more.
    fn decode(&self, source: &mut PartitionSource<K, V>, limit: usize, cx: &mut SourceContext<'_>);
}

impl<K: Data, V: Data, T: TimestampExtractor<K, V>> Decode<K, V> for T {
    fn decode(&self, source: &mut PartitionSource<K, V>, limit: usize, cx: &mut SourceContext<'_>) {
        source.decode_by(limit, cx, |spec, record, buffer, wall| {
            read(spec, self, record, buffer, wall)
        });
    }
}

/// Records as they are in the log, at the time of the clock: for whoever reads them by their offsets.
pub(crate) struct Undecoded;

impl Decode<(), Undecided> for Undecoded {
    fn decode(
        &self,
        source: &mut PartitionSource<(), Undecided>,
        limit: usize,
        cx: &mut SourceContext<'_>,
    ) {
        source.decode_by(limit, cx, |_, record, buffer, wall| {
            Ok(Record::new((), Undecided::new(record, buffer), wall))
        });
    }
}

/// A record with its place, not decoded yet.
#[derive(Clone, Debug)]
pub(crate) struct Undecided {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<bytes::Bytes>,
    pub(crate) value: Option<bytes::Bytes>,
    pub(crate) headers: Headers,
}

impl Undecided {
    fn new(record: &RecordRef<'_>, buffer: &bytes::Bytes) -> Self {
        let slice = |bytes: &[u8]| match bytes {
            [] => bytes::Bytes::new(),
            _ => buffer.slice_ref(bytes),
        };
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key().map(slice),
            value: record.value().map(slice),
            headers: match record.header_count() {
                0 => Headers::default(),
                _ => headers(record, buffer),
            },
        }
    }
}

/// It is only ever read by [`Undecoded`].
impl Data for Undecided {
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(self.value.as_deref())
    }

    fn decode(_payload: Payload<'_>) -> Result<Self, DataError> {
        Err(DataError::new("a record without its place"))
    }

    fn format() -> std::borrow::Cow<'static, str> {
        "".into()
    }
}

/// One partition of a source, as the task sees it.
pub(crate) trait Source: Send {
    /// Takes fetched batches in.
    fn add(&mut self, batches: Vec<Batch>, next_offset: i64);

    /// About how many records wait, and how many bytes.
    fn waiting(&self) -> (usize, usize);

    /// The timestamp of the next record, if there is one.
    fn head(&mut self, cx: &mut SourceContext<'_>) -> Option<i64>;

    /// Moves the next records, at most `limit` and none later than `until`, to `chunk`, each with the
    /// watermark in front of it.
    fn take(
        &mut self,
        limit: usize,
        until: i64,
        chunk: &mut dyn AnyChunk,
        cx: &mut SourceContext<'_>,
    );

    /// The offset of the record that was taken last.
    fn last_taken(&self) -> i64;

    /// The offset of the next record that is to be processed.
    fn position(&self) -> i64;

    /// Where to begin: an offset, and the watermark as it was there.
    fn seek(&mut self, offset: i64, watermark: i64);

    /// What each task that writes the topic had told there.
    fn restore_writers(&mut self, told: &[(Writer, i64, bool)]);

    /// Whether all tasks that write the topic have said that they are idle.
    fn is_idle(&self) -> bool;

    /// The partition's watermark.
    fn watermark(&self) -> i64;
}

/// What a source works with.
pub(crate) struct SourceContext<'a> {
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counts: &'a mut Counts,
    pub(crate) failed: &'a mut Option<StreamsError>,
    /// The wall clock, in milliseconds since 1970.
    pub(crate) wall: i64,
    /// The smallest watermark of the task's other partitions.
    pub(crate) others: i64,
    /// The task's watermark, which never goes back.
    pub(crate) watermark: &'a mut i64,
}

/// The records of one partition.
pub(crate) struct PartitionSource<K, V> {
    spec: Arc<SourceSpec<K, V>>,
    partition: TopicPartition,
    dead_letters: Option<TopicId>,
    generator: WatermarkGenerator<K, V>,
    input: VecDeque<Input>,
    reader: Option<Reading>,
    /// Decoded records that are still to be processed, and their offsets.
    ready: VecDeque<Record<K, V>>,
    offsets: VecDeque<i64>,
    last_taken: i64,
    /// Offset behind everything decoded, skipped records included.
    decoded: i64,
    /// Records and bytes of batches that have not been opened.
    waiting_records: usize,
    waiting_bytes: usize,
}

/// The batch that is being read.
struct Reading {
    reader: BatchReader,
    /// The offset behind it.
    behind: i64,
    /// At most so many of its records are still to come: reading may begin within it, so that some
    /// never do.
    left: usize,
}

enum Input {
    Batch(Batch),
    /// Nothing is to be read below this offset.
    Upto(i64),
}

impl<K: Data, V: Data> PartitionSource<K, V> {
    pub(crate) fn new(
        spec: Arc<SourceSpec<K, V>>,
        partition: TopicPartition,
        dead_letters: Option<TopicId>,
        writers: usize,
    ) -> Self {
        let generator = match spec.carried {
            Some(carried) => WatermarkGenerator::new(carried(writers)),
            None => spec.watermarks.generator(),
        };
        Self {
            spec,
            partition,
            dead_letters,
            generator,
            input: VecDeque::new(),
            reader: None,
            ready: VecDeque::new(),
            offsets: VecDeque::new(),
            last_taken: -1,
            decoded: 0,
            waiting_records: 0,
            waiting_bytes: 0,
        }
    }

    fn decode(&mut self, limit: usize, cx: &mut SourceContext<'_>) {
        let spec = Arc::clone(&self.spec);
        spec.decode.decode(self, limit, cx);
    }

    fn decode_by(
        &mut self,
        limit: usize,
        cx: &mut SourceContext<'_>,
        read: impl Fn(
            &SourceSpec<K, V>,
            &RecordRef<'_>,
            &bytes::Bytes,
            i64,
        ) -> Result<Record<K, V>, Bad>,
    ) {
        // There is nothing in it: that costs no more than the room that it has.
        let mut ready = Vec::from(std::mem::take(&mut self.ready));
        while ready.len() < limit && cx.failed.is_none() {
            let Some(reading) = &mut self.reader else {
                match self.input.pop_front() {
                    Some(Input::Upto(offset)) => self.decoded = self.decoded.max(offset),
                    Some(Input::Batch(batch)) => self.open(batch, cx),
                    None => break,
                }
                continue;
            };
            let Some(next) = reading.reader.next() else {
                self.decoded = self.decoded.max(reading.behind);
                self.reader = None;
                continue;
            };
            reading.left = reading.left.saturating_sub(1);
            match next {
                Ok((record, buffer)) => {
                    self.decoded = record.offset.saturating_add(1);
                    if self.spec.skip_null_keys && record.key().is_none() {
                        cx.counts.null_key += 1;
                        continue;
                    }
                    match read(&self.spec, &record, buffer, cx.wall) {
                        Ok(row) => {
                            ready.push(row);
                            self.offsets.push_back(record.offset);
                        }
                        Err(bad) => {
                            let dead = self.dead_letters;
                            refuse(&self.spec, &self.partition, dead, &record, bad, cx);
                        }
                    }
                }
                Err(error) => {
                    *cx.failed = Some(StreamsError::Decode {
                        topic: self.partition.topic.to_string(),
                        partition: self.partition.partition,
                        offset: self.decoded,
                        reason: error.to_string(),
                    });
                }
            }
        }
        self.ready = ready.into();
    }

    fn open(&mut self, batch: Batch, cx: &mut SourceContext<'_>) {
        let (behind, left) = (batch.next_offset(), records(&batch));
        self.waiting_records = self.waiting_records.saturating_sub(left);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(batch.bytes().len());
        match batch.reader(&self.partition) {
            Ok(reader) => {
                self.reader = Some(Reading {
                    reader,
                    behind,
                    left,
                });
            }
            Err(error) => {
                let (offset, reason) = match error {
                    ConsumerError::Corrupt { offset, reason, .. } => (offset, reason),
                    other => (batch.first_offset(), other.to_string()),
                };
                *cx.failed = Some(StreamsError::Decode {
                    topic: self.partition.topic.to_string(),
                    partition: self.partition.partition,
                    offset,
                    reason,
                });
            }
        }
    }
}

/// How many records a batch says that it has.
fn records(batch: &Batch) -> usize {
    usize::try_from(batch.header().records_count).unwrap_or(0)
}

/// Why a record is a bad one.
enum Bad {
    Undecodable(String),
    Timestamp(String),
}

#[inline]
fn read<K: Data, V: Data, T: TimestampExtractor<K, V>>(
    spec: &SourceSpec<K, V>,
    times: &T,
    record: &RecordRef<'_>,
    buffer: &bytes::Bytes,
    wall: i64,
) -> Result<Record<K, V>, Bad> {
    let key = K::decode(Payload::within(record.key(), buffer))
        .map_err(|error| Bad::Undecodable(format!("its key is {error}")))?;
    let value = V::decode(Payload::within(record.value(), buffer))
        .map_err(|error| Bad::Undecodable(format!("its value is {error}")))?;
    let timestamp = times
        .extract(&key, &value, record.timestamp, wall)
        .map_err(Bad::Timestamp)?;
    if timestamp < spec.bounds.0 || timestamp > spec.bounds.1 {
        return Err(Bad::Timestamp(format!(
            "its timestamp {timestamp} is not between {} and {}",
            spec.bounds.0, spec.bounds.1
        )));
    }
    let mut row = Record::new(key, value, timestamp);
    if record.header_count() > 0 {
        row.headers = headers(record, buffer);
    }
    Ok(row)
}

#[cold]
fn headers(record: &RecordRef<'_>, buffer: &bytes::Bytes) -> Headers {
    let slice = |bytes: &[u8]| match bytes {
        [] => bytes::Bytes::new(),
        _ => buffer.slice_ref(bytes),
    };
    let list = record.headers();
    Headers::new(list.map(|h| (slice(h.key), h.value.map(slice))).collect())
}

/// When the year 2100 begins: dead letters have no later timestamps, unless the clock has.
const YEAR_2100: i64 = 4_102_444_800_000;

#[cold]
fn refuse<K, V>(
    spec: &SourceSpec<K, V>,
    partition: &TopicPartition,
    dead_letters: Option<TopicId>,
    record: &RecordRef<'_>,
    bad: Bad,
    cx: &mut SourceContext<'_>,
) {
    let reason = match bad {
        Bad::Undecodable(reason) => {
            cx.counts.undecodable += 1;
            reason
        }
        Bad::Timestamp(reason) => {
            cx.counts.bad_timestamp += 1;
            reason
        }
    };
    if spec.on_bad_record == OnBadRecord::Fail {
        *cx.failed = Some(StreamsError::Decode {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset: record.offset,
            reason,
        });
    } else if let Some(topic) = dead_letters {
        let mut list: Vec<_> = record
            .headers()
            .map(|h| {
                let key = bytes::Bytes::copy_from_slice(h.key);
                (key, h.value.map(bytes::Bytes::copy_from_slice))
            })
            .collect();
        let mut tell = |key: &'static str, value: String| {
            list.push((
                bytes::Bytes::from_static(key.as_bytes()),
                Some(value.into()),
            ));
        };
        tell("tidemark.topic", partition.topic.to_string());
        tell("tidemark.partition", partition.partition.to_string());
        tell("tidemark.offset", record.offset.to_string());
        tell("tidemark.reason", reason);
        let (first, last) = spec.bounds;
        // What lies that far ahead brokers do not take (`message.timestamp.after.max.ms`).
        let sane = (0..=cx.wall.max(YEAR_2100)).contains(&record.timestamp)
            && (first..=last).contains(&record.timestamp);
        let timestamp = if sane {
            record.timestamp
        } else {
            tell("tidemark.timestamp", record.timestamp.to_string());
            cx.wall
        };
        let headers = Headers::new(list);
        cx.outbox.push(
            topic,
            None,
            record.key(),
            record.value(),
            timestamp,
            headers,
        );
    }
}

impl<K: Data, V: Data> Source for PartitionSource<K, V> {
    fn add(&mut self, batches: Vec<Batch>, next_offset: i64) {
        for batch in batches {
            self.waiting_records += records(&batch);
            self.waiting_bytes += batch.bytes().len();
            self.input.push_back(Input::Batch(batch));
        }
        self.input.push_back(Input::Upto(next_offset));
    }

    fn waiting(&self) -> (usize, usize) {
        let left = self.reader.as_ref().map_or(0, |reading| reading.left);
        let records = self.waiting_records + left + self.ready.len();
        (records, self.waiting_bytes)
    }

    fn head(&mut self, cx: &mut SourceContext<'_>) -> Option<i64> {
        if self.ready.is_empty() {
            self.decode(DECODE_AHEAD, cx);
        }
        Some(self.ready.front()?.timestamp)
    }

    fn take(
        &mut self,
        limit: usize,
        until: i64,
        chunk: &mut dyn AnyChunk,
        cx: &mut SourceContext<'_>,
    ) {
        let chunk = typed::<K, V>(chunk);
        if self.ready.is_empty() {
            self.decode(limit, cx);
        }
        let mut waiting = self.ready.iter().take(limit);
        let late = waiting.position(|row| row.timestamp > until);
        let count = late.unwrap_or(self.ready.len().min(limit));
        if let Some(last) = count.checked_sub(1) {
            self.last_taken = self.offsets[last];
        }
        if count == self.ready.len() && chunk.rows.is_empty() {
            let rows = Vec::from(std::mem::take(&mut self.ready));
            self.ready = std::mem::replace(&mut chunk.rows, rows).into();
            self.offsets.clear();
        } else {
            // Runs are short where partitions take turns.
            chunk.rows.extend(self.ready.drain(..count));
            self.offsets.drain(..count);
        }
        self.generator
            .stamp(&mut chunk.rows, cx.watermark, cx.others);
        chunk.watermark = *cx.watermark;
    }

    fn last_taken(&self) -> i64 {
        self.last_taken
    }

    fn position(&self) -> i64 {
        self.offsets.front().copied().unwrap_or(self.decoded)
    }

    fn seek(&mut self, offset: i64, watermark: i64) {
        self.decoded = offset;
        self.generator.restore(watermark);
    }

    fn restore_writers(&mut self, told: &[(Writer, i64, bool)]) {
        self.generator.restore_writers(told);
    }

    fn is_idle(&self) -> bool {
        self.generator.is_idle()
    }

    fn watermark(&self) -> i64 {
        self.generator.watermark()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use tidemark_protocol::records::BatchBuilder;

    use super::*;
    use crate::data::DataError;
    use crate::record::chunk::Chunk;
    use crate::time::RecordTime;

    fn source<V: Data>() -> PartitionSource<(), V> {
        let spec = SourceSpec::<(), V> {
            decode: Arc::new(RecordTime),
            watermarks: WatermarkStrategy::BoundedOutOfOrderness(std::time::Duration::ZERO),
            on_bad_record: OnBadRecord::Fail,
            bounds: (i64::MIN, i64::MAX),
            carried: None,
            skip_null_keys: false,
        };
        PartitionSource::new(Arc::new(spec), TopicPartition::new("in", 0), None, 0)
    }

    /// Values that are their records' timestamps, too.
    fn batch(values: Range<i64>) -> Batch {
        let mut builder = BatchBuilder::new();
        for value in values {
            let bytes = value.to_be_bytes();
            builder.append(value, None, Some(&bytes), &[]).unwrap();
        }
        Batch::parse(builder.build().unwrap()).unwrap()
    }

    /// What a source works with.
    struct Parts {
        outbox: Outbox,
        counts: Counts,
        failed: Option<StreamsError>,
        watermark: i64,
    }

    impl Default for Parts {
        fn default() -> Self {
            Self {
                outbox: Outbox::default(),
                counts: Counts::default(),
                failed: None,
                watermark: i64::MIN,
            }
        }
    }

    impl Parts {
        fn cx(&mut self) -> SourceContext<'_> {
            SourceContext {
                outbox: &mut self.outbox,
                counts: &mut self.counts,
                failed: &mut self.failed,
                wall: 0,
                others: i64::MAX,
                watermark: &mut self.watermark,
            }
        }
    }

    /// A value that is read once, and then only moved.
    #[derive(Debug, PartialEq)]
    struct Moved(i64);

    impl Clone for Moved {
        fn clone(&self) -> Self {
            unreachable!("{} is copied", self.0)
        }
    }

    impl Data for Moved {
        fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
            self.0.encode(scratch)
        }

        fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
            i64::decode(payload).map(Self)
        }
    }

    #[test]
    fn records_of_partitions_that_take_turns_are_moved() {
        let mut source = source::<Moved>();
        source.add(vec![batch(0..7)], 7);
        let mut parts = Parts::default();
        let mut chunk = Chunk::<(), Moved>::default();
        let mut taken = Vec::new();
        while source.head(&mut parts.cx()) == Some(taken.len() as i64) {
            assert_eq!(source.position(), taken.len() as i64);
            // Times are those of the values: two at a time, and all that is left in the end.
            let until = if taken.len() < 4 {
                taken.len() as i64 + 1
            } else {
                i64::MAX
            };
            source.take(100, until, &mut chunk, &mut parts.cx());
            taken.extend(chunk.rows.drain(..).map(|row| row.value.0));
            assert_eq!(source.last_taken(), taken.len() as i64 - 1);
            assert_eq!(source.waiting().0, 7 - taken.len());
        }
        assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(source.position(), 7);
    }

    #[test]
    fn nothing_waits_behind_a_batch_that_is_read_from_its_middle() {
        let mut source = source::<i64>();
        source.seek(3, i64::MIN);
        source.add(vec![batch(0..5).starting_at(3)], 5);
        let mut parts = Parts::default();
        let mut chunk = Chunk::<(), i64>::default();
        source.take(100, i64::MAX, &mut chunk, &mut parts.cx());
        let values: Vec<_> = chunk.rows.iter().map(|row| row.value).collect();
        assert_eq!(values, [3, 4]);
        assert_eq!((source.waiting(), source.position()), ((0, 0), 5));
    }
}
