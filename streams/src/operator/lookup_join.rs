//! Joins a stream with a table (Kafka: `KStreamKTableJoin`, `KStreamGlobalKTableJoin`). The stream
//! drives: each record looks up what the table has at that moment.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::record::chunk::{AnyChunk, typed};
use crate::state::Getter;

/// At most one result for each record. `G` gives the table's key for it.
pub(crate) struct LookupJoin<F, G, K, V, J, W, X> {
    join: Arc<F>,
    key: Arc<G>,
    table: Getter<J, W>,
    /// Whether records come out for which the table has nothing.
    left: bool,
    scratch: Vec<u8>,
    types: PhantomData<fn(K, V) -> X>,
}

impl<F, G, K, V, J, W, X> LookupJoin<F, G, K, V, J, W, X> {
    pub(crate) fn new(join: Arc<F>, key: Arc<G>, table: Getter<J, W>, left: bool) -> Self {
        Self {
            join,
            key,
            table,
            left,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<F, G, K, V, J, W, X> Operator for LookupJoin<F, G, K, V, J, W, X>
where
    F: Fn(&V, Option<&W>) -> Option<X> + Send + Sync,
    G: for<'a> Fn(&'a K, &'a V) -> Cow<'a, J> + Send + Sync,
    K: Data,
    V: Data,
    J: Data,
    W: Data,
    X: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let output = cx.outputs.get::<K, X>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            if row.value.is_null() {
                cx.counts.null_value += 1;
                continue;
            }
            self.scratch.clear();
            let key = (self.key)(&row.key, &row.value);
            let joined = match key.encode(&mut self.scratch) {
                Ok(Some(bytes)) => {
                    self.table
                        .with_as_of(cx.stores, &key, bytes, Some(row.timestamp), |found| {
                            let found = found.map(|(value, _)| value);
                            (self.left || found.is_some()).then(|| (self.join)(&row.value, found))
                        })
                }
                // Nothing can be found, and nothing could be later (KIP-962).
                Ok(None) if self.left => Some((self.join)(&row.value, None)),
                Ok(None) => {
                    cx.counts.null_key += 1;
                    None
                }
                Err(error) => {
                    cx.failed.get_or_insert(bad_key(error));
                    return;
                }
            };
            drop(key);
            if let Some(joined) = joined.flatten() {
                output.rows.push(row.map_value(|_, _| joined));
            }
        }
    }
}
