//! Every call of the admin client, right and wrong: on Tidemark, on Apache Kafka, and on brokers that
//! speak earlier versions only.

mod configs;
mod consumer_groups;
mod groups;
mod member;
mod old_brokers;
mod partitions;
mod topics;
mod transactions;
mod trouble;

use std::fmt::Debug;

use integration_tests::harness::cluster::{Cluster, for_each_cluster};
use tidemark_client::admin::{Each, Mode, NewTopic, OffsetSpec};
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Admin, Client, ClientError, TopicPartition};
use tidemark_protocol::ErrorCode;

fn admin(cluster: &Cluster) -> Admin {
    Client::connect(&cluster.bootstrap()).unwrap().admin()
}

/// Makes a topic and waits until it is served: Apache Kafka answers before its broker knows.
async fn make(admin: &Admin, name: &str, partitions: i32) {
    make_with(admin, NewTopic::new(name).partitions(partitions)).await;
}

async fn make_with(admin: &Admin, topic: NewTopic) {
    let name = topic.name().to_owned();
    let made = admin.create_topics([topic], Mode::Apply).await.unwrap();
    let made = made.all().unwrap().remove(&name).unwrap();
    let all = (0..made.partitions.unwrap_or(1)).map(|index| {
        let partition = TopicPartition::new(&*name, index);
        (partition, OffsetSpec::Latest)
    });
    settled(async || {
        let listed = admin.list_offsets(all.clone(), IsolationLevel::ReadUncommitted);
        listed.await.unwrap().all().ok()
    })
    .await;
}

/// Asks until there is a value: what one part of a cluster has done another part hears of later.
async fn settled<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..10_000 {
        if let Some(value) = ask().await {
            return value;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not become true");
}

/// The error codes of outcomes, by key.
fn codes<K: Ord + Debug, T>(each: Each<K, T>) -> Vec<(String, ErrorCode)> {
    let outcomes = each.into_iter().map(|(key, outcome)| {
        let code = match outcome {
            Ok(_) => ErrorCode::None,
            Err(error) => code(&error),
        };
        (format!("{key:?}").replace('"', ""), code)
    });
    outcomes.collect()
}

fn code(error: &ClientError) -> ErrorCode {
    match error.code() {
        Some(code) => code,
        None => panic!("not a broker's refusal: {error}"),
    }
}

/// The only outcome of a call about one thing, which is an error.
fn refusal<K: Ord + Debug, T: Debug>(each: Each<K, T>) -> ClientError {
    assert_eq!(each.len(), 1);
    let (_, outcome) = each.into_iter().next().unwrap();
    outcome.unwrap_err()
}

#[track_caller]
fn says(error: &ClientError, texts: &[&str]) {
    for text in texts {
        assert!(error.to_string().contains(text), "{text:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_describes_itself() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let described = admin.describe_cluster().await.unwrap();
        let [broker] = &described.brokers[..] else {
            panic!("{described:?}");
        };
        assert_eq!(
            format!("{}:{}", broker.host, broker.port),
            cluster.bootstrap()
        );
        assert_eq!(described.controller, Some(broker.id));
        assert!(described.cluster_id.is_some_and(|id| id.len() == 22));
        assert_eq!(described.fenced, []);
        let apis = admin.api_versions(broker.id).await.unwrap();
        let fetch = apis.iter().find(|api| api.name == Some("Fetch")).unwrap();
        assert!((fetch.key, fetch.min) == (1, 4) && fetch.max >= 17);
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_an_error_of_the_call() {
    let config = tidemark_client::ClientConfig::new("127.0.0.1:1");
    let admin = Client::new(config).unwrap().admin();
    let admin = admin.timeout(std::time::Duration::from_millis(300));
    let error = admin.delete_topics(["a", "b"]).await.unwrap_err();
    says(&error, &["deleting topics", "127.0.0.1:1"]);
    let error = admin.describe_cluster().await.unwrap_err();
    says(&error, &["describing the cluster", "127.0.0.1:1"]);
    // Nothing to do is nothing to connect for.
    assert!(admin.describe_groups([""; 0]).await.unwrap().is_empty());
}
