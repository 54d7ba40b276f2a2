//! Source topics that are not what they were.

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::admin::{Mode, NewPartitions};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig};
use tidemark_streams::{Streams, StreamsBuilder, StreamsConfig, StreamsError};

use crate::support::{
    catch_up, config, config_at, failure, make, read, started, until, until_found, word_count,
    write,
};

/// A configuration whose client looks at topics often.
fn watching(bootstrap: &str, id: &str) -> StreamsConfig {
    let client = ClientConfig::new(bootstrap).metadata_max_age(Duration::from_millis(200));
    config_at(bootstrap, id).client(client)
}

async fn grow(client: &Client, topic: &str, count: i32) {
    let grown = [(topic, NewPartitions::increase_to(count))];
    let done = client.admin().create_partitions(grown, Mode::Apply).await;
    done.unwrap().all().unwrap();
}

async fn write_to(client: &Client, topic: &str, partition: i32, key: &str, value: &str) {
    let producer = client.producer(ProducerConfig::new()).unwrap();
    let record = ProducerRecord::to(topic.to_owned())
        .key(key.to_owned())
        .value(value.to_owned())
        .timestamp(5)
        .partition(partition);
    producer.send(&record).await.unwrap().await.unwrap();
}

/// More partitions while it runs: what keeps state is refused by name and numbers, what keeps none goes
/// on with them, also where a task gets one beside those that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_while_it_runs() {
    let (_dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let streams = Streams::start(&word_count(), watching(&broker.bootstrap(), "words"))
        .await
        .unwrap();
    until("it to run", || streams.tasks().len() == 2).await;
    grow(&client, "text", 2).await;
    let failed = failure(&streams).await;
    let StreamsError::SourceGrew { topic, before, now } = &failed else {
        panic!("{failed}");
    };
    assert_eq!((topic.as_str(), *before, *now), ("text", 1, 2));
    assert!(streams.close(Duration::from_secs(60)).await.is_err());

    make(&client, &[("a", 1), ("b", 2), ("copies", 1)]).await;
    let builder = StreamsBuilder::new();
    let a = builder.stream::<String, String>("a");
    let b = builder.stream::<String, String>("b");
    a.merge(&b).to("copies");
    let topology = builder.build().unwrap();
    for (topic, partition) in [("a", 0), ("b", 0), ("b", 1)] {
        let key = format!("{topic}{partition}");
        write_to(&client, topic, partition, &key, "first").await;
    }
    let copied = async |count: usize| {
        // Each at least once.
        let copies = until_found("copies", async || {
            let copies = read::<String, String>(&client, "copies").await;
            let copies: BTreeSet<_> = copies.into_iter().collect();
            (copies.len() >= count).then_some(copies)
        });
        let copies = copies.await.into_iter();
        copies.map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>()
    };
    let streams = Streams::start(&topology, watching(&broker.bootstrap(), "copy"))
        .await
        .unwrap();
    assert_eq!(copied(3).await, ["a0 first", "b0 first", "b1 first"]);
    // One for a task that is there, one for a new task.
    grow(&client, "a", 3).await;
    for partition in 0..3 {
        write_to(&client, "a", partition, &format!("a{partition}"), "second").await;
    }
    write_to(&client, "b", 1, "b1", "second").await;
    until("a third task", || streams.tasks().len() == 3).await;
    let expected = [
        "a0 first",
        "a0 second",
        "a1 second",
        "a2 second",
        "b0 first",
        "b1 first",
        "b1 second",
    ];
    assert_eq!(copied(7).await, expected);
    streams.close(Duration::from_secs(60)).await.unwrap();
    catch_up(&topology, watching(&broker.bootstrap(), "copy")).await;
    assert_eq!(copied(7).await, expected);
    broker.shutdown().await.unwrap();
}

/// Workers of one instance hear of added partitions one after the other: all of them go on with theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_where_there_are_several_workers() {
    let (_dir, broker, client) = started(&[("a", 6), ("b", 2), ("copies", 1)]).await;
    let builder = StreamsBuilder::new();
    let a = builder.stream::<String, String>("a");
    let b = builder.stream::<String, String>("b");
    a.merge(&b).to("copies");
    let topology = builder.build().unwrap();
    let config = watching(&broker.bootstrap(), "copy").workers(3);
    let streams = Streams::start(&topology, config).await.unwrap();
    until("all tasks to run", || streams.tasks().len() == 6).await;
    grow(&client, "b", 6).await;
    let mut expected = BTreeSet::new();
    for (topic, partition) in ["a", "b"]
        .into_iter()
        .flat_map(|t| (0..6).map(move |p| (t, p)))
    {
        let key = format!("{topic}{partition}");
        write_to(&client, topic, partition, &key, "x").await;
        expected.insert((key, "x".to_owned()));
    }
    // Each at least once.
    until_found("copies", async || {
        let copies = read::<String, String>(&client, "copies").await;
        (copies.into_iter().collect::<BTreeSet<_>>() == expected).then_some(())
    })
    .await;
    streams.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// A global table has what is in partitions that its topic is given while it is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_tables_follow_new_partitions() {
    let (_dir, broker, client) = started(&[("names", 1), ("in", 1), ("out", 1)]).await;
    let builder = StreamsBuilder::new();
    let names = builder.global_table::<String, String>("names");
    builder
        .stream::<String, String>("in")
        .join_global(&names, |key, _| key.clone(), |_, name| name.clone())
        .to("out");
    let topology = builder.build().unwrap();
    write_to(&client, "names", 0, "a", "Ann").await;
    let streams = Streams::start(&topology, config(&broker, "names"))
        .await
        .unwrap();
    grow(&client, "names", 2).await;
    write_to(&client, "names", 1, "b", "Bob").await;
    let found = until_found("Bob", async || {
        write(&client, "in", [("b".to_owned(), "x".to_owned(), 5)]).await;
        let out = read::<String, String>(&client, "out").await;
        out.into_iter().next()
    });
    assert_eq!(found.await, ("b".to_owned(), "Bob".to_owned()));
    write(&client, "in", [("a".to_owned(), "x".to_owned(), 5)]).await;
    let found = until_found("Ann", async || {
        let out = read::<String, String>(&client, "out").await;
        out.into_iter().find(|(key, _)| key == "a")
    });
    assert_eq!(found.await.1, "Ann");
    streams.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// A source topic that goes while it is read ends the application, which names it. What had been read of
/// it has been processed, the others' positions and state are kept, and when it is there again all goes
/// on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_deleted_while_it_runs() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = Client::connect(&bootstrap).unwrap();
        let id = unique("gone");
        let [gone, other, out] = ["gone", "other", "out"].map(|name| format!("{id}-{name}"));
        make(&client, &[(&gone, 2), (&other, 2), (&out, 1)]).await;
        let builder = StreamsBuilder::new();
        builder.stream::<String, String>(&gone).to(&out);
        let counts = builder
            .stream::<String, String>(&other)
            .group_by_key()
            .count();
        let counts = counts.values().map_values(|count| count.to_string());
        counts.to(&out);
        let topology = builder.build().unwrap();
        let record = |key: &str, value: &str| (key.to_owned(), value.to_owned(), 5);
        let found = async |expected: &[(&str, &str)]| {
            let expected: BTreeSet<(String, String)> = expected
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect();
            until_found(&format!("{expected:?}"), async || {
                let out = read::<String, String>(&client, &out).await;
                let out: BTreeSet<_> = out.into_iter().collect();
                (out == expected).then_some(())
            })
            .await;
        };
        // Whoever has written to it may still ask for it, and so make it again: that one is gone by then.
        let writer = Client::connect(&bootstrap).unwrap();
        write(&writer, &gone, [record("a", "1"), record("b", "2")]).await;
        writer.close();
        write(&client, &other, [record("k", "x"), record("k", "x")]).await;
        let streams = Streams::start(&topology, watching(&bootstrap, &id))
            .await
            .unwrap();
        let first = [("a", "1"), ("b", "2"), ("k", "1"), ("k", "2")];
        found(&first).await;
        let deleted = client.admin().delete_topics([&*gone]).await;
        deleted.unwrap().all().unwrap();
        let failed = failure(&streams).await;
        let StreamsError::SourceGone { topic } = &failed else {
            panic!("{failed}");
        };
        assert_eq!(*topic, gone);
        assert!(streams.close(Duration::from_secs(60)).await.is_err());
        let failed = Streams::start(&topology, watching(&bootstrap, &id)).await;
        let failed = failed.err().unwrap().to_string();
        assert!(
            failed.contains(&format!("topic {gone:?} does not exist")),
            "{failed}"
        );
        make(&client, &[(&gone, 2)]).await;
        write(&client, &gone, [record("c", "3")]).await;
        write(&client, &other, [record("k", "x")]).await;
        catch_up(&topology, watching(&bootstrap, &id)).await;
        found(&[&first[..], &[("c", "3"), ("k", "3")]].concat()).await;
    })
    .await;
}
