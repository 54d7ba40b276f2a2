//! What is fetched from where: positions, the requests that come from them, what came back and
//! waits to be read. Pure: the shell sends what [`Fetcher::plan`] gives and hands the answers back.
//!
//! A partition is in one of these states:
//!
//! ```text
//!            assigned                 seek, OFFSET_OUT_OF_RANGE
//!               |                               |
//!               v   no committed offset         v
//!   (group) Committed ------------------->  Reset(to)
//!               |                               |
//!               | committed offset              | offset found
//!               v                               v
//!           Validate <---- newer leader ----  Fetching ----> Stopped (an error was told; a seek
//!               |                               ^             leaves it)
//!               +------- epoch agrees ----------+
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use super::batch::{Batch, Fetched};
use super::config::{FetchSettings, OffsetReset};
use super::error::ConsumerError;
use super::isolation::visible;
use super::session::{Session, SessionRequest, Wanted};
use super::split::split;
use crate::clock::Now;
use crate::cluster::Metadata;
use crate::connection::CallError;
use crate::error::ClientError;
use crate::retry::Backoff;
use crate::topic_partition::TopicPartition;

/// Where reading begins when no offset says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetTo {
    /// The first offset there is.
    Earliest,
    /// The end: only what comes from now on.
    Latest,
    /// The first record that is not older than this, in milliseconds since 1970; the end if there
    /// is none.
    Time(i64),
}

impl ResetTo {
    /// What ListOffsets calls it.
    pub(crate) fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::Time(time) => time.max(0),
        }
    }
}

/// A position: the offset of the next record, and the leader epoch of the one before it (-1 for
/// unknown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Committed,
    Reset(ResetTo),
    Validate,
    Fetching,
    Stopped,
}

/// An assigned partition.
struct Partition {
    state: State,
    paused: bool,
    /// Counts the jumps: answers and chunks of an earlier turn do not count.
    turn: u64,
    /// What the application has been given, and commits.
    position: Option<Position>,
    /// What is to be fetched next: the position plus what waits to be read.
    next: Position,
    /// The leader epoch under which `next` was last known to be good.
    leader_epoch: i32,
    /// A question about it is on its way.
    asked: bool,
    /// Chunks that wait to be read.
    waiting: usize,
    retry: Retry,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

/// When to try again after a failure, and since when there have been nothing but failures.
struct Retry {
    backoff: Backoff,
    not_before: u64,
    since: Option<u64>,
}

impl Retry {
    fn new(settings: &FetchSettings) -> Self {
        Self {
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            not_before: 0,
            since: None,
        }
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        self.not_before = 0;
        self.since = None;
    }

    /// Notes a failure. Gives how long there have been failures, once it is longer than `patience`.
    fn failed(&mut self, now: Now, random: u64, patience: u64) -> Option<u64> {
        self.not_before = now.millis.saturating_add(self.backoff.next(random));
        let since = *self.since.get_or_insert(now.millis);
        let lasted = now.millis.saturating_sub(since);
        if lasted < patience {
            return None;
        }
        // Told once, then patience begins anew.
        self.since = Some(now.millis);
        Some(lasted)
    }
}

/// What is known of one broker.
struct NodeState {
    session: Session,
    in_flight: bool,
    /// Bytes from it that wait to be read.
    buffered: usize,
    retry: Retry,
}

/// Something for the application, in order.
enum Item {
    Chunk(Chunk),
    Failure {
        partition: TopicPartition,
        turn: u64,
        error: ConsumerError,
    },
    /// Not about a partition.
    Trouble(ConsumerError),
}

struct Chunk {
    partition: TopicPartition,
    turn: u64,
    node: i32,
    from: i64,
    bytes: usize,
    batches: Vec<Batch>,
    next: Position,
    aborted: Vec<(i64, i64)>,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

/// A question for the cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Fetch from a broker.
    Fetch {
        node: i32,
        request: SessionRequest,
        max_bytes: usize,
        /// Whether every topic's id is known.
        by_id: bool,
    },
    /// Look offsets up with a leader.
    Offsets {
        node: i32,
        questions: Vec<OffsetQuestion>,
    },
    /// Ask a leader where an epoch ended.
    Epochs {
        node: i32,
        questions: Vec<EpochQuestion>,
    },
    /// Ask the coordinator for the group's offsets.
    Committed {
        questions: Vec<(TopicPartition, u64)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OffsetQuestion {
    pub(crate) partition: TopicPartition,
    pub(crate) turn: u64,
    pub(crate) leader_epoch: i32,
    pub(crate) to: ResetTo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EpochQuestion {
    pub(crate) partition: TopicPartition,
    pub(crate) turn: u64,
    pub(crate) leader_epoch: i32,
    pub(crate) epoch: i32,
}

/// What to do next.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) ask: Vec<Ask>,
    /// The picture of the cluster does not do.
    pub(crate) refresh: bool,
    /// When to plan again although nothing happens, in clock milliseconds.
    pub(crate) deadline: Option<u64>,
}

/// A broker's answer to a fetch.
#[derive(Clone, Debug)]
pub(crate) struct FetchAnswer {
    pub(crate) error: ErrorCode,
    pub(crate) session: i32,
    pub(crate) partitions: Vec<PartitionAnswer>,
}

/// One partition of it.
#[derive(Clone, Debug)]
pub(crate) struct PartitionAnswer {
    /// Empty where the broker names topics by id.
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    pub(crate) aborted: Vec<(i64, i64)>,
    pub(crate) records: bytes::Bytes,
}

/// The state of all reading.
pub(crate) struct Fetcher {
    settings: FetchSettings,
    partitions: HashMap<TopicPartition, Partition>,
    /// The assigned partitions in the order in which the next full request names them.
    order: Vec<TopicPartition>,
    nodes: HashMap<i32, NodeState>,
    ready: VecDeque<Item>,
    turns: u64,
    /// Since when a partition has had no leader to ask.
    leaderless: Option<u64>,
    /// Why the cluster cannot be asked, if it cannot.
    trouble: Option<ClientError>,
    /// Why a question about a position has had no answer.
    last_call: Option<CallError>,
}

impl Fetcher {
    pub(crate) fn new(settings: FetchSettings) -> Self {
        Self {
            settings,
            partitions: HashMap::new(),
            order: Vec::new(),
            nodes: HashMap::new(),
            ready: VecDeque::new(),
            turns: 0,
            leaderless: None,
            trouble: None,
            last_call: None,
        }
    }

    /// The outcome of the last look at the cluster: why it failed, if it did.
    pub(crate) fn note_trouble(&mut self, trouble: Option<ClientError>) {
        self.trouble = trouble;
    }

    /// Why the questions that are answered with NETWORK_EXCEPTION next have no other answer.
    pub(crate) fn note_call(&mut self, error: CallError) {
        self.last_call = Some(error);
    }

    /// Tells the application of a failure, unless it has yet to hear of one of the same kind: one
    /// that is told again and again must not pile up where nobody reads.
    fn tell(&mut self, failure: Item) {
        let told = |item: &Item| match (item, &failure) {
            (Item::Trouble(_), Item::Trouble(_)) => true,
            (
                Item::Failure {
                    partition, turn, ..
                },
                Item::Failure {
                    partition: other,
                    turn: later,
                    ..
                },
            ) => (partition, turn) == (other, later),
            _ => false,
        };
        if !self.ready.iter().any(told) {
            self.ready.push_back(failure);
        }
    }

    /// Reads these partitions too. `committed` begins with the group's offsets, else with the reset
    /// policy. Those that are assigned already go on as they are.
    pub(crate) fn add(&mut self, added: &[TopicPartition], committed: bool) {
        for partition in added {
            if self.partitions.contains_key(partition) {
                continue;
            }
            self.turns += 1;
            let state = if committed {
                State::Committed
            } else {
                self.by_policy().map_or(State::Committed, State::Reset)
            };
            let new = Partition {
                state,
                paused: false,
                turn: self.turns,
                position: None,
                next: Position {
                    offset: -1,
                    epoch: -1,
                },
                leader_epoch: -1,
                asked: false,
                waiting: 0,
                retry: Retry::new(&self.settings),
                high_watermark: -1,
                last_stable_offset: -1,
                log_start_offset: -1,
            };
            self.partitions.insert(partition.clone(), new);
            self.order.push(partition.clone());
            if !committed && self.by_policy().is_none() {
                self.stop_without_offset(partition);
            }
        }
    }

    /// Reads these partitions no more; what waits of them is dropped.
    pub(crate) fn remove(&mut self, removed: &[TopicPartition]) {
        for partition in removed {
            self.partitions.remove(partition);
        }
        let partitions = &self.partitions;
        self.order
            .retain(|partition| partitions.contains_key(partition));
        self.drop_stale();
    }

    /// The assigned partitions.
    pub(crate) fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.order.iter()
    }

    /// Whether it is assigned.
    pub(crate) fn has(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// Goes on from an offset. An epoch (-1 for unknown) is checked against the leader's log.
    pub(crate) fn seek(&mut self, partition: &TopicPartition, to: Position) -> bool {
        self.jump(partition, |p| {
            p.position = Some(to);
            p.next = to;
            p.leader_epoch = -1;
            p.state = State::Fetching;
        })
    }

    /// Goes on from where `to` says.
    pub(crate) fn reset(&mut self, partition: &TopicPartition, to: ResetTo) -> bool {
        self.jump(partition, |p| {
            p.position = None;
            p.state = State::Reset(to);
        })
    }

    fn jump(&mut self, partition: &TopicPartition, change: impl FnOnce(&mut Partition)) -> bool {
        self.turns += 1;
        let Some(p) = self.partitions.get_mut(partition) else {
            return false;
        };
        p.turn = self.turns;
        p.asked = false;
        p.retry.succeeded();
        change(p);
        self.drop_stale();
        true
    }

    /// Stops giving records of these partitions, or begins again.
    pub(crate) fn pause(&mut self, partition: &TopicPartition, paused: bool) -> bool {
        let found = self.partitions.get_mut(partition);
        found.map(|p| p.paused = paused).is_some()
    }

    /// Partitions that are paused.
    pub(crate) fn paused(&self) -> Vec<TopicPartition> {
        let paused = self.order.iter().filter(|partition| {
            let found = self.partitions.get(partition);
            found.is_some_and(|p| p.paused)
        });
        paused.cloned().collect()
    }

    /// What the application has been given of a partition.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<Position> {
        self.partitions.get(partition)?.position
    }

    /// The positions of all partitions that have one.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, Position)> {
        let with = |partition: &TopicPartition| {
            let position = self.partitions.get(partition)?.position?;
            Some((partition.clone(), position))
        };
        self.order.iter().filter_map(with).collect()
    }

    /// The newest high watermark and log start of a partition, -1 while unknown.
    pub(crate) fn watermarks(&self, partition: &TopicPartition) -> Option<(i64, i64, i64)> {
        let p = self.partitions.get(partition)?;
        Some((p.log_start_offset, p.last_stable_offset, p.high_watermark))
    }

    /// The application has been given everything below an offset.
    pub(crate) fn advance(&mut self, partition: &TopicPartition, turn: u64, to: Position) {
        if let Some(p) = self.partitions.get_mut(partition)
            && p.turn == turn
        {
            let known = p.position.map_or(-1, |position| position.epoch);
            let epoch = if to.epoch >= 0 { to.epoch } else { known };
            p.position = Some(Position { epoch, ..to });
        }
    }

    /// A batch that was to be given out is broken: fetching goes on in front of it, after a while,
    /// unless the application seeks. Gives the new turn.
    pub(crate) fn step_back(
        &mut self,
        partition: &TopicPartition,
        turn: u64,
        to: i64,
        now: Now,
        random: u64,
    ) -> u64 {
        if self
            .partitions
            .get(partition)
            .is_none_or(|p| p.turn != turn)
        {
            return turn;
        }
        self.jump(partition, |p| {
            p.next = Position {
                offset: to,
                epoch: -1,
            };
        });
        match self.partitions.get_mut(partition) {
            Some(p) => {
                p.retry.failed(now, random, u64::MAX);
                p.turn
            }
            None => turn,
        }
    }

    /// Whether nothing has made the partition jump since a turn.
    pub(crate) fn is_current(&self, partition: &TopicPartition, turn: u64) -> bool {
        let found = self.partitions.get(partition);
        found.is_some_and(|p| p.turn == turn)
    }

    /// Fetches again what lies behind the position.
    pub(crate) fn rewind(&mut self, partition: &TopicPartition) {
        self.jump(partition, |p| {
            if let Some(position) = p.position {
                p.next = position;
            }
        });
    }

    fn by_policy(&self) -> Option<ResetTo> {
        match self.settings.offset_reset {
            OffsetReset::Earliest => Some(ResetTo::Earliest),
            OffsetReset::Latest => Some(ResetTo::Latest),
            OffsetReset::Error => None,
        }
    }

    fn stop_without_offset(&mut self, partition: &TopicPartition) {
        let error = ConsumerError::NoOffset {
            partition: partition.clone(),
        };
        self.stop(partition, error);
    }

    /// Tells the application and waits for a seek.
    fn stop(&mut self, partition: &TopicPartition, error: ConsumerError) {
        if let Some(p) = self.partitions.get_mut(partition) {
            p.state = State::Stopped;
            self.ready.push_back(Item::Failure {
                partition: partition.clone(),
                turn: p.turn,
                error,
            });
        }
    }

    fn drop_stale(&mut self) {
        let (partitions, nodes) = (&self.partitions, &mut self.nodes);
        self.ready.retain(|item| {
            let (partition, turn) = match item {
                Item::Chunk(chunk) => (&chunk.partition, chunk.turn),
                Item::Failure {
                    partition, turn, ..
                } => (partition, *turn),
                Item::Trouble(_) => return true,
            };
            let current = partitions.get(partition).is_some_and(|p| p.turn == turn);
            if let Item::Chunk(chunk) = item
                && !current
                && let Some(node) = nodes.get_mut(&chunk.node)
            {
                node.buffered = node.buffered.saturating_sub(chunk.bytes);
            }
            current
        });
        for p in self.partitions.values_mut() {
            p.waiting = 0;
        }
        for item in &self.ready {
            if let Item::Chunk(chunk) = item
                && let Some(p) = self.partitions.get_mut(&chunk.partition)
            {
                p.waiting += 1;
            }
        }
    }

    // ---- what to ask ----

    /// What to ask now. Everything it gives is on its way from here on.
    pub(crate) fn plan(&mut self, now: Now, metadata: &Metadata) -> Plan {
        let mut plan = Plan::default();
        let mut offsets: HashMap<i32, Vec<OffsetQuestion>> = HashMap::new();
        let mut epochs: HashMap<i32, Vec<EpochQuestion>> = HashMap::new();
        let mut committed = Vec::new();
        let mut fetches: HashMap<i32, Vec<(TopicPartition, Wanted)>> = HashMap::new();
        let mut leaderless = None;
        for name in &self.order {
            let Some(p) = self.partitions.get_mut(name) else {
                continue;
            };
            if p.asked || p.state == State::Stopped {
                continue;
            }
            if p.retry.not_before > now.millis {
                plan.at(p.retry.not_before);
                continue;
            }
            if p.state == State::Committed {
                p.asked = true;
                committed.push((name.clone(), p.turn));
                continue;
            }
            let topic = metadata.topic(&name.topic);
            let described = topic.and_then(|topic| topic.partition(name.partition));
            let Some((leader, described)) = described.and_then(|d| Some((d.leader?, d))) else {
                plan.refresh = true;
                leaderless = Some(name);
                continue;
            };
            let leader_epoch = described.leader_epoch;
            if p.state == State::Fetching && leader_epoch > p.leader_epoch {
                // A new reign: the log may have been cut back (KIP-320). Without an epoch of one's
                // own there is nothing to compare.
                if p.next.epoch >= 0 && leader_epoch > p.next.epoch {
                    p.state = State::Validate;
                } else {
                    p.leader_epoch = leader_epoch;
                }
            }
            match p.state {
                State::Reset(to) => {
                    p.asked = true;
                    offsets.entry(leader).or_default().push(OffsetQuestion {
                        partition: name.clone(),
                        turn: p.turn,
                        leader_epoch,
                        to,
                    });
                }
                State::Validate => {
                    p.asked = true;
                    epochs.entry(leader).or_default().push(EpochQuestion {
                        partition: name.clone(),
                        turn: p.turn,
                        leader_epoch,
                        epoch: p.next.epoch,
                    });
                }
                State::Fetching if !p.paused => {
                    let wanted = Wanted {
                        offset: p.next.offset,
                        leader_epoch,
                        max_bytes: self.settings.max_partition_bytes,
                        topic_id: topic.map_or_else(Uuid::nil, |topic| topic.id),
                        turn: p.turn,
                    };
                    fetches
                        .entry(leader)
                        .or_default()
                        .push((name.clone(), wanted));
                }
                State::Fetching | State::Stopped | State::Committed => {}
            }
        }
        self.note_leaderless(leaderless.cloned(), now, metadata);
        if !committed.is_empty() {
            plan.ask.push(Ask::Committed {
                questions: committed,
            });
        }
        let sorted = |map: HashMap<i32, _>| {
            let mut list: Vec<_> = map.into_iter().collect();
            list.sort_by_key(|(node, _)| *node);
            list
        };
        for (node, questions) in sorted(offsets) {
            plan.ask.push(Ask::Offsets { node, questions });
        }
        let mut epochs: Vec<_> = epochs.into_iter().collect();
        epochs.sort_by_key(|(node, _)| *node);
        for (node, questions) in epochs {
            plan.ask.push(Ask::Epochs { node, questions });
        }
        let mut fetches: Vec<_> = fetches.into_iter().collect();
        fetches.sort_by_key(|(node, _)| *node);
        self.plan_fetches(fetches, now, &mut plan);
        plan
    }

    fn plan_fetches(
        &mut self,
        fetches: Vec<(i32, Vec<(TopicPartition, Wanted)>)>,
        now: Now,
        plan: &mut Plan,
    ) {
        // Each broker has its share, so that one that holds a request back holds nobody up.
        let share = self.settings.prefetch_bytes / fetches.len().max(1);
        for (node, wanted) in fetches {
            let settings = &self.settings;
            let state = self.nodes.entry(node).or_insert_with(|| NodeState {
                session: Session::default(),
                in_flight: false,
                buffered: 0,
                retry: Retry::new(settings),
            });
            if state.in_flight {
                continue;
            }
            if state.retry.not_before > now.millis {
                plan.at(state.retry.not_before);
                continue;
            }
            // Not for a trickle: half of the share has to be free.
            if state.buffered > share / 2 {
                continue;
            }
            let max_bytes = settings.max_bytes.min(share - state.buffered).max(1);
            let by_id = wanted.iter().all(|(_, wanted)| !wanted.topic_id.is_nil());
            state.in_flight = true;
            let request = state.session.request(&wanted, settings.sessions);
            plan.ask.push(Ask::Fetch {
                node,
                request,
                max_bytes,
                by_id,
            });
        }
    }

    /// A partition that stays without a leader is told of in the end.
    fn note_leaderless(&mut self, found: Option<TopicPartition>, now: Now, metadata: &Metadata) {
        let Some(partition) = found else {
            self.leaderless = None;
            return;
        };
        // What only a change of configuration can cure is told at once, each time it was met.
        if let Some(ClientError::Connect(error)) = &self.trouble
            && !error.retriable()
            && let Some(error) = self.trouble.take()
        {
            return self.tell(Item::Trouble(error.into()));
        }
        let since = *self.leaderless.get_or_insert(now.millis);
        let lasted = now.millis.saturating_sub(since);
        if lasted < self.settings.patience {
            return;
        }
        self.leaderless = Some(now.millis);
        let last = match (
            metadata.topic(&partition.topic),
            metadata.errors.get(&partition.topic),
        ) {
            (_, Some(ErrorCode::UnknownTopicOrPartition)) => Some(ClientError::UnknownTopic {
                topic: partition.topic.to_string(),
            }),
            (_, Some(code)) => Some(ClientError::broker(format!("{partition}"), *code)),
            (Some(topic), None) if topic.partition(partition.partition).is_none() => {
                Some(ClientError::UnknownPartition {
                    topic: partition.topic.to_string(),
                    partition: partition.partition,
                    count: topic.partitions.len(),
                })
            }
            (Some(_), None) => Some(ClientError::broker(
                format!("{partition}"),
                ErrorCode::LeaderNotAvailable,
            )),
            (None, None) => self.trouble.clone(),
        };
        self.late(format!("finding the leader of {partition}"), lasted, last);
    }

    fn late(&mut self, what: String, lasted: u64, last: Option<ClientError>) {
        let error = ClientError::Timeout {
            what,
            after: Duration::from_millis(lasted),
            last: last.map(Box::new),
        };
        self.tell(Item::Trouble(error.into()));
    }

    // ---- what came back ----

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
        let mut refresh = false;
        for part in answer.partitions {
            refresh |= self.fetched_partition(node, part, now, random);
        }
        refresh
    }

    fn fetched_partition(
        &mut self,
        node: i32,
        part: PartitionAnswer,
        now: Now,
        random: u64,
    ) -> bool {
        let Some(state) = self.nodes.get_mut(&node) else {
            return false;
        };
        let topic: Arc<str> = if part.topic.is_empty() {
            match state.session.name(part.topic_id) {
                Some(name) => Arc::clone(name),
                None => return false,
            }
        } else {
            part.topic.as_str().into()
        };
        let name = TopicPartition {
            topic,
            partition: part.partition,
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

    fn data(
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
            p.next = Position {
                offset: cut.next_offset,
                epoch,
            };
            p.waiting += 1;
            if let Some(state) = self.nodes.get_mut(&node) {
                state.buffered += bytes;
            }
            self.ready.push_back(Item::Chunk(Chunk {
                partition: name.clone(),
                turn: p.turn,
                node,
                from: wanted.offset,
                bytes,
                batches: cut.batches,
                next: p.next,
                aborted: part.aborted,
                high_watermark: part.high_watermark,
                last_stable_offset: part.last_stable_offset,
                log_start_offset: part.log_start_offset,
            }));
        }
        if let Some(reason) = cut.broken {
            // It is asked for again, and told again, until the application seeks past it.
            p.retry.failed(now, random, u64::MAX);
            let error = ConsumerError::Corrupt {
                partition: name.clone(),
                offset: cut.next_offset,
                reason,
            };
            let turn = p.turn;
            self.tell(Item::Failure {
                partition: name,
                turn,
                error,
            });
        }
    }

    fn out_of_range(&mut self, name: &TopicPartition, offset: i64) {
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
    fn partition_failed(
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
            let turn = p.turn;
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
                turn,
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
                if p.waiting == 0 {
                    p.position = Some(found);
                }
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
        p.state = State::Fetching;
        if end.is_some_and(|end| end.offset >= p.next.offset) {
            return false;
        }
        self.truncated(name, end);
        false
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
                let turn = p.turn;
                if p.retry.failed(now, random, patience).is_some() {
                    self.tell(Item::Failure {
                        partition: partition.clone(),
                        turn,
                        error: error.error,
                    });
                }
            }
        }
    }

    // ---- what the application gets ----

    /// Whether [`Self::take`] has something to give.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.iter().any(|item| self.may_be_taken(item))
    }

    fn may_be_taken(&self, item: &Item) -> bool {
        match item {
            Item::Chunk(chunk) => {
                let found = self.partitions.get(&chunk.partition);
                found.is_some_and(|p| !p.paused)
            }
            Item::Failure { .. } | Item::Trouble(_) => true,
        }
    }

    /// The next thing for the application, with the turn that it belongs to.
    pub(crate) fn take(&mut self) -> Option<Result<(Fetched, u64, Position), ConsumerError>> {
        let at = self.ready.iter().position(|item| self.may_be_taken(item))?;
        let chunk = match self.ready.remove(at)? {
            Item::Chunk(chunk) => chunk,
            Item::Failure { error, .. } | Item::Trouble(error) => return Some(Err(error)),
        };
        if let Some(node) = self.nodes.get_mut(&chunk.node) {
            node.buffered = node.buffered.saturating_sub(chunk.bytes);
        }
        if let Some(p) = self.partitions.get_mut(&chunk.partition) {
            p.waiting = p.waiting.saturating_sub(1);
            // After a reset the position jumps with what comes behind it.
            let at_chunk = p
                .position
                .is_some_and(|position| position.offset == chunk.from);
            if !at_chunk {
                let epoch = p.position.map_or(-1, |position| position.epoch);
                p.position = Some(Position {
                    offset: chunk.from,
                    epoch,
                });
            }
        }
        let fetched = Fetched {
            batches: visible(chunk.batches, self.settings.read_committed, chunk.aborted),
            partition: chunk.partition,
            next_offset: chunk.next.offset,
            high_watermark: chunk.high_watermark,
            last_stable_offset: chunk.last_stable_offset,
            log_start_offset: chunk.log_start_offset,
        };
        Some(Ok((fetched, chunk.turn, chunk.next)))
    }

    /// The sessions to close with their brokers.
    pub(crate) fn close(&mut self) -> Vec<(i32, i32, i32)> {
        let nodes = self.nodes.iter_mut();
        nodes
            .filter_map(|(node, state)| {
                let (id, epoch) = state.session.close()?;
                Some((*node, id, epoch))
            })
            .collect()
    }
}

/// An error, and whether it may pass by itself.
#[derive(Clone, Debug)]
pub(crate) struct Retriable {
    pub(crate) error: ConsumerError,
    pub(crate) retriable: bool,
}

impl Plan {
    fn at(&mut self, moment: u64) {
        self.deadline = Some(self.deadline.map_or(moment, |at| at.min(moment)));
    }
}

#[cfg(test)]
mod tests;
