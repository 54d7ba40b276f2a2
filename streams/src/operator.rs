//! Operators: one kind per file, each works on a chunk of records. An operator is made anew for every
//! task. It keeps its state in the task's stores; what else it has can be lost.

pub(crate) mod aggregate;
pub(crate) mod branch;
pub(crate) mod global;
pub(crate) mod in_order;
pub(crate) mod keep_versions;
pub(crate) mod keys;
pub(crate) mod lookup_join;
pub(crate) mod merge;
pub(crate) mod portions;
pub(crate) mod process;
pub(crate) mod repartition;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod span_aggregate;
pub(crate) mod stateless;
pub(crate) mod stream_join;
pub(crate) mod suppress;
pub(crate) mod table;
pub(crate) mod table_aggregate;
pub(crate) mod table_group;
pub(crate) mod table_join;
pub(crate) mod table_map;
pub(crate) mod try_map;
mod waiting;
pub(crate) mod window_aggregate;

use crate::error::StreamsError;
use crate::processor::SourceRecord;
use crate::record::chunk::{AnyChunk, Chunk, typed};
use crate::runtime::task::outbox::Outbox;
use crate::state::Stores;

/// An operator as the graph sees it: one call per chunk.
pub(crate) trait Operator: Send {
    /// Works on the rows that come through an input and leaves what comes out in `cx.outputs`. It may
    /// take the rows away. Called with an empty chunk when only the watermark has moved on.
    fn process(&mut self, port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>);

    /// Everything that it has in its stores has been committed. Only for what waits for that.
    fn committed(&mut self, _cx: &mut Context<'_>) {}

    /// Goes on with what it has left for later ([`Context::unfinished`]). Nothing else is asked of it
    /// before it has done so.
    fn go_on(&mut self, _cx: &mut Context<'_>) {}

    /// The wall clock has moved on. Only for what goes by it: punctuation, and how often repartition
    /// topics are told of the watermark.
    fn wall_clock(&mut self, _now: i64, _cx: &mut Context<'_>) {}
}

/// What an operator works with.
pub(crate) struct Context<'a> {
    pub(crate) outputs: &'a mut Outputs,
    pub(crate) stores: &'a mut Stores,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counts: &'a mut Counts,
    /// The source partition whose records go through, by its number within the task; `None` if it is
    /// time that has moved on.
    pub(crate) input: Option<u32>,
    /// The record that goes through, if there is an operator that asks for it.
    pub(crate) source: Option<&'a SourceRecord>,
    /// Whether none of the task's source partitions has had anything for long enough.
    pub(crate) idle: bool,
    /// When so many rows lie in an output an operator that may have many more passes them on first: it
    /// leaves the rest for later.
    pub(crate) portion: usize,
    /// Set by an operator that has left something for later.
    pub(crate) unfinished: &'a mut bool,
    /// The first error of the round: it ends the task.
    pub(crate) failed: &'a mut Option<StreamsError>,
}

impl Context<'_> {
    /// Whether an output has as many rows as it should have.
    #[inline]
    pub(crate) fn is_full(&self, port: usize) -> bool {
        self.outputs.ports[port].chunk.len() >= self.portion
    }

    /// Leaves something for later. What is in the outputs goes on its way, with its own watermark behind
    /// it, which is held back by `by`.
    pub(crate) fn leave(&mut self, by: i64) {
        *self.unfinished = true;
        for output in &mut self.outputs.ports {
            if let Some(last) = output.chunk.last_watermark() {
                output.chunk.set_watermark(last);
                output.chunk.hold_back(by);
            }
        }
    }

    /// Ends the task with this error, unless it has one already.
    #[cold]
    pub(crate) fn fail(&mut self, error: StreamsError) {
        self.failed.get_or_insert(error);
    }
}

/// Where an operator leaves what comes out: one chunk for each of its outputs.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) ports: Vec<Output>,
}

/// One output of an operator.
pub(crate) struct Output {
    pub(crate) chunk: Box<dyn AnyChunk>,
    /// Inputs that it goes to.
    pub(crate) targets: Vec<Target>,
    /// The watermark that they were last told.
    pub(crate) told: i64,
}

/// An input of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) node: usize,
    pub(crate) port: usize,
    /// By how much the watermark is to be held back on the way, so that it is the same on all ways
    /// that lead there.
    pub(crate) hold_back: i64,
}

impl Outputs {
    /// One output's chunk with its types.
    #[inline]
    pub(crate) fn get<K, V>(&mut self, port: usize) -> &mut Chunk<K, V>
    where
        K: Clone + Send + 'static,
        V: Clone + Send + 'static,
    {
        typed(&mut *self.ports[port].chunk)
    }

    /// Whether anybody listens to that output.
    pub(crate) fn is_used(&self, port: usize) -> bool {
        !self.ports[port].targets.is_empty()
    }
}

/// What a task counts, by reason (Kafka: `dropped-records` and its like).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that came too late, be it for some of their windows only: as many as there are records
    /// of late streams.
    pub late: u64,
    /// Records dropped because their key is null where there has to be one.
    pub null_key: u64,
    /// Records dropped because their value is null where there has to be one.
    pub null_value: u64,
    /// Records that did not decode.
    pub undecodable: u64,
    /// Records that have no timestamp, or one out of their source's bounds, and those from before 1970
    /// that windows and joins by stream time leave out.
    pub bad_timestamp: u64,
    /// Records of repartition topics that had been there before: a task had written them a second
    /// time after a crash.
    pub repeated: u64,
    /// Records that the application's own code refused.
    pub refused: u64,
}

impl Counts {
    /// The numbers with names for their reasons.
    pub(crate) fn by_reason(&self) -> [(&'static str, u64); 7] {
        [
            ("late", self.late),
            ("null_key", self.null_key),
            ("null_value", self.null_value),
            ("undecodable", self.undecodable),
            ("bad_timestamp", self.bad_timestamp),
            ("repeated", self.repeated),
            ("refused", self.refused),
        ]
    }

    /// Adds what another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.late += other.late;
        self.null_key += other.null_key;
        self.null_value += other.null_value;
        self.undecodable += other.undecodable;
        self.bad_timestamp += other.bad_timestamp;
        self.repeated += other.repeated;
        self.refused += other.refused;
    }
}

/// The error of a key that has no bytes. The graph adds the operator's name.
#[cold]
pub(crate) fn bad_key(error: crate::data::DataError) -> StreamsError {
    StreamsError::Key {
        operator: String::new(),
        error,
    }
}
