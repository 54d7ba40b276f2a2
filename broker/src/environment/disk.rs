//! The disk: the seam between the storage rules and the bytes.
//!
//! The seam sits at files and directories, so that every rule above it (rolling, recovery,
//! retention, checkpoints) runs unchanged over the real file system and over an in-memory disk
//! that loses, tears and refuses writes when a test says so.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

mod memory;
mod real;

pub use memory::{DiskOp, Failure, Fault, MemoryDisk};
pub use real::RealDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reads only.
    Read,
    /// Existing file, reads and writes.
    ReadWrite,
    /// Made if it does not exist; reads and writes; kept as it is if it does.
    Create,
}

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The entry's name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// How much room the volume under a directory has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// The volume's size.
    pub total: u64,
    /// What is left for this process.
    pub usable: u64,
}

/// Holds a lock file; the lock ends when this is dropped.
pub trait LockGuard: Send + Sync {}

/// Files and directories. Every method works at once and may block; none retries.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory and its parents; fine if it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether something with this name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Renames a file or directory, replacing a file at the target. Durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file; handles and mappings that are open keep their bytes.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all below it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable: new files, renames, removals.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Maps the first `len` bytes of a file for reading and writing; the file is made and grown
    /// (with zeros) as needed. A mapped file must never be shortened: drop the mapping first.
    fn map(&self, path: &Path, len: usize) -> io::Result<Box<dyn Mapping>>;
    /// Takes an exclusive lock on a file, which is made if needed; `WouldBlock` if another
    /// process or broker holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>>;
    /// The room on the volume that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a small file so that a crash leaves either the old or the new content: writes a
    /// `.tmp` beside it, syncs it, renames it and syncs the directory.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = self.open(&temporary, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_all_at(&mut [IoSlice::new(content)], 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

/// An open file.
#[allow(
    clippy::len_without_is_empty,
    reason = "the length is asked of the system and may fail"
)]
pub trait DiskFile: Send + Sync {
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes at `position`; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Reads what of it is in memory, without waiting for the disk. 0 says nothing about the file:
    /// what is missing must be asked for with [`DiskFile::read_at`], which may wait.
    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> usize;
    /// Writes all slices, one after the other, at `position`. The slices are used up.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Puts the content (and the length) on the disk: fdatasync.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reads exactly `buffer.len()` bytes at `position`.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, position) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A file's bytes in memory, shared with the file.
pub trait Mapping: Send + Sync {
    /// Fills `buffer` with the mapped bytes from `position` on; an error if there are fewer.
    fn read(&self, buffer: &mut [u8], position: usize) -> io::Result<()>;
    /// Changes mapped bytes in place; an error if they would reach past the end.
    fn write(&mut self, bytes: &[u8], position: usize) -> io::Result<()>;
    /// Puts changed bytes on the disk: msync.
    fn flush(&self) -> io::Result<()>;
}
