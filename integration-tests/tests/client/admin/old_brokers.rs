//! Every version of every request: the broker is made to look as if it spoke no later ones.

use std::io;

use bytes::{BufMut, BytesMut};
use integration_tests::harness::cluster::{Cluster, unique};
use tidemark_client::admin::{
    ConfigChange, ConfigQuery, ConfigResource, EpochQuery, GroupFilter, GroupState, MemberToRemove,
    Mode, NewPartitions, NewTopic, OffsetSpec, OffsetsOf, RecordsBefore, ResourceKind,
};
use tidemark_client::consumer::{CommittedOffset, IsolationLevel};
use tidemark_client::{
    Admin, BoxStream, CallError, Client, ClientConfig, ClientError, TopicPartition, Uuid,
};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::guard::decode_response;
use tidemark_protocol::messages::{ApiKey, ApiVersionsRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

use super::groups::offsets;
use super::member::join;
use super::partitions::{filled, offset};
use super::{code, refusal};

/// What an old broker does not have at all.
const LATER_APIS: &[ApiKey] = &[
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
    ApiKey::ListConfigResources,
];
/// The version in which this client asks for versions; the answer has a header without fields.
const API_VERSIONS: i16 = 3;

/// A way to a broker that seems to speak no version above `cap`, unless that is its lowest.
async fn connect(address: String, cap: i16, lacks: &'static [ApiKey]) -> io::Result<BoxStream> {
    let broker = TcpStream::connect(address).await?;
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(forward(theirs, broker, cap, lacks));
    Ok(Box::new(ours))
}

async fn forward(
    mut client: DuplexStream,
    mut broker: TcpStream,
    cap: i16,
    lacks: &[ApiKey],
) -> io::Result<()> {
    let asked = frame(&mut client).await?;
    broker.write_all(&asked).await?;
    let answer = frame(&mut broker).await?;
    client.write_all(&capped(&answer, cap, lacks)).await?;
    tokio::io::copy_bidirectional(&mut client, &mut broker).await?;
    Ok(())
}

/// A frame with its length in front.
async fn frame(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let size = from.read_u32().await?;
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.resize(4 + size as usize, 0);
    from.read_exact(&mut bytes[4..]).await?;
    Ok(bytes)
}

fn capped(answer: &[u8], cap: i16, lacks: &[ApiKey]) -> BytesMut {
    use kafka_protocol::protocol::Encodable;
    let (header, body) = answer.split_at(8);
    let body = body.to_vec().into();
    let mut versions = decode_response::<ApiVersionsRequest>(API_VERSIONS, body).unwrap();
    versions
        .api_keys
        .retain(|api| lacks.iter().all(|lacking| *lacking as i16 != api.api_key));
    for api in &mut versions.api_keys {
        // The first that can be kept from making topics.
        let lowest = match api.api_key {
            key if key == ApiKey::Metadata as i16 => 4,
            _ => api.min_version,
        };
        api.max_version = cap.clamp(lowest, api.max_version);
    }
    let mut bytes = BytesMut::new();
    versions.encode(&mut bytes, API_VERSIONS).unwrap();
    let mut frame = BytesMut::new();
    frame.put_u32(bytes.len() as u32 + 4);
    frame.put_slice(&header[4..]);
    frame.put_slice(&bytes);
    frame
}

fn admin(cluster: &Cluster, cap: i16, lacks: &'static [ApiKey]) -> Admin {
    let transport = move |host: &str, port: u16| connect(format!("{host}:{port}"), cap, lacks);
    let config = ClientConfig::new(&cluster.bootstrap()).transport(transport);
    Client::new(config).unwrap().admin()
}

/// The result from `first` on; before that the broker does not speak what is needed.
fn since<T>(cap: i16, first: i16, result: Result<T, ClientError>) -> Option<T> {
    match result {
        Ok(value) => {
            assert!(cap >= first, "{cap} should not do");
            Some(value)
        }
        Err(ClientError::Call(CallError::Unsupported { .. })) => {
            assert!(cap < first, "{cap} should do");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_of_every_request_works() {
    let cluster = Cluster::tidemark(&[]).await;
    for cap in 0..=13 {
        eprintln!("no version above {cap}");
        let lacks = if cap < 4 { LATER_APIS } else { &[] };
        let admin = admin(&cluster, cap, lacks);
        let key = topics(&cluster, &admin, cap).await;
        partitions(&admin, &key, cap).await;
        configs(&admin, &key.topic, cap).await;
        groups(&cluster, &admin, &key, cap).await;
        let gone = admin.delete_topics([&*key.topic]).await.unwrap();
        gone.all().unwrap();
    }
    cluster.stop().await;
}

async fn topics(cluster: &Cluster, admin: &Admin, cap: i16) -> TopicPartition {
    let described = admin.describe_cluster().await.unwrap();
    assert_eq!(described.brokers.len(), 1);
    assert_eq!(described.controller, Some(described.brokers[0].id));
    let name = unique("made");
    let wanted = NewTopic::new(&name).partitions(2).replication_factor(1);
    let made = admin.create_topics([wanted], Mode::Apply).await.unwrap();
    let made = made.all().unwrap().remove(&name).unwrap();
    assert_eq!(made.partitions, (cap >= 5).then_some(2));
    assert_eq!(made.configs.is_some(), cap >= 5);
    assert_eq!(made.id.is_nil(), cap < 7);
    let more = [(&*name, NewPartitions::increase_to(3))];
    admin
        .create_partitions(more, Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    let described = admin.describe_topics([&*name, "missing"]).await.unwrap();
    let found = described.get(&name).unwrap().as_ref().unwrap();
    assert_eq!((found.partitions.len(), found.partitions[2].index), (3, 2));
    let error = described.get("missing").unwrap().as_ref().unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error}");
    let listed = admin.list_topics().await.unwrap();
    assert!(
        listed
            .iter()
            .any(|topic| topic.name == name && topic.partitions == 3)
    );
    by_id(admin, cap).await;
    let deleted = admin.delete_topics([&*name, "missing"]).await.unwrap();
    assert!(deleted.get(&name).unwrap().is_ok());
    let error = deleted.get("missing").unwrap().as_ref().unwrap_err();
    assert_eq!(code(error), ErrorCode::UnknownTopicOrPartition);
    filled(cluster, admin, &[1_000, 2_000]).await
}

async fn by_id(admin: &Admin, cap: i16) {
    let name = unique("id");
    let wanted = NewTopic::new(&name).partitions(1).replication_factor(1);
    let made = admin.create_topics([wanted], Mode::Apply).await.unwrap();
    let made = made.all().unwrap().remove(&name).unwrap();
    // Those brokers do not tell it, either.
    let id = if made.id.is_nil() {
        Uuid::from_u128(7)
    } else {
        made.id
    };
    let described = admin.describe_topics_by_id([id]).await;
    if let Some(described) = since(cap, 12, described) {
        assert_eq!(described.all().unwrap()[&id].name, name);
    }
    let deleted = admin.delete_topics_by_id([id]).await;
    match since(cap, 6, deleted) {
        Some(deleted) if id == made.id => drop(deleted.all().unwrap()),
        Some(deleted) => assert_eq!(code(&refusal(deleted)), ErrorCode::UnknownTopicId),
        None => {}
    }
}

async fn partitions(admin: &Admin, key: &TopicPartition, cap: i16) {
    let found = offset(admin, key, OffsetSpec::Latest).await;
    assert_eq!(
        (found.offset, found.leader_epoch.is_some()),
        (Some(2), cap >= 4)
    );
    assert_eq!(
        offset(admin, key, OffsetSpec::Timestamp(1_500))
            .await
            .offset,
        Some(1)
    );
    for (first, spec, isolation) in [
        (2, OffsetSpec::Latest, IsolationLevel::ReadCommitted),
        (7, OffsetSpec::MaxTimestamp, IsolationLevel::ReadUncommitted),
        (
            8,
            OffsetSpec::EarliestLocal,
            IsolationLevel::ReadUncommitted,
        ),
        (9, OffsetSpec::LatestTiered, IsolationLevel::ReadUncommitted),
    ] {
        let listed = admin.list_offsets([(key.clone(), spec)], isolation).await;
        if let Some(listed) = since(cap, first, listed) {
            listed.all().unwrap();
        }
    }
    let query = EpochQuery {
        leader_epoch: 0,
        current: Some(0),
    };
    let ends = admin
        .offsets_for_leader_epochs([(key.clone(), query)])
        .await;
    assert_eq!(ends.unwrap().all().unwrap()[key].end_offset, Some(2));
    let first = [(key.clone(), RecordsBefore::Offset(1))];
    let low = admin.delete_records(first).await.unwrap().all().unwrap();
    assert_eq!(low[key], 1);
    let dirs = admin.describe_log_dirs(None).await.unwrap().all().unwrap();
    let dirs: Vec<_> = dirs.into_values().flatten().collect();
    assert!(dirs.iter().any(|dir| dir.replicas.contains_key(key)));
    assert_eq!(dirs[0].total_bytes.is_some(), cap >= 4);
}

async fn configs(admin: &Admin, topic: &str, cap: i16) {
    let resource = ConfigResource::topic(topic);
    let set = [(
        resource.clone(),
        vec![ConfigChange::set("retention.ms", "-1")],
    )];
    admin
        .incremental_alter_configs(set, Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    let query = ConfigQuery::new().synonyms().documentation();
    let told = admin
        .describe_configs([resource.clone()], query)
        .await
        .unwrap();
    let told = told.all().unwrap().remove(&resource).unwrap();
    let told = told
        .iter()
        .find(|entry| entry.name == "retention.ms")
        .unwrap();
    assert_eq!(told.value.as_deref(), Some("-1"));
    assert_eq!(told.documentation.is_some(), cap >= 3);
    let none = [(resource.clone(), std::collections::BTreeMap::new())];
    admin
        .alter_configs(none, Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    // The API itself came with Kafka 3.7, for one kind.
    let listed = admin.list_config_resources([ResourceKind::Topic]).await;
    if let Some(listed) = since(cap, 4, listed) {
        assert!(listed.contains(&resource));
    }
}

async fn groups(cluster: &Cluster, admin: &Admin, key: &TopicPartition, cap: i16) {
    let [group, missing] = ["group", "missing"].map(unique);
    let member = join(cluster, &group, None, &key.topic, &[0]).await;
    for (first, filter) in [
        (0, GroupFilter::new()),
        (4, GroupFilter::new().states([GroupState::Stable])),
    ] {
        let listed = admin.list_groups(filter).await;
        if let Some(listed) = since(cap, first, listed) {
            let mut listed = listed.all().unwrap().into_values().flatten();
            let found = listed.find(|listing| listing.id == group).unwrap();
            assert_eq!(
                (found.state.is_some(), found.kind.is_some()),
                (cap >= 4, cap >= 5)
            );
        }
    }
    // In one request from version 4 on.
    let found = admin.find_coordinators([&*group, &*missing]).await;
    let found = found.unwrap().all().unwrap();
    assert_eq!((found.len(), &found[&group]), (2, &found[&missing]));
    let described = admin.describe_groups([&*group, &*missing]).await.unwrap();
    let coordinator = &found[&group];
    let found = described.get(&group).unwrap().as_ref().unwrap();
    assert_eq!(found.coordinator, *coordinator);
    assert_eq!(found.members[0].partitions, std::slice::from_ref(key));
    let error = described.get(&missing).unwrap().as_ref().unwrap_err();
    assert_eq!(code(error), ErrorCode::GroupIdNotFound);
    let gone = [
        MemberToRemove::Id(member.id),
        MemberToRemove::Id("nobody".into()),
    ];
    let gone = admin.remove_members(&group, gone, "test").await.unwrap();
    assert_eq!(
        gone.iter().filter(|(_, outcome)| outcome.is_ok()).count(),
        1
    );
    let by_instance = [MemberToRemove::Instance("nobody".into())];
    let by_instance = admin.remove_members(&group, by_instance, "test").await;
    if let Some(outcome) = since(cap, 3, by_instance) {
        assert_eq!(code(&refusal(outcome)), ErrorCode::UnknownMemberId);
    }
    let noted = CommittedOffset {
        offset: 1,
        leader_epoch: 0,
        metadata: "noted".to_owned(),
    };
    let set = [(key.clone(), noted)];
    admin
        .alter_group_offsets(&group, set)
        .await
        .unwrap()
        .all()
        .unwrap();
    let wanted = || OffsetsOf::Partitions(vec![key.clone()]);
    // In one request from version 8 on.
    let found = admin
        .group_offsets([(&*group, wanted()), (&*missing, wanted())])
        .await;
    let mut found = found.unwrap().all().unwrap();
    let of_group = found
        .remove(&group)
        .unwrap()
        .all()
        .unwrap()
        .remove(key)
        .unwrap()
        .unwrap();
    assert_eq!((of_group.offset, &*of_group.metadata), (1, "noted"));
    assert_eq!(of_group.leader_epoch, if cap >= 6 { 0 } else { -1 });
    assert_eq!(found.remove(&missing).unwrap().all().unwrap()[key], None);
    if cap >= 2 {
        assert_eq!(offsets(admin, &group).await, [(key.clone(), 1)]);
    } else {
        let all = admin.group_offsets([(&*group, OffsetsOf::All)]).await;
        assert!(since(cap, 2, all).is_none());
    }
    let stable = admin
        .stable_group_offsets([(&*group, OffsetsOf::All), (&*missing, wanted())])
        .await;
    if let Some(stable) = since(cap, 7, stable) {
        let stable = stable.all().unwrap();
        let found = stable[&group].get(key).unwrap().as_ref().unwrap();
        assert_eq!(found.as_ref().map(|found| found.offset), Some(1));
        assert_eq!(stable[&missing].clone().all().unwrap()[key], None);
    }
    let forgotten = admin
        .delete_group_offsets(&group, [key.clone()])
        .await
        .unwrap();
    forgotten.all().unwrap();
    admin.delete_groups([&*group]).await.unwrap().all().unwrap();
}
