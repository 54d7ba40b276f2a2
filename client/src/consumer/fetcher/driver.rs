//! Sends what the fetcher asks and hands the answers back. One task per consumer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest};
use parking_lot::Mutex;
use tidemark_protocol::ErrorCode;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::messages::{
    FetchTerms, LAST_FETCH_BY_NAME, epoch_ends, epoch_ends_answer, fetch, fetch_answer,
    list_offsets, list_offsets_answer, new_leaders,
};
use super::session::SessionRequest;
use super::{Ask, EpochQuestion, FetchAnswer, Fetcher, OffsetQuestion, Position, Retriable};
use crate::clock::Now;
use crate::cluster::{Cluster, Lane, Lanes, Node};
use crate::connection::CallError;
use crate::consumer::commit::fetch_committed;
use crate::consumer::error::ConsumerError;
use crate::topic_partition::TopicPartition;

/// Versions of Fetch that are spoken.
const FETCH: std::ops::RangeInclusive<i16> = 4..=17;

/// What the application's side and the driver share.
pub(in crate::consumer) struct Shared {
    pub(in crate::consumer) cluster: Cluster,
    pub(in crate::consumer) lanes: Arc<Lanes>,
    /// The group whose offsets partitions begin at.
    pub(in crate::consumer) group: Option<String>,
    pub(in crate::consumer) terms: FetchTerms,
    pub(in crate::consumer) fetcher: Mutex<Fetcher>,
    /// The fetcher has changed: plan again.
    pub(in crate::consumer) wake_driver: Notify,
    /// There may be something to read.
    pub(in crate::consumer) wake_reader: Notify,
    /// The application's side is to look around before it gives out more: a log was cut back, or
    /// it is time to commit.
    pub(in crate::consumer) attention: AtomicBool,
    /// When to commit next, in clock milliseconds.
    pub(in crate::consumer) commit_at: AtomicU64,
    pub(in crate::consumer) closed: watch::Sender<bool>,
}

impl Shared {
    /// Changes the fetcher, and has the driver look at it again.
    pub(in crate::consumer) fn change<T>(&self, change: impl FnOnce(&mut Fetcher) -> T) -> T {
        let outcome = change(&mut self.fetcher.lock());
        self.wake_driver.notify_one();
        outcome
    }

    fn call_attention(&self) {
        self.attention.store(true, Ordering::Release);
        self.wake_reader.notify_one();
    }

    fn now(&self) -> Now {
        self.cluster.clock().now()
    }

    fn random(&self) -> u64 {
        self.cluster.clock().random()
    }
}

/// Runs until the consumer is closed.
pub(in crate::consumer) async fn run(shared: Arc<Shared>) {
    let mut closed = shared.closed.subscribe();
    let mut running = JoinSet::new();
    tokio::select! {
        () = drive(&shared, &mut running) => {}
        _ = closed.wait_for(|closed| *closed) => {}
        () = shared.cluster.closed() => {
            shared.closed.send_replace(true);
            shared.wake_reader.notify_one();
        }
    }
    running.shutdown().await;
    close_sessions(&shared).await;
}

async fn drive(shared: &Arc<Shared>, running: &mut JoinSet<()>) {
    let mut changes = shared.cluster.changes();
    let clock = shared.cluster.clock();
    let trouble = || shared.fetcher.lock().note_trouble(shared.cluster.trouble());
    trouble();
    // The moment that the application's side has been reminded of.
    let mut reminded = u64::MAX;
    loop {
        let metadata = shared.cluster.metadata();
        let plan = shared.fetcher.lock().plan(clock.now(), &metadata);
        if plan.refresh {
            shared.cluster.refresh();
        }
        for ask in plan.ask {
            let shared = Arc::clone(shared);
            running.spawn(async move {
                let refresh = answer(&shared, ask).await;
                if refresh {
                    shared.cluster.refresh();
                }
                let (ready, diverged) = {
                    let fetcher = shared.fetcher.lock();
                    (fetcher.has_ready(), fetcher.has_diverged())
                };
                if diverged {
                    shared.call_attention();
                } else if ready {
                    shared.wake_reader.notify_one();
                }
                shared.wake_driver.notify_one();
            });
        }
        if shared.fetcher.lock().has_ready() {
            shared.wake_reader.notify_one();
        }
        let commit_at = shared.commit_at.load(Ordering::Relaxed);
        let remind_at = if commit_at == reminded {
            u64::MAX
        } else {
            commit_at
        };
        tokio::select! {
            () = clock.sleep_until(remind_at) => {
                reminded = commit_at;
                shared.call_attention();
            }
            () = shared.wake_driver.notified() => {}
            Some(_) = running.join_next() => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                trouble();
            }
            () = clock.sleep_until(plan.deadline.unwrap_or(u64::MAX)) => {}
        }
    }
}

/// Gets an answer and hands it over. Gives whether the picture of the cluster may be wrong.
async fn answer(shared: &Shared, ask: Ask) -> bool {
    match ask {
        Ask::Fetch {
            node,
            request,
            max_bytes,
            by_id,
        } => {
            let answer = fetch_from(shared, node, &request, max_bytes, by_id).await;
            let (now, random) = (shared.now(), shared.random());
            shared.fetcher.lock().fetched(node, answer, now, random)
        }
        Ask::Offsets { node, questions } => offsets_from(shared, node, &questions).await,
        Ask::Epochs { node, questions } => epochs_from(shared, node, &questions).await,
        Ask::Committed { questions } => {
            committed(shared, &questions).await;
            false
        }
    }
}

async fn fetch_from(
    shared: &Shared,
    node: i32,
    session: &SessionRequest,
    max_bytes: usize,
    by_id: bool,
) -> Result<FetchAnswer, CallError> {
    let wait = Duration::from_millis(u64::try_from(shared.terms.max_wait_ms).unwrap_or(0));
    let newest = if by_id {
        *FETCH.end()
    } else {
        LAST_FETCH_BY_NAME
    };
    // The broker holds the answer back for as long as it was told to.
    let timeout = shared.cluster.config().request_timeout + wait;
    let mut spoken = 0;
    let response = shared
        .cluster
        .call::<FetchRequest>(
            &Node::Id(node),
            shared.lanes.fetch(),
            *FETCH.start()..=newest,
            timeout,
            |version| {
                spoken = version;
                fetch(version, shared.terms, max_bytes, session)
            },
        )
        .await?;
    let metadata = shared.cluster.metadata();
    let name = |id| {
        let topic = metadata.topics().find(|topic| topic.id == id)?;
        Some(Arc::clone(&topic.name))
    };
    let (leaders, brokers) = new_leaders(&response, name);
    if !leaders.is_empty() {
        shared.cluster.note_leaders(&leaders, &brokers);
    }
    Ok(fetch_answer(spoken, response))
}

/// A failed call, as the code that means the same to a partition.
fn code_of(error: &CallError) -> ErrorCode {
    match error {
        CallError::Unsupported { .. } => ErrorCode::UnsupportedVersion,
        _ => ErrorCode::NetworkException,
    }
}

async fn offsets_from(shared: &Shared, node: i32, questions: &[OffsetQuestion]) -> bool {
    let timeout = shared.cluster.config().request_timeout;
    let read_committed = shared.terms.read_committed;
    let response = shared
        .cluster
        .call::<ListOffsetsRequest>(&Node::Id(node), Lane::General, 1..=10, timeout, |version| {
            list_offsets(version, read_committed, questions)
        })
        .await;
    let answers = match &response {
        Ok(response) => list_offsets_answer(response),
        Err(error) => {
            tracing::debug!(node, %error, "no offsets");
            shared.fetcher.lock().note_call(error.clone());
            HashMap::new()
        }
    };
    let missing = response
        .err()
        .map_or(ErrorCode::UnknownServerError, |e| code_of(&e));
    let (now, random) = (shared.now(), shared.random());
    let mut fetcher = shared.fetcher.lock();
    let mut refresh = false;
    for question in questions {
        let answer = answers.get(&question.partition).copied();
        let answer = answer.unwrap_or(Err(missing));
        refresh |= fetcher.found_offset(question, answer, now, random);
    }
    refresh
}

async fn epochs_from(shared: &Shared, node: i32, questions: &[EpochQuestion]) -> bool {
    let timeout = shared.cluster.config().request_timeout;
    let response = shared
        .cluster
        .call::<OffsetForLeaderEpochRequest>(
            &Node::Id(node),
            Lane::General,
            2..=4,
            timeout,
            |version| epoch_ends(version, questions),
        )
        .await;
    let answers = match &response {
        Ok(response) => epoch_ends_answer(response),
        Err(error) => {
            tracing::debug!(node, %error, "no epochs");
            shared.fetcher.lock().note_call(error.clone());
            HashMap::new()
        }
    };
    let missing = response
        .err()
        .map_or(ErrorCode::UnknownServerError, |e| code_of(&e));
    let (now, random) = (shared.now(), shared.random());
    let mut fetcher = shared.fetcher.lock();
    let mut refresh = false;
    for question in questions {
        let answer = answers.get(&question.partition).copied();
        let answer = answer.unwrap_or(Err(missing));
        refresh |= fetcher.found_epoch(question, answer, now, random);
    }
    refresh
}

async fn committed(shared: &Shared, questions: &[(TopicPartition, u64)]) {
    let group = shared.group.clone().unwrap_or_default();
    let partitions: Vec<TopicPartition> = questions.iter().map(|(p, _)| p.clone()).collect();
    let found = fetch_committed(
        &shared.cluster,
        &group,
        Some(&partitions),
        shared.cluster.config().request_timeout,
    )
    .await;
    let (now, random) = (shared.now(), shared.random());
    let mut fetcher = shared.fetcher.lock();
    for (partition, turn) in questions {
        let answer = match &found {
            Ok(found) => Ok(found.get(partition).map(|committed| Position {
                offset: committed.offset,
                epoch: committed.leader_epoch,
            })),
            Err(error) => Err(Retriable {
                error: ConsumerError::Client(error.clone()),
                // What a call gives up on after all its tries may still come right later.
                retriable: matches!(error, crate::error::ClientError::Timeout { .. }),
            }),
        };
        fetcher.found_committed(partition, *turn, answer, now, random);
    }
}

/// Tells brokers that their sessions are not needed any more. Nobody waits long for it.
async fn close_sessions(shared: &Shared) {
    let sessions = shared.fetcher.lock().close();
    for (node, id, epoch) in sessions {
        let request = SessionRequest {
            id,
            epoch,
            ..SessionRequest::default()
        };
        let terms = FetchTerms {
            max_wait_ms: 0,
            ..shared.terms
        };
        let node = Node::Id(node);
        let call = shared.cluster.call::<FetchRequest>(
            &node,
            shared.lanes.fetch(),
            7..=17,
            Duration::from_secs(1),
            |version| fetch(version, terms, 1, &request),
        );
        if let Err(error) = call.await {
            tracing::debug!(?node, %error, "the fetch session stays open");
        }
    }
}
