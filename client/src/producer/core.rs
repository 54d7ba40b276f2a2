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
use tidemark_protocol::records::{BATCH_HEADER_SIZE, BatchBuilder, Compression};

use super::batch::{Batch, Payload, Stamp, halves};
use super::config::{Acks, ProducerConfig};
use super::delivery::{BatchOutcome, Delivery, Written};
use super::error::{ProduceError, RecordProblem};
use super::partitioner::{Partitioner, Sticky, choose};
use super::queue::{Queue, sequence_after};
use super::record::RecordParts;
use crate::clock::Now;
use crate::cluster::Metadata;
use crate::error::ClientError;
use crate::retry::Backoff;
use crate::topic_partition::TopicPartition;

/// The most that a batch which is to be split may unpack to, in bytes.
const MAX_UNPACKED: usize = 100 * 1024 * 1024;

/// What became of a record that was handed in.
#[derive(Debug)]
pub(crate) enum Append {
    /// It is in a batch; with a future, if that was asked for.
    Taken(Option<Delivery>),
    /// Its topic's partitions are not known yet.
    UnknownTopic,
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
    /// Queues of the partitions by number.
    queues: Vec<usize>,
    sticky: Sticky,
}

#[derive(Default)]
struct NodeState {
    linked: bool,
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
    topics: Vec<Topic>,
    names: HashMap<Arc<str>, usize>,
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
                idempotent: config.idempotent,
                linger: millis(config.linger),
                batch_size: config.batch_size,
                buffer_memory: config.buffer_memory,
                codec: (config.compression, config.compression_level),
                delivery_timeout: millis(config.delivery_timeout),
                max_request_size: config.max_request_size,
                max_in_flight: config.max_in_flight,
                retry_backoff: millis(retry_backoff),
                retry_backoff_max: millis(longest),
            },
            partitioner: Arc::clone(&config.partitioner),
            topics: Vec::new(),
            names: HashMap::new(),
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
            last_error: None,
            refusing: None,
        }
    }

    // ---- records in ----

    /// Takes a record in. The second value says that there is something new to plan for.
    #[inline]
    pub(crate) fn append(
        &mut self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
        wants_outcome: bool,
        now: Now,
        random: impl FnOnce() -> u64,
    ) -> Result<(Append, bool), ProduceError> {
        let size = parts.size();
        let slot = match self.check(topic, size)? {
            Ok(slot) => slot,
            Err(wait) => return Ok((wait, true)),
        };
        let (index, sticky) = self.choose_partition(slot, topic, parts, random)?;
        let batch_size = self.settings.batch_size;
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok((Append::UnknownTopic, false));
        };
        let mut wake = false;
        if let Some(open) = &queue.open
            && let Payload::Building(builder) = &open.payload
            && builder.size_estimate() + size > batch_size
        {
            queue.close_open();
            wake = true;
        }
        if queue.open.is_none() {
            wake = true;
            queue.open = Some(new_batch(self.next_number, now.millis));
            self.undone.insert(self.next_number, 1);
            self.next_number += 1;
            if !queue.active {
                queue.active = true;
                self.active.push(index);
            }
        }
        let Some(Batch {
            payload: Payload::Building(builder),
            outcome,
            count,
            memory,
            ..
        }) = &mut queue.open
        else {
            return Ok((Append::UnknownTopic, false));
        };
        let timestamp = parts.timestamp.unwrap_or(now.wall);
        builder
            .append(timestamp, parts.key, parts.value, parts.headers)
            .map_err(|error| ProduceError::Build {
                partition: queue.partition.clone(),
                reason: error.to_string(),
            })?;
        let delivery = wants_outcome.then(|| {
            let outcome =
                outcome.get_or_insert_with(|| Arc::new(BatchOutcome::new(queue.partition.clone())));
            Delivery::new(Arc::clone(outcome), *count, timestamp)
        });
        *count += 1;
        *memory += size;
        self.memory += size;
        let full = builder.size_estimate() >= batch_size;
        if full {
            queue.close_open();
            wake = true;
        }
        if sticky && let Some(topic) = self.topics.get_mut(slot) {
            // A batch that was closed for want of room counts as full too.
            topic.sticky.count(size, batch_size, full || wake);
        }
        Ok((Append::Taken(delivery), wake))
    }

    /// Whether a record of this size for the topic can be taken now: the topic's place, or what to
    /// wait for.
    #[inline]
    pub(crate) fn check(
        &mut self,
        topic: &Arc<str>,
        size: usize,
    ) -> Result<Result<usize, Append>, ProduceError> {
        if let Some(error) = &self.refusing {
            return Err(error.clone());
        }
        let max = self.settings.max_request_size;
        if size + BATCH_HEADER_SIZE > max {
            return Err(ProduceError::TooLarge {
                topic: topic.to_string(),
                size: size + BATCH_HEADER_SIZE,
                max,
            });
        }
        let slot = match &self.last_topic {
            Some((last, slot)) if Arc::ptr_eq(last, topic) => *slot,
            _ => match self.names.get(topic) {
                Some(slot) => {
                    self.last_topic = Some((Arc::clone(topic), *slot));
                    *slot
                }
                None => return Ok(Err(Append::UnknownTopic)),
            },
        };
        if self.memory + size > self.settings.buffer_memory {
            self.starved = true;
            return Ok(Err(Append::Full));
        }
        Ok(Ok(slot))
    }

    /// The queue of the record's partition, and whether it was chosen by sticking to it.
    #[inline]
    fn choose_partition(
        &mut self,
        slot: usize,
        name: &Arc<str>,
        parts: &RecordParts<'_>,
        random: impl FnOnce() -> u64,
    ) -> Result<(usize, bool), ProduceError> {
        let unknown = |partition: i64, count| ProduceError::UnknownPartition {
            topic: name.to_string(),
            partition,
            count,
        };
        let Some(topic) = self.topics.get_mut(slot) else {
            return Err(unknown(-1, 0));
        };
        let count = topic.queues.len();
        let chosen = match parts.partition {
            Some(partition) => Some(i64::from(partition)),
            None => {
                let partitions = u32::try_from(count).unwrap_or(u32::MAX);
                self.partitioner
                    .partition(name, parts.key, parts.value, partitions)
                    .map(i64::from)
            }
        };
        if let Some(partition) = chosen {
            let index = usize::try_from(partition).ok();
            let found = index.and_then(|index| topic.queues.get(index));
            return found
                .map(|queue| (*queue, false))
                .ok_or_else(|| unknown(partition, count));
        }
        let queues = &self.queues;
        let members = &topic.queues;
        let partition = topic.sticky.current(|| {
            let lengths: Vec<Option<usize>> = members
                .iter()
                .map(|index| {
                    let queue = queues.get(*index)?;
                    queue.leader.map(|_| queue.length())
                })
                .collect();
            choose(&lengths, random())
        });
        let found = topic.queues.get(partition).copied();
        found
            .map(|queue| (queue, true))
            .ok_or_else(|| unknown(partition as i64, count))
    }

    /// Takes a new picture of the cluster in: leaders, and topics that are waited for.
    pub(crate) fn learn(&mut self, metadata: &Metadata, topic: Option<&Arc<str>>) {
        if let Some(name) = topic
            && !self.names.contains_key(name)
            && metadata.topic(name).is_some()
        {
            self.names.insert(Arc::clone(name), self.topics.len());
            self.topics.push(Topic {
                queues: Vec::new(),
                sticky: Sticky::default(),
            });
        }
        for (name, slot) in &self.names {
            let (Some(topic), Some(described)) = (self.topics.get_mut(*slot), metadata.topic(name))
            else {
                continue;
            };
            // Partitions are only ever added, unless the topic was made anew; then the records for
            // those that are gone wait for their time to be up.
            for index in topic.queues.len()..described.partitions.len() {
                let partition = i32::try_from(index).unwrap_or(i32::MAX);
                topic.queues.push(self.queues.len());
                self.queues
                    .push(Queue::new(TopicPartition::new(Arc::clone(name), partition)));
            }
            for (index, queue) in topic.queues.iter().enumerate() {
                if let Some(queue) = self.queues.get_mut(*queue) {
                    queue.leader = described.partitions.get(index).and_then(|p| p.leader);
                }
            }
            let stuck = topic.sticky.current(|| 0);
            let lost = topic
                .queues
                .get(stuck)
                .and_then(|queue| self.queues.get(*queue))
                .is_none_or(|queue| queue.leader.is_none());
            if lost {
                topic.sticky.leave();
            }
        }
    }

    // ---- requests out ----

    /// What is to be sent now. Everything in it is under way from here on.
    pub(crate) fn plan(&mut self, now: Now) -> Plan {
        let mut plan = Plan::default();
        self.expire(now, &mut plan);
        self.settle(&mut plan);
        let (mut ready, mut nodes) = (HashMap::<i32, bool>::new(), Vec::new());
        let hurry = self.starved || self.refusing.is_some();
        for index in self.active.clone() {
            let Some(queue) = self.queues.get_mut(index) else {
                continue;
            };
            let is_ready = match (&queue.open, queue.waiting.is_empty()) {
                (_, false) => true,
                (Some(open), true) => {
                    let flushed = self.flush_up_to.is_some_and(|up_to| open.number <= up_to);
                    let lingers_until = open.created.saturating_add(self.settings.linger);
                    let done = hurry || flushed || now.millis >= lingers_until;
                    if done {
                        queue.close_open();
                    } else {
                        plan.at(lingers_until);
                    }
                    done
                }
                (None, true) => false,
            };
            if is_ready && queue.not_before > now.millis {
                plan.at(queue.not_before);
                continue;
            }
            let Some(node) = queue.leader else {
                plan.refresh |= is_ready;
                continue;
            };
            if !ready.contains_key(&node) {
                nodes.push(node);
            }
            *ready.entry(node).or_default() |= is_ready;
        }
        let mut identity = None;
        if self.settings.idempotent {
            match self.identity {
                Identity::Known(id, epoch) => identity = Some((id, epoch)),
                Identity::None if ready.values().any(|ready| *ready) => {
                    if self.identify_not_before > now.millis {
                        plan.at(self.identify_not_before);
                    } else {
                        self.identity = Identity::Asked;
                        plan.identify = true;
                    }
                }
                Identity::None | Identity::Asked => {}
            }
        }
        for node in nodes {
            if ready.get(&node) != Some(&true) {
                continue;
            }
            let state = self.nodes.entry(node).or_default();
            if !state.linked {
                // What is under way on the old connection could be overtaken on a new one.
                if state.in_flight == 0 {
                    plan.connect.push(node);
                }
                continue;
            }
            if self.settings.idempotent && identity.is_none() {
                continue;
            }
            // Whatever else has something for this broker goes along, full or not.
            let mut along = true;
            while self
                .nodes
                .get(&node)
                .is_some_and(|state| state.in_flight < self.settings.max_in_flight)
            {
                let items = self.drain(node, identity, along, now);
                along = false;
                if items.is_empty() {
                    break;
                }
                if let Some(state) = self.nodes.get_mut(&node) {
                    state.in_flight += 1;
                }
                plan.sends.push(Send { node, items });
            }
        }
        if self.memory <= self.settings.buffer_memory / 2 {
            self.starved = false;
        }
        plan
    }

    /// The next request's batches for a broker: at most one of each partition.
    fn drain(
        &mut self,
        node: i32,
        identity: Option<(i64, i16)>,
        along: bool,
        now: Now,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        let mut size = 0;
        self.turn = self.turn.wrapping_add(1);
        let start = self.turn % self.active.len().max(1);
        let (later, sooner) = self.active.split_at(start.min(self.active.len()));
        for index in sooner.iter().chain(later) {
            let Some(queue) = self.queues.get_mut(*index) else {
                continue;
            };
            if queue.leader != Some(node) || queue.not_before > now.millis {
                continue;
            }
            if along && queue.waiting.is_empty() {
                queue.close_open();
            }
            let (idempotent, max) = (self.settings.idempotent, self.settings.max_in_flight);
            if queue.waiting.is_empty() || !queue.may_send(node, idempotent, max) {
                continue;
            }
            let next = queue.waiting.front().map_or(0, wire_size);
            if !items.is_empty() && size + next > self.settings.max_request_size {
                continue;
            }
            size += next;
            if let Some(identity) = identity {
                queue.stamp_front(identity);
            }
            let Some(mut batch) = queue.waiting.pop_front() else {
                continue;
            };
            batch.attempts += 1;
            batch.rejected = false;
            items.push(Item {
                queue: *index,
                order: batch.order(),
                partition: queue.partition.clone(),
                payload: std::mem::replace(&mut batch.payload, Payload::Out),
                stamp: batch.stamp,
            });
            queue.in_flight_node = node;
            queue.in_flight.push_back(batch);
        }
        items
    }

    /// Ends what has taken too long, and takes idle partitions off the list.
    fn expire(&mut self, now: Now, plan: &mut Plan) {
        let timeout = self.settings.delivery_timeout;
        let over = |created: u64| created.saturating_add(timeout) <= now.millis;
        let mut ended = Vec::new();
        for index in &self.active {
            let Some(queue) = self.queues.get_mut(*index) else {
                continue;
            };
            if queue.open.as_ref().is_some_and(|open| over(open.created)) {
                queue.close_open();
            }
            while let Some(batch) = queue.waiting.pop_front_if(|batch| over(batch.created)) {
                queue.settling |= batch.stamp.is_some();
                ended.push((queue.partition.clone(), batch));
            }
            for batch in queue.in_flight.iter_mut().filter(|batch| !batch.given_up) {
                if over(batch.created) {
                    batch.given_up = true;
                    let error = timed_out(&queue.partition, timeout, batch, true);
                    batch.settle(Err(error.clone()));
                    self.failed += u64::from(batch.count);
                    self.last_error = Some(error);
                }
            }
            let oldest = queue
                .waiting
                .front()
                .into_iter()
                .chain(queue.open.as_ref())
                .chain(queue.in_flight.iter().filter(|batch| !batch.given_up))
                .map(|batch| batch.created)
                .min();
            if let Some(oldest) = oldest {
                plan.at(oldest.saturating_add(timeout));
            }
        }
        for (partition, batch) in ended {
            let maybe = batch.maybe_written && !batch.rejected;
            let error = timed_out(&partition, timeout, &batch, maybe);
            self.end(&batch, Err(error));
            plan.freed = true;
        }
        let queues = &mut self.queues;
        self.active.retain(|index| match queues.get_mut(*index) {
            // One that has yet to settle keeps its epoch until the next record comes.
            Some(queue) if queue.is_idle() && !queue.settling => {
                queue.active = false;
                false
            }
            _ => true,
        });
    }

    /// Begins new epochs where everything is known.
    fn settle(&mut self, plan: &mut Plan) {
        for index in &self.active {
            if let Some(queue) = self.queues.get_mut(*index)
                && !queue.try_settle()
            {
                // Epochs have run out: all new ones go under another id.
                self.identity = Identity::None;
                plan.at(0);
            }
        }
    }

    // ---- what came of it ----

    /// The brokers that can be sent to, and those that cannot any more.
    pub(crate) fn linked(&mut self, node: i32, linked: bool) {
        self.nodes.entry(node).or_default().linked = linked;
    }

    /// No connection came about: why, for those whose time will be up.
    pub(crate) fn unreachable(&mut self, node: i32, reason: &str, now: Now, random: u64) {
        for index in &self.active {
            if let Some(queue) = self.queues.get_mut(*index)
                && queue.leader == Some(node)
            {
                let mut backoff =
                    Backoff::new(self.settings.retry_backoff, self.settings.retry_backoff_max);
                queue.not_before = now.millis.saturating_add(backoff.next(random));
                for batch in &mut queue.waiting {
                    batch.last_error = Some(reason.to_owned());
                }
            }
        }
    }

    /// A producer id, or why there is none; the error with whether it may pass.
    pub(crate) fn identified(
        &mut self,
        outcome: Result<(i64, i16), (ClientError, bool)>,
        now: Now,
        random: u64,
    ) {
        match outcome {
            Ok((id, epoch)) => {
                self.identity = Identity::Known(id, epoch);
                self.identify_backoff.reset();
            }
            Err((error, true)) => {
                self.identity = Identity::None;
                let wait = self.identify_backoff.next(random);
                self.identify_not_before = now.millis.saturating_add(wait);
                let reason = format!("no producer id: {error}");
                for index in &self.active {
                    if let Some(queue) = self.queues.get_mut(*index) {
                        for batch in &mut queue.waiting {
                            batch.last_error = Some(reason.clone());
                        }
                    }
                }
            }
            Err((error, false)) => {
                self.identity = Identity::None;
                self.refusing = Some(ProduceError::ProducerId(error.clone()));
                self.fail_all(&ProduceError::ProducerId(error));
            }
        }
    }

    /// A request has ended. Gives whether the picture of the cluster may be wrong.
    pub(crate) fn completed(
        &mut self,
        node: i32,
        outcomes: Vec<Outcome>,
        now: Now,
        random: u64,
    ) -> bool {
        if let Some(state) = self.nodes.get_mut(&node) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        let mut refresh = false;
        for outcome in outcomes {
            refresh |= self.completed_batch(outcome, now, random);
        }
        refresh
    }

    fn completed_batch(&mut self, outcome: Outcome, now: Now, random: u64) -> bool {
        let Some(queue) = self.queues.get_mut(outcome.queue) else {
            return false;
        };
        let found = queue
            .in_flight
            .iter()
            .position(|batch| batch.order() == outcome.order);
        let Some(mut batch) = found.and_then(|at| queue.in_flight.remove(at)) else {
            return false;
        };
        batch.payload = Payload::Built(outcome.bytes);
        match outcome.answer {
            Answer::Written(written) => {
                self.end(&batch, Ok(written));
                false
            }
            // It was there already, and where is not said.
            Answer::Refused {
                code: ErrorCode::DuplicateSequenceNumber,
                ..
            } => {
                let written = Written {
                    base_offset: -1,
                    append_time: None,
                };
                self.end(&batch, Ok(written));
                false
            }
            Answer::Refused {
                code: ErrorCode::MessageTooLarge,
                ..
            } if batch.count > 1 && !batch.given_up => {
                self.split(outcome.queue, batch);
                false
            }
            Answer::Refused {
                code:
                    code @ (ErrorCode::OutOfOrderSequenceNumber
                    | ErrorCode::UnknownProducerId
                    | ErrorCode::InvalidProducerEpoch),
                ..
            } if batch.stamp.is_some() => {
                batch.rejected = true;
                batch.last_error = Some(code.to_string());
                // With one in front of it on the way again, this one came too early. Else the
                // broker has another idea of what has been written.
                queue.settling |= !queue.has_earlier(batch.order());
                if code == ErrorCode::InvalidProducerEpoch {
                    queue.settling = true;
                }
                self.again(outcome.queue, batch, now, random);
                false
            }
            Answer::Refused { code, message, .. } if code.retriable() => {
                let doubtful = matches!(
                    code,
                    ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend
                );
                batch.maybe_written |= doubtful;
                batch.last_error = Some(match message {
                    Some(words) => format!("{code}: {words}"),
                    None => code.to_string(),
                });
                self.again(outcome.queue, batch, now, random);
                true
            }
            Answer::Refused {
                code,
                message,
                record,
            } => {
                queue.settling |= batch.stamp.is_some();
                let error = ProduceError::Refused {
                    partition: queue.partition.clone(),
                    code,
                    message,
                    record,
                };
                self.end(&batch, Err(error));
                false
            }
            Answer::Unknown { reason } => {
                batch.maybe_written = true;
                batch.last_error = Some(reason);
                self.again(outcome.queue, batch, now, random);
                true
            }
            Answer::NotSent { reason } => {
                batch.last_error = Some(reason);
                self.again(outcome.queue, batch, now, random);
                true
            }
            Answer::Unbuildable { reason } => {
                queue.settling |= batch.stamp.is_some();
                let error = ProduceError::Build {
                    partition: queue.partition.clone(),
                    reason,
                };
                self.end(&batch, Err(error));
                false
            }
        }
    }

    /// Has a batch sent again, in its old place.
    fn again(&mut self, index: usize, batch: Batch, now: Now, random: u64) {
        let Some(queue) = self.queues.get_mut(index) else {
            return;
        };
        // Nobody answers for acks=0, and a batch that was given up has no more time.
        if batch.given_up {
            queue.settling |= batch.stamp.is_some();
            self.end(&batch, Err(ProduceError::Closed));
            return;
        }
        let settings = &self.settings;
        let mut backoff = Backoff::new(settings.retry_backoff, settings.retry_backoff_max);
        let mut wait = 0;
        for _ in 0..batch.attempts.min(10) {
            wait = backoff.next(random);
        }
        queue.not_before = queue.not_before.max(now.millis.saturating_add(wait));
        queue.put_back(batch);
    }

    /// Sends the records of a batch that is too large for the broker in two.
    ///
    /// The broker has none of it, so the halves take its sequences over.
    fn split(&mut self, index: usize, batch: Batch) {
        let Payload::Built(bytes) = &batch.payload else {
            return;
        };
        let Some(halves) = halves(bytes, self.settings.codec, MAX_UNPACKED) else {
            let error = ProduceError::Build {
                partition: self.queues.get(index).map_or_else(
                    || TopicPartition::new("", index as i32),
                    |queue| queue.partition.clone(),
                ),
                reason: "the batch cannot be read to be split".to_owned(),
            };
            self.end(&batch, Err(error));
            return;
        };
        if let Some(pieces) = self.undone.get_mut(&batch.number) {
            *pieces += 1;
        }
        let Some(queue) = self.queues.get_mut(index) else {
            return;
        };
        let mut first = batch.first;
        let mut sequence = batch.stamp.map(|stamp| stamp.sequence);
        let mut memory = batch.memory;
        let half_memory = batch.memory / 2;
        for (count, bytes) in halves {
            let part = memory.min(batch.memory - half_memory);
            memory -= part;
            queue.put_back(Batch {
                number: batch.number,
                first,
                count,
                payload: Payload::Built(bytes),
                outcome: batch.outcome.clone(),
                memory: part,
                created: batch.created,
                stamp: batch
                    .stamp
                    .zip(sequence)
                    .map(|(stamp, sequence)| Stamp { sequence, ..stamp }),
                attempts: batch.attempts,
                maybe_written: false,
                rejected: false,
                given_up: false,
                last_error: batch.last_error.clone(),
            });
            first += count;
            sequence = sequence.map(|sequence| sequence_after(sequence, count));
        }
    }

    /// A batch has come to its end.
    fn end(&mut self, batch: &Batch, result: Result<Written, ProduceError>) {
        self.memory = self.memory.saturating_sub(batch.memory);
        match self.undone.get_mut(&batch.number) {
            Some(pieces) if *pieces > 1 => *pieces -= 1,
            _ => {
                self.undone.remove(&batch.number);
            }
        }
        if batch.given_up {
            return;
        }
        match &result {
            Ok(_) => self.delivered += u64::from(batch.count),
            Err(error) => {
                self.failed += u64::from(batch.count);
                self.last_error = Some(error.clone());
            }
        }
        batch.settle(result);
    }

    /// Ends everything.
    pub(crate) fn fail_all(&mut self, error: &ProduceError) {
        let mut ended = Vec::new();
        for index in std::mem::take(&mut self.active) {
            let Some(queue) = self.queues.get_mut(index) else {
                continue;
            };
            queue.close_open();
            queue.active = !queue.in_flight.is_empty();
            if queue.active {
                self.active.push(index);
            }
            for batch in &mut queue.in_flight {
                if !batch.given_up {
                    batch.settle(Err(error.clone()));
                    batch.given_up = true;
                    self.failed += u64::from(batch.count);
                }
            }
            ended.extend(queue.waiting.drain(..));
        }
        for batch in ended {
            self.end(&batch, Err(error.clone()));
        }
    }

    // ---- for the shell ----

    /// Takes no more records.
    pub(crate) fn refuse_more(&mut self) {
        self.refusing.get_or_insert(ProduceError::Closed);
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

    /// Why a record has failed last.
    pub(crate) fn last_error(&self) -> Option<ProduceError> {
        self.last_error.clone()
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

fn new_batch(number: u64, created: u64) -> Batch {
    Batch {
        number,
        first: 0,
        count: 0,
        payload: Payload::Building(BatchBuilder::new()),
        outcome: None,
        memory: 0,
        created,
        stamp: None,
        attempts: 0,
        maybe_written: false,
        rejected: false,
        given_up: false,
        last_error: None,
    }
}

/// About how many bytes a batch takes in a request.
fn wire_size(batch: &Batch) -> usize {
    match &batch.payload {
        Payload::Building(builder) => builder.size_estimate(),
        Payload::Built(bytes) => bytes.len(),
        Payload::Out => 0,
    }
}

fn timed_out(
    partition: &TopicPartition,
    timeout: u64,
    batch: &Batch,
    maybe_written: bool,
) -> ProduceError {
    ProduceError::Timeout {
        partition: partition.clone(),
        after: Duration::from_millis(timeout),
        maybe_written,
        last: batch.last_error.clone(),
    }
}

#[cfg(test)]
mod tests;
