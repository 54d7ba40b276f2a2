//! DeleteTopics (key 20, versions 1 to 6, KIP-516): remove topics by name, or from version 6 on by
//! id.
//!
//! The catalog decides. With `delete.topic.enable=false` every topic is refused with
//! TOPIC_DELETION_DISABLED, which versions before 3 do not know and call INVALID_REQUEST. Kafka
//! shuffles its answer so that ACLs cannot be guessed at; without ACLs there is nothing to hide.

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::admin_error::{results_in_time, wire};
use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::view::View;
use crate::catalog::command::{
    Command, DeleteTopicResult, DeleteTopics, Refusal, Reply, TopicSelector,
};

pub(super) fn handle(view: &View, context: &Context, request: DeleteTopicsRequest) -> Step {
    let timeout_ms = i64::from(request.timeout_ms);
    let topics = selectors(request);
    let deletion_enabled = view.config().delete_topic_enable;
    let command = DeleteTopics {
        topics: topics.clone(),
        deletion_enabled,
    };
    let context = context.clone();
    Step::CatalogInTime(
        Command::DeleteTopics(command),
        timeout_ms,
        Box::new(move |_, answer| {
            let results = results_in_time(answer, deleted);
            context.reply(&respond(context.version, topics, results))
        }),
    )
}

fn deleted(reply: Reply) -> Option<Vec<DeleteTopicResult>> {
    match reply {
        Reply::TopicsDeleted(results) => Some(results),
        _ => None,
    }
}

/// What is to go: names up to version 5, names or ids from then on.
fn selectors(request: DeleteTopicsRequest) -> Vec<TopicSelector> {
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| (Some(name), Uuid::nil()));
    let by_either = request
        .topics
        .into_iter()
        .map(|topic| (topic.name, topic.topic_id));
    let name = |name: TopicName| name.to_string();
    by_name
        .chain(by_either)
        .map(|(topic, id)| TopicSelector {
            name: topic.map(name),
            id,
        })
        .collect()
}

fn respond(
    version: i16,
    asked: Vec<TopicSelector>,
    results: Result<Vec<DeleteTopicResult>, Refusal>,
) -> DeleteTopicsResponse {
    let results = results.unwrap_or_else(|refusal| {
        let refuse = |topic: TopicSelector| DeleteTopicResult {
            name: topic.name,
            id: topic.id,
            result: Err(refusal.clone()),
        };
        asked.into_iter().map(refuse).collect()
    });
    let responses = results.into_iter().map(|topic| {
        let (mut error, message) = wire(&topic.result);
        if version < 3 && error == code(ErrorCode::TopicDeletionDisabled) {
            error = code(ErrorCode::InvalidRequest);
        }
        DeletableTopicResult::default()
            .with_name(
                topic
                    .name
                    .map(|name| TopicName(StrBytes::from_string(name))),
            )
            .with_topic_id(topic.id)
            .with_error_code(error)
            .with_error_message(message)
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

impl ErrorCodes for DeleteTopicsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.responses
            .iter()
            .for_each(|topic| visit(topic.error_code));
    }
}

#[cfg(test)]
mod tests;
