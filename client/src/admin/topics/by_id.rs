//! Topics by their ids (KIP-516): Metadata (key 3) from version 12 on, which is the first that
//! minds ids, and DeleteTopics (key 20) version 6.

use std::collections::BTreeMap;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DeleteTopicsRequest, MetadataRequest};
use uuid::Uuid;

use super::describe::{TopicDescription, by_metadata};
use crate::admin::ask::{ANY_NUMBER, Ask, Route};
use crate::admin::{Admin, Each, named_once};
use crate::cluster::api_error;
use crate::error::ClientError;

impl Admin {
    /// Describes topics by their ids: a topic that was deleted and made again under its name is
    /// not found (Kafka: `Admin.describeTopics` with `TopicCollection.ofTopicIds`, KIP-516, since
    /// Kafka 3.1).
    ///
    /// [`PartitionDescription::eligible_leaders`](super::PartitionDescription::eligible_leaders)
    /// is not told.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let admin = client.admin();
    /// let orders = admin.describe_topics(["orders"]).await?.all()?.remove("orders");
    /// if let Some(orders) = orders {
    ///     let same = admin.describe_topics_by_id([orders.id]).await?.all()?;
    ///     println!("{} is still called {}", orders.id, same[&orders.id].name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors), with the nil id for a value that cannot be meant;
    /// for each topic [`ClientError::Broker`], as with `UNKNOWN_TOPIC_ID`. Brokers before Kafka
    /// 3.1 are a [`ClientError::Call`].
    pub async fn describe_topics_by_id(
        &self,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Each<Uuid, TopicDescription>, ClientError> {
        let all = "describing topics by id";
        let ask = Ask {
            what: all.to_owned(),
            route: Route::Any,
            versions: 12..=13,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            each_once(ids)?.into_keys(),
            |_, ids: &[Uuid]| {
                let topics = ids.iter().map(|id| {
                    MetadataRequestTopic::default()
                        .with_topic_id(*id)
                        .with_name(None)
                });
                MetadataRequest::default()
                    .with_topics(Some(topics.collect()))
                    .with_allow_auto_topic_creation(false)
            },
            |_, ids, response| {
                let what = |id: &Uuid| format!("describing the topic with id {id}");
                if let Err(error) = api_error(|| all.to_owned(), response.error_code, None) {
                    return ids.iter().map(|id| (*id, Err(error.clone()))).collect();
                }
                let told = response.topics.iter().map(|topic| {
                    let id = topic.topic_id;
                    let done = api_error(|| what(&id), topic.error_code, None);
                    let name = topic.name.as_ref().map_or("", |name| name.as_str());
                    (id, done.map(|()| by_metadata(name, topic)))
                });
                told.collect()
            },
        )
        .await
    }

    /// Deletes topics by their ids: one that has been made again under its name stays (Kafka:
    /// `Admin.deleteTopics` with `TopicCollection.ofTopicIds`, KIP-516, since Kafka 2.8).
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors), with the nil id for a value that cannot be meant;
    /// for each topic [`ClientError::Broker`], as with `UNKNOWN_TOPIC_ID`,
    /// `TOPIC_DELETION_DISABLED`, `TOPIC_AUTHORIZATION_FAILED`. Brokers before Kafka 2.8 are a
    /// [`ClientError::Call`].
    pub async fn delete_topics_by_id(
        &self,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Each<Uuid, ()>, ClientError> {
        let ask = Ask {
            what: "deleting topics by id".to_owned(),
            route: Route::Controller,
            versions: 6..=6,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            each_once(ids)?.into_keys(),
            |round, ids: &[Uuid]| {
                let topics = ids.iter().map(|id| {
                    DeleteTopicState::default()
                        .with_topic_id(*id)
                        .with_name(None)
                });
                DeleteTopicsRequest::default()
                    .with_timeout_ms(round.timeout_ms)
                    .with_topics(topics.collect())
            },
            |_, _, response| {
                let told = response.responses.into_iter().map(|topic| {
                    let id = topic.topic_id;
                    let what = || format!("deleting the topic with id {id}");
                    let done = api_error(what, topic.error_code, topic.error_message.as_deref());
                    (id, done)
                });
                told.collect()
            },
        )
        .await
    }
}

/// The ids. Brokers take the nil one for none.
fn each_once(ids: impl IntoIterator<Item = Uuid>) -> Result<BTreeMap<Uuid, ()>, ClientError> {
    let ids = named_once("ids", ids.into_iter().map(|id| (id, ())))?;
    match ids.contains_key(&Uuid::nil()) {
        true => Err(ClientError::config(
            "ids",
            Uuid::nil(),
            "no topic has this id: brokers that do not know ids tell it of all topics",
        )),
        false => Ok(ids),
    }
}
