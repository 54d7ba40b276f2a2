//! Index files: fixed-size entries in rising order (Kafka's `AbstractIndex`).
//!
//! While a segment is written its index files have their full size (`segment.index.bytes`), the
//! entries at the front and zeros after them, and are mapped. When the segment is sealed or closed
//! they are cut to their entries. A file is made when it gets its first entry, so that an idle
//! partition costs no mapping.

pub(crate) mod offset;
pub(crate) mod time;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::error::{At, StorageError};
use crate::environment::disk::{Mapping, OpenMode};
use crate::environment::{Disk, DiskFile};

/// The unit in which a file system gives room to a sparse file.
const PAGE: usize = 4096;

/// An opened index, with its first and last entry if it has any.
pub(crate) type Opened<const SIZE: usize> = (IndexFile<SIZE>, Option<([u8; SIZE], [u8; SIZE])>);

/// The entries of one index file, `SIZE` bytes each.
pub(crate) struct IndexFile<const SIZE: usize> {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    max_entries: usize,
    entries: usize,
    /// The file's length when it was last looked at; `None` before it is made.
    length: Option<usize>,
    /// Set when the entries are first read or written.
    mapping: OnceLock<Box<dyn Mapping>>,
    /// Bytes at the front for which the file system is known to have room.
    secured: usize,
}

impl<const SIZE: usize> IndexFile<SIZE> {
    /// An index that has no entries; a file of that name is overwritten at the first entry.
    pub(crate) fn empty(disk: Arc<dyn Disk>, path: PathBuf, max_bytes: u32) -> Self {
        let max_entries = max_bytes as usize / SIZE;
        let mapping = OnceLock::new();
        Self {
            disk,
            path,
            max_entries,
            entries: 0,
            length: None,
            mapping,
            secured: 0,
        }
    }

    /// Opens the file of a segment that was closed or sealed: all of it is entries. `None` if
    /// there is no such file; an error text if its length is not a multiple of the entry size.
    /// The file is not mapped yet: most segments of a log are never looked into.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        max_bytes: u32,
    ) -> Result<Option<Result<Opened<SIZE>, String>>, StorageError> {
        let file = match disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.at(&path, "open")?,
        };
        let length = file.len().at(&path, "measure")?;
        let whole = usize::try_from(length)
            .ok()
            .filter(|length| length % SIZE == 0);
        let Some(length) = whole else {
            return Ok(Some(Err(format!(
                "{length} bytes is no multiple of {SIZE}"
            ))));
        };
        let mut ends = None;
        if length > 0 {
            let (mut first, mut last) = ([0; SIZE], [0; SIZE]);
            file.read_exact_at(&mut first, 0).at(&path, "read")?;
            file.read_exact_at(&mut last, (length - SIZE) as u64)
                .at(&path, "read")?;
            ends = Some((first, last));
        }
        let mut index = Self::empty(disk, path, max_bytes);
        index.entries = length / SIZE;
        index.length = Some(length);
        index.secured = length;
        Ok(Some(Ok((index, ends))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    pub(crate) fn max_entries(&self) -> usize {
        self.max_entries
    }

    /// The largest entry count after a change of `segment.index.bytes`; counts at the next roll
    /// for entries already there.
    pub(crate) fn set_max_bytes(&mut self, max_bytes: u32) {
        self.max_entries = max_bytes as usize / SIZE;
    }

    /// Entry `index`, counted from 0.
    pub(crate) fn get(&self, index: usize) -> Result<[u8; SIZE], StorageError> {
        let out_of_range = || {
            let position = (index * SIZE) as u64;
            StorageError::corrupt(&self.path, position, "the index entry does not exist")
        };
        if index >= self.entries {
            return Err(out_of_range());
        }
        let mut entry = [0; SIZE];
        let mapping = self.mapped()?;
        match mapping.read(&mut entry, index * SIZE) {
            Ok(()) => Ok(entry),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(out_of_range()),
            Err(error) => Err(StorageError::io(&self.path, "read", error)),
        }
    }

    /// How many entries at the front satisfy `holds`, which must be true for a prefix.
    pub(crate) fn partition_point(
        &self,
        holds: impl Fn([u8; SIZE]) -> bool,
    ) -> Result<usize, StorageError> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.get(middle)?) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        Ok(low)
    }

    /// Adds an entry. The file is made, or brought back to its full size, if need be.
    pub(crate) fn push(&mut self, entry: [u8; SIZE]) -> Result<(), StorageError> {
        let start = self.entries * SIZE;
        let end = start + SIZE;
        self.secure(end)?;
        let mapping = self.mapping.get_mut();
        let mapping = mapping.ok_or_else(|| std::io::ErrorKind::NotFound.into());
        mapping
            .and_then(|mapping| mapping.write(&entry, start))
            .at(&self.path, "write to")?;
        self.entries += 1;
        Ok(())
    }

    /// Forgets all entries.
    pub(crate) fn clear(&mut self) {
        self.entries = 0;
    }

    /// Cuts the file to its entries, makes it if there are none, and hands it out to be synced.
    /// The mapping goes first: a mapped file must not be shortened.
    pub(crate) fn trim(&mut self) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.mapping.take();
        let file = self
            .disk
            .open(&self.path, OpenMode::Create)
            .at(&self.path, "open")?;
        let length = self.entries * SIZE;
        if self.length != Some(length) {
            file.set_len(length as u64).at(&self.path, "cut")?;
            self.length = Some(length);
        }
        self.secured = length;
        Ok(file)
    }

    fn mapped(&self) -> Result<&dyn Mapping, StorageError> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping.as_ref());
        }
        let length = self.length.unwrap_or(0);
        let mapping = self.disk.map(&self.path, length).at(&self.path, "map")?;
        Ok(self.mapping.get_or_init(|| mapping).as_ref())
    }

    /// Sees to it that the first `end` bytes can be written through the mapping. A store to a
    /// mapped page that the file system has no room for would kill the process (SIGBUS), so each
    /// new page is first written in the ordinary way, which can fail.
    fn secure(&mut self, end: usize) -> Result<(), StorageError> {
        let full = self.max_entries.max(self.entries + 1) * SIZE;
        if self.length.is_none_or(|length| length < end) {
            self.mapping.take();
            if self.length.is_none() {
                let file = self
                    .disk
                    .open(&self.path, OpenMode::Create)
                    .at(&self.path, "open")?;
                file.set_len(0).at(&self.path, "cut")?;
            }
            self.length = Some(self.entries * SIZE);
            let mapping = self.disk.map(&self.path, full).at(&self.path, "map")?;
            self.length = Some(full);
            self.mapping = OnceLock::from(mapping);
        } else {
            self.mapped()?;
        }
        if self.secured < end {
            let page_end = (end.div_ceil(PAGE) * PAGE).min(self.length.unwrap_or(full));
            let zeros = vec![0; page_end - self.secured];
            let file = self
                .disk
                .open(&self.path, OpenMode::ReadWrite)
                .at(&self.path, "open")?;
            let position = self.secured as u64;
            file.write_all_at(&mut [IoSlice::new(&zeros)], position)
                .at(&self.path, "extend")?;
            self.secured = page_end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
