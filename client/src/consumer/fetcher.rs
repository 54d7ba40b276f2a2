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
//!            |      |                            ^  ^          leaves it)
//!            |      +------- epoch agrees -------+  |
//!            v                                      |
//!         Diverged --- settled where the application reads --+
//! ```

use std::collections::{HashMap, VecDeque};

use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use super::batch::Batch;
use super::config::{FetchSettings, OffsetReset};
use super::error::ConsumerError;
use crate::clock::Now;
use crate::connection::CallError;
use crate::error::ClientError;
use crate::retry::Backoff;
use crate::topic_partition::TopicPartition;

mod answers;
pub(super) mod driver;
mod isolation;
pub(super) mod messages;
mod plan;
mod ready;
mod session;
mod split;
mod take;

use session::{Session, SessionRequest};

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
    /// The leader's log is another one from here on, or from an offset it does not know.
    Diverged(Option<Position>),
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
    /// Chunks that wait to be read, those aside included.
    waiting: usize,
    /// Those of them that are kept while the partition is paused.
    aside: VecDeque<Chunk>,
    /// Where the last chunk ended that the application was given, -1 for none since a jump.
    handed: i64,
    /// The application has yet to hear of a failure.
    told: bool,
    retry: Retry,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
    /// The id of its topic, once it is known.
    topic_id: Uuid,
    /// When a request that asks for it was last answered without an error of it, and the answer was taken.
    /// Answers leave out partitions of which there is nothing new (KIP-227).
    heard: Option<u64>,
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
    /// How many there may be, as of the last plan.
    share: usize,
    /// Requests that named all partitions.
    full_requests: usize,
    retry: Retry,
}

/// Something for the application, in order.
enum Item {
    Chunk(Chunk),
    Failure {
        partition: TopicPartition,
        error: ConsumerError,
    },
    /// Not about a partition.
    Trouble(ConsumerError),
}

struct Chunk {
    partition: TopicPartition,
    turn: u64,
    node: i32,
    /// Where it begins, with the leader epoch of what is in front of it.
    from: Position,
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
    /// How long the broker wants to be left alone, in milliseconds (KIP-219).
    pub(crate) throttle: u64,
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
    /// A [`Item::Trouble`] is among them.
    trouble_told: bool,
    /// Bytes that are kept of paused partitions.
    aside: usize,
    /// There is room for more than at the last plan.
    room: bool,
    /// Partitions whose logs were found cut back, for [`Self::settle`].
    diverged: Vec<TopicPartition>,
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
            trouble_told: false,
            aside: 0,
            room: false,
            diverged: Vec::new(),
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
                aside: VecDeque::new(),
                handed: -1,
                told: false,
                retry: Retry::new(&self.settings),
                high_watermark: -1,
                last_stable_offset: -1,
                log_start_offset: -1,
                topic_id: Uuid::nil(),
                heard: None,
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
            if let Some(p) = self.partitions.remove(partition) {
                self.aside = self.aside.saturating_sub(p.aside_bytes());
            }
        }
        let partitions = &self.partitions;
        self.order
            .retain(|partition| partitions.contains_key(partition));
        self.drop_gone();
    }

    /// The assigned partitions.
    pub(crate) fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.order.iter()
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
        p.handed = -1;
        p.retry.succeeded();
        change(p);
        self.drop_waiting(partition);
        true
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

    /// When a request that asks for a partition was last answered without an error of it.
    pub(crate) fn heard(&self, partition: &TopicPartition) -> Option<u64> {
        self.partitions.get(partition)?.heard
    }

    /// The application has been given everything below an offset.
    pub(crate) fn advance(&mut self, partition: &TopicPartition, turn: u64, to: Position) {
        if let Some(p) = self.partitions.get_mut(partition)
            && p.turn == turn
        {
            let known = p.position.map_or(-1, |position| position.epoch);
            let epoch = if to.epoch >= 0 { to.epoch } else { known };
            p.position = Some(Position { epoch, ..to });
            p.catch_up();
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
            // What was found out about what lies behind is found out again.
            if matches!(p.state, State::Stopped | State::Reset(_)) {
                p.state = State::Fetching;
            }
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
        self.drop_failures(partition);
        if let Some(p) = self.partitions.get_mut(partition) {
            p.state = State::Stopped;
            p.told = true;
            self.ready.push_back(Item::Failure {
                partition: partition.clone(),
                error,
            });
        }
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
