//! Processing what there is, to its end: source topics first, then what flows out of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::TopicPartition;
use tidemark_client::admin::{GroupState, MemberDescription, OffsetSpec};
use tidemark_client::consumer::IsolationLevel;
use tokio::sync::{mpsc, oneshot};

use super::assignment::told_by;
use super::shared::Shared;
use super::worker::Command;
use crate::error::StreamsError;
use crate::topology::{NodeKind, Topic};

/// How often it is looked whether a subtopology is done.
const LOOK: Duration = Duration::from_millis(20);
/// How often, meanwhile, it is looked whether there are other instances.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(1);

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
    let mut look_at = 0;
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
                    if clock.now().millis >= look_at {
                        check_alone(shared).await?;
                        look_at = clock.deadline(LOOK_FOR_OTHERS);
                    }
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
    // One that has come since may have been given tasks with something open in them.
    check_alone(shared).await
}

/// Whether all members of the group are of this instance. Only when the group is stable it is certain
/// that they are alive: all that did not join again are gone then.
async fn check_alone(shared: &Shared) -> Result<(), StreamsError> {
    let group = shared.config.application.as_str();
    let mut described = shared.admin.describe_groups([group]).await?;
    let Some(Ok(described)) = described.remove(group) else {
        // No such group yet.
        return Ok(());
    };
    let own = |member: &MemberDescription| {
        let told = told_by(&member.metadata);
        told.is_some_and(|told| told.instance == shared.instance)
    };
    // It is not known who they are before this instance has joined.
    if described.state != GroupState::Stable || !described.members.iter().any(own) {
        return Ok(());
    }
    let mut members = described.members.into_iter();
    match members.find(|member| !own(member)) {
        None => Ok(()),
        Some(member) => Err(StreamsError::NotAlone {
            application: shared.config.application.clone(),
            member: member.id,
        }),
    }
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
