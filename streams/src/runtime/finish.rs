//! Processing what there is, to its end: source topics first, then what flows out of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::TopicPartition;
use tidemark_client::admin::{GroupState, MemberDescription, OffsetSpec};
use tokio::sync::{mpsc, oneshot};

use super::assignment::{TaskId, told_by};
use super::shared::Shared;
use super::task::Task;
use super::worker::Finish;
use crate::error::StreamsError;
use crate::topology::{NodeKind, Topic};

/// How often it is looked whether a subtopology is done.
const LOOK: Duration = Duration::from_millis(20);
/// How often, meanwhile, it is looked whether there are other instances.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(1);

/// Up to where partitions are to be processed.
pub(super) type Targets = BTreeMap<TopicPartition, i64>;

/// The ends of topics now, as far as the application reads.
pub(super) async fn ends(shared: &Shared, topics: &[Topic]) -> Result<Targets, StreamsError> {
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
        .list_offsets(wanted, shared.config.isolation)
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
    workers: &[mpsc::Sender<Finish>],
    mut targets: Targets,
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
        let sources = shared.topology.subtopologies[part].sources.iter();
        let names = sources.map(|topic| topic.resolve(&shared.config.application));
        let names: BTreeSet<Arc<str>> = names.collect();
        let own = targets
            .iter()
            .map(|(partition, end)| (partition.clone(), *end));
        let own = own.filter(|(partition, _)| names.contains(&partition.topic));
        let own: Arc<Targets> = Arc::new(own.collect());
        let of = |partition: &TopicPartition| TaskId {
            subtopology: part,
            partition: partition.partition,
        };
        let mut left: BTreeSet<TaskId> = own.keys().map(of).collect();
        // By tasks, not by workers: one that changes hands meanwhile may be with none of them when it is
        // asked. What has been closed and committed is so wherever it goes. Where a commit is refused,
        // because the group is being shared out anew, the tasks are asked for again.
        while !left.is_empty() {
            while !left.iter().all(|id| reached(shared, *id, &own)) {
                if clock.now().millis >= look_at {
                    check_alone(shared).await?;
                    look_at = clock.deadline(LOOK_FOR_OTHERS);
                }
                clock.sleep(LOOK).await;
            }
            for worker in workers {
                if left.is_empty() {
                    break;
                }
                let (done, waits) = oneshot::channel();
                let finish = Finish {
                    tasks: left.clone(),
                    targets: Arc::clone(&own),
                    done,
                };
                // One that does not listen has failed, and that ends this.
                let _ = worker.send(finish).await;
                if let Ok(finished) = waits.await {
                    left.retain(|id| !finished.contains(id));
                }
            }
            if !left.is_empty() {
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

/// Whether a task runs here and has come to the targets.
fn reached(shared: &Shared, id: TaskId, targets: &Targets) -> bool {
    let task = shared.tasks.lock().get(&id).cloned();
    // One that is busy has not come there.
    let task = task.as_ref().and_then(|task| task.try_lock());
    task.is_some_and(|mut task| is_there(&mut task, id, targets))
}

/// Whether a task has come to those of the targets that are its own.
pub(super) fn is_there(task: &mut Task, id: TaskId, targets: &Targets) -> bool {
    let position = task.position();
    let mut own = targets
        .iter()
        .filter(|(partition, _)| partition.partition == id.partition);
    task.outbox().len() == 0
        && own.all(|(partition, target)| {
            let mut inputs = position.inputs.iter();
            inputs.any(|(own, offset, _)| own == partition && offset >= target)
        })
}
