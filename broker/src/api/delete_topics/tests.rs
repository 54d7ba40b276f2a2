use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

use super::*;
use crate::api::testing::{NO_CONFIGS, TestCatalog, each_version};
use crate::config::BrokerConfig;

fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

#[test]
fn topics_are_named_by_name_or_by_id() {
    let id = Uuid::from_u128(500);
    let old = DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("a")]);
    let a = TopicSelector {
        name: Some("a".into()),
        id: Uuid::nil(),
    };
    assert_eq!(selectors(old), [a.clone(), a.clone()]);
    let both = DeleteTopicsRequest::default().with_topics(vec![
        DeleteTopicState::default().with_name(Some(name("a"))),
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id),
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
        let codes: Vec<_> = read
            .responses
            .iter()
            .map(|topic| topic.error_code)
            .collect();
        assert_eq!(
            codes,
            [0, if version < 3 { 42 } else { 73 }, 42],
            "{version}"
        );
        let id = if version >= 6 { 500 } else { 0 };
        assert!(
            read.responses
                .iter()
                .all(|topic| topic.topic_id.as_u128() == id),
            "{version}"
        );
        let texts: Vec<_> = read
            .responses
            .iter()
            .map(|topic| topic.error_message.as_deref())
            .collect();
        assert_eq!(
            texts,
            [None, None, (version >= 5).then_some("why")],
            "{version}"
        );
    }
}

#[test]
fn results_without_a_name_can_only_be_of_version_6() {
    let by_id = TopicSelector {
        name: None,
        id: Uuid::from_u128(500),
    };
    let refusal = Refusal::bare(ErrorCode::RequestTimedOut);
    let response = respond(6, vec![by_id], Err(refusal));
    let [topic] = response.responses.as_slice() else {
        panic!("one result")
    };
    assert_eq!((topic.name.as_ref(), topic.error_code), (None, 7));
    crate::api::testing::encodes(20, 6, &response);
}

/// Asks to delete these of the topics a (id 500) and b (id 501); tells error codes, sorted,
/// and which topics are left.
#[track_caller]
fn check(asked: &[(Option<&'static str>, u128)], codes: &[i16], left: &[&str]) {
    let topics = asked.iter().map(|(topic, id)| {
        let state = DeleteTopicState::default().with_name(topic.map(name));
        state.with_topic_id(Uuid::from_u128(*id))
    });
    let topics = selectors(DeleteTopicsRequest::default().with_topics(topics.collect()));
    let both = [("a", 1, NO_CONFIGS), ("b", 1, NO_CONFIGS)];
    let mut catalog = TestCatalog::with_topics(BrokerConfig::default(), &both);
    let command = DeleteTopics {
        topics,
        deletion_enabled: true,
    };
    let reply = catalog.run(Command::DeleteTopics(command));
    let response = respond(6, Vec::new(), results_in_time(Some(Ok(reply)), deleted));
    crate::api::testing::encodes(20, 6, &response);
    let mut told: Vec<_> = response
        .responses
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    told.sort_unstable();
    assert_eq!(told, codes);
    let image = catalog.image();
    let names: Vec<&str> = image.topics().map(|topic| &*topic.name).collect();
    assert_eq!(names, left);
}

#[test]
fn errors_have_kafkas_codes() {
    check(&[(Some("a"), 0)], &[0], &["b"]);
    check(&[(None, 500)], &[0], &["b"]);
    check(&[(Some("a"), 0), (None, 501)], &[0, 0], &[]);
    check(&[(Some("c"), 0)], &[3], &["a", "b"]);
    check(&[(None, 502)], &[100], &["a", "b"]);
    check(&[(None, 0)], &[42], &["a", "b"]);
    check(&[(Some("a"), 500)], &[42], &["a", "b"]);
    check(
        &[(Some("a"), 0), (Some("a"), 0), (Some("b"), 0)],
        &[0, 42],
        &["a"],
    );
    check(&[(None, 500), (None, 500)], &[42], &["a", "b"]);
    check(&[(Some("a"), 0), (None, 500)], &[42], &["a", "b"]);
}
