//! What is looked at before anything runs.

use std::time::Duration;

use tidemark_streams::processor::OnError;
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{Consumed, OnBadRecord, Produced, Streams, StreamsBuilder, StreamsError};

use crate::support::{broker, catch_up, config, latest, read, started, until, word_count, write};

/// Whatever is read, written, or takes dead or late records has to be there, and all that is missing is
/// told at once, with who wants it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_topics_that_are_missing_are_named_at_once() {
    let (_dir, broker, client) = started(&[("there", 1)]).await;
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<String, String>::new();
    let consumed = consumed.on_bad_record(OnBadRecord::DeadLetter("bad".into()));
    let all = builder.stream_with(["there", "not there"], consumed);
    let dead = OnError::DeadLetter("refused".into());
    let numbers = all.try_map_values(dead, |text| text.parse::<i64>());
    let counts = numbers
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(Duration::from_secs(10)))
        .count();
    counts.values().to("out");
    counts.late().to("late");
    let failed = Streams::start(&builder.build().unwrap(), config(&broker, "all"))
        .await
        .err()
        .unwrap();
    let StreamsError::Topology(problems) = failed else {
        panic!("{failed}");
    };
    let missing = [
        "there: topic \"not there\" does not exist",
        "there: topic \"bad\" for its dead letters does not exist",
        "there.try_map_values: topic \"refused\" for its dead letters does not exist",
        "there.try_map_values.count.values.to: topic \"out\" does not exist",
        "there.try_map_values.count.to: topic \"late\" does not exist",
    ];
    assert_eq!(problems, missing);
    // Nothing was made, by nobody: the cluster makes topics when they are first asked for.
    let topics = client.admin().list_topics().await.unwrap();
    let names: Vec<String> = topics.into_iter().map(|topic| topic.name).collect();
    assert_eq!(names, ["there"]);
    broker.shutdown().await.unwrap();
}

/// Keys that two sinks spread over a topic in two ways are in two tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_kept_by_key_is_partitioned_in_one_way() {
    let (_dir, broker, _client) = started(&[("a", 2), ("b", 2), ("both", 2), ("out", 1)]).await;
    let topology = |produced: Produced<String, String>, keeps: bool| {
        let builder = StreamsBuilder::new();
        builder.stream::<String, String>("a").to("both");
        let b = builder.stream::<String, String>("b");
        b.to_with("both", produced);
        let both = builder.stream::<String, String>("both");
        match keeps {
            true => both.group_by_key().count().to_stream().to("out"),
            false => both.to("out"),
        }
        builder.build().unwrap()
    };
    let first = || Produced::new().partitioner(|_, _, _| 0);
    let failed = Streams::start(&topology(first(), true), config(&broker, "two"))
        .await
        .err()
        .unwrap();
    let words = "both has Kafka's partitioner, both has a partitioner without a name";
    assert!(failed.to_string().contains(words), "{failed}");
    for (name, produced, keeps) in [("none", first(), false), ("one", Produced::new(), true)] {
        let topology = topology(produced, keeps);
        let streams = Streams::start(&topology, config(&broker, name))
            .await
            .unwrap();
        streams.close(Duration::from_secs(60)).await.unwrap();
    }
    broker.shutdown().await.unwrap();
}

/// A store that has become something else begins empty, at once and at every start after that, although
/// the changelog of what it was is still there. The others keep what they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_has_become_another_one_begins_empty() {
    let topics = [("in", 2), ("out", 1), ("lengths", 1)];
    let (_dir, broker, client) = started(&topics).await;
    let config = config(&broker, "changes");
    let topology = |windowed: bool| {
        let builder = StreamsBuilder::new();
        let grouped = builder.stream::<String, String>("in").group_by_key();
        let lengths = grouped.aggregate(tidemark_streams::Fold::new(
            || 0,
            |_: &String, text: String, sum: &mut i64| *sum += text.len() as i64,
        ));
        lengths.materialized("lengths").values().to("lengths");
        if windowed {
            let windows = TimeWindows::tumbling(Duration::from_secs(10));
            let counts = grouped.windowed_by(windows).count().materialized("counts");
            counts.values().to("out");
        } else {
            let all = grouped.reduce(|old, new| old + &new).materialized("counts");
            all.values().to("out");
        }
        builder.build().unwrap()
    };
    let record = |key: &str, at: i64| (key.to_owned(), "text".to_owned(), at);
    let run = async |windowed: bool, accept: bool, records: Vec<(String, String, i64)>| {
        write(&client, "in", records).await;
        let config = config.clone().accept_changed_topology(accept);
        let streams = Streams::start(&topology(windowed), config).await?;
        streams.run_until_caught_up().await
    };
    let keys = ["a", "b", "c", "d"];
    run(false, false, keys.map(|key| record(key, 1000)).to_vec())
        .await
        .unwrap();
    let refused = run(true, false, Vec::new()).await.unwrap_err();
    assert!(
        matches!(refused, StreamsError::ChangedTopology { .. }),
        "{refused}"
    );
    write(&client, "in", [record("a", 12_000), record("b", 13_000)]).await;
    let accepts = config.clone().accept_changed_topology(true);
    let streams = Streams::start(&topology(true), accepts).await.unwrap();
    let counts = streams.store("counts").unwrap();
    let counts = counts.windows::<String, i64>().unwrap();
    until("what has come since, and nothing else", || {
        counts.all(..).is_ok_and(|all| all.len() == 2)
    })
    .await;
    streams.close(Duration::from_secs(60)).await.unwrap();
    // The window that is open is restored from the changelog behind what was there before.
    run(true, false, vec![record("a", 14_000), record("c", 25_000)])
        .await
        .unwrap();
    let out = read::<Vec<u8>, Vec<u8>>(&client, "out").await;
    let windows = out.iter().filter(|(_, value)| value.len() == 8);
    let mut windows: Vec<(String, i64, i64)> = windows
        .map(|(key, value)| {
            let key: Windowed<String> = decoded(key);
            (key.key, key.window.start, decoded(value))
        })
        .collect();
    windows.sort();
    let expected = [("a", 10_000, 2), ("b", 10_000, 1), ("c", 20_000, 1)];
    let expected = expected.map(|(key, start, count)| (key.to_owned(), start, count));
    assert_eq!(windows, expected);
    let lengths = latest::<String, i64>(&client, "lengths").await;
    let expected = [("a", 12), ("b", 8), ("c", 8), ("d", 4)];
    let expected = expected.map(|(key, sum)| (key.to_owned(), sum));
    assert_eq!(lengths, expected.into());
    // And back: what was there at first is not taken for what is there now.
    run(false, true, vec![record("a", 30_000)]).await.unwrap();
    run(false, false, vec![record("a", 31_000)]).await.unwrap();
    let out = read::<Vec<u8>, Vec<u8>>(&client, "out").await;
    let last: String = decoded(&out.last().unwrap().1);
    assert_eq!(last, "texttext");
    broker.shutdown().await.unwrap();
}

fn decoded<T: tidemark_streams::Data>(bytes: &[u8]) -> T {
    T::decode(tidemark_streams::Payload::new(Some(bytes))).unwrap()
}

/// What was accepted is not written down as long as others run what was there: they would be taken for
/// strangers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_topology_waits_for_the_old_one_to_end() {
    let (_dir, broker, _client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let own = config(&broker, "words");
    let old = Streams::start(&word_count(), own.clone()).await.unwrap();
    until("it to run", || old.tasks().len() == 2).await;
    let builder = StreamsBuilder::new();
    let text = builder.stream::<String, String>("text");
    text.group_by_key().count().values().to("word_counts");
    let new = builder.build().unwrap();
    let accepts = own.clone().accept_changed_topology(true);
    let refused = Streams::start(&new, accepts).await.err().unwrap();
    assert!(
        matches!(refused, StreamsError::TwoApplications { .. }),
        "{refused}"
    );
    old.close(Duration::from_secs(60)).await.unwrap();
    catch_up(&word_count(), own).await;
    broker.shutdown().await.unwrap();
}

/// Who is to catch up and to end says so if another instance has a part of the work, instead of waiting
/// for it for ever; when it is alone it comes to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catching_up_is_for_one_instance_alone() {
    let (_dir, broker, client) = started(&[("text", 4), ("word_counts", 1)]).await;
    let (records, expected) = crate::support::lines(9, 100);
    write(&client, "text", records).await;
    let own = config(&broker, "words");
    let other = Streams::start(&word_count(), own.clone()).await.unwrap();
    until("it to have all tasks", || other.tasks().len() == 8).await;
    let streams = Streams::start(&word_count(), own.clone().workers(2))
        .await
        .unwrap();
    let failed = streams.run_until_caught_up().await.unwrap_err();
    assert!(matches!(failed, StreamsError::NotAlone { .. }), "{failed}");
    other.close(Duration::from_secs(60)).await.unwrap();
    catch_up(&word_count(), own.workers(2)).await;
    assert_eq!(
        latest::<String, i64>(&client, "word_counts").await,
        expected
    );
    broker.shutdown().await.unwrap();
}

/// An application ends by itself when something is wrong, and when it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_until_it_is_told_to_end_or_fails() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    let client = tidemark_client::Client::connect(&broker.bootstrap()).unwrap();
    crate::support::make(&client, &[("in", 1), ("out", 1)]).await;
    let builder = StreamsBuilder::new();
    builder.stream::<String, i64>("in").to("out");
    let topology = builder.build().unwrap();
    let streams = Streams::start(&topology, config(&broker, "copy"))
        .await
        .unwrap();
    let written = async {
        let record = ("k".to_owned(), "12345678".to_owned(), 5);
        write(&client, "in", [record]).await;
        crate::support::until_found("the copy", async || {
            read::<String, i64>(&client, "out").await.pop()
        })
        .await
    };
    streams.run_until(written).await.unwrap();
    let bad = ("k".to_owned(), "no number".to_owned(), 5);
    write(&client, "in", [bad]).await;
    let streams = Streams::start(&topology, config(&broker, "copy"))
        .await
        .unwrap();
    let failed = streams
        .run_until(std::future::pending::<()>())
        .await
        .unwrap_err();
    // The first record was committed.
    assert!(
        matches!(failed, StreamsError::Decode { offset: 1, .. }),
        "{failed}"
    );
    broker.shutdown().await.unwrap();
}
