//! Makes one sorted list of states of several.

use std::collections::VecDeque;
use std::sync::Arc;

use parquet::errors::ParquetError;

use crate::data::{Data, DataError};
use crate::serving::aggregate::{Aggregate, State};
use crate::serving::kept;
use crate::serving::snapshot::{Row, States, StatesReader, StatesWriter};
use crate::serving::view::View;

/// States in the order of their keys, which are gone through once.
pub(super) struct Sorted {
    /// The files in which the next ones are, one after the other: a snapshot's, or those that a run had to put
    /// aside.
    files: VecDeque<(String, StatesReader)>,
    /// The file that the group is of.
    file: Option<String>,
    /// What is unpacked: a group of a file, or all of what was in memory.
    group: States,
    /// The next state's place in the group.
    at: usize,
}

impl Sorted {
    /// Those of files, with their paths.
    pub(super) fn files(files: Vec<(String, StatesReader)>) -> Self {
        Self {
            files: files.into(),
            file: None,
            group: States::default(),
            at: 0,
        }
    }

    pub(super) fn memory(states: States) -> Self {
        Self {
            files: VecDeque::new(),
            file: None,
            group: states,
            at: 0,
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
    fn head(&self) -> Option<(&[u8], &[u8])> {
        let Self { group, at, .. } = self;
        (*at < group.keys.len()).then(|| (group.keys.get(*at), group.states.get(*at)))
    }

    fn advance(&mut self) -> Result<(), MergeError> {
        self.at += 1;
        self.fill()
    }
}

/// Goes through several sorted lists at once. There are few of them.
pub(super) struct Merge<K, A: Aggregate> {
    view: Arc<View<K, A>>,
    sources: Vec<Sorted>,
    /// Whether people are to be shown what is written.
    shown: bool,
    key: Vec<u8>,
    state: Vec<u8>,
    value: Vec<u8>,
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
    pub(super) fn new(view: Arc<View<K, A>>, sources: Vec<Sorted>, shown: bool) -> Self {
        Self {
            view,
            sources,
            shown,
            key: Vec::new(),
            state: Vec::new(),
            value: Vec::new(),
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
        let view = &self.view;
        let heads = self.sources.iter().filter_map(Sorted::head);
        let first = heads.map(|(key, _)| key).min_by(|a, b| view.order(a, b));
        let Some(first) = first else {
            return Ok(false);
        };
        self.key.clear();
        self.key.extend_from_slice(first);
        let of_key = |source: &Sorted| source.head().is_some_and(|(key, _)| key == self.key);
        let count = self.sources.iter().filter(|source| of_key(source)).count();
        let aggregate = view.aggregate();
        let mut sum: Option<A::State> = None;
        for source in &mut self.sources {
            let Some((_, state)) = source.head().filter(|(key, _)| *key == self.key) else {
                continue;
            };
            if count == 1 {
                self.state.clear();
                self.state.extend_from_slice(state);
            }
            // What is alone, and nobody is shown, stays as it is.
            if count > 1 || self.shown {
                let state = kept::read::<A::State>(state).map_err(|error| MergeError::State {
                    file: source.file.clone(),
                    key: view.shown(&self.key).to_string(),
                    error,
                })?;
                match &mut sum {
                    Some(sum) => aggregate.merge(sum, state),
                    None => sum = Some(state),
                }
            }
            source.advance()?;
        }
        if count > 1
            && let Some(sum) = &sum
        {
            self.state.clear();
            sum.encode(&mut self.state);
        }
        self.write(sum.filter(|_| self.shown).as_ref(), writer)?;
        Ok(true)
    }

    /// Writes the state of the key; `sum` if people are shown it.
    fn write(
        &mut self,
        sum: Option<&A::State>,
        writer: &mut StatesWriter,
    ) -> Result<(), MergeError> {
        let (key, window) = self.view.split(&self.key);
        let mut shown = String::new();
        self.value.clear();
        if let Some(sum) = sum {
            shown = match self.view.shown(key) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let value = self.view.aggregate().value(sum);
            let written = serde_json::to_writer(&mut self.value, &value);
            written.map_err(|error| MergeError::Value {
                key: shown.clone(),
                reason: error.to_string(),
            })?;
        }
        writer.push(&Row {
            key,
            shown: &shown,
            window,
            state: &self.state,
            value: &self.value,
        })?;
        Ok(())
    }
}
