//! Opening a log: making it, or bringing back what the last run left.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::load::Loaded;
use super::{Log, flush};
use crate::environment::Disk;
use crate::environment::disk::OpenMode;
use crate::storage::checkpoint;
use crate::storage::config::LogConfig;
use crate::storage::epochs::{self, Epochs};
use crate::storage::error::{At, StorageError};
use crate::storage::names::{Kind, SWAP, parse_file_name};
use crate::storage::partition_metadata;
use crate::storage::producers::Producers;
use crate::storage::recovery::{Action, Facts, Plan, plan};
use crate::storage::segment::scan::full_scan;
use crate::types::{LeaderEpoch, Now, Offset, uuid_text};

/// What the data directory's checkpoints say about a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStart {
    /// Whether the broker had shut down in order.
    pub clean: bool,
    /// Everything below it had been synced.
    pub recovery_point: Offset,
    /// The first offset that can be read.
    pub log_start: Offset,
}

/// What opening a log had to mend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments of which every byte was checked, by base offset.
    pub scanned: Vec<Offset>,
    /// Bytes cut off because they were no whole, good batch.
    pub truncated_bytes: u64,
    /// Files that were removed, by name.
    pub deleted: Vec<String>,
    /// What was found damaged and mended, in words.
    pub notes: Vec<String>,
}

impl Log {
    /// Opens the log in `dir`, which is made if it does not exist. `topic_id` is written to
    /// `partition.metadata`, or compared with what is there. Nothing is synced here: what is new
    /// goes with the next [`Log::flush_plan`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        topic_id: Option<Uuid>,
        config: LogConfig,
        start: LogStart,
        now: Now,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        let mut log = Self {
            seed: u64::from(crc32c::crc32c(dir.as_os_str().as_encoded_bytes())) << 20,
            disk,
            dir: dir.to_path_buf(),
            topic_id,
            config,
            segments: Vec::new(),
            start: start.log_start,
            end: start.log_start,
            flushed: start.log_start,
            epochs: Epochs::default(),
            producers: Producers::default(),
            snapshots: BTreeSet::new(),
            dirty: flush::Dirty::default(),
            failed: None,
        };
        let mut report = RecoveryReport::default();
        let parent = dir.parent().unwrap_or(Path::new("."));
        let names = match log.disk.list(dir) {
            Ok(entries) => {
                if !start.clean {
                    // Whoever was killed may not have come to sync the names it has left.
                    log.dirty.dir(parent.to_path_buf());
                    log.dirty.dir(dir.to_path_buf());
                }
                let files = entries.into_iter().filter(|entry| !entry.is_dir);
                files.map(|entry| entry.name).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                log.disk.create_dir_all(dir).at(dir, "make")?;
                log.dirty.dir(parent.to_path_buf());
                Vec::new()
            }
            Err(error) => return Err(StorageError::io(dir, "list", error)),
        };
        log.load_topic_id(&names, &mut report)?;
        let epochs_known = log.load_epochs(&names, &mut report)?;
        log.load_segments(&names, start, now, &mut report)?;
        if !epochs_known {
            log.find_epochs()?;
        }
        report.notes.extend(log.load_producers(now)?);
        Ok((log, report))
    }

    fn load_topic_id(
        &mut self,
        names: &[String],
        report: &mut RecoveryReport,
    ) -> Result<(), StorageError> {
        let path = self.dir.join(partition_metadata::FILE_NAME);
        if names
            .iter()
            .any(|name| name == partition_metadata::FILE_NAME)
        {
            let content = self.disk.read(&path).at(&path, "read")?;
            match (partition_metadata::decode(&content), self.topic_id) {
                (Ok(found), Some(expected)) if found != expected => {
                    return Err(StorageError::Mismatch {
                        path,
                        what: "topic id",
                        expected: uuid_text::to_text(expected),
                        found: uuid_text::to_text(found),
                    });
                }
                (Ok(found), _) => {
                    self.topic_id = Some(found);
                    return Ok(());
                }
                (Err((position, what)), None) => {
                    return Err(StorageError::corrupt(&path, position, what));
                }
                // The file was not synced before the power went: the caller knows the id.
                (Err((_, what)), Some(_)) => {
                    report.notes.push(format!("{}: {what}", path.display()));
                }
            }
        }
        let Some(topic_id) = self.topic_id else {
            return Ok(());
        };
        let file = self.disk.open(&path, OpenMode::Create).at(&path, "make")?;
        let content = partition_metadata::encode(topic_id);
        file.set_len(content.len() as u64).at(&path, "cut")?;
        file.write_all_at(&mut [IoSlice::new(&content)], 0)
            .at(&path, "write")?;
        self.dirty.file(file);
        self.dirty.dir(self.dir.clone());
        Ok(())
    }

    /// Reads the epochs, and says whether the file was there and good.
    fn load_epochs(
        &mut self,
        names: &[String],
        report: &mut RecoveryReport,
    ) -> Result<bool, StorageError> {
        if !names.iter().any(|name| name == epochs::FILE_NAME) {
            return Ok(false);
        }
        match checkpoint::read(self.disk.as_ref(), &self.dir.join(epochs::FILE_NAME)) {
            Ok(entries) => self.epochs = Epochs::from_entries(entries),
            Err(error @ StorageError::Corrupt { .. }) => {
                report.notes.push(error.to_string());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Finds the epochs in the batches' headers.
    fn find_epochs(&mut self) -> Result<(), StorageError> {
        self.epochs = Epochs::default();
        for segment in &self.segments {
            let mut scan = segment.headers(0);
            while let Some(batch) = scan.next()? {
                let epoch = LeaderEpoch(batch.header.partition_leader_epoch);
                if self.epochs.latest().is_none_or(|latest| epoch > latest) {
                    self.epochs.assign(epoch, Offset(batch.header.base_offset));
                }
            }
        }
        self.epochs.truncate_start(self.start);
        Ok(())
    }

    fn load_segments(
        &mut self,
        names: &[String],
        start: LogStart,
        now: Now,
        report: &mut RecoveryReport,
    ) -> Result<(), StorageError> {
        let swap_ends = self.swap_ends(names)?;
        let (clean, recovery_point) = (start.clean, start.recovery_point);
        let plan = plan(&Facts {
            names,
            swap_ends: &swap_ends,
            clean,
            recovery_point,
        });
        self.carry_out(&plan, report)?;
        self.snapshots = plan.snapshots.iter().copied().collect();
        let mut end = None;
        for (index, found) in plan.segments.iter().enumerate() {
            let is_last = index + 1 == plan.segments.len();
            let stop = self.load_segment(found, is_last, end, start, now, report)?;
            match stop {
                Loaded::Upto(offset) => end = offset,
                Loaded::StopBefore => {
                    self.drop_files(&plan.segments, index, report)?;
                    break;
                }
                // What was cut off was no record: the next segment begins right there.
                Loaded::StopAfter(offset)
                    if plan.segments.get(index + 1).map(|next| next.base) == Some(offset) =>
                {
                    end = Some(offset);
                }
                Loaded::StopAfter(offset) => {
                    end = Some(offset);
                    self.drop_files(&plan.segments, index + 1, report)?;
                    break;
                }
            }
        }
        self.settle(end, start, now, &plan.segments, report)
    }

    /// The offset after the last record of each `.log.swap`.
    fn swap_ends(&self, names: &[String]) -> Result<BTreeMap<Offset, Offset>, StorageError> {
        let mut ends = BTreeMap::new();
        for name in names {
            let Some((base, Kind::Log)) = name.strip_suffix(SWAP).and_then(parse_file_name) else {
                continue;
            };
            let path = self.dir.join(name);
            let file = self.disk.open(&path, OpenMode::Read).at(&path, "open")?;
            let length = file.len().at(&path, "measure")?;
            let mut end = base;
            full_scan(file.as_ref(), &path, length, |_, batch| {
                end = Offset(batch.header().next_offset());
                ControlFlow::Continue(())
            })?;
            ends.insert(base, end);
        }
        Ok(ends)
    }

    fn carry_out(&mut self, plan: &Plan, report: &mut RecoveryReport) -> Result<(), StorageError> {
        for action in &plan.actions {
            match action {
                Action::Delete(name, _) => {
                    let path = self.dir.join(name);
                    self.disk.remove_file(&path).at(&path, "remove")?;
                    report.deleted.push(name.clone());
                }
                Action::Rename(from, to) => {
                    let path = self.dir.join(from);
                    self.disk
                        .rename(&path, &self.dir.join(to))
                        .at(&path, "rename")?;
                    report.notes.push(format!("{from} was put in place"));
                }
            }
            self.dirty.dir(self.dir.clone());
        }
        Ok(())
    }
}
