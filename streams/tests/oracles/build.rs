//! A case's topology, built with the public DSL.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_streams::time::{WatermarkStrategy, Windowed};
use tidemark_streams::{
    Consumed, Contribution, Data, GlobalTable, GroupedStream, GroupedTable, SessionWindowedStream,
    SlidingWindowedStream, Stream, StreamsBuilder, Table, TimeWindowedStream, WindowedTable,
};

use crate::case::{Case, Node, Time};
use crate::ops;
use crate::value::Dyn;

/// What a node is for those that come after it.
#[derive(Clone)]
pub(crate) enum Handle {
    Stream(Stream<Dyn, Dyn>),
    Table(Table<Dyn, Dyn>),
    GlobalTable(GlobalTable<Dyn, Dyn>),
    WindowedTable(Table<Windowed<Dyn>, Dyn>),
    Grouped(GroupedStream<Dyn, Dyn>),
    GroupedTable(GroupedTable<Dyn, Dyn>),
    /// With the size of the windows.
    TimeWindowed(TimeWindowedStream<Dyn, Dyn>, i64),
    /// With the gap.
    SessionWindowed(SessionWindowedStream<Dyn, Dyn>, Duration),
    /// With the difference.
    SlidingWindowed(SlidingWindowedStream<Dyn, Dyn>, i64),
}

/// The windows of what several streams give together.
pub(crate) type Cogrouped = WindowedTable<Dyn, Contribution<Dyn, Dyn>, Dyn>;

/// How a store is read.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// By key.
    Plain,
    /// By key and start of a window of this length.
    Starts(i64),
    /// By key and start; the end stands in front of the value.
    Ends,
}

/// The nodes of a case so far.
pub(crate) struct Built {
    pub(crate) builder: StreamsBuilder,
    pub(crate) time: Time,
    pub(crate) nodes: BTreeMap<String, Handle>,
    /// The streams of topics.
    pub(crate) topics: BTreeMap<Vec<String>, Stream<Dyn, Dyn>>,
    /// Where late records of windows come out.
    pub(crate) late: Vec<Stream<Dyn, Dyn>>,
    /// Nodes at which old values are asked for.
    pub(crate) old_values: Vec<String>,
    /// What has to be added to the end of a node's windows, to have it as the case prints it.
    pub(crate) end_shift: BTreeMap<String, i64>,
    pub(crate) stores: BTreeMap<String, Keys>,
    /// Tables that know when their windows are final.
    pub(crate) windowed: BTreeMap<String, WindowedTable<Dyn, Dyn, Dyn>>,
    /// The same, of several streams.
    pub(crate) cogrouped: BTreeMap<String, Cogrouped>,
    /// Streams of changes.
    pub(crate) changes: BTreeMap<String, Stream<Dyn, Dyn>>,
}

impl Built {
    pub(crate) fn new(case: &Case) -> Result<Self, String> {
        let mut built = Self {
            builder: StreamsBuilder::new(),
            time: case.time,
            nodes: BTreeMap::new(),
            topics: BTreeMap::new(),
            late: Vec::new(),
            old_values: Vec::new(),
            end_shift: BTreeMap::new(),
            stores: BTreeMap::new(),
            windowed: BTreeMap::new(),
            cogrouped: BTreeMap::new(),
            changes: BTreeMap::new(),
        };
        for node in &case.topology {
            built.add(node)?;
        }
        Ok(built)
    }

    fn add(&mut self, node: &Node) -> Result<(), String> {
        if node.flag("old_values") {
            self.old_values.push(node.id.clone());
        }
        // Whether a table has a store is for the library to say.
        node.flag("materialized");
        match ops::build(self, node)? {
            ops::Outcome::Made(handle) => {
                self.nodes.insert(node.id.clone(), handle);
            }
            ops::Outcome::Done => {}
            ops::Outcome::NotMine => return Err(format!("nobody builds the op {:?}", node.op)),
        }
        match node.unasked()[..] {
            [] => Ok(()),
            [..] => Err(format!("{}: nobody looks at {:?}", node.id, node.unasked())),
        }
    }

    /// Records have the times that cases give them, and watermarks come from steps only.
    pub(crate) fn consumed<K: Data, V: Data>(&self) -> Consumed<K, V> {
        let never = WatermarkStrategy::punctuated(|_| None);
        Consumed::new().watermarks(never)
    }

    pub(crate) fn node(&self, id: &str) -> Result<&Handle, String> {
        let known = self.nodes.get(id);
        known.ok_or_else(|| format!("no node {id:?}"))
    }

    /// The node that feeds another one.
    pub(crate) fn from(&self, node: &Node) -> Result<&Handle, String> {
        self.node(node.need_text("from")?)
    }

    /// The stream that feeds a node; tables give their changes.
    pub(crate) fn stream(&self, id: &str) -> Result<Stream<Dyn, Dyn>, String> {
        match self.node(id)? {
            Handle::Stream(stream) => Ok(stream.clone()),
            Handle::Table(table) => Ok(table.to_stream().map_values(Option::unwrap_or_default)),
            Handle::WindowedTable(table) => Ok(table
                .to_stream()
                .map(|key, value| (key.into(), value.unwrap_or_default()))),
            _ => Err(format!("{id:?} is neither a stream nor a table")),
        }
    }
}
