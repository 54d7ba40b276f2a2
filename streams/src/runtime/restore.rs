//! Brings a task's state back: a snapshot from disk if there is one, then the changelogs from there
//! to the last commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;
use tidemark_client::admin::{OffsetSpec, OffsetsOf};
use tidemark_client::consumer::{ConsumerConfig, IsolationLevel, OffsetReset};
use tidemark_client::producer::RecordParts;
use tidemark_client::{Client, TopicPartition};

use super::assignment::TaskId;
use super::config::BeginAt;
use super::position::Committed;
use super::shared::Shared;
use super::snapshot::{self, SnapshotReader};
use super::task::Task;
use super::worker::writer::Writer;
use crate::data::DataError;
use crate::error::StreamsError;
use crate::state::Entry;

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
    /// When it was begun, in milliseconds since 1970.
    pub(crate) began: i64,
}

/// Keys that were written behind the last commit, and their values as they were in it.
type Undone = BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>;

pub(crate) async fn restore(
    shared: Arc<Shared>,
    writer: Writer,
    id: TaskId,
) -> Result<Restored, StreamsError> {
    let began = shared.config.clock.now().wall;
    let mut task = shared.new_task(id);
    let inputs: Vec<TopicPartition> = task.inputs().cloned().collect();
    let stores = shared.topology.subtopologies[id.subtopology].stores.clone();
    let kept: Vec<usize> = stores
        .iter()
        .copied()
        .filter(|store| shared.topology.stores[*store].changelog.is_some())
        .collect();
    let committed = committed(&shared, &inputs, &stores).await?;
    let logs: Vec<TopicPartition> = kept
        .iter()
        .map(|store| TopicPartition::new(shared.changelog(*store), id.partition))
        .collect();
    let (starts, ends) = ranges(&shared, &logs).await?;
    let (input_starts, input_ends) = ranges(&shared, &inputs).await?;
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
                 members are deleted after a while, or the group was; reset the application",
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
            committed
                .changelogs
                .get(store)
                .copied()
                .unwrap_or(starts[at])
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
            &logs[at],
            Some(upto),
            Some(ends[at]),
            &mut |key, _, timestamp| {
                undone.insert((store, key.to_vec()), None);
                oldest = oldest.min(timestamp);
                Ok(())
            },
        )
        .await?;
    }
    let mut from: BTreeMap<usize, i64> = kept.iter().copied().zip(starts.iter().copied()).collect();
    if !fresh {
        let loaded;
        (task, loaded) = load_snapshot(&shared, task, id, &committed, &from, &mut undone).await?;
        if let Some(loaded) = loaded {
            from = loaded;
        }
    }
    let total: i64 = kept
        .iter()
        .map(|store| committed.changelogs[store] - from[store])
        .sum();
    shared.restoring.lock().insert(
        id,
        super::shared::Progress {
            restored: 0,
            total: total.max(0) as u64,
        },
    );
    for (at, number) in kept.iter().enumerate() {
        let (begin, upto) = (from[number], committed.changelogs[number]);
        let name = shared.topology.stores[*number].name.clone();
        let found = task.stores().find(|(own, _)| own == number);
        let Some((_, store)) = found else { continue };
        let mut read = 0_u64;
        read_range(
            &shared.client,
            &logs[at],
            Some(begin),
            Some(upto),
            &mut |key, value, _| {
                if undone.is_empty() {
                    // Nearly always.
                } else if let Some(kept) = undone.get_mut(&(*number, key.to_vec())) {
                    *kept = value.map(<[u8]>::to_vec);
                }
                read += 1;
                if read.is_multiple_of(4096)
                    && let Some(progress) = shared.restoring.lock().get_mut(&id)
                {
                    progress.restored += 4096;
                }
                let restored = store.restore(Entry { key, value });
                restored.map_err(|error| StreamsError::State {
                    store: name.clone(),
                    error,
                })
            },
        )
        .await?;
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
             is certain that what was committed is still there; reset the application"
        )));
    }
    let mut written: Vec<usize> = undone.keys().map(|(store, _)| *store).collect();
    written.dedup();
    undo(&shared, &writer, id, undone).await?;
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
        began,
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
) -> Result<(Vec<i64>, Vec<i64>), StreamsError> {
    let mut both = Vec::new();
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
        let mut found = Vec::new();
        if !partitions.is_empty() {
            let listed = shared
                .admin
                .list_offsets(wanted, IsolationLevel::ReadUncommitted)
                .await?;
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

/// Whether what is of `then` is not too old now. Clocks may differ a little: what is of the near future
/// is not old.
fn age_is_certain(now: i64, then: i64, certain: i64) -> bool {
    const HOUR: i64 = 60 * 60 * 1000;
    (-HOUR..=certain).contains(&now.saturating_sub(then)) || then == i64::MAX
}

/// Why a snapshot cannot be gone on with that has a changelog up to `end`, which is there from `start`
/// on and belongs to the commit up to `upto`.
fn unusable(end: i64, (start, upto): (i64, i64), certain: bool) -> Option<&'static str> {
    if end < start {
        Some("its changelog has been cut behind it")
    } else if end > upto {
        Some("it is not older than the commit")
    } else if end < upto && !certain {
        Some("it is so old that the changelog may have forgotten which keys have gone since")
    } else {
        None
    }
}

/// Loads a task's snapshot, if there is one of this topology that is no newer than the commit and
/// whose changelogs go on where it ends, without having forgotten anything since. One that is not used
/// is left alone: the changelogs have it all.
async fn load_snapshot(
    shared: &Arc<Shared>,
    task: Task,
    id: TaskId,
    committed: &Committed,
    starts: &BTreeMap<usize, i64>,
    undone: &mut Undone,
) -> Result<(Task, Option<BTreeMap<usize, i64>>), StreamsError> {
    let Some(dir) = &shared.config.state_dir else {
        return Ok((task, None));
    };
    let path = snapshot::path(&dir.join(&shared.config.application), id);
    let hashes: HashMap<u32, usize> = starts
        .keys()
        .map(|store| (shared.store_hash(*store), *store))
        .collect();
    let fits: BTreeMap<u32, (i64, i64)> = starts
        .iter()
        .map(|(store, start)| {
            (
                shared.store_hash(*store),
                (*start, committed.changelogs[store]),
            )
        })
        .collect();
    let (state, certain) = (shared.state, shared.certain);
    let wall = shared.config.clock.now().wall;
    let mut own_undone = std::mem::take(undone);
    let fresh = shared.new_task(id);
    let work = tokio::task::spawn_blocking(move || {
        let mut task = task;
        let loaded = load(
            &path,
            state,
            &|then| age_is_certain(wall, then, certain),
            &mut task,
            &hashes,
            &fits,
            &mut own_undone,
        );
        match loaded {
            Ok(from) => (task, from, own_undone),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the snapshot is not used");
                own_undone.values_mut().for_each(|value| *value = None);
                (fresh, None, own_undone)
            }
        }
    });
    let (task, from, own_undone) = work
        .await
        .map_err(|error| StreamsError::Internal(error.to_string()))?;
    *undone = own_undone;
    Ok((task, from))
}

fn load(
    path: &std::path::Path,
    state: u64,
    certain: &dyn Fn(i64) -> bool,
    task: &mut Task,
    hashes: &HashMap<u32, usize>,
    fits: &BTreeMap<u32, (i64, i64)>,
    undone: &mut Undone,
) -> std::io::Result<Option<BTreeMap<usize, i64>>> {
    let Some(reader) = SnapshotReader::open(path, state)? else {
        return Ok(None);
    };
    let mut from = BTreeMap::new();
    let certain = certain(reader.about.wall);
    for (hash, range) in fits {
        let end = reader.about.ends.get(hash).copied();
        let (Some(end), Some(store)) = (end, hashes.get(hash)) else {
            return Ok(None);
        };
        if let Some(reason) = unusable(end, *range, certain) {
            tracing::info!(path = %path.display(), reason, "the snapshot is not used");
            return Ok(None);
        }
        from.insert(*store, end);
    }
    let mut stores: HashMap<u32, (usize, &mut Box<dyn crate::state::Store>)> = HashMap::new();
    for (number, store) in task.stores() {
        let hash = hashes
            .iter()
            .find(|(_, own)| **own == number)
            .map(|(hash, _)| *hash);
        if let Some(hash) = hash {
            stores.insert(hash, (number, store));
        }
    }
    reader.entries(&mut |entries| {
        for run in entries.chunk_by(|a, b| a.store == b.store) {
            let Some((number, store)) = run.first().and_then(|first| stores.get_mut(&first.store))
            else {
                return Err(std::io::Error::other(
                    "an entry of a store that is not there",
                ));
            };
            // Nearly always there is nothing that was written behind the commit.
            let looked_at = if undone.is_empty() { &[] } else { run };
            for entry in looked_at {
                if let Some(kept) = undone.get_mut(&(*number, entry.key.to_vec())) {
                    *kept = Some(entry.value.to_vec());
                }
            }
            let entries: SmallVec<[Entry<'_>; 32]> = run
                .iter()
                .map(|entry| Entry {
                    key: entry.key,
                    value: Some(entry.value),
                })
                .collect();
            let restored = store.restore_all(&entries);
            restored.map_err(|error: DataError| std::io::Error::other(error.to_string()))?;
        }
        Ok(())
    })?;
    Ok(Some(from))
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

/// Reads keys, values and timestamps of a partition, from an offset (else its beginning) to another one (else its
/// end).
pub(crate) async fn read_range(
    client: &Client,
    partition: &TopicPartition,
    from: Option<i64>,
    upto: Option<i64>,
    tell: &mut (dyn FnMut(&[u8], Option<&[u8]>, i64) -> Result<(), StreamsError> + Send),
) -> Result<(), StreamsError> {
    let admin = client.admin();
    let list = async |spec| {
        let wanted = [(partition.clone(), spec)];
        let listed = admin
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await?;
        let offset = listed
            .all()?
            .into_values()
            .next()
            .and_then(|listed| listed.offset);
        offset.ok_or_else(|| unlisted(partition))
    };
    let from = match from {
        Some(from) => from,
        None => list(OffsetSpec::Earliest).await?,
    };
    let upto = match upto {
        Some(upto) => upto,
        None => list(OffsetSpec::Latest).await?,
    };
    if from >= upto {
        return Ok(());
    }
    let config = ConsumerConfig::new()
        .offset_reset(OffsetReset::Error)
        .max_partition_bytes(8 << 20);
    let mut consumer = client.consumer(config)?;
    consumer.assign([partition.clone()])?;
    consumer.seek(partition, from)?;
    let mut position = from;
    while position < upto {
        let fetched = consumer.recv_batches().await?;
        for batch in &fetched.batches {
            let mut reader = batch.reader(partition)?;
            while let Some(next) = reader.next() {
                let (record, _) = next.map_err(|error| StreamsError::Decode {
                    topic: partition.topic.to_string(),
                    partition: partition.partition,
                    offset: position,
                    reason: error.to_string(),
                })?;
                if record.offset < upto {
                    let key = record.key().unwrap_or_default();
                    tell(key, record.value(), record.timestamp)?;
                }
            }
        }
        position = fetched.next_offset;
    }
    consumer.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamsBuilder;
    use crate::runtime::snapshot::{About, Ends, SnapshotWriter};

    const CERTAIN: i64 = 1000;

    /// How much of a snapshot is loaded that is of `wall` and has the changelog up to 50, where that is
    /// there in a range.
    fn loaded(wall: i64, range: (i64, i64)) -> Option<usize> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0_0.snapshot");
        let builder = StreamsBuilder::new();
        let _ = builder
            .stream::<String, String>("in")
            .group_by_key()
            .count();
        let topology = builder.build().unwrap();
        let mut task = Task::alone(&topology, 1, 0);
        let about = About {
            state: 1,
            wall,
            ends: Ends::from([(7, 50)]),
        };
        let mut writer = SnapshotWriter::create(&path, &about).unwrap();
        let mut value = vec![0; 17];
        value[8] = 1;
        writer.entry(7, b"key", &value).unwrap();
        writer.finish().unwrap();
        let certain = |then| age_is_certain(100_000, then, CERTAIN);
        let hashes = HashMap::from([(7, 0)]);
        let fits = BTreeMap::from([(7, range)]);
        let mut undone = Undone::new();
        let from = load(&path, 1, &certain, &mut task, &hashes, &fits, &mut undone).unwrap();
        let (_, store) = task.stores().next().unwrap();
        assert_eq!(from.is_some(), store.len() > 0);
        from.map(|_| store.len())
    }

    /// A key that has gone since would come back, if the changelog does not tell so any more.
    #[test]
    fn a_snapshot_is_used_only_if_nothing_can_have_been_forgotten_since() {
        let now = 100_000;
        // Young enough.
        assert_eq!(loaded(now - CERTAIN, (0, 60)), Some(1));
        assert_eq!(loaded(now + 1, (50, 60)), Some(1));
        // Too old, or of a clock that cannot be right.
        assert_eq!(loaded(now - CERTAIN - 1, (0, 60)), None);
        assert_eq!(loaded(now + 3_600_001, (0, 60)), None);
        // However old it is, nothing has happened since.
        assert_eq!(loaded(0, (0, 50)), Some(1));
        // The changelog has been cut, or ends in front of it.
        assert_eq!(loaded(now, (51, 60)), None);
        assert_eq!(loaded(now, (0, 49)), None);
    }
}
