//! The producer's policy, pure: records in, requests and outcomes out.
//!
//! The shell calls [`Core::append`] for records, [`Core::plan`] for what is to be sent now, and
//! [`Core::completed`] with what came of it. A batch goes through these states:
//!
//! ```text
//!  open -> waiting -> in flight -> written
//!             ^           |  \---> failed (refused, or its time is up)
//!             |           v
//!             +------- to be sent again, in its old place
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::ErrorCode;
use tidemark_protocol::records::Compression;

use super::batch::{Payload, Stamp};
use super::config::{Acks, ProducerConfig};
use super::delivery::{Delivery, Written};
use super::error::{ProduceError, RecordProblem};
use super::partitioner::{Partitioner, Sticky};
use super::queue::Queue;
use crate::consumer::Lease;
use crate::retry::Backoff;
use crate::topic_partition::TopicPartition;

mod answers;
mod append;
mod plan;

/// The most that a batch which is to be split may unpack to, in bytes.
const MAX_UNPACKED: usize = 100 * 1024 * 1024;

/// What became of a record that was handed in.
#[derive(Debug)]
pub(crate) enum Append {
    /// It is in a batch; with a future, if that was asked for.
    Taken(Option<Delivery>),
    /// Its topic's partitions are not known yet.
    UnknownTopic,
    /// The partition that it names is not known, or not yet.
    UnknownPartition,
    /// There is no room in the buffer.
    Full,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) sends: Vec<Send>,
    /// Brokers that are needed and not connected.
    pub(crate) connect: Vec<i32>,
    /// The picture of the cluster does not do.
    pub(crate) refresh: bool,
    /// A producer id is needed.
    pub(crate) identify: bool,
    /// When to plan again although nothing happens, in clock milliseconds.
    pub(crate) deadline: Option<u64>,
    /// Memory has been freed, or batches have come to an end.
    pub(crate) freed: bool,
}

impl Plan {
    fn at(&mut self, moment: u64) {
        self.deadline = Some(self.deadline.map_or(moment, |at| at.min(moment)));
    }
}

/// A request to one broker.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) node: i32,
    pub(crate) items: Vec<Item>,
}

/// One partition's batch in it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) queue: usize,
    pub(crate) order: (u64, u32),
    pub(crate) partition: TopicPartition,
    pub(crate) payload: Payload,
    pub(crate) stamp: Option<Stamp>,
}

/// What came of an item, with its bytes if they can be sent again.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) queue: usize,
    pub(crate) order: (u64, u32),
    pub(crate) bytes: Bytes,
    pub(crate) answer: Answer,
}

/// The broker's word on a batch, or the lack of it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Written(Written),
    Refused {
        code: ErrorCode,
        message: Option<String>,
        record: Option<RecordProblem>,
    },
    /// No answer came.
    Unknown {
        reason: String,
    },
    /// It was not sent.
    NotSent {
        reason: String,
    },
    /// It cannot be built.
    Unbuildable {
        reason: String,
    },
}

struct Topic {
    /// Queues of the partitions by number: those that the topic has, and behind them those of a
    /// larger topic of the same name that was there before.
    queues: Vec<usize>,
    /// How many partitions the topic has.
    partitions: usize,
    sticky: Sticky,
}

#[derive(Default)]
struct NodeState {
    linked: bool,
    /// The broker wants to be left alone until then, in clock milliseconds.
    not_before: u64,
    in_flight: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    None,
    Asked,
    Known(i64, i16),
}

/// What the policy needs of the configuration, in its units.
struct Settings {
    acks: Acks,
    idempotent: bool,
    linger: u64,
    batch_size: usize,
    buffer_memory: usize,
    codec: (Compression, Option<i32>),
    delivery_timeout: u64,
    max_request_size: usize,
    max_in_flight: usize,
    retry_backoff: u64,
    retry_backoff_max: u64,
}

/// All state of a producer.
pub(crate) struct Core {
    settings: Settings,
    partitioner: Arc<dyn Partitioner>,
    /// Nothing is sent while it does not hold.
    lease: Option<Lease>,
    topics: Vec<Topic>,
    names: HashMap<Arc<str>, usize>,
    /// Those that the picture of the cluster has forgotten. They keep their places, and with them
    /// their sequences, for when they are asked for again.
    forgotten: HashMap<Arc<str>, usize>,
    /// The topic of the last record: most records go where the one before went.
    last_topic: Option<(Arc<str>, usize)>,
    queues: Vec<Queue>,
    active: Vec<usize>,
    /// Where the next request begins to look, so that every partition comes first in turn.
    turn: usize,
    nodes: HashMap<i32, NodeState>,
    identity: Identity,
    /// Not asked for an id before then.
    identify_not_before: u64,
    identify_backoff: Backoff,
    memory: usize,
    /// Somebody waits for room: nothing lingers.
    starved: bool,
    /// Batches up to this number do not linger.
    flush_up_to: Option<u64>,
    next_number: u64,
    /// Batches without an end, by number, with how many pieces each has.
    undone: BTreeMap<u64, u32>,
    delivered: u64,
    failed: u64,
    /// How many of those that have failed the brokers would never take, by topic.
    refused: BTreeMap<Arc<str>, u64>,
    last_error: Option<ProduceError>,
    /// Why no more records are taken.
    refusing: Option<ProduceError>,
}

impl Core {
    pub(crate) fn new(config: &ProducerConfig, retry_backoff: Duration, longest: Duration) -> Self {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self {
            settings: Settings {
                acks: config.acks,
                idempotent: config.is_idempotent(),
                linger: millis(config.linger),
                // A batch that fills a request by itself is as large as one may become.
                batch_size: config.batch_size.min(config.max_request_size),
                buffer_memory: config.buffer_memory,
                codec: (config.compression, config.compression_level),
                delivery_timeout: millis(config.delivery_timeout),
                max_request_size: config.max_request_size,
                max_in_flight: config.max_in_flight,
                retry_backoff: millis(retry_backoff),
                retry_backoff_max: millis(longest),
            },
            partitioner: Arc::clone(&config.partitioner),
            lease: config.lease.clone(),
            topics: Vec::new(),
            names: HashMap::new(),
            forgotten: HashMap::new(),
            last_topic: None,
            queues: Vec::new(),
            active: Vec::new(),
            turn: 0,
            nodes: HashMap::new(),
            identity: Identity::None,
            identify_not_before: 0,
            identify_backoff: Backoff::new(millis(retry_backoff), millis(longest)),
            memory: 0,
            starved: false,
            flush_up_to: None,
            next_number: 0,
            undone: BTreeMap::new(),
            delivered: 0,
            failed: 0,
            refused: BTreeMap::new(),
            last_error: None,
            refusing: None,
        }
    }

    /// Takes no more records.
    pub(crate) fn refuse_more(&mut self) {
        self.refusing.get_or_insert(ProduceError::Closed {
            maybe_written: false,
        });
    }

    /// Has everything that is here now sent at once. Gives the number to wait for with
    /// [`Self::is_done`], if there is anything.
    pub(crate) fn flush(&mut self) -> Option<u64> {
        let last = self.next_number.checked_sub(1)?;
        self.flush_up_to = Some(last);
        self.undone.first_key_value().map(|_| last)
    }

    /// Whether all batches up to a number have come to their end.
    pub(crate) fn is_done(&self, number: u64) -> bool {
        self.undone
            .first_key_value()
            .is_none_or(|(first, _)| *first > number)
    }

    /// Delivered and failed records.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.delivered, self.failed)
    }

    /// Takes refused records of such topics out of those that have failed; gives how many.
    pub(crate) fn take_refused(&mut self, topics: &dyn Fn(&str) -> bool) -> u64 {
        let mut taken = 0;
        self.refused.retain(|topic, count| {
            let takes = topics(topic);
            taken += if takes { *count } else { 0 };
            !takes
        });
        self.failed -= taken;
        taken
    }

    /// Why a record has failed last.
    pub(crate) fn last_error(&self) -> Option<ProduceError> {
        self.last_error.clone()
    }

    /// How many partitions a topic has, as far as is known.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let slot = self.names.get(topic);
        let topic = slot.and_then(|slot| self.topics.get(*slot));
        topic.map_or(0, |topic| topic.partitions)
    }

    /// Bytes of the buffer in use.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// When a record counts as written.
    pub(crate) fn acks(&self) -> Acks {
        self.settings.acks
    }

    /// The codec and its level.
    pub(crate) fn codec(&self) -> (Compression, Option<i32>) {
        self.settings.codec
    }
}

#[cfg(test)]
mod tests;
