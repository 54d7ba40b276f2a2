//! Makes a table of another one value by value (Kafka: `KTableFilter`, `KTableMapValues`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator};
use crate::data::Data;
use crate::record::Change;
use crate::record::chunk::{AnyChunk, typed};

/// Works new and old values out of new and old values.
pub(crate) struct TableMap<F, K, V, W> {
    map: Arc<F>,
    /// Whether old values come: then a key that was not there and is not there says nothing.
    gets_old: bool,
    skip_absent: bool,
    types: PhantomData<fn(K, V) -> W>,
}

impl<F, K, V, W> TableMap<F, K, V, W> {
    /// `skip_absent` leaves out changes of keys that neither were there nor are, as far as that is
    /// known.
    pub(crate) fn new(map: Arc<F>, gets_old: bool, skip_absent: bool) -> Self {
        Self {
            map,
            gets_old,
            skip_absent,
            types: PhantomData,
        }
    }
}

impl<F, K, V, W> Operator for TableMap<F, K, V, W>
where
    F: Fn(&K, &V) -> Option<W> + Send + Sync,
    K: Data,
    V: Data,
    W: Data,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, Change<V>>(input);
        let output = cx.outputs.get::<K, Change<W>>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            let map = |value: Option<V>| {
                let mapped = (self.map)(&row.key, &value?);
                mapped.filter(|value| !value.is_null())
            };
            let change = Change {
                old: map(row.value.old),
                new: map(row.value.new),
            };
            if self.skip_absent && self.gets_old && change.old.is_none() && change.new.is_none() {
                continue;
            }
            output.rows.push(crate::record::Record {
                key: row.key,
                value: change,
                timestamp: row.timestamp,
                headers: row.headers,
                watermark: row.watermark,
            });
        }
    }
}
