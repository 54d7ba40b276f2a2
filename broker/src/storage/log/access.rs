//! Looks at a log whose owner keeps it behind a lock.

use super::Log;
use crate::storage::error::StorageError;

/// Gives access to a log for a moment.
///
/// What takes long (walking over headers, reading and unpacking batches) is done between two looks,
/// without the lock: nobody who appends waits for it. So the log may change from one look to the
/// next; whoever looks again must be ready for a later start, and for segments that are gone.
pub trait LogAccess {
    /// Why there is nothing to look at, or what went wrong with the look.
    type Error: From<StorageError>;

    /// Hands the log to `look`, which must not take long.
    fn look<T>(&self, look: impl FnOnce(&Log) -> Result<T, StorageError>)
    -> Result<T, Self::Error>;
}

/// A log that nobody else has.
impl LogAccess for Log {
    type Error = StorageError;

    fn look<T>(
        &self,
        look: impl FnOnce(&Log) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        look(self)
    }
}
