//! What is made sure of before an application starts: its topics, and that the state in the cluster
//! is that of this topology.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_client::admin::{ConfigQuery, ConfigResource, Mode, NewTopic};
use tidemark_client::{Admin, Client, ClientError, ErrorCode, TopicPartition};

use super::assignment::runs;
use super::config::StreamsConfig;
use super::restore::read_range;
use super::shared::changelog_topic;
use crate::error::StreamsError;
use crate::topology::{Changelog, NodeKind, Topic, Topology, fnv};

/// What the rest needs to know.
pub(crate) struct Setup {
    /// How many partitions each topic has, by its name in the cluster.
    pub(crate) partitions: HashMap<String, u32>,
    pub(crate) fingerprint: u64,
    /// What the changelogs are that are there now: others under their names have other state.
    pub(crate) state: u64,
    /// How long nothing that is needed goes from the changelogs, in milliseconds, with a day or a
    /// third to spare for clocks that differ and for the reading itself.
    pub(crate) certain: i64,
}

/// How long changelogs keep what compaction would take: values that newer ones hide, which may not
/// have been committed before a crash, and the news that a key has gone, which those have to be told
/// whose snapshot still has it.
const KEPT: i64 = 3 * DAY;
const DAY: i64 = 24 * 60 * 60 * 1000;
const LAG: &str = "min.compaction.lag.ms";
const TOMBSTONES: &str = "delete.retention.ms";

/// For how much of the time for which something is kept it is certain that it is still there.
fn certain_of(kept: i64) -> i64 {
    kept - (kept / 3).min(DAY)
}

/// A topology's stored parts, in words: what an application leaves behind in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    /// By store: what keeps it.
    stores: BTreeMap<String, String>,
    /// The source topics of each subtopology that keeps state, with their numbers of partitions.
    sources: BTreeMap<String, u32>,
}

/// The name of the topic that has the description.
fn description_topic(application: &str) -> String {
    format!("{application}-topology")
}

pub(crate) async fn prepare(
    client: &Client,
    topology: &Topology,
    config: &StreamsConfig,
) -> Result<Setup, StreamsError> {
    let admin = client.admin();
    let application = &config.application;
    for name in topology.names_by_place() {
        tracing::warn!(
            %application, %name,
            "this name has a number that tells operators apart which do the same with the same \
             stream: before you add or reorder such operators, give it a name of its own with \
             `named` or `materialized`, or state may go to another of them"
        );
    }
    let external: Vec<Arc<str>> = topology.external_sources();
    let mut partitions = counts(&admin, external.iter().map(|name| name.to_string())).await?;
    let sinks = topology.external_sinks();
    partitions.extend(counts(&admin, sinks.iter().map(|name| name.to_string())).await?);
    topology.check_partitions(&|name| partitions.get(name).copied())?;
    let count = |name: &str| partitions.get(name).copied().unwrap_or(1);
    let internal = topology.internal_partitions(&count);
    let mut wanted = BTreeMap::new();
    for (topic, count) in &internal {
        let topic = NewTopic::new(&*topic.resolve(application))
            .partitions(*count as i32)
            .replication_factor(config.replication_factor)
            // Records are deleted when they have been processed.
            .config("cleanup.policy", "delete")
            .config("retention.ms", "-1")
            .config("message.timestamp.type", "CreateTime");
        wanted.insert(topic.name().to_owned(), (topic, *count));
    }
    let mut changelogs = Vec::new();
    for part in topology.subtopologies.iter() {
        let tasks = part.sources.iter().map(|topic| match topic {
            Topic::External(name) => partitions.get(&**name).copied().unwrap_or(1),
            Topic::Internal(_) => internal.get(topic).copied().unwrap_or(1),
        });
        let tasks = tasks.max().unwrap_or(1);
        for store in &part.stores {
            let spec = &topology.stores[*store];
            if let Some(changelog) = spec.changelog {
                let name = changelog_topic(application, &spec.name);
                let mut topic = NewTopic::new(&*name)
                    .partitions(tasks as i32)
                    .replication_factor(config.replication_factor)
                    .config(LAG, KEPT.to_string())
                    .config(TOMBSTONES, KEPT.to_string())
                    .config("message.timestamp.type", "CreateTime");
                topic = match changelog {
                    // Not by the clock: event time may stand still while the clock goes on, and what
                    // is open then is still wanted. What is spent is deleted by its offset.
                    Changelog::Windows => topic
                        .config("cleanup.policy", "compact,delete")
                        .config("retention.ms", "-1"),
                    Changelog::Keys => topic.config("cleanup.policy", "compact"),
                };
                changelogs.push(name.to_string());
                wanted.insert(name.to_string(), (topic, tasks));
            }
        }
    }
    let description = NewTopic::new(description_topic(application))
        .partitions(1)
        .replication_factor(config.replication_factor)
        .config("cleanup.policy", "compact");
    wanted.insert(description_topic(application), (description, 1));
    make_topics(&admin, &wanted).await?;
    let state = ids(&admin, &changelogs).await?;
    let certain = certain_of(kept(&admin, &changelogs).await?);
    partitions.extend(wanted.into_iter().map(|(name, (_, count))| (name, count)));
    let described = describe(topology, &partitions, application);
    check_description(client, config, &described).await?;
    let text = format!("{described:?}\n{}", topology.describe());
    let fingerprint = fnv(text.as_bytes());
    check_members(&admin, config, fingerprint).await?;
    Ok(Setup {
        partitions,
        fingerprint,
        state: fnv(format!("{fingerprint} {state}").as_bytes()),
        certain,
    })
}

/// Whether the members that the group has run this topology, too.
async fn check_members(
    admin: &Admin,
    config: &StreamsConfig,
    fingerprint: u64,
) -> Result<(), StreamsError> {
    let group = config.application.as_str();
    let mut described = admin.describe_groups([group]).await?;
    let Some(Ok(described)) = described.remove(group) else {
        // No such group yet.
        return Ok(());
    };
    let stranger = described
        .members
        .into_iter()
        .find(|member| !member.metadata.is_empty() && !runs(&member.metadata, fingerprint));
    match stranger {
        None => Ok(()),
        Some(member) => Err(StreamsError::TwoApplications {
            application: config.application.clone(),
            member: member.id,
        }),
    }
}

/// The numbers of partitions of the topics that there are.
async fn counts(
    admin: &Admin,
    names: impl Iterator<Item = String>,
) -> Result<HashMap<String, u32>, StreamsError> {
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let mut found = HashMap::new();
    for (name, outcome) in admin.describe_topics(names).await? {
        match outcome {
            Ok(topic) => {
                found.insert(name, topic.partitions.len() as u32);
            }
            Err(ClientError::UnknownTopic { .. }) => {}
            Err(ClientError::Broker {
                code: ErrorCode::UnknownTopicOrPartition,
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// The topics' ids, in words.
async fn ids(admin: &Admin, topics: &[String]) -> Result<String, StreamsError> {
    let mut ids = String::new();
    if topics.is_empty() {
        return Ok(ids);
    }
    let described = admin.describe_topics(topics.iter().cloned()).await?.all()?;
    for topic in topics {
        let id = described.get(topic).map(|topic| topic.id);
        ids.push_str(&format!("{topic}={id:?} "));
    }
    Ok(ids)
}

/// For how many milliseconds at least the changelogs keep what compaction would take, as they are set
/// up now: not as this application would make them.
async fn kept(admin: &Admin, topics: &[String]) -> Result<i64, StreamsError> {
    let mut kept = KEPT;
    if topics.is_empty() {
        return Ok(kept);
    }
    let resources = topics.iter().map(|topic| ConfigResource::topic(&**topic));
    let query = ConfigQuery::new().names([LAG, TOMBSTONES]);
    let described = admin.describe_configs(resources, query).await?.all()?;
    for (topic, entries) in described {
        for name in [LAG, TOMBSTONES] {
            let entry = entries.iter().find(|entry| entry.name == name);
            let value = entry.and_then(|entry| entry.value.as_ref()?.parse().ok());
            // Who may not see it does not know it.
            let value: i64 = value.unwrap_or(0);
            if value < KEPT {
                tracing::warn!(
                    %topic,
                    "{name} is {value}, less than the {KEPT} that it should be: after a longer stop                      snapshots are not used, and a crash may need a reset"
                );
            }
            kept = kept.min(value);
        }
    }
    Ok(kept)
}

/// Makes the topics that are not there, and looks at those that are.
async fn make_topics(
    admin: &Admin,
    wanted: &BTreeMap<String, (NewTopic, u32)>,
) -> Result<(), StreamsError> {
    let mut there = counts(admin, wanted.keys().cloned()).await?;
    let missing = wanted.iter().filter(|(name, _)| !there.contains_key(*name));
    let missing: Vec<NewTopic> = missing.map(|(_, (topic, _))| topic.clone()).collect();
    if !missing.is_empty() {
        for (name, outcome) in admin.create_topics(missing, Mode::Apply).await? {
            match outcome {
                Ok(_) => {}
                // Another instance was quicker.
                Err(ClientError::Broker {
                    code: ErrorCode::TopicAlreadyExists,
                    ..
                }) => {}
                Err(error) => {
                    return Err(StreamsError::InternalTopic {
                        topic: name,
                        reason: error.to_string(),
                    });
                }
            }
        }
        there = counts(admin, wanted.keys().cloned()).await?;
    }
    for (name, (_, count)) in wanted {
        let found = there.get(name).copied();
        if found.is_some_and(|found| found != *count) {
            return Err(StreamsError::InternalTopic {
                topic: name.clone(),
                reason: format!(
                    "it has {} partitions where {count} are needed: a source topic has been given \
                     more partitions since; state by key cannot follow, so reset the application \
                     under another id",
                    found.unwrap_or(0)
                ),
            });
        }
    }
    Ok(())
}

fn describe(
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
            let keepers = part
                .nodes
                .iter()
                .filter(|at| topology.nodes[**at].stores.contains(store));
            let words: Vec<String> = keepers
                .map(|at| match &topology.nodes[*at].kind {
                    NodeKind::WindowAggregate { windows } => format!("windows: {windows}"),
                    kind => format!("{kind:?}"),
                })
                .collect();
            let spec = &topology.stores[*store];
            let mut words = words.join(" and ");
            if let Some(reads) = &spec.reads {
                let (key, value) = (reads.key_type(), reads.value_type());
                words = format!("{words} of {key} and {value}");
            }
            described.stores.insert(spec.name.clone(), words);
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

/// Compares with what is in the cluster, and writes it there if it is new.
async fn check_description(
    client: &Client,
    config: &StreamsConfig,
    described: &Described,
) -> Result<(), StreamsError> {
    let partition = TopicPartition::new(description_topic(&config.application), 0);
    let mut before: Option<Described> = None;
    read_range(client, &partition, None, None, &mut |_, value, _| {
        if let Some(value) = value {
            let read = serde_json::from_slice(value);
            before = Some(read.map_err(|error| StreamsError::InternalTopic {
                topic: partition.topic.to_string(),
                reason: format!("what it says of the topology cannot be read: {error}"),
            })?);
        }
        Ok(())
    })
    .await?;
    if before.as_ref() == Some(described) {
        return Ok(());
    }
    if let Some(before) = before {
        let differences = described.differences(&before);
        if !differences.is_empty() && !config.accept_changed_topology {
            return Err(StreamsError::ChangedTopology {
                application: config.application.clone(),
                differences,
            });
        }
    }
    let text = serde_json::to_vec(described).unwrap_or_default();
    let producer = client.producer(tidemark_client::producer::ProducerConfig::new())?;
    let record = tidemark_client::producer::ProducerRecord::to(Arc::clone(&partition.topic))
        .key("topology")
        .value(text)
        .partition(0);
    producer.send(&record).await?.await?;
    Ok(())
}
