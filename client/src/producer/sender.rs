//! Carries out what the core plans. One task per producer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use parking_lot::{Mutex, MutexGuard};
use tidemark_protocol::ErrorCode;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::batch::finish;
use super::config::{Acks, ProducerConfig};
use super::core::{Answer, Append, Core, Item, Outcome, Send};
use super::delivery::Written;
use super::error::ProduceError;
use super::messages::{LAST_BY_NAME, VERSIONS, answers, leaders, produce, throttle};
use super::record::RecordParts;
use super::{Counts, SharedCore};
use crate::clock::Now;
use crate::cluster::{Cluster, Lane, Node};
use crate::connection::CallError;
use crate::connection::link::Link;
use crate::consumer::lease::{Lease, Word};
use crate::error::ClientError;

/// What the application's side and the driver share.
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) core: SharedCore,
    max_block: Duration,
    buffer_memory: usize,
    lease: Option<Lease>,
    /// Those who wait for room, first come first served.
    line: tokio::sync::Mutex<()>,
    /// There is something to plan for.
    wake: Notify,
    /// Changes whenever memory is freed or batches end.
    freed: watch::Sender<u64>,
    closed: watch::Sender<bool>,
}

/// The producer in the hands of one caller, who puts records in. Wakes the driver at the end, if there
/// is something to plan for.
pub(super) struct LineUp<'a> {
    shared: &'a Shared,
    /// There until the end.
    core: Option<MutexGuard<'a, Core>>,
    now: Now,
    wake: bool,
}

impl LineUp<'_> {
    #[inline]
    pub(super) fn append(
        &mut self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
        wants_outcome: bool,
    ) -> Result<Append, ProduceError> {
        let Some(core) = &mut self.core else {
            return Ok(Append::Full);
        };
        let random = || self.shared.cluster.clock().random();
        let (append, wake) = core.append(topic, parts, wants_outcome, self.now, random)?;
        self.wake |= wake;
        Ok(append)
    }
}

impl Drop for LineUp<'_> {
    #[inline]
    fn drop(&mut self) {
        // Whoever is woken needs the core.
        self.core = None;
        if self.wake {
            self.shared.wake.notify_one();
        }
    }
}

impl Shared {
    pub(super) fn new(cluster: Cluster, config: ProducerConfig) -> Self {
        let client = cluster.config();
        let core = Core::new(&config, client.retry_backoff, client.retry_backoff_max);
        Self {
            core: Mutex::new(core),
            max_block: config.max_block,
            buffer_memory: config.buffer_memory,
            lease: config.lease.clone(),
            line: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
            freed: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            cluster,
        }
    }

    #[inline]
    pub(super) fn append(
        &self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
        wants_outcome: bool,
    ) -> Result<Append, ProduceError> {
        self.line_up().append(topic, parts, wants_outcome)
    }

    #[inline]
    pub(super) fn line_up(&self) -> LineUp<'_> {
        // The clock first: nobody waits for it.
        let now = self.cluster.clock().now();
        LineUp {
            shared: self,
            core: Some(self.core.lock()),
            now,
            wake: false,
        }
    }

    /// Whether a record could be taken in now.
    pub(super) fn check(
        &self,
        topic: &Arc<str>,
        parts: &RecordParts<'_>,
    ) -> Result<Append, ProduceError> {
        let outcome = self.core.lock().check(topic, parts)?;
        Ok(match outcome {
            Ok(_) => Append::Taken(None),
            Err(wait) => wait,
        })
    }

    /// When the patience of a caller that begins to wait now is over.
    pub(super) fn patience(&self) -> u64 {
        self.cluster.clock().deadline(self.max_block)
    }

    /// Waits until the topic's partitions are known, at most until `deadline`.
    pub(super) async fn learn(&self, topic: &Arc<str>, deadline: u64) -> Result<(), ProduceError> {
        let described = self.cluster.topic(topic, deadline).await?;
        self.cluster.use_topics([&described.name]);
        let metadata = self.cluster.metadata();
        self.core.lock().learn(&metadata, Some(topic));
        Ok(())
    }

    /// Looks whether the topic has got that partition, at most until `deadline`.
    pub(super) async fn learn_partition(
        &self,
        topic: &Arc<str>,
        partition: i32,
        deadline: u64,
    ) -> Result<(), ProduceError> {
        let mut changes = self.cluster.changes();
        // An answer that is under way already may be older than the partition, and what has failed
        // says nothing.
        let mut answers = 0;
        while answers < 2 {
            changes.borrow_and_update();
            self.cluster.refresh();
            let changed = self.cluster.clock().until(deadline, changes.changed());
            let in_time = changed.await.is_some();
            self.learn(topic, deadline).await?;
            let known = self.core.lock().partitions(topic);
            if usize::try_from(partition).is_ok_and(|partition| partition < known) {
                return Ok(());
            }
            if !in_time {
                break;
            }
            if self.cluster.trouble().is_none() {
                answers += 1;
            }
        }
        Err(ProduceError::UnknownPartition {
            topic: topic.to_string(),
            partition: partition.into(),
            count: self.core.lock().partitions(topic),
        })
    }

    /// Waits for room for so many bytes, at most until `deadline`. Whoever came first looks first.
    pub(super) async fn room(&self, bytes: usize, deadline: u64) -> Result<(), ProduceError> {
        let clock = self.cluster.clock();
        let full = || ProduceError::BufferFull {
            memory: self.buffer_memory,
            after: self.max_block,
        };
        let _turn = clock
            .until(deadline, self.line.lock())
            .await
            .ok_or_else(full)?;
        let mut freed = self.freed.subscribe();
        loop {
            freed.borrow_and_update();
            // Others may take the room before it is used; that must not go on for ever.
            if clock.now().millis >= deadline {
                return Err(full());
            }
            if self.core.lock().memory() + bytes <= self.buffer_memory {
                return Ok(());
            }
            if *self.closed.borrow() {
                return Err(ProduceError::Closed {
                    maybe_written: false,
                });
            }
            self.wake.notify_one();
            if clock.until(deadline, freed.changed()).await.is_none() {
                return Err(full());
            }
        }
    }

    /// Waits until everything that is here now has come to its end.
    pub(super) async fn flush(&self) {
        let mut freed = self.freed.subscribe();
        let Some(last) = self.core.lock().flush() else {
            return;
        };
        self.wake.notify_one();
        loop {
            freed.borrow_and_update();
            if self.core.lock().is_done(last) || *self.closed.borrow() {
                return;
            }
            if freed.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let (delivered, failed) = self.core.lock().counts();
        Counts { delivered, failed }
    }

    /// Ends the producer; nothing more is sent from here on.
    pub(super) fn abort(&self) {
        self.close();
        let closed = ProduceError::Closed {
            maybe_written: false,
        };
        self.core.lock().fail_all(&closed);
        self.ended();
    }

    pub(super) fn close(&self) {
        self.core.lock().refuse_more();
        self.closed.send_replace(true);
        self.freed.send_modify(|count| *count += 1);
    }

    fn ended(&self) {
        self.freed.send_modify(|count| *count += 1);
    }
}

/// Runs until the producer is closed; what is not written then has failed.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut closed = shared.closed.subscribe();
    let mut running = JoinSet::new();
    tokio::select! {
        () = drive(&shared, &mut running) => {}
        _ = closed.wait_for(|closed| *closed) => {}
        () = shared.cluster.closed() => shared.close(),
        () = over(shared.lease.as_ref()) => shared.abort(),
    }
    running.shutdown().await;
    let closed = ProduceError::Closed {
        maybe_written: false,
    };
    shared.core.lock().fail_all(&closed);
    shared.ended();
}

/// Ends when the lease is over.
async fn over(lease: Option<&Lease>) {
    match lease {
        Some(lease) => lease.over().await,
        None => std::future::pending().await,
    }
}

/// What a task of the driver has done.
enum Done {
    /// A connection was made, or not.
    Connected(i32, Result<Link, CallError>),
    /// Everything else has told the core itself.
    Told,
}

async fn drive(shared: &Arc<Shared>, running: &mut JoinSet<Done>) {
    let clock = shared.cluster.clock();
    let mut changes = shared.cluster.changes();
    let mut leased = shared.lease.as_ref().map(Lease::changes);
    let mut links: HashMap<i32, Option<Link>> = HashMap::new();
    loop {
        let plan = {
            let mut core = shared.core.lock();
            // Broken connections, and those whose authentication runs out, are made anew before
            // anything is drained for them.
            links.retain(|node, link| {
                let usable = link.as_ref().is_none_or(Link::is_usable);
                if !usable {
                    core.linked(*node, false);
                }
                usable
            });
            core.plan(clock.now())
        };
        if plan.freed {
            shared.ended();
        }
        if plan.refresh {
            // What waits for a leader is in use, too.
            let topics = shared.core.lock().active_topics();
            shared.cluster.use_topics(&topics);
            shared.cluster.refresh();
        }
        if plan.identify {
            let shared = Arc::clone(shared);
            running.spawn(async move {
                identify(&shared).await;
                Done::Told
            });
        }
        for node in plan.connect {
            if links.contains_key(&node) {
                continue;
            }
            links.insert(node, None);
            let cluster = shared.cluster.clone();
            running.spawn(
                async move { Done::Connected(node, cluster.link(node, Lane::Produce).await) },
            );
        }
        for send in plan.sends {
            match links.get(&send.node) {
                Some(Some(link)) => dispatch(shared, link, send, running),
                _ => not_sent(shared, send, "the connection is gone"),
            }
        }
        let deadline = plan.deadline.unwrap_or(u64::MAX);
        tokio::select! {
            () = shared.wake.notified() => {}
            Some(done) = running.join_next() => {
                if let Ok(Done::Connected(node, link)) = done {
                    connected(shared, &mut links, node, link);
                }
            }
            _ = changes.changed() => {
                let metadata = shared.cluster.metadata();
                shared.core.lock().learn(&metadata, None);
            }
            _ = changed(leased.as_mut()) => {}
            () = clock.sleep_until(deadline) => {}
        }
    }
}

/// Ends when the lease has been extended.
async fn changed(leased: Option<&mut watch::Receiver<Word>>) {
    let Some(leased) = leased else {
        return std::future::pending().await;
    };
    if leased.changed().await.is_err() {
        std::future::pending().await
    }
}

fn connected(
    shared: &Shared,
    links: &mut HashMap<i32, Option<Link>>,
    node: i32,
    link: Result<Link, CallError>,
) {
    let clock = shared.cluster.clock();
    let mut core = shared.core.lock();
    match link {
        Ok(link) => {
            core.linked(node, true);
            links.insert(node, Some(link));
        }
        Err(error) => {
            links.remove(&node);
            core.unreachable(node, &error.to_string(), clock.now(), clock.random());
            // What waits for it is in use: another one may lead it by now.
            shared.cluster.use_topics(&core.active_topics());
            shared.cluster.refresh();
        }
    }
}

/// Builds a request and sends it at once, so that requests to one broker keep their order; a task
/// waits for the answer.
fn dispatch(shared: &Arc<Shared>, link: &Link, send: Send, running: &mut JoinSet<Done>) {
    let (acks, codec) = {
        let core = shared.core.lock();
        (core.acks(), core.codec())
    };
    let topics = send.items.iter().map(|item| &item.partition.topic);
    shared.cluster.use_topics(topics);
    let metadata = shared.cluster.metadata();
    let node = send.node;
    let (mut places, mut batches) = (Vec::new(), Vec::new());
    let mut unbuildable = Vec::new();
    for item in send.items {
        let Item {
            queue,
            order,
            partition,
            payload,
            stamp,
        } = item;
        match finish(payload, stamp, codec) {
            Ok(bytes) => {
                let id = metadata
                    .topic(&partition.topic)
                    .map_or_else(uuid::Uuid::nil, |t| t.id);
                places.push((queue, order));
                batches.push((partition, id, bytes));
            }
            Err(reason) => unbuildable.push(Outcome {
                queue,
                order,
                bytes: Bytes::new(),
                answer: Answer::Unbuildable { reason },
            }),
        }
    }
    let by_id = batches.iter().all(|(_, id, _)| !id.is_nil());
    let newest = if by_id { *VERSIONS.end() } else { LAST_BY_NAME };
    let timeout = shared.cluster.config().request_timeout;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let sent = link
        .versions()
        .pick::<ProduceRequest>(*VERSIONS.start()..=newest)
        .map(|version| (version, produce(version, acks.code(), timeout_ms, &batches)));
    let outcomes = move |places: Vec<_>, batches: Vec<(_, _, Bytes)>, answers: Vec<Answer>| {
        let all = places.into_iter().zip(batches).zip(answers);
        let mut outcomes: Vec<Outcome> = all
            .map(|(((queue, order), (_, _, bytes)), answer)| Outcome {
                queue,
                order,
                bytes,
                answer,
            })
            .collect();
        outcomes.extend(unbuildable);
        outcomes
    };
    let count = batches.len();
    let failed = move |error: &CallError| vec![without_answer(error); count];
    let shared = Arc::clone(shared);
    if acks == Acks::None {
        // It is in line, as with a call: only its end is waited for.
        let lease = shared.lease.clone();
        let written = sent.map(|(version, request)| link.send(version, &request, lease));
        running.spawn(async move {
            let done = match written {
                Ok(written) => written.await,
                Err(error) => Err(error),
            };
            let answers = match done {
                Ok(()) => vec![
                    Answer::Written(Written {
                        base_offset: -1,
                        append_time: None,
                    });
                    count
                ],
                Err(error) => failed(&error),
            };
            tell(&shared, node, outcomes(places, batches, answers));
            Done::Told
        });
        return;
    }
    let lease = shared.lease.clone();
    let call = sent.map(|(version, request)| {
        let call = link.call_under(version, &request, timeout, lease);
        (version, call)
    });
    running.spawn(async move {
        let response = match call {
            Ok((version, call)) => call.await.map(|response| (version, response)),
            Err(error) => Err(error),
        };
        let (answers, leaders) = match response {
            Ok((version, response)) => {
                let throttle = throttle(version, &response);
                if throttle > 0 {
                    let now = shared.cluster.clock().now().millis;
                    let until = now.saturating_add(throttle);
                    shared.core.lock().throttled(node, until);
                }
                (answers(&response, &batches), leaders(&response, &batches))
            }
            Err(error) => (failed(&error), (Vec::new(), Vec::new())),
        };
        tell(&shared, node, outcomes(places, batches, answers));
        let (leaders, brokers) = leaders;
        if !leaders.is_empty() {
            shared.cluster.note_leaders(&leaders, &brokers);
        }
        Done::Told
    });
}

/// A failed call as the word on each of its batches.
fn without_answer(error: &CallError) -> Answer {
    let reason = error.to_string();
    match error {
        CallError::Unsupported { .. } | CallError::Encode { .. } => Answer::Unbuildable { reason },
        CallError::Connect(_) | CallError::Congested { .. } => Answer::NotSent { reason },
        _ => Answer::Unknown { reason },
    }
}

fn not_sent(shared: &Shared, send: Send, reason: &str) {
    let codec = shared.core.lock().codec();
    let outcomes = send.items.into_iter().map(|item| {
        let (bytes, answer) = match finish(item.payload, item.stamp, codec) {
            Ok(bytes) => {
                let reason = reason.to_owned();
                (bytes, Answer::NotSent { reason })
            }
            Err(reason) => (Bytes::new(), Answer::Unbuildable { reason }),
        };
        Outcome {
            queue: item.queue,
            order: item.order,
            bytes,
            answer,
        }
    });
    tell(shared, send.node, outcomes.collect());
}

fn tell(shared: &Shared, node: i32, outcomes: Vec<Outcome>) {
    let clock = shared.cluster.clock();
    let (now, random) = (clock.now(), clock.random());
    if shared.core.lock().completed(node, outcomes, now, random) {
        shared.cluster.refresh();
    }
    // There is room for the next request, whoever has told.
    shared.wake.notify_one();
    shared.ended();
}

/// Asks any broker for a producer id.
async fn identify(shared: &Shared) {
    let cluster = &shared.cluster;
    let response = cluster
        .call::<InitProducerIdRequest>(
            &Node::Any,
            Lane::General,
            0..=5,
            cluster.config().request_timeout,
            |_| {
                InitProducerIdRequest::default()
                    .with_transactional_id(None)
                    .with_transaction_timeout_ms(i32::MAX)
                    .with_producer_id((-1).into())
                    .with_producer_epoch(-1)
            },
        )
        .await;
    let outcome = match response {
        Ok(response) => match ErrorCode::from(response.error_code) {
            ErrorCode::None => Ok((response.producer_id.0, response.producer_epoch)),
            code => {
                let error = ClientError::broker("InitProducerId", code);
                Err((error, code.retriable()))
            }
        },
        Err(error) => {
            let retriable = error.retriable();
            Err((error.into(), retriable))
        }
    };
    let (now, random) = (cluster.clock().now(), cluster.clock().random());
    shared.core.lock().identified(outcome, now, random);
    shared.ended();
}
