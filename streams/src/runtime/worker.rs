//! A worker: one member of the group, its consumer, and the tasks it has been given.

pub(super) mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::consumer::{
    Consumer, ConsumerConfig, ConsumerError, Fetched, OffsetReset, RebalanceListener, Told,
};
use tidemark_client::{ErrorCode, TopicPartition};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::assignment::{TaskAssignor, TaskId};
use super::commit;
use super::config::StreamsConfig;
use super::live::{Live, Tasks};
use super::restore;
use super::setup;
use super::shared::{OUTBOX_BYTES, Progress, Shared};
use super::task::Order;
use crate::error::StreamsError;
use writer::{Current, Writer};

/// How often a worker looks at the clock, at least.
const TICK: Duration = Duration::from_millis(100);
/// With more bytes held back until a commit than that, it comes at once.
const HELD_BYTES: usize = 8 << 20;

/// What nobody reads again is deleted once in so many commit intervals.
const PURGE_EVERY: u32 = 30;

/// What a worker is told from outside.
pub(super) enum Command {
    /// Closes what is open in the tasks of a subtopology, as if event time had passed all of it, and
    /// writes what comes out.
    Finish(usize, oneshot::Sender<()>),
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    consumer: Consumer,
    writer: Current,
    tasks: Arc<Mutex<Tasks>>,
    commands: mpsc::Receiver<Command>,
    /// Whether tasks are being handed over.
    busy: watch::Receiver<bool>,
    /// When tasks were last told the time.
    ticked_at: u64,
    /// What the clock on the wall said then.
    ticked_wall: i64,
    /// How many bytes the stores of each task of the instance had when they were last looked at.
    sizes: BTreeMap<TaskId, Vec<(usize, usize)>>,
    /// When records of repartition topics are to be deleted next.
    purge_at: u64,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
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
            on_disk: Arc::clone(&shared.on_disk),
            stranger: Arc::clone(&shared.stranger),
            gone: Arc::clone(&shared.gone),
        };
        let consumer = ConsumerConfig::group(&config.application)
            .assignors(vec![Arc::new(assignor)])
            .offset_reset(OffsetReset::Error)
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
            ticked_at: 0,
            ticked_wall: 0,
            sizes: BTreeMap::new(),
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
            // A read in which tasks are being handed over is not given up: that would begin again.
            let busy = self.busy.clone();
            tokio::select! {
                biased;
                _ = quiet(&busy, closing.changed()) => continue,
                _ = failed.changed() => continue,
                Some(command) = self.commands.recv() => self.obey(command).await?,
                fetched = self.consumer.recv_batches() => self.take(fetched?).await?,
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
        let records: i64 = fetched
            .batches
            .iter()
            .map(|batch| i64::from(batch.header().records_count))
            .sum();
        self.shared.metrics.records_in.inc_by(records.max(0) as u64);
        let caught_up = fetched.next_offset >= fetched.high_watermark;
        {
            let mut task = live.task.lock();
            task.tell_end(input, fetched.high_watermark);
            task.push(input, fetched.batches, fetched.next_offset, caught_up);
        }
        self.look_ahead(live);
        self.process(live, false).await?;
        self.hold_back(live)
    }

    /// Tells a task with several inputs which of them have more than it was given.
    fn look_ahead(&mut self, live: &Live) {
        if live.inputs.len() < 2 {
            return;
        }
        for (input, partition) in live.inputs.iter().enumerate() {
            let known = self.consumer.watermarks(partition);
            let position = self.consumer.position(partition);
            if let (Some((_, _, end)), Some(position)) = (known, position)
                && end >= 0
            {
                live.task.lock().set_caught_up(input, position >= end);
            }
        }
    }

    /// Processes what a task has, as far as the order of time allows.
    async fn process(&self, live: &mut Live, tick: bool) -> Result<(), StreamsError> {
        let clock = &self.shared.config.clock;
        let patience = self.shared.config.task_idle;
        let writer = self.writer.get();
        loop {
            let order = match live.waits_since {
                _ if patience.is_zero() => Order::CaughtUp,
                Some(since)
                    if tick && clock.now().millis >= since.saturating_add(millis(patience)) =>
                {
                    Order::CaughtUp
                }
                _ => Order::All,
            };
            let (more, full) = {
                let mut task = live.task.lock();
                let mut more = true;
                while more && task.outbox().bytes() < OUTBOX_BYTES {
                    more = task.step(order)?;
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
                let waits = live.task.lock().waits();
                live.waits_since = match live.waits_since {
                    Some(since) if waits => Some(since),
                    _ => waits.then(|| clock.now().millis),
                };
                return Ok(());
            }
            live.waits_since = None;
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
        let wall = now.wall;
        // A worker that was busy elsewhere, or asleep, has not looked whether there are records. A clock
        // that was set tells nothing of how long there were none.
        let long = 3 * millis(TICK);
        let late = now.millis.saturating_sub(self.ticked_at) > long
            || wall.abs_diff(self.ticked_wall) > long;
        self.ticked_at = now.millis;
        self.ticked_wall = wall;
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let writer = self.writer.get();
        for live in tasks.live.values_mut() {
            self.look_ahead(live);
            let blocked = late || live.paused.iter().any(|paused| *paused);
            live.task.lock().advance(wall, blocked)?;
            live.send_outputs(&self.shared, &writer).await?;
            self.process(live, true).await?;
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
        if let Some(topic) = self.shared.gone.lock().clone() {
            return Err(StreamsError::SourceGone { topic });
        }
        if let Some(member) = self.shared.stranger.lock().clone() {
            return Err(StreamsError::TwoApplications {
                application: self.shared.config.application.clone(),
                member,
            });
        }
        self.check_budget()
    }

    fn check_budget(&mut self) -> Result<(), StreamsError> {
        let budget = self.shared.config.state_budget;
        if budget == usize::MAX {
            return Ok(());
        }
        let tasks = self.shared.tasks.lock().clone();
        self.sizes.retain(|id, _| tasks.contains_key(id));
        for (id, task) in &tasks {
            // One that is busy counts as it was: nothing may wait here.
            if let Some(mut task) = task.try_lock() {
                let sizes = task.stores().map(|(number, store)| (number, store.bytes()));
                self.sizes.insert(*id, sizes.collect());
            }
        }
        let mut by_store: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, bytes) in self.sizes.values().flatten() {
            *by_store.entry(*number).or_default() += bytes;
        }
        let topology = &self.shared.topology;
        let stores = by_store.into_iter();
        let stores = stores.map(|(number, bytes)| (&topology.stores[number].name, bytes));
        let globals = topology.globals.iter().enumerate();
        let globals = globals.map(|(number, global)| {
            let (_, bytes) = (global.size)(self.shared.globals.any(number));
            (&global.name, bytes)
        });
        let all: Vec<(&String, usize)> = stores.chain(globals).collect();
        let bytes: usize = all.iter().map(|(_, bytes)| bytes).sum();
        if bytes <= budget {
            return Ok(());
        }
        let largest = all.into_iter().max_by_key(|(_, bytes)| *bytes);
        let store = largest.map(|(name, _)| name.clone());
        Err(StreamsError::StateTooLarge {
            bytes,
            budget,
            store: store.unwrap_or_default(),
        })
    }

    /// Lets tasks that have been restored run.
    async fn start_restored(&mut self) -> Result<(), StreamsError> {
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let ready: Vec<TaskId> = tasks
            .starting
            .iter()
            .filter(|(_, restore)| restore.is_finished())
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            let Some(restore) = tasks.starting.remove(&id) else {
                continue;
            };
            let restored = restore
                .await
                .map_err(|error| StreamsError::Internal(error.to_string()))?;
            let writer = self.writer.get();
            if writer.is_over() {
                // It is lost, and may be given again.
                continue;
            }
            let restored = restored?;
            let mut live = Live::new(id, restored);
            // Where it begins has to be known before something of it is seen: it begins there again.
            let begins = vec![&mut live];
            let shared = &self.shared;
            if commit::commit(shared, &writer, &mut self.consumer, begins).await? {
                self.begin(&live)?;
                tasks.live.insert(id, live);
            } else {
                let again = restore::restore(Arc::clone(shared), writer, id);
                tasks.starting.insert(id, tokio::spawn(again));
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
        self.consumer.resume(&live.inputs)?;
        let task = Arc::clone(&live.task);
        self.shared.tasks.lock().insert(live.id, task);
        self.shared.restoring.lock().remove(&live.id);
        tracing::info!(task = %live.id, "the task runs");
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), StreamsError> {
        let Command::Finish(subtopology, done) = command;
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let writer = self.writer.get();
        loop {
            let mut more = false;
            for live in tasks.live.values_mut() {
                if live.id.subtopology == subtopology {
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
                    let _ = done.send(());
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

/// As long as it lives, tasks are being handed over.
struct Busy<'a>(&'a watch::Sender<bool>);

impl<'a> Busy<'a> {
    fn begin(busy: &'a watch::Sender<bool>) -> Self {
        busy.send_replace(true);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// Takes tasks over and gives them up.
struct Listener {
    busy: Arc<watch::Sender<bool>>,
    shared: Arc<Shared>,
    writer: Current,
    tasks: Arc<Mutex<Tasks>>,
}

impl Listener {
    fn by_task(&self, partitions: &[TopicPartition]) -> BTreeMap<TaskId, Vec<TopicPartition>> {
        let mut tasks: BTreeMap<TaskId, Vec<TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            if let Some(id) = self.shared.task_of(partition) {
                tasks.entry(id).or_default().push(partition.clone());
            }
        }
        tasks
    }

    /// Takes notice of partitions that their topics have been given since the start. Where there is no
    /// state the application goes on with them; a task that gets one beside those that it has begins
    /// again.
    async fn follow(
        &mut self,
        consumer: &mut Consumer,
        partitions: &[TopicPartition],
    ) -> Result<(), StreamsError> {
        let known = |topic: &str| self.shared.partition_count(topic).unwrap_or(0);
        let mut grown: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for partition in partitions {
            let least = u32::try_from(partition.partition).unwrap_or(0) + 1;
            if least > known(&partition.topic) {
                let most = grown.entry(Arc::clone(&partition.topic)).or_default();
                *most = least.max(*most);
            }
        }
        if grown.is_empty() {
            return Ok(());
        }
        let names = grown.keys().map(ToString::to_string);
        let counts = setup::counts(&self.shared.admin, names).await?;
        for (topic, least) in grown {
            let before = known(&topic);
            let now = counts.get(&*topic).copied().unwrap_or(0).max(least);
            let id = self
                .shared
                .task_of(&TopicPartition::new(Arc::clone(&topic), 0));
            let part = id.map(|id| &self.shared.topology.subtopologies[id.subtopology]);
            if part.is_some_and(|part| !part.stores.is_empty()) {
                return Err(StreamsError::SourceGrew {
                    topic: topic.to_string(),
                    before,
                    now,
                });
            }
            self.shared.note_partitions(&topic, now);
        }
        let mut again = Vec::new();
        {
            let tasks = self.tasks.lock().await;
            for (id, mine) in self.by_task(partitions) {
                if let Some(live) = tasks.live.get(&id)
                    && mine.iter().any(|new| !live.inputs.contains(new))
                {
                    again.extend(live.inputs.iter().cloned());
                }
            }
        }
        if !again.is_empty() {
            self.give_up(consumer, &again, true).await?;
        }
        Ok(())
    }

    async fn give_up(
        &mut self,
        consumer: &mut Consumer,
        partitions: &[TopicPartition],
        ours: bool,
    ) -> Result<(), StreamsError> {
        let busy = Arc::clone(&self.busy);
        let _busy = Busy::begin(&busy);
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        let gone: Vec<TaskId> = self.by_task(partitions).into_keys().collect();
        for id in &gone {
            if let Some(restore) = tasks.starting.remove(id) {
                restore.abort();
                // Nothing of it is to be written when somebody else has the task.
                let _ = restore.await;
            }
        }
        // With something broken nothing may be committed any more.
        if ours && self.shared.failed.borrow().is_none() {
            let live = tasks.live.iter_mut();
            let live = live
                .filter(|(id, _)| gone.contains(id))
                .map(|(_, live)| live);
            let writer = self.writer.get();
            let done = commit::commit(&self.shared, &writer, consumer, live.collect()).await?;
            if !done {
                tracing::warn!("the last commit was refused: what is behind it is processed again");
            }
            // Behind a commit that was refused, state is not what was committed.
            for id in gone.iter().filter(|_| done) {
                if let Some(live) = tasks.live.get_mut(id) {
                    commit::write_snapshot(&self.shared, live, true).await?;
                }
            }
        }
        for id in &gone {
            tasks.live.remove(id);
            self.shared.tasks.lock().remove(id);
            self.shared.restoring.lock().remove(id);
        }
        if !ours {
            self.writer.renew(&self.shared, consumer)?;
        }
        Ok(())
    }
}

impl RebalanceListener for Listener {
    fn assigned<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            if let Err(error) = self.follow(consumer, partitions).await {
                return self.shared.fail(error);
            }
            let mut tasks = self.tasks.lock().await;
            // A stay without tasks comes to its end without a word.
            if let Err(error) = self.writer.renew(&self.shared, consumer) {
                return self.shared.fail(error);
            }
            for (id, mine) in self.by_task(partitions) {
                if tasks.live.contains_key(&id) || tasks.starting.contains_key(&id) {
                    continue;
                }
                if let Err(error) = consumer.pause(&mine) {
                    return self.shared.fail(error.into());
                }
                // An offset, so that the consumer does not look for one.
                for partition in &mine {
                    if let Err(error) = consumer.seek(partition, 0) {
                        return self.shared.fail(error.into());
                    }
                }
                // Whoever reads stores is told so from now on, not only when it is known how much it is.
                let progress = Progress::default();
                self.shared.restoring.lock().insert(id, progress);
                let work = restore::restore(Arc::clone(&self.shared), self.writer.get(), id);
                tasks.starting.insert(id, tokio::spawn(work));
            }
        })
    }

    fn revoked<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            if let Err(error) = self.give_up(consumer, partitions, true).await {
                // Others may have them from now on.
                self.writer.get().producer.abort();
                self.shared.fail(error);
            }
        })
    }

    fn lost<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            if let Err(error) = self.give_up(consumer, partitions, false).await {
                self.shared.fail(error);
            }
        })
    }
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
