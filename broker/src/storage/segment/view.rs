//! The batches of a segment as they were at one moment: what is looked at without the log's lock.

use std::path::Path;
use std::sync::Arc;

use tidemark_protocol::records::BatchHeader;

use super::Located;
use super::scan::HeaderScan;
use crate::environment::DiskFile;
use crate::storage::error::{At, StorageError};
use crate::types::Offset;

/// How far a look may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only to what is in memory: what is not ends the look with [`StorageError::NotInMemory`].
    Memory,
    /// To the disk, and so it may have to wait.
    Disk,
}

/// A segment's file with the end that its batches had. They stay as they are, and readable, also
/// when the segment is removed meanwhile.
#[derive(Clone)]
pub(crate) struct SegmentView {
    pub(crate) base: Offset,
    pub(crate) path: Arc<Path>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes of whole batches.
    pub(crate) size: u32,
}

impl SegmentView {
    /// Walks the headers from `position` on.
    pub(crate) fn headers(&self, position: u32, reach: Reach) -> HeaderScan {
        HeaderScan::new(self.clone(), position, reach)
    }

    /// The first batch that ends at or after `offset`. `hint` is where the offset index says that
    /// the search may begin.
    pub(crate) fn locate(
        &self,
        offset: Offset,
        hint: u32,
        reach: Reach,
    ) -> Result<Option<Located>, StorageError> {
        if hint > 0 {
            // The index has no checksum. What it points at must look like a batch at or before
            // the offset; if not, the segment is searched from its beginning.
            match self.first_ending_at(offset, hint, reach) {
                Ok((Some(first), found))
                    if first.base_offset >= self.base.0 && first.base_offset <= offset.0 =>
                {
                    return Ok(found);
                }
                Err(error @ StorageError::NotInMemory { .. }) => return Err(error),
                _ => {}
            }
        }
        Ok(self.first_ending_at(offset, 0, reach)?.1)
    }

    /// The header at `position`, and the first batch from there on that ends at or after `offset`.
    fn first_ending_at(
        &self,
        offset: Offset,
        position: u32,
        reach: Reach,
    ) -> Result<(Option<BatchHeader>, Option<Located>), StorageError> {
        let mut first = None;
        let mut scan = self.headers(position, reach);
        while let Some(batch) = scan.next()? {
            first.get_or_insert(batch.header);
            if batch.header.last_offset() >= offset.0 {
                return Ok((first, Some(batch)));
            }
        }
        Ok((first, None))
    }

    /// All bytes of a batch.
    pub(crate) fn read(&self, batch: &Located) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; batch.size() as usize];
        self.file
            .read_exact_at(&mut bytes, u64::from(batch.position))
            .at(&self.path, "read")?;
        Ok(bytes)
    }
}
