//! Whatever looks at one record at a time and keeps nothing: map, filter, flat_map and their like.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator};
use crate::record::Record;
use crate::record::chunk::{AnyChunk, typed};

/// Calls a closure for each record; the closure puts what comes out into the vector.
pub(crate) struct Stateless<F, K, V, L, W> {
    each: Arc<F>,
    types: PhantomData<fn(K, V) -> (L, W)>,
}

impl<F, K, V, L, W> Stateless<F, K, V, L, W> {
    pub(crate) fn new(each: Arc<F>) -> Self {
        Self {
            each,
            types: PhantomData,
        }
    }
}

impl<F, K, V, L, W> Operator for Stateless<F, K, V, L, W>
where
    F: Fn(Record<K, V>, &mut Vec<Record<L, W>>) + Send + Sync,
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
    L: Clone + Send + 'static,
    W: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let output = cx.outputs.get::<L, W>(0);
        output.watermark = input.watermark;
        output.rows.reserve(input.rows.len());
        for row in input.rows.drain(..) {
            (self.each)(row, &mut output.rows);
        }
    }
}
