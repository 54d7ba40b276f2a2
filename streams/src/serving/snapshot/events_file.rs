//! A file of raw events: Parquet, in the order of their offsets.
//!
//! | column | type | what it is |
//! |---|---|---|
//! | `key`, `value` | string, may be null | what the record has, if it is text |
//! | `__key_bytes`, `__value_bytes` | binary, may be null | what it has, if it is not |
//! | `__partition`, `__offset` | int, long | where it is |
//! | `__timestamp` | timestamp (ms, UTC) | the record's own timestamp |
//! | `__headers` | list of (key string, value binary, may be null) | its headers |
//!
//! Which folder a file is in goes by the event's time, which need not be the record's timestamp.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::columns::{Ints, Kind, Longs, Slices, Writer, properties, schema, text_or_bytes};

const SCHEMA: &str = "message event {
    optional binary key (STRING);
    optional binary value (STRING);
    optional binary __key_bytes;
    optional binary __value_bytes;
    required int32 __partition;
    required int64 __offset;
    required int64 __timestamp (TIMESTAMP(MILLIS,true));
    required group __headers (LIST) {
        repeated group list {
            required group element {
                required binary key (STRING);
                optional binary value;
            }
        }
    }
}";

/// A record as it is kept.
pub(crate) struct Event<H> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    /// Names and values.
    pub(crate) headers: H,
}

/// Rows that become a group of a file: of whatever file, so that the columns' memory is used again.
#[derive(Default)]
pub(crate) struct EventRows {
    keys: Slices,
    values: Slices,
    key_bytes: Slices,
    value_bytes: Slices,
    partitions: Ints,
    offsets: Longs,
    timestamps: Longs,
    header_keys: Slices,
    header_values: Slices,
}

impl EventRows {
    /// Adds an event; they come in the order of their offsets.
    pub(crate) fn push(&mut self, event: Event<impl Iterator<Item = (Bytes, Option<Bytes>)>>) {
        let (text, bytes) = text_or_bytes(event.key);
        self.keys.push_optional(text);
        self.key_bytes.push_optional(bytes);
        let (text, bytes) = text_or_bytes(event.value);
        self.values.push_optional(text);
        self.value_bytes.push_optional(bytes);
        self.partitions.push(event.partition);
        self.offsets.push(event.offset);
        self.timestamps.push(event.timestamp);
        // A list's levels: 0 for none, 1 for a header, 2 for one with a value; 0 begins a row's list.
        let mut repeated = 0;
        for (key, value) in event.headers {
            // The names of headers are text by Kafka's rules, whoever writes them.
            let key = match String::from_utf8_lossy(&key) {
                Cow::Borrowed(_) => key,
                Cow::Owned(text) => text.into(),
            };
            self.header_keys.push_levels(Some(key), 1, repeated);
            let defined = 1 + i16::from(value.is_some());
            self.header_values.push_levels(value, defined, repeated);
            repeated = 1;
        }
        if repeated == 0 {
            self.header_keys.push_levels(None, 0, 0);
            self.header_values.push_levels(None, 0, 0);
        }
    }
}

/// Writes a file of events to memory: what it is to be called is known when it is done.
#[derive(Default)]
pub(crate) struct EventsWriter {
    /// There is none until the first group is written: how depends on the keys that there are.
    writer: Option<Box<Writer>>,
    rows: u64,
}

impl EventsWriter {
    /// Writes a group of all these rows, and lets go of them.
    pub(crate) fn write_group(&mut self, rows: &mut EventRows) -> Result<(), ParquetError> {
        self.rows += rows.offsets.values.len() as u64;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(Box::new(begin(&rows.keys)?)),
        };
        let mut group = writer.next_row_group()?;
        rows.keys.write(&mut group)?;
        rows.values.write(&mut group)?;
        rows.key_bytes.write(&mut group)?;
        rows.value_bytes.write(&mut group)?;
        rows.partitions.write_ints(&mut group)?;
        rows.offsets.write_longs(&mut group)?;
        rows.timestamps.write_longs(&mut group)?;
        rows.header_keys.write(&mut group)?;
        rows.header_values.write(&mut group)?;
        group.close()?;
        Ok(())
    }

    /// How many bytes what it has written takes.
    pub(crate) fn bytes(&self) -> usize {
        let writer = self.writer.as_ref();
        writer.map_or(0, |writer| writer.inner().capacity())
    }

    /// How many events it has.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file and gives it; `footer` says what belongs to it as a whole.
    pub(crate) fn finish(self, footer: &[(&str, String)]) -> Result<Vec<u8>, ParquetError> {
        let mut writer = match self.writer {
            Some(writer) => *writer,
            None => begin(&Slices::default())?,
        };
        for (key, value) in footer {
            let entry = KeyValue::new((*key).to_owned(), value.clone());
            writer.append_key_value_metadata(entry);
        }
        writer.into_inner()
    }
}

/// A file whose first keys these are: where each is another one a dictionary of them would not pay.
fn begin(keys: &Slices) -> Result<Writer, ParquetError> {
    let mut columns = vec![
        ("value", Kind::Opaque),
        ("__value_bytes", Kind::Opaque),
        ("__offset", Kind::Rising),
        ("__timestamp", Kind::Rising),
    ];
    if !keys.repeat() {
        columns.push(("key", Kind::Plain));
    }
    let properties = properties(&[], &columns);
    SerializedFileWriter::new(Vec::new(), schema(SCHEMA), properties)
}

/// A day (UTC), by its number since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

const DAY: i64 = 24 * 60 * 60 * 1000;

impl Day {
    /// The day of a time in milliseconds. What is out of the calendar (years -9999 to 9999) is in its first
    /// or its last day.
    pub(crate) fn of(time: i64) -> Self {
        let (first, last) = (Timestamp::MIN, Timestamp::MAX);
        let time = time.clamp(first.as_millisecond(), last.as_millisecond());
        Self(time.div_euclid(DAY))
    }

    /// Its folder, as Hive names it: `year=2023/month=01/day=31`.
    pub(crate) fn folder(self) -> String {
        let time = Timestamp::from_millisecond(self.0 * DAY).unwrap_or(Timestamp::MIN);
        let date = TimeZone::UTC.to_datetime(time).date();
        let (year, month, day) = (date.year(), date.month(), date.day());
        format!("year={year:04}/month={month:02}/day={day:02}")
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn text_and_bytes_and_headers_are_kept() {
        let (mut writer, mut all) = (EventsWriter::default(), EventRows::default());
        let bytes = Bytes::from_static;
        let headers: [(&'static [u8], Option<&'static [u8]>); 2] =
            [(b"trace", Some(b"\xff")), (b"empty", None)];
        let events: [(i64, Option<&'static [u8]>, &[_]); 3] = [
            (1, Some(b"{\"a\":1}"), &headers),
            (2, Some(b"\xff\xfe"), &[]),
            (5, None, &[]),
        ];
        for (offset, value, headers) in events {
            let event = Event {
                partition: 3,
                offset,
                timestamp: 1_672_567_200_000 + offset,
                key: Some(bytes(b"user1")),
                value: value.map(bytes),
                headers: headers
                    .iter()
                    .map(|(key, value)| (bytes(key), value.map(bytes))),
            };
            all.push(event);
        }
        writer.write_group(&mut all).unwrap();
        assert_eq!(writer.rows(), 3);
        let footer = [("tidemark.topic", "t".to_owned())];
        let file = Bytes::from(writer.finish(&footer).unwrap());
        let reader = SerializedFileReader::new(file).unwrap();
        let metadata = reader.metadata().file_metadata();
        let found = metadata.key_value_metadata().unwrap();
        let own = KeyValue::new("tidemark.topic".to_owned(), "t".to_owned());
        assert!(found.contains(&own), "{found:?}");
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows[0].get_string(1).unwrap(), "{\"a\":1}");
        assert_eq!(rows[1].get_bytes(3).unwrap().data(), b"\xff\xfe");
        assert!(rows[1].get_string(1).is_err() && rows[2].get_string(1).is_err());
        let offsets: Vec<i64> = rows.iter().map(|row| row.get_long(5).unwrap()).collect();
        assert_eq!(offsets, [1, 2, 5]);
        let counts: Vec<usize> = rows
            .iter()
            .map(|row| row.get_list(7).unwrap().len())
            .collect();
        assert_eq!(counts, [2, 0, 0]);
    }

    #[test]
    fn keys_have_a_dictionary_if_they_repeat() {
        for (different, dictionary) in [(3_000, false), (400, true), (10, true), (1, true)] {
            let (mut writer, mut all) = (EventsWriter::default(), EventRows::default());
            for offset in 0..3_000_i64 {
                let event = Event {
                    partition: 0,
                    offset,
                    timestamp: 0,
                    key: Some(format!("user{}", offset % different).into()),
                    value: None,
                    headers: std::iter::empty(),
                };
                all.push(event);
            }
            writer.write_group(&mut all).unwrap();
            let file = Bytes::from(writer.finish(&[]).unwrap());
            let reader = SerializedFileReader::new(file).unwrap();
            let column = reader.metadata().row_group(0).column(0);
            let has = column.dictionary_page_offset().is_some();
            assert_eq!(has, dictionary, "{different}");
            assert_eq!(reader.metadata().file_metadata().num_rows(), 3_000);
        }
    }

    #[test]
    fn days_are_those_of_utc() {
        let folders =
            [0, -1, 1_672_567_200_000, i64::MAX, i64::MIN].map(|time| Day::of(time).folder());
        let expected = [
            "year=1970/month=01/day=01",
            "year=1969/month=12/day=31",
            "year=2023/month=01/day=01",
            "year=9999/month=12/day=30",
            "year=-9999/month=01/day=02",
        ];
        assert_eq!(folders, expected);
    }
}
