//! Runs one [`Machine`] over its log: the only part of the coordinators that waits.
//!
//! One task per machine takes commands from a bounded mailbox, one at a time: decide, append the
//! records, apply the events, then let the answers go: at once, or when the log is on disk up to
//! what had been written by then. If the append fails, nothing is applied and everybody who was
//! to be answered learns why: the log is unavailable, or it would not take so large a batch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::records::BATCH_HEADER_SIZE;
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Decision, KeyValue, Machine, MalformedRecord, ReplyToken, TimerChange, When};
use crate::types::{Monotonic, Now, Offset};

/// Commands that may wait in a machine's mailbox; senders beyond it wait (back-pressure).
const MAILBOX_SIZE: usize = 256;

/// A timer that led to nothing because the log could not be written fires again after so long, in
/// milliseconds (Kafka's `CoordinatorRuntime` backs off as long).
const TIMER_RETRY_MS: i64 = 500;

/// The most that a record takes besides its key and value: lengths, deltas and the number of its
/// headers.
const RECORD_OVERHEAD: usize = 32;

/// A boxed future, as the traits here hand them out.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The machine's log cannot be written or the machine has stopped.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the coordinator's log is unavailable: {0}")]
pub struct Unavailable(pub String);

/// Why a command got no answer. Nothing has come of it, unless it was one that may be carried out
/// in parts.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// Nothing can be written.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// What is to be written does not fit into one batch of the log.
    #[error("what is to be written is larger than a batch of {max} bytes")]
    TooLarge {
        /// The largest batch that the log takes.
        max: usize,
    },
}

/// Why a machine could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] Unavailable),
    /// A record of the log makes no sense.
    #[error("record at offset {offset}: {source}")]
    Record {
        /// Where in the log.
        offset: Offset,
        /// What is wrong.
        source: MalformedRecord,
    },
}

/// The little that a machine's runtime needs of a log.
pub trait LogHandle: Send + Sync + 'static {
    /// Writes all records as one batch (all of them or none survive a crash) and returns the
    /// offset of the first.
    fn append(&self, records: &[KeyValue], now: Now) -> Result<Offset, Failure>;
    /// The largest batch that it takes, in bytes.
    fn max_batch_bytes(&self) -> usize;
    /// The offset that the next record will get.
    fn end(&self) -> Offset;
    /// Ready when everything below `end` survives a crash, as far as the broker promises that.
    fn durable(&self, end: Offset) -> BoxFuture<Result<(), Unavailable>>;
    /// Hands every record of the log to `visit`, in order.
    fn replay(
        &self,
        visit: &mut dyn FnMut(Offset, KeyValue) -> Result<(), LoadError>,
    ) -> Result<(), LoadError>;
}

/// The clock as a runtime sees it.
pub trait Timekeeper: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Now;
    /// Ready once `deadline` has come.
    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<()>;
}

/// Called after every change of the machine's state, before answers that tell of it leave. The
/// first call is made once the log has been replayed.
pub type Observer<M> = Box<dyn FnMut(&M) + Send>;

struct Envelope<M: Machine> {
    command: M::Command,
    reply: oneshot::Sender<Result<M::Reply, Failure>>,
}

/// The way to a running machine. Cheap to clone.
pub struct Mailbox<M: Machine>(mpsc::Sender<Envelope<M>>);

impl<M: Machine> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// An answer that is on its way.
pub struct Pending<R>(oneshot::Receiver<Result<R, Failure>>);

impl<R> Pending<R> {
    /// Waits for the answer.
    pub async fn answer(self) -> Result<R, Failure> {
        let stopped = || Unavailable("the coordinator has stopped".into());
        self.0.await.unwrap_or_else(|_| Err(stopped().into()))
    }
}

impl<M: Machine> Mailbox<M> {
    /// Puts a command in the mailbox, waiting for room. Commands from one caller are decided in
    /// the order in which their `submit` returned.
    pub async fn submit(&self, command: M::Command) -> Pending<M::Reply> {
        let (reply, answer) = oneshot::channel();
        // A machine that has stopped drops the sender: `answer` then says so.
        let _ = self.0.send(Envelope { command, reply }).await;
        Pending(answer)
    }

    /// Submits a command and waits for its answer.
    pub async fn call(&self, command: M::Command) -> Result<M::Reply, Failure> {
        self.submit(command).await.answer().await
    }
}

/// A machine whose state is that of its log; [`Loaded::run`] sets it to work.
pub struct Loaded<M: Machine> {
    running: Running<M>,
    mailbox: mpsc::Receiver<Envelope<M>>,
}

/// Replays the log into `machine`.
pub fn load<M: Machine>(
    machine: M,
    log: Arc<dyn LogHandle>,
    time: Arc<dyn Timekeeper>,
    observer: Observer<M>,
) -> Result<(Mailbox<M>, Loaded<M>), LoadError> {
    let (sender, mailbox) = mpsc::channel(MAILBOX_SIZE);
    let mut running = Running {
        machine,
        log,
        time,
        observer,
        waiting: HashMap::new(),
        next_token: 0,
        timers: Timers::default(),
        held: VecDeque::new(),
    };
    let machine = &mut running.machine;
    running.log.replay(&mut |offset, record| {
        let decoded = machine.decode(&record);
        if let Some(event) = decoded.map_err(|source| LoadError::Record { offset, source })? {
            machine.apply(offset, event);
        }
        Ok(())
    })?;
    (running.observer)(&running.machine);
    let decision = running.machine.on_loaded(running.time.now());
    running.carry_out(decision);
    Ok((Mailbox(sender), Loaded { running, mailbox }))
}

impl<M: Machine> Loaded<M> {
    /// Serves commands and timers until every [`Mailbox`] is gone.
    pub async fn run(mut self) {
        // Several queued commands are decided before the timers get their turn again.
        loop {
            let now = self.running.time.now();
            self.running.fire_due(now);
            let next = self.running.timers.next_deadline();
            let timer = async {
                match next {
                    Some(deadline) => self.running.time.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let durable = async {
                match self.running.held.front() {
                    Some(held) => self.running.log.durable(held.end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                envelope = self.mailbox.recv() => match envelope {
                    Some(envelope) => self.running.take(envelope),
                    None => break,
                },
                outcome = durable => self.running.release(outcome),
                () = timer => {}
            }
        }
        self.running.finish().await;
    }
}

/// Answers that wait until the log is durable up to `end`.
struct Held<R> {
    end: Offset,
    answers: Vec<(ReplyToken, R)>,
}

struct Running<M: Machine> {
    machine: M,
    log: Arc<dyn LogHandle>,
    time: Arc<dyn Timekeeper>,
    observer: Observer<M>,
    waiting: HashMap<ReplyToken, oneshot::Sender<Result<M::Reply, Failure>>>,
    next_token: u64,
    timers: Timers<M::Timer>,
    held: VecDeque<Held<M::Reply>>,
}

impl<M: Machine> Running<M> {
    fn take(&mut self, envelope: Envelope<M>) {
        let token = ReplyToken(self.next_token);
        self.next_token += 1;
        self.waiting.insert(token, envelope.reply);
        let decision = self
            .machine
            .decide(self.time.now(), envelope.command, token);
        self.carry_out(decision);
    }

    fn fire_due(&mut self, now: Now) {
        while let Some(timer) = self.timers.take_due(now.monotonic) {
            let decision = self.machine.on_timer(now, timer.clone());
            if !self.carry_out(decision) {
                // The state has not moved on, so what the timer stands for is still to be done.
                self.timers.change(TimerChange {
                    timer,
                    deadline: Some(now.monotonic.plus_ms(TIMER_RETRY_MS)),
                });
            }
        }
    }

    /// Returns whether it could be carried out: not if the log cannot be written.
    fn carry_out(&mut self, decision: Decision<M>) -> bool {
        let Decision {
            events,
            answers,
            timers,
            in_parts,
        } = decision;
        if let Err(error) = self.write_and_apply(events, in_parts) {
            for answer in answers {
                self.answer(answer.token, Err(error.clone()));
            }
            return false;
        }
        for change in timers {
            self.timers.change(change);
        }
        self.send_out(answers);
        true
    }

    /// Appends the records of the events as one batch, or as several if they may be written in
    /// parts, and applies what is written. A decision may have more events than there is memory for
    /// their records, so no more of these are made than fit into a batch.
    fn write_and_apply(&mut self, events: Vec<M::Event>, in_parts: bool) -> Result<(), Failure> {
        let max = self.log.max_batch_bytes();
        let mut batch = Batch::default();
        for event in events {
            let record = self.machine.encode(&event);
            let (least, most) = record.as_ref().map_or((0, 0), size);
            if in_parts && batch.most_bytes + most > max {
                self.append(std::mem::take(&mut batch))?;
            }
            if batch.least_bytes + least > max {
                return Err(Failure::TooLarge { max });
            }
            batch.least_bytes += least;
            batch.most_bytes += most;
            batch.events.push((event, record.is_some()));
            batch.records.extend(record);
        }
        self.append(batch)
    }

    fn append(&mut self, batch: Batch<M::Event>) -> Result<(), Failure> {
        if batch.events.is_empty() {
            return Ok(());
        }
        let mut next = match batch.records.is_empty() {
            true => self.log.end(),
            false => self.log.append(&batch.records, self.time.now())?,
        };
        for (event, persisted) in batch.events {
            self.machine.apply(next, event);
            if persisted {
                next = next.plus(1);
            }
        }
        (self.observer)(&self.machine);
        Ok(())
    }

    fn send_out(&mut self, answers: Vec<Answer<M::Reply>>) {
        let mut wait = Vec::new();
        for Answer { token, when, reply } in answers {
            match when {
                When::Now => self.answer(token, Ok(reply)),
                When::AfterDurable => wait.push((token, reply)),
            }
        }
        if !wait.is_empty() {
            self.held.push_back(Held {
                end: self.log.end(),
                answers: wait,
            });
        }
    }

    fn release(&mut self, outcome: Result<(), Unavailable>) {
        let Some(held) = self.held.pop_front() else {
            return;
        };
        for (token, reply) in held.answers {
            let outcome = outcome.clone().map_err(Failure::from);
            self.answer(token, outcome.map(|()| reply));
        }
    }

    fn answer(&mut self, token: ReplyToken, reply: Result<M::Reply, Failure>) {
        if let Some(sender) = self.waiting.remove(&token) {
            // A caller whose connection is gone no longer listens; that is its own affair.
            let _ = sender.send(reply);
        }
    }

    /// Lets the answers go that were waiting for the disk when the mailbox closed.
    async fn finish(&mut self) {
        while let Some(held) = self.held.front() {
            let outcome = self.log.durable(held.end).await;
            self.release(outcome);
        }
    }
}

/// Events that are written together, each with whether it has a record.
struct Batch<E> {
    events: Vec<(E, bool)>,
    records: Vec<KeyValue>,
    least_bytes: usize,
    most_bytes: usize,
}

impl<E> Default for Batch<E> {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            records: Vec::new(),
            least_bytes: 0,
            most_bytes: BATCH_HEADER_SIZE,
        }
    }
}

/// How many bytes a record takes in a batch, at least and at most. Only the log knows it exactly.
fn size(record: &KeyValue) -> (usize, usize) {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let least = length(&record.key) + length(&record.value);
    (least, least + RECORD_OVERHEAD)
}

/// Timers as data: a key and a deadline each.
struct Timers<T> {
    by_key: BTreeMap<T, Monotonic>,
    by_deadline: BTreeMap<(Monotonic, T), ()>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_deadline: BTreeMap::new(),
        }
    }
}

impl<T: Ord + Clone> Timers<T> {
    fn change(&mut self, change: TimerChange<T>) {
        if let Some(old) = self.by_key.remove(&change.timer) {
            self.by_deadline.remove(&(old, change.timer.clone()));
        }
        if let Some(deadline) = change.deadline {
            self.by_deadline
                .insert((deadline, change.timer.clone()), ());
            self.by_key.insert(change.timer, deadline);
        }
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        self.by_deadline
            .first_key_value()
            .map(|((deadline, _), ())| *deadline)
    }

    fn take_due(&mut self, now: Monotonic) -> Option<T> {
        let ((deadline, timer), ()) = self.by_deadline.pop_first()?;
        if deadline > now {
            self.by_deadline.insert((deadline, timer), ());
            return None;
        }
        self.by_key.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests;
