//! DeleteRecords (key 21, versions 0 to 2, KIP-107): forget the records below an offset (rule 33).
//!
//! The offset -1 is the high watermark; the answer carries the log's new start and leaves when the
//! checkpoint that makes it outlive a restart is written. Kafka waits up to `timeout_ms` for
//! followers; there are none. A partition that is named more than once counts once, with its last
//! offset, as in Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::view::View;
use crate::catalog::image::{CatalogImage, Topic};
use crate::config::{BrokerConfig, TopicConfig};
use crate::partition::PartitionError;
use crate::types::{Offset, PartitionIndex};

/// The low watermark of a partition that nothing was deleted from.
const NO_LOW_WATERMARK: i64 = -1;

/// What is said of partitions, by topic and number. By topic first: a name may be long, and a
/// request can have a million partitions of it.
type ByPartition<T> = BTreeMap<TopicName, BTreeMap<i32, T>>;

pub(super) fn handle(view: &View, context: &Context, request: DeleteRecordsRequest) -> Step {
    let config = view.config();
    let mut results = ByPartition::new();
    let (mut keys, mut targets) = (Vec::new(), Vec::new());
    for (name, partitions) in offsets(request.topics) {
        let topic = Checked::of(&view.catalog, &config, &name);
        let results: &mut BTreeMap<_, _> = results.entry(name.clone()).or_default();
        for (index, offset) in partitions {
            let found = topic.check(index).and_then(|()| {
                // In the catalog but not opened (or closed again just now): the client looks again.
                view.partition(&name, index)
                    .ok_or(ErrorCode::NotLeaderOrFollower)
            });
            match found {
                Ok(partition) => {
                    keys.push((name.clone(), index));
                    targets.push((partition, offset));
                }
                Err(error) => {
                    results.insert(index, Err(error));
                }
            }
        }
    }
    let context = context.clone();
    Step::DeleteRecords(
        targets,
        Box::new(move |_, starts: Vec<Result<Offset, PartitionError>>| {
            for ((name, index), start) in keys.into_iter().zip(starts) {
                let start = start.map_err(|error| error.code);
                results.entry(name).or_default().insert(index, start);
            }
            context.reply(&respond(results))
        }),
    )
}

/// The offset up to which each partition is to be emptied.
fn offsets(topics: Vec<DeleteRecordsTopic>) -> ByPartition<i64> {
    let mut offsets = ByPartition::new();
    for topic in topics {
        let partitions = topic.partitions.into_iter();
        let numbered = partitions.map(|partition| (partition.partition_index, partition.offset));
        offsets
            .entry(topic.name)
            .or_insert_with(BTreeMap::new)
            .extend(numbered);
    }
    offsets
}

/// A topic with what can be said of it without looking at its partitions: whether it lets go of
/// records at all.
struct Checked<'a> {
    topic: Option<&'a Arc<Topic>>,
    refusal: Option<ErrorCode>,
}

impl<'a> Checked<'a> {
    fn of(catalog: &'a CatalogImage, config: &BrokerConfig, name: &str) -> Self {
        let topic = catalog.topic(name);
        let refusal = topic.and_then(|topic| {
            if topic.internal {
                return Some(ErrorCode::InvalidTopicException);
            }
            let policy = TopicConfig::resolve(config, &topic.configs).cleanup_policy;
            (policy.compact && !policy.delete).then_some(ErrorCode::PolicyViolation)
        });
        Self { topic, refusal }
    }

    fn check(&self, partition: i32) -> Result<(), ErrorCode> {
        let index = PartitionIndex(partition);
        match self.topic {
            Some(topic) if topic.partitions.contains_key(&index) => {
                self.refusal.map_or(Ok(()), Err)
            }
            _ => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }
}

fn respond(results: ByPartition<Result<Offset, ErrorCode>>) -> DeleteRecordsResponse {
    let topics = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, result)| {
            let (low_watermark, error) = match result {
                Ok(start) => (start.0, ErrorCode::None),
                Err(error) => (NO_LOW_WATERMARK, error),
            };
            DeleteRecordsPartitionResult::default()
                .with_partition_index(index)
                .with_low_watermark(low_watermark)
                .with_error_code(code(error))
        });
        DeleteRecordsTopicResult::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

impl ErrorCodes for DeleteRecordsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::api::testing::{catalog, each_version};

    fn name(text: &'static str) -> TopicName {
        TopicName(StrBytes::from_static_str(text))
    }

    #[test]
    fn rule_33_the_last_offset_of_a_partition_counts() {
        let topic = |topic, partitions: &[(i32, i64)]| {
            let partitions = partitions.iter().map(|(index, offset)| {
                DeleteRecordsPartition::default()
                    .with_partition_index(*index)
                    .with_offset(*offset)
            });
            DeleteRecordsTopic::default()
                .with_name(name(topic))
                .with_partitions(partitions.collect())
        };
        let request = vec![
            topic("b", &[(0, 5), (0, 6)]),
            topic("a", &[(1, -1)]),
            topic("b", &[(0, 4)]),
        ];
        let expected = [(name("a"), [(1, -1)].into()), (name("b"), [(0, 4)].into())];
        assert_eq!(offsets(request), expected.into());
    }

    #[test]
    fn rule_33_what_cannot_be_deleted_from_says_why() {
        let catalog = catalog(&[
            ("plain", 2, &[]),
            ("both", 1, &[("cleanup.policy", "compact,delete")]),
            ("compact", 1, &[("cleanup.policy", "compact")]),
            ("__consumer_offsets", 1, &[]),
        ]);
        let config = BrokerConfig::default();
        let check = |topic: &str, partition: i32, expected: Result<(), ErrorCode>| {
            let checked = Checked::of(&catalog, &config, topic);
            assert_eq!(checked.check(partition), expected, "{topic}");
        };
        check("plain", 0, Ok(()));
        check("plain", 1, Ok(()));
        check("plain", 2, Err(ErrorCode::UnknownTopicOrPartition));
        check("plain", -1, Err(ErrorCode::UnknownTopicOrPartition));
        check("nowhere", 0, Err(ErrorCode::UnknownTopicOrPartition));
        check("both", 0, Ok(()));
        check("compact", 0, Err(ErrorCode::PolicyViolation));
        check(
            "__consumer_offsets",
            0,
            Err(ErrorCode::InvalidTopicException),
        );
        check(
            "__consumer_offsets",
            1,
            Err(ErrorCode::UnknownTopicOrPartition),
        );
    }

    #[test]
    fn rule_33_every_version_carries_the_new_low_watermark() {
        let results = || -> ByPartition<Result<Offset, ErrorCode>> {
            let a = [(0, Ok(Offset(12))), (1, Err(ErrorCode::OffsetOutOfRange))];
            let b = [(0, Err(ErrorCode::UnknownTopicOrPartition))];
            [(name("a"), a.into()), (name("b"), b.into())].into()
        };
        for (version, read) in each_version(21, |_| respond(results())) {
            let told: Vec<_> = read
                .topics
                .iter()
                .flat_map(|topic| {
                    topic
                        .partitions
                        .iter()
                        .map(move |one| (&*topic.name.0, one))
                })
                .map(|(name, one)| (name, one.partition_index, one.low_watermark, one.error_code))
                .collect();
            assert_eq!(
                told,
                [("a", 0, 12, 0), ("a", 1, -1, 1), ("b", 0, -1, 3)],
                "{version}"
            );
            assert_eq!(read.topics.len(), 2);
        }
    }
}
