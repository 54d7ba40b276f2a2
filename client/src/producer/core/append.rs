//! Records in: into the batch of their partition.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_protocol::records::{BATCH_HEADER_SIZE, BatchBuilder};

use super::{Append, Core, Topic};
use crate::clock::Now;
use crate::cluster::Metadata;
use crate::producer::batch::{Batch, Payload};
use crate::producer::delivery::{BatchOutcome, Delivery};
use crate::producer::error::ProduceError;
use crate::producer::partitioner::{Sticky, choose};
use crate::producer::queue::Queue;
use crate::producer::record::RecordParts;
use crate::topic_partition::TopicPartition;

impl Core {
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
        let slot = match self.check(topic, parts)? {
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
            let room = room(queue.last_size, batch_size);
            queue.open = Some(new_batch(self.next_number, now.millis, room));
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
        let before = builder.size_estimate();
        builder
            .append(timestamp, parts.key, parts.value, parts.headers)
            .map_err(|error| ProduceError::Build {
                partition: queue.partition.clone(),
                reason: error.to_string(),
                maybe_written: false,
            })?;
        let delivery = wants_outcome.then(|| {
            let outcome =
                outcome.get_or_insert_with(|| Arc::new(BatchOutcome::new(queue.partition.clone())));
            Delivery::new(Arc::clone(outcome), *count, timestamp)
        });
        *count += 1;
        let size = builder.size_estimate() - before;
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

    /// Whether a record for the topic can be taken now: the topic's place, or what to wait for.
    #[inline]
    pub(crate) fn check(
        &mut self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
    ) -> Result<Result<usize, Append>, ProduceError> {
        let size = parts.size();
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
        if let Some(partition) = parts.partition
            && let Some(known) = self.topics.get(slot)
            && usize::try_from(partition).is_ok_and(|partition| partition >= known.partitions)
        {
            // The topic may have grown since the cluster was asked.
            return Ok(Err(Append::UnknownPartition));
        }
        if self.memory + size > self.settings.buffer_memory {
            self.starved = true;
            return Ok(Err(Append::Full));
        }
        Ok(Ok(slot))
    }

    /// The queue of the record's partition, and whether it was chosen by sticking to it.
    #[inline]
    pub(super) fn choose_partition(
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
        let count = topic.partitions;
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
            let found = index.filter(|index| *index < count);
            let found = found.and_then(|index| topic.queues.get(index));
            return found
                .map(|queue| (*queue, false))
                .ok_or_else(|| unknown(partition, count));
        }
        let queues = &self.queues;
        let members = topic.queues.get(..count).unwrap_or(&topic.queues);
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

    /// Forgets the topics that the picture has forgotten: what is known of them grows old. Those that
    /// there are still records for are asked for again when these are sent.
    fn forget(&mut self, metadata: &Metadata) {
        let gone = |name: &Arc<str>, slot: &mut usize| {
            let queues = self.topics.get(*slot).map_or(&[][..], |t| &t.queues);
            let idle = queues
                .iter()
                .all(|queue| self.queues.get(*queue).is_none_or(Queue::is_idle));
            metadata.topic(name).is_none() && !metadata.errors.contains_key(name) && idle
        };
        self.forgotten.extend(self.names.extract_if(gone));
        if let Some((name, _)) = &self.last_topic
            && !self.names.contains_key(name)
        {
            self.last_topic = None;
        }
    }

    /// The topics that there are records for.
    pub(crate) fn active_topics(&self) -> BTreeSet<Arc<str>> {
        let queues = self.active.iter().filter_map(|at| self.queues.get(*at));
        queues
            .map(|queue| Arc::clone(&queue.partition.topic))
            .collect()
    }

    /// Takes a new picture of the cluster in: leaders, and topics that are waited for.
    pub(crate) fn learn(&mut self, metadata: &Metadata, topic: Option<&Arc<str>>) {
        if let Some(name) = topic
            && !self.names.contains_key(name)
            && metadata.topic(name).is_some()
        {
            let slot = self.forgotten.remove(name).unwrap_or(self.topics.len());
            self.names.insert(Arc::clone(name), slot);
            if slot == self.topics.len() {
                self.topics.push(Topic {
                    queues: Vec::new(),
                    partitions: 0,
                    sticky: Sticky::default(),
                });
            }
        }
        self.forget(metadata);
        for (name, slot) in &self.names {
            let (Some(topic), Some(described)) = (self.topics.get_mut(*slot), metadata.topic(name))
            else {
                continue;
            };
            // Partitions are only ever added, unless the topic was made anew; then the records for
            // those that are gone wait for their time to be up.
            if described.partitions.len() < topic.partitions {
                topic.sticky.leave();
            }
            topic.partitions = described.partitions.len();
            for index in topic.queues.len()..described.partitions.len() {
                let partition = i32::try_from(index).unwrap_or(i32::MAX);
                topic.queues.push(self.queues.len());
                self.queues
                    .push(Queue::new(TopicPartition::new(Arc::clone(name), partition)));
            }
            for (index, queue) in topic.queues.iter().enumerate() {
                if let Some(queue) = self.queues.get_mut(*queue) {
                    let leader = described.partitions.get(index).and_then(|p| p.leader);
                    if leader.is_some() && queue.leader != leader {
                        // Whatever there was to wait for, it was at the other broker.
                        queue.not_before = 0;
                    }
                    queue.leader = leader;
                }
            }
            let led = |partition: usize| {
                let queue = topic.queues.get(partition);
                let queue = queue.and_then(|queue| self.queues.get(*queue));
                queue.is_some_and(|queue| queue.leader.is_some())
            };
            if topic.sticky.chosen().is_some_and(|chosen| !led(chosen)) {
                topic.sticky.leave();
            }
        }
    }
}

/// How much room a batch gets at once. One that grows step by step is copied with each of them, so
/// what is likely to become full is as large as that from the start.
fn room(last_size: usize, batch_size: usize) -> usize {
    if last_size > batch_size / 2 {
        batch_size
    } else {
        last_size
    }
}

fn new_batch(number: u64, created: u64, room: usize) -> Batch {
    Batch {
        number,
        first: 0,
        count: 0,
        payload: Payload::Building(BatchBuilder::with_buffer(Vec::with_capacity(room))),
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
