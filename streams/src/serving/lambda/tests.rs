//! A view on a broker in this process: every record once, through snapshots, restarts and damaged files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle};
use tidemark_client::admin::{Mode, NewPartitions, NewTopic};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig};

use super::*;
use crate::record::Record;
use crate::serving::aggregate::Count;
use crate::serving::batch::{Batch, BatchConfig, BatchOutcome};
use crate::serving::merged::Row;
use crate::serving::simulation::places::Free;
use crate::serving::view::Keyed;
use crate::time::TimeWindows;

type Key = String;

fn view() -> View<Key, Free> {
    View::new("places", 1, Free).source("events", |record: Record<String, Bytes>| {
        [Keyed::new(record.key, ())]
    })
}

async fn started() -> (Handle, Client, String) {
    let options = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
        ("log.dirs", "/lambda"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let config = BrokerConfig::from_pairs(options).unwrap();
    let broker = Broker::start(config, Environment::in_memory())
        .await
        .unwrap();
    let address = broker.bootstrap();
    let client = Client::new(ClientConfig::new(&address)).unwrap();
    make_topic(&client).await;
    (broker, client, address)
}

async fn make_topic(client: &Client) {
    let new = NewTopic::new("events").partitions(3);
    let made = client.admin().create_topics([new], Mode::Apply).await;
    made.unwrap().all().unwrap();
}

/// Writes so many events, each key in turn; gives the offsets by partition that cover them.
async fn write(client: &Client, count: usize) -> Coverage {
    let producer = client.producer(ProducerConfig::new()).unwrap();
    let mut coverage = Coverage::new();
    let mut deliveries = Vec::new();
    for number in 0..count {
        let record = ProducerRecord::to("events")
            .key(Bytes::from(format!("user{}", number % 5)))
            .value(Bytes::from_static(b"{}"))
            .partition((number % 3) as i32)
            .timestamp(number as i64);
        deliveries.push(producer.send(&record).await.unwrap());
    }
    for delivery in deliveries {
        let written = delivery.await.unwrap();
        let behind = written.offset + 1;
        let partition = written.partition.partition;
        let before = coverage.get("events", partition);
        coverage.set("events", partition, before.max(behind));
    }
    coverage
}

fn config(address: &str, dir: &Path) -> LambdaConfig {
    LambdaConfig::new(address, dir.join("snapshots"))
        .state_dir(dir.join("state"))
        .cut_every(Duration::ZERO)
        .commit_interval(Duration::from_millis(50))
        .wait(Duration::from_secs(60))
        .batch(BatchConfig::new().checkpoint(40))
}

/// All keys' places up to a coverage: each offset once.
async fn check(lambda: &Lambda<Key, Free>, coverage: &Coverage) -> Option<u64> {
    let mut found: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    let mut snapshot = None;
    for key in 0..5 {
        let key = format!("user{key}");
        let mut scratch = Vec::new();
        let answer = lambda.get_at_least(&key, coverage).await.unwrap();
        assert!(answer.coverage.includes(coverage));
        let name = lambda.site.name(&key, None, &mut scratch).unwrap();
        let merged = lambda.site.get(&name, &Ask::default()).unwrap();
        for ((_, partition, offset), count) in merged.whole(&Free).unwrap().0 {
            assert_eq!(count, 1, "{key} {partition} {offset}");
            found.entry(partition).or_default().push(offset);
        }
        snapshot = answer.snapshot;
    }
    for (_, partition, to) in coverage.iter() {
        let mut offsets = found.remove(&partition).unwrap_or_default();
        offsets.sort_unstable();
        let expected: Vec<i64> = (0..to).collect();
        assert_eq!(offsets, expected, "partition {partition}");
    }
    snapshot
}

/// Runs batches until a snapshot has everything: a cut can be used when it has been saved and announced.
async fn covered(lambda: &Lambda<Key, Free>, coverage: &Coverage) -> u64 {
    for _ in 0..600 {
        let outcome = lambda.run_batch().await.unwrap();
        let current = lambda.site.current();
        if let Some(loaded) = current.filter(|loaded| loaded.manifest.coverage().includes(coverage))
        {
            return loaded.manifest.snapshot;
        }
        if matches!(outcome, BatchOutcome::NothingNew { .. }) {
            lambda.clock.sleep(Duration::from_millis(20)).await;
        }
    }
    panic!(
        "no snapshot covers {coverage}: {:?}",
        lambda.runs.refresh.trouble()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_in_the_answer_once() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let mut end = write(&client, 100).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    assert_eq!(check(&lambda, &end).await, None);
    let first = covered(&lambda, &end).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    end = write(&client, 100).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    // It goes on where it was, with its segments and the snapshot.
    lambda.close(Duration::from_secs(60)).await.unwrap();
    end = write(&client, 50).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    assert_eq!(check(&lambda, &end).await, Some(first));
    let second = covered(&lambda, &end).await;
    assert!(second > first);
    assert_eq!(check(&lambda, &end).await, Some(second));
    // From the beginning it is the same.
    let scratch = Batch::local(
        Arc::new(view()),
        Arc::new(client.clone()),
        Clock::system(),
        &dir.path().join("snapshots"),
        BatchConfig::new().from_scratch(true),
    );
    let cut = lambda.runs.control.announced().await.unwrap().newest();
    let outcome = scratch.unwrap().run(Some(&cut)).await.unwrap();
    let BatchOutcome::Published(scratch) = outcome else {
        panic!("{outcome:?}");
    };
    let scratch = scratch.manifest;
    assert_eq!(scratch.parent, None);
    lambda.runs.refresh.once().await;
    assert_eq!(check(&lambda, &end).await, Some(scratch.snapshot));
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// The last file of states that a snapshot has itself.
fn a_file(dir: &Path, snapshots: &[std::path::PathBuf]) -> std::path::PathBuf {
    let mut files = Vec::new();
    let mut open = vec![dir.join("snapshots/places/state")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|file| !snapshots.contains(file));
    files.sort();
    files.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_told_and_the_one_before_is_read() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let mut end = write(&client, 60).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    let first = covered(&lambda, &end).await;
    end = write(&client, 60).await;
    covered(&lambda, &end).await;
    end = write(&client, 60).await;
    let third = covered(&lambda, &end).await;
    // Runs may have been made at cuts in between.
    let numbers = lambda.runs.batch.snapshots().numbers().await.unwrap();
    let second = numbers[numbers.len() - 2];
    assert!(first < second && second < third);
    lambda.close(Duration::from_secs(60)).await.unwrap();
    let damaged = a_file(dir.path(), &[]);
    let mut bytes = std::fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    end = write(&client, 60).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    assert_eq!(lambda.snapshot(), Some(second));
    let trouble = lambda.runs.refresh.trouble().unwrap();
    assert!(
        trouble.contains(&format!("snapshot {third} is not used")),
        "{trouble}"
    );
    assert!(trouble.contains("checksum"), "{trouble}");
    assert_eq!(check(&lambda, &end).await, Some(second));
    // The next run does not go on from what is damaged.
    let fourth = covered(&lambda, &end).await;
    assert!(fourth > third);
    assert_eq!(check(&lambda, &end).await, Some(fourth));
    assert_eq!(lambda.runs.refresh.trouble(), None);
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_view_is_computed_anew() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let end = write(&client, 60).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    let first = covered(&lambda, &end).await;
    lambda.close(Duration::from_secs(60)).await.unwrap();
    let changed = View::new("places", 2, Free);
    let changed = changed.source("events", |record: Record<String, Bytes>| {
        [Keyed::new(record.key, ())]
    });
    let lambda = Lambda::start(changed, config(&address, dir.path()))
        .await
        .unwrap();
    assert_eq!(lambda.snapshot(), None);
    let trouble = lambda.runs.refresh.trouble().unwrap();
    assert!(
        trouble.contains("places version 1") && trouble.contains("version 2"),
        "{trouble}"
    );
    assert_eq!(check(&lambda, &end).await, None);
    let second = covered(&lambda, &end).await;
    assert!(second > first);
    for number in first + 1..=second {
        let manifest = lambda
            .runs
            .batch
            .snapshots()
            .manifest(number)
            .await
            .unwrap();
        // The first one goes on from nothing; events are written once, whatever is computed of them.
        let parent = (number > first + 1).then(|| number - 1);
        assert_eq!((manifest.parent, manifest.events.len()), (parent, 0));
    }
    assert_eq!(check(&lambda, &end).await, Some(second));
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// Its offsets mean other records: nothing of the one before it is in any answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_is_another_one() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let end = write(&client, 90).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    let first = covered(&lambda, &end).await;
    lambda.close(Duration::from_secs(60)).await.unwrap();
    let files = |path: &str| {
        let own = lambda_files(dir.path());
        own.into_iter().filter(|file| file.contains(path)).count()
    };
    let before = files("events/topic=events/");
    let deleted = client.admin().delete_topics(["events"]).await.unwrap();
    deleted.all().unwrap();
    make_topic(&client).await;
    let end = write(&client, 60).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    assert_eq!(lambda.snapshot(), None);
    let trouble = lambda.runs.refresh.trouble().unwrap();
    assert!(trouble.contains("made again"), "{trouble}");
    assert_eq!(check(&lambda, &end).await, None);
    let error = lambda.run_batch().await.unwrap_err().to_string();
    assert!(error.contains("made again"), "{error}");
    let told = lambda.runs.trouble().unwrap();
    assert!(told.contains("the last batch run has failed"), "{told}");
    // It has to be asked for: the log has not got any more what the snapshots have.
    let scratch = Batch::local(
        Arc::new(view()),
        Arc::new(client.clone()),
        Clock::system(),
        &dir.path().join("snapshots"),
        BatchConfig::new().from_scratch(true),
    );
    let scratch = scratch.unwrap();
    let second = loop {
        // At the cuts that have been announced by then.
        let BatchOutcome::Published(own) = scratch.run(None).await.unwrap() else {
            panic!("nothing new");
        };
        let manifest = own.manifest;
        lambda.runs.refresh.once().await;
        if manifest.coverage().includes(&end) {
            break manifest;
        }
    };
    assert!(second.snapshot > first);
    assert_eq!(check(&lambda, &end).await, Some(second.snapshot));
    assert!(files("events/topic=events/") > before);
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_while_it_is_read_ends_the_view() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let end = write(&client, 30).await;
    let config = config(&address, dir.path()).poll(Duration::from_millis(100));
    let lambda = Lambda::start(view(), config).await.unwrap();
    lambda.covers(&end).await.unwrap();
    let deleted = client.admin().delete_topics(["events"]).await.unwrap();
    deleted.all().unwrap();
    make_topic(&client).await;
    // More than there was: its offsets seem to go on.
    write(&client, 90).await;
    let user = "user0".to_owned();
    let error = loop {
        match lambda.get(&user) {
            Err(QueryError::Ended(error)) => break error,
            Ok(answer) => assert!(end.includes(&answer.coverage), "{answer:?}"),
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
        lambda.clock.sleep(Duration::from_millis(20)).await;
    };
    assert!(
        error.contains("made again") || error.contains("does not exist"),
        "{error}"
    );
    let _ = lambda.close(Duration::from_secs(60)).await;
    broker.shutdown().await.unwrap();
}

/// The speed layer begins anew, and leaves out what the snapshot has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_may_be_given_more_partitions() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let end = write(&client, 60).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    let first = covered(&lambda, &end).await;
    lambda.close(Duration::from_secs(60)).await.unwrap();
    let five = [("events", NewPartitions::increase_to(5))];
    let grown = client.admin().create_partitions(five, Mode::Apply).await;
    grown.unwrap().all().unwrap();
    let record = ProducerRecord::to("events")
        .key(Bytes::from_static(b"user1"))
        .value(Bytes::from_static(b"{}"))
        .partition(4);
    let producer = client.producer(ProducerConfig::new()).unwrap();
    producer.send(&record).await.unwrap().await.unwrap();
    let mut end = write(&client, 60).await;
    end.set("events", 4, 1);
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    assert_eq!(check(&lambda, &end).await, Some(first));
    let second = covered(&lambda, &end).await;
    assert!(second > first);
    assert_eq!(check(&lambda, &end).await, Some(second));
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// What only the speed layer has must not be lost to a first snapshot that begins later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_snapshot_has_what_the_speed_layer_has() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let end = write(&client, 60).await;
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    lambda.covers(&end).await.unwrap();
    while lambda.runs.control.announced().await.unwrap().origins.len() < 3 {
        lambda.clock.sleep(Duration::from_millis(20)).await;
    }
    let before = tidemark_client::admin::RecordsBefore::Offset(5);
    let partition = tidemark_client::TopicPartition::new("events", 0);
    let deleted = client.admin().delete_records([(partition, before)]).await;
    deleted.unwrap().all().unwrap();
    let error = lambda.run_batch().await.unwrap_err().to_string();
    assert!(
        error.contains("a first snapshot would lose those between"),
        "{error}"
    );
    assert_eq!(check(&lambda, &end).await, None);
    // Unless that is asked for.
    while lambda.snapshot().is_none() {
        lambda.run_batch_from_scratch().await.unwrap();
    }
    let answer = lambda.get(&"user0".to_owned()).unwrap();
    assert_eq!(answer.begin.get("events", 0), 5);
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// All files of snapshots.
fn lambda_files(dir: &Path) -> Vec<String> {
    let (mut files, mut open) = (Vec::new(), vec![dir.join("snapshots")]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => files.push(path.display().to_string()),
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_asked_for_many_keys_in_this_process() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    // Event n is of user n % 5, at n ms; windows are of 10 ms.
    let windowed = View::new("windows", 1, Count::<()>::new())
        .source("events", |record: Record<String, Bytes>| {
            [Keyed::new(record.key, ()).at(record.timestamp)]
        })
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)));
    let lambda = Lambda::start(windowed, config(&address, dir.path()))
        .await
        .unwrap();
    let end = write(&client, 40).await;
    lambda.covers(&end).await.unwrap();
    // Some of it is in a snapshot, some is newer.
    let first = loop {
        lambda.run_batch().await.unwrap();
        if let Some(number) = lambda.snapshot() {
            break number;
        }
        lambda.clock.sleep(Duration::from_millis(20)).await;
    };
    let end = write(&client, 60).await;
    lambda.covers(&end).await.unwrap();
    let reader = lambda.reader().at_least(end.clone());
    let mut counts: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for number in (0..40).chain(0..60) {
        let start = number / 10 * 10;
        *counts
            .entry((format!("user{}", number % 5), start))
            .or_default() += 1;
    }
    let flat = |rows: Vec<Row<String, u64>>| -> Vec<((String, i64), u64)> {
        rows.into_iter()
            .map(|row| ((row.key, row.window.unwrap()), row.value))
            .collect()
    };
    let wanted = |keep: &dyn Fn(&str, i64) -> bool| -> Vec<((String, i64), u64)> {
        let all = counts.clone().into_iter();
        all.filter(|((key, start), _)| keep(key, *start)).collect()
    };
    // Page by page.
    let (mut rows, mut next) = (Vec::new(), None);
    loop {
        let page = reader.range(.., 7, next.as_ref()).unwrap();
        assert!(page.coverage.includes(&end));
        assert!(page.snapshot >= Some(first));
        rows.extend(page.rows);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(flat(rows), wanted(&|_, _| true));
    let (from, to) = ("user1".to_owned(), "user3".to_owned());
    let range = reader.range(from.clone()..to.clone(), 99, None).unwrap();
    assert_eq!(
        flat(range.rows),
        wanted(&|key, _| key == "user1" || key == "user2")
    );
    let range = reader.range(from.clone()..=to, 99, None).unwrap();
    assert_eq!(
        flat(range.rows),
        wanted(&|key, _| ("user1"..="user3").contains(&key))
    );
    let prefix = reader.prefix("user", 99, None).unwrap();
    assert_eq!(flat(prefix.rows), wanted(&|_, _| true));
    assert!(reader.prefix("usex", 99, None).unwrap().rows.is_empty());
    let windows = reader.windows(&from, 10..30, 99, None).unwrap();
    assert_eq!(
        flat(windows.rows),
        wanted(&|key, start| key == "user1" && (10..30).contains(&start))
    );
    let top = reader.top(3, |count| *count).unwrap();
    let expected = [("user0", 0), ("user0", 10), ("user0", 20)];
    let expected = expected.map(|(key, start)| ((key.to_owned(), start), 4));
    assert_eq!(flat(top.rows), expected);
    let one = reader.window(&from, 20).unwrap();
    assert_eq!(one.value, Some(4));
    let error = reader.window(&from, 21).unwrap_err().to_string();
    assert!(
        error.contains("no window starts at 21") && error.contains("at 20"),
        "{error}"
    );
    let error = reader.get(&from).unwrap_err().to_string();
    assert!(error.contains("the view has windows"), "{error}");
    let error = reader.clone().snapshot(999).get(&from).unwrap_err();
    assert!(matches!(error, QueryError::Key(_)), "{error}");
    let error = reader.snapshot(999).window(&from, 20).unwrap_err();
    assert!(
        matches!(error, QueryError::NoSnapshot { asked: 999, .. }),
        "{error}"
    );
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_refused() {
    let (broker, client, address) = started().await;
    let dir = tempfile::tempdir().unwrap();
    let refused = async |view: View<Key, Free>| {
        let started = Lambda::start(view, config(&address, dir.path())).await;
        started.err().unwrap().to_string()
    };
    let of = |topic: &str| {
        View::new("places", 1, Free).source(topic, |record: Record<String, Bytes>| {
            [Keyed::new(record.key, ())]
        })
    };
    let new = NewTopic::new("keyed").config("cleanup.policy", "compact");
    client
        .admin()
        .create_topics([new], Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    assert!(
        refused(of("keyed"))
            .await
            .contains("cleanup.policy=compact")
    );
    let missing = refused(of("missing")).await;
    assert!(missing.contains("missing"), "{missing}");
    assert!(
        refused(View::new("places", 1, Free))
            .await
            .contains("reads no topic")
    );
    // Of two runs at once one is let in.
    let batch = || {
        let client = Arc::new(client.clone());
        let (clock, folder) = (Clock::system(), dir.path().join("snapshots"));
        Batch::local(Arc::new(view()), client, clock, &folder, BatchConfig::new()).unwrap()
    };
    write(&client, 30).await;
    let held = crate::serving::snapshot::folder::Lock::take(&dir.path().join("snapshots/places"));
    let error = batch().run(None).await.unwrap_err();
    assert!(
        error.to_string().contains("another batch run is at work"),
        "{error}"
    );
    drop(held);
    let outcome = batch().run(None).await.unwrap();
    assert!(matches!(outcome, BatchOutcome::Published(_)));
    let outcome = batch().run(None).await.unwrap();
    let left_out = Vec::new();
    let snapshot = 1;
    assert_eq!(outcome, BatchOutcome::NothingNew { snapshot, left_out });
    // Records that are in no snapshot have gone.
    let end = write(&client, 30).await;
    let before = tidemark_client::admin::RecordsBefore::Offset(end.get("events", 0));
    let partition = tidemark_client::TopicPartition::new("events", 0);
    client
        .admin()
        .delete_records([(partition, before)])
        .await
        .unwrap()
        .all()
        .unwrap();
    let error = batch().run(None).await.unwrap_err();
    assert!(
        error.to_string().contains("are lost to this view"),
        "{error}"
    );
    // A speed layer that begins behind the snapshot says so, too.
    let lambda = Lambda::start(view(), config(&address, dir.path()))
        .await
        .unwrap();
    let user = "user0".to_owned();
    let error = loop {
        match lambda.get(&user).unwrap_err() {
            QueryError::Elsewhere(_) => lambda.clock.sleep(Duration::from_millis(20)).await,
            error => break error,
        }
    };
    assert!(error.to_string().contains("would have a gap"), "{error}");
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}
