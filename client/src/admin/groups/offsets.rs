//! Committed offsets: OffsetFetch (key 9, versions 1 to 9), OffsetCommit (key 8, versions 2 to 9)
//! from outside of the group, OffsetDelete (key 47, version 0).

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse,
};
use tidemark_protocol::ErrorCode;

use crate::admin::ask::{ANY_NUMBER, Ask, Route};
use crate::admin::{Admin, Each, by_topic, group_id, known, named_once, text, topic_name};
use crate::cluster::api_error;
use crate::consumer::CommittedOffset;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Which of a group's offsets are wanted (Kafka: `ListConsumerGroupOffsetsSpec`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsOf {
    /// All that it has committed.
    All,
    /// Those of these partitions.
    Partitions(Vec<TopicPartition>),
}

/// A group's offsets: `None` for a partition in which it has none.
type Offsets = Each<TopicPartition, Option<CommittedOffset>>;

/// Whether open transactions are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stable {
    No,
    Required,
}

impl Admin {
    /// What groups have committed (Kafka: `Admin.listConsumerGroupOffsets`, `kafka-consumer-groups
    /// --describe --offsets`, KIP-709). A group that does not exist has committed nothing.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::OffsetsOf;
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let groups = client.admin().group_offsets([("billing", OffsetsOf::All)]).await?.all()?;
    /// for (partition, committed) in groups.into_values().flatten() {
    ///     println!("{partition}: {:?}", committed?.map(|committed| committed.offset));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each group [`ClientError::Broker`], as with
    /// `GROUP_AUTHORIZATION_FAILED`, and in a group the same for each partition.
    pub async fn group_offsets<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = (S, OffsetsOf)>,
    ) -> Result<Each<String, Offsets>, ClientError> {
        self.fetch_offsets(groups, Stable::No).await
    }

    /// The same when no transaction may still change it: offsets that an open one has sent are
    /// waited for until it has ended (Kafka: `ListConsumerGroupOffsetsOptions.requireStable`,
    /// KIP-447, since Kafka 2.5). [`Self::group_offsets`] tells what was committed before.
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each group [`ClientError::Broker`], as with
    /// `GROUP_AUTHORIZATION_FAILED`, and [`ClientError::Timeout`] with `UNSTABLE_OFFSET_COMMIT` for
    /// `last` while a transaction is open; in a group the same for each partition, except that.
    /// Brokers before Kafka 2.5 are a [`ClientError::Call`].
    pub async fn stable_group_offsets<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = (S, OffsetsOf)>,
    ) -> Result<Each<String, Offsets>, ClientError> {
        self.fetch_offsets(groups, Stable::Required).await
    }

    async fn fetch_offsets<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = (S, OffsetsOf)>,
        stable: Stable,
    ) -> Result<Each<String, Offsets>, ClientError> {
        let groups = groups
            .into_iter()
            .map(|(group, wanted)| (group.into(), wanted));
        let groups = named_once("groups", groups)?;
        let all = groups.values().any(|wanted| *wanted == OffsetsOf::All);
        let ask = Ask {
            what: "reading offsets of groups".to_owned(),
            route: Route::CoordinatorOf(String::as_str),
            versions: match (stable, all) {
                (Stable::Required, _) => 7..=9,
                // The first that can ask for all (KIP-88).
                (Stable::No, true) => 2..=9,
                (Stable::No, false) => 1..=9,
            },
            most: |version| match version {
                ..=7 => 1,
                _ => usize::MAX,
            },
        };
        self.each(
            ask,
            groups.keys().cloned(),
            |round, ids: &[String]| {
                let wanted = ids
                    .iter()
                    .filter_map(|id| Some((id.as_str(), groups.get(id)?)));
                let request = match round.version {
                    ..=7 => fetch_one(wanted),
                    _ => fetch_many(wanted),
                };
                request.with_require_stable(stable == Stable::Required)
            },
            |round, ids, response| {
                let told = match round.version {
                    ..=7 => fetched_one(ids, response),
                    _ => fetched_many(response),
                };
                let told = told.into_iter();
                told.map(|(group, offsets)| (group, offsets.and_then(settled)))
                    .collect()
            },
        )
        .await
    }

    /// Sets the offsets of a group that has no members (Kafka: `Admin.alterConsumerGroupOffsets`,
    /// `kafka-consumer-groups --reset-offsets`, KIP-396). One with members refuses with
    /// `UNKNOWN_MEMBER_ID`. A group that does not exist comes into being.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError, TopicPartition};
    /// use tidemark_client::consumer::CommittedOffset;
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let offsets = [(TopicPartition::new("orders", 0), CommittedOffset::new(1000))];
    /// client.admin().alter_group_offsets("billing", offsets).await?.all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each partition [`ClientError::Broker`], as
    /// with `UNKNOWN_MEMBER_ID`, `UNKNOWN_TOPIC_OR_PARTITION`, `OFFSET_METADATA_TOO_LARGE`.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: impl IntoIterator<Item = (TopicPartition, CommittedOffset)>,
    ) -> Result<Each<TopicPartition, ()>, ClientError> {
        let offsets = named_once("partitions", offsets)?;
        let ask = Ask {
            what: format!("setting offsets of group {group:?}"),
            route: Route::Coordinator(group),
            versions: 2..=9,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            offsets.keys().cloned(),
            |round, keys: &[TopicPartition]| {
                let topics = by_topic(keys).into_iter().map(|(topic, partitions)| {
                    let partitions = partitions.into_iter().filter_map(|partition| {
                        let wanted = offsets.get(&TopicPartition::new(topic, partition))?;
                        Some(committed(round.version, partition, wanted))
                    });
                    OffsetCommitRequestTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(partitions.collect())
                });
                // No generation and no member: from outside.
                OffsetCommitRequest::default()
                    .with_group_id(group_id(group))
                    .with_generation_id_or_member_epoch(-1)
                    .with_topics(topics.collect())
            },
            |_, _, response| {
                let topics = response.topics.into_iter();
                topics
                    .flat_map(|topic| {
                        let name = topic.name.to_string();
                        topic.partitions.into_iter().map(move |partition| {
                            let key = TopicPartition::new(&*name, partition.partition_index);
                            let what = || format!("setting the offset of group {group:?} in {key}");
                            let done = api_error(what, partition.error_code, None);
                            (key, done)
                        })
                    })
                    .collect()
            },
        )
        .await
    }

    /// Forgets offsets of a group; those of topics that its members have subscribed to stay
    /// (`GROUP_SUBSCRIBED_TO_TOPIC`; Kafka: `Admin.deleteConsumerGroupOffsets`,
    /// `kafka-consumer-groups --delete-offsets`, KIP-496).
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each partition [`ClientError::Broker`], as
    /// with `GROUP_SUBSCRIBED_TO_TOPIC`, `GROUP_ID_NOT_FOUND`.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Each<TopicPartition, ()>, ClientError> {
        let partitions = partitions.into_iter().map(|partition| (partition, ()));
        let what = format!("deleting offsets of group {group:?}");
        let ask = Ask {
            what: what.clone(),
            route: Route::Coordinator(group),
            versions: 0..=0,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            named_once("partitions", partitions)?.into_keys(),
            |_, keys: &[TopicPartition]| {
                let topics = by_topic(keys).into_iter().map(|(topic, partitions)| {
                    let partitions = partitions.into_iter().map(|partition| {
                        OffsetDeleteRequestPartition::default().with_partition_index(partition)
                    });
                    OffsetDeleteRequestTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(partitions.collect())
                });
                OffsetDeleteRequest::default()
                    .with_group_id(group_id(group))
                    .with_topics(topics.collect())
            },
            |_, keys, response| {
                let whole = api_error(|| what.clone(), response.error_code, None);
                if whole.is_err() {
                    return keys
                        .iter()
                        .map(|key| (key.clone(), whole.clone()))
                        .collect();
                }
                let topics = response.topics.into_iter();
                topics
                    .flat_map(|topic| {
                        let name = topic.name.to_string();
                        topic.partitions.into_iter().map(move |partition| {
                            let key = TopicPartition::new(&*name, partition.partition_index);
                            let what =
                                || format!("deleting the offset of group {group:?} in {key}");
                            let done = api_error(what, partition.error_code, None);
                            (key, done)
                        })
                    })
                    .collect()
            },
        )
        .await
    }
}

fn committed(
    version: i16,
    partition: i32,
    wanted: &CommittedOffset,
) -> OffsetCommitRequestPartition {
    let wire = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(wanted.offset)
        .with_committed_metadata(Some(text(&wanted.metadata)));
    match version {
        ..=5 => wire,
        _ => wire.with_committed_leader_epoch(wanted.leader_epoch),
    }
}

/// Up to version 7 a request is about one group.
fn fetch_one<'a>(mut wanted: impl Iterator<Item = (&'a str, &'a OffsetsOf)>) -> OffsetFetchRequest {
    let (group, wanted) = wanted.next().unwrap_or(("", &OffsetsOf::All));
    let topics = match wanted {
        OffsetsOf::All => None,
        OffsetsOf::Partitions(partitions) => {
            let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopic::default()
                    .with_name(topic_name(topic))
                    .with_partition_indexes(partitions)
            });
            Some(topics.collect())
        }
    };
    OffsetFetchRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics)
}

fn fetch_many<'a>(wanted: impl Iterator<Item = (&'a str, &'a OffsetsOf)>) -> OffsetFetchRequest {
    let groups = wanted.map(|(group, wanted)| {
        let topics = match wanted {
            OffsetsOf::All => None,
            OffsetsOf::Partitions(partitions) => {
                let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
                    OffsetFetchRequestTopics::default()
                        .with_name(topic_name(topic))
                        .with_partition_indexes(partitions)
                });
                Some(topics.collect())
            }
        };
        OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_topics(topics)
    });
    OffsetFetchRequest::default().with_groups(groups.collect())
}

type Fetched = Vec<(String, Result<Offsets, ClientError>)>;

fn fetched_one(ids: &[String], response: OffsetFetchResponse) -> Fetched {
    let Some(group) = ids.first() else {
        return Vec::new();
    };
    let done = api_error(|| reading(group), response.error_code, None);
    let topics = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |partition| Told {
            partition: TopicPartition::new(&*name, partition.partition_index),
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata.map(|words| words.to_string()),
            error: partition.error_code,
        })
    });
    let offsets = topics.map(|told| told.outcome(group)).collect();
    vec![(group.clone(), done.map(|()| offsets))]
}

fn fetched_many(response: OffsetFetchResponse) -> Fetched {
    let groups = response.groups.into_iter().map(|told| {
        let group = told.group_id.to_string();
        let done = api_error(|| reading(&group), told.error_code, None);
        let topics = told.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |partition| Told {
                partition: TopicPartition::new(&*name, partition.partition_index),
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata.map(|words| words.to_string()),
                error: partition.error_code,
            })
        });
        let offsets = topics.map(|told| told.outcome(&group)).collect();
        (group, done.map(|()| offsets))
    });
    groups.collect()
}

/// The offsets, unless there is one that a transaction may still change: the group is asked again.
fn settled(offsets: Offsets) -> Result<Offsets, ClientError> {
    let open = offsets.iter().find_map(|(_, outcome)| {
        let error = outcome.as_ref().err()?;
        let unstable = error.code() == Some(ErrorCode::UnstableOffsetCommit);
        unstable.then(|| error.clone())
    });
    match open {
        Some(error) => Err(error),
        None => Ok(offsets),
    }
}

fn reading(group: &str) -> String {
    format!("reading offsets of group {group:?}")
}

/// What an answer of any version tells of a partition.
struct Told {
    partition: TopicPartition,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<String>,
    error: i16,
}

impl Told {
    fn outcome(
        self,
        group: &str,
    ) -> (TopicPartition, Result<Option<CommittedOffset>, ClientError>) {
        let what = || {
            format!(
                "reading the offset of group {group:?} in {}",
                self.partition
            )
        };
        let done = api_error(what, self.error, None);
        let committed = known(self.offset).map(|offset| CommittedOffset {
            offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.unwrap_or_default(),
        });
        (self.partition, done.map(|()| committed))
    }
}
