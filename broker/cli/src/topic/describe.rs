//! `tidemark topic describe`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_client::admin::{
    ConfigEntry, ConfigQuery, ConfigResource, Each, ListedOffset, OffsetSpec, PartitionDescription,
    TopicDescription,
};
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Admin, ClientError, TopicPartition};

use crate::failure::Failure;
use crate::output::{Report, Table, cell, count, list, topic_id};

/// Options of `tidemark topic describe`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The topics; without any all but the cluster's own.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
}

/// Where partitions begin and end, as far as that is known.
struct Offsets {
    earliest: BTreeMap<TopicPartition, i64>,
    latest: BTreeMap<TopicPartition, i64>,
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let names = match arguments.topics {
        names if !names.is_empty() => names,
        _ => {
            let topics = admin.list_topics().await?.into_iter();
            let own = topics.filter(|topic| !topic.internal);
            own.map(|topic| topic.name).collect()
        }
    };
    let described = admin.describe_topics(&names).await?;
    let mut report = Report::default();
    let offsets = offsets(admin, &described, &mut report).await?;
    let resources = described.iter().filter(|(_, outcome)| outcome.is_ok());
    let resources = resources.map(|(name, _)| ConfigResource::topic(name));
    let mut configs = admin
        .describe_configs(resources, ConfigQuery::new())
        .await?;
    let mut told = Vec::new();
    for (name, outcome) in described {
        let mut one = match &outcome {
            Ok(topic) => {
                let entries = configs.remove(&ConfigResource::topic(&name));
                let entries = entries.unwrap_or_else(|| Ok(Vec::new()));
                // Configs may be for others than topics to see: then they alone are missing.
                report.note(entries.as_ref().err());
                let mut entries = entries.unwrap_or_default();
                entries.retain(|entry| !entry.is_default());
                describe(&mut report, topic, &entries, &offsets)
            }
            Err(_) => json!({ "topic": name }),
        };
        one["error"] = report.note(outcome.as_ref().err());
        told.push(one);
    }
    report.json = json!({ "topics": told });
    Ok(report)
}

/// Asks only leaders: a partition without one has no answer for as long as one waits.
async fn offsets(
    admin: &Admin,
    described: &Each<String, TopicDescription>,
    report: &mut Report,
) -> Result<Offsets, ClientError> {
    let topics = described
        .iter()
        .filter_map(|(_, outcome)| outcome.as_ref().ok());
    let partitions: Vec<TopicPartition> = topics
        .flat_map(|topic| {
            let led = topic
                .partitions
                .iter()
                .filter(|partition| partition.leader.is_some());
            led.map(|partition| TopicPartition::new(&*topic.name, partition.index))
        })
        .collect();
    let mut ask = async |spec| {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
        let listed = admin
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await?;
        Ok::<_, ClientError>(known(listed, report))
    };
    Ok(Offsets {
        earliest: ask(OffsetSpec::Earliest).await?,
        latest: ask(OffsetSpec::Latest).await?,
    })
}

fn known(
    listed: Each<TopicPartition, ListedOffset>,
    report: &mut Report,
) -> BTreeMap<TopicPartition, i64> {
    let mut found = BTreeMap::new();
    for (partition, outcome) in listed {
        report.note(outcome.as_ref().err());
        if let Some(offset) = outcome.ok().and_then(|listed| listed.offset) {
            found.insert(partition, offset);
        }
    }
    found
}

fn describe(
    report: &mut Report,
    topic: &TopicDescription,
    configs: &[ConfigEntry],
    offsets: &Offsets,
) -> Value {
    if !report.text.is_empty() {
        report.say("");
    }
    let partitions = count(topic.partitions.len(), "partition");
    let internal = if topic.internal { ", internal" } else { "" };
    let id = topic_id(&topic.id).map_or_else(String::new, |id| format!(", id {id}"));
    report.say(format!("{}: {partitions}{internal}{id}", topic.name));
    let mut table = Table::new([
        "PARTITION",
        "LEADER",
        "REPLICAS",
        "ISR",
        "EARLIEST",
        "LATEST",
    ]);
    let mut told = Vec::new();
    for partition in &topic.partitions {
        let key = TopicPartition::new(&*topic.name, partition.index);
        let earliest = offsets.earliest.get(&key).copied();
        let latest = offsets.latest.get(&key).copied();
        table.row([
            partition.index.to_string(),
            cell(partition.leader),
            list(&partition.replicas),
            list(&partition.isr),
            cell(earliest),
            cell(latest),
        ]);
        told.push(described(partition, earliest, latest));
    }
    report.text.push_str(&table.text());
    if !configs.is_empty() {
        let mut table = Table::new(["CONFIG", "VALUE", "SOURCE"]);
        for entry in configs {
            let source = entry.source.name().to_owned();
            table.row([entry.name.clone(), cell(entry.value.as_ref()), source]);
        }
        report.text.push_str(&table.text());
    }
    let configs = configs.iter().map(
        |entry| json!({ "name": entry.name, "value": entry.value, "source": entry.source.name() }),
    );
    json!({
        "topic": topic.name,
        "id": topic_id(&topic.id),
        "internal": topic.internal,
        "partitions": told,
        "configs": configs.collect::<Vec<_>>(),
    })
}

fn described(
    partition: &PartitionDescription,
    earliest: Option<i64>,
    latest: Option<i64>,
) -> Value {
    json!({
        "partition": partition.index,
        "leader": partition.leader,
        "leader_epoch": partition.leader_epoch,
        "replicas": partition.replicas,
        "isr": partition.isr,
        "offline": partition.offline,
        "earliest": earliest,
        "latest": latest,
    })
}
