//! Applications that read what was committed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, unique};
use integration_tests::harness::proxy::{Intercepted, Proxy, Verdict};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tidemark_client::Client;
use tidemark_client::consumer::IsolationLevel;
use tidemark_streams::{BeginAt, Streams, StreamsBuilder, StreamsConfig, Topology};

use crate::support::{catch_up, config_at, in_the_end, make, read, until, until_found, write};

fn record(value: &str, at: i64) -> (String, String, i64) {
    ("k".to_owned(), value.to_owned(), at)
}

/// Two topics in the order of time, each record with its key's name.
fn named([left, right, names, out]: [&str; 4]) -> Topology {
    let builder = StreamsBuilder::new();
    let names = builder.global_table::<String, String>(names);
    let left = builder.stream::<String, String>(left);
    let right = builder.stream::<String, String>(right);
    let named = |value: &String, name: &String| format!("{value} {name}");
    left.merge(&right)
        .join_global(&names, |key, _| key.clone(), named)
        .to(out);
    builder.build().unwrap()
}

fn committed(bootstrap: &str, application: &str) -> StreamsConfig {
    config_at(bootstrap, application).isolation_level(IsolationLevel::ReadCommitted)
}

/// Records and ends of source topics are asked for in that way, those of global tables, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_is_asked_for() {
    let proxy = Proxy::intercept(|_: &Intercepted| Verdict::Pass).await;
    // Every Fetch names its partitions.
    let sessions = ("max.incremental.fetch.session.cache.slots", "0");
    let cluster = Cluster::tidemark_behind(&proxy, &[sessions]).await;
    let client = Client::connect(&cluster.bootstrap()).unwrap();
    let topics = ["left", "right", "names", "out"];
    make(&client, &topics.map(|topic| (topic, 1))).await;
    for topic in &topics[..3] {
        write(&client, topic, [record(topic, 5)]).await;
    }
    let described = client.admin().describe_topics(topics).await.unwrap();
    let described = described.all().unwrap().into_iter();
    let ids: HashMap<_, _> = described.map(|(name, topic)| (topic.id, name)).collect();
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&asked);
    proxy.set_script(move |request| {
        let mut seen = seen.lock().unwrap();
        if request.is::<FetchRequest>() {
            let fetch: FetchRequest = request.decode();
            for topic in fetch.topics {
                if let Some(name) = ids.get(&topic.topic_id) {
                    seen.insert(("records", name.clone(), fetch.isolation_level));
                }
            }
        } else if request.is::<ListOffsetsRequest>() {
            let list: ListOffsetsRequest = request.decode();
            for topic in list.topics {
                seen.insert(("ends", topic.name.to_string(), list.isolation_level));
            }
        }
        Verdict::Pass
    });
    catch_up(&named(topics), committed(&proxy.address(), "named")).await;
    let mut asked = asked.lock().unwrap().clone();
    asked.retain(|(_, topic, _)| topics[..3].contains(&topic.as_str()));
    let committed = i8::from(true);
    let expected = topics[..3]
        .iter()
        .flat_map(|topic| ["records", "ends"].map(|what| (what, (*topic).to_owned(), committed)));
    assert_eq!(asked, expected.collect());
    drop(proxy);
    cluster.stop().await;
}

/// The end of a topic is the last stable offset: nobody waits for transactions that are open, and what is
/// committed later comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_holds_nobody_up() {
    let cluster = match Cluster::shared_kafka().await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let bootstrap = cluster.bootstrap();
    let client = Client::connect(&bootstrap).unwrap();
    let id = unique("transactions");
    let topics = ["left", "right", "names", "out"].map(|topic| format!("{id}-{topic}"));
    let topics: [&str; 4] = topics.each_ref().map(String::as_str);
    let [left, right, names, out] = topics;
    make(&client, &topics.map(|topic| (topic, 1))).await;
    write(&client, left, [record("1", 10)]).await;
    write(&client, right, [record("2", 20)]).await;
    write(&client, names, [record("first", 0)]).await;
    let (address, of) = (bootstrap.clone(), [left, names].map(str::to_owned));
    let open = tokio::task::spawn_blocking(move || begin(&address, &of));
    let open = open.await.unwrap();
    let topology = named(topics);
    // 2 does not wait for what comes behind 1, nor the table for its end, nor the end for either.
    in_the_end("the end", catch_up(&topology, committed(&bootstrap, &id))).await;
    let written = read::<String, String>(&client, out).await;
    let written: Vec<_> = written.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(written, ["1 first", "2 first"]);
    // Whoever begins with what is new has what is committed from now on.
    let latest = committed(&bootstrap, &unique("latest")).begin_at(BeginAt::Latest);
    let streams = Streams::start(&topology, latest).await.unwrap();
    until("it to run", || streams.tasks().len() == 1).await;
    let commit = tokio::task::spawn_blocking(move || open.commit_transaction(LONG));
    commit.await.unwrap().unwrap();
    let third = until_found("what was committed", async || {
        let written = read::<String, String>(&client, out).await;
        Some(written.get(2)?.1.clone())
    })
    .await;
    assert!(third.starts_with("open "), "{third}");
    streams.close(Duration::from_secs(60)).await.unwrap();
}

const LONG: Duration = Duration::from_secs(60);

/// Begins a transaction with a record for each of these topics, and waits until the broker has them.
fn begin(bootstrap: &str, topics: &[String]) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", unique("transactional"))
        // Nothing ends it but whoever began it, however long that takes.
        .set("transaction.timeout.ms", "600000");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer.begin_transaction().unwrap();
    for topic in topics {
        let record = BaseRecord::<str, str>::to(topic).key("k").payload("open");
        producer.send(record).unwrap();
    }
    producer.flush(LONG).unwrap();
    producer
}
