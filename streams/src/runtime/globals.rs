//! Reading global tables: every instance reads all partitions of their topics from the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::TopicPartition;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::{Consumer, ConsumerConfig, Fetched, OffsetReset};
use tokio::task::JoinHandle;

use super::assignment::TaskId;
use super::setup;
use super::shared::Shared;
use super::task::{Order, Task};
use crate::error::StreamsError;

/// How often it is looked whether topics have been given more partitions.
const LOOK_FOR_PARTITIONS: Duration = Duration::from_secs(5);

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
    while !left.is_empty() {
        let fetched = reader.consumer.recv_batches().await?;
        let reached = left
            .get(&fetched.partition)
            .is_some_and(|end| fetched.next_offset >= *end);
        if reached {
            left.remove(&fetched.partition);
        }
        reader.take(fetched)?;
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
    tasks: BTreeMap<TopicPartition, Task>,
}

impl Reader {
    fn new(shared: &Shared, global: &[usize]) -> Result<Self, StreamsError> {
        let mut topics = Vec::new();
        for part in global {
            for topic in &shared.topology.subtopologies[*part].sources {
                topics.push((topic.resolve(&shared.config.application), *part));
            }
        }
        let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
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
                self.tasks.entry(own).or_insert_with(|| {
                    shared.new_task(TaskId {
                        subtopology: *part,
                        partition,
                    })
                });
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

    fn take(&mut self, fetched: Fetched) -> Result<(), StreamsError> {
        let Some(task) = self.tasks.get_mut(&fetched.partition) else {
            return Ok(());
        };
        task.push(0, fetched.batches, fetched.next_offset, true);
        while task.step(Order::CaughtUp)? {}
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
                fetched = self.consumer.recv_batches() => self.take(fetched?)?,
                () = clock.sleep_until(look_at) => {}
            }
            if clock.now().millis >= look_at {
                self.look_for_partitions(shared).await?;
                look_at = clock.deadline(LOOK_FOR_PARTITIONS);
            }
        }
    }
}
