//! What goes wrong says so.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_client::admin::{ConfigChange, ConfigResource, Mode, NewPartitions, NewTopic};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig};
use tidemark_streams::{
    Consumed, OnBadRecord, OnProduceError, Streams, StreamsBuilder, StreamsError,
};

use crate::support::{
    broker, config, latest, lines, read, started, until, until_found, word_count, write,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_there_is_named_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    let failed = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .err()
        .unwrap();
    assert_eq!(
        failed.to_string(),
        "the topology cannot run: text: topic \"text\" does not exist; \
         text.flat_map_values.select_key-repartition.count.to_stream.to: topic \"word_counts\" does not \
         exist"
    );
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_do_not_decode_stop_it_or_go_elsewhere() {
    let (_dir, broker, client) = started(&[("in", 1), ("out", 1), ("dead", 1)]).await;
    let record = |value: &str| ("k".to_owned(), value.to_owned(), 5);
    write(
        &client,
        "in",
        [record("12345678"), record("short"), record("87654321")],
    )
    .await;
    let topology = |policy: OnBadRecord| {
        let builder = StreamsBuilder::new();
        let consumed = Consumed::<String, i64>::new().on_bad_record(policy);
        builder.stream_with(["in"], consumed).to("out");
        builder.build().unwrap()
    };
    let streams = Streams::start(&topology(OnBadRecord::Fail), config(&broker, "fails"))
        .await
        .unwrap();
    let failed = streams.failed().await;
    assert!(
        matches!(failed, StreamsError::Decode { offset: 1, .. }),
        "{failed}"
    );
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    let policy = OnBadRecord::DeadLetter("dead".into());
    let streams = Streams::start(&topology(policy), config(&broker, "diverts"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    let dead = read::<String, String>(&client, "dead").await;
    assert_eq!(dead, [("k".to_owned(), "short".to_owned())]);
    broker.shutdown().await.unwrap();
}

/// A topic that takes short records only, and one that takes none without a key.
async fn make_choosy(client: &Client) {
    let narrow = NewTopic::new("narrow").config("max.message.bytes", "1000");
    let compacted = NewTopic::new("compacted").config("cleanup.policy", "compact");
    let admin = client.admin();
    let made = admin.create_topics([narrow, compacted], Mode::Apply).await;
    made.unwrap().all().unwrap();
}

/// A record that the cluster never takes stops the application, or is left out, and only it: it lies
/// in one batch with others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cluster_does_not_take_stops_it_or_is_left_out() {
    let (_dir, broker, client) = started(&[("in", 1)]).await;
    make_choosy(&client).await;
    let record = |value: &str| ("k".to_owned(), value.to_owned(), 5);
    let long = "x".repeat(3000);
    let records = ["a", &long, "b", "c"].map(record);
    write(&client, "in", records).await;
    let builder = StreamsBuilder::new();
    let values = builder.stream::<String, String>("in");
    values.to("narrow");
    let key = |value: &String| (value != "b").then(|| value.clone());
    values
        .filter(|_, value| value.len() < 10)
        .map(move |_, value| (key(&value), value))
        .to("compacted");
    let topology = builder.build().unwrap();
    let streams = Streams::start(&topology, config(&broker, "fails"))
        .await
        .unwrap();
    let failed = streams.failed().await;
    assert!(matches!(failed, StreamsError::Produce(_)), "{failed}");
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    let topics = ["narrow", "compacted"];
    let deleted = client.admin().delete_topics(topics).await;
    deleted.unwrap().all().unwrap();
    make_choosy(&client).await;
    let skips = config(&broker, "skips").on_produce_error(OnProduceError::Skip);
    let streams = Streams::start(&topology, skips).await.unwrap();
    until("both records are left out", || {
        streams.metrics().contains("skipped_outputs_total 2")
    })
    .await;
    // The others were written, and they alone count as that.
    until("a commit", || {
        let figures = streams.metrics();
        figures.contains("tidemark_streams_records_out_total 5\n")
    })
    .await;
    streams.run_until_caught_up().await.unwrap();
    let values = |records: Vec<(String, String)>| {
        let values = records.into_iter().map(|(_, value)| value);
        values.collect::<Vec<_>>()
    };
    let short = read::<String, String>(&client, "narrow").await;
    assert_eq!(values(short), ["a", "b", "c"]);
    let with_key = read::<String, String>(&client, "compacted").await;
    assert_eq!(values(with_key), ["a", "c"]);
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_topology_is_refused_with_what_differs() {
    let (_dir, broker, client) = started(&[("text", 2), ("word_counts", 1)]).await;
    let (records, _) = lines(4, 20);
    write(&client, "text", records).await;
    let streams = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("text")
        .group_by_key()
        .count()
        .to_stream()
        .to("word_counts");
    let other = builder.build().unwrap();
    let failed = Streams::start(&other, config(&broker, "words"))
        .await
        .err()
        .unwrap();
    let StreamsError::ChangedTopology { differences, .. } = &failed else {
        panic!("{failed}");
    };
    assert!(
        differences.iter().any(|line| line.contains("is gone")),
        "{failed}"
    );
    assert!(
        differences.iter().any(|line| line.contains("is new")),
        "{failed}"
    );
    // More partitions: keys would go elsewhere.
    let grown = [("text", NewPartitions::increase_to(3))];
    let _ = client
        .admin()
        .create_partitions(grown, tidemark_client::admin::Mode::Apply)
        .await
        .unwrap();
    let failed = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .err()
        .unwrap();
    assert!(
        failed
            .to_string()
            .contains("it has 2 partitions where 3 are needed"),
        "{failed}"
    );
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_topology_begins_with_empty_stores_if_that_is_meant() {
    let (_dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let line = || [("line".to_owned(), "to be".to_owned(), 5)];
    write(&client, "text", line()).await;
    let words = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .unwrap();
    words.run_until_caught_up().await.unwrap();
    write(&client, "text", line()).await;
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("text")
        .group_by_key()
        .count()
        .to_stream()
        .to("word_counts");
    let other = builder.build().unwrap();
    let accepts = config(&broker, "words").accept_changed_topology(true);
    let by_line = Streams::start(&other, accepts).await.unwrap();
    by_line.run_until_caught_up().await.unwrap();
    // The topic goes on where it was, and what counts its lines knows nothing of the first one.
    let count = |text: &str, counts: &BTreeMap<String, i64>| counts.get(text).copied();
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(
        ["to", "be", "line"].map(|text| count(text, &counts)),
        [Some(1), Some(1), Some(1)]
    );
    // That is the topology from now on.
    write(&client, "text", line()).await;
    let by_line = Streams::start(&other, config(&broker, "words"))
        .await
        .unwrap();
    by_line.run_until_caught_up().await.unwrap();
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(count("line", &counts), Some(2));
    assert!(
        Streams::start(&word_count(), config(&broker, "words"))
            .await
            .is_err()
    );
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_has_a_budget() {
    let (_dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let (records, _) = lines(4, 100);
    write(&client, "text", records).await;
    let streams = Streams::start(&word_count(), config(&broker, "words").state_budget(1000))
        .await
        .unwrap();
    let failed = streams.failed().await;
    assert!(
        matches!(failed, StreamsError::StateTooLarge { budget: 1000, .. }),
        "{failed}"
    );
    // Global tables are read before anything else: they have to fit by then.
    let builder = StreamsBuilder::new();
    let table = builder.global_table::<String, String>("text");
    let words = builder.stream::<String, String>("word_counts");
    let found = words.join_global(&table, |word, _| word.clone(), |_, line| line.clone());
    found.peek(|_| ()).to("word_counts");
    let reader = config(&broker, "reader").state_budget(1000);
    let failed = Streams::start(&builder.build().unwrap(), reader).await;
    assert!(
        matches!(
            failed,
            Err(StreamsError::StateTooLarge { budget: 1000, .. })
        ),
        "{:?}",
        failed.err()
    );
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_applications_cannot_have_one_id() {
    let (_dir, broker, _client) = started(&[("a", 2), ("b", 2), ("out", 1)]).await;
    let copies = |topic: &str| {
        let builder = StreamsBuilder::new();
        builder.stream::<String, String>(topic).to("out");
        builder.build().unwrap()
    };
    let one = Streams::start(&copies("a"), config(&broker, "copy"))
        .await
        .unwrap();
    until("the first to run", || one.tasks().len() == 2).await;
    let failed = Streams::start(&copies("b"), config(&broker, "copy"))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(failed, StreamsError::TwoApplications { .. }),
        "{failed}"
    );
    one.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_applications_code_ends_it() {
    let (_dir, broker, client) = started(&[("in", 1), ("out", 1)]).await;
    write(&client, "in", [("k".to_owned(), "v".to_owned(), 5)]).await;
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .map_values(|value| {
            assert!(value != "v", "no such value, please");
            value
        })
        .to("out");
    let topology = builder.build().unwrap();
    let streams = Streams::start(&topology, config(&broker, "panics"))
        .await
        .unwrap();
    let failed = streams.failed().await;
    assert!(
        failed.to_string().contains("no such value, please"),
        "{failed}"
    );
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    broker.shutdown().await.unwrap();
}

/// What is behind a commit that is not there any more is not taken for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_without_offsets_is_refused() {
    let (_dir, broker, client) = started(&[("text", 2), ("word_counts", 1)]).await;
    let (records, _) = lines(4, 20);
    write(&client, "text", records).await;
    let streams = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    let gone = client.admin().delete_groups(["words"]).await.unwrap();
    gone.all().unwrap();
    let streams = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .unwrap();
    let failed = streams.failed().await;
    assert!(matches!(failed, StreamsError::Position(_)), "{failed}");
    broker.shutdown().await.unwrap();
}

/// Topics of the application's own that would lose what they keep are refused, with what mends them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_topics_that_lose_records_are_refused() {
    let (_dir, broker, client) = started(&[("text", 2), ("word_counts", 1)]).await;
    let (records, expected) = lines(4, 20);
    write(&client, "text", records).await;
    let topology = word_count();
    let described = topology.describe();
    let (_, name) = described.split_once("<application>-").unwrap();
    let (name, _) = name.split_once("-repartition").unwrap();
    let name = format!("words-{name}-repartition");
    // Made by somebody, with what the broker takes for usual.
    let usual = NewTopic::new(&name)
        .partitions(2)
        .config("retention.ms", "604800000");
    let made = client.admin().create_topics([usual], Mode::Apply).await;
    made.unwrap().all().unwrap();
    let failed = Streams::start(&topology, config(&broker, "words")).await;
    let failed = failed.err().unwrap().to_string();
    assert!(
        failed.contains(&name)
            && failed.contains("retention.ms is \"604800000\" and has to be \"-1\"")
            && failed.contains("--add-config retention.ms=-1"),
        "{failed}"
    );
    let mended = vec![ConfigChange::set("retention.ms", "-1")];
    let mended = [(ConfigResource::topic(&name), mended)];
    let done = client
        .admin()
        .incremental_alter_configs(mended, Mode::Apply)
        .await;
    done.unwrap().all().unwrap();
    let streams = Streams::start(&topology, config(&broker, "words"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    assert_eq!(
        latest::<String, i64>(&client, "word_counts").await,
        expected
    );
    broker.shutdown().await.unwrap();
}

/// A configuration whose client looks at topics often.
fn watching(
    broker: &integration_tests::harness::embedded::Embedded,
    id: &str,
) -> tidemark_streams::StreamsConfig {
    let client =
        ClientConfig::new(&broker.bootstrap()).metadata_max_age(Duration::from_millis(200));
    config(broker, id).client(client)
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
    let streams = Streams::start(&word_count(), watching(&broker, "words"))
        .await
        .unwrap();
    until("it to run", || streams.tasks().len() == 2).await;
    grow(&client, "text", 2).await;
    let failed = streams.failed().await;
    let StreamsError::SourceGrew { topic, before, now } = &failed else {
        panic!("{failed}");
    };
    assert_eq!((topic.as_str(), *before, *now), ("text", 1, 2));
    assert!(streams.close(Duration::from_secs(60)).await.is_err());

    let topics = [("a", 1), ("b", 2), ("copies", 1)]
        .map(|(name, count)| NewTopic::new(name).partitions(count));
    let made = client.admin().create_topics(topics, Mode::Apply).await;
    made.unwrap().all().unwrap();
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
        let mut copies = until_found("copies", async || {
            let copies = read::<String, String>(&client, "copies").await;
            (copies.len() >= count).then_some(copies)
        })
        .await;
        copies.sort();
        let copies = copies.into_iter();
        copies.map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>()
    };
    let streams = Streams::start(&topology, watching(&broker, "copy"))
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
    let streams = Streams::start(&topology, watching(&broker, "copy"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    assert_eq!(copied(7).await, expected);
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
