//! Fetch (key 1, versions 4 to 18): read from partitions, perhaps after waiting for data.
//!
//! Every fetch is a consumer's: there are no followers. Waiting is a condition (rule 16): the
//! fetch is registered with the high watermarks of its partitions and looks again when one moves.

mod run;
pub(super) mod sessions;

use kafka_protocol::messages::{FetchRequest, FetchResponse};

use self::sessions::{Key, Request, TopicKey, Wanted};
use super::context::{Context, ErrorCodes};
use super::step::Step;
use super::view::View;
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

pub(super) fn handle(view: &View, context: &Context, request: FetchRequest) -> Step {
    let by_topic_id = context.version >= 13;
    let topic_key = |name, id| {
        if by_topic_id {
            TopicKey::Id(id)
        } else {
            TopicKey::Name(name)
        }
    };
    let wanted = request.topics.into_iter().flat_map(|topic| {
        let topic_key = topic_key(topic.topic.0, topic.topic_id);
        topic.partitions.into_iter().map(move |partition| {
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
            (key, wanted)
        })
    });
    let forgotten = request.forgotten_topics_data.into_iter().flat_map(|topic| {
        let topic_key = topic_key(topic.topic.0, topic.topic_id);
        let key = move |partition| Key {
            topic: topic_key.clone(),
            partition,
        };
        topic.partitions.into_iter().map(key)
    });
    // Version 7 brought sessions; before it every fetch is outside of one.
    let (session_id, epoch) = if context.version >= 7 {
        (request.session_id, request.session_epoch)
    } else {
        (0, -1)
    };
    let session = Request {
        session_id,
        epoch,
        by_topic_id,
        wanted: wanted.collect(),
        forgotten: forgotten.collect(),
    };
    let broker_cap = view.config().fetch_max_bytes;
    Step::Fetch(Box::new(FetchStep {
        context: context.clone(),
        session,
        max_wait_ms: i64::from(request.max_wait_ms),
        min_bytes: u64::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: u32::try_from(request.max_bytes.min(broker_cap)).unwrap_or(0),
        isolation: isolation(request.isolation_level),
    }))
}

impl ErrorCodes for FetchResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        let partitions = self.responses.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}
