//! Groups of the new protocol of consumers (KIP-848): on Apache Kafka alone, Tidemark has no such
//! groups.

use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, unique};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tidemark_client::admin::{
    GroupDescription, GroupFilter, GroupState, GroupType, MemberDescription, MemberToRemove,
};
use tidemark_client::consumer::CommittedOffset;
use tidemark_client::{Admin, ClientError, TopicPartition};
use tidemark_protocol::ErrorCode;

use super::groups::{listed, offsets};
use super::{admin, code, make, refusal, says, settled};
use crate::support::blocking;

fn member(bootstrap: &str, group: &str, topic: &str) -> BaseConsumer {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "member")
        .set("group.id", group)
        .set("group.protocol", "consumer")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

async fn describe(admin: &Admin, group: &str) -> Result<GroupDescription, ClientError> {
    let mut described = admin.describe_groups([group]).await.unwrap();
    described.remove(group).unwrap()
}

/// The group when its only member has all partitions.
async fn has_joined(
    admin: &Admin,
    group: &str,
    consumer: &BaseConsumer,
    all: &[TopicPartition],
) -> GroupDescription {
    settled(async || {
        // It does what the coordinator says only if it is read.
        drop(consumer.poll(Duration::from_millis(10)));
        let group = describe(admin, group).await.ok()?;
        let stable = group.state == GroupState::Stable;
        let has_all = |member: &MemberDescription| member.partitions == all;
        (stable && group.members.iter().any(has_all)).then_some(group)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_the_new_protocol_are_described() {
    let cluster = match Cluster::shared_kafka().await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let admin = admin(&cluster);
    let [topic, group] = ["topic", "group"].map(unique);
    make(&admin, &topic, 2).await;
    let all = [0, 1].map(|index| TopicPartition::new(&*topic, index));
    let consumer = member(&cluster.bootstrap(), &group, &topic);
    let found = has_joined(&admin, &group, &consumer, &all).await;
    assert_eq!((&found.id, &found.kind), (&group, &GroupType::Consumer));
    assert_eq!(
        (&*found.protocol_type, &*found.protocol),
        ("consumer", "uniform")
    );
    let coordinators = admin.find_coordinators([&*group]).await.unwrap();
    assert_eq!(found.coordinator, coordinators.all().unwrap()[&group]);
    let [only] = &found.members[..] else {
        panic!("{found:?}")
    };
    assert_eq!((&*only.client_id, &only.instance_id), ("member", &None));
    assert!(only.host.contains("127.0.0.1") && !only.id.is_empty());
    assert_eq!(
        (&only.topics[..], &only.topic_regex),
        (&[topic.clone()][..], &None)
    );
    assert_eq!(only.target.as_deref(), Some(&all[..]));

    let new = GroupFilter::new().types([GroupType::Consumer]);
    let listed = listed(&admin, new).await;
    assert!(listed.iter().any(|listing| listing.id == group));

    with_members(&admin, &group, &all).await;
    // One that is alive joins again.
    let gone = [MemberToRemove::Id(only.id.clone())];
    let gone = admin.remove_members(&group, gone, "test").await.unwrap();
    gone.all().unwrap();
    has_joined(&admin, &group, &consumer, &all).await;
    blocking(move || drop(consumer)).await;
    settled(async || {
        let group = describe(&admin, &group).await.unwrap();
        (group.state == GroupState::Empty && group.members.is_empty()).then_some(())
    })
    .await;
    without_members(&admin, &group, &all).await;
}

/// What its members do not let be done.
async fn with_members(admin: &Admin, group: &str, all: &[TopicPartition]) {
    let set = [(all[0].clone(), CommittedOffset::new(0))];
    let error = refusal(admin.alter_group_offsets(group, set).await.unwrap());
    assert_eq!(code(&error), ErrorCode::UnknownMemberId);
    says(&error, &["setting the offset", group]);
    let deleted = admin.delete_group_offsets(group, all[..1].to_vec()).await;
    let error = refusal(deleted.unwrap());
    assert_eq!(code(&error), ErrorCode::GroupSubscribedToTopic);
    says(&error, &["deleting the offset", group]);
    let error = refusal(admin.delete_groups([group]).await.unwrap());
    assert_eq!(code(&error), ErrorCode::NonEmptyGroup);
    says(&error, &["deleting group", group]);
}

async fn without_members(admin: &Admin, group: &str, all: &[TopicPartition]) {
    let set = all.iter().map(|key| (key.clone(), CommittedOffset::new(0)));
    let set = admin.alter_group_offsets(group, set).await.unwrap();
    set.all().unwrap();
    let deleted = admin.delete_group_offsets(group, all[..1].to_vec()).await;
    deleted.unwrap().all().unwrap();
    assert_eq!(offsets(admin, group).await, [(all[1].clone(), 0)]);
    let deleted = admin.delete_groups([group]).await.unwrap();
    deleted.all().unwrap();
    let error = describe(admin, group).await.unwrap_err();
    assert_eq!(code(&error), ErrorCode::GroupIdNotFound);
    says(&error, &[group]);
}
