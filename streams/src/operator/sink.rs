//! Writes records to a topic (Kafka: `SinkNode`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator};
use crate::data::Data;
use crate::error::StreamsError;
use crate::record::Record;
use crate::record::chunk::{AnyChunk, typed};
use crate::runtime::task::outbox::TopicId;

/// Chooses the partition of each row, given how many there are. It is called once for a whole chunk.
pub(crate) type SinkPartitioner<K, V> =
    Arc<dyn Fn(&[Record<K, V>], u32, &mut Vec<u32>) + Send + Sync>;

/// Encodes keys and values into the task's outbox.
pub(crate) struct Sink<K, V> {
    topic: TopicId,
    /// Without one it is left to the producer's own.
    partitioner: Option<SinkPartitioner<K, V>>,
    partitions: Vec<u32>,
    key: Vec<u8>,
    value: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> Sink<K, V> {
    pub(crate) fn new(topic: TopicId, partitioner: Option<SinkPartitioner<K, V>>) -> Self {
        Self {
            topic,
            partitioner,
            partitions: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for Sink<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        self.partitions.clear();
        if let Some(partitioner) = &self.partitioner {
            let count = cx.outbox.partitions(self.topic);
            partitioner(&input.rows, count, &mut self.partitions);
        }
        for (at, row) in input.rows.drain(..).enumerate() {
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
            cx.outbox.push(
                self.topic,
                self.partitions.get(at).copied(),
                key,
                value,
                row.timestamp,
                row.headers,
            );
        }
    }
}
