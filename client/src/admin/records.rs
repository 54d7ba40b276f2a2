//! DeleteRecords (key 21, versions 0 to 2): forgetting the oldest records.

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};

use super::ask::{ANY_NUMBER, Ask, Route};
use super::{Admin, Each, by_topic, named_once, topic_name};
use crate::cluster::api_error;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Which records of a partition go (Kafka: `RecordsToDelete`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsBefore {
    /// All before this offset.
    Offset(i64),
    /// All that there are.
    End,
}

impl RecordsBefore {
    const fn wire(self) -> i64 {
        match self {
            Self::Offset(offset) => offset,
            // The high watermark.
            Self::End => -1,
        }
    }
}

impl Admin {
    /// Deletes records from the beginning of partitions; gives the offset of the first record that
    /// is left (Kafka: `Admin.deleteRecords`, `kafka-delete-records`, KIP-107).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError, TopicPartition};
    /// use tidemark_client::admin::RecordsBefore;
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let first = [(TopicPartition::new("orders", 0), RecordsBefore::Offset(1000))];
    /// client.admin().delete_records(first).await?.all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors). A negative offset is a [`ClientError::Config`].
    /// For each partition [`ClientError::UnknownTopic`], [`ClientError::UnknownPartition`] and
    /// [`ClientError::Broker`], as with `OFFSET_OUT_OF_RANGE`, `POLICY_VIOLATION` for a topic that
    /// is compacted only.
    pub async fn delete_records(
        &self,
        records: impl IntoIterator<Item = (TopicPartition, RecordsBefore)>,
    ) -> Result<Each<TopicPartition, i64>, ClientError> {
        let records = named_once("partitions", records)?;
        let negative = |before: &RecordsBefore| matches!(before, RecordsBefore::Offset(..0));
        if let Some((key, _)) = records.iter().find(|(_, before)| negative(before)) {
            let reason = "an offset is not negative: say RecordsBefore::End for all records";
            return Err(ClientError::config("offset", key, reason));
        }
        let ask = Ask {
            what: "deleting records".to_owned(),
            route: Route::Leader(|key| key),
            versions: 0..=2,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            records.keys().cloned(),
            |round, keys: &[TopicPartition]| {
                let topics = by_topic(keys).into_iter().map(|(topic, partitions)| {
                    let partitions = partitions.into_iter().filter_map(|partition| {
                        let before = records.get(&TopicPartition::new(topic, partition))?;
                        let wire = DeleteRecordsPartition::default();
                        Some(
                            wire.with_partition_index(partition)
                                .with_offset(before.wire()),
                        )
                    });
                    DeleteRecordsTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(partitions.collect())
                });
                DeleteRecordsRequest::default()
                    .with_topics(topics.collect())
                    .with_timeout_ms(round.timeout_ms)
            },
            |_, _, response| {
                let topics = response.topics.into_iter();
                topics
                    .flat_map(|topic| {
                        let name = topic.name.to_string();
                        topic.partitions.into_iter().map(move |partition| {
                            let key = TopicPartition::new(&*name, partition.partition_index);
                            let what = || format!("deleting records of {key}");
                            let done = api_error(what, partition.error_code, None)
                                .map(|()| partition.low_watermark);
                            (key, done)
                        })
                    })
                    .collect()
            },
        )
        .await
    }
}
