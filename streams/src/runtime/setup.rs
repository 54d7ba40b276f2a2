//! What is made sure of before an application starts: its topics, and that the state in the cluster
//! is that of this topology.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_client::{Admin, Client, TopicPartition};

use super::assignment::runs;
use super::config::StreamsConfig;
use super::restore::read_range;
use super::shared::changelog_topic;
use crate::error::StreamsError;
use crate::topology::{NodeKind, Topic, Topology, fnv};

mod topics;

pub(in crate::runtime) use topics::counts;
use topics::{Kept, OwnTopic};

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
    let mut wanted: Vec<OwnTopic> = Vec::new();
    for (topic, count) in &internal {
        let name = topic.resolve(application).to_string();
        wanted.push(OwnTopic::new(name, *count, Kept::UntilRead));
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
                let name = changelog_topic(application, &spec.name).to_string();
                changelogs.push(name.clone());
                wanted.push(OwnTopic::new(name, tasks, Kept::Changes(changelog)));
            }
        }
    }
    let description = description_topic(application);
    wanted.push(OwnTopic::new(description, 1, Kept::ByKey));
    topics::make(&admin, config, &wanted).await?;
    let state = topics::ids(&admin, &changelogs).await?;
    let certain = topics::certain_of(topics::kept(&admin, &changelogs).await?);
    partitions.extend(
        wanted
            .into_iter()
            .map(|topic| (topic.name, topic.partitions)),
    );
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
