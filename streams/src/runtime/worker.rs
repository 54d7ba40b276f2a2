//! A worker: one member of the group, its consumer, and the tasks it has been given.

pub(super) mod budget;
mod listener;
pub(super) mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::{Consumer, ConsumerConfig, ConsumerError, Fetched, OffsetReset};
use tidemark_client::{ErrorCode, TopicPartition};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::assignment::{TaskAssignor, TaskId};
use super::commit;
use super::config::StreamsConfig;
use super::finish::{Targets, is_there};
use super::live::{Live, Tasks};
use super::setup;
use super::shared::{OUTBOX_BYTES, Shared};
use crate::error::StreamsError;
use budget::Budget;
use listener::Listener;
use writer::{Current, Writer};

/// How often a worker looks at the clock, at least.
const TICK: Duration = Duration::from_millis(100);
/// With more bytes held back until a commit than that, it comes at once.
const HELD_BYTES: usize = 8 << 20;

/// What nobody reads again is deleted once in so many commit intervals.
const PURGE_EVERY: u32 = 30;

/// What a worker may be told from outside: to close what is open in these tasks, as if event time had passed
/// all of it, and to write what comes out.
pub(super) struct Finish {
    /// Those that it has not are left to others.
    pub(super) tasks: BTreeSet<TaskId>,
    /// One that is not there yet is left as it is: what it has still to process would be late. It may have
    /// come back from an earlier commit.
    pub(super) targets: Arc<Targets>,
    /// Told which of the tasks are done, if that has been committed.
    pub(super) done: oneshot::Sender<BTreeSet<TaskId>>,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    consumer: Consumer,
    writer: Current,
    tasks: Arc<Mutex<Tasks>>,
    commands: mpsc::Receiver<Finish>,
    /// Whether tasks are being handed over.
    busy: watch::Receiver<bool>,
    budget: Budget,
    /// Before that time no first commit of a task is tried again.
    first_commit_at: u64,
    /// When records of repartition topics are to be deleted next.
    purge_at: u64,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Finish>,
    ) -> Result<Self, StreamsError> {
        let config = &shared.config;
        let sources: Vec<Vec<Arc<str>>> = shared
            .topology
            .subtopologies
            .iter()
            .map(|part| {
                // Global tables are read by every instance, and belong to no task.
                let topics = part.sources.iter().filter(|_| !part.global);
                topics
                    .map(|topic| topic.resolve(&config.application))
                    .collect()
            })
            .collect();
        let topics: Vec<Arc<str>> = sources.iter().flatten().cloned().collect();
        let assignor = TaskAssignor {
            sources,
            fingerprint: shared.fingerprint,
            instance: shared.instance,
            on_disk: Arc::clone(&shared.on_disk),
            stranger: Arc::clone(&shared.stranger),
            gone: Arc::clone(&shared.gone),
        };
        let consumer = ConsumerConfig::group(&config.application)
            .assignors(vec![Arc::new(assignor)])
            .offset_reset(OffsetReset::Error)
            .isolation_level(config.isolation)
            .pin_topics(true)
            .auto_commit(None)
            .session_timeout(config.session_timeout)
            .heartbeat_interval((config.session_timeout / 10).min(Duration::from_secs(3)));
        let mut consumer = shared.client.consumer(consumer)?;
        let writer = Current::new(Writer::new(&shared, &consumer)?);
        let tasks = Arc::new(Mutex::new(Tasks::default()));
        let (busy, is_busy) = watch::channel(false);
        consumer.set_rebalance_listener(Listener {
            busy: Arc::new(busy),
            shared: Arc::clone(&shared),
            writer: writer.clone(),
            tasks: Arc::clone(&tasks),
        });
        consumer.subscribe(topics)?;
        Ok(Self {
            shared,
            consumer,
            writer,
            tasks,
            commands,
            busy: is_busy,
            budget: Budget::default(),
            first_commit_at: 0,
            purge_at: 0,
        })
    }

    /// Runs until the instance closes or something fails.
    pub(super) async fn run(mut self) {
        let outcome = self.work().await;
        if let Err(error) = outcome {
            self.shared.fail(error);
        }
        if self.shared.failed.borrow().is_some() {
            // Nothing is committed then, and what is still to be sent would come behind what the next
            // owner finds in the changelogs.
            self.writer.get().producer.abort();
        }
        // Leaving commits what has been processed, in the listener, unless something is broken.
        if let Err(error) = self.consumer.close().await {
            tracing::warn!(%error, "leaving the group");
        }
        // What is left belongs to nobody: whoever has left may not write.
        self.writer.get().producer.abort();
    }

    async fn work(&mut self) -> Result<(), StreamsError> {
        let clock = self.shared.config.clock.clone();
        let mut closing = self.shared.closing.subscribe();
        let mut failed = self.shared.failed.subscribe();
        let mut commit_at = clock.deadline(self.shared.config.commit_interval);
        let mut tick_at = clock.deadline(TICK);
        let mut committed = true;
        loop {
            if *closing.borrow() || failed.borrow().is_some() {
                return Ok(());
            }
            self.start_restored().await?;
            // A read in which tasks are being handed over is not given up. The next one would begin with
            // the handing over again, so nothing would be lost; but the commit and the snapshot would be
            // made twice, and a task that is still being restored would not be waited for any more.
            let busy = self.busy.clone();
            tokio::select! {
                biased;
                _ = quiet(&busy, closing.changed()) => continue,
                _ = failed.changed() => continue,
                Some(finish) = next_when_quiet(&busy, &mut self.commands) => {
                    self.finish(finish).await?;
                }
                fetched = self.consumer.recv_batches() => match fetched {
                    Ok(fetched) => self.take(fetched).await?,
                    Err(error) => return Err(self.explained(error).await),
                },
                () = quiet(&busy, clock.sleep_until(tick_at.min(commit_at))) => {}
            }
            let now = clock.now().millis;
            if now >= tick_at {
                tick_at = clock.deadline(TICK);
                self.tick().await?;
            }
            if now >= commit_at || (committed && self.holds_much().await) {
                commit_at = clock.deadline(self.shared.config.commit_interval);
                let tasks = Arc::clone(&self.tasks);
                let mut tasks = tasks.lock().await;
                committed = self.commit(&mut tasks).await?;
            }
        }
    }

    /// Why reading has failed. A topic that is being deleted may seem to have lost records first, and one that
    /// has lost them has lost its beginning, or its end.
    async fn explained(&self, error: ConsumerError) -> StreamsError {
        if let ConsumerError::TopicMadeAgain { partition } = &error {
            let topic = partition.topic.to_string();
            return StreamsError::SourceMadeAgain { topic };
        }
        if let ConsumerError::OffsetOutOfRange { partition, offset } = &error {
            let topic = partition.topic.to_string();
            let known = setup::counts(&self.shared.admin, std::iter::once(topic.clone())).await;
            if known.is_ok_and(|known| !known.contains_key(&topic)) {
                return StreamsError::SourceGone { topic };
            }
            let begin = self.log_begin(partition).await;
            if let Some(begin) = begin.filter(|begin| offset < begin) {
                return StreamsError::SourceLost {
                    topic,
                    partition: partition.partition,
                    offset: *offset,
                    begin,
                };
            }
        }
        error.into()
    }

    /// Where the log of a partition begins now, if the cluster says so.
    async fn log_begin(&self, partition: &TopicPartition) -> Option<i64> {
        let wanted = [(partition.clone(), OffsetSpec::Earliest)];
        let isolation = self.shared.config.isolation;
        let listed = self
            .shared
            .admin
            .list_offsets(wanted, isolation)
            .await
            .ok()?;
        listed.all().ok()?.get(partition)?.offset
    }

    /// Whether so much waits for a commit that it is not to be waited for.
    async fn holds_much(&self) -> bool {
        let tasks = self.tasks.lock().await;
        let held = tasks.live.values();
        held.map(|live| live.task.lock().outbox().held())
            .any(|bytes| bytes > HELD_BYTES)
    }

    /// Gives fetched batches to their task and has it processed.
    async fn take(&mut self, fetched: Fetched) -> Result<(), StreamsError> {
        let Some(id) = self.shared.task_of(&fetched.partition) else {
            return Ok(());
        };
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let Some(live) = tasks.live.get_mut(&id) else {
            return Ok(());
        };
        let Some(input) = live.inputs.iter().position(|own| *own == fetched.partition) else {
            return Ok(());
        };
        self.shared.metrics.count_in(&fetched);
        let Fetched {
            batches,
            next_offset,
            ..
        } = fetched;
        live.task.lock().push(input, batches, next_offset, false);
        self.listen(live);
        self.process(live).await?;
        self.hold_back(live)
    }

    /// Tells a task what the brokers have said of its partitions: where they end, whether that is behind
    /// what it was given, and when they have said so.
    fn listen(&mut self, live: &Live) {
        let now = self.shared.config.clock.now();
        let mut task = live.task.lock();
        for (input, partition) in live.inputs.iter().enumerate() {
            // First when: what is asked for behind it is not older. A paused partition is not fetched; what
            // was known when it was goes on counting.
            let heard = self.consumer.heard(partition);
            let known = self.consumer.watermarks(partition);
            let position = self.consumer.position(partition);
            let (Some((_, stable, high)), Some(position)) = (known, position) else {
                continue;
            };
            let end = self.shared.end(stable, high);
            if end < 0 {
                continue;
            }
            task.tell_end(input, end);
            task.set_caught_up(input, position >= end);
            if let Some(heard) = heard {
                let ago = i64::try_from(now.millis.saturating_sub(heard)).unwrap_or(i64::MAX);
                task.set_heard(input, now.wall.saturating_sub(ago));
            }
        }
    }

    /// Has a task wait for source partitions of which there is nothing, for so long and no longer: one that
    /// stays dry is waited for once, until it has something again (Kafka: `PartitionGroup`).
    fn wait_for_dry(&self, live: &mut Live) {
        let patience = millis(self.shared.config.task_idle);
        if patience == 0 || live.inputs.len() < 2 {
            return;
        }
        let now = self.shared.config.clock.now().millis;
        let mut task = live.task.lock();
        for (input, since) in live.dry_since.iter_mut().enumerate() {
            *since = match (task.is_dry(input), *since) {
                (true, None) => Some(now),
                (true, since) => since,
                (false, _) => None,
            };
            let awaited = since.is_none_or(|since| now < since.saturating_add(patience));
            task.set_awaited(input, awaited);
        }
    }

    /// Processes what a task has, as far as the order of time allows.
    async fn process(&self, live: &mut Live) -> Result<(), StreamsError> {
        let writer = self.writer.get();
        loop {
            self.wait_for_dry(live);
            let (more, full) = {
                let mut task = live.task.lock();
                let mut more = true;
                while more && task.outbox().bytes() < OUTBOX_BYTES {
                    more = task.step()?;
                }
                (more, task.outbox().len() > 0)
            };
            if full {
                live.send_outputs(&self.shared, &writer).await?;
                if writer.is_over() {
                    // It is lost, and the next read says so.
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Pauses partitions for which too much waits, and resumes them.
    fn hold_back(&mut self, live: &mut Live) -> Result<(), StreamsError> {
        let limit = self.shared.config.buffer_per_partition;
        for input in 0..live.inputs.len() {
            let (_, bytes) = live.task.lock().waiting(input);
            let partition = std::slice::from_ref(&live.inputs[input]);
            if bytes > limit && !live.paused[input] {
                self.consumer.pause(partition)?;
                live.paused[input] = true;
            } else if bytes <= limit / 2 && live.paused[input] {
                self.consumer.resume(partition)?;
                live.paused[input] = false;
            }
        }
        Ok(())
    }

    /// Tells tasks what time it is.
    async fn tick(&mut self) -> Result<(), StreamsError> {
        let now = self.shared.config.clock.now();
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let writer = self.writer.get();
        for live in tasks.live.values_mut() {
            self.listen(live);
            let blocked = live.paused.iter().any(|paused| *paused);
            live.task.lock().advance(now.wall, blocked)?;
            live.send_outputs(&self.shared, &writer).await?;
            self.process(live).await?;
            self.hold_back(live)?;
        }
        if now.millis >= self.purge_at {
            let StreamsConfig {
                clock,
                commit_interval,
                ..
            } = &self.shared.config;
            self.purge_at = clock.deadline(commit_interval.saturating_mul(PURGE_EVERY));
            commit::purge(&self.shared, tasks.live.values_mut());
        }
        drop(tasks);
        let gone = self.shared.gone.lock().take();
        if let Some(topic) = gone {
            // If it has only just been made, and was not known yet, the group shares out again.
            let names = std::iter::once(topic.clone());
            let known = setup::counts(&self.shared.admin, names).await?;
            if !known.contains_key(&topic) {
                return Err(StreamsError::SourceGone { topic });
            }
        }
        if let Some(member) = self.shared.stranger.lock().clone() {
            return Err(StreamsError::TwoApplications {
                application: self.shared.config.application.clone(),
                member,
            });
        }
        self.budget.check(&self.shared)
    }

    /// Lets tasks that have been restored run.
    async fn start_restored(&mut self) -> Result<(), StreamsError> {
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let ready: Vec<TaskId> = tasks
            .starting
            .iter()
            .filter(|(_, restore)| restore.work.is_finished())
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            let Some(restore) = tasks.starting.remove(&id) else {
                continue;
            };
            let restored = restore
                .work
                .await
                .map_err(|error| StreamsError::Internal(error.to_string()))?;
            if self.writer.get().is_over() {
                // It is lost, and may be given again.
                continue;
            }
            tasks.restored.insert(id, Live::new(id, restored?));
            self.first_commit_at = 0;
        }
        let clock = &self.shared.config.clock;
        if tasks.restored.is_empty() || clock.now().millis < self.first_commit_at {
            return Ok(());
        }
        let writer = self.writer.get();
        while let Some((id, mut live)) = tasks.restored.pop_first() {
            if writer.is_over() {
                continue;
            }
            // Where it begins has to be known before something of it is seen: it begins there again.
            let begins = vec![&mut live];
            let shared = &self.shared;
            if commit::commit(shared, &writer, &mut self.consumer, begins).await? {
                self.begin(&live)?;
                tasks.live.insert(id, live);
            } else if !writer.is_over() {
                // Nobody else has it meanwhile, so its state stays what was committed.
                tasks.restored.insert(id, live);
                self.first_commit_at = self.shared.config.clock.deadline(TICK);
                break;
            }
        }
        Ok(())
    }

    /// Lets a task have what its partitions bring.
    fn begin(&mut self, live: &Live) -> Result<(), StreamsError> {
        for (input, (partition, offset, _)) in live.committed.position.inputs.iter().enumerate() {
            self.consumer.seek(partition, *offset)?;
            let end = live.ends.get(input);
            let caught_up = end.is_some_and(|end| offset >= end);
            let mut task = live.task.lock();
            if let Some(end) = end {
                task.tell_end(input, *end);
            }
            task.push(input, Vec::new(), *offset, caught_up);
        }
        let wall = self.shared.config.clock.now().wall;
        {
            let mut task = live.task.lock();
            task.committed()?;
            task.advance(wall, true)?;
        }
        self.skip_what_is_there(live)?;
        self.consumer.resume(&live.inputs)?;
        let task = Arc::clone(&live.task);
        self.shared.tasks.lock().insert(live.id, task);
        self.shared.restoring.lock().remove(&live.id);
        tracing::info!(task = %live.id, "the task runs");
        Ok(())
    }

    /// Has a task's partitions read from where its stores have everything in front already. That need not be
    /// read, and the log may not have it any more.
    fn skip_what_is_there(&mut self, live: &Live) -> Result<(), StreamsError> {
        let mut task = live.task.lock();
        for (input, (partition, offset, _)) in live.committed.position.inputs.iter().enumerate() {
            let Some(on) = task.reached(input).filter(|on| on > offset) else {
                continue;
            };
            tracing::info!(%partition, offset, on, "what lies between is there already");
            self.consumer.seek(partition, on)?;
            let caught_up = live.ends.get(input).is_some_and(|end| on >= *end);
            task.push(input, Vec::new(), on, caught_up);
        }
        Ok(())
    }

    async fn finish(&mut self, finish: Finish) -> Result<(), StreamsError> {
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let here = tasks.live.values().filter(|live| {
            let mut task = live.task.lock();
            finish.tasks.contains(&live.id) && is_there(&mut task, live.id, &finish.targets)
        });
        let here: BTreeSet<TaskId> = here.map(|live| live.id).collect();
        let writer = self.writer.get();
        loop {
            let mut more = false;
            for live in tasks.live.values_mut() {
                if here.contains(&live.id) {
                    more |= live.task.lock().close_open()?;
                    live.send_outputs(&self.shared, &writer).await?;
                }
            }
            if !self.commit(&mut tasks).await? {
                return Ok(());
            }
            if !more {
                // What has waited for the commit is to be there when the next ones are told to finish.
                writer.producer.flush().await;
                if !writer.is_over() {
                    let _ = finish.done.send(here);
                }
                return Ok(());
            }
        }
    }

    /// Commits all tasks, and has written what waits for that.
    async fn commit(&mut self, tasks: &mut Tasks) -> Result<bool, StreamsError> {
        let writer = self.writer.get();
        let live: Vec<&mut Live> = tasks.live.values_mut().collect();
        let committed = commit::commit(&self.shared, &writer, &mut self.consumer, live).await?;
        if committed {
            for live in tasks.live.values_mut() {
                live.task.lock().committed()?;
                live.send_outputs(&self.shared, &writer).await?;
            }
        }
        Ok(committed)
    }
}

/// What `event` gives, when no tasks are being handed over.
async fn quiet<T>(busy: &watch::Receiver<bool>, event: impl Future<Output = T>) -> T {
    let result = event.await;
    let _ = busy.clone().wait_for(|busy| !*busy).await;
    result
}

/// The next of what is to be received when no tasks are being handed over; as long as they are, it stays
/// where it is. The end of that wakes nobody: whoever waits here has to wait for a time, too, with
/// [`quiet`].
async fn next_when_quiet<T>(
    busy: &watch::Receiver<bool>,
    receiver: &mut mpsc::Receiver<T>,
) -> Option<T> {
    std::future::poll_fn(|cx| {
        if *busy.borrow() {
            return Poll::Pending;
        }
        receiver.poll_recv(cx)
    })
    .await
}

/// Whether a commit was refused only because the group is being shared out anew: the next one says
/// the same and more.
pub(super) fn passes(error: &ConsumerError) -> bool {
    matches!(
        error,
        ConsumerError::Group {
            code: ErrorCode::RebalanceInProgress
                | ErrorCode::UnknownMemberId
                | ErrorCode::IllegalGeneration,
            ..
        }
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
