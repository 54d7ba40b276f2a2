//! Makes other values by code that can fail.

use std::marker::PhantomData;
use std::sync::Arc;

use super::process::refuse;
use super::{Context, Operator};
use crate::data::Data;
use crate::processor::{Failure, Policy};
use crate::record::chunk::{AnyChunk, typed};

/// Values that the closure makes; what is done with the others is for the policy to say.
pub(crate) struct TryMap<F, K, V, W> {
    map: Arc<F>,
    name: Arc<str>,
    policy: Policy,
    types: PhantomData<fn(K, V) -> W>,
}

impl<F, K, V, W> TryMap<F, K, V, W> {
    pub(crate) fn new(map: Arc<F>, name: Arc<str>, policy: Policy) -> Self {
        Self {
            map,
            name,
            policy,
            types: PhantomData,
        }
    }
}

impl<F, K, V, W> Operator for TryMap<F, K, V, W>
where
    F: Fn(&V) -> Result<W, Failure> + Send + Sync,
    K: Data,
    V: Data,
    W: Clone + Send + 'static,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        cx.outputs.get::<K, W>(0).watermark = input.watermark;
        for row in input.rows.drain(..) {
            match (self.map)(&row.value) {
                Ok(value) => {
                    let rows = &mut cx.outputs.get::<K, W>(0).rows;
                    rows.push(row.map_value(|_, _| value));
                }
                Err(why) => {
                    refuse(&self.policy, &self.name, Some(&row), &why, cx);
                    if cx.failed.is_some() {
                        return;
                    }
                }
            }
        }
    }
}
