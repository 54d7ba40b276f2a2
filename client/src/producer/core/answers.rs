//! What came of requests: batches written, sent again, split or given up.

use std::sync::Arc;

use tidemark_protocol::ErrorCode;

use super::{Answer, Core, Identity, MAX_UNPACKED, Outcome};
use crate::clock::Now;
use crate::error::ClientError;
use crate::producer::batch::{Batch, Payload, Stamp, halves};
use crate::producer::delivery::Written;
use crate::producer::error::{ProduceError, is_of_records};
use crate::producer::queue::sequence_after;
use crate::retry::Backoff;
use crate::topic_partition::TopicPartition;

impl Core {
    /// The brokers that can be sent to, and those that cannot any more.
    pub(crate) fn linked(&mut self, node: i32, linked: bool) {
        self.nodes.entry(node).or_default().linked = linked;
    }

    /// The broker wants to be left alone until a moment, in clock milliseconds (KIP-219).
    pub(crate) fn throttled(&mut self, node: i32, until: u64) {
        let state = self.nodes.entry(node).or_default();
        state.not_before = state.not_before.max(until);
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
                let error = ProduceError::ProducerId {
                    reason: error,
                    maybe_written: false,
                };
                self.refusing = Some(error.clone());
                self.fail_all(&error);
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

    pub(super) fn completed_batch(&mut self, outcome: Outcome, now: Now, random: u64) -> bool {
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
                queue.established = true;
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
                queue.established = true;
                self.end(&batch, Ok(written));
                false
            }
            Answer::Refused {
                code: ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge,
                ..
            } if batch.count > 1 && !batch.given_up => {
                self.split(outcome.queue, batch);
                false
            }
            // One record may be to blame: the others are not lost with it. (Kafka's producer fails all
            // of the batch where a record is invalid, KIP-467.) Of what may be there already the halves
            // would not be known for what they are.
            Answer::Refused {
                code: ErrorCode::InvalidRecord | ErrorCode::InvalidTimestamp,
                ..
            } if batch.count > 1 && !batch.given_up && !batch.maybe_written => {
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
                    maybe_written: batch.maybe_written,
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
                    maybe_written: batch.maybe_written,
                };
                self.end(&batch, Err(error));
                false
            }
        }
    }

    /// Has a batch sent again, in its old place.
    pub(super) fn again(&mut self, index: usize, batch: Batch, now: Now, random: u64) {
        let Some(queue) = self.queues.get_mut(index) else {
            return;
        };
        // Nobody answers for acks=0, and a batch that was given up has no more time.
        if batch.given_up {
            queue.settling |= batch.stamp.is_some();
            let error = ProduceError::Closed {
                maybe_written: true,
            };
            self.end(&batch, Err(error));
            return;
        }
        // Another broker leads by now: nothing is to be waited for.
        if queue
            .leader
            .is_some_and(|leader| leader != queue.in_flight_node)
        {
            queue.put_back(batch);
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

    /// Sends the records of a batch that the broker does not take as a whole in two.
    ///
    /// The broker has none of it, so the halves take its sequences over.
    pub(super) fn split(&mut self, index: usize, batch: Batch) {
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
                maybe_written: batch.maybe_written,
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
                // The broker has answered: nothing is to be waited for.
                attempts: 0,
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
    pub(super) fn end(&mut self, batch: &Batch, result: Result<Written, ProduceError>) {
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
                let count = u64::from(batch.count);
                self.failed += count;
                self.last_error = Some(error.clone());
                if let ProduceError::Refused {
                    partition, code, ..
                } = error
                    && is_of_records(*code)
                    // Of several it is not known which one is to blame.
                    && batch.count == 1
                {
                    *self
                        .refused
                        .entry(Arc::clone(&partition.topic))
                        .or_default() += count;
                }
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
                    let error = error.for_batch(true);
                    batch.settle(Err(error.clone()));
                    batch.given_up = true;
                    self.failed += u64::from(batch.count);
                    self.last_error = Some(error);
                }
            }
            ended.extend(queue.waiting.drain(..));
        }
        for batch in ended {
            let error = error.for_batch(batch.maybe_written);
            self.end(&batch, Err(error));
        }
    }
}
