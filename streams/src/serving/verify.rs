//! Computes a snapshot's states again from the log, and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tidemark_client::{Client, Clock, TopicPartition};

use super::aggregate::Aggregate;
use super::batch::{BatchError, Delta, KafkaLog, Log, Reader, records};
use super::kept;
use super::snapshot::{Manifest, SnapshotError, Snapshots, States};
use super::view::{Raw, Scratch, View};
use super::{Coverage, Tally};
use crate::data::{Data, Payload};
use crate::record::Headers;

/// So many differences are told in full; of the others there is the number.
const MOST: usize = 100;
/// So many records of a key are told.
const MOST_RECORDS: usize = 1_000;

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The snapshot that was looked at.
    pub snapshot: u64,
    /// Up to where it covers the log.
    pub coverage: Coverage,
    /// How many records were read.
    pub records: u64,
    /// How many states were compared.
    pub states: u64,
    /// Partitions in which other records were read than the snapshot counts.
    pub tallies: Vec<OtherRecords>,
    /// States that are not the same.
    pub differences: Vec<Difference>,
    /// How many differences there are beside these.
    pub more: u64,
}

impl Verdict {
    /// Whether everything is the same.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.differences.is_empty() && self.tallies.is_empty()
    }
}

/// A partition of which a snapshot counts other records than there are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OtherRecords {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What the snapshot counts.
    pub snapshot: Tally,
    /// What there is.
    pub log: Tally,
}

/// A state that is not what the log says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The key as people are shown it.
    pub key: serde_json::Value,
    /// Where its window starts, in views by window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
    /// The topic of the partition that the state is of.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What the snapshot shows, as JSON; `None` if it has nothing of the key.
    pub snapshot: Option<String>,
    /// What the log makes of it.
    pub log: Option<String>,
    /// The offsets of the records that the log has of the key, the first thousand.
    pub records: Vec<i64>,
}

/// Why nothing can be compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no snapshot.
    #[error("view {view:?} has no snapshot yet")]
    NoSnapshot {
        /// The view.
        view: String,
    },
    /// The snapshot is another view's.
    #[error("snapshot {snapshot} is of {found}, and the view is {wanted}")]
    OtherView {
        /// The snapshot.
        snapshot: u64,
        /// What it is of.
        found: String,
        /// What the view is.
        wanted: String,
    },
    /// The log does not have everything any more that the snapshot is made of.
    #[error(
        "{partition}: the snapshot begins at offset {begin}, and the log at {log_start}: what it was made of \
         is not all there any more"
    )]
    Gone {
        /// The partition.
        partition: TopicPartition,
        /// Where the snapshot begins.
        begin: i64,
        /// Where the log begins.
        log_start: i64,
    },
    /// Snapshots cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] BatchError),
}

/// Computes the states of a snapshot, the newest if none is named, from the records that the log has, and
/// compares them with those in its files, byte by byte. `as_of` takes the newest one that covers no more than
/// that.
///
/// # Errors
///
/// [`VerifyError`] if there is nothing to compare. Differences are no error: [`Verdict::is_good`].
pub async fn verify<K: Data, A: Aggregate>(
    view: &Arc<View<K, A>>,
    client: Arc<Client>,
    clock: Clock,
    snapshots: &Snapshots,
    as_of: Option<&Coverage>,
) -> Result<Verdict, VerifyError> {
    let log = KafkaLog { client, clock };
    let manifest = choose(view, snapshots, as_of).await?;
    compare(view, &log, snapshots, &manifest).await
}

/// Compares a snapshot with whatever log.
pub(super) async fn compare<K: Data, A: Aggregate, L: Log>(
    view: &Arc<View<K, A>>,
    log: &L,
    snapshots: &Snapshots,
    manifest: &Manifest,
) -> Result<Verdict, VerifyError> {
    let check = Check {
        view,
        log,
        snapshots,
        manifest,
    };
    check.run().await
}

/// The newest snapshot of the view that covers no more than is asked for.
async fn choose<K: Data, A: Aggregate>(
    view: &View<K, A>,
    snapshots: &Snapshots,
    as_of: Option<&Coverage>,
) -> Result<Manifest, VerifyError> {
    let mut other = None;
    for number in snapshots.numbers().await?.into_iter().rev() {
        let manifest = snapshots.manifest(number).await?;
        if manifest.fingerprint != view.fingerprint() {
            other.get_or_insert(VerifyError::OtherView {
                snapshot: number,
                found: manifest.definition,
                wanted: view.definition(),
            });
            continue;
        }
        if as_of.is_none_or(|as_of| as_of.includes(&manifest.coverage())) {
            return Ok(manifest);
        }
    }
    Err(other.unwrap_or_else(|| VerifyError::NoSnapshot {
        view: view.name().to_owned(),
    }))
}

struct Check<'a, K, A: Aggregate, L> {
    view: &'a Arc<View<K, A>>,
    log: &'a L,
    snapshots: &'a Snapshots,
    manifest: &'a Manifest,
}

impl<K: Data, A: Aggregate, L: Log> Check<'_, K, A, L> {
    async fn run(&self) -> Result<Verdict, VerifyError> {
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = self.log.bounds(&topics).await?;
        let mut verdict = Verdict {
            snapshot: self.manifest.snapshot,
            coverage: self.manifest.coverage(),
            records: 0,
            states: 0,
            tallies: Vec::new(),
            differences: Vec::new(),
            more: 0,
        };
        for (number, topic) in topics.iter().enumerate() {
            let source = self.manifest.sources.iter().find(|own| own.topic == *topic);
            for own in source.iter().flat_map(|source| &source.partitions) {
                let partition = TopicPartition::new(&**topic, own.partition);
                let starts = bounds[number].partitions.iter();
                let mut starts = starts.filter(|now| now.partition == own.partition);
                let log_start = starts.next().map_or(i64::MAX, |now| now.start);
                if log_start > own.begin && own.to > own.begin {
                    return Err(VerifyError::Gone {
                        partition,
                        begin: own.begin,
                        log_start,
                    });
                }
                let range = (own.begin, own.to);
                let mut delta = Delta::new(Arc::clone(self.view), number, partition.clone(), 0);
                self.each(&partition, range, |record, buffer| {
                    delta.add(record, buffer);
                })
                .await?;
                if delta.tally != own.tally {
                    verdict.tallies.push(OtherRecords {
                        topic: topic.clone(),
                        partition: own.partition,
                        snapshot: own.tally,
                        log: delta.tally,
                    });
                }
                verdict.records += delta.tally.records;
                let computed = delta.take_sorted();
                let states = self.states(topic, own.partition).await?;
                let from = verdict.differences.len();
                self.compare(&partition, &states, &computed, &mut verdict)?;
                self.find_records(number, &partition, range, &mut verdict.differences[from..])
                    .await?;
            }
        }
        Ok(verdict)
    }

    /// Tells all records of a range.
    async fn each(
        &self,
        partition: &TopicPartition,
        (from, to): (i64, i64),
        mut tell: impl FnMut(&tidemark_client::consumer::RecordRef<'_>, &bytes::Bytes),
    ) -> Result<(), BatchError> {
        if from >= to {
            return Ok(());
        }
        let mut reader = self.log.read(partition.clone(), from)?;
        let mut position = from;
        while position < to {
            let (batches, next) = reader.next().await?;
            records(partition, &batches, (position, to), |record, buffer| {
                tell(record, buffer);
                Ok(())
            })?;
            position = next;
        }
        Ok(())
    }

    async fn states(&self, topic: &str, partition: i32) -> Result<States, SnapshotError> {
        let mut states = States::default();
        let files = self.manifest.states.iter();
        for file in files.filter(|file| file.topic == topic && file.partition == partition) {
            states = self.snapshots.states(file, states).await?;
        }
        Ok(states)
    }

    /// Goes through both sorted lists at once.
    fn compare(
        &self,
        partition: &TopicPartition,
        states: &States,
        computed: &[(Vec<u8>, Vec<u8>)],
        verdict: &mut Verdict,
    ) -> Result<(), VerifyError> {
        let (mut at, mut computed) = (0, computed.iter().peekable());
        loop {
            let stored = (at < states.keys.len()).then(|| states.keys.get(at));
            let order = match (stored, computed.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(stored), Some((key, _))) => self.view.order(stored, key),
            };
            verdict.states += 1;
            let mut own = None;
            if order.is_le() {
                own = Some((states.keys.get(at), states.states.get(at)));
                at += 1;
            }
            let other = if order.is_ge() { computed.next() } else { None };
            let same =
                own.is_some() && own.map(|(_, state)| state) == other.map(|(_, state)| &state[..]);
            if same {
                continue;
            }
            if verdict.differences.len() >= MOST {
                verdict.more += 1;
                continue;
            }
            let name = own.map(|(key, _)| key).or(other.map(|(key, _)| &key[..]));
            let (key, window) = self.view.split(name.unwrap_or_default());
            verdict.differences.push(Difference {
                key: self.view.shown(key),
                window,
                topic: partition.topic.to_string(),
                partition: partition.partition,
                snapshot: own.map(|(_, state)| self.shown(state)),
                log: other.map(|(_, state)| self.shown(state)),
                records: Vec::new(),
            });
        }
    }

    fn shown(&self, state: &[u8]) -> String {
        let shown = kept::read::<A::State>(state).map_err(|error| error.to_string());
        let shown = shown.and_then(|state| {
            let value = self.view.aggregate().value(&state);
            serde_json::to_string(&value).map_err(|error| error.to_string())
        });
        shown.unwrap_or_else(|error| format!("a state that cannot be read: {error}"))
    }

    /// Reads the range once more for the records of those keys that differ.
    async fn find_records(
        &self,
        number: usize,
        partition: &TopicPartition,
        range: (i64, i64),
        differences: &mut [Difference],
    ) -> Result<(), VerifyError> {
        if differences.is_empty() {
            return Ok(());
        }
        let wanted = differences.iter();
        let wanted: BTreeSet<(String, Option<i64>)> = wanted
            .map(|own| (own.key.to_string(), own.window))
            .collect();
        let mut found: BTreeMap<(String, Option<i64>), Vec<i64>> = BTreeMap::new();
        let mut scratch = Scratch::default();
        self.each(partition, range, |record, buffer| {
            let raw = Raw {
                partition: partition.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                key: Payload::within(record.key(), buffer),
                value: Payload::within(record.value(), buffer),
                headers: Headers::default(),
            };
            let mut keys = Vec::new();
            let read = self.view.read(number, &raw, &mut scratch, |name, _, _| {
                let (key, window) = self.view.split(name);
                keys.push((self.view.shown(key).to_string(), window));
            });
            if read.is_ok() {
                for key in keys.into_iter().filter(|key| wanted.contains(key)) {
                    let offsets = found.entry(key).or_default();
                    if offsets.len() < MOST_RECORDS {
                        offsets.push(record.offset);
                    }
                }
            }
        })
        .await?;
        for own in differences {
            let key = (own.key.to_string(), own.window);
            own.records = found.get(&key).cloned().unwrap_or_default();
        }
        Ok(())
    }
}
