//! Replayed machines: state that lives in a log.
//!
//! A [`Machine`] never acts. [`Machine::decide`] looks at its state and says what should happen:
//! which records to write, who gets which answer, which timers move. The runtime appends the
//! records to the machine's log and only then calls [`Machine::apply`], the only place that
//! changes state, live and at load. So the state is always the replay of the log, an answer never
//! tells of something that a restart would undo, and a machine is tested without a disk or a
//! clock. (The shape is Kafka's `CoordinatorShard` and `CoordinatorResult`.)

pub mod group;
pub mod runtime;

use bytes::Bytes;

use crate::types::{Monotonic, Now, Offset};

/// Stands for a caller who waits for an answer. The runtime hands one in with each command; a
/// machine may answer at once or keep the token in its state and answer in a later decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyToken(pub u64);

/// When an answer may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once: the answer rests on nothing that is still to be written (refusals, heartbeats).
    Now,
    /// When everything the machine has written so far, this decision included, is on disk.
    AfterDurable,
}

/// An answer to one waiting caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<R> {
    /// Who gets it.
    pub token: ReplyToken,
    /// When it may leave.
    pub when: When,
    /// What it says.
    pub reply: R,
}

/// Sets a timer to a new deadline (replacing the old one), or stops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerChange<T> {
    /// Which timer.
    pub timer: T,
    /// When it fires; `None` stops it.
    pub deadline: Option<Monotonic>,
}

/// What a machine wants to happen.
#[derive(Debug)]
pub struct Decision<M: Machine + ?Sized> {
    /// Changes of the state, in order: those that [`Machine::encode`] gives a record for are
    /// written as one batch, atomically; then all are applied.
    pub events: Vec<M::Event>,
    /// Answers, for the caller and for callers parked earlier.
    pub answers: Vec<Answer<M::Reply>>,
    /// Changes of the timer table.
    pub timers: Vec<TimerChange<M::Timer>>,
    /// The events need not be written together: they may go into several batches, each of which is
    /// applied when it is written. If one fails, those before it stand. For clearing away, of
    /// which there may be more than a batch can hold.
    pub in_parts: bool,
}

impl<M: Machine + ?Sized> Default for Decision<M> {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            answers: Vec::new(),
            timers: Vec::new(),
            in_parts: false,
        }
    }
}

impl<M: Machine + ?Sized> Decision<M> {
    /// Only an answer that can leave at once.
    pub fn reply_now(token: ReplyToken, reply: M::Reply) -> Self {
        Self {
            answers: vec![Answer {
                token,
                when: When::Now,
                reply,
            }],
            ..Self::default()
        }
    }

    /// Only an answer that reads state, and so waits until that state is on disk.
    pub fn reply_durable(token: ReplyToken, reply: M::Reply) -> Self {
        Self {
            answers: vec![Answer {
                token,
                when: When::AfterDurable,
                reply,
            }],
            ..Self::default()
        }
    }
}

/// The key and value of a record in the machine's log; a `None` value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The record's key. The metadata log has records without keys.
    pub key: Option<Bytes>,
    /// The record's value.
    pub value: Option<Bytes>,
}

/// A record in a machine's log that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} cannot be read: {why}")]
pub struct MalformedRecord {
    /// Which kind of record.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// A deterministic state machine over its own log.
pub trait Machine: Send + 'static {
    /// What callers ask for.
    type Command: Send;
    /// What they get.
    type Reply: Send;
    /// One change of state: a record of the log, or a change that lives in memory only.
    type Event: Send;
    /// Names a timer.
    type Timer: Ord + Clone + Send;

    /// Decides what a command leads to. Changes nothing.
    fn decide(&self, now: Now, command: Self::Command, token: ReplyToken) -> Decision<Self>;

    /// Decides what follows from a timer that has fired (and is gone from the table).
    fn on_timer(&self, now: Now, timer: Self::Timer) -> Decision<Self>;

    /// Called once after the log has been replayed: sets the timers that the state calls for.
    fn on_loaded(&self, now: Now) -> Decision<Self>;

    /// Changes the state. `offset` is the record's offset in the log, or the log's end for a
    /// change that lives in memory only.
    fn apply(&mut self, offset: Offset, event: Self::Event);

    /// The record that makes `event` outlive a restart; `None` for a change in memory only. The
    /// state has no part in it.
    fn encode(&self, event: &Self::Event) -> Option<KeyValue>;

    /// The event that a record of the log stands for; `None` for records of a kind or version
    /// that this machine does not know and may pass over.
    fn decode(&self, record: &KeyValue) -> Result<Option<Self::Event>, MalformedRecord>;
}
