//! Faults that a test arms on a [`super::MemoryDisk`].

use std::io;
use std::path::Path;

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Opening or making a file, taking a lock.
    Open,
    /// Reading bytes or a length.
    Read,
    /// Reading bytes if they are in memory. Its faults are no errors: the bytes are on the disk
    /// only, or with [`Failure::Short`] those behind the first so many.
    ReadCached,
    /// Writing bytes.
    Write,
    /// Putting a file's bytes on the disk.
    Sync,
    /// Cutting or extending a file.
    SetLen,
    /// Mapping a file.
    Map,
    /// Renaming.
    Rename,
    /// Removing a file or directory.
    Remove,
    /// Making a directory.
    CreateDir,
    /// Listing a directory, asking whether a name exists.
    List,
    /// Making a directory's names durable.
    SyncDir,
}

impl DiskOp {
    /// Every kind, for tests that walk through them.
    pub const ALL: [Self; 12] = [
        Self::Open,
        Self::Read,
        Self::ReadCached,
        Self::Write,
        Self::Sync,
        Self::SetLen,
        Self::Map,
        Self::Rename,
        Self::Remove,
        Self::CreateDir,
        Self::List,
        Self::SyncDir,
    ];
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// EIO.
    Io,
    /// ENOSPC.
    NoSpace,
    /// A write stops after so many bytes and then fails with EIO; other operations just fail, but
    /// for [`DiskOp::ReadCached`].
    Short(usize),
}

/// One armed fault. It strikes once.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The operations it counts; `None` counts all.
    pub op: Option<DiskOp>,
    /// Counts only operations on paths that end in this text.
    pub path_suffix: Option<String>,
    /// How many counted operations pass before the one that fails.
    pub after: u64,
    /// How that one fails.
    pub failure: Failure,
}

impl Fault {
    /// Fails the next operation of kind `op` with `failure`.
    pub fn next(op: DiskOp, failure: Failure) -> Self {
        Self {
            op: Some(op),
            path_suffix: None,
            after: 0,
            failure,
        }
    }

    /// Lets `after` counted operations pass first.
    pub fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }

    /// Counts only operations on paths that end in `suffix`.
    pub fn on(self, suffix: &str) -> Self {
        Self {
            path_suffix: Some(suffix.to_owned()),
            ..self
        }
    }
}

/// A refused write: what was written all the same, and the error.
pub(super) struct Refused {
    pub(super) written: usize,
    pub(super) error: io::Error,
}

/// The armed faults and the count of operations.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Fault>,
    operations: u64,
    halt_at: Option<u64>,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        self.armed.push(fault);
    }

    pub(super) fn armed(&self) -> usize {
        self.armed.len()
    }

    pub(super) fn halt_after(&mut self, operations: u64) {
        self.halt_at = Some(self.operations.saturating_add(operations));
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    /// Counts an operation and says whether it may go on.
    pub(super) fn pass(&mut self, op: DiskOp, path: &Path) -> io::Result<()> {
        self.strike(op, path)
            .map_or(Ok(()), |failure| Err(error(failure)))
    }

    /// How many of `len` bytes are in memory.
    pub(super) fn pass_cached(&mut self, path: &Path, len: usize) -> usize {
        match self.strike(DiskOp::ReadCached, path) {
            None => len,
            Some(Failure::Short(bytes)) => bytes.min(len),
            Some(_) => 0,
        }
    }

    /// Like [`Self::pass`] for a write of `len` bytes, which may get half way.
    pub(super) fn pass_write(&mut self, path: &Path, len: usize) -> Result<(), Refused> {
        match self.strike(DiskOp::Write, path) {
            None => Ok(()),
            Some(failure) => {
                let written = if let Failure::Short(bytes) = failure {
                    bytes.min(len)
                } else {
                    0
                };
                Err(Refused {
                    written,
                    error: error(failure),
                })
            }
        }
    }

    fn strike(&mut self, op: DiskOp, path: &Path) -> Option<Failure> {
        let index = self.operations;
        self.operations += 1;
        if self.halt_at.is_some_and(|halt| index >= halt) {
            return Some(Failure::Io);
        }
        let mut struck = None;
        for (slot, fault) in self.armed.iter_mut().enumerate() {
            let counted = fault.op.is_none_or(|wanted| wanted == op)
                && fault
                    .path_suffix
                    .as_deref()
                    .is_none_or(|suffix| path.to_str().is_some_and(|path| path.ends_with(suffix)));
            if !counted {
                continue;
            }
            if fault.after == 0 {
                struck = Some(slot);
                break;
            }
            fault.after -= 1;
        }
        struck.map(|slot| self.armed.remove(slot).failure)
    }
}

fn error(failure: Failure) -> io::Error {
    match failure {
        Failure::Io | Failure::Short(_) => io::Error::other("injected fault"),
        Failure::NoSpace => io::ErrorKind::StorageFull.into(),
    }
}
