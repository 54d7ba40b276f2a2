//! CreatePartitions (key 37, versions 0 to 3, KIP-195): give topics more partitions.
//!
//! The catalog decides; each topic succeeds or fails on its own.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
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
    let names = request
        .topics
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    let command = command(request);
    let context = context.clone();
    Step::CatalogInTime(
        command,
        timeout_ms,
        Box::new(move |_, answer| context.reply(&respond(names, results_in_time(answer, created)))),
    )
}

fn command(request: CreatePartitionsRequest) -> Command {
    Command::CreatePartitions(CreatePartitions {
        topics: request.topics.into_iter().map(new_partitions).collect(),
        validate_only: request.validate_only,
    })
}

fn created(reply: Reply) -> Option<Vec<CreatePartitionsResult>> {
    match reply {
        Reply::PartitionsCreated(results) => Some(results),
        _ => None,
    }
}

/// No assignments and an empty list of them are two things: the latter is wrong for every
/// increase.
fn new_partitions(topic: CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.map(|assignments| {
        let brokers = |assignment: CreatePartitionsAssignment| {
            assignment.broker_ids.into_iter().map(|id| id.0).collect()
        };
        assignments.into_iter().map(brokers).collect()
    });
    NewPartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}

fn respond(
    names: Vec<String>,
    results: Result<Vec<CreatePartitionsResult>, Refusal>,
) -> CreatePartitionsResponse {
    let results = results.unwrap_or_else(|refusal| {
        let refuse = |name| CreatePartitionsResult {
            name,
            result: Err(refusal.clone()),
        };
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
        self.results
            .iter()
            .for_each(|topic| visit(topic.error_code));
    }
}

#[cfg(test)]
mod tests;
