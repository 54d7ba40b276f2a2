//! Records that wait for their file, one behind the other in pieces of memory.

use bytes::Bytes;
use parquet::errors::ParquetError;
use tidemark_client::consumer::RecordRef;

use super::events_file::{Event, EventRows, EventsWriter};

/// The first piece has room for so many bytes, ...
const LEAST: usize = 4 << 10;
/// ... and each one after it for as many as there have been, up to so many: what grows is never copied, and little
/// is taken for a day that has little.
const MOST: usize = 1 << 20;
/// So many rows make a group of a file, ...
const GROUP_ROWS: usize = 1 << 16;
/// ... so many headers, each of which takes more in the columns than an empty one has bytes, ...
const GROUP_HEADERS: usize = 1 << 18;
/// ... and so many bytes do.
const GROUP_BYTES: usize = 16 << 20;
/// What a row has in front of its bytes: offset, timestamp, and the lengths of key and value and how many headers.
const HEAD: usize = 8 + 8 + 4 + 4 + 4;
/// The length of what is not there.
const NONE: u32 = u32::MAX;

/// Records of one file, in the order of their offsets.
#[derive(Default)]
pub(crate) struct Waiting {
    /// No record lies in two of them.
    pieces: Vec<Vec<u8>>,
    bytes: usize,
    rows: usize,
    headers: usize,
    /// How many bytes have waited so far.
    all: usize,
    /// The first offset, and the one behind the last, of all that have waited.
    range: Option<(i64, i64)>,
}

impl Waiting {
    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes it has taken so far.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// Whether there is enough for a group of the file.
    pub(crate) fn is_group(&self) -> bool {
        self.rows >= GROUP_ROWS || self.headers >= GROUP_HEADERS || self.bytes >= GROUP_BYTES
    }

    /// The first offset, and the one behind the last.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        self.range
    }

    /// Copies a record: it waits here, and would keep the whole answer to a fetch.
    pub(crate) fn push(&mut self, record: &RecordRef<'_>, spare: &mut Spare) {
        let (key, value) = (record.key(), record.value());
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = record.headers();
        let headers = headers.map(|header| 8 + header.key.len() + length(header.value));
        let size = HEAD + length(key) + length(value) + headers.sum::<usize>();
        let piece = self.room(size, spare);
        piece.extend_from_slice(&record.offset.to_ne_bytes());
        piece.extend_from_slice(&record.timestamp.to_ne_bytes());
        put_length(piece, key);
        put_length(piece, value);
        piece.extend_from_slice(&(record.header_count() as u32).to_ne_bytes());
        piece.extend_from_slice(key.unwrap_or_default());
        piece.extend_from_slice(value.unwrap_or_default());
        for header in record.headers() {
            put_length(piece, Some(header.key));
            put_length(piece, header.value);
            piece.extend_from_slice(header.key);
            piece.extend_from_slice(header.value.unwrap_or_default());
        }
        let from = self.range.map_or(record.offset, |(from, _)| from);
        self.range = Some((from, record.offset + 1));
        self.rows += 1;
        self.headers += record.header_count();
    }

    /// A piece with room for so many bytes.
    fn room(&mut self, size: usize, spare: &mut Spare) -> &mut Vec<u8> {
        let fits = |piece: &&mut Vec<u8>| piece.capacity() - piece.len() >= size;
        if self.pieces.last_mut().filter(fits).is_none() {
            let room = self.all.clamp(LEAST, MOST).max(size);
            self.pieces.push(spare.take(room));
            self.bytes += room;
            self.all += room;
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    /// Writes what waits as a group of the file. `rows` are empty, and are so again.
    pub(crate) fn write(
        &mut self,
        partition: i32,
        writer: &mut EventsWriter,
        rows: &mut EventRows,
        spare: &mut Spare,
    ) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let pieces = std::mem::take(&mut self.pieces).into_iter();
        let pieces: Vec<Bytes> = pieces.map(Bytes::from).collect();
        (self.bytes, self.rows, self.headers) = (0, 0, 0);
        for piece in &pieces {
            let slice = |bytes: &[u8]| piece.slice_ref(bytes);
            let mut rest = Rest(piece);
            while !rest.0.is_empty() {
                let (offset, timestamp) = (rest.long(), rest.long());
                let [key, value, headers] = std::array::from_fn(|_| rest.int());
                let (key, value) = (rest.bytes(key), rest.bytes(value));
                rows.push(Event {
                    partition,
                    offset,
                    timestamp,
                    key: key.map(slice),
                    value: value.map(slice),
                    headers: (0..headers).map(|_| {
                        let (name, value) = rest.header();
                        (slice(name), value.map(slice))
                    }),
                });
            }
        }
        writer.write_group(rows)?;
        pieces.into_iter().for_each(|piece| spare.put(piece));
        Ok(())
    }
}

/// Memory that has been written: to ask for fresh memory each time is not for nothing.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() * MOST
    }

    /// Lets go of one piece, if there is one.
    pub(crate) fn shrink(&mut self) -> bool {
        self.0.pop().is_some()
    }

    fn take(&mut self, room: usize) -> Vec<u8> {
        let spare = (room == MOST).then(|| self.0.pop()).flatten();
        spare.unwrap_or_else(|| Vec::with_capacity(room))
    }

    /// Keeps a piece, if nobody has a part of it any more.
    fn put(&mut self, piece: Bytes) {
        if let Ok(piece) = piece.try_into_mut() {
            let mut piece = Vec::from(piece);
            piece.clear();
            if piece.capacity() == MOST {
                self.0.push(piece);
            }
        }
    }
}

fn put_length(piece: &mut Vec<u8>, bytes: Option<&[u8]>) {
    // A record is below 2 GiB.
    let length = bytes.map_or(NONE, |bytes| bytes.len() as u32);
    piece.extend_from_slice(&length.to_ne_bytes());
}

/// What has not been read of a piece, which has whole records, written above.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N));
        array
    }

    fn long(&mut self) -> i64 {
        i64::from_ne_bytes(self.array())
    }

    fn int(&mut self) -> u32 {
        u32::from_ne_bytes(self.array())
    }

    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        (length != NONE).then(|| self.take(length as usize))
    }

    fn header(&mut self) -> (&'a [u8], Option<&'a [u8]>) {
        let (name, value) = (self.int(), self.int());
        (self.take(name as usize), self.bytes(value))
    }
}
