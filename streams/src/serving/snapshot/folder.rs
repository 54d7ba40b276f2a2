//! The only door to the local disk beside the store of snapshots: folders and their locks.

use std::io;
use std::path::Path;

/// Makes a folder, and those that it lies in.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// A folder that is this process's, until this is dropped or the process ends, however it ends.
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Takes a folder, which is made if it is not there; `None` if somebody else has it.
    #[allow(clippy::disallowed_methods, reason = "this is the door")]
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        make(folder)?;
        let mut options = std::fs::File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(".lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}
