//! Brings a task's state back: a snapshot from disk if there is one, then the changelogs from there
//! to the last commit.

mod changelog;
mod loaded;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_client::TopicPartition;
use tidemark_client::admin::{OffsetSpec, OffsetsOf};
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::producer::RecordParts;

use super::assignment::TaskId;
use super::commit::position::Committed;
use super::config::BeginAt;
use super::shared::{Restoring, Shared};
use super::task::Task;
use super::worker::writer::Writer;
use crate::error::StreamsError;
use crate::state::Entry;
use loaded::{Loaded, age_is_certain, load_snapshot};

pub(in crate::runtime) use changelog::NO_PROGRESS;
pub(crate) use changelog::read_range;

/// So often at most a task is restored anew because its changelogs were cut meanwhile. The last owner
/// does so once, if at all.
const MOST_ATTEMPTS: usize = 5;

/// After so many offsets it is told how far the restoring has come.
const TELL_EVERY: i64 = 4096;

/// A task that is ready to go on.
pub(crate) struct Restored {
    pub(crate) task: Task,
    /// What was committed last.
    pub(crate) committed: Committed,
    /// By input: the end of the partition when it was looked at.
    pub(crate) ends: Vec<i64>,
    /// Stores to whose changelogs was written what undoes what was behind the commit. The next commit
    /// has to have it: else it would be undone again and again, until compaction has taken what it is
    /// undone by.
    pub(crate) undone: Vec<usize>,
    pub(crate) snapshot: Snapshot,
}

/// What there is on disk of a task, so that the next snapshot is written when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// How large the file is; 0 if there is none that is of use.
    pub(crate) bytes: u64,
    /// When it was begun, in milliseconds since 1970; without one, when the task was restored.
    pub(crate) at: i64,
    /// Bytes in the changelogs that it does not have.
    pub(crate) missing: u64,
}

/// Keys that were written behind the last commit, and their values as they were in it.
type Undone = BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>;

pub(crate) async fn restore(
    shared: Arc<Shared>,
    writer: Writer,
    id: TaskId,
    given: Vec<TopicPartition>,
) -> Result<Restored, StreamsError> {
    let mut attempts = 1;
    loop {
        match restore_once(&shared, &writer, id, &given).await {
            // What is spent may be deleted by its last owner until now. What is left begins further on.
            Err(error) if changelog::was_cut(&error) && attempts < MOST_ATTEMPTS => {
                tracing::info!(task = %id, %error, "a changelog was cut; the task is restored anew");
                attempts += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn restore_once(
    shared: &Arc<Shared>,
    writer: &Writer,
    id: TaskId,
    given: &[TopicPartition],
) -> Result<Restored, StreamsError> {
    let began = shared.config.clock.now().wall;
    let mut task = shared.new_task(id, Some(given));
    let inputs: Vec<TopicPartition> = task.inputs().cloned().collect();
    let stores = shared.topology.subtopologies[id.subtopology].stores.clone();
    let kept: Vec<usize> = stores
        .iter()
        .copied()
        .filter(|store| shared.topology.stores[*store].changelog.is_some())
        .collect();
    let committed = committed(shared, &inputs, &stores).await?;
    let logs: Vec<TopicPartition> = kept
        .iter()
        .map(|store| TopicPartition::new(shared.changelog(*store), id.partition))
        .collect();
    let (mut starts, ends) = ranges(shared, &logs, IsolationLevel::ReadUncommitted).await?;
    // What another store of that name has left in front of it is not there for this one.
    let begins = kept.iter().map(|store| shared.begin(*store, id.partition));
    let begins: Vec<i64> = begins.collect();
    for ((start, begin), end) in starts.iter_mut().zip(&begins).zip(&ends) {
        // Topics that have been deleted and made again have nothing of before.
        *start = (*start).max((*begin).min(*end));
    }
    // What is behind the last stable offset comes when it is committed, and is not to be left out.
    let (input_starts, input_ends) = ranges(shared, &inputs, shared.config.isolation).await?;
    let fresh = committed.is_none();
    let mut committed = committed.unwrap_or_else(|| {
        let mut committed = Committed::default();
        committed.position.watermark = i64::MIN;
        committed
    });
    if fresh {
        let kept = starts
            .iter()
            .zip(&ends)
            .position(|(start, end)| start < end);
        if let Some(at) = kept {
            return Err(StreamsError::Position(format!(
                "{}: the group has no offsets, but there is state in {}: offsets of a group without \
                 members are deleted after a while, or the group was",
                shared.config.application, logs[at].topic
            )));
        }
    }
    // What was written behind the last commit was not part of it, and has to be undone: it hides
    // what was committed.
    let mut undone = Undone::new();
    let mut oldest = i64::MAX;
    for (at, store) in kept.iter().enumerate() {
        let upto = if fresh {
            starts[at]
        } else {
            let known = committed.changelogs.get(store).copied();
            known.map_or(starts[at], |upto| upto.max(begins[at].min(ends[at])))
        };
        if upto > ends[at] || upto < starts[at] {
            return Err(StreamsError::LostChangelog {
                topic: logs[at].topic.to_string(),
                partition: id.partition,
                end: ends[at],
                committed: upto,
            });
        }
        committed.changelogs.insert(*store, upto);
        let store = *store;
        read_range(
            &shared.client,
            &shared.config.clock,
            &logs[at],
            (Some(upto), Some(ends[at])),
            &mut |record| {
                let key = record.key().unwrap_or_default();
                undone.insert((store, key.to_vec()), None);
                oldest = oldest.min(record.timestamp);
                Ok(())
            },
        )
        .await?;
    }
    let mut from: BTreeMap<usize, i64> = kept.iter().copied().zip(starts.iter().copied()).collect();
    let total: i64 = kept
        .iter()
        .zip(&starts)
        .map(|(store, start)| committed.changelogs[store] - start)
        .sum();
    if let Some(restoring) = shared.restoring.lock().get_mut(&id) {
        *restoring = Restoring::default();
        restoring.progress.total = total.max(0) as u64;
    }
    let mut snapshot = Snapshot {
        bytes: 0,
        at: began,
        missing: 0,
    };
    if !fresh {
        let loaded;
        (task, loaded) = load_snapshot(shared, task, id, &committed, &from, &mut undone).await?;
        if let Some(loaded) = loaded {
            let Loaded { bytes, wall, .. } = loaded;
            (snapshot.bytes, snapshot.at) = (bytes, wall);
            let taken: i64 = loaded
                .from
                .iter()
                .map(|(store, end)| end - from[store])
                .sum();
            shared.note_restored(id, taken);
            from.extend(loaded.from);
        }
    }
    for (at, number) in kept.iter().enumerate() {
        let (begin, upto) = (from[number], committed.changelogs[number]);
        let name = shared.topology.stores[*number].name.clone();
        let found = task.stores().find(|(own, _)| own == number);
        let Some((_, store)) = found else { continue };
        let mut told = begin;
        read_range(
            &shared.client,
            &shared.config.clock,
            &logs[at],
            (Some(begin), Some(upto)),
            &mut |record| {
                let (key, value) = (record.key().unwrap_or_default(), record.value());
                snapshot.missing += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
                if undone.is_empty() {
                    // Nearly always.
                } else if let Some(kept) = undone.get_mut(&(*number, key.to_vec())) {
                    *kept = value.map(<[u8]>::to_vec);
                }
                if record.offset - told >= TELL_EVERY {
                    shared.note_restored(id, record.offset - told);
                    shared.note_size(id, *number, store.bytes());
                    told = record.offset;
                }
                let restored = store.restore(Entry { key, value });
                restored.map_err(|error| StreamsError::State {
                    store: name.clone(),
                    error,
                })
            },
        )
        .await?;
        shared.note_restored(id, upto - told);
        shared.note_size(id, *number, store.bytes());
    }
    // Compaction may have taken what was committed, if what hides it is old enough.
    let sure = age_is_certain(began, oldest, shared.certain);
    let unsure = undone.iter().find(|((store, _), value)| {
        value.is_none() && !sure && from[store] < committed.changelogs[store]
    });
    if let Some(((store, _), _)) = unsure {
        let partition = TopicPartition::new(shared.changelog(*store), id.partition);
        return Err(StreamsError::Position(format!(
            "{partition}: what was written behind the last commit has been there for longer than it \
             is certain that what was committed is still there"
        )));
    }
    let mut written: Vec<usize> = undone.keys().map(|(store, _)| *store).collect();
    written.dedup();
    undo(shared, writer, id, undone).await?;
    let before = committed.clone();
    for (at, partition) in inputs.iter().enumerate() {
        let known = committed
            .position
            .inputs
            .iter()
            .any(|(own, _, _)| own == partition);
        if !known {
            let latest =
                shared.config.begin_at == BeginAt::Latest && !shared.is_internal(&partition.topic);
            let begin = if latest {
                input_ends[at]
            } else {
                input_starts[at]
            };
            let beginning = (partition.clone(), begin, i64::MIN);
            committed.position.inputs.insert(at, beginning);
        }
    }
    task.resume(&committed.position);
    Ok(Restored {
        task,
        committed: before,
        ends: input_ends,
        undone: written,
        snapshot,
    })
}

async fn committed(
    shared: &Shared,
    inputs: &[TopicPartition],
    stores: &[usize],
) -> Result<Option<Committed>, StreamsError> {
    let group = shared.config.application.as_str();
    let wanted = OffsetsOf::Partitions(inputs.to_vec());
    let mut found = shared.admin.group_offsets([(group, wanted)]).await?;
    let mut offsets = HashMap::new();
    if let Some(answer) = found.remove(group) {
        for (partition, offset) in answer? {
            if let Some(offset) = offset? {
                offsets.insert(partition, offset);
            }
        }
    }
    let hash = |store| shared.store_hash(store);
    // Without state, partitions have nothing to do with one another; with it somebody has to say so.
    let lenient = stores.is_empty() || shared.config.accept_changed_topology;
    let committed = Committed::from_offsets(inputs, stores, &offsets, &hash, lenient);
    committed.map_err(|error| StreamsError::Position(error.to_string()))
}

fn unlisted(partition: &TopicPartition) -> StreamsError {
    StreamsError::Internal(format!("the cluster did not say what {partition} has"))
}

/// First and last offsets of partitions.
async fn ranges(
    shared: &Shared,
    partitions: &[TopicPartition],
    isolation: IsolationLevel,
) -> Result<(Vec<i64>, Vec<i64>), StreamsError> {
    let mut both = Vec::new();
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
        let mut found = Vec::new();
        if !partitions.is_empty() {
            let listed = shared.admin.list_offsets(wanted, isolation).await?;
            let listed = listed.all()?;
            for partition in partitions {
                let offset = listed.get(partition).and_then(|listed| listed.offset);
                found.push(offset.ok_or_else(|| unlisted(partition))?);
            }
        }
        both.push(found);
    }
    let ends = both.pop().unwrap_or_default();
    Ok((both.pop().unwrap_or_default(), ends))
}

/// Writes the committed values of keys that were written behind the commit.
async fn undo(
    shared: &Shared,
    writer: &Writer,
    id: TaskId,
    undone: Undone,
) -> Result<(), StreamsError> {
    let producer = &writer.producer;
    if undone.is_empty() {
        return Ok(());
    }
    let failed = producer.counts().failed;
    for ((store, key), value) in &undone {
        let parts = RecordParts {
            partition: Some(id.partition),
            key: Some(key),
            value: value.as_deref(),
            ..RecordParts::default()
        };
        producer
            .send_counted(&shared.changelog(*store), &parts)
            .await?;
    }
    producer.flush().await;
    if producer.counts().failed > failed {
        return Err(StreamsError::produce(producer.last_error()));
    }
    Ok(())
}
