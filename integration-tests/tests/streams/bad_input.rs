//! What goes wrong says so.

mod dead_letters;
mod refused;
mod sources;

use std::time::Duration;

use tidemark_client::Client;
use tidemark_client::admin::NewTopic;
use tidemark_streams::{
    Consumed, OnBadRecord, OnProduceError, Streams, StreamsBuilder, StreamsError,
};

use crate::support::{
    broker, catch_up, config, failure, lines, make_as, read, started, until, word_count, write,
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
    let failed = failure(&streams).await;
    assert!(
        matches!(failed, StreamsError::Decode { offset: 1, .. }),
        "{failed}"
    );
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    let policy = OnBadRecord::DeadLetter("dead".into());
    catch_up(&topology(policy), config(&broker, "diverts")).await;
    let dead = read::<String, String>(&client, "dead").await;
    assert_eq!(dead, [("k".to_owned(), "short".to_owned())]);
    broker.shutdown().await.unwrap();
}

/// A topic that takes short records only, and one that takes none without a key.
async fn make_choosy(client: &Client) {
    let narrow = NewTopic::new("narrow").config("max.message.bytes", "1000");
    let compacted = NewTopic::new("compacted").config("cleanup.policy", "compact");
    make_as(client, [narrow, compacted]).await;
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
    let failed = failure(&streams).await;
    assert!(matches!(failed, StreamsError::Produce(_)), "{failed}");
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    let topics = ["narrow", "compacted"];
    let deleted = client.admin().delete_topics(topics).await;
    deleted.unwrap().all().unwrap();
    make_choosy(&client).await;
    let skips = config(&broker, "skips").on_produce_error(OnProduceError::Skip);
    let streams = Streams::start(&topology, skips).await.unwrap();
    until("both records are left out", || {
        streams.metrics().contains("skipped_outputs_total 2\n")
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
async fn state_has_a_budget() {
    let (_dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let (records, _) = lines(4, 100);
    write(&client, "text", records).await;
    let streams = Streams::start(&word_count(), config(&broker, "words").state_budget(1000))
        .await
        .unwrap();
    let failed = failure(&streams).await;
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
    let failed = failure(&streams).await;
    assert!(
        failed.to_string().contains("no such value, please"),
        "{failed}"
    );
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    broker.shutdown().await.unwrap();
}
