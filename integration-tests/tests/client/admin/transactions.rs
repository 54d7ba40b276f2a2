//! Offsets that others commit in transactions.

use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use tidemark_client::admin::OffsetsOf;
use tidemark_client::consumer::CommittedOffset;
use tidemark_client::{Admin, ClientError, TopicPartition};
use tidemark_protocol::ErrorCode;

use super::groups::offsets;
use super::{admin, code, make};
use crate::support::{LONG, blocking};

type Foreign = ThreadedProducer<DefaultProducerContext>;

/// Begins a transaction that moves a group to an offset, and waits until the broker has that.
fn send_offset(bootstrap: &str, group: &str, topic: &str, offset: i64) -> Foreign {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("transactional.id", unique("transactional"));
    let producer: Foreign = config.create().unwrap();
    let consumer: BaseConsumer = config.create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    let offset = Offset::Offset(offset);
    offsets.add_partition_offset(topic, 0, offset).unwrap();
    let group = consumer.group_metadata().unwrap();
    producer
        .send_offsets_to_transaction(&offsets, &group, LONG)
        .unwrap();
    producer
}

async fn stable(admin: &Admin, group: &str, key: &TopicPartition) -> Result<i64, ClientError> {
    let asked = [(group, OffsetsOf::Partitions(vec![key.clone()]))];
    let found = admin.stable_group_offsets(asked).await?.all()?;
    let found = found[group].get(key).unwrap().as_ref().unwrap();
    Ok(found.as_ref().unwrap().offset)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_without_transactions_are_stable() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let [topic, group] = ["topic", "group"].map(unique);
        make(&admin, &topic, 1).await;
        let key = TopicPartition::new(&*topic, 0);
        let set = [(key.clone(), CommittedOffset::new(3))];
        let set = admin.alter_group_offsets(&group, set).await.unwrap();
        set.all().unwrap();
        assert_eq!(stable(&admin, &group, &key).await.unwrap(), 3);
    })
    .await;
}

/// On Apache Kafka alone: Tidemark has no transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_transactions_are_waited_for() {
    let cluster = match Cluster::shared_kafka().await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let admin = admin(&cluster);
    let [topic, group] = ["topic", "group"].map(unique);
    make(&admin, &topic, 1).await;
    let key = TopicPartition::new(&*topic, 0);
    let set = [(key.clone(), CommittedOffset::new(3))];
    let set = admin.alter_group_offsets(&group, set).await.unwrap();
    set.all().unwrap();
    let (bootstrap, group_id) = (cluster.bootstrap(), group.clone());
    let producer = blocking(move || send_offset(&bootstrap, &group_id, &topic, 7)).await;
    assert_eq!(offsets(&admin, &group).await, [(key.clone(), 3)]);
    let hasty = admin.clone().timeout(Duration::from_millis(700));
    let error = stable(&hasty, &group, &key).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert_eq!(code(&error), ErrorCode::UnstableOffsetCommit);
    blocking(move || producer.commit_transaction(LONG).unwrap()).await;
    assert_eq!(stable(&admin, &group, &key).await.unwrap(), 7);
}
