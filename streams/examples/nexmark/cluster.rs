//! Runs a query on a cluster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_client::admin::{Mode, NewTopic, OffsetSpec};
use tidemark_client::consumer::{ConsumerConfig, IsolationLevel, OffsetReset};
use tidemark_client::producer::{ProducerConfig, RecordParts};
use tidemark_client::{Client, ClientError, Clock, ErrorCode, TopicPartition};
use tidemark_streams::{Data, Streams};

use crate::common::{self, Common, Failure};
use crate::events::Event;
use crate::query::{AUCTIONS, BIDS, PEOPLE, Query};

/// How long the producer waits for the last records to be written.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster in which queries run.
pub(crate) struct Cluster {
    client: Client,
    partitions: i32,
}

/// What a query has come to.
pub(crate) struct Outcome {
    /// How many records were read and written.
    pub(crate) given: i64,
    pub(crate) written: usize,
    pub(crate) rows: Vec<String>,
    /// How long the query ran.
    pub(crate) millis: u64,
}

impl Cluster {
    pub(crate) fn new(bootstrap: &str, partitions: i32) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::connect(bootstrap)?,
            partitions,
        })
    }

    /// Makes the topics of events and fills them. If they are there, they are taken as they are.
    pub(crate) async fn fill(&self, events: impl Iterator<Item = Event>) -> Result<(), Failure> {
        if self.is_there(BIDS).await? {
            return Ok(());
        }
        self.make(&[PEOPLE, AUCTIONS, BIDS]).await?;
        let producer = self.client.producer(ProducerConfig::new())?;
        let topics = [PEOPLE, AUCTIONS, BIDS].map(Arc::<str>::from);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for event in events {
            key.clear();
            value.clear();
            let time = event.date_time();
            let (topic, key, value) = match &event {
                Event::Person(person) => {
                    (0, person.id.encode(&mut key)?, person.encode(&mut value)?)
                }
                Event::Auction(auction) => {
                    (1, auction.id.encode(&mut key)?, auction.encode(&mut value)?)
                }
                Event::Bid(bid) => (2, bid.auction.encode(&mut key)?, bid.encode(&mut value)?),
            };
            let parts = RecordParts {
                key,
                value,
                timestamp: Some(time),
                ..RecordParts::default()
            };
            producer.send_counted(&topics[topic], &parts).await?;
        }
        let counts = producer.close(PATIENCE).await;
        if counts.failed > 0 {
            let why = producer.last_error().map(|error| error.to_string());
            let why = why.unwrap_or_default();
            return Err(format!("{} events were not written: {why}", counts.failed).into());
        }
        Ok(())
    }

    /// Runs a query until it has caught up, or until Ctrl-C, and reads what it has written. A run
    /// begins with the first event, and leaves its results behind and nothing else, unless the
    /// application has a name to go on by.
    pub(crate) async fn run(
        &self,
        query: &Query,
        common: &Common,
        place: &common::Cluster,
    ) -> Result<Outcome, Failure> {
        let output = query.output();
        let before = if self.is_there(&output).await? {
            self.ends(&output).await?
        } else {
            self.make(&[&output]).await?;
            Vec::new()
        };
        let mut given = 0;
        for topic in [PEOPLE, AUCTIONS, BIDS] {
            given += self
                .ends(topic)
                .await?
                .iter()
                .map(|(_, end)| end)
                .sum::<i64>();
        }
        let clock = Clock::system();
        let topology = (query.topology)()?;
        let application = format!("nexmark-{}-{:016x}", query.name, clock.random());
        let config = place.config(common, &application);
        let begun = clock.now().millis;
        let streams = Streams::start(&topology, config).await?;
        common::run(streams, common).await?;
        let millis = clock.now().millis - begun;
        if !common.is_named() {
            self.forget(&application).await?;
        }
        let records = self.read(&output, &before).await?;
        let rows = records
            .iter()
            .map(|(key, value)| (key.as_deref(), value.as_deref()));
        Ok(Outcome {
            given,
            written: records.len(),
            rows: query.rows.of(rows),
            millis,
        })
    }

    async fn make(&self, topics: &[&str]) -> Result<(), Failure> {
        let topics = topics.iter();
        // Event times are of years ago: deletion by time would take the records away at once.
        let topics = topics.map(|name| {
            let topic = NewTopic::new(*name).config("retention.ms", "-1");
            topic.partitions(self.partitions)
        });
        let admin = self.client.admin();
        admin.create_topics(topics, Mode::Apply).await?.all()?;
        Ok(())
    }

    async fn is_there(&self, name: &str) -> Result<bool, Failure> {
        let there = self.client.admin().list_topics().await?;
        Ok(there.iter().any(|topic| topic.name == name))
    }

    /// Deletes an application's group and its own topics.
    async fn forget(&self, application: &str) -> Result<(), Failure> {
        let admin = self.client.admin();
        let topics = admin.list_topics().await?.into_iter();
        let prefix = format!("{application}-");
        let names = topics.map(|topic| topic.name);
        let own = names.filter(|name| name.starts_with(&prefix));
        admin.delete_topics(own).await?.all()?;
        for (_, outcome) in admin.delete_groups([application]).await? {
            match outcome {
                // It was ended before it had committed anything.
                Err(ClientError::Broker {
                    code: ErrorCode::GroupIdNotFound,
                    ..
                })
                | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The ends of a topic's partitions.
    async fn ends(&self, topic: &str) -> Result<Vec<(TopicPartition, i64)>, Failure> {
        let admin = self.client.admin();
        let described = admin.describe_topics([topic]).await?.all()?;
        let count = described.values().map(|topic| topic.partitions.len());
        let partitions = (0..count.sum::<usize>())
            .map(|at| (TopicPartition::new(topic, at as i32), OffsetSpec::Latest));
        let isolation = IsolationLevel::ReadUncommitted;
        let ends = admin.list_offsets(partitions, isolation).await?.all()?;
        let ends = ends.into_iter();
        Ok(ends
            .map(|(partition, end)| (partition, end.offset.unwrap_or(0)))
            .collect())
    }

    /// Keys and values of a topic, behind those ends that it had once.
    async fn read(
        &self,
        topic: &str,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<(Option<Bytes>, Option<Bytes>)>, Failure> {
        let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
        let mut consumer = self.client.consumer(config)?;
        let mut ends = self.ends(topic).await?;
        ends.retain(|end| end.1 > 0 && !before.contains(end));
        consumer.assign(ends.iter().map(|(partition, _)| partition.clone()))?;
        for (partition, end) in before {
            if ends.iter().any(|(changed, _)| changed == partition) {
                consumer.seek(partition, *end)?;
            }
        }
        let mut records = Vec::new();
        while !ends.is_empty() {
            let record = consumer.recv().await?;
            ends.retain(|(partition, end)| {
                partition.partition != record.partition || record.offset + 1 < *end
            });
            records.push((record.key, record.value));
        }
        consumer.close().await?;
        Ok(records)
    }
}
