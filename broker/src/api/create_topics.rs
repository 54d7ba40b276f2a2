//! CreateTopics (key 19, versions 2 to 7, KIP-464 and KIP-525): make topics.
//!
//! The catalog decides (see its `create_topics`); each topic succeeds or fails on its own. From
//! version 5 on the answer says what was made, configs included. Their sources are told as
//! DescribeConfigs tells them, while Kafka's two APIs differ when a topic's default comes from an
//! option in another unit (`log.retention.hours`). A `timeout_ms` of 0 or less is over on arrival, as
//! in Kafka: REQUEST_TIMED_OUT, and nothing is created.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::admin_error::{results_in_time, wire};
use super::context::{Context, ErrorCodes};
use super::step::Step;
use super::view::View;
use crate::catalog::command::{
    Command, CreateTopicResult, CreateTopics, CreatedTopic, NewTopic, Refusal, ReplicaAssignment,
    Reply, TopicDefaults,
};
use crate::config::{BrokerConfig, Entry, describe_topic};

pub(super) fn handle(view: &View, context: &Context, request: CreateTopicsRequest) -> Step {
    let timeout_ms = i64::from(request.timeout_ms);
    let names: Vec<TopicName> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    let command = command(request, &view.config(), || view.new_uuid());
    let context = context.clone();
    Step::CatalogInTime(
        command,
        timeout_ms,
        Box::new(move |view, answer| {
            let results = results_in_time(answer, created);
            context.reply(&respond(&view.config(), names, results))
        }),
    )
}

fn command(
    request: CreateTopicsRequest,
    config: &BrokerConfig,
    mut new_id: impl FnMut() -> Uuid,
) -> Command {
    Command::CreateTopics(CreateTopics {
        topics: request
            .topics
            .into_iter()
            .map(|topic| new_topic(topic, new_id()))
            .collect(),
        validate_only: request.validate_only,
        defaults: TopicDefaults::of(config),
    })
}

fn created(reply: Reply) -> Option<Vec<CreateTopicResult>> {
    match reply {
        Reply::TopicsCreated(results) => Some(results),
        _ => None,
    }
}

fn new_topic(topic: CreatableTopic, id: Uuid) -> NewTopic {
    let assignments = topic
        .assignments
        .into_iter()
        .map(|assignment| ReplicaAssignment {
            partition: assignment.partition_index,
            brokers: assignment.broker_ids.into_iter().map(|id| id.0).collect(),
        });
    let configs = topic.configs.into_iter();
    NewTopic {
        name: topic.name.to_string(),
        id,
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs
            .map(|config| {
                (
                    config.name.to_string(),
                    config.value.map(|value| value.to_string()),
                )
            })
            .collect(),
    }
}

/// The answer; `names` are those of the request, which all get the same refusal if there are no
/// results.
fn respond(
    config: &BrokerConfig,
    names: Vec<TopicName>,
    results: Result<Vec<CreateTopicResult>, Refusal>,
) -> CreateTopicsResponse {
    let topics = match results {
        Ok(results) => results
            .into_iter()
            .map(|topic| result(config, topic))
            .collect(),
        Err(refusal) => names
            .into_iter()
            .map(|name| refused(name, &Err(refusal.clone())))
            .collect(),
    };
    CreateTopicsResponse::default().with_topics(topics)
}

fn result(config: &BrokerConfig, topic: CreateTopicResult) -> CreatableTopicResult {
    let name = TopicName(StrBytes::from_string(topic.name));
    let created = match topic.result {
        Ok(created) => created,
        Err(refusal) => return refused(name, &Err(refusal)),
    };
    let configs = describe_topic(config, &created.configs)
        .into_iter()
        .map(topic_config);
    CreatableTopicResult::default()
        .with_name(name)
        .with_topic_id(created.id)
        .with_error_message(None)
        .with_num_partitions(created.num_partitions)
        .with_replication_factor(created.replication_factor)
        .with_configs(Some(configs.collect()))
}

/// What is not told of a topic that was not made keeps its default: -1 partitions, -1 replicas, no
/// configs.
fn refused(name: TopicName, result: &Result<CreatedTopic, Refusal>) -> CreatableTopicResult {
    let (code, message) = wire(result);
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(code)
        .with_error_message(message)
}

fn topic_config(entry: Entry) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(StrBytes::from_static_str(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source.id())
        .with_is_sensitive(entry.sensitive)
}

impl ErrorCodes for CreateTopicsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|topic| visit(topic.error_code));
    }
}

#[cfg(test)]
mod tests;
