//! Metadata (key 3, versions 0 to 13): brokers, topics, partitions, leaders.
//!
//! A topic that does not exist is created if both the request and `auto.create.topics.enable`
//! allow it (rule 64), and is in this very answer. Names are checked first: an invalid one is
//! INVALID_TOPIC_EXCEPTION and never created.

use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::context::{Context, ErrorCodes, code};
use super::repeated::each_once;
use super::step::Step;
use super::topic_creation;
use super::view::View;
use crate::catalog::image::Topic;
use crate::catalog::topic_name;

/// "Not asked for", in the fields of authorized operations.
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// All operations on a topic, one bit each (Kafka's `AclEntry.supportedOperations`): without ACLs
/// everybody may do everything.
pub(super) const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// All operations on the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);
/// All operations on a group.
pub(super) const GROUP_OPERATIONS: i32 = bits(&[3, 6, 8, 10, 11]);

const fn bits(operations: &[u32]) -> i32 {
    let (mut set, mut at) = (0, 0);
    while at < operations.len() {
        set |= 1 << operations[at];
        at += 1;
    }
    set
}

/// A topic as the request names it.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Asked {
    Name(StrBytes),
    Id(Uuid),
}

pub(super) fn handle(view: &View, context: &Context, request: MetadataRequest) -> Step {
    if is_ahead_of_its_version(context.version, &request) {
        return context.reply(&refused(request));
    }
    let asked = asked_topics(context.version, &request);
    let may_create = context.version < 4 || request.allow_auto_topic_creation;
    let missing = match &asked {
        Some(asked) if may_create && view.config().auto_create_topics_enable => {
            missing_names(view, asked)
        }
        _ => Vec::new(),
    };
    if missing.is_empty() {
        return answer(view, context, &request, asked);
    }
    let topics = missing.into_iter().map(|name| (name, view.new_uuid()));
    let create = topic_creation::create(&view.config(), topics);
    let context = context.clone();
    // Whether it worked shows in the catalog: a topic that is still missing is answered as such.
    Step::Catalog(
        create,
        Box::new(move |view, _| answer(view, &context, &request, asked)),
    )
}

/// `None` means all topics: an absent list, or an empty one in version 0. A topic that is named
/// again is answered once, as in Kafka: an answer is not to be many times larger than all topics.
fn asked_topics(version: i16, request: &MetadataRequest) -> Option<Vec<Asked>> {
    let topics = request.topics.as_ref()?;
    if version == 0 && topics.is_empty() {
        return None;
    }
    let asked = topics.iter().map(|topic| match &topic.name {
        // Java's admin client sends an empty name along with an id: the id counts.
        Some(name) if topic.topic_id.is_nil() => Asked::Name(name.0.clone()),
        _ => Asked::Id(topic.topic_id),
    });
    Some(each_once(asked))
}

/// Versions 10 and 11 have room for ids and null names, but brokers did not know what to do with
/// them, so that they are refused to this day.
fn is_ahead_of_its_version(version: i16, request: &MetadataRequest) -> bool {
    let mut topics = request.topics.iter().flatten();
    version < 12 && topics.any(|topic| topic.name.is_none() || !topic.topic_id.is_nil())
}

/// INVALID_REQUEST for every topic, and nothing of the cluster.
fn refused(request: MetadataRequest) -> MetadataResponse {
    let refused = |topic: MetadataRequestTopic| {
        MetadataResponseTopic::default()
            .with_error_code(code(ErrorCode::InvalidRequest))
            .with_name(Some(topic.name.unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    };
    let topics = request.topics.into_iter().flatten().map(refused);
    MetadataResponse::default().with_topics(topics.collect())
}

fn missing_names(view: &View, asked: &[Asked]) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for topic in asked {
        if let Asked::Name(name) = topic
            && view.catalog.topic(name).is_none()
            && topic_creation::may_create(name)
        {
            missing.push(name.to_string());
        }
    }
    missing
}

fn answer(
    view: &View,
    context: &Context,
    request: &MetadataRequest,
    asked: Option<Vec<Asked>>,
) -> Step {
    let version = context.version;
    let operations = |asked: bool, all| if asked { all } else { OPERATIONS_NOT_ASKED };
    let topic_operations = operations(
        request.include_topic_authorized_operations,
        TOPIC_OPERATIONS,
    );
    let describe = |topic: &Arc<Topic>| describe(view, version, topic, topic_operations);
    let topics = match asked {
        None => view.catalog.topics().map(describe).collect(),
        Some(asked) => asked
            .into_iter()
            .map(|asked| match &asked {
                Asked::Name(name) => match view.catalog.topic(name) {
                    Some(topic) => describe(topic),
                    None => unknown_name(name),
                },
                Asked::Id(id) => match view.catalog.topic_by_id(*id) {
                    Some(topic) => describe(topic),
                    None => unknown_id(version, *id),
                },
            })
            .collect(),
    };
    let endpoint = view.endpoint(&context.listener);
    let node = BrokerId(view.node.id);
    let broker = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(StrBytes::from_string(endpoint.host))
        .with_port(i32::from(endpoint.port));
    let response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(view.node.cluster_id.clone())))
        .with_controller_id(node)
        .with_topics(topics);
    let response = if (8..=10).contains(&version) {
        let asked = request.include_cluster_authorized_operations;
        response.with_cluster_authorized_operations(operations(asked, CLUSTER_OPERATIONS))
    } else {
        response
    };
    context.reply(&response)
}

fn describe(view: &View, version: i16, topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let node = BrokerId(view.node.id);
    let partitions = topic.partitions.iter().map(|(index, partition)| {
        let response = MetadataResponsePartition::default()
            .with_partition_index(index.0)
            .with_leader_id(node)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        if version >= 7 {
            response.with_leader_epoch(partition.leader_epoch.0)
        } else {
            response
        }
    });
    let response = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(
            topic.name.to_string(),
        ))))
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations);
    if version >= 10 {
        response.with_topic_id(topic.id)
    } else {
        response
    }
}

fn unknown_name(name: &StrBytes) -> MetadataResponseTopic {
    let error = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    MetadataResponseTopic::default()
        .with_error_code(code(error))
        .with_name(Some(TopicName(name.clone())))
        .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
}

fn unknown_id(version: i16, id: Uuid) -> MetadataResponseTopic {
    // Before version 12 a name cannot be null, so it is empty.
    let name = (version < 12).then(TopicName::default);
    MetadataResponseTopic::default()
        .with_error_code(code(ErrorCode::UnknownTopicId))
        .with_name(name)
        .with_topic_id(id)
        .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
}

impl ErrorCodes for MetadataResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        for topic in &self.topics {
            visit(topic.error_code);
            topic
                .partitions
                .iter()
                .for_each(|partition| visit(partition.error_code));
        }
    }
}
