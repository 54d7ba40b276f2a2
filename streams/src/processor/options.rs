//! How a processor is run.

use std::sync::Arc;
use std::time::Duration;

use super::stores::{StoreHandle, StoreKind};
use crate::time::millis;

/// By which time a schedule goes (Kafka: `PunctuationType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Punctuation {
    /// By the watermark in front of the processor. What comes out is the same whenever the same
    /// records are processed in the same order; all operators between the same topics take records
    /// one by one for it.
    Watermark,
    /// By stream time: the largest timestamp that the processor has seen. It is called after the
    /// record that moved time on (Kafka: `STREAM_TIME`).
    StreamTime,
    /// By the clock (Kafka: `WALL_CLOCK_TIME`). What comes out depends on when that is.
    WallClock,
}

/// That time has passed a point of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Which of the processor's schedules it is, in the order in which they were made; the first is 0.
    pub schedule: usize,
    /// By which time the schedule goes.
    pub by: Punctuation,
    /// What time it is, in milliseconds since 1970 (UTC). It can be more than one interval past the
    /// last call: points that are passed together are one call.
    pub time: i64,
}

/// What is done when the application's own code fails on a record (Kafka:
/// `ProcessingExceptionHandler`, KIP-1033).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The application stops and says which operator it was. The default: nothing is lost in silence.
    #[default]
    Fail,
    /// The record is counted and left out.
    Skip,
    /// The record goes to that topic as it came to the operator, with headers that say why:
    /// `tidemark.operator`, `tidemark.reason`.
    DeadLetter(Arc<str>),
}

impl OnError {
    /// The topic for dead letters, if there is one.
    pub(crate) fn dead_letters(&self) -> Option<Arc<str>> {
        match self {
            Self::DeadLetter(topic) => Some(Arc::clone(topic)),
            Self::Fail | Self::Skip => None,
        }
    }
}

/// What a processor needs, and what is done when it fails.
#[derive(Clone, Default)]
pub struct Processing {
    pub(crate) policy: OnError,
    pub(crate) schedules: Vec<Schedule>,
    /// The number of the builder, and the store's.
    pub(crate) stores: Vec<(usize, usize)>,
    pub(crate) keeps_keys: bool,
    pub(crate) with_source: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) by: Punctuation,
    /// In milliseconds.
    pub(crate) interval: i64,
}

/// The policy with the topic's place in the task.
pub(crate) enum Policy {
    Fail,
    Skip,
    DeadLetter(crate::runtime::task::outbox::TopicId),
}

impl Processing {
    /// No stores, no schedules, and the application stops when the processor fails.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the processor a store. Processors that share one are run by the same tasks.
    #[must_use]
    pub fn store<S: StoreKind>(mut self, store: &StoreHandle<S>) -> Self {
        self.stores.push((store.plan, store.number));
        self
    }

    /// Has [`super::Processor::punctuate`] called when time passes a multiple of the interval; by the
    /// clock every interval from the start on (Kafka: `ProcessorContext.schedule`).
    #[must_use]
    pub fn schedule(mut self, interval: Duration, by: Punctuation) -> Self {
        let interval = millis(interval);
        self.schedules.push(Schedule { by, interval });
        self
    }

    /// What is done when the processor fails. Default: the application stops.
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> Self {
        self.policy = policy;
        self
    }

    /// Has [`super::ProcessorContext::source`] tell which record of which topic it is about. All operators
    /// between the same topics take records one by one for it.
    #[must_use]
    pub fn with_source(mut self) -> Self {
        self.with_source = true;
        self
    }

    /// Says that the processor gives on only keys of records that it was given, so that the stream
    /// needs no repartitioning behind it (Kafka: `KStream.processValues`).
    #[must_use]
    pub fn keeps_keys(mut self) -> Self {
        self.keeps_keys = true;
        self
    }
}
