use kafka_protocol::messages::BrokerId;
use tidemark_protocol::error::ErrorCode;

use super::*;
use crate::api::testing::{TestCatalog, each_version};
use crate::config::BrokerConfig;

#[test]
fn absent_assignments_are_not_empty_ones() {
    let topic = |assignments| {
        let name = TopicName(StrBytes::from_static_str("orders"));
        CreatePartitionsTopic::default()
            .with_name(name)
            .with_count(3)
            .with_assignments(assignments)
    };
    let expected = |assignments| NewPartitions {
        name: "orders".into(),
        count: 3,
        assignments,
    };
    assert_eq!(new_partitions(topic(None)), expected(None));
    assert_eq!(
        new_partitions(topic(Some(Vec::new()))),
        expected(Some(Vec::new()))
    );
    let one = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    assert_eq!(
        new_partitions(topic(Some(vec![one]))),
        expected(Some(vec![vec![1]]))
    );
}

#[test]
fn every_version_carries_code_and_text() {
    let results = || {
        let result = |name: &str, result| CreatePartitionsResult {
            name: name.into(),
            result,
        };
        let refusal = Refusal::new(ErrorCode::InvalidPartitions, "why");
        Ok(vec![result("wider", Ok(())), result("same", Err(refusal))])
    };
    for (version, read) in each_version(37, |_| respond(Vec::new(), results())) {
        let told: Vec<_> = read
            .results
            .iter()
            .map(|topic| {
                (
                    &*topic.name.0,
                    topic.error_code,
                    topic.error_message.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("wider", 0, None), ("same", 37, Some("why"))],
            "{version}"
        );
    }
}

#[test]
fn without_results_every_topic_gets_the_refusal() {
    let refusal = Refusal::bare(ErrorCode::RequestTimedOut);
    let response = respond(vec!["a".into(), "b".into()], Err(refusal));
    let codes: Vec<_> = response
        .results
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    assert_eq!(codes, [7, 7]);
}

/// Widens the topic "orders", which has two partitions, and tells error and partitions after.
#[track_caller]
fn check(
    name: &'static str,
    count: i32,
    brokers: Option<&[i32]>,
    validate: bool,
    code: i16,
    after: usize,
) {
    let assignment =
        |id: &i32| CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(*id)]);
    let assignments = brokers.map(|brokers| brokers.iter().map(assignment).collect());
    let topic = CreatePartitionsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(name)))
        .with_count(count)
        .with_assignments(assignments);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_validate_only(validate);
    let mut catalog = TestCatalog::with_topics(BrokerConfig::default(), &[("orders", 2, &[])]);
    let reply = catalog.run(command(request));
    let response = respond(Vec::new(), results_in_time(Some(Ok(reply)), created));
    let codes: Vec<_> = response
        .results
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    assert_eq!(codes, [code]);
    assert_eq!(catalog.image().partition_count(), after);
}

#[test]
fn errors_have_kafkas_codes() {
    check("orders", 3, None, false, 0, 3);
    check("orders", 4, Some(&[1, 1]), false, 0, 4);
    check("orders", 3, None, true, 0, 2);
    check("orders", 2, None, false, 37, 2);
    check("orders", 1, None, false, 37, 2);
    check("orders", -1, None, false, 37, 2);
    check("orders", 3, Some(&[]), false, 39, 2);
    check("orders", 3, Some(&[9]), false, 39, 2);
    check("orders", i32::MAX, None, false, 44, 2);
    check("nowhere", 3, None, false, 3, 2);
}
