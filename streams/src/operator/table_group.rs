//! Gives changes of a table other keys (Kafka: `KTableRepartitionMap`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::record::chunk::{AnyChunk, typed};
use crate::record::{Change, Record};

/// Sends on what each group loses and gains: one change where old and new value belong to one group,
/// else first that of the old group. Groups and values that are null have no changes.
pub(crate) struct TableGroup<F, K, V, L, W> {
    group: Arc<F>,
    old: Vec<u8>,
    new: Vec<u8>,
    from: PhantomData<fn(K, V)>,
    to: PhantomData<fn() -> (L, W)>,
}

impl<F, K, V, L, W> TableGroup<F, K, V, L, W> {
    pub(crate) fn new(group: Arc<F>) -> Self {
        Self {
            group,
            old: Vec::new(),
            new: Vec::new(),
            from: PhantomData,
            to: PhantomData,
        }
    }
}

impl<F, K, V, L, W> Operator for TableGroup<F, K, V, L, W>
where
    F: Fn(&K, &V) -> (L, W) + Send + Sync,
    K: Data,
    V: Data,
    L: Data,
    W: Data,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, Change<V>>(input);
        let output = cx.outputs.get::<L, Change<W>>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            let pair = |value: Option<V>| {
                let (key, value) = (self.group)(&row.key, &value?);
                (!key.is_null() && !value.is_null()).then_some((key, value))
            };
            let (old, new) = (pair(row.value.old), pair(row.value.new));
            let mut send = |key, new, old, headers| {
                output.rows.push(Record {
                    key,
                    value: Change { new, old },
                    timestamp: row.timestamp,
                    headers,
                    watermark: row.watermark,
                });
            };
            match (old, new) {
                (None, None) => {}
                (Some((key, old)), None) => send(key, None, Some(old), row.headers),
                (None, Some((key, new))) => send(key, Some(new), None, row.headers),
                (Some((old_key, old)), Some((new_key, new))) => {
                    self.old.clear();
                    self.new.clear();
                    let same = old_key
                        .encode(&mut self.old)
                        .and_then(|old| Ok(old == new_key.encode(&mut self.new)?));
                    match same {
                        Ok(true) => send(new_key, Some(new), Some(old), row.headers),
                        Ok(false) => {
                            send(old_key, None, Some(old), row.headers.clone());
                            send(new_key, Some(new), None, row.headers);
                        }
                        Err(error) => {
                            cx.failed.get_or_insert(bad_key(error));
                            return;
                        }
                    }
                }
            }
        }
    }
}
