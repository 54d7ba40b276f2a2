//! A view of transactions that were committed, aborted, or are still open. Tidemark has none, so this is on
//! Apache Kafka, and another consumer says what was committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, unique};
use integration_tests::harness::wait::until;
use integration_tests::places::places;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Client, Clock};
use tidemark_streams::serving::aggregate::PlaceCount;
use tidemark_streams::serving::{
    Aggregate, Batch, BatchConfig, BatchError, BatchOutcome, Coverage, Lambda, LambdaConfig,
    Snapshots, verify,
};

use crate::support::{make, partitions, until_found};

type Foreign = ThreadedProducer<DefaultProducerContext>;
/// A key's records by partition and offset, each once.
type Places = BTreeMap<String, BTreeSet<(i32, i64)>>;

const PARTITIONS: i32 = 2;
const LONG: Duration = Duration::from_secs(60);

/// A producer, amid whose transaction others write.
struct Writer {
    producer: Foreign,
    topic: String,
}

impl Writer {
    fn new(bootstrap: &str, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("transactional.id", unique("view"))
            // Nothing ends it but whoever began it, however long that takes.
            .set("transaction.timeout.ms", "600000");
        let producer: Foreign = config.create().unwrap();
        producer.init_transactions(LONG).unwrap();
        let topic = topic.to_owned();
        Self { producer, topic }
    }

    /// Begins a transaction with a record of each of some keys in each partition; the broker has them then.
    fn begin(&self, keys: &[&str]) {
        self.producer.begin_transaction().unwrap();
        for key in keys {
            for partition in 0..PARTITIONS {
                let record = BaseRecord::to(&self.topic).key(*key).payload("-");
                let sent = self.producer.send(record.partition(partition));
                sent.map_err(|(error, _)| error).unwrap();
            }
        }
        self.producer.flush(LONG).unwrap();
    }

    fn commit(&self) {
        self.producer.commit_transaction(LONG).unwrap();
    }

    fn abort(&self) {
        self.producer.abort_transaction(LONG).unwrap();
    }
}

/// What another consumer gets that reads what was committed, up to the end.
fn committed(bootstrap: &str, topic: &str) -> Places {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", unique("committed"))
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assigned = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let added = assigned.add_partition_offset(topic, partition, Offset::Beginning);
        added.unwrap();
    }
    consumer.assign(&assigned).unwrap();
    let (mut places, mut ended) = (Places::new(), BTreeSet::new());
    until("the other consumer to have read all", || {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => {
                let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
                let place = (record.partition(), record.offset());
                places.entry(key).or_default().insert(place);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
        (ended.len() == PARTITIONS as usize).then_some(())
    });
    places
}

/// Where what is decided ends.
async fn stable(client: &Client, topic: &str, isolation: IsolationLevel) -> Coverage {
    let all = partitions(client, &[topic]).await;
    let wanted = all.iter().map(|own| (own.clone(), OffsetSpec::Latest));
    let listed = client.admin().list_offsets(wanted, isolation).await;
    let mut coverage = Coverage::new();
    for (own, end) in listed.unwrap().all().unwrap() {
        coverage.set(&own.topic, own.partition, end.offset.unwrap());
    }
    coverage
}

/// Where the log ends once all of it is decided: Kafka says that a transaction has ended before its markers are in
/// all partitions.
async fn when_decided(client: &Client, topic: &str) -> Coverage {
    until_found("all transactions to be decided", async || {
        let decided = stable(client, topic, IsolationLevel::ReadCommitted).await;
        let end = stable(client, topic, IsolationLevel::ReadUncommitted).await;
        (decided == end).then_some(end)
    })
    .await
}

fn of(value: Vec<PlaceCount>) -> BTreeSet<(i32, i64)> {
    let places = value.into_iter().map(|place| {
        assert_eq!(place.count, 1, "{place:?}");
        (place.partition, place.offset)
    });
    places.collect()
}

/// All that the view answers, and what of it is in the snapshot. It covers just what is decided.
async fn served<A: Aggregate<Value = Vec<PlaceCount>>>(
    lambda: &Lambda<String, A>,
    decided: &Coverage,
) -> (Places, Places) {
    lambda.covers(decided).await.unwrap();
    let page = lambda.reader().range(.., 100, None).unwrap();
    assert!(page.next.is_none());
    assert_eq!(&page.coverage, decided);
    let (mut all, mut batch) = (Places::new(), Places::new());
    for row in page.rows {
        if let Some(own) = row.batch {
            batch.insert(row.key.clone(), of(own));
        }
        all.insert(row.key, of(row.value));
    }
    (all, batch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_has_what_was_committed_and_nothing_behind_what_is_open() {
    let cluster = match Cluster::shared_kafka().await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let bootstrap = cluster.bootstrap();
    let client = Arc::new(Client::connect(&bootstrap).unwrap());
    let topic = unique("transactions");
    make(&client, &[(&topic, PARTITIONS)]).await;
    let [one, two] = tokio::task::block_in_place(|| {
        let [one, two] = [0, 1].map(|_| Writer::new(&bootstrap, &topic));
        one.begin(&["a", "b"]);
        two.begin(&["a", "c"]);
        one.abort();
        two.commit();
        one.begin(&["b"]);
        one.commit();
        two.begin(&["a"]);
        two.abort();
        [one, two]
    });
    let dir = tempfile::tempdir().unwrap();
    let view = Arc::new(places(&topic));
    let config = LambdaConfig::new(&bootstrap, dir.path())
        .cut_every(Duration::ZERO)
        .commit_interval(Duration::from_millis(50))
        .wait(LONG);
    let lambda = Lambda::start(places(&topic), config).await.unwrap();
    let all_is_decided = when_decided(&client, &topic).await;
    let before = tokio::task::block_in_place(|| committed(&bootstrap, &topic));
    assert_eq!(before.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(served(&lambda, &all_is_decided).await.0, before);
    // A snapshot of all of it: its end is behind an aborted transaction.
    let covered = async |decided: &Coverage| {
        until_found("a snapshot with all of it", async || {
            lambda.run_batch().await.unwrap();
            let number = lambda.snapshot()?;
            let snapshots = Snapshots::local(dir.path(), view.name()).unwrap();
            let manifest = snapshots.manifest(number).await.unwrap();
            assert!(decided.includes(&manifest.coverage()), "{manifest:?}");
            manifest.coverage().includes(decided).then_some(manifest)
        })
        .await
    };
    covered(&all_is_decided).await;
    assert_eq!(
        served(&lambda, &all_is_decided).await,
        (before.clone(), before.clone())
    );

    // One is open, and what others commit behind it is decided with it only.
    tokio::task::block_in_place(|| {
        one.begin(&["a", "open"]);
        two.begin(&["a", "late"]);
        two.commit();
    });
    let decided = stable(&client, &topic, IsolationLevel::ReadCommitted).await;
    let end = stable(&client, &topic, IsolationLevel::ReadUncommitted).await;
    assert!(
        end.includes(&decided) && !decided.includes(&end),
        "{decided} {end}"
    );
    assert_eq!(
        tokio::task::block_in_place(|| committed(&bootstrap, &topic)),
        before
    );
    assert_eq!(served(&lambda, &decided).await.0, before);
    let batch = |from_scratch: bool| {
        let (view, client) = (Arc::clone(&view), Arc::clone(&client));
        let config = BatchConfig::new().from_scratch(from_scratch);
        Batch::local(view, client, Clock::system(), dir.path(), config).unwrap()
    };
    let error = match batch(false).check(&end).await.unwrap_err() {
        BatchError::Cut(error) => error.to_string(),
        other => panic!("{other}"),
    };
    assert!(
        error.contains("Transactions in front of it may still be open"),
        "{error}"
    );
    // Whoever asks for more gets what is decided.
    match batch(true).run(Some(&end)).await.unwrap() {
        BatchOutcome::Published(own) => assert!(decided.includes(&own.manifest.coverage())),
        other @ BatchOutcome::NothingNew { .. } => panic!("{other:?}"),
    }
    let snapshots = Snapshots::local(dir.path(), view.name()).unwrap();
    let verdict = verify(
        &view,
        Arc::clone(&client),
        Clock::system(),
        &snapshots,
        None,
    )
    .await;
    let verdict = verdict.unwrap();
    assert!(verdict.is_good(), "{verdict:?}");
    let records: usize = before.values().map(BTreeSet::len).sum();
    assert_eq!(verdict.records, records as u64);

    // All is decided, in one way or the other.
    tokio::task::block_in_place(|| {
        one.commit();
        two.begin(&["late"]);
        two.abort();
    });
    let decided = when_decided(&client, &topic).await;
    let after = tokio::task::block_in_place(|| committed(&bootstrap, &topic));
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        ["a", "b", "c", "late", "open"]
    );
    assert_eq!(served(&lambda, &decided).await.0, after);
    covered(&decided).await;
    assert_eq!(served(&lambda, &decided).await, (after.clone(), after));
    lambda.close(LONG).await.unwrap();
}
