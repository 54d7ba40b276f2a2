//! The log that a batch run reads: a cluster's, or one in memory for simulation.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::admin::{ConfigQuery, ConfigResource, OffsetSpec};
use tidemark_client::consumer::{Batch, Consumer, ConsumerConfig, IsolationLevel, OffsetReset};
use tidemark_client::{Client, Clock, TopicPartition};

use super::BatchError;
use super::plan::{PartitionBounds, TopicBounds};

/// A partition that goes on and brings nothing for so long cannot be read.
const NO_PROGRESS: Duration = Duration::from_secs(120);

/// Source topics as a batch run sees them.
pub(crate) trait Log: Send + Sync + 'static {
    /// What reads a partition.
    type Reader: Reader;

    /// What there is of these topics.
    fn bounds(
        &self,
        topics: &[String],
    ) -> impl Future<Output = Result<Vec<TopicBounds>, BatchError>> + Send;

    /// Reads the committed records of a partition from an offset on.
    fn read(&self, partition: TopicPartition, from: i64) -> Result<Self::Reader, BatchError>;
}

/// Reads a partition.
pub(crate) trait Reader: Send {
    /// What comes next, and the offset behind it. Waits until there is something.
    fn next(&mut self) -> impl Future<Output = Result<(Vec<Batch>, i64), BatchError>> + Send;
}

/// The log of a cluster.
pub(crate) struct KafkaLog {
    pub(crate) client: Arc<Client>,
    pub(crate) clock: Clock,
}

impl Log for KafkaLog {
    type Reader = KafkaReader;

    async fn bounds(&self, topics: &[String]) -> Result<Vec<TopicBounds>, BatchError> {
        check_policies(&self.client, topics).await?;
        let admin = self.client.admin();
        let mut described = admin.describe_topics(topics.iter().cloned()).await?;
        let mut found = Vec::new();
        for topic in topics {
            let described = match described.remove(topic) {
                Some(Ok(described)) => described,
                Some(Err(error)) => return Err(BatchError::topic(topic, &error)),
                None => return Err(BatchError::topic(topic, &"nobody tells of it")),
            };
            let numbers = described.partitions.iter().map(|own| own.index);
            let numbers: Vec<i32> = numbers.collect();
            let list = async |spec| {
                let wanted = numbers.iter();
                let wanted =
                    wanted.map(|partition| (TopicPartition::new(&**topic, *partition), spec));
                let listed = admin.list_offsets(wanted, IsolationLevel::ReadCommitted);
                Ok::<_, BatchError>(listed.await?.all()?)
            };
            // The end first: what is cut in between is found out by the reading.
            let ends = list(OffsetSpec::Latest).await?;
            let starts = list(OffsetSpec::Earliest).await?;
            let mut partitions = Vec::new();
            for partition in &numbers {
                let key = TopicPartition::new(&**topic, *partition);
                let offset = |listed: &tidemark_client::admin::ListedOffset| listed.offset;
                let (Some(start), Some(end)) = (
                    starts.get(&key).and_then(offset),
                    ends.get(&key).and_then(offset),
                ) else {
                    return Err(BatchError::topic(
                        topic,
                        &format!("nobody tells where {key} ends"),
                    ));
                };
                partitions.push(PartitionBounds {
                    partition: *partition,
                    start,
                    end: end.max(start),
                });
            }
            partitions.sort_unstable_by_key(|own| own.partition);
            found.push(TopicBounds {
                topic: topic.clone(),
                id: format!("{:?}", described.id),
                partitions,
            });
        }
        Ok(found)
    }

    fn read(&self, partition: TopicPartition, from: i64) -> Result<KafkaReader, BatchError> {
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Error)
            .isolation_level(IsolationLevel::ReadCommitted)
            .pin_topics(true)
            .max_partition_bytes(8 << 20);
        let mut consumer = self.client.consumer(config)?;
        consumer.assign([partition.clone()])?;
        consumer.seek(&partition, from)?;
        Ok(KafkaReader {
            consumer,
            clock: self.clock.clone(),
            partition,
            position: from,
        })
    }
}

/// Refuses topics that are compacted: records go from them that have been counted.
pub(crate) async fn check_policies(client: &Client, topics: &[String]) -> Result<(), BatchError> {
    let resources = topics.iter().map(|topic| ConfigResource::topic(&**topic));
    let query = ConfigQuery::new().names(["cleanup.policy"]);
    let configs = client.admin().describe_configs(resources, query).await?;
    for (topic, entries) in configs.all()? {
        let policy = entries.into_iter().find_map(|entry| entry.value);
        if let Some(policy) = policy.filter(|policy| policy.contains("compact")) {
            let topic = topic.name;
            return Err(BatchError::Compacted { topic, policy });
        }
    }
    Ok(())
}

/// Reads a partition of a cluster.
pub(crate) struct KafkaReader {
    consumer: Consumer,
    clock: Clock,
    partition: TopicPartition,
    position: i64,
}

impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<(Vec<Batch>, i64), BatchError> {
        let next = self
            .clock
            .timeout(NO_PROGRESS, self.consumer.recv_batches());
        let fetched = next.await.ok_or_else(|| BatchError::NothingRead {
            partition: self.partition.clone(),
            offset: self.position,
            waited: NO_PROGRESS,
        })??;
        self.position = fetched.next_offset;
        Ok((fetched.batches, fetched.next_offset))
    }
}
