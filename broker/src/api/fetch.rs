//! Fetch (key 1, versions 4 to 18): read from partitions, perhaps after waiting for data.
//!
//! Every fetch is a consumer's: there are no followers. Waiting is a condition (rule 16): the
//! fetch is registered with the high watermarks of its partitions and looks again when one moves.

mod run;
pub(super) mod sessions;

use std::collections::HashMap;

use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use self::sessions::{FINAL_EPOCH, Key, NO_SESSION, Request, TopicKey, Wanted};
use super::context::{Context, ErrorCodes, detached};
use super::step::Step;
use super::view::View;
use crate::catalog::topic_name;
use crate::partition::Isolation;

/// A fetch that is about to run.
pub struct FetchStep {
    context: Context,
    session: Request,
    max_wait_ms: i64,
    min_bytes: u64,
    max_bytes: u32,
    isolation: Isolation,
}

/// What the wire's number for an isolation level means; unknown ones are the stricter level.
pub(super) fn isolation(level: i8) -> Isolation {
    match level {
        0 => Isolation::ReadUncommitted,
        _ => Isolation::ReadCommitted,
    }
}

/// How an error is told to a client of this version. Old ones do not know KAFKA_STORAGE_ERROR; with
/// the other they look for the leader anew, and come again.
fn told_as(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::KafkaStorageError if version <= 5 => ErrorCode::NotLeaderOrFollower,
        error => error,
    }
}

pub(super) fn handle(view: &View, context: &Context, request: FetchRequest) -> Step {
    let by_topic_id = context.version >= 13;
    let mut names = request.topics.iter().map(|topic| &topic.topic.0);
    let too_long = names.any(|name| name.len() > topic_name::MAX_LENGTH);
    // Version 7 brought sessions; before it every fetch is outside of one. So is one that names
    // topics that cannot exist: their names may be long, and a session would keep them.
    let (session_id, epoch) = match context.version {
        ..7 => (NO_SESSION, FINAL_EPOCH),
        _ if too_long => (request.session_id, FINAL_EPOCH),
        _ => (request.session_id, request.session_epoch),
    };
    let session = Request {
        session_id,
        epoch,
        by_topic_id,
        wanted: wanted(by_topic_id, request.topics),
        forgotten: forgotten(by_topic_id, request.forgotten_topics_data),
    };
    let broker_cap = view.config().fetch_max_bytes;
    Step::Fetch(Box::new(FetchStep {
        context: context.detached(),
        session,
        max_wait_ms: i64::from(request.max_wait_ms),
        min_bytes: u64::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: u32::try_from(request.max_bytes.min(broker_cap)).unwrap_or(0),
        isolation: isolation(request.isolation_level),
    }))
}

/// The topic's name is copied: what is kept of a request, in a session or while it waits, must not
/// keep its whole frame.
fn topic_key(by_topic_id: bool, name: &TopicName, id: Uuid) -> TopicKey {
    match by_topic_id {
        true => TopicKey::Id(id),
        false => TopicKey::Name(detached(&name.0)),
    }
}

/// The partitions of a request, each once: in the place where it first comes and as it is wanted
/// last, as in Kafka's `FetchRequest.fetchData`.
fn wanted(by_topic_id: bool, topics: Vec<FetchTopic>) -> Vec<(Key, Wanted)> {
    let mut topic_numbers: HashMap<TopicKey, usize> = HashMap::new();
    let mut places: HashMap<(usize, i32), usize> = HashMap::new();
    let mut pairs: Vec<(Key, Wanted)> = Vec::new();
    for topic in topics {
        let next = topic_numbers.len();
        let entry = topic_numbers.entry(topic_key(by_topic_id, &topic.topic, topic.topic_id));
        let topic_key = entry.key().clone();
        let number = *entry.or_insert(next);
        for partition in topic.partitions {
            let key = Key {
                topic: topic_key.clone(),
                partition: partition.partition,
            };
            let wanted = Wanted {
                offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            let place = *places
                .entry((number, partition.partition))
                .or_insert(pairs.len());
            match pairs.get_mut(place) {
                Some(earlier) => earlier.1 = wanted,
                None => pairs.push((key, wanted)),
            }
        }
    }
    pairs
}

fn forgotten(by_topic_id: bool, topics: Vec<ForgottenTopic>) -> Vec<Key> {
    let keys = topics.into_iter().flat_map(|topic| {
        let topic_key = topic_key(by_topic_id, &topic.topic, topic.topic_id);
        let key = move |partition| Key {
            topic: topic_key.clone(),
            partition,
        };
        topic.partitions.into_iter().map(key)
    });
    keys.collect()
}

impl ErrorCodes for FetchResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        let partitions = self.responses.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::fetch_request::FetchPartition;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn topic(name: StrBytes, id: u128, partitions: &[(i32, i64)]) -> FetchTopic {
        let partitions = partitions.iter().map(|(index, offset)| {
            FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(*offset)
        });
        FetchTopic::default()
            .with_topic(TopicName(name))
            .with_topic_id(Uuid::from_u128(id))
            .with_partitions(partitions.collect())
    }

    #[test]
    fn a_partition_that_is_named_again_is_wanted_once_as_it_comes_last() {
        let asked = || {
            vec![
                topic("a".into(), 1, &[(0, 10), (1, 11), (0, 12)]),
                topic("b".into(), 2, &[(0, 13)]),
                topic("a".into(), 1, &[(2, 14), (1, 15)]),
            ]
        };
        let told = |by_topic_id| -> Vec<(i32, i64)> {
            let pairs = wanted(by_topic_id, asked()).into_iter();
            pairs
                .map(|(key, wanted)| (key.partition, wanted.offset))
                .collect()
        };
        let expected = [(0, 12), (1, 15), (0, 13), (2, 14)];
        assert_eq!(told(false), expected);
        assert_eq!(told(true), expected);
        let many = vec![topic("a".into(), 1, &vec![(0, 7); 100_000])];
        assert_eq!(wanted(false, many).len(), 1);
    }

    #[test]
    fn nothing_of_the_request_is_kept_but_copies() {
        let frame = Bytes::from(b"name of a topic".to_vec());
        let name = || StrBytes::from_utf8(frame.slice(..4)).expect("a name");
        let forgotten_topic = ForgottenTopic::default()
            .with_topic(TopicName(name()))
            .with_partitions(vec![0]);
        let kept = (
            wanted(false, vec![topic(name(), 0, &[(0, 0)])]),
            forgotten(false, vec![forgotten_topic]),
        );
        assert_eq!(kept.0[0].0, kept.1[0]);
        assert!(frame.is_unique());
    }

    #[test]
    fn old_clients_are_not_told_of_storage_errors() {
        let failed = ErrorCode::KafkaStorageError;
        assert_eq!(told_as(failed, 5), ErrorCode::NotLeaderOrFollower);
        assert_eq!(told_as(failed, 6), failed);
        assert_eq!(
            told_as(ErrorCode::OffsetOutOfRange, 4),
            ErrorCode::OffsetOutOfRange
        );
    }
}
