//! Processing what there is, to its end: source topics first, then what flows out of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::TopicPartition;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::IsolationLevel;
use tokio::sync::{mpsc, oneshot};

use super::shared::Shared;
use super::worker::Command;
use crate::error::StreamsError;
use crate::topology::{NodeKind, Topic};

/// How often it is looked whether a subtopology is done.
const LOOK: Duration = Duration::from_millis(20);

/// The ends of topics now.
pub(super) async fn ends(
    shared: &Shared,
    topics: &[Topic],
) -> Result<BTreeMap<TopicPartition, i64>, StreamsError> {
    offsets(shared, topics, OffsetSpec::Latest).await
}

/// Offsets of all partitions of topics.
pub(super) async fn offsets(
    shared: &Shared,
    topics: &[Topic],
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, i64>, StreamsError> {
    let mut wanted = Vec::new();
    for topic in topics {
        let name = topic.resolve(&shared.config.application);
        let count = shared.partition_count(&name).unwrap_or(0);
        let partitions = (0..count).map(|at| TopicPartition::new(Arc::clone(&name), at as i32));
        wanted.extend(partitions.map(|partition| (partition, spec)));
    }
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = shared
        .admin
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await?;
    let listed = listed.all()?.into_iter();
    Ok(listed
        .map(|(partition, at)| (partition, at.offset.unwrap_or(0)))
        .collect())
}

/// Waits for one subtopology after the other, in the order in which they feed each other, and closes
/// what is open in it.
pub(super) async fn finish(
    shared: &Arc<Shared>,
    commands: &[mpsc::Sender<Command>],
    mut targets: BTreeMap<TopicPartition, i64>,
) -> Result<(), StreamsError> {
    let clock = &shared.config.clock;
    for part in shared.topology.in_order() {
        if shared.topology.subtopologies[part].global {
            continue;
        }
        let internal: Vec<Topic> = shared.topology.subtopologies[part]
            .sources
            .iter()
            .filter(|topic| fed(shared, topic))
            .cloned()
            .collect();
        targets.extend(ends(shared, &internal).await?);
        for worker in commands {
            // A commit that is refused, because the group is being shared out anew, is asked for again:
            // without it what has come out would come out again. If tasks were lost they come again, too.
            loop {
                while !reached(shared, part, &targets) {
                    clock.sleep(LOOK).await;
                }
                let (done, waits) = oneshot::channel();
                if worker.send(Command::Finish(part, done)).await.is_err() || waits.await.is_ok() {
                    break;
                }
                clock.sleep(LOOK).await;
            }
        }
    }
    Ok(())
}

/// Whether some operator of the topology writes that topic.
fn fed(shared: &Shared, topic: &Topic) -> bool {
    let mut nodes = shared.topology.nodes.iter();
    nodes.any(|node| matches!(&node.kind, NodeKind::Sink { topic: own } if own == topic))
}

/// Whether all tasks of a subtopology run here and have come to the targets.
fn reached(shared: &Shared, part: usize, targets: &BTreeMap<TopicPartition, i64>) -> bool {
    let tasks = shared.tasks.lock().clone();
    let application = &shared.config.application;
    let sources = shared.topology.subtopologies[part].sources.iter();
    let mut wanted = sources.flat_map(|topic| {
        let name = topic.resolve(application);
        targets
            .iter()
            .filter(move |(partition, _)| partition.topic == name)
    });
    wanted.all(|(partition, target)| {
        let task = tasks
            .iter()
            .find(|(id, _)| id.subtopology == part && id.partition == partition.partition);
        let Some((_, task)) = task else { return false };
        // One that is busy has not come there.
        let Some(mut task) = task.try_lock() else {
            return false;
        };
        if task.outbox().len() > 0 {
            return false;
        }
        let position = task.position();
        let mut inputs = position.inputs.iter();
        inputs.any(|(own, offset, _)| own == partition && offset >= target)
    })
}
