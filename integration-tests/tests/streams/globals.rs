//! Global tables.

use std::time::Duration;

use tidemark_streams::{Consumed, OnBadRecord, Streams, StreamsBuilder, StreamsError};

use crate::support::{catch_up, config, failure, read, started, until, write};

/// What cannot be read of a global table's topic is counted, at the start and later, and is no part of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_of_global_tables_are_counted() {
    let (_dir, broker, client) = started(&[("names", 2), ("in", 1), ("out", 1)]).await;
    let topology = |policy: OnBadRecord| {
        let builder = StreamsBuilder::new();
        let consumed = Consumed::<String, Option<i64>>::new().on_bad_record(policy);
        let names = builder.global_table_with::<String, i64>("names", consumed);
        let all = builder.stream::<String, String>("in");
        all.join_global(&names, |key, _| key.clone(), |_, number| *number)
            .to("out");
        builder.build()
    };
    let refused = topology(OnBadRecord::DeadLetter("dead".into()))
        .err()
        .unwrap();
    let words = "names: a global table has no dead letters";
    assert!(refused.to_string().contains(words), "{refused}");
    let record = |key: &str, value: &str| (key.to_owned(), value.to_owned(), 5);
    let names = [record("a", "12345678"), record("b", "short")];
    write(&client, "names", names).await;
    let topology = topology(OnBadRecord::Skip).unwrap();
    let streams = Streams::start(&topology, config(&broker, "skips"))
        .await
        .unwrap();
    let dropped = || {
        let metrics = streams.metrics();
        let lines = metrics.lines();
        let bad = lines.filter(|line| {
            let dropped = line.starts_with("tidemark_streams_dropped_records_total{");
            dropped && line.contains("reason=\"undecodable\"")
        });
        let counts = bad.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum::<u64>()
    };
    assert_eq!(dropped(), 1);
    let figures = streams.metrics();
    assert!(
        figures.contains("state_keys{store=\"names\"} 1\n"),
        "{figures}"
    );
    write(&client, "names", [record("c", "short, too")]).await;
    until("what came later", || dropped() == 2).await;
    write(&client, "in", ["a", "b", "c"].map(|key| record(key, "x"))).await;
    streams.close(Duration::from_secs(60)).await.unwrap();
    catch_up(&topology, config(&broker, "skips")).await;
    let out = read::<String, String>(&client, "out").await;
    assert_eq!(out, [("a".to_owned(), "12345678".to_owned())]);
    broker.shutdown().await.unwrap();
}

/// By default one that cannot be read ends the application, before it has begun or later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_of_a_global_table_stops_it() {
    let (_dir, broker, client) = started(&[("names", 1), ("in", 1), ("out", 1)]).await;
    let builder = StreamsBuilder::new();
    let names = builder.global_table::<String, i64>("names");
    let all = builder.stream::<String, String>("in");
    all.join_global(&names, |key, _| key.clone(), |_, number| *number)
        .to("out");
    let topology = builder.build().unwrap();
    let bad = |key: &str| (key.to_owned(), "no number".to_owned(), 5);
    let streams = Streams::start(&topology, config(&broker, "stops"))
        .await
        .unwrap();
    write(&client, "names", [bad("a")]).await;
    let failed = failure(&streams).await;
    let is_it = |failed: &StreamsError| matches!(failed, StreamsError::Decode { topic, offset: 0, .. } if topic == "names");
    assert!(is_it(&failed), "{failed}");
    assert!(streams.close(Duration::from_secs(60)).await.is_err());
    let failed = Streams::start(&topology, config(&broker, "stops")).await;
    let failed = failed.err().unwrap();
    assert!(is_it(&failed), "{failed}");
    broker.shutdown().await.unwrap();
}
