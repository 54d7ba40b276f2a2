//! Makes one stream of several (Kafka: `KStream.merge`).

use std::marker::PhantomData;

use super::{Context, Operator};
use crate::record::chunk::{AnyChunk, typed};

/// Gives on whatever comes through any input.
pub(crate) struct Merge<K, V>(PhantomData<fn(K, V)>);

impl<K, V> Merge<K, V> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K, V> Operator for Merge<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let output = cx.outputs.get::<K, V>(0);
        output.watermark = output.watermark.max(input.watermark);
        output.rows.append(&mut input.rows);
    }
}
