//! Sends each record to the first branch whose condition it meets (Kafka: `KStreamBranch`).

use std::sync::Arc;

use super::{Context, Operator};
use crate::record::Record;
use crate::record::chunk::{AnyChunk, typed};

/// A branch's condition: gives those of the rows that have no branch yet and meet it that branch. It is
/// called once for a whole chunk.
pub(crate) type Condition<K, V> = Arc<dyn Fn(&[Record<K, V>], &mut [usize]) + Send + Sync>;

/// In place of a branch: none yet.
const NONE: usize = usize::MAX;

/// The condition of the branch of that number.
pub(crate) fn condition<K, V>(
    branch: usize,
    meets: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
) -> Condition<K, V> {
    Arc::new(move |rows, branches| {
        for (row, own) in rows.iter().zip(branches) {
            if *own == NONE && meets(&row.key, &row.value) {
                *own = branch;
            }
        }
    })
}

/// One output for each condition, and one for what meets none.
pub(crate) struct Branch<K, V> {
    conditions: Vec<Condition<K, V>>,
    branches: Vec<usize>,
}

impl<K, V> Branch<K, V> {
    pub(crate) fn new(conditions: Vec<Condition<K, V>>) -> Self {
        Self {
            conditions,
            branches: Vec::new(),
        }
    }
}

impl<K, V> Operator for Branch<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        self.branches.clear();
        self.branches.resize(input.rows.len(), NONE);
        for condition in &self.conditions {
            condition(&input.rows, &mut self.branches);
        }
        for (row, branch) in input.rows.drain(..).zip(&self.branches) {
            let port = (*branch).min(self.conditions.len());
            if cx.outputs.is_used(port) {
                cx.outputs.get::<K, V>(port).rows.push(row);
            }
        }
        for output in &mut cx.outputs.ports {
            output.chunk.set_watermark(input.watermark);
        }
    }
}
