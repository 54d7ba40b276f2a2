//! Columns of Parquet files, filled row by row and written group by group.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

/// Who is said to have written a file.
const CREATED_BY: &str = concat!("tidemark version ", env!("CARGO_PKG_VERSION"));

/// A schema as it is written in Parquet's own words.
pub(super) fn schema(message: &str) -> TypePtr {
    Arc::new(parse_message_type(message).expect("the schemas here are right"))
}

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Values differ from row to row, so that a dictionary of them would not pay.
    Plain,
    /// As [`Self::Plain`], and nobody looks for values in a range: there are no statistics of them.
    Opaque,
    /// Numbers each of which is not far from the one before.
    Rising,
}

/// How files are written: zstd, with what belongs to the whole file in the footer. Columns that are not named
/// have dictionaries.
pub(super) fn properties(
    footer: &[(&str, String)],
    columns: &[(&str, Kind)],
) -> WriterPropertiesPtr {
    let footer = footer
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
    let level = ZstdLevel::try_new(1).expect("zstd has level 1");
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_key_value_metadata(Some(footer.collect()));
    for (column, kind) in columns {
        let path = ColumnPath::from(*column);
        let encoding = match kind {
            Kind::Plain | Kind::Opaque => Encoding::PLAIN,
            Kind::Rising => Encoding::DELTA_BINARY_PACKED,
        };
        if *kind == Kind::Opaque {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, encoding);
    }
    Arc::new(builder.build())
}

/// A file that is being written to memory.
pub(super) type Writer = SerializedFileWriter<Vec<u8>>;

/// What of a file has been written and not been taken yet.
pub(super) fn take_written(writer: &mut Writer) -> Result<Vec<u8>, ParquetError> {
    writer.flush()?;
    Ok(std::mem::take(writer.inner_mut()))
}

/// A column keeps memory for so many values.
const KEPT: usize = 1 << 16;

/// One column of a row group, with its levels where values may be missing or repeat.
#[derive(Default)]
pub(super) struct Column<T> {
    pub(super) values: Vec<T>,
    pub(super) defined: Vec<i16>,
    pub(super) repeated: Vec<i16>,
}

impl<T> Column<T> {
    /// A value of a column in which none is missing.
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// Writes the next column of a group, and empties this one.
    pub(super) fn write<D>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    ) -> Result<(), ParquetError>
    where
        D: DataType<T = T>,
    {
        let missing = || ParquetError::General("a column more than the schema has".to_owned());
        let mut column = group.next_column()?.ok_or_else(missing)?;
        let defined = (!self.defined.is_empty()).then_some(&self.defined[..]);
        let repeated = (!self.repeated.is_empty()).then_some(&self.repeated[..]);
        column
            .typed::<D>()
            .write_batch(&self.values, defined, repeated)?;
        column.close()?;
        self.values.clear();
        self.values.shrink_to(KEPT);
        for levels in [&mut self.defined, &mut self.repeated] {
            levels.clear();
            levels.shrink_to(KEPT);
        }
        Ok(())
    }
}

/// A column of bytes or of text: its values lie one behind the other until they are written.
#[derive(Default)]
pub(super) struct Blobs {
    bytes: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
    column: Column<ByteArray>,
}

impl Blobs {
    /// How many bytes lie here.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn push_optional(&mut self, value: Option<&[u8]>) {
        self.column.defined.push(i16::from(value.is_some()));
        value.into_iter().for_each(|value| self.push(value));
    }

    pub(super) fn write(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    ) -> Result<(), ParquetError> {
        let all = Bytes::from(std::mem::take(&mut self.bytes));
        let mut from = 0;
        for to in self.ends.drain(..) {
            self.column.push(all.slice(from..to).into());
            from = to;
        }
        let written = self.column.write::<ByteArrayType>(group);
        // The memory itself, if nobody has a part of it any more: fresh memory is not for nothing.
        self.bytes = all.try_into_mut().map(Vec::from).unwrap_or_default();
        self.bytes.clear();
        written
    }
}

/// A column of bytes or of text that lie where they are until they are written.
#[derive(Default)]
pub(super) struct Slices {
    column: Column<ByteArray>,
}

impl Slices {
    pub(super) fn push_optional(&mut self, value: Option<Bytes>) {
        self.column.defined.push(i16::from(value.is_some()));
        self.push(value);
    }

    /// A value of a list, with its levels.
    pub(super) fn push_levels(&mut self, value: Option<Bytes>, defined: i16, repeated: i16) {
        self.column.defined.push(defined);
        self.column.repeated.push(repeated);
        self.push(value);
    }

    fn push(&mut self, value: Option<Bytes>) {
        if let Some(value) = value {
            self.column.push(value.into());
        }
    }

    /// Whether each of the first values is there twice, on an average: then a dictionary pays.
    pub(super) fn repeat(&self) -> bool {
        let first = &self.column.values[..self.column.values.len().min(1_024)];
        let different: HashSet<&[u8]> = first.iter().map(ByteArray::data).collect();
        different.len() * 2 <= first.len()
    }

    /// Writes the next column of a group, and lets go of its values.
    pub(super) fn write(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    ) -> Result<(), ParquetError> {
        self.column.write::<ByteArrayType>(group)
    }
}

/// A column of 64-bit numbers.
pub(super) type Longs = Column<i64>;

impl Longs {
    pub(super) fn write_longs(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    ) -> Result<(), ParquetError> {
        self.write::<Int64Type>(group)
    }
}

/// A column of 32-bit numbers.
pub(super) type Ints = Column<i32>;

impl Ints {
    pub(super) fn write_ints(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    ) -> Result<(), ParquetError> {
        self.write::<Int32Type>(group)
    }
}

/// Bytes as text if they are text, else as bytes: two columns have what one cannot.
pub(super) fn text_or_bytes(value: Option<Bytes>) -> (Option<Bytes>, Option<Bytes>) {
    match value {
        Some(bytes) if std::str::from_utf8(&bytes).is_ok() => (Some(bytes), None),
        other => (None, other),
    }
}
