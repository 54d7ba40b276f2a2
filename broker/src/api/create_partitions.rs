//! CreatePartitions (key 37, versions 0 to 3, KIP-195): give topics more partitions.
//!
//! The catalog decides; each topic succeeds or fails on its own.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::admin_error::{results_in_time, wire};
use super::context::{Context, ErrorCodes};
use super::step::Step;
use super::view::View;
use crate::catalog::command::{
    Command, CreatePartitions, CreatePartitionsResult, NewPartitions, Refusal, Reply,
};

pub(super) fn handle(_: &View, context: &Context, request: CreatePartitionsRequest) -> Step {
    let timeout_ms = i64::from(request.timeout_ms);
    let names = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let command = CreatePartitions {
        topics: request.topics.into_iter().map(new_partitions).collect(),
        validate_only: request.validate_only,
    };
    let context = context.clone();
    Step::CatalogInTime(
        Command::CreatePartitions(command),
        timeout_ms,
        Box::new(move |_, answer| {
            let results = results_in_time(answer, |reply| match reply {
                Reply::PartitionsCreated(results) => Some(results),
                _ => None,
            });
            context.reply(&respond(names, results))
        }),
    )
}

/// No assignments and an empty list of them are two things: the latter is wrong for every
/// increase.
fn new_partitions(topic: CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.map(|assignments| {
        let brokers = |ids: Vec<kafka_protocol::messages::BrokerId>| {
            ids.into_iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assignments.into_iter().map(|assignment| brokers(assignment.broker_ids)).collect()
    });
    NewPartitions { name: topic.name.to_string(), count: topic.count, assignments }
}

fn respond(
    names: Vec<String>,
    results: Result<Vec<CreatePartitionsResult>, Refusal>,
) -> CreatePartitionsResponse {
    let results = results.unwrap_or_else(|refusal| {
        let refuse = |name| CreatePartitionsResult { name, result: Err(refusal.clone()) };
        names.into_iter().map(refuse).collect()
    });
    let results = results.into_iter().map(|topic| {
        let (code, message) = wire(&topic.result);
        CreatePartitionsTopicResult::default()
            .with_name(TopicName(StrBytes::from_string(topic.name)))
            .with_error_code(code)
            .with_error_message(message)
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

impl ErrorCodes for CreatePartitionsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.results.iter().for_each(|topic| visit(topic.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
    use tidemark_protocol::error::ErrorCode;

    use super::*;
    use crate::api::testing::each_version;

    #[test]
    fn absent_assignments_are_not_empty_ones() {
        let topic = |assignments| {
            let name = TopicName(StrBytes::from_static_str("orders"));
            CreatePartitionsTopic::default()
                .with_name(name)
                .with_count(3)
                .with_assignments(assignments)
        };
        let expected = |assignments| NewPartitions { name: "orders".into(), count: 3, assignments };
        assert_eq!(new_partitions(topic(None)), expected(None));
        assert_eq!(new_partitions(topic(Some(Vec::new()))), expected(Some(Vec::new())));
        let one = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        assert_eq!(new_partitions(topic(Some(vec![one]))), expected(Some(vec![vec![1]])));
    }

    #[test]
    fn every_version_carries_code_and_text() {
        let results = || {
            let result = |name: &str, result| CreatePartitionsResult { name: name.into(), result };
            let refusal = Refusal::new(ErrorCode::InvalidPartitions, "why");
            Ok(vec![result("wider", Ok(())), result("same", Err(refusal))])
        };
        for (version, read) in each_version(37, |_| respond(Vec::new(), results())) {
            let told: Vec<_> = read
                .results
                .iter()
                .map(|topic| (&*topic.name.0, topic.error_code, topic.error_message.as_deref()))
                .collect();
            assert_eq!(told, [("wider", 0, None), ("same", 37, Some("why"))], "{version}");
        }
    }

    #[test]
    fn without_results_every_topic_gets_the_refusal() {
        let refusal = Refusal::bare(ErrorCode::RequestTimedOut);
        let response = respond(vec!["a".into(), "b".into()], Err(refusal));
        let codes: Vec<_> = response.results.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [7, 7]);
    }
}
