//! Makes one sorted list of states of several.

use std::sync::Arc;

use parquet::errors::ParquetError;

use crate::data::{Data, DataError};
use crate::serving::aggregate::{Aggregate, State};
use crate::serving::kept;
use crate::serving::snapshot::{Row, States, StatesWriter};
use crate::serving::view::View;

/// Where states come from, in the order of their keys.
pub(crate) enum Sorted {
    /// A snapshot's, or those that a run had to put aside.
    File(Arc<States>),
    /// Those that are in memory.
    Memory(Vec<(Vec<u8>, Vec<u8>)>),
}

impl Sorted {
    fn len(&self) -> usize {
        match self {
            Self::File(states) => states.keys.len(),
            Self::Memory(states) => states.len(),
        }
    }

    fn get(&self, at: usize) -> (&[u8], &[u8]) {
        match self {
            Self::File(states) => (states.keys.get(at), states.states.get(at)),
            Self::Memory(states) => (&states[at].0, &states[at].1),
        }
    }
}

/// Goes through several sorted lists at once. There are few of them.
pub(crate) struct Merge<K, A: Aggregate> {
    view: Arc<View<K, A>>,
    /// Each with the number of its next state.
    sources: Vec<(Sorted, usize)>,
    key: Vec<u8>,
    state: Vec<u8>,
}

/// Why states cannot be merged.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// A state is none.
    #[error("the state of key {key}: {error}")]
    State { key: String, error: DataError },
    /// What people are shown of a state is no JSON.
    #[error("the value of key {key}: {reason}")]
    Value { key: String, reason: String },
    /// Parquet does not take it.
    #[error("{0}")]
    Parquet(String),
}

impl From<ParquetError> for MergeError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

impl<K: Data, A: Aggregate> Merge<K, A> {
    pub(crate) fn new(view: Arc<View<K, A>>, sources: Vec<Sorted>) -> Self {
        Self {
            view,
            sources: sources.into_iter().map(|source| (source, 0)).collect(),
            key: Vec::new(),
            state: Vec::new(),
        }
    }

    /// Writes up to `most` more states; `false` if there are no more.
    pub(crate) fn step(
        &mut self,
        most: usize,
        writer: &mut StatesWriter,
    ) -> Result<bool, MergeError> {
        for _ in 0..most {
            if !self.next(writer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn next(&mut self, writer: &mut StatesWriter) -> Result<bool, MergeError> {
        let view = &self.view;
        let heads = self
            .sources
            .iter()
            .filter(|(source, at)| *at < source.len());
        let first = heads.map(|(source, at)| source.get(*at).0);
        let Some(first) = first.min_by(|a, b| view.order(a, b)) else {
            return Ok(false);
        };
        self.key.clear();
        self.key.extend_from_slice(first);
        let aggregate = view.aggregate();
        let mut sum: Option<A::State> = None;
        for (source, at) in &mut self.sources {
            if *at >= source.len() {
                continue;
            }
            let (key, state) = source.get(*at);
            if key != self.key {
                continue;
            }
            *at += 1;
            let state = kept::read::<A::State>(state).map_err(|error| MergeError::State {
                key: view.shown(&self.key).to_string(),
                error,
            })?;
            match &mut sum {
                Some(sum) => aggregate.merge(sum, state),
                None => sum = Some(state),
            }
        }
        let sum = sum.unwrap_or_else(|| aggregate.empty());
        self.state.clear();
        sum.encode(&mut self.state);
        let (key, window) = view.split(&self.key);
        let shown = view.shown(key);
        let value = serde_json::to_string(&aggregate.value(&sum));
        let value = value.map_err(|error| MergeError::Value {
            key: shown.to_string(),
            reason: error.to_string(),
        })?;
        let shown = match shown {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        writer.push(&Row {
            key,
            shown: &shown,
            window,
            state: &self.state,
            value: &value,
        })?;
        Ok(true)
    }
}
