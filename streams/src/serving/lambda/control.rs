//! The control topic of a view: where snapshots may end.
//!
//! A compacted topic of one partition, `VIEW-HASH-cuts`, where the hash stands for the view's fingerprint and the
//! ids of its topics. A record for each source partition: its key is
//! `TOPIC-PARTITION`, its value `{"topic", "partition", "cuts", "origin"}`. Cuts are announced when they have
//! been saved: a speed layer that crashes still has them afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidemark_client::admin::{Mode, NewTopic};
use tidemark_client::producer::{Producer, ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientError, Clock, ErrorCode, TopicPartition};

use super::sources::{application, sources};
use crate::data::Data;
use crate::error::StreamsError;
use crate::runtime::read_range;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::merged::{Announced, Site};
use crate::serving::snapshot::Part;
use crate::serving::view::View;

/// After so long a cut that could not be announced is announced again.
const AGAIN: Duration = Duration::from_secs(1);

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cut {
    topic: String,
    partition: i32,
    /// In order; a snapshot may end at each of them.
    cuts: Vec<i64>,
    /// Where the speed layer began.
    origin: i64,
}

/// Where snapshots may end, by partition and in order.
pub(crate) type AllCuts = BTreeMap<(String, i32), Vec<i64>>;

/// What a speed layer has announced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announcements {
    /// Where snapshots may end.
    pub(crate) cuts: AllCuts,
    /// Where it began: what the log has lost since is in its state, and in no snapshot before the first one.
    pub(crate) origins: Coverage,
    /// Records of the topic behind this one are new.
    next: Option<i64>,
}

/// Writes and reads the control topic.
pub(super) struct Control {
    client: Arc<Client>,
    clock: Clock,
    topic: String,
    written: Mutex<BTreeMap<Part, Vec<i64>>>,
    /// Why cuts cannot be announced, if they cannot: then no snapshot can be made.
    trouble: Mutex<Option<String>>,
    /// What has been read of it.
    known: tokio::sync::Mutex<Announcements>,
}

fn topic(application: &str) -> String {
    format!("{application}-cuts")
}

/// The newest cuts that a view's speed layer has announced; `None` if it has no speed layer.
///
/// # Errors
///
/// If the cluster cannot be asked.
pub async fn announced_cuts<K: Data, A: Aggregate>(
    client: &Client,
    clock: &Clock,
    view: &View<K, A>,
) -> Result<Option<Coverage>, StreamsError> {
    let announced = announcements(client, clock, view).await?;
    Ok(announced.map(|announced| announced.newest()))
}

/// All that it has announced.
pub(crate) async fn announcements<K: Data, A: Aggregate>(
    client: &Client,
    clock: &Clock,
    view: &View<K, A>,
) -> Result<Option<Announcements>, StreamsError> {
    let topic = topic(&application(view, &sources(client, view).await?));
    let there = client.admin().describe_topics([topic.clone()]).await?;
    match there.into_iter().next() {
        Some((_, Ok(_))) => {
            let mut announced = Announcements::default();
            announced.read_on(client, clock, &topic).await?;
            Ok(Some(announced))
        }
        Some((_, Err(error))) if is_unknown(&error) => Ok(None),
        Some((_, Err(error))) => Err(error.into()),
        None => Ok(None),
    }
}

fn is_unknown(error: &ClientError) -> bool {
    let unknown = ErrorCode::UnknownTopicOrPartition;
    matches!(error, ClientError::UnknownTopic { .. })
        || matches!(error, ClientError::Broker { code, .. } if *code == unknown)
}

impl Announcements {
    /// The newest cuts.
    pub(crate) fn newest(&self) -> Coverage {
        let mut coverage = Coverage::new();
        for ((topic, partition), cuts) in &self.cuts {
            coverage.set(topic, *partition, cuts.last().copied().unwrap_or(0));
        }
        coverage
    }

    /// Reads what is new in the topic.
    async fn read_on(
        &mut self,
        client: &Client,
        clock: &Clock,
        topic: &str,
    ) -> Result<(), StreamsError> {
        let partition = TopicPartition::new(topic, 0);
        let from = self.next;
        read_range(client, clock, &partition, (from, None), &mut |record| {
            let read = record.value().map(serde_json::from_slice::<Cut>);
            match read {
                Some(Ok(own)) => {
                    self.origins.set(&own.topic, own.partition, own.origin);
                    self.cuts.insert((own.topic, own.partition), own.cuts);
                }
                None => {}
                Some(Err(error)) => {
                    return Err(StreamsError::Decode {
                        topic: topic.to_owned(),
                        partition: 0,
                        offset: record.offset,
                        reason: error.to_string(),
                    });
                }
            }
            self.next = Some(record.offset + 1);
            Ok(())
        })
        .await
    }
}

impl Control {
    /// Makes the topic if it is not there.
    pub(super) async fn open(
        client: Arc<Client>,
        clock: Clock,
        application: &str,
        replication_factor: i16,
    ) -> Result<Self, StreamsError> {
        let topic = topic(application);
        let new = NewTopic::new(&topic)
            .partitions(1)
            .replication_factor(replication_factor)
            .config("cleanup.policy", "compact")
            // Only the newest record of each partition counts, and all of it is read at a start.
            .config("segment.bytes", "1048576")
            .config("segment.ms", "600000")
            .config("min.cleanable.dirty.ratio", "0.01");
        for (_, outcome) in client.admin().create_topics([new], Mode::Apply).await? {
            match outcome {
                Ok(_)
                | Err(ClientError::Broker {
                    code: ErrorCode::TopicAlreadyExists,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            client,
            clock,
            topic,
            written: Mutex::default(),
            trouble: Mutex::default(),
            known: tokio::sync::Mutex::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Why cuts cannot be announced, if they cannot.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    fn tell(&self, error: &dyn fmt::Display) {
        let topic = &self.topic;
        let trouble =
            format!("cuts cannot be announced in {topic}, and snapshots end at cuts: {error}");
        let mut told = self.trouble.lock();
        if told.as_ref() != Some(&trouble) {
            tracing::warn!(trouble, "a cut is not announced yet");
            *told = Some(trouble);
        }
    }

    /// All that has been announced.
    pub(super) async fn announced(&self) -> Result<Announcements, StreamsError> {
        let mut known = self.known.lock().await;
        known
            .read_on(&self.client, &self.clock, &self.topic)
            .await?;
        Ok(known.clone())
    }

    /// Announces what has been saved, again and again.
    pub(super) async fn announce<K: Data, A: Aggregate>(&self, site: &Site<K, A>) {
        let producer = match self.client.producer(ProducerConfig::new()) {
            Ok(producer) => producer,
            Err(error) => {
                self.tell(&error);
                return;
            }
        };
        loop {
            site.other_cuts.notified().await;
            let mut all = true;
            for (part, announced) in site.announced() {
                if self.written.lock().get(&part) == Some(&announced.cuts) {
                    continue;
                }
                match self.write(&producer, site, part, &announced).await {
                    Ok(()) => {
                        self.written.lock().insert(part, announced.cuts);
                    }
                    Err(error) => {
                        all = false;
                        self.tell(&error);
                        self.clock.sleep(AGAIN).await;
                        site.other_cuts.notify_one();
                    }
                }
            }
            if all {
                *self.trouble.lock() = None;
            }
        }
    }

    async fn write<K: Data, A: Aggregate>(
        &self,
        producer: &Producer,
        site: &Site<K, A>,
        (number, partition): Part,
        announced: &Announced,
    ) -> Result<(), String> {
        let topic = site.view.topics().nth(number).unwrap_or_default();
        let cut = Cut {
            topic: topic.to_owned(),
            partition,
            cuts: announced.cuts.clone(),
            origin: announced.origin,
        };
        let value = serde_json::to_vec(&cut).map_err(|error| error.to_string())?;
        let record = ProducerRecord::to(self.topic.clone())
            .key(Bytes::from(format!("{topic}-{partition}")))
            .value(Bytes::from(value));
        let delivery = producer.send(&record).await;
        let delivery = delivery.map_err(|error| error.to_string())?;
        delivery.await.map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Speed layers of before wrote how far they had read, too; what they wrote is still read.
    #[test]
    fn what_a_cut_has_beside_is_left_alone() {
        let json = r#"{"topic":"t","partition":3,"cuts":[0,7],"origin":0,"applied":9}"#;
        let cut: Cut = serde_json::from_str(json).unwrap();
        assert_eq!(
            (&*cut.topic, cut.partition, cut.cuts, cut.origin),
            ("t", 3, vec![0, 7], 0)
        );
    }
}
