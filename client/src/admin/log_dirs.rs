//! DescribeLogDirs (key 35, versions 1 to 4): how much is kept, and where.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use tidemark_protocol::ErrorCode;

use super::ask::{ANY_NUMBER, Ask, Route};
use super::{Admin, Each, by_topic, known, topic_name};
use crate::cluster::api_error;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// A directory of logs on one broker (Kafka: `LogDirDescription`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    /// Its path on the broker.
    pub path: String,
    /// What is wrong with it, [`ErrorCode::None`] if nothing; `KAFKA_STORAGE_ERROR` if it is
    /// offline.
    pub error: ErrorCode,
    /// The size of the volume it is on, in bytes (KIP-827, since Kafka 3.3).
    pub total_bytes: Option<i64>,
    /// What is free on the volume, in bytes (KIP-827).
    pub usable_bytes: Option<i64>,
    /// The partitions in it.
    pub replicas: BTreeMap<TopicPartition, LogDirReplica>,
}

/// A partition in a directory of logs (Kafka: `ReplicaInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDirReplica {
    /// The size of its segments, in bytes.
    pub size: i64,
    /// How far it is behind the partition's high watermark, or behind the replica that it is to
    /// replace.
    pub offset_lag: i64,
    /// Whether it is to replace the replica of another directory.
    pub future: bool,
}

impl Admin {
    /// The directories of logs of all brokers, by the broker's number (Kafka:
    /// `Admin.describeLogDirs`, `kafka-log-dirs`, KIP-113). With `partitions` only these are told
    /// of, where they are; without, all.
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each broker [`ClientError::Broker`], as with
    /// `CLUSTER_AUTHORIZATION_FAILED`. What is wrong with one directory is in [`LogDir::error`].
    pub async fn describe_log_dirs(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Each<i32, Vec<LogDir>>, ClientError> {
        let what = "describing log directories";
        let mut tries = self.cluster.tries(what, self.timeout);
        let brokers = self.brokers_now(&mut tries).await?;
        let ask = Ask {
            what: what.to_owned(),
            route: Route::Broker(|id: &i32| Some(*id)),
            versions: 1..=4,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            brokers,
            |_, _| {
                let topics = partitions.map(|partitions| {
                    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
                        DescribableLogDirTopic::default()
                            .with_topic(topic_name(topic))
                            .with_partitions(partitions)
                    });
                    topics.collect()
                });
                DescribeLogDirsRequest::default().with_topics(topics)
            },
            |round, brokers, response| {
                let mut answers = Vec::new();
                // A request is for one broker.
                if let Some(broker) = brokers.first() {
                    let what = || format!("{what} of broker {broker}");
                    let done = api_error(what, response.error_code, None);
                    let dirs = response.results;
                    let dirs = dirs.into_iter().map(|dir| log_dir(round.version, dir));
                    answers.push((*broker, done.map(|()| dirs.collect())));
                }
                answers
            },
        )
        .await
    }
}

fn log_dir(version: i16, told: DescribeLogDirsResult) -> LogDir {
    let replicas = told.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |partition| {
            let replica = LogDirReplica {
                size: partition.partition_size,
                offset_lag: partition.offset_lag,
                future: partition.is_future_key,
            };
            let key = TopicPartition::new(&*name, partition.partition_index);
            (key, replica)
        })
    });
    LogDir {
        path: told.log_dir.to_string(),
        error: ErrorCode::from(told.error_code),
        total_bytes: known(told.total_bytes).filter(|_| version >= 4),
        usable_bytes: known(told.usable_bytes).filter(|_| version >= 4),
        replicas: replicas.collect(),
    }
}
