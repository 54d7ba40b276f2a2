//! The stored parts of a topology, as a topic of the application's own has them: what an application
//! leaves behind in the cluster is compared with what it is at the next start.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};

use crate::error::StreamsError;
use crate::runtime::config::StreamsConfig;
use crate::runtime::restore::read_range;
use crate::runtime::shared::changelog_topic;
use crate::topology::Topology;

/// A topology's stored parts, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Described {
    /// By store: what keeps it.
    stores: BTreeMap<String, String>,
    /// The source topics of each subtopology that keeps state, with their numbers of partitions.
    sources: BTreeMap<String, u32>,
}

/// By store: at which offset of each partition of its changelog it begins. What lies in front of that
/// was written by another store of its name, by a topology that was there before.
pub(crate) type Begins = BTreeMap<String, Vec<i64>>;

/// What the topic has.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    described: Described,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    begins: Begins,
}

/// What the topic has last, and where that is.
pub(super) struct Before {
    stored: Stored,
    offset: i64,
}

/// The name of the topic that has the description.
pub(super) fn topic(application: &str) -> String {
    format!("{application}-topology")
}

/// The stored parts of a topology; `partitions` knows all topics by their names in the cluster.
pub(super) fn describe(
    topology: &Topology,
    partitions: &HashMap<String, u32>,
    application: &str,
) -> Described {
    let mut described = Described {
        stores: BTreeMap::new(),
        sources: BTreeMap::new(),
    };
    for part in topology.subtopologies.iter() {
        for store in &part.stores {
            let name = topology.stores[*store].name.clone();
            described
                .stores
                .insert(name, topology.store_in_words(*store));
        }
        if !part.stores.is_empty() {
            for topic in &part.sources {
                let name = topic.resolve(application).to_string();
                let count = partitions.get(&name).copied().unwrap_or(1);
                described.sources.insert(name, count);
            }
        }
    }
    described
}

impl Described {
    /// Whether another one has a store of that name that is the same.
    fn has_same(&self, name: &str, before: &Self) -> bool {
        self.stores.get(name) == before.stores.get(name)
    }

    /// What of another one is not in this one, a line each.
    fn differences(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, was) in &before.stores {
            match self.stores.get(name) {
                None => lines.push(format!("- store {name:?} ({was}) is gone")),
                Some(is) if is != was => {
                    lines.push(format!("- store {name:?} was {was}, and is {is}"));
                }
                Some(_) => {}
            }
        }
        for name in self.stores.keys() {
            if !before.stores.contains_key(name) {
                lines.push(format!(
                    "- store {name:?} is new, and would miss what was before"
                ));
            }
        }
        for name in self.sources.keys() {
            if !before.sources.contains_key(name) {
                lines.push(format!("- topic {name:?} is read now and was not"));
            }
        }
        for (name, was) in &before.sources {
            match self.sources.get(name) {
                None => lines.push(format!("- topic {name:?} is not read any more")),
                Some(is) if is != was => lines.push(format!(
                    "- topic {name:?} had {was} partitions, and has {is}: keys have moved"
                )),
                _ => {}
            }
        }
        lines
    }
}

/// Compares with what is in the cluster, and gives that.
pub(super) async fn compare(
    client: &Client,
    config: &StreamsConfig,
    described: &Described,
) -> Result<Option<Before>, StreamsError> {
    let before = first_of_last(read(client, config, None).await?);
    if let Some(before) = &before {
        let differences = described.differences(&before.stored.described);
        if !differences.is_empty() && !config.accept_changed_topology {
            return Err(StreamsError::ChangedTopology {
                application: config.application.clone(),
                differences,
            });
        }
    }
    Ok(before)
}

/// Of instances that were started together with one topology each may have written it: the first one
/// counts, whose tasks may have run since.
fn first_of_last(all: Vec<Before>) -> Option<Before> {
    let last = all.last()?.offset;
    let mut runs = all.chunk_by(|a, b| a.stored.described == b.stored.described);
    let run = runs.next_back()?;
    run.first().map(|first| Before {
        stored: first.stored.clone(),
        offset: last,
    })
}

/// Writes it to the topic, unless it is there, and tells where stores begin. A store that is new, or
/// has become another one, begins where its changelog ends now: it begins empty, whatever is there.
pub(super) async fn write(
    client: &Client,
    config: &StreamsConfig,
    described: &Described,
    before: Option<Before>,
    partitions: &HashMap<String, u32>,
) -> Result<Begins, StreamsError> {
    let mut begins = Begins::new();
    let mut behind = 0;
    if let Some(Before { stored, offset }) = before {
        if stored.described == *described {
            return Ok(stored.begins);
        }
        behind = offset + 1;
        let same = |name: &str| described.has_same(name, &stored.described);
        let kept = stored.begins.into_iter();
        begins.extend(kept.filter(|(name, _)| same(name)));
        let others = described.stores.keys().filter(|name| !same(name));
        for name in others {
            let topic = changelog_topic(&config.application, name);
            let count = partitions.get(&*topic).copied().unwrap_or(0);
            let ends = ends(client, &topic, count).await?;
            if ends.iter().any(|end| *end > 0) {
                begins.insert(name.clone(), ends);
            }
        }
    }
    let stored = Stored {
        described: described.clone(),
        begins,
    };
    put(client, config, &stored).await?;
    // Of instances that are started together the first one counts: its tasks may run already.
    let written = read(client, config, Some(behind)).await?;
    let mut own = written.into_iter().map(|written| written.stored);
    let first = own.find(|written| written.described == *described);
    let Some(first) = first else {
        return Ok(stored.begins);
    };
    if first.begins != stored.begins {
        // The last one is what the next start finds.
        put(client, config, &first).await?;
    }
    Ok(first.begins)
}

/// Writes to the topic.
async fn put(client: &Client, config: &StreamsConfig, stored: &Stored) -> Result<(), StreamsError> {
    let text = serde_json::to_vec(stored).unwrap_or_default();
    let producer = client.producer(ProducerConfig::new())?;
    let record = ProducerRecord::to(topic(&config.application))
        .key("topology")
        .value(text)
        .partition(0);
    producer.send(&record).await?.await?;
    Ok(())
}

/// What the topic has from an offset on.
async fn read(
    client: &Client,
    config: &StreamsConfig,
    from: Option<i64>,
) -> Result<Vec<Before>, StreamsError> {
    let partition = TopicPartition::new(topic(&config.application), 0);
    let mut found = Vec::new();
    read_range(
        client,
        &config.clock,
        &partition,
        (from, None),
        &mut |record| {
            if let Some(value) = record.value() {
                let stored = serde_json::from_slice(value);
                let stored = stored.map_err(|error| StreamsError::InternalTopic {
                    topic: partition.topic.to_string(),
                    reason: format!("what it says of the topology cannot be read: {error}"),
                })?;
                found.push(Before {
                    stored,
                    offset: record.offset,
                });
            }
            Ok(())
        },
    )
    .await?;
    Ok(found)
}

/// Where the partitions of a topic end.
async fn ends(client: &Client, topic: &str, count: u32) -> Result<Vec<i64>, StreamsError> {
    let partitions = (0..count as i32).map(|at| TopicPartition::new(topic, at));
    let partitions: Vec<_> = partitions.collect();
    let wanted = partitions.iter().cloned();
    let wanted: Vec<_> = wanted.map(|own| (own, OffsetSpec::Latest)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let admin = client.admin();
    let listed = admin.list_offsets(wanted, IsolationLevel::ReadUncommitted);
    let listed = listed.await?.all()?;
    let ends = partitions
        .iter()
        .map(|own| listed.get(own).and_then(|listed| listed.offset));
    let ends: Option<Vec<i64>> = ends.collect();
    ends.ok_or_else(|| {
        StreamsError::Internal(format!("the cluster did not say where {topic} ends"))
    })
}
