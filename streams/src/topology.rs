//! A topology as data: nodes, edges, stores. It is built by the DSL, and does nothing by itself.

mod check;
mod describe;
pub(crate) mod held_back;
pub(crate) mod old_values;
mod order;
mod partitions;
mod plan;
mod repeats;
mod subtopology;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_client::TopicPartition;

use crate::data::Data;
use crate::operator::Operator;
use crate::operator::source::Source;
use crate::query::AnyReads;
use crate::record::chunk::AnyChunk;
use crate::runtime::task::outbox::{Outbox, TopicId};
use crate::state::{GlobalStore, Globals, Store, StoreId};

pub(crate) use plan::Plan;
pub use subtopology::Subtopology;

/// What a program does with its topics (Kafka: `Topology`). Made by
/// [`crate::StreamsBuilder::build`].
#[derive(Clone)]
pub struct Topology {
    pub(crate) nodes: Arc<[Node]>,
    pub(crate) stores: Arc<[StoreSpec]>,
    pub(crate) globals: Arc<[GlobalSpec]>,
    pub(crate) subtopologies: Arc<[Subtopology]>,
    /// See [`Topology::names_by_place`].
    pub(crate) names_by_place: Arc<[String]>,
    /// Repartition topics whose numbers of partitions were asked for.
    pub(crate) sizes: Arc<BTreeMap<Topic, u32>>,
}

/// One operator and what feeds it.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) inputs: Vec<Edge>,
    /// An empty chunk for each output.
    pub(crate) outputs: Vec<MakeChunk>,
    pub(crate) make: Make,
    /// What it knows of the topics that it reads or writes.
    pub(crate) end: Option<TopicEnd>,
    /// The stores that it uses.
    pub(crate) stores: Vec<usize>,
    /// Those of them in which it only looks things up.
    pub(crate) reads: Vec<usize>,
    /// An empty chunk of its first input, if it does something when only time moves on.
    pub(crate) idle: Option<MakeChunk>,
    /// By how many milliseconds it holds the watermark back.
    pub(crate) holds_back: i64,
    /// Whether it has to see every step of event time, so that records go through one by one.
    pub(crate) one_by_one: bool,
    /// Whether it is told which record of a topic it works on.
    pub(crate) with_source: bool,
    /// Whether it asks those that feed it for old values.
    pub(crate) wants_old: bool,
    /// Whether it gives old values on only if it is asked for them.
    pub(crate) passes_old: bool,
    /// Whether it asks for old values where they are kept anyway.
    pub(crate) takes_old: bool,
    /// Whether its store is told how far the source partition has been read that feeds it.
    pub(crate) keeps_place: bool,
    /// Whether it fills a global table.
    pub(crate) global: bool,
    /// The topic that records go to which it cannot take.
    pub(crate) dead_letters: Option<Arc<str>>,
    /// Whether the same records can make it do something else another time: by the clock, or by what
    /// a global table has by then.
    pub(crate) varies: bool,
}

/// What a source or a sink knows of its topics.
#[derive(Clone, Debug)]
pub(crate) struct TopicEnd {
    /// What keys and values are: see [`Data::format`].
    pub(crate) key: Cow<'static, str>,
    pub(crate) value: Cow<'static, str>,
    /// How records are partitioned; sources know it only if they were told.
    pub(crate) partitioning: Option<Partitioning>,
}

/// Which partition records of a topic go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Partitioning {
    /// That of Kafka's own partitioner.
    Keys,
    /// That of a closure; the number tells closures apart.
    Closure(usize),
    /// That of a partitioner with that name.
    Named(Arc<str>),
}

impl std::fmt::Display for Partitioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keys => f.write_str("Kafka's partitioner"),
            Self::Closure(_) => f.write_str("a partitioner without a name"),
            Self::Named(name) => write!(f, "the partitioner {name:?}"),
        }
    }
}

/// Where a stream comes from: a node and which of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Edge {
    pub(crate) node: usize,
    pub(crate) port: usize,
}

pub(crate) type MakeChunk = fn() -> Box<dyn AnyChunk>;
type MakeOperator = Arc<dyn Fn(&mut MakeContext<'_>) -> Box<dyn Operator> + Send + Sync>;
type MakeSource =
    Arc<dyn Fn(&mut MakeContext<'_>, TopicPartition) -> Box<dyn Source> + Send + Sync>;

/// How a node's operator is made for a task.
#[derive(Clone)]
pub(crate) enum Make {
    Operator(MakeOperator),
    Source(MakeSource),
}

/// What a node is: all that describing and checking a topology needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeKind {
    /// Reads topics.
    Source {
        /// The topics.
        topics: Vec<Topic>,
    },
    /// Writes a topic.
    Sink {
        /// The topic.
        topic: Topic,
    },
    /// Leaves out records of a repartition topic that have been there before.
    Deduplicate,
    /// Looks at one record at a time: map, filter and their like.
    Stateless {
        /// Whether records are changes of a table.
        table: bool,
    },
    /// Sends each record to one of several streams.
    Branch,
    /// Makes one stream of several.
    Merge,
    /// The application's own processor.
    Process,
    /// Aggregates by key.
    Aggregate,
    /// Aggregates by key and window.
    WindowAggregate {
        /// The windows, in words.
        windows: String,
    },
    /// Keeps a table.
    Table,
    /// Aggregates a table by another key.
    TableAggregate,
    /// Joins two streams.
    StreamJoin {
        /// Which records join, in words.
        windows: String,
    },
    /// Joins a stream with a table.
    LookupJoin,
    /// Joins two tables.
    TableJoin,
    /// Holds records, or updates of a table, back until event time has come somewhere.
    Wait,
}

/// A topic as a topology names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A topic of that name.
    External(Arc<str>),
    /// A topic that the application makes for itself: its name begins with the application's id.
    Internal(Arc<str>),
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::External(name) => f.write_str(name),
            Self::Internal(name) => write!(f, "<application>-{name}"),
        }
    }
}

impl Topic {
    /// The topic's name in the cluster (Kafka: `InternalTopologyBuilder.decorateTopic`).
    #[must_use]
    pub fn resolve(&self, application: &str) -> Arc<str> {
        match self {
            Self::External(name) => Arc::clone(name),
            Self::Internal(name) => format!("{application}-{name}").into(),
        }
    }
}

/// A name in four bytes: FNV-1a, folded.
pub(crate) fn name_hash(name: &str) -> u32 {
    let hash = fnv(name.as_bytes());
    (hash ^ (hash >> 32)) as u32
}

/// FNV-1a of 64 bits: the same on every machine and in every version.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

type MakeStore = Arc<dyn Fn(u64) -> Box<dyn Store> + Send + Sync>;

/// A store that operators of a topology share.
pub(crate) struct StoreSpec {
    pub(crate) name: String,
    pub(crate) make: MakeStore,
    /// What it keeps, in words: with other ones its changelog is of no use to it. See
    /// [`StoreSpec::holds`].
    pub(crate) holds: String,
    /// How its changelog is kept; `None` if it has none.
    pub(crate) changelog: Option<Changelog>,
    /// How it is read from outside; `None` if it holds nothing that means something to anybody else.
    pub(crate) reads: Option<Arc<dyn AnyReads>>,
}

impl StoreSpec {
    /// A kind of store with such keys and values, in words. Types go by what their bytes are: they may be
    /// renamed.
    pub(crate) fn holds<K: Data, V: Data>(what: &str) -> String {
        let named = |format: Cow<'static, str>| match format.is_empty() {
            true => "bytes".into(),
            false => format,
        };
        format!(
            "{what} of {} and {}",
            named(K::format()),
            named(V::format())
        )
    }
}

/// A table that every instance of the application holds as a whole.
pub(crate) struct GlobalSpec {
    pub(crate) name: String,
    pub(crate) make: MakeGlobal,
    pub(crate) reads: Arc<dyn AnyReads>,
    /// How many keys such a store has, and how many bytes it takes.
    pub(crate) size: fn(&(dyn std::any::Any + Send + Sync)) -> (usize, usize),
}

/// Makes the store that an instance's tasks share, with chance for the hashes of keys.
type MakeGlobal = Arc<dyn Fn(u64) -> Arc<dyn std::any::Any + Send + Sync> + Send + Sync>;

/// How a changelog topic is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changelog {
    /// The last record of each key, for ever.
    Keys,
    /// What is spent goes, too: windows do not come again.
    Windows,
}

/// What an operator is made with.
pub(crate) struct MakeContext<'a> {
    /// The node's name.
    pub(crate) name: &'a str,
    /// The task's place for each of the topology's stores.
    pub(crate) stores: &'a [Option<StoreId>],
    pub(crate) globals: &'a Globals,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) application: &'a str,
    /// How many partitions a topic has.
    pub(crate) partitions: &'a dyn Fn(&str) -> u32,
    /// Whether somebody behind the node asks for old values.
    pub(crate) wants_old: bool,
    /// Whether all that feed the node give old values.
    pub(crate) gets_old: bool,
    /// The task's partition.
    pub(crate) partition: u32,
    /// Whether the records of a source partition make the node do the same each time they are read,
    /// whatever else the task reads.
    pub(crate) repeats: bool,
    /// How many tasks write the source's topic, if it is the application's own.
    pub(crate) writers: usize,
}

impl MakeContext<'_> {
    pub(crate) fn store(&self, store: usize) -> StoreId {
        self.stores[store].expect("a task has the stores of its operators")
    }

    /// A global table's store, which all tasks of the instance share.
    pub(crate) fn global<V: Data>(&self, number: usize) -> Arc<GlobalStore<V>> {
        self.globals.get(number)
    }

    pub(crate) fn topic(&mut self, topic: &Topic) -> TopicId {
        let name = topic.resolve(self.application);
        let partitions = (self.partitions)(&name);
        self.outbox.topic(&name, partitions)
    }
}
