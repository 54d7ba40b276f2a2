//! A snapshot in memory.

use std::collections::BTreeMap;

use super::{Manifest, SnapshotError, Snapshots, SourcePartition, States};
use crate::data::{Data, DataError};
use crate::serving::aggregate::Aggregate;
use crate::serving::kept;
use crate::serving::view::View;

/// A source partition: the topic's number among those of the view, and its own.
pub(crate) type Part = (usize, i32);

/// A snapshot whose files have all been read and checked.
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    parts: BTreeMap<Part, States>,
    sources: BTreeMap<Part, SourcePartition>,
}

impl Loaded {
    /// Reads all files of a snapshot.
    pub(crate) async fn read<K: Data, A: Aggregate>(
        view: &View<K, A>,
        snapshots: &Snapshots,
        manifest: Manifest,
    ) -> Result<Self, SnapshotError> {
        let (mut parts, mut sources) = (BTreeMap::new(), BTreeMap::new());
        for (number, topic) in view.topics().enumerate() {
            let of = manifest.sources.iter().filter(|of| of.topic == topic);
            for own in of.flat_map(|of| &of.partitions) {
                sources.insert((number, own.partition), own.clone());
            }
            let files = manifest.states.iter().filter(|file| file.topic == topic);
            for file in files {
                let part = (number, file.partition);
                let before = parts.remove(&part).unwrap_or_default();
                parts.insert(part, snapshots.states(file, before).await?);
            }
        }
        Ok(Self {
            manifest,
            parts,
            sources,
        })
    }

    /// Where its coverage of a partition ends; `None` if it has nothing of it, because there was no such
    /// partition.
    pub(crate) fn end(&self, part: Part) -> Option<i64> {
        Some(self.source(part)?.to)
    }

    /// What it has of a partition.
    pub(crate) fn source(&self, part: Part) -> Option<&SourcePartition> {
        self.sources.get(&part)
    }

    /// The states of a partition; `None` if there are none.
    pub(crate) fn states(&self, part: Part) -> Option<&States> {
        self.parts.get(&part)
    }

    /// The state of a key.
    pub(crate) fn get<K: Data, A: Aggregate>(
        &self,
        view: &View<K, A>,
        part: Part,
        key: &[u8],
    ) -> Result<Option<A::State>, DataError> {
        let Some(states) = self.states(part) else {
            return Ok(None);
        };
        match states.find(|own| view.order(own, key)) {
            Ok(at) => kept::read(states.states.get(at)).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.values().map(States::size).sum()
    }

    /// How many states it has.
    pub(crate) fn len(&self) -> usize {
        self.parts.values().map(|states| states.keys.len()).sum()
    }
}
