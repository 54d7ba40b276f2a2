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
    let command = DeleteTopics {
        topics: topics.clone(),
        deletion_enabled: view.config().delete_topic_enable,
    };
    let context = context.clone();
    Step::CatalogInTime(
        Command::DeleteTopics(command),
        timeout_ms,
        Box::new(move |_, answer| {
            let results = results_in_time(answer, |reply| match reply {
                Reply::TopicsDeleted(results) => Some(results),
                _ => None,
            });
            context.reply(&respond(context.version, topics, results))
        }),
    )
}

/// What is to go: names up to version 5, names or ids from then on.
fn selectors(request: DeleteTopicsRequest) -> Vec<TopicSelector> {
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
    let by_either = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let name = |name: TopicName| name.to_string();
    by_name
        .chain(by_either)
        .map(|(topic, id)| TopicSelector { name: topic.map(name), id })
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
            .with_name(topic.name.map(|name| TopicName(StrBytes::from_string(name))))
            .with_topic_id(topic.id)
            .with_error_code(error)
            .with_error_message(message)
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

impl ErrorCodes for DeleteTopicsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.responses.iter().for_each(|topic| visit(topic.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

    use super::*;
    use crate::api::testing::each_version;

    fn name(text: &'static str) -> TopicName {
        TopicName(StrBytes::from_static_str(text))
    }

    #[test]
    fn topics_are_named_by_name_or_by_id() {
        let id = Uuid::from_u128(500);
        let old = DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("a")]);
        let a = TopicSelector { name: Some("a".into()), id: Uuid::nil() };
        assert_eq!(selectors(old), [a.clone(), a.clone()]);
        let both = DeleteTopicsRequest::default().with_topics(vec![
            DeleteTopicState::default().with_name(Some(name("a"))),
            DeleteTopicState::default().with_name(None).with_topic_id(id),
        ]);
        assert_eq!(selectors(both), [a, TopicSelector { name: None, id }]);
    }

    #[test]
    fn every_version_carries_what_it_can() {
        let results = || {
            let result = |name: &str, result| DeleteTopicResult {
                name: Some(name.into()),
                id: Uuid::from_u128(500),
                result,
            };
            Ok(vec![
                result("gone", Ok(())),
                result("off", Err(Refusal::bare(ErrorCode::TopicDeletionDisabled))),
                result("twice", Err(Refusal::new(ErrorCode::InvalidRequest, "why"))),
            ])
        };
        for (version, read) in each_version(20, |version| respond(version, Vec::new(), results())) {
            let codes: Vec<_> = read.responses.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [0, if version < 3 { 42 } else { 73 }, 42], "{version}");
            let id = if version >= 6 { 500 } else { 0 };
            assert!(read.responses.iter().all(|topic| topic.topic_id.as_u128() == id), "{version}");
            let texts: Vec<_> =
                read.responses.iter().map(|topic| topic.error_message.as_deref()).collect();
            assert_eq!(texts, [None, None, (version >= 5).then_some("why")], "{version}");
        }
    }

    #[test]
    fn results_without_a_name_can_only_be_of_version_6() {
        let by_id = TopicSelector { name: None, id: Uuid::from_u128(500) };
        let refusal = Refusal::bare(ErrorCode::RequestTimedOut);
        let response = respond(6, vec![by_id], Err(refusal));
        let [topic] = response.responses.as_slice() else { panic!("one result") };
        assert_eq!((topic.name.as_ref(), topic.error_code), (None, 7));
        crate::api::testing::encodes(20, 6, &response);
    }
}
