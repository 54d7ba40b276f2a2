//! The operators of one task, and how chunks go from one to the next.

use crate::error::StreamsError;
use crate::operator::{Context, Counts, Operator, Outputs, Target};
use crate::processor::SourceRecord;
use crate::record::chunk::AnyChunk;
use crate::runtime::task::outbox::Outbox;
use crate::state::Stores;

/// Operators in an order in which every one comes behind those that feed it.
pub(crate) struct Graph {
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) stores: Stores,
    pub(crate) outbox: Outbox,
    pub(crate) counts: Counts,
    pub(crate) failed: Option<StreamsError>,
    /// The source partition whose records go through.
    pub(crate) input: Option<u32>,
    /// The record that goes through, if somebody asks for it.
    pub(crate) source: Option<SourceRecord>,
    /// Whether all source partitions are idle.
    pub(crate) idle: bool,
    /// How many rows of many go on together.
    pub(crate) portion: usize,
    /// How much may wait to be written before operators leave things for later. Without a limit they do
    /// all at once, for order's sake.
    pub(crate) outbox_limit: Option<usize>,
    /// The wall clock, and the first operator that has still to be told of it.
    pub(crate) clock: Option<(i64, usize)>,
}

pub(crate) struct GraphNode {
    pub(crate) name: String,
    /// `None` for sources: what comes out of them is made by the task.
    pub(crate) operator: Option<Box<dyn Operator>>,
    pub(crate) outputs: Outputs,
    /// Whoever does something when event time moves on without records has a chunk without rows here,
    /// of the types of its first input.
    pub(crate) idle: Option<Box<dyn AnyChunk>>,
    /// Up to where it has been told of event time.
    pub(crate) told: i64,
    /// Whether it has left something for later.
    pub(crate) unfinished: bool,
    /// By how much those in front of it hold the watermark back.
    pub(crate) held_back: i64,
}

impl Graph {
    /// Sends a chunk through an operator and all behind it, depth first, as Kafka's tasks do.
    pub(crate) fn push(&mut self, node: usize, port: usize, chunk: &mut dyn AnyChunk) {
        // What has come first is done first.
        self.finish(node);
        if self.failed.is_some() {
            return;
        }
        let here = &mut self.nodes[node];
        here.told = here.told.max(chunk.watermark());
        self.work(node, &mut |operator, cx| operator.process(port, chunk, cx));
        while self.nodes[node].unfinished && !self.waits() {
            self.go_on(node);
        }
    }

    /// Lets an operator work, and sends on what comes out.
    fn work(&mut self, node: usize, work: &mut dyn FnMut(&mut dyn Operator, &mut Context<'_>)) {
        let here = &mut self.nodes[node];
        here.unfinished = false;
        if let Some(operator) = &mut here.operator {
            let mut cx = Context {
                outputs: &mut here.outputs,
                stores: &mut self.stores,
                outbox: &mut self.outbox,
                counts: &mut self.counts,
                input: self.input,
                source: self.source.as_ref(),
                idle: self.idle,
                portion: self.portion,
                unfinished: &mut here.unfinished,
                failed: &mut self.failed,
            };
            work(&mut **operator, &mut cx);
            if let Some(error) = &mut self.failed {
                error.name_operator(&here.name);
            }
        }
        self.pass_on(node);
    }

    /// Lets an operator go on with what it has left for later.
    fn go_on(&mut self, node: usize) {
        if self.failed.is_some() {
            self.nodes[node].unfinished = false;
            return;
        }
        self.work(node, &mut |operator, cx| operator.go_on(cx));
    }

    /// Lets an operator do all that it has left for later.
    fn finish(&mut self, node: usize) {
        while self.nodes[node].unfinished {
            self.go_on(node);
        }
    }

    /// Whether what is made now has to be written first.
    fn waits(&self) -> bool {
        self.outbox_limit
            .is_some_and(|limit| self.outbox.bytes() >= limit)
    }

    /// Goes on with some of what has been left for later; whether there was something.
    pub(crate) fn go_on_with_some(&mut self) -> bool {
        // From the back: what comes out of one in front is to come behind what those behind it have.
        let last = self.nodes.iter().rposition(|node| node.unfinished);
        let Some(node) = last else {
            return self.tell_clock();
        };
        self.go_on(node);
        while self.nodes[node].unfinished && !self.waits() {
            self.go_on(node);
        }
        true
    }

    pub(crate) fn is_unfinished(&self) -> bool {
        self.nodes.iter().any(|node| node.unfinished)
    }

    /// Sends on what lies in an operator's outputs.
    pub(crate) fn pass_on(&mut self, node: usize) {
        let mut outputs = std::mem::take(&mut self.nodes[node].outputs);
        for output in &mut outputs.ports {
            let watermark = output.chunk.watermark();
            if output.chunk.len() == 0 && watermark <= output.told {
                continue;
            }
            output.told = watermark;
            self.send(&output.targets, &mut *output.chunk);
            output.chunk.clear();
        }
        self.nodes[node].outputs = outputs;
    }

    /// Sends a source's chunk to what is behind the source.
    pub(crate) fn pass_in(&mut self, source: usize, chunk: &mut dyn AnyChunk) {
        let targets = std::mem::take(&mut self.nodes[source].outputs.ports[0].targets);
        self.send(&targets, chunk);
        self.nodes[source].outputs.ports[0].targets = targets;
    }

    /// Sends a chunk to all of these.
    fn send(&mut self, targets: &[Target], chunk: &mut dyn AnyChunk) {
        if let Some((last, others)) = targets.split_last() {
            for other in others {
                let mut copy = chunk.boxed_clone();
                self.send_to(*other, &mut *copy);
            }
            self.send_to(*last, chunk);
        }
    }

    fn send_to(&mut self, target: Target, chunk: &mut dyn AnyChunk) {
        if target.hold_back > 0 {
            chunk.hold_back(target.hold_back);
        }
        self.push(target.node, target.port, chunk);
    }

    /// Tells event time to the operators that the last chunk has not reached, unless something is left
    /// for later in front of them.
    pub(crate) fn settle(&mut self, watermark: i64) {
        for node in 0..self.nodes.len() {
            if self.is_unfinished() {
                return;
            }
            let here = &mut self.nodes[node];
            let watermark = watermark.saturating_sub(here.held_back);
            if here.told >= watermark {
                continue;
            }
            if let Some(mut idle) = here.idle.take() {
                idle.set_watermark(watermark);
                self.push(node, 0, &mut *idle);
                self.nodes[node].idle = Some(idle);
            }
        }
    }

    /// Tells whoever waits for it that everything has been committed.
    pub(crate) fn committed(&mut self) {
        self.outbox.let_go();
        for here in &mut self.nodes {
            if let Some(operator) = &mut here.operator {
                let mut cx = Context {
                    outputs: &mut here.outputs,
                    stores: &mut self.stores,
                    outbox: &mut self.outbox,
                    counts: &mut self.counts,
                    input: self.input,
                    source: self.source.as_ref(),
                    idle: self.idle,
                    portion: self.portion,
                    unfinished: &mut here.unfinished,
                    failed: &mut self.failed,
                };
                operator.committed(&mut cx);
            }
        }
    }

    /// Tells the wall clock to whoever goes by it, behind all that is left for later.
    pub(crate) fn wall_clock(&mut self, now: i64) {
        self.clock = Some((now, 0));
        if !self.is_unfinished() {
            self.tell_clock();
        }
    }

    /// Goes on telling the wall clock until something has to be written first; whether somebody was told.
    /// Nothing may be left for later.
    fn tell_clock(&mut self) -> bool {
        let mut some = false;
        while let Some((now, node)) = self.clock.filter(|(_, node)| *node < self.nodes.len()) {
            if self.failed.is_some() || (some && (self.is_unfinished() || self.waits())) {
                return some;
            }
            self.clock = Some((now, node + 1));
            self.work(node, &mut |operator, cx| operator.wall_clock(now, cx));
            some = true;
        }
        self.clock = None;
        some
    }
}
