//! Applications that may not start, as what they would go on from is not theirs.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use integration_tests::applications::{COUNTS, PARTITIONS};
use integration_tests::harness::embedded::Embedded;
use tidemark_client::Client;
use tidemark_client::admin::{ConfigChange, ConfigResource, Mode, NewPartitions, NewTopic};
use tidemark_streams::{Streams, StreamsBuilder, StreamsError};

use crate::support::{
    catch_up, config, failure, latest, lines, make_as, read, started, until, until_found,
    word_count, write,
};

/// A broker on which words have been counted.
async fn counted() -> (tempfile::TempDir, Embedded, Client) {
    let (dir, broker, client) = started(&[("text", 2), ("word_counts", 1)]).await;
    let (records, _) = lines(4, 20);
    write(&client, "text", records).await;
    catch_up(&word_count(), config(&broker, "words")).await;
    (dir, broker, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_topology_is_refused_with_what_differs() {
    let (_dir, broker, client) = counted().await;
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
    let done = client.admin().create_partitions(grown, Mode::Apply).await;
    done.unwrap().all().unwrap();
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
    catch_up(&word_count(), config(&broker, "words")).await;
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
    catch_up(&other, accepts).await;
    // The topic goes on where it was, and what counts its lines knows nothing of the first one.
    let count = |text: &str, counts: &BTreeMap<String, i64>| counts.get(text).copied();
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(
        ["to", "be", "line"].map(|text| count(text, &counts)),
        [Some(1), Some(1), Some(1)]
    );
    // That is the topology from now on.
    write(&client, "text", line()).await;
    catch_up(&other, config(&broker, "words")).await;
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(count("line", &counts), Some(2));
    let failed = Streams::start(&word_count(), config(&broker, "words")).await;
    let failed = failed.err().unwrap();
    assert!(
        matches!(failed, StreamsError::ChangedTopology { .. }),
        "{failed}"
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

/// What is behind a commit that is not there any more is not taken for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_without_offsets_is_refused() {
    let (_dir, broker, client) = counted().await;
    let gone = client.admin().delete_groups(["words"]).await.unwrap();
    gone.all().unwrap();
    let streams = Streams::start(&word_count(), config(&broker, "words"))
        .await
        .unwrap();
    let failed = failure(&streams).await;
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
    make_as(&client, [usual]).await;
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
    catch_up(&topology, config(&broker, "words")).await;
    assert_eq!(
        latest::<String, i64>(&client, "word_counts").await,
        expected
    );
    broker.shutdown().await.unwrap();
}

/// A state directory is one instance's: another process that is given it is told so, and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_belongs_to_one_process() {
    let topics = [("counts-in", PARTITIONS), ("counts-counts", 1)];
    let (dir, broker, client) = started(&topics).await;
    let state = dir.path().join("state");
    let config = config(&broker, "counts").state_dir(&state);
    let topology = COUNTS.topology("counts");
    let streams = Streams::start(&topology, config.clone()).await.unwrap();
    let mut other = Command::new(env!("CARGO_BIN_EXE_application"));
    other
        .args(["counts", "counts", &broker.bootstrap(), "50", "1", "1024"])
        .arg(&state)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    // It holds its input open: the end of that would end the process.
    let mut other = other.spawn().unwrap();
    let ended = async || other.try_wait().unwrap();
    let status = until_found("the other process to end", ended).await;
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    let errors = other.stderr.as_mut().unwrap();
    errors.read_to_string(&mut said).unwrap();
    let dir = state.join("counts");
    assert!(
        said.contains(dir.to_str().unwrap())
            && said.contains("another instance of the application"),
        "{said}"
    );
    // The one that has it is none the worse for it.
    write(&client, "counts-in", [("k".to_owned(), "v".to_owned(), 5)]).await;
    streams.close(Duration::from_secs(60)).await.unwrap();
    catch_up(&topology, config).await;
    let counts = read::<String, String>(&client, "counts-counts").await;
    assert_eq!(counts, [("v".to_owned(), "1".to_owned())]);
    broker.shutdown().await.unwrap();
}
