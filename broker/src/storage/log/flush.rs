//! What has to reach the disk, and the orderly end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use crate::environment::{Disk, DiskFile};
use crate::storage::epochs;
use crate::storage::error::{At, StorageError};
use crate::storage::log_dir::rename_marked;
use crate::storage::names::DELETE_DIR;
use crate::types::Offset;

/// What has changed since it was last synced, but for the active segment's file.
#[derive(Default)]
pub(super) struct Dirty {
    pending: Work,
    /// Handed out in a plan, not yet reported as flushed.
    in_flight: Work,
}

#[derive(Clone, Default)]
struct Work {
    files: Vec<Arc<dyn DiskFile>>,
    replacements: Vec<(PathBuf, Vec<u8>)>,
    dirs: Vec<PathBuf>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.replacements.is_empty() && self.dirs.is_empty()
    }

    fn absorb(&mut self, other: &mut Self) {
        for file in other.files.drain(..) {
            if !self.files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                self.files.push(file);
            }
        }
        self.replacements.append(&mut other.replacements);
        for dir in other.dirs.drain(..) {
            if !self.dirs.contains(&dir) {
                self.dirs.push(dir);
            }
        }
    }
}

impl Dirty {
    pub(super) fn file(&mut self, file: Arc<dyn DiskFile>) {
        self.pending.files.push(file);
    }

    pub(super) fn files(&mut self, files: Vec<Arc<dyn DiskFile>>) {
        self.pending.files.extend(files);
    }

    pub(super) fn dir(&mut self, dir: PathBuf) {
        if !self.pending.dirs.contains(&dir) {
            self.pending.dirs.push(dir);
        }
    }
}

/// Everything that must be synced for a log to be on disk up to [`Self::up_to`]. Run it without
/// the log's lock, then report [`Log::flushed`]; if it fails, the log must be taken offline with
/// [`Log::fail`], since the system may have dropped what it could not write. A plan that was taken
/// must be run: the next one does not repeat it once a later one was reported.
pub struct FlushPlan {
    work: Work,
    up_to: Offset,
}

impl FlushPlan {
    /// The log end when the plan was made.
    pub fn up_to(&self) -> Offset {
        self.up_to
    }

    /// Syncs files, then replaces small ones, then syncs directories. A name that is gone belongs
    /// to a log that has been removed meanwhile: there is nothing left to save.
    pub fn run(&self, disk: &dyn Disk) -> io::Result<()> {
        for file in &self.work.files {
            file.sync_data()?;
        }
        for (path, content) in &self.work.replacements {
            unless_gone(disk.replace(path, content))?;
        }
        for dir in &self.work.dirs {
            unless_gone(disk.sync_dir(dir))?;
        }
        Ok(())
    }
}

fn unless_gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Log {
    /// What must be synced now; `None` if everything is.
    pub fn flush_plan(&mut self) -> Option<FlushPlan> {
        if let Some(content) = self.epochs.take_dirty() {
            let path = self.dir.join(epochs::FILE_NAME);
            self.dirty.pending.replacements.push((path, content));
        }
        if self.end > self.flushed {
            let active = self.active().file.clone();
            self.dirty.file(active);
        }
        let Dirty { pending, in_flight } = &mut self.dirty;
        in_flight.absorb(pending);
        (!in_flight.is_empty()).then(|| FlushPlan {
            work: in_flight.clone(),
            up_to: self.end,
        })
    }

    /// Whether [`Self::flush_plan`] would have anything to do.
    pub fn needs_flush(&self) -> bool {
        self.end > self.flushed
            || self.epochs.is_dirty()
            || !self.dirty.pending.is_empty()
            || !self.dirty.in_flight.is_empty()
    }

    /// Records below `up_to` are on disk: a plan has been run.
    pub fn flushed(&mut self, up_to: Offset) {
        self.dirty.in_flight = Work::default();
        self.flushed = self.flushed.max(up_to.min(self.end));
    }

    /// Ends in order: the active segment gets the form of a sealed one, the producers' state is
    /// written, everything is synced. Only then may the data directory be marked as shut down in
    /// order. Returns the recovery point to be written to its checkpoint.
    pub fn close(mut self) -> Result<Offset, StorageError> {
        self.check_online()?;
        let files = self.active_mut().seal()?;
        self.dirty.files(files);
        self.dirty.dir(self.dir.clone());
        self.take_snapshot()?;
        if let Some(plan) = self.flush_plan() {
            plan.run(self.disk.as_ref()).at(&self.dir, "sync")?;
            self.flushed(plan.up_to);
        }
        Ok(self.flushed)
    }

    /// Renames the directory so that no start takes it for a partition again, as
    /// `topic-partition.unique-delete`, and returns its new path. The files are the caller's to
    /// remove, after `file.delete.delay.ms`.
    pub fn mark_deleted(self, unique: uuid::Uuid) -> Result<PathBuf, StorageError> {
        rename_marked(self.disk.as_ref(), &self.dir, unique, DELETE_DIR)
    }
}
