//! Compares a snapshot's files with the log.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_client::TopicPartition;

use super::reading::{Reading, Wanted, check_range, find_records};
use super::{Difference, MOST, OtherRecords, Verdict, VerifyError};
use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{Delta, Log, TopicBounds};
use crate::serving::kept;
use crate::serving::snapshot::{Manifest, SnapshotError, Snapshots, SourcePartition, States};
use crate::serving::view::View;

/// The newest snapshot of the view that covers no more than is asked for.
pub(super) async fn choose<K: Data, A: Aggregate, L: Log>(
    view: &View<K, A>,
    log: &L,
    snapshots: &Snapshots,
    as_of: Option<&Coverage>,
) -> Result<Manifest, VerifyError> {
    if let Some(as_of) = as_of {
        let topics: Vec<String> = view.topics().map(str::to_owned).collect();
        let bounds = log.bounds(&topics).await?;
        for (topic, number, wanted) in as_of.iter() {
            // Whether the log still has what lies in front of it is a matter of the snapshot.
            check_range(
                &bounds,
                &TopicPartition::new(topic, number),
                (wanted, wanted),
            )?;
        }
    }
    let (mut other, mut oldest) = (None, None);
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
        let covered = manifest.coverage();
        let no_more = |as_of: &Coverage| {
            let mut ends = covered.iter();
            ends.all(|(topic, partition, end)| {
                as_of
                    .find(topic, partition)
                    .is_none_or(|as_of| end <= as_of)
            })
        };
        if as_of.is_none_or(no_more) {
            return Ok(manifest);
        }
        oldest = Some((number, covered));
    }
    if let (Some(as_of), Some((snapshot, covered))) = (as_of, oldest) {
        return Err(VerifyError::NoneAsOf {
            as_of: as_of.clone(),
            snapshot,
            covered,
        });
    }
    Err(other.unwrap_or_else(|| VerifyError::NoSnapshot {
        view: view.name().to_owned(),
    }))
}

/// Compares a snapshot with whatever log.
pub(in crate::serving) async fn compare<K: Data, A: Aggregate, L: Log>(
    view: &Arc<View<K, A>>,
    log: &L,
    snapshots: &Snapshots,
    manifest: &Manifest,
) -> Result<Verdict, VerifyError> {
    let mut check = Check {
        view,
        log,
        snapshots,
        manifest,
        keys: BTreeSet::new(),
        verdict: Verdict {
            snapshot: Some(manifest.snapshot),
            begin: manifest.begin(),
            coverage: manifest.coverage(),
            ..Verdict::default()
        },
    };
    check.run().await?;
    check.verdict.keys = check.keys.len() as u64;
    Ok(check.verdict)
}

struct Check<'a, K, A: Aggregate, L> {
    view: &'a Arc<View<K, A>>,
    log: &'a L,
    snapshots: &'a Snapshots,
    manifest: &'a Manifest,
    /// All keys: one may be in several partitions.
    keys: BTreeSet<Vec<u8>>,
    verdict: Verdict,
}

impl<K: Data, A: Aggregate, L: Log> Check<'_, K, A, L> {
    async fn run(&mut self) -> Result<(), VerifyError> {
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = self.log.bounds(&topics).await?;
        for (number, topic) in topics.iter().enumerate() {
            let sources = self.manifest.sources.iter();
            let Some(source) = sources.into_iter().find(|own| own.topic == *topic) else {
                continue;
            };
            if bounds
                .iter()
                .any(|own| own.topic == *topic && own.id != source.id)
            {
                return Err(VerifyError::OtherTopic {
                    topic: topic.clone(),
                    snapshot: self.manifest.snapshot,
                });
            }
            for own in &source.partitions {
                self.partition(&bounds, number, topic, own).await?;
            }
        }
        Ok(())
    }

    async fn partition(
        &mut self,
        bounds: &[TopicBounds],
        number: usize,
        topic: &str,
        own: &SourcePartition,
    ) -> Result<(), VerifyError> {
        let partition = TopicPartition::new(topic, own.partition);
        let range = (own.begin, own.to);
        check_range(bounds, &partition, range)?;
        let mut delta = Delta::new(Arc::clone(self.view), number, partition.clone(), 0);
        let mut reading = Reading::new(partition.clone(), own.begin);
        reading
            .up_to(self.log, own.to, |_, record, buffer| {
                delta.add(record, buffer);
            })
            .await?;
        if delta.tally != own.tally {
            self.verdict.tallies.push(OtherRecords {
                topic: topic.to_owned(),
                partition: own.partition,
                snapshot: own.tally,
                log: delta.tally,
            });
        }
        self.verdict.records += delta.tally.records;
        let computed = delta.take_sorted();
        let states = self.states(topic, own.partition).await?;
        let from = self.verdict.differences.len();
        let wanted = self.compare(&partition, &states, &computed);
        let ranges = [(number, partition, range)];
        let found = find_records(self.view, self.log, &ranges, &wanted).await?;
        let told = self.verdict.differences.iter_mut().skip(from);
        for (difference, records) in told.zip(found) {
            difference.records = records;
        }
        Ok(())
    }

    async fn states(&self, topic: &str, partition: i32) -> Result<States, VerifyError> {
        let mut states = States::default();
        let files = self.manifest.states.iter();
        for file in files.filter(|file| file.topic == topic && file.partition == partition) {
            states = match self.snapshots.states(file, states).await {
                Ok(states) => states,
                Err(SnapshotError::Missing { .. }) if self.is_old().await? => {
                    return Err(VerifyError::NoStates {
                        snapshot: self.manifest.snapshot,
                    });
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(states)
    }

    /// Whether there is a newer one.
    async fn is_old(&self) -> Result<bool, SnapshotError> {
        let newer = self.snapshots.numbers_after(self.manifest.snapshot).await?;
        Ok(!newer.is_empty())
    }

    /// Goes through both sorted lists at once. Gives whose records are to be looked for: one for each
    /// difference that is told.
    fn compare(
        &mut self,
        partition: &TopicPartition,
        states: &States,
        computed: &[(Vec<u8>, Vec<u8>)],
    ) -> Vec<Wanted> {
        let (mut at, mut computed) = (0, computed.iter().peekable());
        let mut wanted = Vec::new();
        loop {
            let stored = (at < states.keys.len()).then(|| states.keys.get(at));
            let order = match (stored, computed.peek()) {
                (None, None) => return wanted,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(stored), Some((key, _))) => self.view.order(stored, key),
            };
            let mut own = None;
            if order.is_le() {
                own = Some((states.keys.get(at), states.states.get(at)));
                at += 1;
            }
            let other = if order.is_ge() { computed.next() } else { None };
            let name = own.map(|(key, _)| key).or(other.map(|(key, _)| &key[..]));
            let name = name.unwrap_or_default();
            if !self.keys.contains(name) {
                self.keys.insert(name.to_vec());
            }
            let same =
                own.is_some() && own.map(|(_, state)| state) == other.map(|(_, state)| &state[..]);
            if same {
                continue;
            }
            if self.verdict.differences.len() >= MOST {
                self.verdict.more += 1;
                continue;
            }
            let (key, window) = self.view.split(name);
            let difference = Difference {
                key: self.view.shown(key),
                window,
                partition: Some(partition.clone()),
                found: own.map(|(_, state)| self.shown(state)),
                expected: other.map(|(_, state)| self.shown(state)),
                records: Vec::new(),
            };
            self.verdict.differences.push(difference);
            wanted.push(Wanted {
                name: name.to_vec(),
                until: self.manifest.coverage(),
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
}
