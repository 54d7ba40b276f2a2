//! What can go wrong with files, and where.

use std::io;
use std::path::{Path, PathBuf};

use crate::types::Offset;

/// An operation of the storage that failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as a verb.
        op: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// What was to be looked at in memory only is on the disk. Nothing is wrong: the same look
    /// finds it there.
    #[error("{} must be read from the disk first", path.display())]
    NotInMemory {
        /// The file.
        path: PathBuf,
    },
    /// The volume is full.
    #[error("{op} {}: no space left on the volume", path.display())]
    NoSpace {
        /// The file that did not fit.
        path: PathBuf,
        /// What was tried, as a verb.
        op: &'static str,
    },
    /// The offset is not in the log.
    #[error("offset {offset} is outside the log, which holds {start} to {end} (exclusive)")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// The first offset there is.
        start: Offset,
        /// The offset after the last one.
        end: Offset,
    },
    /// A file does not hold what it must.
    #[error("{} is damaged at byte {position}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bad bytes begin.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// Another broker, in this process or another, uses the directory.
    #[error("{} is in use by another broker", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// A file belongs to something else than the caller expects.
    #[error("{} says {what} {found}, expected {expected}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which value.
        what: &'static str,
        /// The value the caller came with.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// The batch cannot be appended as it is.
    #[error("the batch cannot be appended: {what}")]
    InvalidBatch {
        /// What is wrong with it.
        what: String,
    },
    /// An earlier failure left the log in a state that only a restart can mend.
    #[error("the log in {} is offline: {reason}", path.display())]
    Failed {
        /// The partition's directory.
        path: PathBuf,
        /// The earlier failure.
        reason: String,
    },
}

impl StorageError {
    /// Wraps what the system answered to `op` on `path`.
    pub(crate) fn io(path: &Path, op: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull => Self::NoSpace { path, op },
            _ => Self::Io { path, op, source },
        }
    }

    pub(crate) fn corrupt(path: &Path, position: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_path_buf(),
            position,
            what: what.into(),
        }
    }
}

/// Says on which file an operation failed.
pub(crate) trait At<T> {
    /// Wraps an I/O error with what was tried on `path`.
    fn at(self, path: &Path, op: &'static str) -> Result<T, StorageError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path, op: &'static str) -> Result<T, StorageError> {
        self.map_err(|source| StorageError::io(path, op, source))
    }
}
