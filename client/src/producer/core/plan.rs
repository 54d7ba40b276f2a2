//! Requests out: what is ready, for whom, in which order.

use std::collections::HashMap;
use std::time::Duration;

use super::{Core, Identity, Item, Plan, Send};
use crate::clock::Now;
use crate::producer::batch::{Batch, Payload};
use crate::producer::error::ProduceError;
use crate::topic_partition::TopicPartition;

impl Core {
    /// What is to be sent now. Everything in it is under way from here on.
    pub(crate) fn plan(&mut self, now: Now) -> Plan {
        let mut plan = Plan::default();
        self.expire(now, &mut plan);
        self.settle(&mut plan);
        if self.lease.as_ref().is_some_and(|lease| !lease.holds(now)) {
            return plan;
        }
        let by_leader = self.ready(now, &mut plan);
        let mut identity = None;
        if self.settings.idempotent {
            match self.identity {
                Identity::Known(id, epoch) => identity = Some((id, epoch)),
                Identity::None if !by_leader.is_empty() => {
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
        for Led { node, queues, .. } in by_leader {
            let state = self.nodes.entry(node).or_default();
            if state.not_before > now.millis {
                plan.at(state.not_before);
                continue;
            }
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
                let items = self.drain(node, &queues, identity, along);
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

    /// Closes the batches that have lingered, and gives the brokers that something is to be sent to
    /// now, each with the queues that it leads.
    pub(super) fn ready(&mut self, now: Now, plan: &mut Plan) -> Vec<Led> {
        let mut by_leader: Vec<Led> = Vec::new();
        let mut places = HashMap::new();
        let hurry = self.starved || self.refusing.is_some();
        for index in self.active.clone() {
            let Some(queue) = self.queues.get_mut(index) else {
                continue;
            };
            if let Some(open) = &queue.open {
                let flushed = self.flush_up_to.is_some_and(|up_to| open.number <= up_to);
                let lingers_until = open.created.saturating_add(self.settings.linger);
                if hurry || flushed || now.millis >= lingers_until {
                    queue.close_open();
                } else {
                    plan.at(lingers_until);
                }
            }
            let is_ready = !queue.waiting.is_empty();
            if queue.not_before > now.millis {
                if is_ready {
                    plan.at(queue.not_before);
                }
                continue;
            }
            let Some(node) = queue.leader else {
                plan.refresh |= is_ready;
                continue;
            };
            let place = *places.entry(node).or_insert_with(|| {
                by_leader.push(Led::by(node));
                by_leader.len() - 1
            });
            if let Some(led) = by_leader.get_mut(place) {
                led.queues.push(index);
                led.ready |= is_ready;
            }
        }
        by_leader.retain(|led| led.ready);
        by_leader
    }

    /// The next request's batches for a broker, out of the queues that it leads: at most one of
    /// each.
    fn drain(
        &mut self,
        node: i32,
        queues: &[usize],
        identity: Option<(i64, i16)>,
        along: bool,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        let mut size = 0;
        self.turn = self.turn.wrapping_add(1);
        let start = self.turn % queues.len().max(1);
        let (later, sooner) = queues.split_at(start.min(queues.len()));
        for index in sooner.iter().chain(later) {
            let Some(queue) = self.queues.get_mut(*index) else {
                continue;
            };
            if along && queue.waiting.is_empty() {
                queue.close_open();
            }
            let (idempotent, max) = (self.settings.idempotent, self.settings.max_in_flight);
            let Some(place) = queue.next(node, idempotent, max) else {
                continue;
            };
            let next = queue.waiting.get(place).map_or(0, wire_size);
            if !items.is_empty() && size + next > self.settings.max_request_size {
                continue;
            }
            size += next;
            if let Some(identity) = identity {
                queue.stamp_front(identity);
            }
            let Some(mut batch) = queue.waiting.remove(place) else {
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
    pub(super) fn expire(&mut self, now: Now, plan: &mut Plan) {
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
    pub(super) fn settle(&mut self, plan: &mut Plan) {
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
}

/// What one broker leads, so that a request for it looks at no other's queues.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) node: i32,
    /// Those that have anything and need not wait, in the order of the list.
    pub(super) queues: Vec<usize>,
    /// One of them has something that is to be sent now.
    ready: bool,
}

impl Led {
    fn by(node: i32) -> Self {
        Self {
            node,
            queues: Vec::new(),
            ready: false,
        }
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
