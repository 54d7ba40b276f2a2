//! Reading global tables: every instance reads all partitions of their topics from the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemark_client::TopicPartition;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::{Consumer, ConsumerConfig, Fetched, OffsetReset};
use tokio::task::JoinHandle;

use super::assignment::TaskId;
use super::restore::NO_PROGRESS;
use super::setup;
use super::shared::Shared;
use super::task::Task;
use super::worker::budget::Budget;
use crate::error::StreamsError;

/// How often it is looked whether topics have been given more partitions.
const LOOK_FOR_PARTITIONS: Duration = Duration::from_secs(5);
/// How often it is told how far the first reading has come.
const TELL: Duration = Duration::from_secs(10);

/// Reads the global tables up to where their topics end now, so that tasks find in them what was
/// there before the start, and then goes on in a task of its own.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, StreamsError> {
    let parts = shared.topology.subtopologies.iter().enumerate();
    let global: Vec<usize> = parts
        .filter(|(_, part)| part.global)
        .map(|(at, _)| at)
        .collect();
    if global.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(shared, &global)?;
    let topics: Vec<_> = global
        .iter()
        .flat_map(|part| shared.topology.subtopologies[*part].sources.clone())
        .collect();
    let mut left = super::finish::ends(shared, &topics).await?;
    let starts = super::finish::offsets(shared, &topics, OffsetSpec::Earliest).await?;
    left.retain(|partition, end| starts.get(partition).is_none_or(|start| *start < *end));
    let clock = &shared.config.clock;
    let mut tell_at = clock.deadline(TELL);
    let mut patience = clock.deadline(NO_PROGRESS);
    let mut budget = Budget::default();
    let mut at = BTreeMap::new();
    while let Some((waits, end)) = left.first_key_value() {
        let next = reader.consumer.recv_batches();
        let rest = Duration::from_millis(patience.saturating_sub(clock.now().millis));
        let Some(fetched) = clock.timeout(rest, next).await else {
            return Err(StreamsError::NothingRead {
                topic: waits.topic.to_string(),
                partition: waits.partition,
                offset: at.get(waits).copied().unwrap_or(starts[waits]),
                end: *end,
                waited: NO_PROGRESS,
            });
        };
        let fetched = fetched?;
        if left.contains_key(&fetched.partition) {
            // What others bring is no progress here.
            patience = clock.deadline(NO_PROGRESS);
        }
        at.insert(fetched.partition.clone(), fetched.next_offset);
        let reached = left
            .get(&fetched.partition)
            .is_some_and(|end| fetched.next_offset >= *end);
        if reached {
            left.remove(&fetched.partition);
        }
        reader.take(shared, fetched)?;
        budget.check(shared)?;
        if clock.now().millis >= tell_at {
            tell_at = clock.deadline(TELL);
            let partitions = left.len();
            let offsets = left.iter().map(|(partition, end)| {
                end - at.get(partition).or(starts.get(partition)).unwrap_or(end)
            });
            let offsets: i64 = offsets.sum();
            tracing::info!(partitions, offsets, "global tables are still to be read");
        }
    }
    let shared = Arc::clone(shared);
    Ok(vec![tokio::spawn(async move {
        if let Err(error) = reader.run(&shared).await {
            shared.fail(error);
        }
    })])
}

struct Reader {
    consumer: Consumer,
    /// Each topic, and the subtopology that it belongs to.
    topics: Vec<(Arc<str>, usize)>,
    /// One for each partition; who looks at figures shares them.
    tasks: BTreeMap<TopicPartition, Arc<Mutex<Task>>>,
}

impl Reader {
    fn new(shared: &Shared, global: &[usize]) -> Result<Self, StreamsError> {
        let mut topics = Vec::new();
        for part in global {
            for topic in &shared.topology.subtopologies[*part].sources {
                topics.push((topic.resolve(&shared.config.application), *part));
            }
        }
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .isolation_level(shared.config.isolation);
        let mut reader = Self {
            consumer: shared.client.consumer(config)?,
            topics,
            tasks: BTreeMap::new(),
        };
        reader.assign(shared)?;
        Ok(reader)
    }

    /// Reads all partitions that are known; those that it has not read yet from their beginning.
    fn assign(&mut self, shared: &Shared) -> Result<(), StreamsError> {
        for (name, part) in &self.topics {
            for partition in 0..shared.partition_count(name).unwrap_or(0) as i32 {
                let own = TopicPartition::new(Arc::clone(name), partition);
                let id = TaskId {
                    subtopology: *part,
                    partition,
                };
                let task = self.tasks.entry(own).or_insert_with(|| {
                    let task = Arc::new(Mutex::new(shared.new_task(id, None)));
                    shared.global_tasks.lock().insert(id, Arc::clone(&task));
                    task
                });
                debug_assert_eq!(task.lock().inputs().count(), 1);
            }
        }
        self.consumer.assign(self.tasks.keys().cloned())?;
        Ok(())
    }

    /// Takes partitions along that topics have been given since it was last looked.
    async fn look_for_partitions(&mut self, shared: &Shared) -> Result<(), StreamsError> {
        let names = self.topics.iter().map(|(name, _)| name.to_string());
        let counts = match setup::counts(&shared.admin, names).await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(%error, "global tables do not know of new partitions");
                return Ok(());
            }
        };
        let mut more = false;
        for (name, count) in counts {
            if shared
                .partition_count(&name)
                .is_none_or(|known| known < count)
            {
                shared.note_partitions(&name, count);
                more = true;
            }
        }
        if more {
            self.assign(shared)?;
        }
        Ok(())
    }

    fn take(&mut self, shared: &Shared, fetched: Fetched) -> Result<(), StreamsError> {
        let Some(task) = self.tasks.get(&fetched.partition) else {
            return Ok(());
        };
        shared.metrics.count_in(&fetched);
        let mut task = task.lock();
        task.tell_end(
            0,
            shared.end(fetched.last_stable_offset, fetched.high_watermark),
        );
        task.push(0, fetched.batches, fetched.next_offset, true);
        while task.step()? {}
        Ok(())
    }

    async fn run(&mut self, shared: &Shared) -> Result<(), StreamsError> {
        let mut closing = shared.closing.subscribe();
        let mut failed = shared.failed.subscribe();
        let clock = &shared.config.clock;
        let mut look_at = clock.deadline(LOOK_FOR_PARTITIONS);
        loop {
            if *closing.borrow() || failed.borrow().is_some() {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = closing.changed() => {}
                _ = failed.changed() => {}
                fetched = self.consumer.recv_batches() => self.take(shared, fetched?)?,
                () = clock.sleep_until(look_at) => {}
            }
            if clock.now().millis >= look_at {
                self.look_for_partitions(shared).await?;
                look_at = clock.deadline(LOOK_FOR_PARTITIONS);
            }
        }
    }
}
