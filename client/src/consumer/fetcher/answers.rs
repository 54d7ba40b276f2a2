//! What came back: records, offsets, epochs, errors.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::ErrorCode;

use super::session::{Session, Wanted};
use super::split::split;
use super::{
    Chunk, EpochQuestion, FetchAnswer, Fetcher, Item, OffsetQuestion, PartitionAnswer, Position,
    ResetTo, Retriable, State,
};
use crate::clock::Now;
use crate::connection::CallError;
use crate::consumer::error::ConsumerError;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

impl PartitionAnswer {
    /// Which partition it is of; `None` if the session has no topic of that id.
    fn name(&self, session: &Session) -> Option<TopicPartition> {
        let topic = match self.topic.as_str() {
            "" => Arc::clone(session.name(self.topic_id)?),
            topic => topic.into(),
        };
        Some(TopicPartition {
            topic,
            partition: self.partition,
        })
    }
}

impl Fetcher {
    /// A fetch has ended. Gives whether the picture of the cluster may be wrong.
    pub(crate) fn fetched(
        &mut self,
        node: i32,
        answer: Result<FetchAnswer, CallError>,
        now: Now,
        random: u64,
    ) -> bool {
        let patience = self.settings.patience;
        let Some(state) = self.nodes.get_mut(&node) else {
            return false;
        };
        state.in_flight = false;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                state.session.failed();
                let retriable = error.retriable();
                let told = if retriable { patience } else { 0 };
                if let Some(lasted) = state.retry.failed(now, random, told) {
                    let error = ClientError::from(error);
                    if retriable {
                        self.late(format!("fetching from broker {node}"), lasted, Some(error));
                    } else {
                        self.tell(Item::Trouble(error.into()));
                    }
                }
                return true;
            }
        };
        if !state.session.answered(answer.error, answer.session) {
            // Lost sessions are a matter of course: the next request makes a new one at once.
            if !matches!(
                answer.error,
                ErrorCode::FetchSessionIdNotFound
                    | ErrorCode::InvalidFetchSessionEpoch
                    | ErrorCode::FetchSessionTopicIdError
            ) {
                let retriable = answer.error.retriable();
                let told = if retriable { patience } else { 0 };
                if let Some(lasted) = state.retry.failed(now, random, told) {
                    let what = format!("fetching from broker {node}");
                    let error = ClientError::broker(what.clone(), answer.error);
                    if retriable {
                        self.late(what, lasted, Some(error));
                    } else {
                        self.tell(Item::Trouble(error.into()));
                    }
                }
                return true;
            }
            return false;
        }
        state.retry.succeeded();
        // What the answer leaves out has nothing new. What it names is heard of only if it is taken.
        let named = answer.partitions.iter();
        let named: HashSet<TopicPartition> =
            named.filter_map(|part| part.name(&state.session)).collect();
        for (name, wanted) in state.session.all() {
            let left_out = self.partitions.get_mut(name);
            let left_out = left_out.filter(|p| p.turn == wanted.turn && !named.contains(name));
            if let Some(p) = left_out {
                p.heard = Some(now.millis);
            }
        }
        state.retry.not_before = now.millis.saturating_add(answer.throttle);
        let mut refresh = false;
        for part in answer.partitions {
            refresh |= self.fetched_partition(node, part, now, random);
        }
        refresh
    }

    pub(super) fn fetched_partition(
        &mut self,
        node: i32,
        part: PartitionAnswer,
        now: Now,
        random: u64,
    ) -> bool {
        let Some(state) = self.nodes.get_mut(&node) else {
            return false;
        };
        let Some(name) = part.name(&state.session) else {
            return false;
        };
        let Some(wanted) = state.session.wanted(&name).copied() else {
            return false;
        };
        let Some(p) = self.partitions.get_mut(&name) else {
            return false;
        };
        // An answer to where the partition was before it jumped.
        if p.turn != wanted.turn
            || p.next.offset != wanted.offset
            || p.state != State::Fetching
            || p.asked
        {
            return false;
        }
        match part.error {
            ErrorCode::None => {
                p.retry.succeeded();
                p.heard = Some(now.millis);
                p.high_watermark = part.high_watermark;
                p.last_stable_offset = part.last_stable_offset;
                p.log_start_offset = part.log_start_offset;
                self.data(node, name, wanted, part, now, random);
                false
            }
            ErrorCode::OffsetOutOfRange => {
                self.out_of_range(&name, wanted.offset);
                false
            }
            error => self.partition_failed(&name, error, now, random),
        }
    }

    pub(super) fn data(
        &mut self,
        node: i32,
        name: TopicPartition,
        wanted: Wanted,
        part: PartitionAnswer,
        now: Now,
        random: u64,
    ) {
        let bytes = part.records.len();
        let cut = split(&part.records, wanted.offset);
        let Some(p) = self.partitions.get_mut(&name) else {
            return;
        };
        if cut.next_offset > wanted.offset {
            let epoch = if cut.last_epoch >= 0 {
                cut.last_epoch
            } else {
                p.next.epoch
            };
            let next = Position {
                offset: cut.next_offset,
                epoch,
            };
            let chunk = Chunk {
                partition: name.clone(),
                turn: p.turn,
                node,
                from: p.next,
                bytes,
                batches: cut.batches,
                next,
                aborted: part.aborted,
                high_watermark: part.high_watermark,
                last_stable_offset: part.last_stable_offset,
                log_start_offset: part.log_start_offset,
            };
            if !self.keep(chunk) {
                return;
            }
            if let Some(p) = self.partitions.get_mut(&name) {
                p.next = next;
            }
        }
        if let Some(reason) = cut.broken {
            // It is asked for again, and told again, until the application seeks past it.
            if let Some(p) = self.partitions.get_mut(&name) {
                p.retry.failed(now, random, u64::MAX);
            }
            let error = ConsumerError::Corrupt {
                partition: name.clone(),
                offset: cut.next_offset,
                next_offset: None,
                reason,
            };
            self.tell(Item::Failure {
                partition: name,
                error,
            });
        }
    }

    pub(super) fn out_of_range(&mut self, name: &TopicPartition, offset: i64) {
        match self.by_policy() {
            Some(to) => {
                tracing::info!(partition = %name, offset, ?to, "offset out of range");
                if let Some(p) = self.partitions.get_mut(name) {
                    p.state = State::Reset(to);
                }
            }
            None => {
                let error = ConsumerError::OffsetOutOfRange {
                    partition: name.clone(),
                    offset,
                };
                self.stop(name, error);
            }
        }
    }

    /// A partition's error that is not about its offset. Gives whether the picture of the cluster
    /// may be wrong.
    pub(super) fn partition_failed(
        &mut self,
        name: &TopicPartition,
        error: ErrorCode,
        now: Now,
        random: u64,
    ) -> bool {
        let Some(p) = self.partitions.get_mut(name) else {
            return false;
        };
        let patience = match error.retriable() {
            true => self.settings.patience,
            // Told each time: it may be cured from outside, as a missing right can be.
            false => 0,
        };
        if let Some(lasted) = p.retry.failed(now, random, patience) {
            let told = match self.last_call.take() {
                // The code stands for a call without an answer: which one says more.
                Some(last) if error == ErrorCode::NetworkException => ClientError::Timeout {
                    what: format!("finding where to read {name}"),
                    after: Duration::from_millis(lasted),
                    last: Some(Box::new(last.into())),
                }
                .into(),
                _ => ConsumerError::Partition {
                    partition: name.clone(),
                    code: error,
                },
            };
            self.tell(Item::Failure {
                partition: name.clone(),
                error: told,
            });
        }
        error.retriable()
    }

    /// An offset that was asked for. Gives whether the picture of the cluster may be wrong.
    pub(crate) fn found_offset(
        &mut self,
        question: &OffsetQuestion,
        answer: Result<Position, ErrorCode>,
        now: Now,
        random: u64,
    ) -> bool {
        let name = &question.partition;
        let Some(p) = self
            .partitions
            .get_mut(name)
            .filter(|p| p.turn == question.turn)
        else {
            return false;
        };
        p.asked = false;
        if p.state != State::Reset(question.to) {
            return false;
        }
        match answer {
            Ok(found) if found.offset >= 0 => {
                p.retry.succeeded();
                p.next = found;
                p.leader_epoch = question.leader_epoch;
                p.state = State::Fetching;
                p.catch_up();
                false
            }
            // No record is that young: the end is where the next one will be.
            Ok(_) => {
                p.state = State::Reset(ResetTo::Latest);
                false
            }
            Err(error) => self.partition_failed(name, error, now, random),
        }
    }

    /// Where an epoch ended on the leader: `Ok(None)` if it does not know. Gives whether the picture
    /// of the cluster may be wrong.
    pub(crate) fn found_epoch(
        &mut self,
        question: &EpochQuestion,
        answer: Result<Option<Position>, ErrorCode>,
        now: Now,
        random: u64,
    ) -> bool {
        let name = &question.partition;
        let Some(p) = self
            .partitions
            .get_mut(name)
            .filter(|p| p.turn == question.turn)
        else {
            return false;
        };
        p.asked = false;
        if p.state != State::Validate {
            return false;
        }
        let end = match answer {
            Ok(end) => end,
            // The broker does not keep epochs: nothing to compare.
            Err(ErrorCode::UnsupportedVersion) => Some(Position {
                offset: i64::MAX,
                epoch: question.epoch,
            }),
            Err(error) => return self.partition_failed(name, error, now, random),
        };
        p.retry.succeeded();
        p.leader_epoch = question.leader_epoch;
        if end.is_some_and(|end| end.offset >= p.next.offset) {
            p.state = State::Fetching;
        } else {
            p.state = State::Diverged(end);
            self.diverged.push(name.clone());
        }
        false
    }

    /// Whether logs were found cut back, so that what was given out or waits may be void.
    pub(crate) fn has_diverged(&self) -> bool {
        !self.diverged.is_empty()
    }

    /// Goes on where logs were found cut back. Only the application's side knows how far it has
    /// come, and is to have told it ([`Self::advance`]) before.
    pub(crate) fn settle(&mut self) {
        for name in std::mem::take(&mut self.diverged) {
            let Some(p) = self.partitions.get_mut(&name) else {
                continue;
            };
            if let State::Diverged(end) = p.state {
                p.state = State::Fetching;
                self.truncated(&name, end);
            }
        }
    }

    /// The leader's log is another one from `end` on, or from an offset it does not know.
    fn truncated(&mut self, name: &TopicPartition, end: Option<Position>) {
        let policy = self.by_policy();
        let Some(p) = self.partitions.get(name) else {
            return;
        };
        let (read, next) = (p.position, p.next);
        tracing::warn!(partition = %name, ?read, ?next, ?end, "the log was truncated");
        match (end, read) {
            // Nothing that the application has is concerned: only what waits is dropped.
            (Some(end), Some(read)) if end.offset >= read.offset => {
                self.jump(name, |p| p.next = read);
            }
            (Some(end), _) if policy.is_some() => {
                self.jump(name, |p| {
                    p.position = Some(end);
                    p.next = end;
                });
            }
            (None, _) if let Some(to) = policy => {
                self.reset(name, to);
            }
            (end, read) => {
                self.jump(name, |_| {});
                let error = ConsumerError::Truncated {
                    partition: name.clone(),
                    position: read.unwrap_or(next).offset,
                    diverges_at: end.map_or(-1, |end| end.offset),
                };
                self.stop(name, error);
            }
        }
    }

    /// The group's offset of a partition; `Ok(None)` if there is none.
    pub(crate) fn found_committed(
        &mut self,
        partition: &TopicPartition,
        turn: u64,
        answer: Result<Option<Position>, Retriable>,
        now: Now,
        random: u64,
    ) {
        let policy = self.by_policy();
        let Some(p) = self
            .partitions
            .get_mut(partition)
            .filter(|p| p.turn == turn)
        else {
            return;
        };
        p.asked = false;
        if p.state != State::Committed {
            return;
        }
        match (answer, policy) {
            (Ok(Some(found)), _) => {
                p.retry.succeeded();
                p.position = Some(found);
                p.next = found;
                p.state = State::Fetching;
            }
            (Ok(None), Some(to)) => {
                p.retry.succeeded();
                p.state = State::Reset(to);
            }
            (Ok(None), None) => self.stop_without_offset(partition),
            (Err(error), _) => {
                let patience = if error.retriable {
                    self.settings.patience
                } else {
                    0
                };
                if p.retry.failed(now, random, patience).is_some() {
                    self.tell(Item::Failure {
                        partition: partition.clone(),
                        error: error.error,
                    });
                }
            }
        }
    }
}
