//! Carries out what handlers ask for.
//!
//! [`start`] returns as soon as the request has taken its place: its batches are appended, its
//! commands are in the coordinators' mailboxes. What is left to wait for is in the returned
//! future. So requests of one connection take effect in their order, while their answers wait for
//! the disk together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tidemark_protocol::error::ErrorCode;

use super::context::Response;
use super::step::{AppendStep, Found, GroupCall, LookUp, Step, Then};
use super::view::{Shared, View};
use crate::catalog::command::{Command, PRODUCER_ID_BLOCK_SIZE, Reply};
use crate::coordinator::group;
use crate::coordinator::runtime::{Failure, Pending, Unavailable};
use crate::environment::clock::Sleep;
use crate::partition::{Acks, Appended, PartitionError};
use crate::types::{Monotonic, Offset};

type Later = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How far a request has come.
pub(super) enum Outcome {
    /// Answered; `None` if no answer is to be sent.
    Done(Option<Response>),
    /// Under way.
    Pending(Later),
    /// The connection is to be closed; the text says why.
    Close(String),
}

impl Outcome {
    /// Waits until the request is answered or the connection is to be closed.
    pub(super) async fn finish(self) -> Result<Option<Response>, String> {
        let mut outcome = self;
        loop {
            match outcome {
                Self::Done(response) => return Ok(response),
                Self::Close(reason) => return Err(reason),
                Self::Pending(later) => outcome = later.await,
            }
        }
    }
}

/// Starts a step; boxed, since steps follow on one another.
pub(super) fn start(shared: Arc<Shared>, step: Step) -> Later {
    Box::pin(async move {
        match step {
            Step::Reply(response) => Outcome::Done(Some(response)),
            Step::Silent => Outcome::Done(None),
            Step::Close(reason) => Outcome::Close(reason),
            Step::Append(append) => start_append(shared, append).await,
            Step::LookUp(look_ups, then) => start_look_ups(shared, look_ups, then),
            Step::Fetch(fetch) => Outcome::Pending(Box::pin(async move {
                let step = fetch.run(&shared).await;
                start(shared, step).await
            })),
            Step::Groups(calls, then) => start_groups(shared, calls, then).await,
            Step::AllGroups(command, then) => {
                let mut pending = Vec::new();
                for shard in shared.groups.shards() {
                    pending.push(match shard {
                        Some(shard) => Ok(shard.submit(command()).await),
                        None => Err(Unavailable("its log could not be read".into()).into()),
                    });
                }
                answers_later(shared, pending, then)
            }
            Step::Catalog(command, then) => {
                let pending = shared.catalog.submit(command).await;
                later(shared, async move { pending.answer().await }, then)
            }
            Step::CatalogInTime(command, timeout_ms, then) => {
                if timeout_ms <= 0 {
                    let step = then(&View::new(&shared), None);
                    return start(shared, step).await;
                }
                let clock = &shared.environment.clock;
                let timeout = clock.sleep_until(clock.now().monotonic.plus_ms(timeout_ms));
                let pending = shared.catalog.submit(command).await;
                later(shared, in_time(pending.answer(), timeout), then)
            }
            Step::ProducerId(then) => {
                let ids = Arc::clone(&shared);
                later(shared, async move { next_producer_id(&ids).await }, then)
            }
            Step::DeleteRecords(targets, then) => {
                let moved = targets
                    .iter()
                    .map(|(partition, to)| partition.delete_records(*to))
                    .collect();
                let writer = Arc::clone(&shared);
                later(shared, async move { remember(&writer, moved).await }, then)
            }
        }
    })
}

/// Goes on with `then` once `work` is done.
fn later<T: Send + 'static>(
    shared: Arc<Shared>,
    work: impl Future<Output = T> + Send + 'static,
    then: Then<T>,
) -> Outcome {
    Outcome::Pending(Box::pin(async move {
        let result = work.await;
        let step = then(&View::new(&shared), result);
        start(shared, step).await
    }))
}

/// What `work` comes to, or `None` if `timeout` is over first.
async fn in_time<T>(work: impl Future<Output = T>, timeout: Sleep) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = timeout => None,
    }
}

async fn start_append(shared: Arc<Shared>, append: AppendStep) -> Outcome {
    let AppendStep {
        batches,
        acks,
        timeout_ms,
        then,
    } = append;
    let now = shared.environment.clock.now();
    // The batches' bytes are let go here: only their partitions are waited for.
    let (partitions, mut outcomes): (Vec<_>, Vec<_>) = batches
        .into_iter()
        .map(|(partition, batch)| {
            let outcome = partition.append(&batch, acks, now);
            (partition, outcome)
        })
        .unzip();
    let waits = |outcome: &Result<Appended, PartitionError>| {
        outcome
            .as_ref()
            .is_ok_and(|appended| appended.on_disk_first)
    };
    if acks == Acks::None || !outcomes.iter().any(waits) {
        let step = then(&View::new(&shared), outcomes);
        return start(shared, step).await;
    }
    // As in Kafka, the time limit is for those who ask for more than the page cache; others wait
    // as long as the write takes, of which the sync is a part.
    let clock = Arc::clone(&shared.environment.clock);
    let deadline = match acks {
        Acks::All => now.monotonic.plus_ms(timeout_ms),
        Acks::Leader | Acks::None => Monotonic(u64::MAX),
    };
    let wait = async move {
        let mut timeout = clock.sleep_until(deadline);
        for (partition, outcome) in partitions.iter().zip(&mut outcomes) {
            let end = match outcome {
                Ok(appended) if appended.on_disk_first => appended.end,
                _ => continue,
            };
            let durable = tokio::select! {
                biased;
                durable = partition.wait_on_disk(end) => durable,
                () = &mut timeout => Err(PartitionError {
                    code: ErrorCode::RequestTimedOut,
                    message: format!("not on disk within {timeout_ms} ms"),
                }),
            };
            if let Err(error) = durable {
                *outcome = Err(error);
            }
        }
        outcomes
    };
    later(shared, wait, then)
}

/// Starts the look-ups on a thread that may wait for the disk.
fn start_look_ups(shared: Arc<Shared>, look_ups: Vec<LookUp>, then: Then<Vec<Found>>) -> Outcome {
    let count = look_ups.len();
    let looking =
        tokio::task::spawn_blocking(move || look_ups.into_iter().map(LookUp::run).collect());
    let found = async move {
        looking.await.unwrap_or_else(|error| {
            let failed = PartitionError {
                code: ErrorCode::KafkaStorageError,
                message: error.to_string(),
            };
            vec![Err(failed); count]
        })
    };
    later(shared, found, then)
}

async fn start_groups(
    shared: Arc<Shared>,
    calls: Vec<GroupCall>,
    then: Then<Vec<Result<group::Reply, Failure>>>,
) -> Outcome {
    let mut pending = Vec::with_capacity(calls.len());
    for GroupCall { group, command } in calls {
        pending.push(match shared.groups.route(&group) {
            Some(shard) => Ok(shard.submit(command).await),
            None => Err(Unavailable("the group has no coordinator yet".into()).into()),
        });
    }
    answers_later(shared, pending, then)
}

fn answers_later(
    shared: Arc<Shared>,
    pending: Vec<Result<Pending<group::Reply>, Failure>>,
    then: Then<Vec<Result<group::Reply, Failure>>>,
) -> Outcome {
    let collect = async move {
        let mut answers = Vec::with_capacity(pending.len());
        for pending in pending {
            answers.push(match pending {
                Ok(pending) => pending.answer().await,
                Err(error) => Err(error),
            });
        }
        answers
    };
    later(shared, collect, then)
}

/// Writes the new log starts to the disk, for which a worker must not wait; if that fails, none of
/// them may be told.
async fn remember(
    shared: &Arc<Shared>,
    mut moved: Vec<Result<Offset, PartitionError>>,
) -> Vec<Result<Offset, PartitionError>> {
    let writer = Arc::clone(shared);
    let written = tokio::task::spawn_blocking(move || (writer.write_log_starts)()).await;
    let failure = match written {
        Ok(Ok(())) => return moved,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let failed = PartitionError {
        code: ErrorCode::KafkaStorageError,
        message: format!("cannot write the checkpoint: {failure}"),
    };
    for outcome in moved.iter_mut().filter(|outcome| outcome.is_ok()) {
        *outcome = Err(failed.clone());
    }
    moved
}

async fn next_producer_id(shared: &Shared) -> Result<i64, Failure> {
    if let Some(id) = shared.producer_ids.take() {
        return Ok(id);
    }
    let command = Command::AllocateProducerIds {
        count: PRODUCER_ID_BLOCK_SIZE,
    };
    let Reply::ProducerIds(Ok(block)) = shared.catalog.call(command).await? else {
        return Err(Unavailable("the catalog gave no producer ids".into()).into());
    };
    let first = block.first.0;
    let mut ids = first..first.saturating_add(i64::from(block.count));
    let first = ids.next();
    shared.producer_ids.refill(ids);
    first
        .ok_or_else(|| Unavailable("the catalog gave an empty block of producer ids".into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Clock, ManualClock};
    use crate::types::Timestamp;

    #[tokio::test]
    async fn waiting_ends_with_the_answer_or_with_the_timeout() {
        let clock = ManualClock::new(Timestamp(0));
        let timeout = || clock.sleep_until(Monotonic(5));
        assert_eq!(in_time(async { 1 }, timeout()).await, Some(1));
        clock.advance(5);
        assert_eq!(
            in_time(async { 1 }, timeout()).await,
            Some(1),
            "what is there counts"
        );
        assert_eq!(
            in_time(std::future::pending::<i32>(), timeout()).await,
            None
        );
    }
}
