//! Instances that are stopped dead: state stays exact.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_client::Client;
use tidemark_streams::{Streams, StreamsBuilder};

use crate::support::{broker, config, latest, lines, make, until, word_count, write};

/// Waits until an instance has read so many records: then it is in the midst of its work.
async fn works_on(streams: &Streams, records: u64) {
    until("it to work", || {
        let metrics = streams.metrics();
        let mut lines = metrics.lines();
        let read = lines.find_map(|line| line.strip_prefix("tidemark_streams_records_in_total "));
        read.unwrap().parse::<u64>().unwrap() >= records
    })
    .await;
}

/// An instance is dropped again and again while it works, without a last commit, some of its
/// changelog written and some not. What is counted twice or not at all would show in the last counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_however_often_it_dies() {
    for (seed, on_disk) in [(5, false), (6, true)] {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(&dir.path().join("broker")).await;
        let client = Client::connect(&broker.bootstrap()).unwrap();
        make(&client, &[("text", 2), ("word_counts", 1)]).await;
        let (records, expected) = lines(seed, 2000);
        let mut parts = records.chunks(100);
        for (round, part) in parts.by_ref().enumerate() {
            write(&client, "text", part.to_vec()).await;
            let mut config = config(&broker, "words")
                .commit_interval(Duration::from_millis(1 + (round as u64 * 7) % 30))
                .session_timeout(Duration::from_secs(6));
            if on_disk {
                config = config.state_dir(dir.path().join("state"));
            }
            let streams = Streams::start(&word_count(), config).await.unwrap();
            works_on(&streams, 1 + (round as u64 * 13) % 90).await;
            drop(streams);
            // The member is gone without a word: another one must not wait for its session to end.
            let _ = client.admin().remove_all_members("words", "it died").await;
        }
        let mut last = config(&broker, "words");
        if on_disk {
            last = last.state_dir(dir.path().join("state"));
        }
        let streams = Streams::start(&word_count(), last).await.unwrap();
        streams.run_until_caught_up().await.unwrap();
        assert_eq!(
            latest::<String, i64>(&client, "word_counts").await,
            expected
        );
        broker.shutdown().await.unwrap();
    }
}

/// What several topics make of state comes in another order after a crash. On the way to the next task it
/// is counted once all the same: every key says each of its counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_topics_make_is_counted_once_however_often_it_dies() {
    let topology = || {
        let builder = StreamsBuilder::new();
        let a = builder.stream::<String, String>("a");
        let b = builder.stream::<String, String>("b");
        let counts = a.merge(&b).group_by_key().count().values();
        let keys = counts.group_by(|_, count| *count).count();
        keys.to_stream().to("keys");
        builder.build().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(&dir.path().join("broker")).await;
    let client = Client::connect(&broker.bootstrap()).unwrap();
    make(&client, &[("a", 2), ("b", 2), ("keys", 1)]).await;
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for round in 0..20_u64 {
        for (topic, seed) in [("a", 7), ("b", 8)] {
            let (records, _) = lines(seed + round * 2, 60);
            let records: Vec<_> = records
                .into_iter()
                .map(|(_, words, at)| {
                    let key = words.split(' ').next().unwrap().to_owned();
                    *counts.entry(key.clone()).or_default() += 1;
                    (key, words, at)
                })
                .collect();
            write(&client, topic, records).await;
        }
        let config = config(&broker, "merged")
            .commit_interval(Duration::from_millis(1 + (round * 7) % 30))
            .session_timeout(Duration::from_secs(6));
        let streams = Streams::start(&topology(), config).await.unwrap();
        works_on(&streams, 1 + (round * 13) % 110).await;
        drop(streams);
        let _ = client.admin().remove_all_members("merged", "it died").await;
    }
    let streams = Streams::start(&topology(), config(&broker, "merged"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    let most = counts.values().copied().max().unwrap();
    let expected: BTreeMap<i64, i64> = (1..=most)
        .map(|count| {
            let keys = counts.values().filter(|all| **all >= count);
            (count, keys.count() as i64)
        })
        .collect();
    assert_eq!(latest::<i64, i64>(&client, "keys").await, expected);
    broker.shutdown().await.unwrap();
}
