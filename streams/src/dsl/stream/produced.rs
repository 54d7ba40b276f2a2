//! How a topic is written.

use std::sync::Arc;

use crate::operator::sink::SinkPartitioner;
use crate::topology::Partitioning;

/// How a topic is written (Kafka: `Produced`).
pub struct Produced<K, V> {
    pub(crate) partitioner: Option<SinkPartitioner<K, V>>,
    pub(crate) partitioning: Partitioning,
}

impl<K, V> Clone for Produced<K, V> {
    fn clone(&self) -> Self {
        Self {
            partitioner: self.partitioner.clone(),
            partitioning: self.partitioning.clone(),
        }
    }
}

impl<K, V> Produced<K, V> {
    /// Partitions as Kafka's own partitioner has them.
    #[must_use]
    pub fn new() -> Self {
        Self {
            partitioner: None,
            partitioning: Partitioning::Keys,
        }
    }

    /// Another partitioner: it is given key, value and the number of partitions (Kafka:
    /// `StreamPartitioner`).
    #[must_use]
    pub fn partitioner(
        mut self,
        choose: impl Fn(&K, &V, u32) -> u32 + Send + Sync + 'static,
    ) -> Self {
        let partitioner: SinkPartitioner<K, V> = Arc::new(move |rows, partitions, chosen| {
            let rows = rows.iter();
            chosen.extend(rows.map(|row| choose(&row.key, &row.value, partitions)));
        });
        let number = Arc::as_ptr(&partitioner).cast::<()>() as usize;
        self.partitioning = Partitioning::Closure(number);
        self.partitioner = Some(partitioner);
        self
    }

    /// Gives the partitioner a name: topics whose partitioners have the same name can be joined.
    /// Topics that others write are said to have it by [`crate::Consumed::partitioned_by`].
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        if self.partitioner.is_some() {
            self.partitioning = Partitioning::Named(name.into());
        }
        self
    }
}

impl<K, V> Default for Produced<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
