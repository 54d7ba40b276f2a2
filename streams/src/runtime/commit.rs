//! A commit: outputs, then changelogs, then positions. The last is what counts: it says up to where
//! the changelogs belong to it.

pub(super) mod position;
pub(super) mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::TopicPartition;
use tidemark_client::admin::{OffsetSpec, RecordsBefore};
use tidemark_client::consumer::{Consumer, IsolationLevel};
use tidemark_client::producer::{Producer, RecordParts};

use super::config::OnProduceError;
use super::live::Live;
use super::setup;
use super::shared::Shared;
use super::worker::passes;
use super::worker::writer::Writer;
use crate::error::StreamsError;
use crate::record::Headers;
use snapshot::{About, SnapshotWriter};

/// So many changes are handed to the producer in one go.
const CHANGES_AT_ONCE: usize = 2048;

/// When a commit takes so long it is looked whether its topics are there.
const LOOK_FOR_TOPICS: Duration = Duration::from_secs(1);

/// No snapshot is written before so much has gone to the changelogs since the last one.
const SNAPSHOT_AFTER: u64 = 64 << 20;

/// So many milliseconds after one could not be written, because the disk is full, say, the next one is
/// tried.
const AGAIN_AFTER: i64 = 60_000;

/// Commits tasks; `false` if the group is being shared out anew, and the next commit has to say it, or
/// if the tasks are lost.
/// Safe to be given up: what has been taken from a task and not been written stays with it, and the
/// next commit goes on.
pub(super) async fn commit(
    shared: &Shared,
    writer: &Writer,
    consumer: &mut Consumer,
    mut tasks: Vec<&mut Live>,
) -> Result<bool, StreamsError> {
    let began = shared.config.clock.now().millis;
    for live in &mut tasks {
        live.send_outputs(shared, writer).await?;
        send_changes(shared, writer, live).await?;
    }
    let producer = &writer.producer;
    producer.flush().await;
    let changed: usize = tasks.iter().map(|live| live.changed.len()).sum();
    if changed > 0 {
        tracing::debug!(stores = changed, "changes are in the changelogs");
    }
    let mut skipped = 0;
    if shared.config.on_produce_error == OnProduceError::Skip {
        skipped = producer.take_refused(|topic| !shared.is_internal(topic));
        shared.metrics.skipped_outputs.inc_by(skipped);
    }
    // In this order: when the stay ends, what it has not written fails.
    let failed = producer.counts().failed > 0;
    if writer.is_over() {
        tracing::info!("there is no commit: the group has gone on without this member");
        return Ok(false);
    }
    if failed {
        return Err(StreamsError::produce(producer.last_error()));
    }
    let written = writer.handed.take().saturating_sub(skipped);
    shared.metrics.records_out.inc_by(written);
    let ends = ends(shared, &tasks).await?;
    let mut offsets = Vec::new();
    let mut committed = Vec::new();
    for live in &mut tasks {
        let mut next = live.committed.clone();
        next.position = live.task.lock().position();
        for store in &live.changed {
            let log = changelog(shared, live, *store);
            let end = ends.get(&log).ok_or_else(|| {
                StreamsError::Internal(format!("the cluster did not say where {log} ends"))
            })?;
            next.changelogs.insert(*store, *end);
        }
        if next == live.committed {
            continue;
        }
        next.number += 1;
        let hash = |store| shared.store_hash(store);
        let own = next.to_offsets(&hash);
        offsets.extend(own.map_err(|error| StreamsError::Topology(vec![error.to_string()]))?);
        committed.push((live.id, next));
    }
    if offsets.is_empty() {
        return Ok(true);
    }
    let sources: BTreeSet<String> = offsets
        .iter()
        .map(|(partition, _)| partition.topic.to_string())
        .collect();
    let done = tokio::select! {
        done = consumer.commit_offsets(offsets) => done,
        topic = gone(shared, &sources) => return Err(StreamsError::SourceGone { topic }),
    };
    match done {
        Ok(()) => tracing::debug!(tasks = committed.len(), "offsets are committed"),
        Err(error) if passes(&error) => {
            tracing::info!(%error, "the commit waits for the group");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    for (id, next) in committed {
        if let Some(live) = tasks.iter_mut().find(|live| live.id == id) {
            live.committed = next;
            live.changed.clear();
            live.note_spent();
        }
    }
    let took = shared.config.clock.now().millis.saturating_sub(began);
    shared.metrics.commits.observe(took);
    for live in tasks {
        write_snapshot(shared, live, false).await?;
    }
    Ok(true)
}

/// Waits until one of these topics does not exist any more. The client tries a commit for a topic that
/// the coordinator does not know again and again, as it may be a new one (Kafka's does, too); a source
/// that has been deleted would hold everything up.
async fn gone(shared: &Shared, topics: &BTreeSet<String>) -> String {
    loop {
        shared.config.clock.sleep(LOOK_FOR_TOPICS).await;
        // An error is the commit's to tell.
        let Ok(known) = setup::counts(&shared.admin, topics.iter().cloned()).await else {
            continue;
        };
        if let Some(topic) = topics.iter().find(|topic| !known.contains_key(*topic)) {
            return topic.clone();
        }
    }
}

/// Writes what has changed to the changelogs.
async fn send_changes(
    shared: &Shared,
    writer: &Writer,
    live: &mut Live,
) -> Result<(), StreamsError> {
    loop {
        live.changes.send(shared, writer).await?;
        if writer.is_over() {
            return Ok(());
        }
        match send_some(shared, &writer.producer, live) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // Lost with its task.
            Err(_) if writer.is_over() => return Ok(()),
            Err(error) => return Err(error),
        }
        // Lets the producer send what it has got, before that is far away in memory.
        tokio::task::yield_now().await;
    }
}

/// Hands some of what has changed to the producer; whether there is more. What it has no room for
/// waits in `live.changes`.
fn send_some(shared: &Shared, producer: &Producer, live: &mut Live) -> Result<bool, StreamsError> {
    let (changed, since_snapshot) = (&mut live.changed, &mut live.since_snapshot);
    let waits = &mut live.changes.outbox;
    let wall = shared.config.clock.now().wall;
    let mut topics: Vec<Option<Arc<str>>> = vec![None; shared.topology.stores.len()];
    let (mut count, mut more, mut failed) = (0, false, None);
    let mut task = live.task.lock();
    let mut bulk = producer.bulk();
    task.take_changes(&shared.topology, &mut |store, entry| {
        if shared.topology.stores[store].changelog.is_none() {
            return true;
        }
        let topic = topics[store].get_or_insert_with(|| {
            if !changed.contains(&store) {
                changed.push(store);
            }
            shared.changelog(store)
        });
        *since_snapshot += (entry.key.len() + entry.value.map_or(0, <[u8]>::len)) as u64;
        let parts = RecordParts {
            partition: Some(live.id.partition),
            key: Some(entry.key),
            value: entry.value,
            headers: &[],
            timestamp: Some(wall),
        };
        count += 1;
        more |= count == CHANGES_AT_ONCE;
        // Every store tells one more, whatever the one before was answered. Nothing goes in front of
        // what waits.
        let taken = match waits.len() {
            0 => bulk.try_send(topic, &parts),
            _ => Ok(false),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => {
                let topic = waits.topic(topic, 0);
                let partition = Some(live.id.partition as u32);
                let headers = Headers::default();
                waits.push(topic, partition, parts.key, parts.value, wall, headers);
                more = true;
            }
            Err(error) => failed = Some(error),
        }
        !more && failed.is_none()
    })?;
    failed.map_or(Ok(more), |error| Err(error.into()))
}

/// The partition of a store's changelog that belongs to a task.
fn changelog(shared: &Shared, live: &Live, store: usize) -> TopicPartition {
    TopicPartition::new(shared.changelog(store), live.id.partition)
}

/// Where the changelogs that were written to end now.
async fn ends(
    shared: &Shared,
    tasks: &[&mut Live],
) -> Result<BTreeMap<TopicPartition, i64>, StreamsError> {
    let changed = tasks.iter().flat_map(|live| {
        let stores = live.changed.iter();
        stores.map(|store| (changelog(shared, live, *store), OffsetSpec::Latest))
    });
    let wanted: Vec<_> = changed.collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = shared
        .admin
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await?;
    let listed = listed.all()?.into_iter();
    Ok(listed
        .filter_map(|(partition, listed)| Some((partition, listed.offset?)))
        .collect())
}

/// Writes a task's state to disk when the changelogs have grown by more than what the file is large,
/// so that writing it costs no more than the changelogs do. It has to be right behind a commit, with
/// nothing processed since.
pub(super) async fn write_snapshot(
    shared: &Shared,
    live: &mut Live,
    last: bool,
) -> Result<(), StreamsError> {
    let Some(dir) = &shared.config.state_dir else {
        return Ok(());
    };
    let wall = shared.config.clock.now().wall;
    // One that is too old is of no use.
    let old = wall.saturating_sub(live.snapshot_at) > shared.certain / 4;
    let due = wall >= live.no_snapshot_before;
    let due = due && (old || live.since_snapshot > SNAPSHOT_AFTER.max(live.snapshot_bytes));
    let nothing = live.since_snapshot == 0;
    if nothing || !live.changed.is_empty() || !(due || last) {
        return Ok(());
    }
    let path = snapshot::path(&dir.join(&shared.config.application), live.id);
    let ends = live.committed.changelogs.iter();
    let about = About {
        state: shared.state,
        wall,
        ends: ends
            .map(|(store, end)| (shared.store_hash(*store), *end))
            .collect(),
    };
    let hashes: Vec<(usize, u32)> = live
        .committed
        .changelogs
        .keys()
        .map(|store| (*store, shared.store_hash(*store)))
        .collect();
    let task = Arc::clone(&live.task);
    let (own_path, position) = (path.clone(), live.committed.position.clone());
    let work = tokio::task::spawn_blocking(move || {
        // With something processed since the commit it would not be what was committed.
        let mut task = task.lock();
        if task.position() != position || !task.is_told() {
            return Ok(None);
        }
        write(&own_path, &about, &hashes, &mut task).map(Some)
    });
    let written = work
        .await
        .map_err(|error| StreamsError::Internal(error.to_string()))?;
    match written {
        Ok(Some(bytes)) => {
            live.snapshot_bytes = bytes;
            live.snapshot_at = wall;
            live.since_snapshot = 0;
            shared.on_disk.lock().insert(live.id);
            shared.metrics.snapshots.inc();
        }
        Ok(None) => {}
        // The changelogs have it all: without a snapshot the next start only takes longer.
        Err(error) => {
            shared.metrics.failed_snapshots.inc();
            live.no_snapshot_before = wall.saturating_add(AGAIN_AFTER);
            tracing::warn!(path = %path.display(), %error, "the snapshot is not written");
        }
    }
    Ok(())
}

/// Writes a snapshot, or leaves things as they are.
fn write(
    path: &Path,
    about: &About,
    hashes: &[(usize, u32)],
    task: &mut super::task::Task,
) -> std::io::Result<u64> {
    let written = write_out(path, about, hashes, task);
    if written.is_err() {
        snapshot::discard(path);
    }
    written
}

fn write_out(
    path: &Path,
    about: &About,
    hashes: &[(usize, u32)],
    task: &mut super::task::Task,
) -> std::io::Result<u64> {
    let mut writer = SnapshotWriter::create(path, about)?;
    for (number, store) in task.stores() {
        let Some((_, hash)) = hashes.iter().find(|(own, _)| *own == number) else {
            continue;
        };
        let mut failed = Ok(());
        store
            .entries(&mut |entry| {
                if failed.is_ok() {
                    failed = writer.entry(*hash, entry.key, entry.value.unwrap_or_default());
                }
            })
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        failed?;
    }
    writer.finish()
}

/// Deletes what has been processed of repartition topics, and what is spent of changelogs: nobody reads
/// it again. Nobody waits for it either, and what is not deleted now is the next time.
pub(super) fn purge<'a>(shared: &Arc<Shared>, tasks: impl Iterator<Item = &'a mut Live>) {
    let mut upto = Vec::new();
    for live in tasks {
        for (partition, offset, _) in &live.committed.position.inputs {
            if *offset > 0 && shared.is_internal(&partition.topic) {
                upto.push((partition.clone(), RecordsBefore::Offset(*offset)));
            }
        }
        for (store, offset) in live.take_cut() {
            upto.push((
                changelog(shared, live, store),
                RecordsBefore::Offset(offset),
            ));
        }
    }
    if upto.is_empty() {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        match shared
            .admin
            .delete_records(upto)
            .await
            .map(|each| each.all())
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) | Err(error) => {
                tracing::warn!(%error, "what nobody reads again is not deleted");
            }
        }
    });
}
