//! CreatePartitions (key 37, versions 0 to 3): more partitions for topics that there are already.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest};

use super::ask::{ANY_NUMBER, Ask, Route};
use super::{Admin, Each, Mode, named_once, topic_name};
use crate::cluster::api_error;
use crate::error::ClientError;

/// How many partitions a topic is to have (Kafka: `NewPartitions`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    total: i32,
    assignment: Option<Vec<Vec<i32>>>,
}

impl NewPartitions {
    /// `total` partitions, those included that there are already (Kafka:
    /// `NewPartitions.increaseTo`).
    #[must_use]
    pub const fn increase_to(total: i32) -> Self {
        Self {
            total,
            assignment: None,
        }
    }

    /// The brokers of each new partition, the preferred leader first. Default: the controller
    /// chooses.
    #[must_use]
    pub fn assignment(mut self, brokers: Vec<Vec<i32>>) -> Self {
        self.assignment = Some(brokers);
        self
    }

    fn wire(&self, topic: &str) -> CreatePartitionsTopic {
        let assignment = self.assignment.as_ref().map(|partitions| {
            let partitions = partitions.iter().map(|brokers| {
                let brokers = brokers.iter().copied().map(BrokerId);
                CreatePartitionsAssignment::default().with_broker_ids(brokers.collect())
            });
            partitions.collect()
        });
        CreatePartitionsTopic::default()
            .with_name(topic_name(topic))
            .with_count(self.total)
            .with_assignments(assignment)
    }
}

impl Admin {
    /// Gives topics more partitions; fewer are not possible (Kafka: `Admin.createPartitions`,
    /// `kafka-topics --alter --partitions`, KIP-195). Records stay where they are: from now on a
    /// key may go to another partition than before.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::{Mode, NewPartitions};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let twelve = [("orders", NewPartitions::increase_to(12))];
    /// client.admin().create_partitions(twelve, Mode::Apply).await?.all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each topic [`ClientError::Broker`], as with
    /// `INVALID_PARTITIONS`, `UNKNOWN_TOPIC_OR_PARTITION`, `INVALID_REPLICA_ASSIGNMENT`.
    pub async fn create_partitions<S: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = (S, NewPartitions)>,
        mode: Mode,
    ) -> Result<Each<String, ()>, ClientError> {
        let topics = topics.into_iter().map(|(name, new)| (name.into(), new));
        let topics = named_once("topics", topics)?;
        let ask = Ask {
            what: "creating partitions".to_owned(),
            route: Route::Controller,
            versions: 0..=3,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            topics.keys().cloned(),
            |round, names: &[String]| {
                let wanted = names
                    .iter()
                    .filter_map(|name| Some(topics.get(name)?.wire(name)));
                CreatePartitionsRequest::default()
                    .with_topics(wanted.collect())
                    .with_timeout_ms(round.timeout_ms)
                    .with_validate_only(mode.validate_only())
            },
            |_, _, response| {
                let told = response.results.into_iter().map(|topic| {
                    let what = || format!("creating partitions of topic {:?}", topic.name.as_str());
                    let done = api_error(what, topic.error_code, topic.error_message.as_deref());
                    (topic.name.to_string(), done)
                });
                told.collect()
            },
        )
        .await
    }
}
