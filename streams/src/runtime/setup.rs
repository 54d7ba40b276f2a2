//! What is made sure of before an application starts: its topics, and that the state in the cluster
//! is that of this topology.

use std::collections::HashMap;

use tidemark_client::admin::MemberDescription;
use tidemark_client::{Admin, Client};

use super::assignment::told_by;
use super::config::StreamsConfig;
use super::shared::changelog_topic;
use crate::error::StreamsError;
use crate::topology::{Topic, Topology, fnv};

mod description;
mod topics;

pub(crate) use description::Begins;
pub(in crate::runtime) use topics::counts;
use topics::{Kept, OwnTopic};

/// What the rest needs to know.
pub(crate) struct Setup {
    /// How many partitions each topic has, by its name in the cluster.
    pub(crate) partitions: HashMap<String, u32>,
    pub(crate) fingerprint: u64,
    /// What the changelogs are that are there now: others under their names have other state.
    pub(crate) state: u64,
    /// Where changelogs begin that other stores have written before.
    pub(crate) begins: Begins,
    /// How long nothing that is needed goes from the changelogs, in milliseconds, with a day or a
    /// third to spare for clocks that differ and for the reading itself.
    pub(crate) certain: i64,
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
    let mut external = topology.external_sources();
    external.extend(topology.external_outputs());
    let mut partitions = topics::known(&admin, &config.clock, &external).await?;
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
    let description = description::topic(application);
    wanted.push(OwnTopic::new(description, 1, Kept::ByKey));
    topics::make(&admin, config, &wanted).await?;
    let clock = &config.clock;
    let state = topics::settled(clock, async || topics::ids(&admin, &changelogs).await).await?;
    let kept = topics::settled(clock, async || topics::kept(&admin, &changelogs).await).await?;
    let certain = topics::certain_of(kept);
    partitions.extend(
        wanted
            .into_iter()
            .map(|topic| (topic.name, topic.partitions)),
    );
    let described = description::describe(topology, &partitions, application);
    let before = description::compare(client, config, &described).await?;
    let text = format!("{described:?}\n{}", topology.describe());
    let fingerprint = fnv(text.as_bytes());
    // As long as others run what was there, it is what counts.
    check_members(&admin, config, fingerprint).await?;
    let begins = description::write(client, config, &described, before, &partitions).await?;
    Ok(Setup {
        partitions,
        fingerprint,
        begins,
        state: fnv(state.as_bytes()),
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
    let runs_another = |member: &MemberDescription| {
        let told = told_by(&member.metadata);
        let same = told.is_some_and(|told| told.fingerprint == fingerprint);
        !member.metadata.is_empty() && !same
    };
    let stranger = described.members.into_iter().find(runs_another);
    match stranger {
        None => Ok(()),
        Some(member) => Err(StreamsError::TwoApplications {
            application: config.application.clone(),
            member: member.id,
        }),
    }
}
