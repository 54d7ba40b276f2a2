//! On good days.

mod any_cluster;
mod cuts;
mod isolation;
mod same_bytes;
mod snapshots;
mod views_of_transactions;
mod words;

use std::time::Duration;

use integration_tests::applications::records_in;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::{Client, TopicPartition};
use tidemark_streams::{BeginAt, Streams, StreamsBuilder, StreamsError};

use crate::support::{
    broker, catch_up, config, failure, latest, lines, make, offsets, read, started, until,
    until_found, word_count, write,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted() {
    let (_dir, broker, client) = started(&[("text", 3), ("word_counts", 2)]).await;
    let (records, expected) = lines(1, 500);
    write(&client, "text", records).await;
    catch_up(&word_count(), config(&broker, "words")).await;
    assert_eq!(
        latest::<String, i64>(&client, "word_counts").await,
        expected
    );
    broker.shutdown().await.unwrap();
}

/// An application may begin with what comes from now on, and goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_can_be_left_out() {
    let (_dir, broker, client) = started(&[("text", 2), ("word_counts", 1)]).await;
    let line = |text: &str| (text.to_owned(), text.to_owned(), 5);
    write(&client, "text", ["old", "older", "oldest"].map(line)).await;
    let config = || config(&broker, "words").begin_at(BeginAt::Latest);
    let streams = Streams::start(&word_count(), config()).await.unwrap();
    let begun = |line: &&str| line.starts_with("tidemark_streams_commit_latency_seconds_count");
    until("the first commit", || {
        let metrics = streams.metrics();
        metrics
            .lines()
            .any(|line| begun(&line) && !line.ends_with(" 0"))
            && streams.tasks().len() == 4
    })
    .await;
    streams.close(Duration::from_secs(60)).await.unwrap();
    write(&client, "text", ["new", "newer"].map(line)).await;
    catch_up(&word_count(), config()).await;
    let mut words = read::<String, i64>(&client, "word_counts").await;
    words.sort();
    assert_eq!(words, [("new".to_owned(), 1), ("newer".to_owned(), 1)]);
    broker.shutdown().await.unwrap();
}

/// Stopping and starting again, with and without state on disk, in one or several workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_it_was() {
    for (workers, on_disk) in [(1, false), (3, true)] {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(&dir.path().join("broker")).await;
        let client = Client::connect(&broker.bootstrap()).unwrap();
        make(&client, &[("text", 3), ("word_counts", 2)]).await;
        let (records, expected) = lines(2, 600);
        for part in records.chunks(200) {
            write(&client, "text", part.to_vec()).await;
            let mut config = config(&broker, "words").workers(workers);
            if on_disk {
                config = config.state_dir(dir.path().join("state"));
            }
            catch_up(&word_count(), config).await;
        }
        let out = read::<String, i64>(&client, "word_counts").await;
        // Nothing twice: what was counted before a clean stop is not counted again.
        let total: i64 = expected.values().sum();
        assert_eq!(out.len() as i64, total);
        assert_eq!(
            out.into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
            expected
        );
        if on_disk {
            let kept = std::fs::read_dir(dir.path().join("state/words")).unwrap();
            let snapshots = kept.filter(|file| {
                let name = file.as_ref().unwrap().file_name();
                name.to_str().unwrap().ends_with(".snapshot")
            });
            // Three tasks that count, and three that number what they send to them.
            assert_eq!(snapshots.count(), 6);
        }
        broker.shutdown().await.unwrap();
    }
}

/// What a crash left in a changelog behind the last commit is undone, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_is_undone_once() {
    let (_dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let config = config(&broker, "words");
    let (records, expected) = lines(4, 300);
    let run = async |records: Vec<(String, String, i64)>| {
        write(&client, "text", records).await;
        catch_up(&word_count(), config.clone()).await;
    };
    run(records[..200].to_vec()).await;
    let all = client.admin().list_topics().await.unwrap();
    let name =
        |topic: &&tidemark_client::admin::TopicListing| topic.name.ends_with(".count-changelog");
    let changelog = all.iter().find(name).unwrap().name.clone();
    let partition = [TopicPartition::new(changelog.as_str(), 0)];
    let end = async || offsets(&client, &partition, OffsetSpec::Latest).await[0];
    let before = end().await;
    let now = tidemark_client::Clock::system().now().wall;
    let left = |keys: &[&str], at: i64| {
        let left = keys
            .iter()
            .map(|key| (key.to_string(), "not committed yet".to_owned(), at));
        left.collect::<Vec<_>>()
    };
    write(&client, &changelog, left(&["word1", "new"], now)).await;
    run(Vec::new()).await;
    assert_eq!(end().await, before + 4);
    // It is part of the commit now: nothing is left to be undone.
    run(Vec::new()).await;
    assert_eq!(end().await, before + 4);
    run(records[200..].to_vec()).await;
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(counts, expected);
    // What has been there for so long that compaction may have taken what it hides is not guessed at,
    // unless that is found.
    write(&client, &changelog, left(&["word1"], 0)).await;
    run(Vec::new()).await;
    write(&client, &changelog, left(&["newer"], 0)).await;
    let streams = Streams::start(&word_count(), config.clone()).await.unwrap();
    let failed = failure(&streams).await;
    assert!(matches!(failed, StreamsError::Position(_)), "{failed}");
    broker.shutdown().await.unwrap();
}

/// A snapshot that does not fit on the disk is left out: nothing is lost, nothing stays behind, and it
/// is written when there is room again.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_snapshots_away_and_nothing_else() {
    let (dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let state = dir.path().join("state");
    let config = config(&broker, "words").state_dir(&state);
    let own = state.join("words");
    let files = || {
        let files = std::fs::read_dir(&own).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    };
    let (records, expected) = lines(5, 300);
    for (round, part) in records.chunks(100).enumerate() {
        write(&client, "text", part.to_vec()).await;
        let streams = Streams::start(&word_count(), config.clone()).await.unwrap();
        let full = round != 1;
        if full {
            // Whatever is written there finds no room.
            for task in ["0_0", "1_0"] {
                std::os::unix::fs::symlink("/dev/full", own.join(format!("{task}.new"))).unwrap();
            }
        }
        streams.run_until_caught_up().await.unwrap();
        let expected: &[&str] = match round {
            0 => &[],
            _ => &["0_0.snapshot", "1_0.snapshot"],
        };
        assert_eq!(files(), expected, "round {round}");
    }
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(counts, expected);
    broker.shutdown().await.unwrap();
}

/// A task with several partitions takes records in the order of time, and for as long as it is told to
/// waits for those of an empty one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_several_partitions_wait_for_one_another() {
    let (_dir, broker, client) = started(&[("left", 1), ("right", 1), ("out", 1)]).await;
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, String>("left");
    let right = builder.stream::<String, String>("right");
    left.merge(&right).to("out");
    let topology = builder.build().unwrap();
    let records = |times: &[i64]| {
        let record = |time: &i64| ("k".to_owned(), time.to_string(), *time);
        times.iter().map(record).collect::<Vec<_>>()
    };
    let written = async |count: usize| {
        until_found("what is written", async || {
            let out = read::<String, String>(&client, "out").await;
            (out.len() >= count).then(|| out.into_iter().map(|(_, value)| value))
        })
        .await
        .collect::<Vec<_>>()
    };
    let patient = config(&broker, "merge").task_idle(Duration::from_secs(3600));
    let streams = Streams::start(&topology, patient).await.unwrap();
    write(&client, "left", records(&[10, 30, 50])).await;
    until("the first to be read", || {
        records_in(&streams.metrics()) == 3
    })
    .await;
    write(&client, "right", records(&[20, 40, 60])).await;
    // What comes behind the last one of the left may come before the last one of the right.
    assert_eq!(written(5).await, ["10", "20", "30", "40", "50"]);
    streams.close(Duration::from_secs(60)).await.unwrap();
    // Without an end to its patience, 60 would wait for ever.
    let hasty = config(&broker, "merge").task_idle(Duration::from_millis(50));
    let streams = Streams::start(&topology, hasty).await.unwrap();
    assert_eq!(written(6).await.last().unwrap(), "60");
    streams.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}
