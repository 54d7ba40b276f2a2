//! Every API in every version it is served in: a request that is in order gets an answer that
//! decodes to its last byte and carries no error.

use std::collections::BTreeMap;

use bytes::Bytes;
use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use tidemark_broker::api::{ErrorCodes, REGISTRY};

use super::support::*;

/// Who has been asked in which versions.
type Asked = BTreeMap<i16, Vec<i16>>;

struct Caller {
    connection: Connection,
    topic: Topic,
    asked: Asked,
    errors: Vec<String>,
}

impl Caller {
    /// Asks in every version that the registry has, with what `make` makes of the version, and
    /// holds the codes of the answer against `expected`.
    async fn each<R>(&mut self, key: ApiKey, expected: i16, make: impl Fn(&Topic, i16) -> R)
    where
        R: kafka_protocol::protocol::Request,
        R::Response: ErrorCodes + std::fmt::Debug,
    {
        let api = REGISTRY
            .iter()
            .find(|api| api.key == key)
            .expect("it is served");
        for version in api.min..=api.max {
            let request = make(&self.topic, version);
            let answer = self.connection.call(version, &request).await;
            self.note(key, version, expected, answer);
        }
    }

    fn note<A: ErrorCodes + std::fmt::Debug>(
        &mut self,
        key: ApiKey,
        version: i16,
        expected: i16,
        answer: Result<A, integration_tests::harness::calls::RawError>,
    ) -> Option<A> {
        self.asked.entry(key as i16).or_default().push(version);
        match answer {
            Err(error) => panic!("{key:?} v{version}: {error}"),
            Ok(answer) => {
                answer.error_codes(&mut |code| {
                    if code != expected {
                        self.errors.push(format!("{key:?} v{version}: {answer:?}"));
                    }
                });
                Some(answer)
            }
        }
    }
}

#[tokio::test]
async fn every_api_answers_in_every_version() {
    let server = Server::start(&[("num.partitions", "2")]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "versions", 2).await;
    let mut caller = Caller {
        connection,
        topic,
        asked: Asked::new(),
        errors: Vec::new(),
    };
    data(&mut caller).await;
    groups(&mut caller).await;
    offsets(&mut caller).await;
    admin(&mut caller).await;
    assert!(caller.errors.is_empty(), "{:#?}", caller.errors);
    for api in REGISTRY {
        let expected: Vec<i16> = (api.min..=api.max).collect();
        let mut asked = caller.asked.remove(&(api.key as i16)).unwrap_or_default();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked, expected, "{api:?} was not asked in every version");
    }
    server.stop().await;
}

async fn data(caller: &mut Caller) {
    caller
        .each(ApiKey::ApiVersions, 0, |_, version| {
            let name = if version >= 3 { "wire-test" } else { "" };
            ApiVersionsRequest::default()
                .with_client_software_name(text(name))
                .with_client_software_version(text(name))
        })
        .await;
    caller
        .each(ApiKey::Metadata, 0, |topic, version| {
            let asked = MetadataRequestTopic::default().with_name(Some(topic.name.clone()));
            MetadataRequest::default()
                .with_topics(Some(vec![asked]))
                .with_include_topic_authorized_operations(version >= 8)
                .with_include_cluster_authorized_operations((8..=10).contains(&version))
        })
        .await;
    caller
        .each(ApiKey::Produce, 0, |topic, version| {
            produce_request(version, topic, 1, -1, Some(batch(&["value"])))
        })
        .await;
    caller
        .each(ApiKey::Fetch, 0, |topic, version| {
            fetch_request(version, topic, &[(0, 0, 1 << 20), (1, 0, 1 << 20)])
                .with_isolation_level(1)
                .with_rack_id(text(if version >= 11 { "rack" } else { "" }))
        })
        .await;
    caller
        .each(ApiKey::ListOffsets, 0, |topic, version| {
            let partition = ListOffsetsPartition::default()
                .with_partition_index(1)
                .with_timestamp(0)
                .with_current_leader_epoch(if version >= 4 { 0 } else { -1 });
            let asked = ListOffsetsTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![partition]);
            ListOffsetsRequest::default()
                .with_replica_id((-1).into())
                .with_topics(vec![asked])
        })
        .await;
    caller
        .each(ApiKey::OffsetForLeaderEpoch, 0, |topic, _| {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(1)
                .with_leader_epoch(0);
            let asked = OffsetForLeaderTopic::default()
                .with_topic(topic.name.clone())
                .with_partitions(vec![partition]);
            OffsetForLeaderEpochRequest::default().with_topics(vec![asked])
        })
        .await;
    caller
        .each(ApiKey::InitProducerId, 0, |_, _| {
            InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(60_000)
        })
        .await;
    caller
        .each(ApiKey::DeleteRecords, 0, |topic, _| {
            let partition = DeleteRecordsPartition::default()
                .with_partition_index(1)
                .with_offset(-1);
            let asked = DeleteRecordsTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![partition]);
            DeleteRecordsRequest::default()
                .with_topics(vec![asked])
                .with_timeout_ms(30_000)
        })
        .await;
}

fn join_request(group: &str, version: i16, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"metadata"));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(10_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    if version >= 1 {
        request.with_rebalance_timeout_ms(10_000)
    } else {
        request
    }
}

/// Each version of the five group calls, in a group of its own per JoinGroup version.
async fn groups(caller: &mut Caller) {
    caller
        .each(ApiKey::FindCoordinator, 0, |_, version| {
            if version >= 4 {
                FindCoordinatorRequest::default().with_coordinator_keys(vec![text("a-group")])
            } else {
                FindCoordinatorRequest::default().with_key(text("a-group"))
            }
        })
        .await;
    for version in 0..=9 {
        let group = format!("group-{version}");
        let mut member = String::new();
        let mut generation = 0;
        for attempt in 0..2 {
            let request = join_request(&group, version, &member);
            let answer = caller.connection.call(version, &request).await;
            // Rule 39: from version 4 on the first answer only gives the member id.
            let expected = if version >= 4 && attempt == 0 { 79 } else { 0 };
            let answer = caller
                .note(ApiKey::JoinGroup, version, expected, answer)
                .expect("it works");
            member = answer.member_id.to_string();
            generation = answer.generation_id;
            if answer.error_code == 0 {
                break;
            }
        }
        member_calls(caller, version, &group, &member, generation).await;
    }
    caller
        .each(ApiKey::DescribeGroups, 0, |_, version| {
            DescribeGroupsRequest::default()
                .with_groups(vec![GroupId(text("group-9"))])
                .with_include_authorized_operations(version >= 3)
        })
        .await;
    caller
        .each(ApiKey::ListGroups, 0, |_, version| {
            let states = if version >= 4 {
                vec![text("Empty")]
            } else {
                vec![]
            };
            let types = if version >= 5 {
                vec![text("classic")]
            } else {
                vec![]
            };
            ListGroupsRequest::default()
                .with_states_filter(states)
                .with_types_filter(types)
        })
        .await;
    caller
        .each(ApiKey::DeleteGroups, 0, |_, version| {
            DeleteGroupsRequest::default()
                .with_groups_names(vec![GroupId(text(&format!("group-{version}")))])
        })
        .await;
}

async fn member_calls(caller: &mut Caller, join: i16, group: &str, member: &str, generation: i32) {
    let sync = join.min(5);
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(text(member))
        .with_assignment(Bytes::from_static(b"all"));
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(vec![assignment]);
    let request = if sync >= 5 {
        request
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
    } else {
        request
    };
    let answer = caller.connection.call(sync, &request).await;
    let answer = caller
        .note(ApiKey::SyncGroup, sync, 0, answer)
        .expect("it works");
    assert_eq!(answer.assignment, Bytes::from_static(b"all"));
    let beat = join.min(4);
    let request = HeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(generation)
        .with_member_id(text(member));
    let answer = caller.connection.call(beat, &request).await;
    caller.note(ApiKey::Heartbeat, beat, 0, answer);
    let leave = join.min(5);
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group)));
    let request = if leave >= 3 {
        let identity = MemberIdentity::default().with_member_id(text(member));
        request.with_members(vec![identity])
    } else {
        request.with_member_id(text(member))
    };
    let answer = caller.connection.call(leave, &request).await;
    caller.note(ApiKey::LeaveGroup, leave, 0, answer);
}

async fn offsets(caller: &mut Caller) {
    caller
        .each(ApiKey::OffsetCommit, 0, |topic, version| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(0)
                .with_committed_offset(i64::from(version))
                .with_committed_metadata(Some(text("note")));
            let asked = OffsetCommitRequestTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![partition]);
            OffsetCommitRequest::default()
                .with_group_id(GroupId(text("simple")))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(vec![asked])
        })
        .await;
    caller
        .each(ApiKey::OffsetFetch, 0, |topic, version| {
            let request = OffsetFetchRequest::default().with_require_stable(version >= 7);
            if version >= 8 {
                let asked = OffsetFetchRequestTopics::default()
                    .with_name(topic.name.clone())
                    .with_partition_indexes(vec![0, 1]);
                let group = OffsetFetchRequestGroup::default()
                    .with_group_id(GroupId(text("simple")))
                    .with_topics(Some(vec![asked]));
                return request.with_groups(vec![group]);
            }
            let asked = OffsetFetchRequestTopic::default()
                .with_name(topic.name.clone())
                .with_partition_indexes(vec![0, 1]);
            request
                .with_group_id(GroupId(text("simple")))
                .with_topics(Some(vec![asked]))
        })
        .await;
    caller
        .each(ApiKey::OffsetDelete, 0, |topic, _| {
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
            let asked = OffsetDeleteRequestTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![partition]);
            OffsetDeleteRequest::default()
                .with_group_id(GroupId(text("simple")))
                .with_topics(vec![asked])
        })
        .await;
}

async fn admin(caller: &mut Caller) {
    caller
        .each(ApiKey::CreateTopics, 0, |_, version| {
            create_request(vec![creatable(&format!("created-{version}"), 1, &[])])
        })
        .await;
    caller
        .each(ApiKey::CreatePartitions, 0, |topic, version| {
            let asked = CreatePartitionsTopic::default()
                .with_name(topic.name.clone())
                .with_count(i32::from(version) + 3)
                .with_assignments(None);
            CreatePartitionsRequest::default()
                .with_topics(vec![asked])
                .with_timeout_ms(30_000)
        })
        .await;
    caller
        .each(ApiKey::DeleteTopics, 0, |_, version| {
            let name = named(&format!("created-{}", version + 1));
            let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
            if version >= 6 {
                request.with_topics(vec![DeleteTopicState::default().with_name(Some(name))])
            } else {
                request.with_topic_names(vec![name])
            }
        })
        .await;
    caller
        .each(ApiKey::DescribeConfigs, 0, |topic, version| {
            let resource = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(topic.name.0.clone())
                .with_configuration_keys(None);
            DescribeConfigsRequest::default()
                .with_resources(vec![resource])
                .with_include_synonyms(true)
                .with_include_documentation(version >= 3)
        })
        .await;
    caller
        .each(ApiKey::AlterConfigs, 0, |topic, _| {
            let config = AlterableConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("1000")));
            let resource = AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(topic.name.0.clone())
                .with_configs(vec![config]);
            AlterConfigsRequest::default().with_resources(vec![resource])
        })
        .await;
    caller
        .each(ApiKey::IncrementalAlterConfigs, 0, |topic, _| {
            let config = incremental::AlterableConfig::default()
                .with_name(text("retention.ms"))
                .with_config_operation(0)
                .with_value(Some(text("2000")));
            let resource = incremental::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(topic.name.0.clone())
                .with_configs(vec![config]);
            IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
        })
        .await;
    describe(caller).await;
}

async fn describe(caller: &mut Caller) {
    caller
        .each(ApiKey::DescribeLogDirs, 0, |topic, _| {
            let asked = DescribableLogDirTopic::default()
                .with_topic(topic.name.clone())
                .with_partitions(vec![0, 1]);
            DescribeLogDirsRequest::default().with_topics(Some(vec![asked]))
        })
        .await;
    caller
        .each(ApiKey::DescribeCluster, 0, |_, _| {
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true)
        })
        .await;
    caller
        .each(ApiKey::ListConfigResources, 0, |_, version| {
            let types = if version >= 1 { vec![2, 4] } else { vec![] };
            ListConfigResourcesRequest::default().with_resource_types(types)
        })
        .await;
    caller
        .each(ApiKey::DescribeTopicPartitions, 0, |topic, _| {
            let asked = TopicRequest::default().with_name(topic.name.clone());
            DescribeTopicPartitionsRequest::default()
                .with_topics(vec![asked])
                .with_response_partition_limit(100)
        })
        .await;
}
