//! Manages a topic and a group from the first to the last: makes, describes, changes, moves, deletes.
//!
//! `cargo run -p tidemark-client --example admin -- localhost:9092 orders billing`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::admin::{
    ConfigChange, ConfigQuery, ConfigResource, Mode, NewPartitions, NewTopic, OffsetSpec,
    OffsetsOf, RecordsBefore,
};
use tidemark_client::consumer::{CommittedOffset, IsolationLevel};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Admin, Client, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "orders".to_owned());
    let group = arguments.next().unwrap_or_else(|| "billing".to_owned());
    let client = Client::connect(&bootstrap)?;
    let admin = client.admin();

    let cluster = admin.describe_cluster().await?;
    println!("the cluster has {} broker", cluster.brokers.len());
    make(&admin, &topic).await?;

    let producer = client.producer(ProducerConfig::new())?;
    for value in ["one", "two", "three"] {
        let record = ProducerRecord::to(topic.as_str()).partition(0).value(value);
        producer.send(&record).await?.await?;
    }
    describe(&admin, &topic).await?;
    offsets(&admin, &topic, &group).await?;

    admin.delete_groups([&group]).await?.all()?;
    // Each thing has an outcome of its own: one may fail while others are done.
    for (name, outcome) in admin.delete_topics([topic.as_str(), "missing"]).await? {
        match outcome {
            Ok(()) => println!("deleted {name}"),
            Err(error) => println!("{name} stays: {:?}", error.code()),
        }
    }
    Ok(())
}

async fn make(admin: &Admin, topic: &str) -> Result<(), Box<dyn std::error::Error>> {
    let new = || {
        NewTopic::new(topic)
            .partitions(1)
            .config("retention.ms", "-1")
    };
    admin.create_topics([new()], Mode::Validate).await?.all()?;
    admin.create_topics([new()], Mode::Apply).await?.all()?;

    let hour = vec![ConfigChange::set("retention.ms", "3600000")];
    let changes = [(ConfigResource::topic(topic), hour)];
    admin
        .incremental_alter_configs(changes, Mode::Apply)
        .await?
        .all()?;
    let two = [(topic, NewPartitions::increase_to(2))];
    admin.create_partitions(two, Mode::Apply).await?.all()?;

    Ok(())
}

async fn describe(admin: &Admin, topic: &str) -> Result<(), Box<dyn std::error::Error>> {
    let resource = ConfigResource::topic(topic);
    let query = ConfigQuery::new().names(["retention.ms"]);
    let configs = admin.describe_configs([resource], query).await?.all()?;
    for entry in configs.into_values().flatten() {
        println!("{} = {}", entry.name, entry.value.unwrap_or_default());
    }
    let described = admin.describe_topics([topic]).await?.all()?;
    for described in described.into_values() {
        println!("{topic} has {} partitions", described.partitions.len());
    }
    Ok(())
}

/// Where the partition begins and ends, and where a group is in it.
async fn offsets(
    admin: &Admin,
    topic: &str,
    group: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let partition = TopicPartition::new(topic, 0);
    let first = [(partition.clone(), RecordsBefore::Offset(1))];
    admin.delete_records(first).await?.all()?;
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let wanted = [(partition.clone(), spec)];
        let listed = admin
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await?;
        for (partition, listed) in listed.all()? {
            println!("{spec:?} of {partition}: {}", listed.offset.unwrap_or(-1));
        }
    }
    // The group must have no members meanwhile.
    let moved = [(partition, CommittedOffset::new(2))];
    admin.alter_group_offsets(group, moved).await?.all()?;
    let groups = admin
        .group_offsets([(group, OffsetsOf::All)])
        .await?
        .all()?;
    for (partition, committed) in groups.into_values().flatten() {
        let offset = committed?.map(|committed| committed.offset);
        println!("{group} is at {} of {partition}", offset.unwrap_or(-1));
    }
    let described = admin.describe_groups([group]).await?.all()?;
    for described in described.into_values() {
        println!(
            "{group} is {} with {} members",
            described.state,
            described.members.len()
        );
    }
    Ok(())
}
