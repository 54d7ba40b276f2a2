//! The tasks of one worker, and what of them waits to be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidemark_client::TopicPartition;
use tidemark_client::producer::{ProduceError, Producer, RecordParts};
use tokio::task::JoinHandle;

use super::assignment::TaskId;
use super::commit::position::Committed;
use super::config::OnProduceError;
use super::restore::Restored;
use super::shared::Shared;
use super::spent::Spent;
use super::task::Task;
use super::task::outbox::{Outbox, Outgoing as Record};
use super::worker::writer::Writer;
use crate::error::StreamsError;

/// The most records that are handed to the producer in one go.
const AT_ONCE: usize = 1024;

/// A task that runs.
pub(super) struct Live {
    pub(super) id: TaskId,
    pub(super) task: Arc<Mutex<Task>>,
    pub(super) inputs: Vec<TopicPartition>,
    /// What was committed last.
    pub(super) committed: Committed,
    /// By input: the end of the partition when the task was restored.
    pub(super) ends: Vec<i64>,
    /// Records on their way to topics, and then to changelogs; a wait that is given up goes on where
    /// it was.
    pub(super) outgoing: Outgoing,
    pub(super) changes: Outgoing,
    /// The changelogs that have been written to since the last commit.
    pub(super) changed: Vec<usize>,
    /// By store: from when on what of its changelog is not wanted.
    spent: BTreeMap<usize, Spent>,
    /// By store: below which offset of its changelog nothing is wanted.
    cut: BTreeMap<usize, i64>,
    /// Bytes of changelogs that the last snapshot does not have.
    pub(super) since_snapshot: u64,
    /// Size of the last snapshot.
    pub(super) snapshot_bytes: u64,
    /// When it was begun, in milliseconds since 1970; without one, when the task was.
    pub(super) snapshot_at: i64,
    /// None is written before that time, because one could not be.
    pub(super) no_snapshot_before: i64,
    /// Inputs that are paused because too much waits for them.
    pub(super) paused: Vec<bool>,
    /// By input: since when there is nothing of it.
    pub(super) dry_since: Vec<Option<u64>>,
}

/// Records that are being handed to the producer.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) outbox: Outbox,
    sent: usize,
    /// How many of them the producer has taken and nobody has counted yet.
    taken: u64,
}

/// What the producer took.
enum Took {
    All,
    Some,
    /// It has to be waited for.
    NoRoom,
}

/// A record as the producer wants it.
fn parts<'h, 'a: 'h>(record: &Record<'a>, headers: &'h mut Vec<Header<'a>>) -> RecordParts<'h> {
    headers.clear();
    headers.extend(record.headers.iter());
    RecordParts {
        partition: record.partition.map(|partition| partition as i32),
        key: record.key,
        value: record.value,
        headers,
        timestamp: record.timestamp,
    }
}

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for restore in self.starting.values() {
            restore.work.abort();
        }
    }
}

/// A task that is being restored.
pub(super) struct Starting {
    /// Its source partitions.
    pub(super) inputs: Vec<TopicPartition>,
    pub(super) work: JoinHandle<Result<Restored, StreamsError>>,
}

/// What a worker has: tasks that run, and tasks that are to.
#[derive(Default)]
pub(super) struct Tasks {
    pub(super) live: BTreeMap<TaskId, Live>,
    /// Those that are being restored.
    pub(super) starting: BTreeMap<TaskId, Starting>,
    /// Those that have been, and whose first commit is still to be made.
    pub(super) restored: BTreeMap<TaskId, Live>,
}

impl Tasks {
    /// Whether it has a task, in whatever state.
    pub(super) fn has(&self, id: TaskId) -> bool {
        self.inputs(id).is_some()
    }

    /// The source partitions of a task, in whatever state.
    pub(super) fn inputs(&self, id: TaskId) -> Option<&[TopicPartition]> {
        let live = self.live.get(&id).or_else(|| self.restored.get(&id));
        let starting = || Some(&self.starting.get(&id)?.inputs);
        Some(live.map(|live| &live.inputs).or_else(starting)?)
    }

    /// Those of these tasks that are there without all of these partitions, which they have been given:
    /// their topics have more than when they were begun.
    pub(super) fn incomplete(&self, given: &BTreeMap<TaskId, Vec<TopicPartition>>) -> Vec<TaskId> {
        let incomplete = given.iter().filter(|(id, given)| {
            let inputs = self.inputs(**id);
            inputs.is_some_and(|inputs| given.iter().any(|own| !inputs.contains(own)))
        });
        incomplete.map(|(id, _)| *id).collect()
    }
}

impl Outgoing {
    /// Hands everything to the producer, unless its stay is over. Safe to be given up: the next call
    /// goes on where this one was.
    pub(super) async fn send(
        &mut self,
        shared: &Shared,
        writer: &Writer,
    ) -> Result<(), StreamsError> {
        let producer = &writer.producer;
        loop {
            let sent = match self.send_some(producer) {
                Ok(Took::All) => break,
                Ok(Took::Some) => {
                    // Lets the producer send what it has got, before that is far away in memory.
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(Took::NoRoom) => self.send_one(producer).await,
                Err(error) => Err(error),
            };
            let internal = self
                .next()
                .is_some_and(|record| shared.is_internal(record.topic));
            match sent {
                Ok(()) => self.taken += 1,
                // Without what it sends to itself the application's state would be wrong.
                Err(ProduceError::TooLarge { .. } | ProduceError::Build { .. })
                    if shared.config.on_produce_error == OnProduceError::Skip && !internal =>
                {
                    shared.metrics.skipped_outputs.inc();
                }
                // Lost with its task.
                Err(_) if writer.is_over() => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            self.sent += 1;
        }
        self.outbox.clear();
        self.sent = 0;
        Ok(())
    }

    fn next(&self) -> Option<Record<'_>> {
        self.outbox.get(self.sent)
    }

    /// Hands as many records to the producer as it takes without being waited for, but not too many
    /// at once.
    fn send_some(&mut self, producer: &Producer) -> Result<Took, ProduceError> {
        let mut bulk = producer.bulk();
        let mut headers = Vec::new();
        let upto = self.sent + AT_ONCE;
        while let Some(record) = self.outbox.get(self.sent) {
            if self.sent == upto {
                return Ok(Took::Some);
            }
            if !bulk.try_send(record.topic, &parts(&record, &mut headers))? {
                return Ok(Took::NoRoom);
            }
            (self.sent, self.taken) = (self.sent + 1, self.taken + 1);
        }
        Ok(Took::All)
    }

    /// Waits until the producer takes the next record.
    async fn send_one(&self, producer: &Producer) -> Result<(), ProduceError> {
        let Some(record) = self.next() else {
            return Ok(());
        };
        let mut headers = Vec::new();
        let parts = parts(&record, &mut headers);
        producer.send_counted(record.topic, &parts).await
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.outbox.len()
    }
}

impl Live {
    pub(super) fn new(id: TaskId, restored: Restored) -> Self {
        let inputs: Vec<TopicPartition> = restored.task.inputs().cloned().collect();
        let paused = vec![false; inputs.len()];
        Self {
            id,
            task: Arc::new(Mutex::new(restored.task)),
            inputs,
            committed: restored.committed,
            ends: restored.ends,
            outgoing: Outgoing::default(),
            changes: Outgoing::default(),
            changed: restored.undone,
            spent: BTreeMap::new(),
            cut: BTreeMap::new(),
            since_snapshot: restored.snapshot.missing,
            snapshot_bytes: restored.snapshot.bytes,
            snapshot_at: restored.snapshot.at,
            no_snapshot_before: i64::MIN,
            dry_since: vec![None; paused.len()],
            paused,
        }
    }

    /// Notes what of the changelogs is not wanted any more. It has to be right behind a commit, with
    /// nothing processed since.
    pub(super) fn note_spent(&mut self) {
        let mut task = self.task.lock();
        for (number, store) in task.stores() {
            let end = self.committed.changelogs.get(&number).copied();
            let (Some(expiry), Some(end)) = (store.expiry(), end) else {
                continue;
            };
            let spent = self.spent.entry(number).or_default();
            if let Some(upto) = spent.note(expiry, end) {
                self.cut.insert(number, upto);
            }
        }
    }

    /// By store: below which offset of its changelog nothing is wanted, where that has changed.
    pub(super) fn take_cut(&mut self) -> BTreeMap<usize, i64> {
        std::mem::take(&mut self.cut)
    }

    /// Sends what the task wants written, and has it do what it has left for later.
    pub(super) async fn send_outputs(
        &mut self,
        shared: &Shared,
        writer: &Writer,
    ) -> Result<(), StreamsError> {
        if !self.outgoing.is_empty() {
            self.hand_over(shared, writer).await?;
        }
        if writer.is_over() {
            return Ok(());
        }
        let task = Arc::clone(&self.task);
        loop {
            task.lock().outbox().swap(&mut self.outgoing.outbox);
            self.hand_over(shared, writer).await?;
            if writer.is_over() || !task.lock().go_on()? {
                return Ok(());
            }
        }
    }

    async fn hand_over(&mut self, shared: &Shared, writer: &Writer) -> Result<(), StreamsError> {
        self.outgoing.send(shared, writer).await?;
        writer
            .handed
            .inc_by(std::mem::take(&mut self.outgoing.taken));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A topic may be given more partitions while a task is being restored.
    #[tokio::test]
    async fn a_task_that_is_given_a_further_partition_is_incomplete_in_whatever_state() {
        let id = |partition| TaskId {
            subtopology: 0,
            partition,
        };
        let [a, b] = ["a", "b"].map(|topic| TopicPartition::new(topic, 2));
        let mut tasks = Tasks::default();
        let starting = Starting {
            inputs: vec![a.clone()],
            work: tokio::spawn(std::future::pending()),
        };
        tasks.starting.insert(id(2), starting);
        let given = |partitions: &[&TopicPartition]| {
            let partitions = partitions.iter().map(|partition| (*partition).clone());
            let new = (id(3), vec![TopicPartition::new("a", 3)]);
            BTreeMap::from([(id(2), partitions.collect()), new])
        };
        assert_eq!(tasks.incomplete(&given(&[&a])), []);
        assert_eq!(tasks.incomplete(&given(&[&b])), [id(2)]);
        assert_eq!(tasks.incomplete(&given(&[&a, &b])), [id(2)]);
    }
}
