//! `tidemark group describe`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidemark_client::admin::{
    Each, GroupDescription, GroupFilter, MemberDescription, OffsetSpec, OffsetsOf,
};
use tidemark_client::consumer::{CommittedOffset, IsolationLevel};
use tidemark_client::{Admin, TopicPartition};

use crate::failure::Failure;
use crate::output::{NOTHING, Report, Table, cell, count};

/// Options of `tidemark group describe`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The groups.
    #[arg(value_name = "GROUP", required_unless_present = "all")]
    groups: Vec<String>,
    /// All groups of consumers.
    #[arg(long, conflicts_with = "groups")]
    all: bool,
}

/// What a group has to do with one partition.
#[derive(Default)]
struct Place {
    committed: Option<CommittedOffset>,
    latest: Option<i64>,
    /// The member that reads it.
    member: Option<String>,
}

impl Place {
    fn lag(&self) -> Option<i64> {
        // The end may be older than the commit: it was asked for first.
        let behind = self.latest? - self.committed.as_ref()?.offset;
        Some(behind.max(0))
    }
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let names = match arguments.all {
        false => arguments.groups,
        true => {
            let listed = admin.list_groups(GroupFilter::new()).await?.all()?;
            let listed = listed.into_values().flatten();
            // The others have neither partitions nor offsets.
            let readers = listed.filter(|group| matches!(&*group.protocol_type, "consumer" | ""));
            readers.map(|group| group.id).collect()
        }
    };
    let described = admin.describe_groups(&names).await?;
    let there = described.iter().filter(|(_, outcome)| outcome.is_ok());
    let there = there.map(|(name, _)| (name, OffsetsOf::All));
    let mut report = Report::default();
    let mut offsets = admin.group_offsets(there).await?;
    let mut groups = Vec::new();
    for (name, outcome) in described {
        let committed = offsets
            .remove(&name)
            .unwrap_or_else(|| Ok(Each::from_iter([])));
        report.note(committed.as_ref().err());
        let places = match &outcome {
            Ok(group) => places(group, committed.ok(), &mut report),
            Err(_) => BTreeMap::new(),
        };
        groups.push((name, outcome, places));
    }
    let read = groups
        .iter()
        .flat_map(|(_, _, places)| places.keys().cloned());
    let latest = latest(admin, read.collect(), &mut report).await?;
    let mut told = Vec::new();
    for (name, outcome, mut places) in groups {
        for (partition, place) in &mut places {
            place.latest = latest.get(partition).copied();
        }
        let mut one = match &outcome {
            Ok(group) => describe(&mut report, group, &places),
            Err(_) => json!({ "group": name }),
        };
        one["error"] = report.note(outcome.as_ref().err());
        told.push(one);
    }
    report.json = json!({ "groups": told });
    Ok(report)
}

/// The partitions that a group has committed offsets of, or that its members read.
fn places(
    group: &GroupDescription,
    committed: Option<Each<TopicPartition, Option<CommittedOffset>>>,
    report: &mut Report,
) -> BTreeMap<TopicPartition, Place> {
    let mut places: BTreeMap<TopicPartition, Place> = BTreeMap::new();
    for (partition, outcome) in committed.into_iter().flatten() {
        report.note(outcome.as_ref().err());
        places.entry(partition).or_default().committed = outcome.ok().flatten();
    }
    for member in &group.members {
        for partition in &member.partitions {
            let place = places.entry(partition.clone()).or_default();
            place.member = Some(member.id.clone());
        }
    }
    places
}

/// Asks only leaders: a partition without one has no answer for as long as one waits.
async fn latest(
    admin: &Admin,
    partitions: BTreeSet<TopicPartition>,
    report: &mut Report,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let topics: BTreeSet<String> = partitions
        .iter()
        .map(|partition| partition.topic.to_string())
        .collect();
    let mut led = BTreeSet::new();
    for (name, outcome) in admin.describe_topics(topics).await? {
        report.note(outcome.as_ref().err());
        let described = outcome.into_iter().flat_map(|topic| topic.partitions);
        let with = described.filter(|partition| partition.leader.is_some());
        led.extend(with.map(|partition| TopicPartition::new(name.as_str(), partition.index)));
    }
    let wanted = partitions
        .into_iter()
        .filter(|partition| led.contains(partition))
        .map(|partition| (partition, OffsetSpec::Latest));
    let listed = admin
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await?;
    let mut found = BTreeMap::new();
    for (partition, outcome) in listed {
        report.note(outcome.as_ref().err());
        if let Some(offset) = outcome.ok().and_then(|listed| listed.offset) {
            found.insert(partition, offset);
        }
    }
    Ok(found)
}

fn describe(
    report: &mut Report,
    group: &GroupDescription,
    places: &BTreeMap<TopicPartition, Place>,
) -> Value {
    if !report.text.is_empty() {
        report.say("");
    }
    let lag: i64 = places.values().filter_map(Place::lag).sum();
    let members = count(group.members.len(), "member");
    let assignor = Some(&group.protocol).filter(|protocol| !protocol.is_empty());
    let by = assignor.map_or_else(String::new, |assignor| format!(", assigned by {assignor}"));
    report.say(format!(
        "{}: {}, {} protocol, {members}{by}, lag {lag}, coordinated by broker {}",
        group.id, group.state, group.kind, group.coordinator.id
    ));
    let mut table = Table::new(["TOPIC", "PARTITION", "COMMITTED", "LATEST", "LAG", "MEMBER"]);
    let mut offsets = Vec::new();
    for (partition, place) in places {
        let committed = place.committed.as_ref().map(|committed| committed.offset);
        table.row([
            partition.topic.to_string(),
            partition.partition.to_string(),
            cell(committed),
            cell(place.latest),
            cell(place.lag()),
            cell(place.member.as_ref()),
        ]);
        offsets.push(json!({
            "topic": *partition.topic,
            "partition": partition.partition,
            "committed": committed,
            "metadata": place.committed.as_ref().map(|committed| &committed.metadata),
            "latest": place.latest,
            "lag": place.lag(),
            "member": place.member,
        }));
    }
    if !table.is_empty() {
        report.text.push_str(&table.text());
    }
    if !group.members.is_empty() {
        report.text.push_str(&members_table(&group.members));
    }
    json!({
        "group": group.id,
        "state": group.state.name(),
        "type": group.kind.name(),
        "coordinator": group.coordinator.id,
        "protocol_type": group.protocol_type,
        "assignor": assignor,
        "lag": lag,
        "offsets": offsets,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
    })
}

fn members_table(members: &[MemberDescription]) -> String {
    let mut table = Table::new(["MEMBER", "CLIENT", "HOST", "INSTANCE", "PARTITIONS"]);
    for member in members {
        let mut read: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for partition in &member.partitions {
            let numbers = read.entry(&partition.topic).or_default();
            numbers.push(partition.partition.to_string());
        }
        let read = read
            .into_iter()
            .map(|(topic, numbers)| format!("{topic}:{}", numbers.join(",")));
        let read: Vec<String> = read.collect();
        let read = if read.is_empty() {
            NOTHING.to_owned()
        } else {
            read.join(" ")
        };
        table.row([
            member.id.clone(),
            member.client_id.clone(),
            member.host.clone(),
            cell(member.instance_id.as_ref()),
            read,
        ]);
    }
    table.text()
}

fn member(member: &MemberDescription) -> Value {
    let partitions = member
        .partitions
        .iter()
        .map(|partition| json!({ "topic": *partition.topic, "partition": partition.partition }));
    json!({
        "member": member.id,
        "instance": member.instance_id,
        "client": member.client_id,
        "host": member.host,
        "topics": member.topics,
        "partitions": partitions.collect::<Vec<_>>(),
    })
}
