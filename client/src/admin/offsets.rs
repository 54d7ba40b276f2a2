//! Where partitions begin and end: ListOffsets (key 2, versions 1 to 10) and OffsetForLeaderEpoch
//! (key 23, versions 2 to 4), each asked of the partition's leader.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, OffsetForLeaderEpochRequest};

use super::ask::{ANY_NUMBER, Ask, Route};
use super::{Admin, Each, by_topic, known, named_once, topic_name};
use crate::cluster::api_error;
use crate::consumer::IsolationLevel;
use crate::error::ClientError;

use crate::topic_partition::TopicPartition;

/// Who asks is a client, not a follower.
const CLIENT: BrokerId = BrokerId(-1);

/// Which offset of a partition is wanted (Kafka: `OffsetSpec`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record's.
    Earliest,
    /// The one that the next record will have: the high watermark, or with
    /// [`IsolationLevel::ReadCommitted`] the last stable offset.
    Latest,
    /// That of the first record whose timestamp is this or later, in milliseconds since 1970.
    Timestamp(i64),
    /// That of the record with the largest timestamp (KIP-734, since Kafka 3.0).
    MaxTimestamp,
    /// The first on the broker's own disks (KIP-405, since Kafka 3.4).
    EarliestLocal,
    /// The last that has been moved to remote storage (KIP-1005, since Kafka 3.9).
    LatestTiered,
}

impl OffsetSpec {
    const fn wire(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::Timestamp(timestamp) => timestamp,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
        }
    }

    /// The versions that know it: with an earlier one a broker would take it for a timestamp.
    fn versions(self, isolation: IsolationLevel) -> RangeInclusive<i16> {
        let first = match self {
            Self::MaxTimestamp => 7,
            Self::EarliestLocal => 8,
            Self::LatestTiered => 9,
            Self::Earliest | Self::Latest | Self::Timestamp(_) => match isolation {
                IsolationLevel::ReadUncommitted => 1,
                IsolationLevel::ReadCommitted => 2,
            },
        };
        first..=10
    }
}

/// The number on the wire.
const fn level(isolation: IsolationLevel) -> i8 {
    match isolation {
        IsolationLevel::ReadUncommitted => 0,
        IsolationLevel::ReadCommitted => 1,
    }
}

/// An offset that was asked for (Kafka: `ListOffsetsResultInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if there is no such record.
    pub offset: Option<i64>,
    /// The record's timestamp in milliseconds since 1970, if a record was asked for.
    pub timestamp: Option<i64>,
    /// The epoch of the leader that wrote the record, if the broker tells (KIP-320).
    pub leader_epoch: Option<i32>,
}

/// What is asked of a leader epoch (Kafka: `OffsetForLeaderPartition`, KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochQuery {
    /// The epoch whose end is wanted.
    pub leader_epoch: i32,
    /// The newest epoch that the client knows of; a leader with another one refuses
    /// (`FENCED_LEADER_EPOCH`, `UNKNOWN_LEADER_EPOCH`). `None` asks whoever leads.
    pub current: Option<i32>,
}

/// Where an epoch ends (Kafka: `EpochEndOffset`, KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch asked for, or the last one before it that has records; `None` if there is none.
    pub leader_epoch: Option<i32>,
    /// The offset behind its last record; `None` if the leader knows of no such epoch.
    pub end_offset: Option<i64>,
}

impl Admin {
    /// Finds offsets of partitions (Kafka: `Admin.listOffsets`, `kafka-get-offsets`, KIP-396).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError, TopicPartition};
    /// use tidemark_client::consumer::IsolationLevel;
    /// use tidemark_client::admin::OffsetSpec;
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let ends = (0..6).map(|index| (TopicPartition::new("orders", index), OffsetSpec::Latest));
    /// let ends = client.admin().list_offsets(ends, IsolationLevel::ReadUncommitted).await?;
    /// for (partition, end) in ends.all()? {
    ///     println!("{partition} ends at {:?}", end.offset);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors). A negative timestamp is a [`ClientError::Config`];
    /// a kind of offset that no broker asked knows, a [`ClientError::Call`], in [`Each`] if others
    /// were asked for as well. For each partition [`ClientError::UnknownTopic`],
    /// [`ClientError::UnknownPartition`] and [`ClientError::Broker`], as with
    /// `TOPIC_AUTHORIZATION_FAILED`.
    pub async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
        isolation: IsolationLevel,
    ) -> Result<Each<TopicPartition, ListedOffset>, ClientError> {
        let partitions = named_once("partitions", partitions)?;
        let negative = |spec: &OffsetSpec| matches!(spec, OffsetSpec::Timestamp(..0));
        if let Some((key, _)) = partitions.iter().find(|(_, spec)| negative(spec)) {
            let reason = "a timestamp is not negative: Kafka has other meanings for such numbers";
            return Err(ClientError::config("timestamp", key, reason));
        }
        // What an old broker does not know is not to take the rest with it.
        let mut by_version: BTreeMap<i16, BTreeMap<TopicPartition, OffsetSpec>> = BTreeMap::new();
        for (key, spec) in partitions {
            let first = *spec.versions(isolation).start();
            by_version.entry(first).or_default().insert(key, spec);
        }
        let several = by_version.len() > 1;
        let mut found = Vec::new();
        for (first, wanted) in by_version {
            match self.list_since(first, &wanted, isolation).await {
                Ok(listed) => found.extend(listed),
                Err(error) if several => {
                    found.extend(wanted.into_keys().map(|key| (key, Err(error.clone()))));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found.into_iter().collect())
    }

    /// With brokers that speak this version.
    async fn list_since(
        &self,
        first: i16,
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation: IsolationLevel,
    ) -> Result<Each<TopicPartition, ListedOffset>, ClientError> {
        let ask = Ask {
            what: "listing offsets".to_owned(),
            route: Route::Leader(|key| key),
            versions: first..=10,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            wanted.keys().cloned(),
            |round, keys: &[TopicPartition]| {
                let topics = by_topic(keys).into_iter().map(|(topic, partitions)| {
                    let partitions = partitions.into_iter().filter_map(|partition| {
                        let spec = wanted.get(&TopicPartition::new(topic, partition))?;
                        let wire = ListOffsetsPartition::default();
                        Some(
                            wire.with_partition_index(partition)
                                .with_timestamp(spec.wire()),
                        )
                    });
                    ListOffsetsTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(partitions.collect())
                });
                let request = ListOffsetsRequest::default()
                    .with_replica_id(CLIENT)
                    .with_topics(topics.collect())
                    .with_isolation_level(level(isolation));
                match round.version {
                    ..=9 => request,
                    // How long remote storage may take (KIP-1075).
                    _ => request.with_timeout_ms(round.timeout_ms),
                }
            },
            |round, _, response| {
                let topics = response.topics.into_iter();
                topics
                    .flat_map(|topic| {
                        let name = topic.name.to_string();
                        topic.partitions.into_iter().map(move |partition| {
                            let key = TopicPartition::new(&*name, partition.partition_index);
                            let what = || format!("listing the offset of {key}");
                            let done = api_error(what, partition.error_code, None);
                            let epoch = known(partition.leader_epoch);
                            let listed = ListedOffset {
                                offset: known(partition.offset),
                                timestamp: known(partition.timestamp),
                                leader_epoch: epoch.filter(|_| round.version >= 4),
                            };
                            (key, done.map(|()| listed))
                        })
                    })
                    .collect()
            },
        )
        .await
    }

    /// Where epochs of leaders end: a client whose records go beyond that has records that the
    /// cluster has lost (KIP-320; Kafka: `OffsetsForLeaderEpochClient`).
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each partition [`ClientError::UnknownTopic`],
    /// [`ClientError::UnknownPartition`] and [`ClientError::Broker`], as with
    /// `FENCED_LEADER_EPOCH`, `UNKNOWN_LEADER_EPOCH`.
    pub async fn offsets_for_leader_epochs(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, EpochQuery)>,
    ) -> Result<Each<TopicPartition, EpochEnd>, ClientError> {
        let wanted = named_once("partitions", partitions)?;
        let ask = Ask {
            what: "finding the ends of leader epochs".to_owned(),
            route: Route::Leader(|key| key),
            versions: 2..=4,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            wanted.keys().cloned(),
            |round, keys: &[TopicPartition]| {
                let topics = by_topic(keys).into_iter().map(|(topic, partitions)| {
                    let partitions = partitions.into_iter().filter_map(|partition| {
                        let query = wanted.get(&TopicPartition::new(topic, partition))?;
                        let wire = OffsetForLeaderPartition::default()
                            .with_partition(partition)
                            .with_current_leader_epoch(query.current.unwrap_or(-1))
                            .with_leader_epoch(query.leader_epoch);
                        Some(wire)
                    });
                    OffsetForLeaderTopic::default()
                        .with_topic(topic_name(topic))
                        .with_partitions(partitions.collect())
                });
                let request = OffsetForLeaderEpochRequest::default().with_topics(topics.collect());
                match round.version {
                    ..=2 => request,
                    _ => request.with_replica_id(CLIENT),
                }
            },
            |_, _, response| {
                let topics = response.topics.into_iter();
                topics
                    .flat_map(|topic| {
                        let name = topic.topic.to_string();
                        topic.partitions.into_iter().map(move |partition| {
                            let key = TopicPartition::new(&*name, partition.partition);
                            let what = || format!("finding the end of an epoch of {key}");
                            let done = api_error(what, partition.error_code, None);
                            let end = EpochEnd {
                                leader_epoch: known(partition.leader_epoch),
                                end_offset: known(partition.end_offset),
                            };
                            (key, done.map(|()| end))
                        })
                    })
                    .collect()
            },
        )
        .await
    }
}
