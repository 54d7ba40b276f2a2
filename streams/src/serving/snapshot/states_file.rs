//! A file of states: Parquet, in the order of the keys.
//!
//! | column | type | what it is |
//! |---|---|---|
//! | `key` | string | the key as people are shown it |
//! | `key_bytes` | binary, may be null | its bytes, unless they are those of `key` |
//! | `window_start` | timestamp (ms, UTC) | only of views by window |
//! | `state` | binary | the state, exactly |
//! | `value` | string | the state as people are shown it: JSON |

use std::cmp::Ordering;

use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;

use super::columns::{Blobs, Kind, Longs, Writer, properties, schema, take_written};

const PLAIN: &str = "message state {
    required binary key (STRING);
    optional binary key_bytes;
    required binary state;
    required binary value (STRING);
}";

const WINDOWED: &str = "message state {
    required binary key (STRING);
    optional binary key_bytes;
    required int64 window_start (TIMESTAMP(MILLIS,true));
    required binary state;
    required binary value (STRING);
}";

/// A row group has up to so many rows, ...
const GROUP_ROWS: usize = 1 << 16;
/// ... and up to about so many bytes before they are packed: what lies in memory until it is written.
const GROUP_BYTES: usize = 16 << 20;

/// One row.
pub(crate) struct Row<'a> {
    /// The key's bytes.
    pub(crate) key: &'a [u8],
    /// The key as people are shown it.
    pub(crate) shown: &'a str,
    /// Where its window starts, in views by window.
    pub(crate) window: Option<i64>,
    /// The state.
    pub(crate) state: &'a [u8],
    /// What people are shown of the state: JSON.
    pub(crate) value: &'a [u8],
}

/// Writes a file of states to memory, from where it is taken piece by piece.
pub(crate) struct StatesWriter {
    writer: Writer,
    windowed: bool,
    keys: Blobs,
    key_bytes: Blobs,
    windows: Longs,
    states: Blobs,
    values: Blobs,
    waiting: usize,
    rows: u64,
}

impl StatesWriter {
    /// `footer` says what belongs to the file as a whole.
    pub(crate) fn new(windowed: bool, footer: &[(&str, String)]) -> Result<Self, ParquetError> {
        let schema = schema(if windowed { WINDOWED } else { PLAIN });
        let columns = [
            ("key", Kind::Plain),
            ("key_bytes", Kind::Plain),
            ("state", Kind::Opaque),
            ("value", Kind::Opaque),
        ];
        let properties = properties(footer, &columns);
        Ok(Self {
            writer: SerializedFileWriter::new(Vec::new(), schema, properties)?,
            windowed,
            keys: Blobs::default(),
            key_bytes: Blobs::default(),
            windows: Longs::default(),
            states: Blobs::default(),
            values: Blobs::default(),
            waiting: 0,
            rows: 0,
        })
    }

    /// Adds a row; they come in the order of keys and windows.
    pub(crate) fn push(&mut self, row: &Row<'_>) -> Result<(), ParquetError> {
        self.keys.push(row.shown.as_bytes());
        let other = (row.key != row.shown.as_bytes()).then_some(row.key);
        self.key_bytes.push_optional(other);
        if self.windowed {
            self.windows.push(row.window.unwrap_or_default());
        }
        self.states.push(row.state);
        self.values.push(row.value);
        self.waiting += 1;
        self.rows += 1;
        let blobs = [&self.keys, &self.key_bytes, &self.states, &self.values];
        let bytes: usize = blobs.iter().map(|blobs| blobs.bytes()).sum();
        if self.waiting >= GROUP_ROWS || bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        self.keys.write(&mut group)?;
        self.key_bytes.write(&mut group)?;
        if self.windowed {
            self.windows.write_longs(&mut group)?;
        }
        self.states.write(&mut group)?;
        self.values.write(&mut group)?;
        group.close()?;
        self.waiting = 0;
        Ok(())
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// What has been written since the last call.
    pub(crate) fn take(&mut self) -> Result<Vec<u8>, ParquetError> {
        take_written(&mut self.writer)
    }

    /// Ends the file and gives what has been written since [`Self::take`].
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, ParquetError> {
        if self.waiting > 0 {
            self.write_group()?;
        }
        self.writer.into_inner()
    }
}

/// Pieces of bytes, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Pieces {
    fn push(&mut self, parts: &[&[u8]]) {
        self.push_with(|bytes| {
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
        });
    }

    /// Adds what is written behind what there is.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u64);
    }

    /// The piece with that number.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[from as usize..self.ends[at] as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they take.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8
    }
}

/// The states of a file, in the order of their keys. A key of a view by window has the window's start
/// behind it: 8 bytes, big-endian.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) keys: Pieces,
    pub(crate) states: Pieces,
}

impl States {
    /// Adds what a file has behind what there is.
    pub(crate) fn read(&mut self, file: Bytes) -> Result<(), ParquetError> {
        let mut reader = StatesReader::new(file)?;
        while reader.next(self)? {}
        Ok(())
    }

    /// Takes all of them out; their room stays.
    pub(crate) fn clear(&mut self) {
        for pieces in [&mut self.keys, &mut self.states] {
            pieces.bytes.clear();
            pieces.ends.clear();
        }
    }
}

/// Reads a file of states group by group.
pub(crate) struct StatesReader {
    reader: SerializedFileReader<Bytes>,
    /// The columns' places.
    key: usize,
    key_bytes: usize,
    state: usize,
    window: Option<usize>,
    /// The group that comes next.
    next: usize,
}

impl StatesReader {
    pub(crate) fn new(file: Bytes) -> Result<Self, ParquetError> {
        let reader = SerializedFileReader::new(file)?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let place = |name: &str| {
            let columns = schema.columns().iter();
            columns.clone().position(|column| column.name() == name)
        };
        let known = |name: &'static str| {
            place(name).ok_or_else(|| ParquetError::General(format!("it has no column {name}")))
        };
        Ok(Self {
            key: known("key")?,
            key_bytes: known("key_bytes")?,
            state: known("state")?,
            window: place("window_start"),
            next: 0,
            reader,
        })
    }

    /// How many states it says that it has.
    pub(crate) fn rows(&self) -> u64 {
        let rows = self.reader.metadata().file_metadata().num_rows();
        u64::try_from(rows).unwrap_or(0)
    }

    /// Adds the states of the next group behind what there is; `false` if there is none.
    pub(crate) fn next(&mut self, into: &mut States) -> Result<bool, ParquetError> {
        if self.next >= self.reader.num_row_groups() {
            return Ok(false);
        }
        let group = self.reader.get_row_group(self.next)?;
        self.next += 1;
        let rows = group.metadata().num_rows();
        let rows = usize::try_from(rows)
            .map_err(|_| ParquetError::General(format!("a row group of {rows} rows")))?;
        let (keys, _) = blobs(group.get_column_reader(self.key)?, rows)?;
        let (others, defined) = blobs(group.get_column_reader(self.key_bytes)?, rows)?;
        let (states, _) = blobs(group.get_column_reader(self.state)?, rows)?;
        let windows = match self.window {
            Some(window) => Some(longs(group.get_column_reader(window)?, rows)?),
            None => None,
        };
        let wrong = [keys.len(), defined.len(), states.len()] != [rows; 3]
            || windows
                .as_ref()
                .is_some_and(|windows| windows.len() != rows);
        if wrong {
            let what = "a row group whose columns have different numbers of rows";
            return Err(ParquetError::General(what.to_owned()));
        }
        let mut others = others.iter();
        for (row, (key, state)) in keys.iter().zip(&states).enumerate() {
            let other = (defined[row] > 0).then(|| others.next()).flatten();
            let key = other.unwrap_or(key).data();
            let start = windows.as_ref().map(|windows| windows[row].to_be_bytes());
            let start = start.as_ref().map_or(&[][..], |start| &start[..]);
            into.keys.push(&[key, start]);
            into.states.push(&[state.data()]);
        }
        Ok(true)
    }
}

impl States {
    /// The place of a key; `Err` tells where it would be. `order` compares a key with the one that is looked
    /// for.
    pub(crate) fn find(&self, order: impl Fn(&[u8]) -> Ordering) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.keys.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match order(self.keys.get(middle)) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// The first place whose key is not in front of what is looked for.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let found = self.find(|own| match is_before(own) {
            true => Ordering::Less,
            false => Ordering::Greater,
        });
        found.unwrap_or_else(|at| at)
    }

    /// How many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.keys.size() + self.states.size()
    }
}

/// The values of a column, and which of its rows have one.
fn blobs(reader: ColumnReader, rows: usize) -> Result<(Vec<ByteArray>, Vec<i16>), ParquetError> {
    let ColumnReader::ByteArrayColumnReader(mut reader) = reader else {
        return Err(ParquetError::General("a column of another type".to_owned()));
    };
    let (mut values, mut defined) = (Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut defined), None, &mut values)?;
    Ok((values, defined))
}

fn longs(reader: ColumnReader, rows: usize) -> Result<Vec<i64>, ParquetError> {
    let ColumnReader::Int64ColumnReader(mut reader) = reader else {
        return Err(ParquetError::General("a column of another type".to_owned()));
    };
    let mut values = Vec::new();
    reader.read_records(rows, None, None, &mut values)?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Plain = (Vec<u8>, String, i64, Vec<u8>);

    fn write(windowed: bool, rows: &[Plain]) -> Bytes {
        let footer = [("tidemark.view", "test".to_owned())];
        let mut writer = StatesWriter::new(windowed, &footer).unwrap();
        let mut file = Vec::new();
        for (key, shown, window, state) in rows {
            let row = Row {
                key,
                shown,
                window: windowed.then_some(*window),
                state,
                value: b"{}",
            };
            writer.push(&row).unwrap();
            file.extend(writer.take().unwrap());
        }
        assert_eq!(writer.rows(), rows.len() as u64);
        file.extend(writer.finish().unwrap());
        file.into()
    }

    fn rows() -> impl Strategy<Value = Vec<Plain>> {
        let text = "[a-z]{0,20}".prop_map(|text| (text.clone().into_bytes(), text));
        let bytes = proptest::collection::vec(any::<u8>(), 0..9);
        let bytes = bytes.prop_map(|bytes| (bytes.clone(), format!("{bytes:?}")));
        let state = proptest::collection::vec(any::<u8>(), 0..30);
        let row = (prop_oneof![text, bytes], any::<i64>(), state);
        let row = row.prop_map(|((key, shown), window, state)| (key, shown, window, state));
        proptest::collection::vec(row, 0..200)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in rows(), windowed: bool) {
            let mut read = States::default();
            read.read(write(windowed, &rows)).unwrap();
            prop_assert_eq!(read.keys.len(), rows.len());
            for (at, (key, _, window, state)) in rows.iter().enumerate() {
                let mut expected = key.clone();
                if windowed {
                    expected.extend(window.to_be_bytes());
                }
                prop_assert_eq!(read.keys.get(at), &expected[..]);
                prop_assert_eq!(read.states.get(at), &state[..]);
            }
        }
    }

    #[test]
    fn many_rows_are_in_several_groups() {
        let count = GROUP_ROWS + 10;
        let rows: Vec<Plain> = (0..count)
            .map(|at| {
                let key = format!("{at:06}");
                (key.clone().into_bytes(), key, 0, vec![at as u8])
            })
            .collect();
        let file = write(false, &rows);
        let reader = SerializedFileReader::new(file.clone()).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        let mut read = States::default();
        read.read(file).unwrap();
        assert_eq!(
            read.keys.get(count - 1),
            format!("{:06}", count - 1).as_bytes()
        );
        assert_eq!(read.states.len(), count);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        let file = write(false, &[(b"k".to_vec(), "k".to_owned(), 0, b"s".to_vec())]);
        for cut in [0, 4, file.len() / 2, file.len() - 1] {
            assert!(States::default().read(file.slice(..cut)).is_err(), "{cut}");
        }
    }
}
