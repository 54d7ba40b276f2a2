//! On good days.

use std::time::Duration;

use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Client, TopicPartition};
use tidemark_streams::time::{JoinWindows, SessionWindows, SlidingWindows, TimeWindows, Windowed};
use tidemark_streams::{BeginAt, Consumed, Streams, StreamsBuilder, StreamsError};

use crate::support::{
    broker, config, latest, lines, make, read, started, until, until_found, word_count, write,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted() {
    let (_dir, broker, client) = started(&[("text", 3), ("word_counts", 2)]).await;
    let (records, expected) = lines(1, 500);
    write(&client, "text", records).await;
    let streams = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
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
    let streams = Streams::start(&word_count(), config()).await.unwrap();
    streams.run_until_caught_up().await.unwrap();
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
            let streams = Streams::start(&word_count(), config).await.unwrap();
            streams.run_until_caught_up().await.unwrap();
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

/// Windows close as event time goes on, and at the end of what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_close() {
    let (_dir, broker, client) = started(&[("in", 1), ("out", 1), ("late", 1)]).await;
    let builder = StreamsBuilder::new();
    let counts = builder
        .stream_with(["in"], Consumed::<String, String>::new())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(Duration::from_secs(10)))
        .count();
    counts.values().to("out");
    counts.late().to("late");
    let topology = builder.build().unwrap();
    let record = |key: &str, at: i64| (key.to_owned(), "x".to_owned(), at);
    let first = [
        record("a", 1000),
        record("b", 2000),
        record("a", 12_000),
        record("a", 3000),
    ];
    write(&client, "in", first).await;
    let streams = Streams::start(&topology, config(&broker, "windows"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    write(&client, "in", [record("a", 15_000), record("a", 25_000)]).await;
    let streams = Streams::start(&topology, config(&broker, "windows"))
        .await
        .unwrap();
    streams.run_until_caught_up().await.unwrap();
    let out = read::<Windowed<String>, i64>(&client, "out").await;
    let out: Vec<_> = out
        .iter()
        .map(|(k, v)| (k.key.as_str(), k.window.start, *v))
        .collect();
    assert_eq!(
        out,
        [("a", 0, 1), ("b", 0, 1), ("a", 10_000, 1), ("a", 20_000, 1)]
    );
    let late = read::<String, tidemark_streams::Late<String>>(&client, "late").await;
    let late: Vec<_> = late.iter().map(|(_, late)| late.window.start).collect();
    assert_eq!(late, [0, 10_000]);
    broker.shutdown().await.unwrap();
}

/// Instances that come and go share the tasks, and nothing is lost or counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_the_work() {
    let (_dir, broker, client) = started(&[("text", 4), ("word_counts", 1)]).await;
    let (records, expected) = lines(3, 900);
    let mut parts = records.chunks(300);
    let topology = word_count();
    write(&client, "text", parts.next().unwrap().to_vec()).await;
    let one = Streams::start(&topology, config(&broker, "words"))
        .await
        .unwrap();
    until("all tasks to run", || one.tasks().len() == 8).await;
    let two = Streams::start(&topology, config(&broker, "words"))
        .await
        .unwrap();
    write(&client, "text", parts.next().unwrap().to_vec()).await;
    until("the tasks to be shared", || {
        one.tasks().len() == 4 && two.tasks().len() == 4
    })
    .await;
    one.close(Duration::from_secs(60)).await.unwrap();
    write(&client, "text", parts.next().unwrap().to_vec()).await;
    until("one to have them all", || two.tasks().len() == 8).await;
    let total: i64 = expected.values().sum();
    let out = until_found("all counts", async || {
        let out = read::<String, i64>(&client, "word_counts").await;
        (out.len() as i64 >= total).then_some(out)
    })
    .await;
    assert_eq!(out.len() as i64, total);
    let last: std::collections::BTreeMap<_, _> = out.into_iter().collect();
    assert_eq!(last, expected);
    two.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// Changelogs of windows and repartition topics do not grow without end, and what is left of them is
/// enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_again_is_deleted() {
    let (_dir, broker, client) = started(&[("in", 1), ("out", 1)]).await;
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .group_by(|_, value| value.clone())
        .windowed_by(TimeWindows::tumbling(Duration::from_secs(10)))
        .count()
        .values()
        .to("out");
    let topology = builder.build().unwrap();
    let config = config(&broker, "spent");
    let records = |from: i64| (0..20).map(move |at| (format!("k{at}"), "x".to_owned(), from + at));
    let streams = Streams::start(&topology, config.clone()).await.unwrap();
    let all = client.admin().list_topics().await.unwrap();
    let ending = |end: &str| {
        let found = all.iter().find(|topic| topic.name.ends_with(end));
        found
            .unwrap_or_else(|| panic!("{end} of {all:?}"))
            .name
            .clone()
    };
    let topics = [ending("-repartition"), ending(".count-changelog")];
    let starts = async || {
        let wanted = topics.each_ref().map(|topic| {
            let partition = TopicPartition::new(topic.as_str(), 0);
            (partition, OffsetSpec::Earliest)
        });
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = client.admin().list_offsets(wanted, isolation).await;
        let listed = listed.unwrap().all().unwrap();
        listed
            .into_values()
            .map(|at| at.offset.unwrap())
            .min()
            .unwrap()
    };
    // Window after window: what is deleted is what belongs to those that have closed.
    let mut from = 0;
    until_found("a cut", async || {
        write(&client, "in", records(from)).await;
        from += 10_000;
        (starts().await > 0).then_some(())
    })
    .await;
    streams.close(Duration::from_secs(60)).await.unwrap();
    write(&client, "in", records(from)).await;
    let streams = Streams::start(&topology, config).await.unwrap();
    streams.run_until_caught_up().await.unwrap();
    let out = read::<Windowed<String>, i64>(&client, "out").await;
    let expected = (0..=from / 10_000).map(|at| (at * 10_000, 20));
    let found: Vec<_> = out
        .iter()
        .map(|(k, count)| (k.window.start, *count))
        .collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
    broker.shutdown().await.unwrap();
}

/// Changelogs of sessions, sliding windows and joins are cut, too, and stay about as long as what is
/// open; a restart from what is left of them goes on as if nothing had been deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changelogs_of_sessions_sliding_windows_and_joins_are_cut() {
    let topics = [("left", 1), ("right", 1), ("sessions", 1), ("sliding", 1)];
    let (_dir, broker, client) = started(&topics).await;
    make(&client, &[("joined", 1)]).await;
    let ms = Duration::from_millis;
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, String>("left");
    let right = builder.stream::<String, String>("right");
    let grouped = left.group_by_key();
    let sessions = grouped.windowed_by_session(SessionWindows::with_gap(ms(3000)));
    sessions.count().values().to("sessions");
    let sliding = grouped.windowed_by_sliding(SlidingWindows::of(ms(1000)));
    sliding.count().values().to("sliding");
    let show = |left: Option<&String>, right: Option<&String>| {
        format!("{}:{}", left.is_some(), right.is_some())
    };
    let joined = left.outer_join(&right, show, JoinWindows::within(ms(1000)));
    joined.to("joined");
    let topology = builder.build().unwrap();
    let config = config(&broker, "cut");
    let streams = Streams::start(&topology, config.clone()).await.unwrap();
    let all = client.admin().list_topics().await.unwrap();
    let names = all.into_iter().map(|topic| topic.name);
    let logs: Vec<String> = names.filter(|name| name.ends_with("-changelog")).collect();
    // Sessions, sliding windows, two buffers and two stores of what has no partner.
    assert_eq!(logs.len(), 6, "{logs:?}");
    let offsets = async |spec: OffsetSpec| {
        let wanted = logs
            .iter()
            .map(|topic| (TopicPartition::new(topic.as_str(), 0), spec));
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = client.admin().list_offsets(wanted, isolation).await;
        let listed = listed.unwrap().all().unwrap();
        logs.iter()
            .map(|topic| {
                listed[&TopicPartition::new(topic.as_str(), 0)]
                    .offset
                    .unwrap()
            })
            .collect::<Vec<_>>()
    };
    let records = |from: i64, shift: i64| {
        (0..20_i64).map(move |at| (format!("k{at}"), "x".to_owned(), from + at * 10 + shift))
    };
    let mut rounds = 0;
    let more = async |rounds: &mut i64| {
        let from = *rounds * 10_000;
        write(&client, "left", records(from, 0)).await;
        // Every other one is too far away to be joined.
        let shift = if *rounds % 2 == 0 { 1 } else { 5000 };
        write(&client, "right", records(from, shift)).await;
        *rounds += 1;
    };
    let commits = || -> u64 {
        let metrics = streams.metrics();
        let mut lines = metrics.lines();
        let count = lines
            .find_map(|line| line.strip_prefix("tidemark_streams_commit_latency_seconds_count "));
        count.unwrap().parse().unwrap()
    };
    // All of them are cut, and again and again: what is spent is deleted once in thirty commit intervals.
    for _ in 0..2 {
        let before = offsets(OffsetSpec::Earliest).await;
        let cut = async || {
            let now = offsets(OffsetSpec::Earliest).await;
            now.iter().zip(&before).all(|(now, before)| now > before)
        };
        while !cut().await {
            assert!(
                rounds < 500,
                "{logs:?}: {:?}",
                offsets(OffsetSpec::Earliest).await
            );
            let seen = commits();
            more(&mut rounds).await;
            until("a commit of what was written", || commits() > seen).await;
        }
    }
    streams.close(Duration::from_secs(60)).await.unwrap();
    more(&mut rounds).await;
    let streams = Streams::start(&topology, config).await.unwrap();
    streams.run_until_caught_up().await.unwrap();
    let sessions = read::<Windowed<String>, i64>(&client, "sessions").await;
    assert_eq!(sessions.len() as i64, rounds * 20);
    assert!(sessions.iter().all(|(_, count)| *count == 1));
    let sliding = read::<Windowed<String>, i64>(&client, "sliding").await;
    assert_eq!(sliding.len() as i64, rounds * 20);
    let joined = read::<String, String>(&client, "joined").await;
    let of = |what: &str| joined.iter().filter(|(_, value)| value == what).count() as i64;
    let (even, odd) = ((rounds + 1) / 2 * 20, rounds / 2 * 20);
    let found = (of("true:true"), of("true:false"), of("false:true"));
    assert_eq!(found, (even, odd, odd));
    broker.shutdown().await.unwrap();
}

/// What a crash left in a changelog behind the last commit is undone, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_is_undone_once() {
    let (_dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let config = config(&broker, "words");
    let (records, expected) = lines(4, 300);
    let run = async |records: Vec<(String, String, i64)>| {
        write(&client, "text", records).await;
        let streams = Streams::start(&word_count(), config.clone()).await.unwrap();
        streams.run_until_caught_up().await.unwrap();
    };
    run(records[..200].to_vec()).await;
    let all = client.admin().list_topics().await.unwrap();
    let name =
        |topic: &&tidemark_client::admin::TopicListing| topic.name.ends_with(".count-changelog");
    let changelog = all.iter().find(name).unwrap().name.clone();
    let end = async || {
        let partition = TopicPartition::new(changelog.as_str(), 0);
        let wanted = [(partition.clone(), OffsetSpec::Latest)];
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = client.admin().list_offsets(wanted, isolation).await;
        listed.unwrap().all().unwrap()[&partition].offset.unwrap()
    };
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
    let failed = streams.failed().await;
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
