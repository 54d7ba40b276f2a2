//! What a worker does when the group gives it tasks or takes them away.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Consumer, RebalanceListener, Told};
use tokio::sync::{Mutex, watch};

use super::writer::Current;
use crate::error::StreamsError;
use crate::runtime::assignment::TaskId;
use crate::runtime::live::{Starting, Tasks};
use crate::runtime::shared::{Restoring, Shared};
use crate::runtime::{commit, restore, setup};

/// Takes tasks over and gives them up.
pub(super) struct Listener {
    pub(super) busy: Arc<watch::Sender<bool>>,
    pub(super) shared: Arc<Shared>,
    pub(super) writer: Current,
    pub(super) tasks: Arc<Mutex<Tasks>>,
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

    /// Takes notice of partitions that their topics have been given since the start. Where there is state
    /// that ends the application.
    async fn follow(&self, partitions: &[TopicPartition]) -> Result<(), StreamsError> {
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
        Ok(())
    }

    /// Begins the tasks that these partitions make. Where a task gets one beside those that it has, in
    /// whatever state it is and whoever of the instance has heard of the partition first, it begins again
    /// with all of them.
    async fn take_over(
        &mut self,
        consumer: &mut Consumer,
        partitions: &[TopicPartition],
    ) -> Result<(), StreamsError> {
        self.follow(partitions).await?;
        let given = self.by_task(partitions);
        let again = self.tasks.lock().await.incomplete(&given);
        if !again.is_empty() {
            self.give_up(consumer, &again, true).await?;
        }
        let mut tasks = self.tasks.lock().await;
        // A stay without tasks comes to its end without a word.
        self.writer.renew(&self.shared, consumer)?;
        for (id, mine) in self.by_task(&consumer.assignment()) {
            if !given.contains_key(&id) || tasks.has(id) {
                continue;
            }
            consumer.pause(&mine)?;
            // An offset, so that the consumer does not look for one.
            for partition in &mine {
                consumer.seek(partition, 0)?;
            }
            // Whoever reads stores is told so from now on, not only when it is known how much it is.
            let restoring = Restoring::default();
            self.shared.restoring.lock().insert(id, restoring);
            // What the group has given, not what is known of the topics: more may be by now, which comes
            // with a call of its own.
            let (inputs, shared) = (mine.clone(), Arc::clone(&self.shared));
            let work = restore::restore(shared, self.writer.get(), id, mine);
            let work = tokio::spawn(work);
            tasks.starting.insert(id, Starting { inputs, work });
        }
        Ok(())
    }

    async fn give_up(
        &mut self,
        consumer: &mut Consumer,
        gone: &[TaskId],
        ours: bool,
    ) -> Result<(), StreamsError> {
        let tasks = Arc::clone(&self.tasks);
        let mut tasks = tasks.lock().await;
        for id in gone {
            if let Some(Starting { work, .. }) = tasks.starting.remove(id) {
                work.abort();
                // Nothing of it is to be written when somebody else has the task.
                let _ = work.await;
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
        for id in gone {
            tasks.live.remove(id);
            tasks.restored.remove(id);
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
            let busy = Arc::clone(&self.busy);
            let _busy = Busy::begin(&busy);
            if let Err(error) = self.take_over(consumer, partitions).await {
                self.shared.fail(error);
            }
        })
    }

    fn revoked<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            let busy = Arc::clone(&self.busy);
            let _busy = Busy::begin(&busy);
            let gone: Vec<TaskId> = self.by_task(partitions).into_keys().collect();
            if let Err(error) = self.give_up(consumer, &gone, true).await {
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
            let busy = Arc::clone(&self.busy);
            let _busy = Busy::begin(&busy);
            let gone: Vec<TaskId> = self.by_task(partitions).into_keys().collect();
            if let Err(error) = self.give_up(consumer, &gone, false).await {
                self.shared.fail(error);
            }
        })
    }
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
