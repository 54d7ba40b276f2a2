//! Produce (key 0, versions 3 to 13): append one batch per partition.
//!
//! Batches go to the log as they came (see `partition::validate` for what is looked at). acks=0
//! gets no answer; if anything failed the connection is closed instead, so that the client
//! notices. acks=1 answers from the page cache, acks=all when the batch is on disk.
//!
//! A partition that is named more than once counts once, with its last batch, as in Kafka, which
//! puts the partitions of a request in a map.

mod distinct;

use std::sync::Arc;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::context::{Context, ErrorCodes, code, detached};
use super::step::{AppendStep, Step};
use super::view::View;
use crate::catalog::topic_name;
use crate::partition::{Acks, Appended, Partition, PartitionError, Refused, ValidBatch, validate};

/// The name that Kafka's admin client gives itself unless it is given another; who has it may write
/// to internal topics, there and here.
const ADMIN_CLIENT: &str = "__admin_client";

/// One partition of the request: refused already, or waiting for the append of this number.
enum Slot {
    Refused(Refusal),
    Appending(usize, Arc<Partition>),
}

/// Why a partition's batch was refused, as it is answered.
#[derive(Clone)]
struct Refusal {
    code: ErrorCode,
    message: String,
    records: Vec<(i32, String)>,
    log_start: i64,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            records: Vec::new(),
            log_start: -1,
        }
    }
}

struct TopicSlots {
    name: TopicName,
    id: Uuid,
    slots: Vec<(i32, Slot)>,
}

pub(super) fn handle(view: &View, context: &Context, request: ProduceRequest) -> Step {
    let acks = match request.acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        other => Err(Refusal::new(
            ErrorCode::InvalidRequiredAcks,
            format!("acks must be 0, 1 or -1 (all), not {other}"),
        )),
    };
    let topic_data = match distinct::partitions(request.topic_data) {
        Ok(topics) => topics,
        Err(count) => return Step::Close(format!("a produce request names {count} partitions")),
    };
    let mut batches = Vec::new();
    let topics = topic_data
        .into_iter()
        .map(|topic| {
            let mut topic = Named::resolve(view, context.version, topic);
            let slots = std::mem::take(&mut topic.partitions)
                .into_iter()
                .map(|data| {
                    let index = data.index;
                    let judged = match &acks {
                        Ok(_) => judge(view, context, &topic, data),
                        Err(refused) => Err(refused.clone()),
                    };
                    let slot = match judged {
                        Ok((partition, batch)) => {
                            batches.push((Arc::clone(&partition), batch));
                            Slot::Appending(batches.len() - 1, partition)
                        }
                        Err(refused) => Slot::Refused(refused),
                    };
                    (index, slot)
                });
            let slots = slots.collect();
            TopicSlots {
                name: topic.name,
                id: topic.id,
                slots,
            }
        })
        .collect();
    // While the disk is waited for, nothing of the request's frame is kept.
    let context = context.detached();
    let silent = request.acks == 0;
    Step::Append(AppendStep {
        batches,
        acks: acks.unwrap_or(Acks::Leader),
        timeout_ms: i64::from(request.timeout_ms),
        then: Box::new(move |_, outcomes| {
            let response = respond(context.version, topics, outcomes);
            if silent {
                without_answer(&response)
            } else {
                context.reply(&response)
            }
        }),
    })
}

/// A topic of the request with its name and id as far as they are known.
struct Named {
    name: TopicName,
    id: Uuid,
    unknown: Option<ErrorCode>,
    partitions: Vec<PartitionProduceData>,
}

impl Named {
    /// Version 13 names topics by id, earlier ones by name.
    fn resolve(view: &View, version: i16, topic: TopicProduceData) -> Self {
        if version < 13 {
            return Self {
                name: TopicName(detached(&topic.name)),
                id: Uuid::nil(),
                unknown: None,
                partitions: topic.partition_data,
            };
        }
        let known = view.topic_by_id(topic.topic_id);
        Self {
            unknown: known.is_none().then_some(ErrorCode::UnknownTopicId),
            name: TopicName(known.map_or_else(StrBytes::new, |topic| {
                StrBytes::from_string(topic.name.to_string())
            })),
            id: topic.topic_id,
            partitions: topic.partition_data,
        }
    }
}

fn judge(
    view: &View,
    context: &Context,
    topic: &Named,
    data: PartitionProduceData,
) -> Result<(Arc<Partition>, ValidBatch), Refusal> {
    if let Some(unknown) = topic.unknown {
        return Err(Refusal::new(unknown, "no topic has this id"));
    }
    // The text does not repeat the name: it may be long, and a request can name it a million times.
    let partition = view.partition(&topic.name, data.index).ok_or_else(|| {
        let message = "there is no such partition";
        Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
    })?;
    if topic_name::is_internal(&topic.name) && context.client_name() != ADMIN_CLIENT {
        let message = "the topic is internal: clients cannot write to it";
        return Err(Refusal::new(ErrorCode::InvalidTopicException, message));
    }
    if !topic.id.is_nil() && partition.topic_id() != topic.id {
        // The topic was deleted and created again since the view was taken.
        return Err(Refusal::new(
            ErrorCode::UnknownTopicId,
            "no topic has this id",
        ));
    }
    match validate(
        data.records,
        context.version,
        &partition.batch_rules(),
        view.now.wall,
    ) {
        Ok(batch) => Ok((partition, batch)),
        Err(Refused {
            code,
            message,
            records,
            reached_log,
        }) => {
            let log_start = if reached_log {
                log_start(&partition)
            } else {
                -1
            };
            Err(Refusal {
                code,
                message,
                records,
                log_start,
            })
        }
    }
}

fn log_start(partition: &Partition) -> i64 {
    partition.bounds().map_or(-1, |bounds| bounds.start.0)
}

fn respond(
    version: i16,
    topics: Vec<TopicSlots>,
    outcomes: Vec<Result<Appended, PartitionError>>,
) -> ProduceResponse {
    let mut outcomes: Vec<_> = outcomes.into_iter().map(Some).collect();
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.slots.into_iter().map(|(index, slot)| {
            let outcome = match slot {
                Slot::Refused(refused) => Err(refused),
                Slot::Appending(number, partition) => {
                    match outcomes.get_mut(number).and_then(Option::take) {
                        Some(Ok(appended)) => Ok(appended),
                        Some(Err(PartitionError { code, message })) => {
                            let log_start = log_start(&partition);
                            Err(Refusal {
                                log_start,
                                ..Refusal::new(code, message)
                            })
                        }
                        None => Err(Refusal::new(ErrorCode::UnknownServerError, "")),
                    }
                }
            };
            partition_response(version, index, outcome)
        });
        let partitions = partitions.collect();
        let response = TopicProduceResponse::default().with_partition_responses(partitions);
        if version >= 13 {
            response.with_topic_id(topic.id)
        } else {
            response.with_name(topic.name)
        }
    });
    ProduceResponse::default().with_responses(topics.collect())
}

/// Rule 14: a refused partition has base offset -1, an accepted one tells the real log start.
fn partition_response(
    version: i16,
    index: i32,
    outcome: Result<Appended, Refusal>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match outcome {
        Ok(appended) => {
            let response = response
                .with_base_offset(appended.base_offset.0)
                .with_log_append_time_ms(appended.log_append_time.0);
            if version >= 5 {
                response.with_log_start_offset(appended.log_start.0)
            } else {
                response
            }
        }
        Err(refused) => {
            let response = response
                .with_error_code(code(refused.code))
                .with_base_offset(-1)
                .with_log_append_time_ms(-1);
            let response = if version >= 5 {
                response.with_log_start_offset(refused.log_start)
            } else {
                response
            };
            if version < 8 {
                return response;
            }
            let records = refused.records.into_iter().map(|(index, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(Some(StrBytes::from_string(message)))
            });
            response
                .with_record_errors(records.collect())
                .with_error_message(Some(StrBytes::from_string(refused.message)))
        }
    }
}

/// acks=0: no answer; a failure shows as a closed connection (rule 13).
fn without_answer(response: &ProduceResponse) -> Step {
    let mut failed = 0;
    response.error_codes(&mut |code| failed += i32::from(code != 0));
    if failed == 0 {
        Step::Silent
    } else {
        Step::Close(format!("an acks=0 produce failed for {failed} partitions"))
    }
}

impl ErrorCodes for ProduceResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        let partitions = self
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}
