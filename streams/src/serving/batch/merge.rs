//! Makes one sorted list of states of several.

use std::collections::VecDeque;
use std::sync::Arc;

use parquet::errors::ParquetError;

use super::delta::Computed;
use crate::data::{Data, DataError};
use crate::serving::aggregate::{Aggregate, State};
use crate::serving::kept;
use crate::serving::snapshot::{Row, States, StatesReader, StatesWriter};
use crate::serving::view::View;

/// So many states before its turn one that lies in memory is brought near.
const AHEAD: usize = 8;

/// States in the order of their keys, which are gone through once.
pub(super) struct Sorted<S> {
    /// Those that have been computed and are in memory, or none.
    computed: Option<Computed<S>>,
    /// The files in which the next ones are, one after the other: a snapshot's, or those that a run had to put
    /// aside.
    files: VecDeque<(String, StatesReader)>,
    /// The file that the group is of.
    file: Option<String>,
    /// What is unpacked of the file.
    group: States,
    /// The next state's place in the group, or in what has been computed.
    at: usize,
}

/// A state: its bytes, or itself.
enum Head<'a, S> {
    Written(&'a [u8]),
    Computed(&'a S),
}

impl<S: State> Sorted<S> {
    /// Those of files, with their paths.
    pub(super) fn files(files: Vec<(String, StatesReader)>) -> Self {
        Self {
            computed: None,
            files: files.into(),
            file: None,
            group: States::default(),
            at: 0,
        }
    }

    pub(super) fn memory(states: Computed<S>) -> Self {
        Self {
            computed: Some(states),
            ..Self::files(Vec::new())
        }
    }

    /// Makes sure that the next state can be looked at, if there is one.
    fn fill(&mut self) -> Result<(), MergeError> {
        while self.at >= self.group.keys.len()
            && let Some((path, file)) = self.files.front_mut()
        {
            self.group.clear();
            self.at = 0;
            let more = file
                .next(&mut self.group)
                .map_err(|error| MergeError::File {
                    file: path.clone(),
                    reason: error.to_string(),
                })?;
            if self.file.as_ref() != Some(&*path) {
                self.file = Some(path.clone());
            }
            if !more {
                self.files.pop_front();
            }
        }
        Ok(())
    }

    /// The next state with its key, once [`Self::fill`] has seen to it.
    fn head(&self) -> Option<(&[u8], Head<'_, S>)> {
        let (group, at) = (&self.group, self.at);
        match &self.computed {
            Some(computed) => {
                let (key, state) = computed.get(at)?;
                Some((key, Head::Computed(state)))
            }
            None if at < group.keys.len() => {
                Some((group.keys.get(at), Head::Written(group.states.get(at))))
            }
            None => None,
        }
    }

    fn advance(&mut self) -> Result<(), MergeError> {
        self.at += 1;
        if let Some(computed) = &self.computed {
            computed.bring_near(self.at + AHEAD);
        }
        self.fill()
    }
}

/// Goes through several sorted lists at once. There are few of them.
pub(super) struct Merge<K, A: Aggregate> {
    view: Arc<View<K, A>>,
    sources: Vec<Sorted<A::State>>,
    /// Whether people are to be shown what is written.
    shown: bool,
    key: Vec<u8>,
    buffers: Buffers,
}

/// Why states cannot be merged.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum MergeError {
    /// A file that is what was written cannot be unpacked.
    #[error("{reason}")]
    File { file: String, reason: String },
    /// A state is none. If it is one of a file, which has been compared with its checksum, it was one.
    #[error(
        "the state of key {key}: {error}{}",
        match file {
            Some(_) => ". If states of this aggregate were others when it was written, give the view a new version",
            None => "",
        }
    )]
    State {
        file: Option<String>,
        key: String,
        error: DataError,
    },
    /// What people are shown of a state is no JSON.
    #[error("the value of key {key}: {reason}")]
    Value { key: String, reason: String },
    /// Parquet does not take it.
    #[error("{0}")]
    Parquet(String),
}

impl MergeError {
    /// The file with which something is wrong, if it is not the one that is written.
    pub(super) fn file(&self) -> Option<&str> {
        match self {
            Self::File { file, .. } => Some(file),
            Self::State { file, .. } => file.as_deref(),
            Self::Value { .. } | Self::Parquet(_) => None,
        }
    }
}

impl From<ParquetError> for MergeError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

impl<K: Data, A: Aggregate> Merge<K, A> {
    /// Of a snapshot's states, if they are `shown`; else of states that are put aside.
    pub(super) fn new(view: Arc<View<K, A>>, sources: Vec<Sorted<A::State>>, shown: bool) -> Self {
        Self {
            view,
            sources,
            shown,
            key: Vec::new(),
            buffers: Buffers::default(),
        }
    }

    /// Whether people are to be shown what is written.
    pub(super) fn is_shown(&self) -> bool {
        self.shown
    }

    /// Writes up to `most` more states; `false` if there are no more.
    pub(super) fn step(
        &mut self,
        most: usize,
        writer: &mut StatesWriter,
    ) -> Result<bool, MergeError> {
        self.sources.iter_mut().try_for_each(Sorted::fill)?;
        for _ in 0..most {
            if !self.next(writer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn next(&mut self, writer: &mut StatesWriter) -> Result<bool, MergeError> {
        let (view, buffers) = (&self.view, &mut self.buffers);
        let heads = self.sources.iter().filter_map(Sorted::head);
        let first = heads.map(|(key, _)| key).min_by(|a, b| view.order(a, b));
        let Some(first) = first else {
            return Ok(false);
        };
        let key = &mut self.key;
        key.clear();
        key.extend_from_slice(first);
        let mut own = self.sources.iter().filter_map(|source| {
            let (_, head) = source.head().filter(|(other, _)| other == key)?;
            Some((source, head))
        });
        let read = |source: &Sorted<A::State>, bytes| {
            kept::read::<A::State>(bytes).map_err(|error| MergeError::State {
                file: source.file.clone(),
                key: view.shown(key).to_string(),
                error,
            })
        };
        match (own.next(), own.next()) {
            // What is alone, and nobody is shown, stays as it is.
            (Some((source, Head::Written(bytes))), None) => {
                let shown = self.shown.then(|| read(source, bytes)).transpose()?;
                buffers.write(view, key, bytes, shown.as_ref(), writer)?;
            }
            (Some((_, Head::Computed(state))), None) => {
                let shown = self.shown.then_some(state);
                buffers.write_state(view, key, state, shown, writer)?;
            }
            (first, second) => {
                let aggregate = view.aggregate();
                let all = first.into_iter().chain(second).chain(own);
                let mut states = all.map(|(source, head)| match head {
                    Head::Written(bytes) => read(source, bytes),
                    Head::Computed(state) => Ok(state.clone()),
                });
                let mut sum = states.next().unwrap_or_else(|| Ok(aggregate.empty()))?;
                for state in states {
                    aggregate.merge(&mut sum, state?);
                }
                let shown = self.shown.then_some(&sum);
                buffers.write_state(view, key, &sum, shown, writer)?;
            }
        }
        for source in &mut self.sources {
            if source.head().is_some_and(|(other, _)| other == key) {
                source.advance()?;
            }
        }
        Ok(true)
    }
}

/// Memory for what is being written.
#[derive(Default)]
struct Buffers {
    state: Vec<u8>,
    value: Vec<u8>,
}

impl Buffers {
    /// Writes the state of a key; it is `shown` if people are to be shown it.
    fn write_state<K: Data, A: Aggregate>(
        &mut self,
        view: &View<K, A>,
        key: &[u8],
        state: &A::State,
        shown: Option<&A::State>,
        writer: &mut StatesWriter,
    ) -> Result<(), MergeError> {
        let mut bytes = std::mem::take(&mut self.state);
        bytes.clear();
        state.encode(&mut bytes);
        let written = self.write(view, key, &bytes, shown, writer);
        self.state = bytes;
        written
    }

    /// Writes a state's bytes as they are.
    fn write<K: Data, A: Aggregate>(
        &mut self,
        view: &View<K, A>,
        key: &[u8],
        state: &[u8],
        shown: Option<&A::State>,
        writer: &mut StatesWriter,
    ) -> Result<(), MergeError> {
        let (key, window) = view.split(key);
        let mut name = String::new();
        self.value.clear();
        if let Some(state) = shown {
            name = match view.shown(key) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let value = view.aggregate().value(state);
            let written = serde_json::to_writer(&mut self.value, &value);
            written.map_err(|error| MergeError::Value {
                key: name.clone(),
                reason: error.to_string(),
            })?;
        }
        writer.push(&Row {
            key,
            shown: &name,
            window,
            state,
            value: &self.value,
        })?;
        Ok(())
    }
}
