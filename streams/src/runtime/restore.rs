//! Brings a task's state back: a snapshot from disk if there is one, then the changelogs from there
//! to the last commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_client::admin::{OffsetSpec, OffsetsOf};
use tidemark_client::consumer::{ConsumerConfig, IsolationLevel, OffsetReset};
use tidemark_client::producer::{Producer, RecordParts};
use tidemark_client::{Client, TopicPartition};

use super::assignment::TaskId;
use super::position::Committed;
use super::shared::Shared;
use super::snapshot::{self, SnapshotReader};
use super::task::Task;
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
}

/// Keys that were written behind the last commit, and their values as they were in it.
type Undone = BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>;

pub(crate) async fn restore(
    shared: Arc<Shared>,
    producer: Producer,
    id: TaskId,
) -> Result<Restored, StreamsError> {
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
            &mut |key, _| {
                undone.insert((store, key.to_vec()), None);
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
            &mut |key, value| {
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
    undo(&shared, &producer, id, undone).await?;
    let before = committed.clone();
    for (at, partition) in inputs.iter().enumerate() {
        let known = committed
            .position
            .inputs
            .iter()
            .any(|(own, _, _)| own == partition);
        if !known {
            let beginning = (partition.clone(), input_starts[at], i64::MIN);
            committed.position.inputs.insert(at, beginning);
        }
    }
    task.resume(&committed.position);
    Ok(Restored {
        task,
        committed: before,
        ends: input_ends,
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
                found.push(offset.unwrap_or(0));
            }
        }
        both.push(found);
    }
    let ends = both.pop().unwrap_or_default();
    Ok((both.pop().unwrap_or_default(), ends))
}

/// Loads a task's snapshot, if there is one of this topology that is no newer than the commit and
/// whose changelogs go on where it ends. A broken one is left alone: the changelogs have it all.
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
    let fingerprint = shared.fingerprint;
    let mut own_undone = std::mem::take(undone);
    let fresh = shared.new_task(id);
    let work = tokio::task::spawn_blocking(move || {
        let mut task = task;
        let loaded = load(
            &path,
            fingerprint,
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
    fingerprint: u64,
    task: &mut Task,
    hashes: &HashMap<u32, usize>,
    fits: &BTreeMap<u32, (i64, i64)>,
    undone: &mut Undone,
) -> std::io::Result<Option<BTreeMap<usize, i64>>> {
    let Some(reader) = SnapshotReader::open(path, fingerprint)? else {
        return Ok(None);
    };
    let mut from = BTreeMap::new();
    for (hash, (start, upto)) in fits {
        let end = reader.ends.get(hash).copied();
        match (end, hashes.get(hash)) {
            (Some(end), Some(store)) if (*start..=*upto).contains(&end) => {
                from.insert(*store, end);
            }
            _ => return Ok(None),
        }
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
    reader.entries(&mut |hash, key, value| {
        let Some((number, store)) = stores.get_mut(&hash) else {
            return Err(std::io::Error::other(
                "an entry of a store that is not there",
            ));
        };
        if undone.is_empty() {
            // Nearly always.
        } else if let Some(kept) = undone.get_mut(&(*number, key.to_vec())) {
            *kept = Some(value.to_vec());
        }
        let entry = Entry {
            key,
            value: Some(value),
        };
        let restored = store.restore(entry);
        restored.map_err(|error: DataError| std::io::Error::other(error.to_string()))
    })?;
    Ok(Some(from))
}

/// Writes the committed values of keys that were written behind the commit.
async fn undo(
    shared: &Shared,
    producer: &Producer,
    id: TaskId,
    undone: Undone,
) -> Result<(), StreamsError> {
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

/// Reads keys and values of a partition, from an offset (else its beginning) to another one (else its
/// end).
pub(crate) async fn read_range(
    client: &Client,
    partition: &TopicPartition,
    from: Option<i64>,
    upto: Option<i64>,
    tell: &mut (dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), StreamsError> + Send),
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
        Ok::<i64, StreamsError>(offset.unwrap_or(0))
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
                    tell(record.key().unwrap_or_default(), record.value())?;
                }
            }
        }
        position = fetched.next_offset;
    }
    consumer.close().await?;
    Ok(())
}
