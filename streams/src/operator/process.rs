//! Runs a processor of the application's own (Kafka: `ProcessorNode`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::error::StreamsError;
use crate::processor::{
    Failure, Place, Policy, Processor, ProcessorContext, Punctuation, Schedule, Tick,
};
use crate::record::Record;
use crate::record::chunk::{AnyChunk, typed};
use crate::state::{KeyValueStore, StoreId};

/// A processor with its stores and schedules.
pub(crate) struct Process<P, K, V, L, W> {
    processor: P,
    name: Arc<str>,
    policy: Policy,
    schedules: Vec<Schedule>,
    places: Vec<Place>,
    /// The store that knows how far event time has come, if there are schedules by it.
    clock: Option<StoreId>,
    /// When each schedule by the clock is next; `None` before the first look at it.
    next: Vec<Option<i64>>,
    watermark: i64,
    wall: i64,
    types: PhantomData<fn(K, V, L, W)>,
}

/// What a [`Process`] is made of.
pub(crate) struct ProcessParts<P> {
    pub(crate) processor: P,
    pub(crate) name: Arc<str>,
    pub(crate) policy: Policy,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) places: Vec<Place>,
    pub(crate) clock: Option<StoreId>,
}

impl<P, K, V, L, W> Process<P, K, V, L, W>
where
    P: Processor<K, V, L, W>,
    K: Data,
    V: Data,
    L: Clone + Send + 'static,
    W: Clone + Send + 'static,
{
    pub(crate) fn new(parts: ProcessParts<P>) -> Self {
        Self {
            processor: parts.processor,
            name: parts.name,
            policy: parts.policy,
            next: vec![None; parts.schedules.len()],
            schedules: parts.schedules,
            places: parts.places,
            clock: parts.clock,
            watermark: i64::MIN,
            wall: 0,
            types: PhantomData,
        }
    }

    /// Lets the processor work.
    fn work(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut P, &mut ProcessorContext<'_, L, W>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut own = ProcessorContext {
            output: cx.outputs.get::<L, W>(0),
            stores: cx.stores,
            places: &self.places,
            watermark: self.watermark,
            wall: self.wall,
            source: cx.source,
        };
        call(&mut self.processor, &mut own)
    }

    fn tick(&mut self, schedule: usize, time: i64, cx: &mut Context<'_>) {
        let by = self.schedules[schedule].by;
        let tick = Tick { schedule, by, time };
        if let Err(why) = self.work(cx, |processor, cx| processor.punctuate(tick, cx)) {
            match self.policy {
                Policy::Fail => cx.fail(failed(&self.name, &why)),
                Policy::Skip | Policy::DeadLetter(_) => cx.counts.refused += 1,
            }
        }
    }

    /// The watermark has come to `now`.
    fn advance(&mut self, now: i64, cx: &mut Context<'_>) {
        if now <= self.watermark {
            return;
        }
        self.watermark = now;
        let Some(clock) = self.clock else { return };
        let time = cx.stores.get::<KeyValueStore<()>>(clock).time_mut();
        let before = time.closed;
        time.closed = before.max(now);
        self.pass(Punctuation::Watermark, before, now, cx);
    }

    /// Stream time may have moved on with a record.
    fn move_on(&mut self, timestamp: i64, cx: &mut Context<'_>) {
        let Some(clock) = self.clock else { return };
        let time = cx.stores.get::<KeyValueStore<()>>(clock).time_mut();
        let before = time.stream_time;
        if timestamp > before {
            time.stream_time = timestamp;
            self.pass(Punctuation::StreamTime, before, timestamp, cx);
        }
    }

    /// Calls for the schedules of which a point has been passed.
    fn pass(&mut self, by: Punctuation, before: i64, now: i64, cx: &mut Context<'_>) {
        for at in 0..self.schedules.len() {
            let schedule = self.schedules[at];
            let turns = |time: i64| time.div_euclid(schedule.interval);
            if schedule.by == by && turns(before) < turns(now) {
                self.tick(at, now, cx);
            }
        }
    }

    fn take(&mut self, row: Record<K, V>, cx: &mut Context<'_>) {
        let copy = matches!(self.policy, Policy::DeadLetter(_)).then(|| row.clone());
        if let Err(why) = self.work(cx, |processor, cx| processor.process(row, cx)) {
            refuse(&self.policy, &self.name, copy.as_ref(), &why, cx);
        }
    }
}

impl<P, K, V, L, W> Operator for Process<P, K, V, L, W>
where
    P: Processor<K, V, L, W>,
    K: Data,
    V: Data,
    L: Clone + Send + 'static,
    W: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        for row in input.rows.drain(..) {
            self.advance(row.watermark, cx);
            let timestamp = row.timestamp;
            self.take(row, cx);
            self.move_on(timestamp, cx);
            if cx.failed.is_some() {
                return;
            }
        }
        self.advance(input.watermark, cx);
        cx.outputs.get::<L, W>(0).watermark = input.watermark;
    }

    fn wall_clock(&mut self, now: i64, cx: &mut Context<'_>) {
        self.wall = now;
        for at in 0..self.schedules.len() {
            let Schedule { by, interval } = self.schedules[at];
            if by != Punctuation::WallClock {
                continue;
            }
            match self.next[at] {
                None => self.next[at] = Some(now.saturating_add(interval)),
                Some(next) if now >= next => {
                    let missed = (now - next) / interval;
                    let passed = missed.saturating_add(1).saturating_mul(interval);
                    self.next[at] = Some(next.saturating_add(passed));
                    self.tick(at, now, cx);
                }
                Some(_) => {}
            }
        }
    }
}

/// Does with a record that the application's own code has refused what the policy says.
#[cold]
pub(crate) fn refuse<K: Data, V: Data>(
    policy: &Policy,
    operator: &str,
    row: Option<&Record<K, V>>,
    why: &Failure,
    cx: &mut Context<'_>,
) {
    match (policy, row) {
        (Policy::Fail, _) => return cx.fail(failed(operator, why)),
        (Policy::DeadLetter(topic), Some(row)) => {
            let (mut key, mut value) = (Vec::new(), Vec::new());
            let key = match row.key.encode(&mut key) {
                Ok(key) => key,
                Err(error) => return cx.fail(bad_key(error)),
            };
            let value = match row.value.encode(&mut value) {
                Ok(value) => value,
                Err(error) => {
                    let topic = cx.outbox.name(*topic).to_string();
                    return cx.fail(StreamsError::Encode { topic, error });
                }
            };
            let mut headers = row.headers.clone();
            headers.add("tidemark.operator", operator.to_owned());
            headers.add("tidemark.reason", why.to_string());
            cx.outbox
                .push(*topic, None, key, value, row.timestamp, headers);
        }
        _ => {}
    }
    cx.counts.refused += 1;
}

fn failed(operator: &str, why: &Failure) -> StreamsError {
    StreamsError::Processing {
        operator: operator.to_owned(),
        reason: why.to_string(),
    }
}
