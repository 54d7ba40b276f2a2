//! Joins two tables (Kafka: `KTableKTableInnerJoin` and its like).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::record::chunk::{AnyChunk, typed};
use crate::record::{Change, Record};
use crate::state::Getter;

/// Which keys a join has a value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sides {
    /// Whether a value of this side will do.
    pub(crate) this: bool,
    /// Whether one of the other side will do.
    pub(crate) other: bool,
}

impl Sides {
    pub(crate) fn reversed(self) -> Self {
        Self {
            this: self.other,
            other: self.this,
        }
    }

    /// Whether there is a value.
    pub(crate) fn has(self, this: bool, other: bool) -> bool {
        match (this, other) {
            (true, true) => true,
            (true, false) => self.this,
            (false, true) => self.other,
            (false, false) => false,
        }
    }
}

/// One side of a join: it is driven by the changes of this table, and looks the other one up.
pub(crate) struct TableJoin<F, K, V, O, W> {
    join: Arc<F>,
    sides: Sides,
    other: Getter<K, O>,
    wants_old: bool,
    scratch: Vec<u8>,
    types: PhantomData<fn(V) -> W>,
}

impl<F, K, V, O, W> TableJoin<F, K, V, O, W> {
    pub(crate) fn new(join: Arc<F>, sides: Sides, other: Getter<K, O>, wants_old: bool) -> Self {
        Self {
            join,
            sides,
            other,
            wants_old,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<F, K, V, O, W> Operator for TableJoin<F, K, V, O, W>
where
    F: Fn(&K, Option<&V>, Option<&O>) -> Option<W> + Send + Sync,
    K: Data,
    V: Data,
    O: Data,
    W: Data,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, Change<V>>(input);
        let output = cx.outputs.get::<K, Change<W>>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            self.scratch.clear();
            let bytes = match row.key.encode(&mut self.scratch) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    cx.counts.null_key += 1;
                    continue;
                }
                Err(error) => {
                    cx.failed.get_or_insert(bad_key(error));
                    return;
                }
            };
            let (key, Change { new, old }) = (&row.key, row.value);
            let joined = self.other.with(cx.stores, key, bytes, |found| {
                let nothing_before = new.is_none() && old.is_none();
                if found.is_none() && (!self.sides.this || nothing_before) {
                    return None;
                }
                let other = found.map(|(other, _)| other);
                let join = |this: Option<V>| {
                    if !self.sides.has(this.is_some(), other.is_some()) {
                        return None;
                    }
                    (self.join)(key, this.as_ref(), other).filter(|value| !value.is_null())
                };
                let old = if self.wants_old { join(old) } else { None };
                let timestamp = found.map_or(i64::MIN, |(_, timestamp)| timestamp);
                Some((
                    Change {
                        new: join(new),
                        old,
                    },
                    timestamp,
                ))
            });
            let Some((change, timestamp)) = joined else {
                continue;
            };
            output.rows.push(Record {
                key: row.key,
                value: change,
                timestamp: timestamp.max(row.timestamp),
                headers: row.headers,
                watermark: row.watermark,
            });
        }
    }
}
