//! Sends each record to the first branch whose condition it meets (Kafka: `KStreamBranch`).

use std::sync::Arc;

use super::{Context, Operator};
use crate::chunk::{AnyChunk, typed};

/// A branch's condition.
pub(crate) type Condition<K, V> = Arc<dyn Fn(&K, &V) -> bool + Send + Sync>;

/// One output for each condition, and one for what meets none.
pub(crate) struct Branch<K, V> {
    conditions: Vec<Condition<K, V>>,
}

impl<K, V> Branch<K, V> {
    pub(crate) fn new(conditions: Vec<Condition<K, V>>) -> Self {
        Self { conditions }
    }
}

impl<K, V> Operator for Branch<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        for row in input.rows.drain(..) {
            let met = |condition: &Condition<K, V>| condition(&row.key, &row.value);
            let branch = self.conditions.iter().position(met);
            let port = branch.unwrap_or(self.conditions.len());
            if cx.outputs.is_used(port) {
                cx.outputs.get::<K, V>(port).rows.push(row);
            }
        }
        for output in &mut cx.outputs.ports {
            output.chunk.set_watermark(input.watermark);
        }
    }
}
