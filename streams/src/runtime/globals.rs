//! Reading global tables: every instance reads all partitions of their topics from the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_client::TopicPartition;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::{Consumer, ConsumerConfig, Fetched, OffsetReset};
use tokio::task::JoinHandle;

use super::assignment::TaskId;
use super::shared::Shared;
use super::task::{Order, Task};
use crate::error::StreamsError;

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
    tasks: BTreeMap<TopicPartition, Task>,
}

impl Reader {
    fn new(shared: &Shared, global: &[usize]) -> Result<Self, StreamsError> {
        let mut tasks = BTreeMap::new();
        for part in global {
            for topic in &shared.topology.subtopologies[*part].sources {
                let name = topic.resolve(&shared.config.application);
                let count = shared.partitions.get(&*name).copied().unwrap_or(0);
                for partition in 0..count as i32 {
                    let task = shared.new_task(TaskId {
                        subtopology: *part,
                        partition,
                    });
                    tasks.insert(TopicPartition::new(Arc::clone(&name), partition), task);
                }
            }
        }
        let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
        let mut consumer = shared.client.consumer(config)?;
        consumer.assign(tasks.keys().cloned())?;
        Ok(Self { consumer, tasks })
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
        loop {
            if *closing.borrow() || failed.borrow().is_some() {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = closing.changed() => {}
                _ = failed.changed() => {}
                fetched = self.consumer.recv_batches() => self.take(fetched?)?,
            }
        }
    }
}
