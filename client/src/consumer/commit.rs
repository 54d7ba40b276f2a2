//! A group's offsets: asked for and written, at its coordinator.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::ErrorCode;

pub(super) mod queue;

use super::fetcher::messages::{by_topic, topic_name};
use crate::cluster::{Cluster, CoordinatorKind, Lane, Node, Tries, api_error};
use crate::error::ClientError;
use crate::retry::{Remedy, remedy};
use crate::topic_partition::TopicPartition;

/// Versions that are spoken: the codec ends at 9.
const COMMIT: std::ops::RangeInclusive<i16> = 2..=9;
const FETCH: std::ops::RangeInclusive<i16> = 1..=9;

/// An offset of a group (Kafka: `OffsetAndMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the record that is to be read next.
    pub offset: i64,
    /// The leader epoch of the record before it, -1 for unknown (KIP-320).
    pub leader_epoch: i32,
    /// A text of the application's own, at most 4096 bytes (Kafka: `offset.metadata.max.bytes`).
    pub metadata: String,
}

impl CommittedOffset {
    /// An offset with nothing else.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        }
    }
}

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitIdentity {
    /// The member's generation, -1 for somebody outside of the group.
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

impl CommitIdentity {
    /// Somebody who is not a member: allowed while the group is empty.
    pub(crate) fn outsider() -> Self {
        Self {
            generation: -1,
            member_id: String::new(),
            instance_id: None,
        }
    }
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

/// The group's offsets of these partitions, or of all that it has. Partitions without one are left
/// out.
pub(crate) async fn fetch_committed(
    cluster: &Cluster,
    group: &str,
    partitions: Option<&[TopicPartition]>,
    limit: Duration,
) -> Result<HashMap<TopicPartition, CommittedOffset>, ClientError> {
    let mut tries = cluster.tries(format!("reading the offsets of group {group:?}"), limit);
    loop {
        let node = cluster
            .coordinator_within(CoordinatorKind::Group, group, &mut tries)
            .await?;
        let coordinator = Node::Id(node);
        let call = cluster.call::<OffsetFetchRequest>(
            &coordinator,
            Lane::General,
            FETCH,
            tries.timeout(),
            |version| offset_fetch(version, group, partitions),
        );
        let outcome = match tries.attempt(call).await {
            Ok(response) => offset_fetch_answer(tries.what(), &response),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(found) => return Ok(found),
            Err(error) => {
                forget_if_moved(cluster, group, node, &error);
                // Transactions with offsets of the group are still open.
                let remedy = match &error {
                    ClientError::Broker {
                        code: ErrorCode::UnstableOffsetCommit,
                        ..
                    } => Some(Remedy::Wait),
                    _ => None,
                };
                match remedy {
                    Some(remedy) => tries.again_by(error, remedy).await?,
                    None => tries.again(error).await?,
                }
            }
        }
    }
}

fn offset_fetch(
    version: i16,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> OffsetFetchRequest {
    let topics = partitions.map(|partitions| {
        by_topic(
            partitions
                .iter()
                .map(|p| (Arc::clone(&p.topic), p.partition)),
        )
    });
    // Stable offsets: those that no open transaction is about to change (KIP-447).
    let stable = version >= 7;
    if version >= 8 {
        let topics = topics.map(|topics| {
            let topics = topics.into_iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic_name(&topic))
                    .with_partition_indexes(partitions)
            });
            topics.collect()
        });
        let entry = OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_topics(topics);
        return OffsetFetchRequest::default()
            .with_groups(vec![entry])
            .with_require_stable(stable);
    }
    let topics = topics.map(|topics| {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopic::default()
                .with_name(topic_name(&topic))
                .with_partition_indexes(partitions)
        });
        topics.collect()
    });
    OffsetFetchRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics)
        .with_require_stable(stable)
}

fn offset_fetch_answer(
    what: &str,
    response: &OffsetFetchResponse,
) -> Result<HashMap<TopicPartition, CommittedOffset>, ClientError> {
    let what = || what.to_owned();
    let mut found = HashMap::new();
    let mut add =
        |topic: &str, partition, offset, leader_epoch, metadata: &Option<StrBytes>, code| {
            api_error(|| format!("{}, {topic}-{partition}", what()), code, None)?;
            if offset >= 0 {
                let committed = CommittedOffset {
                    offset,
                    leader_epoch,
                    metadata: metadata.as_deref().unwrap_or_default().to_owned(),
                };
                found.insert(TopicPartition::new(topic, partition), committed);
            }
            Ok::<(), ClientError>(())
        };
    api_error(what, response.error_code, None)?;
    for group in &response.groups {
        api_error(what, group.error_code, None)?;
        for topic in &group.topics {
            for part in &topic.partitions {
                add(
                    &topic.name.0,
                    part.partition_index,
                    part.committed_offset,
                    part.committed_leader_epoch,
                    &part.metadata,
                    part.error_code,
                )?;
            }
        }
    }
    for topic in &response.topics {
        for part in &topic.partitions {
            add(
                &topic.name.0,
                part.partition_index,
                part.committed_offset,
                part.committed_leader_epoch,
                &part.metadata,
                part.error_code,
            )?;
        }
    }
    Ok(found)
}

/// Writes offsets at the coordinator; tries again as long as that can help and `limit` allows.
pub(crate) async fn commit(
    cluster: &Cluster,
    group: &str,
    identity: &CommitIdentity,
    offsets: &[(TopicPartition, CommittedOffset)],
    limit: Duration,
) -> Result<(), ClientError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let mut tries = cluster.tries(format!("committing offsets of group {group:?}"), limit);
    loop {
        let node = cluster
            .coordinator_within(CoordinatorKind::Group, group, &mut tries)
            .await?;
        let error = match commit_to(cluster, group, identity, offsets, node, &tries).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        forget_if_moved(cluster, group, node, &error);
        tries.again(error).await?;
    }
}

/// One try.
async fn commit_to(
    cluster: &Cluster,
    group: &str,
    identity: &CommitIdentity,
    offsets: &[(TopicPartition, CommittedOffset)],
    node: i32,
    tries: &Tries<'_>,
) -> Result<(), ClientError> {
    let coordinator = Node::Id(node);
    let call = cluster.call::<OffsetCommitRequest>(
        &coordinator,
        Lane::General,
        COMMIT,
        tries.timeout(),
        |version| offset_commit(version, group, identity, offsets),
    );
    let response = tries.attempt(call).await?;
    for topic in &response.topics {
        for part in &topic.partitions {
            let name = || {
                let partition = part.partition_index;
                format!("{}, {}-{partition}", tries.what(), topic.name.0)
            };
            api_error(name, part.error_code, None)?;
        }
    }
    Ok(())
}

/// Has the next try look for the coordinator, unless the error says that this is the one.
fn forget_if_moved(cluster: &Cluster, group: &str, node: i32, error: &ClientError) {
    let moved = match error {
        ClientError::Broker { code, .. } => {
            remedy(*code) == Remedy::FindCoordinator || *code == ErrorCode::RequestTimedOut
        }
        _ => true,
    };
    if moved {
        cluster.forget_coordinator(CoordinatorKind::Group, group, node);
    }
}

fn offset_commit(
    version: i16,
    group: &str,
    identity: &CommitIdentity,
    offsets: &[(TopicPartition, CommittedOffset)],
) -> OffsetCommitRequest {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let entries = offsets.iter().map(|(name, committed)| {
        let mut partition = OffsetCommitRequestPartition::default()
            .with_partition_index(name.partition)
            .with_committed_offset(committed.offset)
            .with_committed_metadata(Some(text(&committed.metadata)));
        if version >= 6 {
            partition = partition.with_committed_leader_epoch(committed.leader_epoch);
        }
        (Arc::clone(&name.topic), partition)
    });
    let topics = by_topic(entries).into_iter().map(|(topic, partitions)| {
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(&topic))
            .with_partitions(partitions)
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(identity.generation)
        .with_member_id(text(&identity.member_id))
        .with_topics(topics.collect());
    match &identity.instance_id {
        Some(instance) if version >= 7 => request.with_group_instance_id(Some(text(instance))),
        _ => request,
    }
}
