//! One partition of a run: reads its range, puts aside what is too much, and writes its states.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_client::TopicPartition;
use tidemark_client::consumer::Batch;
use tokio::sync::mpsc;

use super::archive::Archive;
use super::delta::{Computed, Delta, records};
use super::merge::{Merge, MergeError, Sorted};
use super::plan::Range;
use super::progress::{BatchProgress, Done, note};
use super::{BatchConfig, BatchError, Log, Reader};
use crate::data::{Data, DataError};
use crate::serving::aggregate::Aggregate;
use crate::serving::snapshot::{EventsFile, Manifest, Snapshots, StateFile, StatesWriter, paths};
use crate::serving::view::View;

/// A file of states is ended when it has about so many bytes.
const FILE: u64 = 128 << 20;
/// So many states are merged in one go.
const STEP: usize = 16_384;
/// When so many lists of states have been put aside they are made one: they are all gone through at once in
/// the end, each with its packed files in memory.
pub(super) const MOST_ASIDE: usize = 8;

/// What all partitions of a run have in common.
pub(super) struct Run<K, A: Aggregate> {
    pub(super) view: Arc<View<K, A>>,
    pub(super) snapshots: Snapshots,
    pub(super) config: BatchConfig,
    pub(super) name: String,
    pub(super) snapshot: u64,
    pub(super) parent: Option<Manifest>,
    pub(super) seed: u64,
    pub(super) read: AtomicU64,
    pub(super) total: u64,
    pub(super) states: AtomicU64,
    /// What has been read already, of a run that is taken up again.
    pub(super) taken_up: Option<u64>,
    pub(super) listed: Listed,
}

/// How much of the manifest files of raw events take.
#[derive(Debug)]
pub(super) struct Listed {
    most: u64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Listed {
    /// Of a manifest that may have so many bytes.
    pub(super) fn new(most: u64) -> Self {
        Self {
            most,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Adds a file; gives how many there are if they are too many.
    pub(super) fn add(&self, file: &EventsFile) -> Option<u64> {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = file.listed();
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (bytes > self.most).then_some(files)
    }
}

/// What is read of a partition and is in memory.
struct Work<K, A: Aggregate> {
    delta: Delta<K, A>,
    archive: Option<Archive>,
}

impl<K: Data, A: Aggregate> Work<K, A> {
    /// Takes batches in. Files that are ended on the way are handed on one by one.
    fn add(
        &mut self,
        partition: &TopicPartition,
        batches: &[Batch],
        (from, to): (i64, i64),
        archived: i64,
        ended: &mpsc::Sender<Ended>,
    ) -> Result<(), BatchError> {
        let Self { delta, archive } = self;
        records(partition, batches, (from, to), |record, buffer| {
            let time = delta.add(record, buffer);
            if let Some(archive) = archive.as_mut().filter(|_| record.offset >= archived) {
                let added = archive.add(time, record);
                added.map_err(|error| DataError::new(error.to_string()))?;
                hand_on(archive, ended)?;
            }
            Ok(())
        })?;
        delta.measure();
        Ok(())
    }
}

/// A file of events with its bytes.
type Ended = (EventsFile, Vec<u8>);
/// So many ended files wait to be written.
const MOST_ENDED: usize = 4;

/// Hands on what has been ended, and waits while too much is on its way.
fn hand_on(archive: &mut Archive, ended: &mpsc::Sender<Ended>) -> Result<(), DataError> {
    for file in archive.take() {
        // Whoever writes them has failed, and says so.
        let sent = ended.blocking_send(file);
        sent.map_err(|_| DataError::new("files of events cannot be written"))?;
    }
    Ok(())
}

impl<K: Data, A: Aggregate> Run<K, A> {
    /// Does what is left to do of a partition; gives what has been done.
    pub(super) async fn partition<L: Log>(
        &self,
        log: &L,
        number: usize,
        topic: &str,
        range: &Range,
        mut done: Done,
    ) -> Result<Done, BatchError> {
        if done.states.is_some() {
            self.tell(range.to - range.from, 0);
            return Ok(done);
        }
        let partition = TopicPartition::new(topic, range.partition);
        let parent = self.parent_states(topic, range.partition);
        if range.from == range.to && self.parent.is_some() {
            // Nothing is new: the files are those of the parent.
            done.states = Some(parent);
            return Ok(done);
        }
        let mut work = Work {
            delta: Delta::new(Arc::clone(&self.view), number, partition.clone(), self.seed),
            archive: self
                .config
                .archive
                .then(|| Archive::new(partition.clone(), &self.name)),
        };
        self.tell(done.position - range.from, 0);
        if done.position < range.to {
            let mut reader = log.read(partition.clone(), done.position)?;
            let mut since = 0;
            while done.position < range.to {
                let (batches, next) = reader.next().await?;
                let within = |batch: &&Batch| batch.first_offset() < range.to;
                if let Some(last) = batches.iter().rfind(within) {
                    done.epoch = Some(last.header().partition_leader_epoch);
                }
                let before = work.delta.tally.records;
                work = self
                    .add(work, &partition, batches, &mut done, range)
                    .await?;
                since += work.delta.tally.records - before;
                self.tell(next.min(range.to) - done.position, 0);
                done.position = next.min(range.to);
                let full = work.delta.bytes() > self.config.memory / self.config.workers;
                if done.position < range.to && (full || since >= self.config.checkpoint) {
                    work = self.put_aside(work, &partition, &mut done).await?;
                    since = 0;
                }
            }
        }
        let (_, states) = self.end(work, &mut done).await?;
        let states = self
            .write_states(states, &partition, range, &parent, &done)
            .await?;
        done.states = Some(states);
        self.note(&partition, &done).await?;
        Ok(done)
    }

    /// The parent's files of a partition.
    fn parent_states(&self, topic: &str, partition: i32) -> Vec<StateFile> {
        let files = self.parent.iter().flat_map(|parent| &parent.states);
        files
            .filter(|file| file.topic == topic && file.partition == partition)
            .cloned()
            .collect()
    }

    pub(super) fn tell(&self, read: i64, states: u64) {
        self.read
            .fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
        self.states.fetch_add(states, Ordering::Relaxed);
        if let Some(told) = &self.config.told {
            told(&BatchProgress {
                read: self.read.load(Ordering::Relaxed),
                total: self.total,
                states: self.states.load(Ordering::Relaxed),
                taken_up: self.taken_up,
            });
        }
    }

    /// Takes batches in where nobody waits, and writes the events that have come together.
    async fn add(
        &self,
        mut work: Work<K, A>,
        partition: &TopicPartition,
        batches: Vec<Batch>,
        done: &mut Done,
        range: &Range,
    ) -> Result<Work<K, A>, BatchError> {
        let (partition, bounds) = (partition.clone(), (done.position, range.to));
        let archived = range.archived;
        let (ended, to_write) = mpsc::channel(MOST_ENDED);
        let added = blocking(move || {
            work.add(&partition, &batches, bounds, archived, &ended)?;
            Ok(work)
        });
        self.write_events(to_write, added, done).await
    }

    /// Writes files of events as they are ended, while the work goes on that ends them.
    async fn write_events<T>(
        &self,
        mut ended: mpsc::Receiver<Ended>,
        work: impl Future<Output = Result<T, BatchError>>,
        done: &mut Done,
    ) -> Result<T, BatchError> {
        let write = async {
            while let Some((file, bytes)) = ended.recv().await {
                // As soon as it is known: it would be refused when all has been done.
                if let Some(files) = self.listed.add(&file) {
                    return Err(self.snapshots.too_many_events(self.snapshot, files).into());
                }
                self.snapshots.put(&file.path, bytes).await?;
                done.events.push(file);
            }
            Ok(())
        };
        let ((), result) = tokio::try_join!(write, work)?;
        Ok(result)
    }

    /// Ends all that is in memory: writes the events, counts what has been read, and gives the states.
    async fn end(
        &self,
        mut work: Work<K, A>,
        done: &mut Done,
    ) -> Result<(Work<K, A>, Computed<A::State>), BatchError> {
        let (sender, to_write) = mpsc::channel(MOST_ENDED);
        let ended = blocking(move || {
            if let Some(archive) = &mut work.archive {
                while archive
                    .end_one()
                    .map_err(|error| BatchError::write("raw events", &error))?
                {
                    hand_on(archive, &sender)?;
                }
            }
            // There are no more files: whoever waits for some need not.
            drop(sender);
            let states = work.delta.take_sorted();
            Ok::<_, BatchError>((work, states))
        });
        let (mut work, states) = self.write_events(to_write, ended, done).await?;
        done.tally.add(&std::mem::take(&mut work.delta.tally));
        Ok((work, states))
    }

    /// Puts aside what has been read, so that memory is free, and a crash does not take it.
    async fn put_aside(
        &self,
        work: Work<K, A>,
        partition: &TopicPartition,
        done: &mut Done,
    ) -> Result<Work<K, A>, BatchError> {
        let (work, states) = self.end(work, done).await?;
        let sources = vec![Sorted::memory(states)];
        self.write_aside(sources, partition, done).await?;
        let mut gone = Vec::new();
        if done.aside.len() >= MOST_ASIDE {
            gone = std::mem::take(&mut done.aside);
            let mut sources = Vec::new();
            for files in &gone {
                sources.push(self.sorted(files).await?);
            }
            self.write_aside(sources, partition, done).await?;
        }
        self.note(partition, done).await?;
        for file in gone.iter().flatten() {
            self.snapshots.delete(&file.path).await?;
        }
        Ok(work)
    }

    /// Writes a list of states that is put aside. Nobody is shown them.
    async fn write_aside(
        &self,
        sources: Vec<Sorted<A::State>>,
        partition: &TopicPartition,
        done: &mut Done,
    ) -> Result<(), BatchError> {
        let merge = Merge::new(Arc::clone(&self.view), sources, false);
        let before = done.numbers;
        let path = |part: usize| paths::aside(&self.name, partition, before + part as u64);
        let files = self.write(merge, partition, path, &[]).await?;
        done.numbers += files.len() as u64;
        done.aside.push(files);
        Ok(())
    }

    /// The states of files that are one list.
    async fn sorted(&self, files: &[StateFile]) -> Result<Sorted<A::State>, BatchError> {
        let mut readers = Vec::new();
        for file in files {
            let reader = self.snapshots.states_reader(file).await?;
            readers.push((file.path.clone(), reader));
        }
        Ok(Sorted::files(readers))
    }

    async fn note(&self, partition: &TopicPartition, done: &Done) -> Result<(), BatchError> {
        let path = paths::done(&self.name, partition);
        let json = note(done).map_err(|error| BatchError::write(&path, &error))?;
        Ok(self.snapshots.put(&path, json).await?)
    }

    /// Writes all states of a partition: the parent's, those that were put aside and the last ones.
    async fn write_states(
        &self,
        states: Computed<A::State>,
        partition: &TopicPartition,
        range: &Range,
        parent: &[StateFile],
        done: &Done,
    ) -> Result<Vec<StateFile>, BatchError> {
        let mut sources = vec![self.sorted(parent).await?];
        for files in &done.aside {
            sources.push(self.sorted(files).await?);
        }
        sources.push(Sorted::memory(states));
        let merge = Merge::new(Arc::clone(&self.view), sources, true);
        let path = |part| paths::states(self.snapshot, &self.name, partition, part);
        let footer = self.footer(partition, range);
        self.write(merge, partition, path, &footer).await
    }

    /// Writes a list of states to files of which none is too large.
    async fn write(
        &self,
        mut merge: Merge<K, A>,
        partition: &TopicPartition,
        path: impl Fn(usize) -> String,
        footer: &[(&'static str, String)],
    ) -> Result<Vec<StateFile>, BatchError> {
        let windowed = self.view.windows().is_some();
        let shown = merge.is_shown();
        let mut files = Vec::new();
        let mut goes_on = true;
        while goes_on {
            let path = path(files.len());
            let failed = |error: &dyn std::fmt::Display| BatchError::write(&path, error);
            let mut writer = StatesWriter::new(windowed, footer).map_err(|error| failed(&error))?;
            let mut upload = self.snapshots.upload(&path).await?;
            let mut size = 0;
            while goes_on && size < FILE {
                let stepped = blocking(move || {
                    let goes_on = merge.step(STEP, &mut writer)?;
                    let bytes = writer.take()?;
                    Ok::<_, MergeError>((merge, writer, goes_on, bytes))
                });
                let bytes;
                (merge, writer, goes_on, bytes) = stepped
                    .await
                    .map_err(|error| BatchError::write(error.file().unwrap_or(&path), &error))?;
                size += bytes.len() as u64;
                if !bytes.is_empty() {
                    upload.write(bytes).await?;
                }
            }
            let rows = writer.rows();
            let rest = writer.finish().map_err(|error| failed(&error))?;
            upload.write(rest).await?;
            let (bytes, crc32) = upload.finish().await?;
            if shown {
                self.tell(0, rows);
            }
            files.push(StateFile {
                path,
                topic: partition.topic.to_string(),
                partition: partition.partition,
                bytes,
                crc32,
                rows,
            });
        }
        Ok(files)
    }

    /// What the footers of files of states say.
    fn footer(&self, partition: &TopicPartition, range: &Range) -> [(&'static str, String); 7] {
        [
            ("tidemark.view", self.view.name().to_owned()),
            ("tidemark.fingerprint", self.view.fingerprint()),
            ("tidemark.snapshot", self.snapshot.to_string()),
            ("tidemark.topic", partition.topic.to_string()),
            ("tidemark.partition", partition.partition.to_string()),
            ("tidemark.begin", range.begin.to_string()),
            ("tidemark.to", range.to.to_string()),
        ]
    }
}

/// Does what takes a while where nobody waits for it.
pub(super) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}
