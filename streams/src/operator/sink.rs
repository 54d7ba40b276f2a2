//! Writes records to a topic (Kafka: `SinkNode`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator};
use crate::chunk::{AnyChunk, typed};
use crate::data::Data;
use crate::error::StreamsError;
use crate::runtime::outbox::TopicId;

/// Chooses a partition by key, value and the number of partitions; `None` leaves it to the
/// producer's own partitioner.
pub(crate) type SinkPartitioner<K, V> = Arc<dyn Fn(&K, &V, u32) -> Option<u32> + Send + Sync>;

/// Encodes keys and values into the task's outbox.
pub(crate) struct Sink<K, V> {
    topic: TopicId,
    partitioner: Option<SinkPartitioner<K, V>>,
    key: Vec<u8>,
    value: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> Sink<K, V> {
    pub(crate) fn new(topic: TopicId, partitioner: Option<SinkPartitioner<K, V>>) -> Self {
        Self {
            topic,
            partitioner,
            key: Vec::new(),
            value: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for Sink<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        for row in typed::<K, V>(input).rows.drain(..) {
            self.key.clear();
            self.value.clear();
            let encoded = row
                .key
                .encode(&mut self.key)
                .and_then(|key| Ok((key, row.value.encode(&mut self.value)?)));
            let (key, value) = match encoded {
                Ok(encoded) => encoded,
                Err(error) => {
                    let topic = cx.outbox.name(self.topic).to_string();
                    cx.fail(StreamsError::Encode { topic, error });
                    return;
                }
            };
            let partition = self.partitioner.as_ref().and_then(|partitioner| {
                let partitions = cx.outbox.partitions(self.topic);
                partitioner(&row.key, &row.value, partitions)
            });
            cx.outbox.push(
                self.topic,
                partition,
                key,
                value,
                row.timestamp,
                row.headers,
            );
        }
    }
}
