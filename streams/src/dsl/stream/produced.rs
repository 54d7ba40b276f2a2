//! How a topic is written.

use std::sync::Arc;

use crate::operator::sink::SinkPartitioner;

/// How a topic is written (Kafka: `Produced`).
pub struct Produced<K, V> {
    pub(crate) partitioner: Option<SinkPartitioner<K, V>>,
}

impl<K, V> Clone for Produced<K, V> {
    fn clone(&self) -> Self {
        Self {
            partitioner: self.partitioner.clone(),
        }
    }
}

impl<K, V> Produced<K, V> {
    /// Partitions as Kafka's own partitioner has them.
    #[must_use]
    pub fn new() -> Self {
        Self { partitioner: None }
    }

    /// Another partitioner: it is given key, value and the number of partitions (Kafka:
    /// `StreamPartitioner`).
    #[must_use]
    pub fn partitioner(
        mut self,
        choose: impl Fn(&K, &V, u32) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(Arc::new(move |key, value, partitions| {
            Some(choose(key, value, partitions))
        }));
        self
    }
}

impl<K, V> Default for Produced<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
