//! An in-memory disk that forgets, tears and refuses when a test says so.
//!
//! Every file keeps two contents: what is durable (as of the last `sync_data`) and what a reader
//! sees now, with the writes in between. Every directory keeps its names in the same way (as of
//! the last `sync_dir`). [`MemoryDisk::crash`] falls back to what was durable plus a random part
//! of the rest: a directory keeps a prefix of its unsynced changes, as a journalling file system
//! does; a file keeps, drops or tears each unsynced write on its own.

mod content;
mod fault;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DirEntry, Disk, DiskFile, LockGuard, Mapping, OpenMode, Space};
use content::Content;
use fault::Faults;
pub use fault::{DiskOp, Failure, Fault};
use tree::{FileId, Tree};

/// A disk in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<State>>);

struct State {
    tree: Tree,
    faults: Faults,
    /// Grows with each crash; handles of an older generation are dead.
    generation: u64,
    locks: BTreeSet<PathBuf>,
    capacity: u64,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryDisk {
    /// An empty disk without a size limit.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            tree: Tree::default(),
            faults: Faults::default(),
            generation: 0,
            locks: BTreeSet::new(),
            capacity: u64::MAX,
        })))
    }

    /// Arms a fault; several may be armed at once.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().faults.arm(fault);
    }

    /// Disarms all faults, and the halt of [`Self::halt_after`].
    pub fn clear_faults(&self) {
        self.0.lock().faults = Faults::default();
    }

    /// Lets `operations` more operations through and fails all later ones, until
    /// [`Self::crash`] or [`Self::clear_faults`]: the moment the power goes.
    pub fn halt_after(&self, operations: u64) {
        self.0.lock().faults.halt_after(operations);
    }

    /// How many armed faults have not struck yet.
    pub fn armed_faults(&self) -> usize {
        self.0.lock().faults.armed()
    }

    /// How many operations have been asked for since the disk was made.
    pub fn operations(&self) -> u64 {
        self.0.lock().faults.operations()
    }

    /// Refuses writes that would take the files' bytes above `bytes`. Unwritten parts of a file
    /// that was only extended take no room.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = bytes;
    }

    /// Turns one bit of a file over, now and durably: a bad sector.
    pub fn flip_bit(&self, path: &Path, position: u64, bit: u8) -> io::Result<()> {
        let mut state = self.0.lock();
        let id = state.tree.file(path)?;
        state.tree.content(id).flip_bit(position, bit);
        Ok(())
    }

    /// The power goes and comes back: what was not synced is kept, dropped or torn as `seed`
    /// says; open handles and locks of before are dead; armed faults are gone.
    pub fn crash(&self, seed: u64) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.locks.clear();
        state.faults = Faults::default();
        state.tree.crash(seed);
    }

    fn with<T>(
        &self,
        op: DiskOp,
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.lock();
        state.faults.pass(op, path)?;
        work(&mut state)
    }
}

impl State {
    fn used(&self) -> u64 {
        self.tree.used()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.with(DiskOp::Open, path, |state| {
            let id = match state.tree.file(path) {
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && mode == OpenMode::Create =>
                {
                    state.tree.create(path)?
                }
                other => other?,
            };
            state.tree.retain(id);
            Ok(Arc::new(MemoryFile {
                disk: self.clone(),
                path: path.to_path_buf(),
                id,
                generation: state.generation,
                writable: mode != OpenMode::Read,
            }) as Arc<dyn DiskFile>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.with(DiskOp::CreateDir, path, |state| {
            state.tree.create_dir_all(path)
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.with(DiskOp::List, path, |state| state.tree.list(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.with(DiskOp::List, path, |state| Ok(state.tree.exists(path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(DiskOp::Rename, from, |state| state.tree.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.with(DiskOp::Remove, path, |state| state.tree.remove(path, false))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.with(DiskOp::Remove, path, |state| state.tree.remove(path, true))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.with(DiskOp::SyncDir, path, |state| state.tree.sync_dir(path))
    }

    fn map(&self, path: &Path, len: usize) -> io::Result<Box<dyn Mapping>> {
        self.with(DiskOp::Map, path, |state| {
            let id = match state.tree.file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => state.tree.create(path)?,
                other => other?,
            };
            let content = state.tree.content(id);
            if content.len() < len as u64 {
                content.set_len(len as u64);
            }
            state.tree.retain(id);
            let generation = state.generation;
            Ok(Box::new(MemoryMapping {
                disk: self.clone(),
                id,
                generation,
                len,
            }) as Box<dyn Mapping>)
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.with(DiskOp::Open, path, |state| {
            if state.tree.file(path).is_err() {
                state.tree.create(path)?;
            }
            if !state.locks.insert(path.to_path_buf()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let generation = state.generation;
            Ok(Box::new(MemoryLock {
                disk: self.clone(),
                path: path.to_path_buf(),
                generation,
            }) as Box<dyn LockGuard>)
        })
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.0.lock();
        let usable = state.capacity.saturating_sub(state.used());
        Ok(Space {
            total: state.capacity,
            usable,
        })
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    id: FileId,
    generation: u64,
    writable: bool,
}

impl MemoryFile {
    fn with<T>(&self, op: DiskOp, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.disk.with(op, &self.path, |state| {
            if state.generation != self.generation {
                return Err(io::Error::other(
                    "the disk has crashed since the file was opened",
                ));
            }
            work(state)
        })
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        self.with(DiskOp::Read, |state| Ok(state.tree.content(self.id).len()))
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.with(DiskOp::Read, |state| {
            Ok(state.tree.content(self.id).read_at(buffer, position))
        })
    }

    /// Everything is in memory, unless a fault says that it is not, or only so many bytes.
    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> usize {
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return 0;
        }
        let allowed = state.faults.pass_cached(&self.path, buffer.len());
        let buffer = buffer.get_mut(..allowed).unwrap_or_default();
        state.tree.content(self.id).read_at(buffer, position)
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        self.check_writable()?;
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return Err(io::Error::other(
                "the disk has crashed since the file was opened",
            ));
        }
        let outcome = state.faults.pass_write(&self.path, bytes.len());
        let allowed = match &outcome {
            Ok(()) => bytes.len(),
            Err(refused) => refused.written,
        };
        let kept = bytes.get(..allowed).unwrap_or(&bytes);
        let grown = state.tree.content(self.id).growth(kept.len(), position);
        if state.used().saturating_add(grown) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.tree.content(self.id).write(kept, position);
        outcome.map_err(|refused| refused.error)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(DiskOp::Sync, |state| {
            state.tree.content(self.id).sync();
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.with(DiskOp::SetLen, |state| {
            state.tree.content(self.id).set_len(len);
            Ok(())
        })
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.generation == self.generation {
            state.tree.release(self.id);
        }
    }
}

/// The file's own bytes, reached without the count of operations and without the limit of room:
/// as with real memory, no access can be refused.
struct MemoryMapping {
    disk: MemoryDisk,
    id: FileId,
    generation: u64,
    len: usize,
}

impl MemoryMapping {
    fn with<T>(
        &self,
        range: (usize, usize),
        work: impl FnOnce(&mut Content) -> T,
    ) -> io::Result<T> {
        let (position, count) = range;
        if position.checked_add(count).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return Err(io::Error::other(
                "the disk has crashed since the file was mapped",
            ));
        }
        Ok(work(state.tree.content(self.id)))
    }
}

impl Mapping for MemoryMapping {
    fn read(&self, buffer: &mut [u8], position: usize) -> io::Result<()> {
        self.with((position, buffer.len()), |content| {
            content.read_at(buffer, position as u64);
        })
    }

    fn write(&mut self, bytes: &[u8], position: usize) -> io::Result<()> {
        self.with((position, bytes.len()), |content| {
            content.write(bytes, position as u64);
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.disk
            .with(DiskOp::Sync, Path::new(""), |_| Ok(()))
            .and_then(|()| self.with((0, 0), Content::sync))
    }
}

impl Drop for MemoryMapping {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.generation == self.generation {
            state.tree.release(self.id);
        }
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
    generation: u64,
}

impl LockGuard for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.generation == self.generation {
            state.locks.remove(&self.path);
        }
    }
}

/// How many bytes a stored content takes; used by the tree to add up.
fn stored(content: &Content) -> u64 {
    content.stored()
}

#[cfg(test)]
mod tests;
