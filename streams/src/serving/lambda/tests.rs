//! A view on a broker in this process: every record once, through snapshots, restarts and damaged files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle};
use tidemark_client::admin::{Mode, NewTopic};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig};

use super::*;
use crate::record::Record;
use crate::serving::batch::{BatchConfig, BatchOutcome};
use crate::serving::simulation::places::Free;
use crate::serving::view::Keyed;

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
    let new = NewTopic::new("events").partitions(3);
    client
        .admin()
        .create_topics([new], Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    (broker, client, address)
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
            .partition((number % 3) as i32);
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
        lambda.refresh.trouble()
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
    let cut = lambda.control.cuts().await.unwrap();
    let outcome = scratch.unwrap().run(Some(&cut)).await.unwrap();
    let BatchOutcome::Published(scratch) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(scratch.parent, None);
    lambda.refresh.once().await;
    assert_eq!(check(&lambda, &end).await, Some(scratch.snapshot));
    lambda.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}
