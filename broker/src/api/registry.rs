//! The one table of APIs: dispatch, ApiVersions, metric labels and docs/protocol-coverage.md are
//! all read off it. What is not here is not served and not advertised.

use kafka_protocol::messages::{self as m, ApiKey};
use tidemark_protocol::guard::{Checked, DecodeError};

use super::context::Context;
use super::step::Step;
use super::view::View;

/// One served API.
pub struct Api {
    /// Kafka's key.
    pub key: ApiKey,
    /// Kafka's name.
    pub name: &'static str,
    /// The lowest version that ApiVersions tells of.
    pub advertised_min: i16,
    /// The lowest version that is served.
    pub min: i16,
    /// The highest version that is served and told of.
    pub max: i16,
    /// What a client needs to be allowed, in Kafka's terms (operation on resource). Nobody is
    /// refused yet: there are no ACLs.
    pub acl: &'static str,
    /// Deliberate differences from Apache Kafka; empty if there are none.
    pub differences: &'static str,
    /// The most array elements in a request, all its arrays together; one with more closes the
    /// connection.
    pub max_elements: usize,
    handle: fn(&View, &Context, Checked) -> Result<Step, DecodeError>,
}

impl Api {
    /// The API's place in [`REGISTRY`].
    pub fn index(&self) -> usize {
        REGISTRY
            .iter()
            .position(|api| api.key == self.key)
            .unwrap_or(usize::MAX)
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! api {
    ($key:ident $min:literal..=$max:literal, $module:ident($request:ident), $acl:literal) => {
        api!($key $min..=$max, $module($request), $acl, advertised $min, "")
    };
    ($key:ident $min:literal..=$max:literal, $module:ident($request:ident), $acl:literal,
     $differences:literal) => {
        api!($key $min..=$max, $module($request), $acl, advertised $min, $differences)
    };
    ($key:ident $min:literal..=$max:literal, $module:ident($request:ident), $acl:literal,
     advertised $advertised:literal, $differences:literal) => {
        Api {
            key: ApiKey::$key,
            name: stringify!($key),
            advertised_min: $advertised,
            min: $min,
            max: $max,
            acl: $acl,
            differences: $differences,
            max_elements: max_elements(ApiKey::$key),
            handle: |view, context, body| {
                let request = body.decode::<m::$request>()?;
                Ok(super::$module::handle(view, context, request))
            },
        }
    };
}

/// Every API that is served, by key.
pub static REGISTRY: &[Api] = &[
    api!(Produce 3..=13, produce(ProduceRequest), "Write on Topic", advertised 0,
        "Transactional batches are refused with INVALID_TXN_STATE. acks=all answers when the batch \
         is on disk. Versions 0 to 2 are advertised for old librdkafka (KAFKA-18659) and refused. \
         A request that names more than 200,000 partitions closes the connection."),
    api!(Fetch 4..=18, fetch(FetchRequest), "Read on Topic",
        "Followers do not exist: every fetch is a consumer's. One that names a topic with more than \
         249 bytes has no session."),
    api!(ListOffsets 1..=10, list_offsets(ListOffsetsRequest), "Describe on Topic",
        "Nothing is tiered: -5 (latest tiered) finds nothing, -4 (earliest local) is the log start."),
    api!(Metadata 0..=13, metadata(MetadataRequest), "Describe on Topic",
        "An auto-created topic is in the first answer already."),
    api!(OffsetCommit 2..=9, offset_commit(OffsetCommitRequest), "Read on Group, Read on Topic"),
    api!(OffsetFetch 1..=9, offset_fetch(OffsetFetchRequest), "Describe on Group",
        "Groups, topics and partitions that are named again are answered once."),
    api!(FindCoordinator 0..=6, find_coordinator(FindCoordinatorRequest), "Describe on Group",
        "Only groups have coordinators: transactions and share groups are not served. A key that \
         is named again is answered once."),
    api!(JoinGroup 0..=9, join_group(JoinGroupRequest), "Read on Group",
        "A member that brings more than 100 protocols is refused with INVALID_REQUEST."),
    api!(Heartbeat 0..=4, heartbeat(HeartbeatRequest), "Read on Group"),
    api!(LeaveGroup 0..=5, leave_group(LeaveGroupRequest), "Read on Group"),
    api!(SyncGroup 0..=5, sync_group(SyncGroupRequest), "Read on Group"),
    api!(DescribeGroups 0..=6, describe_groups(DescribeGroupsRequest), "Describe on Group",
        "A group that is named again is described once."),
    api!(ListGroups 0..=5, list_groups(ListGroupsRequest), "Describe on Group"),
    api!(ApiVersions 0..=4, api_versions(ApiVersionsRequest), "none"),
    api!(CreateTopics 2..=7, create_topics(CreateTopicsRequest), "Create on Topic",
        "The only possible replication factor is 1 (or -1, the default). More than 10,000 topics \
         and configs in a request are POLICY_VIOLATION; Kafka counts what would be written."),
    api!(DeleteTopics 1..=6, delete_topics(DeleteTopicsRequest), "Delete on Topic"),
    api!(DeleteRecords 0..=2, delete_records(DeleteRecordsRequest), "Delete on Topic"),
    api!(InitProducerId 0..=5, init_producer_id(InitProducerIdRequest), "IdempotentWrite on Cluster",
        "Only idempotent producers: a transactional id is refused with INVALID_REQUEST."),
    api!(OffsetForLeaderEpoch 2..=4, offset_for_leader_epoch(OffsetForLeaderEpochRequest),
        "Describe on Topic"),
    api!(DescribeConfigs 1..=4, describe_configs(DescribeConfigsRequest), "DescribeConfigs",
        "Only topics and the broker have configs: loggers, client metrics subscriptions and groups \
         are refused with INVALID_REQUEST. A resource that is named again is described once."),
    api!(AlterConfigs 0..=2, alter_configs(AlterConfigsRequest), "AlterConfigs",
        "Only topics and the broker have configs, as with DescribeConfigs. More than 10,000 \
         resources and configs in a request are POLICY_VIOLATION; Kafka counts what would be written."),
    api!(DescribeLogDirs 1..=4, describe_log_dirs(DescribeLogDirsRequest), "Describe on Cluster"),
    api!(CreatePartitions 0..=3, create_partitions(CreatePartitionsRequest), "Alter on Topic",
        "Internal topics keep their number of partitions (INVALID_PARTITIONS): groups are spread \
         by it."),
    api!(DeleteGroups 0..=2, delete_groups(DeleteGroupsRequest), "Delete on Group"),
    api!(IncrementalAlterConfigs 0..=1, incremental_alter_configs(IncrementalAlterConfigsRequest),
        "AlterConfigs", "Only topics and the broker have configs, as with DescribeConfigs. An unknown \
         operation is INVALID_REQUEST for topics too; Kafka fails with UNKNOWN_SERVER_ERROR. Requests \
         have the same bound as those of AlterConfigs."),
    api!(OffsetDelete 0..=0, offset_delete(OffsetDeleteRequest), "Delete on Group"),
    api!(DescribeCluster 0..=2, describe_cluster(DescribeClusterRequest), "Describe on Cluster"),
    api!(ListConfigResources 0..=1, list_config_resources(ListConfigResourcesRequest),
        "DescribeConfigs on Cluster",
        "Loggers have no configs, so no resource of type BROKER_LOGGER is listed."),
    api!(DescribeTopicPartitions 0..=0, describe_topic_partitions(DescribeTopicPartitionsRequest),
        "Describe on Topic",
        "A bad cursor in a request for all topics is refused; Kafka answers with an empty page."),
];

/// The largest request of an API that does not carry records, in bytes: room for a metadata
/// request naming every topic of a large cluster, and far below what would hurt.
const CONTROL_FRAME_CAP: usize = 4 * 1024 * 1024;

/// The API with this key, if it is served.
pub fn find(key: i16) -> Option<&'static Api> {
    REGISTRY.iter().find(|api| api.key as i16 == key)
}

/// The largest frame that is read for this key; known before anything is allocated.
pub fn frame_cap(key: i16, socket_request_max_bytes: usize) -> usize {
    match key {
        _ if key == ApiKey::Produce as i16 => socket_request_max_bytes,
        _ => CONTROL_FRAME_CAP.min(socket_request_max_bytes),
    }
}

/// The most elements of a request that names topics, partitions, configs, members or groups. A
/// consumer or an administrator of 10,000 partitions, each in a topic of its own, sends 20,000; with
/// as many to forget, or with ten configs each, it is still less than half of this.
pub(super) const MAX_ELEMENTS: usize = 250_000;
/// The most elements of a request that has no lists, or lists that are short by their nature: the
/// assignors of a consumer, the states of a group. Clients send less than ten.
const FEW_ELEMENTS: usize = 1_000;

const fn max_elements(key: ApiKey) -> usize {
    match key {
        ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::ListGroups
        | ApiKey::ApiVersions
        | ApiKey::InitProducerId
        | ApiKey::DescribeCluster
        | ApiKey::ListConfigResources => FEW_ELEMENTS,
        _ => MAX_ELEMENTS,
    }
}

/// Decodes a request and has its handler decide.
pub(super) fn route(view: &View, context: &Context, body: Checked) -> Result<Step, DecodeError> {
    (context.api.handle)(view, context, body)
}

/// docs/protocol-coverage.md.
pub fn protocol_coverage() -> String {
    let mut text = String::from(
        "# Protocol coverage\n\n\
         Generated from the registry (`broker/src/api/registry.rs`); a test keeps it fresh, and\n\
         `UPDATE_DOCS=1 scripts/test docs` rewrites it. What is not listed is neither served nor\n\
         advertised.\n\n\
         | key | API | versions served | needs | deliberate differences from Apache Kafka |\n\
         |---:|---|---|---|---|\n",
    );
    for api in REGISTRY {
        let row = format!(
            "| {} | {} | {}-{} | {} | {} |\n",
            api.key as i16, api.name, api.min, api.max, api.acl, api.differences
        );
        text.push_str(&row);
    }
    text
}

#[cfg(test)]
mod tests;
