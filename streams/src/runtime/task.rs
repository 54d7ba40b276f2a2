//! One task: the operators of a subtopology for one partition, without I/O. Batches are pushed in,
//! time is told, effects are taken out.

pub(crate) mod graph;
pub(crate) mod outbox;

use tidemark_client::TopicPartition;
use tidemark_client::consumer::Batch;

use crate::error::StreamsError;
use crate::operator::repartition::{Read, told};
use crate::operator::source::{Source, SourceContext};
use crate::operator::{Counts, Output, Outputs, Target};
use crate::processor::SourceRecord;
use crate::record::chunk::AnyChunk;
use crate::state::{Entry, Globals, KeyValueStore, StoreId, StoreTime, Stores};
use crate::time::{IdleTimer, Idleness, Seen, combine};
use crate::topology::{Make, MakeContext, NodeKind, Topology, held_back, old_values};
use graph::{Graph, GraphNode};
use outbox::Outbox;

/// The most records that go through the operators together.
pub(crate) const CHUNK: usize = 1024;

/// What a task is made for.
pub(crate) struct TaskConfig<'a> {
    pub(crate) application: &'a str,
    pub(crate) subtopology: usize,
    pub(crate) partition: i32,
    /// How many partitions a topic has, by its name in the cluster.
    pub(crate) partitions: &'a dyn Fn(&str) -> u32,
    /// The global tables of the instance.
    pub(crate) globals: &'a Globals,
    /// The most records that go through the operators together.
    pub(crate) chunk: usize,
    /// How many bytes may wait to be written before it stops in the midst of a record of which much
    /// comes, all that closes with it, say.
    pub(crate) outbox: usize,
    /// Chance for the hashes of keys.
    pub(crate) seed: u64,
    /// When a source partition does not hold the watermark back any more; `None` for never.
    pub(crate) idleness: Option<Idleness>,
    /// The source partitions that it has; `None` for all that there are for it.
    pub(crate) given: Option<&'a [TopicPartition]>,
}

impl TaskConfig<'_> {
    /// Whether a partition is there: of several topics some may have fewer than there are tasks.
    fn has(&self, partition: &TopicPartition) -> bool {
        match self.given {
            Some(given) => given.contains(partition),
            None => i64::from(self.partition) < i64::from((self.partitions)(&partition.topic)),
        }
    }
}

/// One task.
pub(crate) struct Task {
    graph: Graph,
    inputs: Vec<Input>,
    /// The topology's number of each store.
    stores: Vec<usize>,
    /// By how much the watermark is held back where each store is.
    stores_held: Vec<i64>,
    chunk: usize,
    /// Whether an operator asks for the record of a topic that it works on.
    with_source: bool,
    watermark: i64,
    wall: i64,
    idleness: Option<Idleness>,
}

/// One source partition of a task.
struct Input {
    /// Where it is kept what has been read of a repartition topic's writers.
    read: Option<StoreId>,
    /// The store that is told how far the partition has been read.
    place: Option<StoreId>,
    partition: TopicPartition,
    node: usize,
    source: Box<dyn Source>,
    chunk: Box<dyn AnyChunk>,
    /// Finds out whether nothing has come for long enough.
    idle: IdleTimer,
    /// Whether the broker had no more than what has come.
    caught_up: bool,
    /// When it last said so, or that it had more, by the wall clock; `None` if it never has.
    heard: Option<i64>,
    /// Whether it is waited for all the same: it may have an earlier record still to come.
    awaited: bool,
    /// Where the partition ended when it was last looked at.
    end: Option<i64>,
}

impl Input {
    /// Whether it does not hold the watermark back: nothing has come for long enough, or all that
    /// write it have said that nothing comes to them.
    fn is_idle(&self) -> bool {
        self.idle.is_idle() || self.source.is_idle()
    }
}

/// What of a task is kept with its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// By source partition: the offset of the next record, and the watermark.
    pub(crate) inputs: Vec<(TopicPartition, i64, i64)>,
    /// The task's watermark.
    pub(crate) watermark: i64,
    /// The stores' times, by the topology's numbers.
    pub(crate) stores: Vec<(usize, StoreTime)>,
}

impl Task {
    pub(crate) fn new(topology: &Topology, config: &TaskConfig<'_>) -> Self {
        let part = &topology.subtopologies[config.subtopology];
        let mut places = vec![None; topology.stores.len()];
        let mut stores = Stores::default();
        for number in &part.stores {
            places[*number] = Some(StoreId(stores.list.len()));
            stores
                .list
                .push((topology.stores[*number].make)(config.seed));
        }
        let mut outbox = Outbox::default();
        let mut inputs = Vec::new();
        let mut nodes = Vec::new();
        let local = |node: usize| part.nodes.iter().position(|own| *own == node);
        let old = old_values::wanted(&topology.nodes);
        let held = held_back::held_back(&topology.nodes);
        for (at, number) in part.nodes.iter().enumerate() {
            let node = &topology.nodes[*number];
            let mut cx = MakeContext {
                name: &node.name,
                stores: &places,
                globals: config.globals,
                outbox: &mut outbox,
                application: config.application,
                partitions: config.partitions,
                wants_old: old[*number],
                gets_old: node.inputs.iter().all(|edge| old[edge.node]),
                partition: config.partition as u32,
                repeats: topology.repeats(part, *number),
                writers: writers(topology, *number, config),
            };
            let operator = match &node.make {
                Make::Operator(make) => Some(make(&mut cx)),
                Make::Source(make) => {
                    if let NodeKind::Source { topics } = &node.kind {
                        for topic in topics {
                            let topic = topic.resolve(config.application);
                            let partition = TopicPartition::new(topic, config.partition);
                            if !config.has(&partition) {
                                continue;
                            }
                            inputs.push(Input {
                                read: read_store(topology, *number).and_then(|read| places[read]),
                                place: place_store(topology, *number)
                                    .and_then(|place| places[place]),
                                source: make(&mut cx, partition.clone()),
                                partition,
                                node: at,
                                chunk: node.outputs[0](),
                                idle: IdleTimer::default(),
                                caught_up: false,
                                heard: None,
                                awaited: false,
                                end: None,
                            });
                        }
                    }
                    None
                }
            };
            let ports = node.outputs.iter().enumerate().map(|(port, make)| Output {
                chunk: make(),
                targets: targets(topology, *number, port, &held, &local),
                told: i64::MIN,
            });
            nodes.push(GraphNode {
                name: node.name.clone(),
                operator,
                outputs: Outputs {
                    ports: ports.collect(),
                },
                idle: node.idle.map(|make| make()),
                told: i64::MIN,
                unfinished: false,
                held_back: held[*number].0,
            });
        }
        Self {
            graph: Graph {
                nodes,
                stores,
                outbox,
                counts: Counts::default(),
                failed: None,
                input: None,
                source: None,
                idle: false,
                portion: config.chunk.max(1),
                // Where order between ways matters, all that comes of a record comes at once.
                outbox_limit: (!part.one_by_one).then_some(config.outbox),
                clock: None,
            },
            inputs,
            stores: part.stores.clone(),
            stores_held: held_back::at_stores(&topology.nodes, &part.stores),
            chunk: if part.one_by_one {
                1
            } else {
                config.chunk.max(1)
            },
            with_source: part.nodes.iter().any(|at| topology.nodes[*at].with_source),
            watermark: i64::MIN,
            wall: 0,
            idleness: config.idleness,
        }
    }

    /// The source partitions, in the order in which they are numbered.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &TopicPartition> {
        self.inputs.iter().map(|input| &input.partition)
    }

    /// Whether its stores have told all that has changed.
    pub(crate) fn is_told(&self) -> bool {
        self.graph.stores.list.iter().all(|store| store.is_told())
    }

    /// Takes fetched batches of a source partition in. `caught_up` says that the broker had no more.
    pub(crate) fn push(
        &mut self,
        input: usize,
        batches: Vec<Batch>,
        next_offset: i64,
        caught_up: bool,
    ) {
        let input = &mut self.inputs[input];
        input.source.add(batches, next_offset);
        input.caught_up = caught_up;
    }

    /// Says when the broker last answered for a source partition, by the wall clock.
    pub(crate) fn set_heard(&mut self, input: usize, heard: i64) {
        self.inputs[input].heard = Some(heard);
    }

    /// Tells where a source partition ends.
    pub(crate) fn tell_end(&mut self, input: usize, end: i64) {
        self.inputs[input].end = Some(end);
    }

    /// Where the source partitions end, as far as that is known.
    pub(crate) fn ends(&self) -> Vec<Option<i64>> {
        self.inputs.iter().map(|input| input.end).collect()
    }

    /// Says whether the broker has no more of a source partition than the task was given.
    pub(crate) fn set_caught_up(&mut self, input: usize, caught_up: bool) {
        self.inputs[input].caught_up = caught_up;
    }

    /// Whether there is nothing of a source partition, here and with the broker.
    pub(crate) fn is_dry(&self, input: usize) -> bool {
        self.inputs[input].caught_up && self.waiting(input).0 == 0
    }

    /// Says whether others wait for a source partition that is dry. Default: no.
    pub(crate) fn set_awaited(&mut self, input: usize, awaited: bool) {
        self.inputs[input].awaited = awaited;
    }

    /// Records and bytes of a source partition that wait to be processed.
    pub(crate) fn waiting(&self, input: usize) -> (usize, usize) {
        self.inputs[input].source.waiting()
    }

    /// Processes records of one source partition: those that are next in the order of time, the
    /// partition with the smaller number first where times are equal (Kafka: `PartitionGroup`).
    /// `false` if there is nothing to process, or if a partition is empty that is waited for: the
    /// broker has more of it, or it may still get something ([`Self::set_awaited`]).
    ///
    /// # Errors
    ///
    /// Whatever ends the task.
    pub(crate) fn step(&mut self) -> Result<bool, StreamsError> {
        if self.go_on()? {
            return Ok(true);
        }
        // The partition with the earliest record, and the one behind it. Of equal times the partition with
        // the smaller number is first.
        let (mut first, mut second): (Option<(i64, usize)>, _) = (None, None);
        if self.inputs.len() > 1 {
            for at in 0..self.inputs.len() {
                let head = self.with_source(at, |source, _, cx| source.head(cx));
                self.check()?;
                match head.map(|head| (head, at)) {
                    Some(own) if first.is_none_or(|first| own < first) => {
                        second = first.replace(own);
                    }
                    Some(own) if second.is_none_or(|second| own < second) => second = Some(own),
                    None if !self.inputs[at].caught_up || self.inputs[at].awaited => {
                        return Ok(false);
                    }
                    _ => {}
                }
            }
        } else if !self.inputs.is_empty() {
            first = Some((i64::MIN, 0));
        }
        let Some((_, at)) = first else {
            return Ok(false);
        };
        let until = match second {
            Some((other, number)) => other.saturating_sub(i64::from(number < at)),
            None => i64::MAX,
        };
        let limit = self.chunk;
        self.with_source(at, |source, chunk, cx| source.take(limit, until, chunk, cx));
        self.check()?;
        let input = &mut self.inputs[at];
        if input.chunk.len() == 0 {
            return Ok(false);
        }
        input.idle.record();
        if self.with_source {
            self.graph.source = Some(SourceRecord {
                partition: input.partition.clone(),
                offset: input.source.last_taken(),
            });
        }
        self.graph.nodes[input.node].told = self.watermark;
        self.graph.input = Some(at as u32);
        self.graph.pass_in(input.node, &mut *input.chunk);
        input.chunk.clear();
        self.settle()?;
        self.tell_place(at);
        Ok(true)
    }

    /// Tells the store that goes by offsets how far a source partition has been read.
    fn tell_place(&mut self, at: usize) {
        let input = &self.inputs[at];
        if let Some(place) = input.place {
            let fresh = input.heard.filter(|_| self.is_dry(at));
            let position = input.source.position();
            self.graph.stores.list[place.0].passed(position, fresh, self.wall);
        }
    }

    /// Up to where the store that goes by offsets has a source partition, whether it was read or not; `None` if
    /// there is none.
    pub(crate) fn reached(&self, input: usize) -> Option<i64> {
        let place = self.inputs[input].place?;
        self.graph.stores.list[place.0].reached()
    }

    /// Lets time pass for whoever has not been told of it, and ends the round, unless something is left
    /// for later.
    fn settle(&mut self) -> Result<(), StreamsError> {
        self.graph.settle(self.watermark);
        if !self.graph.is_unfinished() {
            self.graph.input = None;
            self.graph.source = None;
        }
        self.check()
    }

    /// Goes on with some of what has been left for later; whether there was something. Nothing is to be
    /// committed as long as there is.
    ///
    /// # Errors
    ///
    /// Whatever ends the task.
    pub(crate) fn go_on(&mut self) -> Result<bool, StreamsError> {
        if !self.graph.go_on_with_some() {
            return Ok(false);
        }
        self.check()?;
        if !self.graph.is_unfinished() {
            self.settle()?;
        }
        Ok(true)
    }

    fn with_source<R>(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut dyn Source, &mut dyn AnyChunk, &mut SourceContext<'_>) -> R,
    ) -> R {
        let others = self.others(at);
        let input = &mut self.inputs[at];
        let mut cx = SourceContext {
            outbox: &mut self.graph.outbox,
            counts: &mut self.graph.counts,
            failed: &mut self.graph.failed,
            wall: self.wall,
            others,
            watermark: &mut self.watermark,
        };
        work(&mut *input.source, &mut *input.chunk, &mut cx)
    }

    /// The smallest watermark of the other source partitions.
    fn others(&self, at: usize) -> i64 {
        let others = self.inputs.iter().enumerate();
        let others = others.filter(|(other, input)| *other != at && !input.is_idle());
        others
            .map(|(_, input)| input.source.watermark())
            .min()
            .unwrap_or(i64::MAX)
    }

    fn check(&self) -> Result<(), StreamsError> {
        self.graph.failed.clone().map_or(Ok(()), Err)
    }

    /// Tells the task what time it is. Source partitions that have had nothing for long enough do not
    /// hold the watermark back any more. That goes by what the broker says ([`Self::set_heard`]): time in
    /// which it said nothing does not count; nor does time in which the task was not given what there is,
    /// as `blocked` says (FLIP-471).
    ///
    /// What comes of it may be more than may wait to be written: [`Self::go_on`] has the rest.
    ///
    /// # Errors
    ///
    /// Whatever ends the task.
    pub(crate) fn advance(&mut self, wall: i64, blocked: bool) -> Result<(), StreamsError> {
        self.wall = wall;
        if let Some(idleness) = self.idleness {
            for input in &mut self.inputs {
                let seen = match (input.source.waiting().0, input.heard) {
                    (0, Some(heard)) if input.caught_up && !blocked => Seen::Nothing(heard),
                    (0, _) => Seen::Blocked,
                    _ => Seen::Records,
                };
                input.idle.check(seen, idleness);
            }
            self.let_time_pass()?;
        }
        let idle = self.inputs.iter().all(Input::is_idle);
        self.graph.idle = idle && !self.inputs.is_empty();
        // The places first: who goes by the clock finds its store at its place.
        (0..self.inputs.len()).for_each(|at| self.tell_place(at));
        self.graph.wall_clock(wall);
        self.check()
    }

    /// Takes the watermark from the partitions that are not idle.
    fn let_time_pass(&mut self) -> Result<(), StreamsError> {
        let inputs = self.inputs.iter();
        let watermark = combine(inputs.map(|input| (input.source.watermark(), input.is_idle())));
        watermark.map_or(Ok(()), |watermark| self.set_watermark(watermark))
    }

    /// Moves event time on, whatever the sources say: for tests, and to close what is open at the end
    /// of a bounded input. Whoever cannot be told yet, because something is left for later in front of
    /// it, is told in [`Self::go_on`].
    ///
    /// # Errors
    ///
    /// Whatever ends the task.
    pub(crate) fn set_watermark(&mut self, watermark: i64) -> Result<(), StreamsError> {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.settle()?;
        }
        self.check()
    }

    /// Closes everything that is open now, for the end of a bounded input; whether there was something.
    ///
    /// # Errors
    ///
    /// Whatever ends the task.
    pub(crate) fn close_open(&mut self) -> Result<bool, StreamsError> {
        let horizon = self.horizon().filter(|at| *at > self.watermark);
        horizon.map_or(Ok(false), |at| self.set_watermark(at).map(|()| true))
    }

    /// Everything that the task has done has been committed: what waits for that is to be written. To be
    /// called before anything else is done; also when the task begins.
    ///
    /// # Errors
    ///
    /// Whatever ends the task.
    pub(crate) fn committed(&mut self) -> Result<(), StreamsError> {
        self.graph.committed();
        self.check()
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.graph.counts
    }

    /// The largest event time at which something that is open now closes.
    pub(crate) fn horizon(&self) -> Option<i64> {
        let stores = self.graph.stores.list.iter().zip(&self.stores_held);
        let closing =
            stores.filter_map(|(store, held)| Some(store.horizon()?.saturating_add(*held)));
        closing.max()
    }

    /// What the task wants written. Whoever writes it clears it.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.graph.outbox
    }

    pub(crate) fn stores(
        &mut self,
    ) -> impl Iterator<Item = (usize, &mut Box<dyn crate::state::Store>)> {
        self.stores.iter().copied().zip(&mut self.graph.stores.list)
    }

    /// A store by the topology's number, if the task has it.
    pub(crate) fn store(&self, number: usize) -> Option<&dyn crate::state::Store> {
        let at = self.stores.iter().position(|own| *own == number)?;
        Some(&*self.graph.stores.list[at])
    }

    /// Tells what has changed in each store since the last call; when `tell` says `false` the rest may
    /// be left to the next call.
    ///
    /// # Errors
    ///
    /// [`StreamsError::State`] of a value that has no bytes.
    pub(crate) fn take_changes(
        &mut self,
        topology: &Topology,
        tell: &mut dyn FnMut(usize, Entry<'_>) -> bool,
    ) -> Result<(), StreamsError> {
        for (number, store) in self.stores() {
            let told = store.take_changes(&mut |entry| tell(number, entry));
            told.map_err(|error| StreamsError::State {
                store: topology.stores[number].name.clone(),
                error,
            })?;
        }
        Ok(())
    }

    /// What has to be kept with the state.
    pub(crate) fn position(&self) -> Position {
        let inputs = self.inputs.iter().map(|input| {
            let source = &input.source;
            (
                input.partition.clone(),
                source.position(),
                source.watermark(),
            )
        });
        let stores = self.stores.iter().copied().zip(&self.graph.stores.list);
        Position {
            inputs: inputs.collect(),
            watermark: self.watermark,
            stores: stores
                .map(|(number, store)| (number, store.time()))
                .collect(),
        }
    }

    /// Goes on from what was kept; the stores have been restored.
    pub(crate) fn resume(&mut self, position: &Position) {
        for (partition, offset, watermark) in &position.inputs {
            let known = self
                .inputs
                .iter_mut()
                .find(|input| input.partition == *partition);
            if let Some(input) = known {
                input.source.seek(*offset, *watermark);
            }
        }
        self.watermark = position.watermark;
        for (number, time) in &position.stores {
            if let Some(at) = self.stores.iter().position(|own| own == number) {
                self.graph.stores.list[at].set_time(*time);
            }
        }
        for input in &mut self.inputs {
            if let Some(read) = input.read {
                let read = self.graph.stores.get::<KeyValueStore<Read>>(read);
                input.source.restore_writers(&told(read));
            }
        }
    }
}

/// Where an output of a node goes to, in the task's numbers.
fn targets(
    topology: &Topology,
    number: usize,
    port: usize,
    held: &[(i64, i64)],
    local: &dyn Fn(usize) -> Option<usize>,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for (other, node) in topology.nodes.iter().enumerate() {
        for (input, edge) in node.inputs.iter().enumerate() {
            if edge.node == number && edge.port == port {
                targets.extend(local(other).map(|local| Target {
                    node: local,
                    port: input,
                    hold_back: held[other].0.saturating_sub(held[number].1),
                }));
            }
        }
    }
    targets
}

/// The store that has what was read of a source's writers, if its topic is a repartition topic.
fn read_store(topology: &Topology, source: usize) -> Option<usize> {
    let mut behind = topology.nodes.iter().filter(|node| {
        node.kind == NodeKind::Deduplicate && node.inputs.iter().any(|edge| edge.node == source)
    });
    behind.next()?.stores.first().copied()
}

/// The store of whatever keeps the place of a source.
fn place_store(topology: &Topology, source: usize) -> Option<usize> {
    let mut behind = topology
        .nodes
        .iter()
        .filter(|node| node.keeps_place && node.inputs.iter().any(|edge| edge.node == source));
    behind.next()?.stores.first().copied()
}

/// How many tasks write the topic that a source reads.
fn writers(topology: &Topology, number: usize, config: &TaskConfig<'_>) -> usize {
    let NodeKind::Source { topics } = &topology.nodes[number].kind else {
        return 0;
    };
    let parts = topology.subtopologies.iter().filter(|part| {
        part.nodes.iter().any(|at| match &topology.nodes[*at].kind {
            NodeKind::Sink { topic } => topics.contains(topic),
            _ => false,
        })
    });
    let tasks = parts.map(|part| {
        let sources = part.sources.iter();
        let counts = sources.map(|topic| (config.partitions)(&topic.resolve(config.application)));
        counts.max().unwrap_or(0) as usize
    });
    tasks.sum()
}

#[cfg(test)]
impl Task {
    /// The only task of a topology, for tests.
    pub(crate) fn alone(topology: &Topology, chunk: usize, outbox: usize) -> Self {
        let config = TaskConfig {
            application: "test",
            subtopology: 0,
            partition: 0,
            partitions: &|_| 1,
            globals: &Globals::default(),
            chunk,
            outbox,
            seed: 0,
            idleness: None,
            given: None,
        };
        Self::new(topology, &config)
    }
}

#[cfg(test)]
mod tests;
