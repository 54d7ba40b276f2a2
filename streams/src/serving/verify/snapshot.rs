//! Compares a snapshot's files with the log.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_client::TopicPartition;

use super::reading::{Reading, Wanted, check_range, find_records, uncovered};
use super::{Difference, MOST, OtherRecords, Verdict, VerifyError};
use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{Delta, Log, TopicBounds};
use crate::serving::kept;
use crate::serving::snapshot::{
    Manifest, SnapshotError, Snapshots, SourcePartition, States, paths,
};
use crate::serving::view::View;

/// The newest snapshot of the view that covers no more than is asked for, and why newer ones cannot be read.
/// If none is asked for in particular the newest one has to be readable.
pub(super) async fn choose<K: Data, A: Aggregate, L: Log>(
    view: &View<K, A>,
    log: &L,
    snapshots: &Snapshots,
    as_of: Option<&Coverage>,
) -> Result<(Manifest, Vec<SnapshotError>), VerifyError> {
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
    let (mut other, mut oldest, mut unreadable) = (None, None, Vec::new());
    for number in snapshots.numbers().await?.into_iter().rev() {
        let manifest = match snapshots.manifest(number).await {
            Ok(manifest) => manifest,
            Err(error) if as_of.is_some() && !matches!(error, SnapshotError::Store { .. }) => {
                unreadable.push(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
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
            return Ok((manifest, unreadable));
        }
        oldest = Some((number, covered));
    }
    // It may be the one that was meant.
    if let Some(error) = unreadable.into_iter().next() {
        return Err(error.into());
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
        different: BTreeSet::new(),
        verdict: Verdict {
            snapshot: Some(manifest.snapshot),
            begin: manifest.begin(),
            coverage: manifest.coverage(),
            ..Verdict::default()
        },
    };
    check.run().await?;
    check.verdict.keys = check.keys.len() as u64;
    check.verdict.different = check.different.len() as u64;
    Ok(check.verdict)
}

struct Check<'a, K, A: Aggregate, L> {
    view: &'a Arc<View<K, A>>,
    log: &'a L,
    snapshots: &'a Snapshots,
    manifest: &'a Manifest,
    /// All keys: one may be in several partitions.
    keys: BTreeSet<Vec<u8>>,
    /// Those that are not the same in some partition.
    different: BTreeSet<Vec<u8>>,
    verdict: Verdict,
}

impl<K: Data, A: Aggregate, L: Log> Check<'_, K, A, L> {
    async fn run(&mut self) -> Result<(), VerifyError> {
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = self.log.bounds(&topics).await?;
        let covers = |topic: &str, number| self.manifest.partition(topic, number).is_some();
        self.verdict.uncovered = uncovered(&bounds, covers).collect();
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
        for file in &self.manifest.events {
            let checked = self.snapshots.check_events(file).await;
            self.unless_damaged(checked)?;
        }
        Ok(())
    }

    /// Notes that a file is damaged; `None` then.
    fn unless_damaged<T>(
        &mut self,
        read: Result<T, SnapshotError>,
    ) -> Result<Option<T>, SnapshotError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ (SnapshotError::Missing { .. } | SnapshotError::Corrupt { .. })) => {
                self.verdict.damaged.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
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
        let computed = delta.take_sorted().encoded();
        let Some(states) = self.states(topic, own.partition).await? else {
            return Ok(());
        };
        let from = self.verdict.differences.len();
        let wanted = self.compare(&partition, &states, &computed);
        let ranges = [(number, partition, range)];
        let found = find_records(self.view, self.log, &ranges, &wanted).await?;
        let told = self.verdict.differences.iter_mut().skip(from);
        for (difference, records) in told.zip(found) {
            (difference.records, difference.more_records) = (records.first, records.more);
        }
        Ok(())
    }

    /// `None` if one of its files is damaged.
    async fn states(&mut self, topic: &str, partition: i32) -> Result<Option<States>, VerifyError> {
        let mut states = States::default();
        let files = self.manifest.states.iter();
        for file in files.filter(|file| file.topic == topic && file.partition == partition) {
            let read = self.snapshots.states(file, states).await;
            let missing = matches!(read, Err(SnapshotError::Missing { .. }));
            if missing && self.is_deleted(&file.path).await? {
                return Err(VerifyError::NoStates {
                    snapshot: self.manifest.snapshot,
                });
            }
            match self.unless_damaged(read)? {
                Some(read) => states = read,
                None => return Ok(None),
            }
        }
        Ok(Some(states))
    }

    /// Whether a file of states that is not there has been deleted, as old ones are. Then all has gone that only
    /// the snapshots up to the newest that has the file have had, and there are newer ones of the view. If some of
    /// it is there the file has been lost, and also if something is that only older ones have: these go first, but
    /// for those that a run has gone back to when it could not go on from the newest one.
    async fn is_deleted(&self, path: &str) -> Result<bool, SnapshotError> {
        let newer = self.snapshots.numbers_after(self.manifest.snapshot).await?;
        let mut of_newer: BTreeSet<String> = BTreeSet::new();
        let mut gone_on_from = u64::MAX;
        let mut numbers = newer.into_iter().rev();
        loop {
            let manifest = match numbers.next() {
                None => self.manifest.clone(),
                Some(number) => match self.snapshots.manifest(number).await {
                    Ok(manifest) => manifest,
                    Err(error @ SnapshotError::Store { .. }) => return Err(error),
                    // Whose it is cannot be told.
                    Err(_) => continue,
                },
            };
            if manifest.fingerprint != self.manifest.fingerprint {
                continue;
            }
            let files = manifest.states.into_iter().map(|file| file.path);
            let mut files: BTreeSet<String> = files.collect();
            if !files.contains(path) {
                of_newer.append(&mut files);
                gone_on_from = gone_on_from.min(manifest.parent.unwrap_or(u64::MAX));
                continue;
            }
            if of_newer.is_empty() {
                return Ok(false);
            }
            let there = self.snapshots.list(paths::STATE).await?;
            let there = there.into_iter().map(|(path, _)| path);
            let there: BTreeSet<String> = there.filter(|path| !of_newer.contains(path)).collect();
            if !there.is_disjoint(&files) {
                return Ok(false);
            }
            let passed_over = gone_on_from < manifest.snapshot;
            return Ok(passed_over || !self.has_older(&there).await?);
        }
    }

    /// Whether one of these files is of an older snapshot of the view.
    async fn has_older(&self, there: &BTreeSet<String>) -> Result<bool, SnapshotError> {
        // None is of a snapshot in front of the one that it was written for.
        let written_for = there.iter().filter_map(|path| paths::run_of_states(path));
        let Some(least) = written_for.map(|(number, _)| number).min() else {
            return Ok(false);
        };
        let older = least..self.manifest.snapshot;
        if older.is_empty() {
            return Ok(false);
        }
        let numbers = self.snapshots.numbers().await?.into_iter().rev();
        for number in numbers.filter(|number| older.contains(number)) {
            let manifest = match self.snapshots.manifest(number).await {
                Ok(manifest) => manifest,
                Err(error @ SnapshotError::Store { .. }) => return Err(error),
                Err(_) => continue,
            };
            let same = manifest.fingerprint == self.manifest.fingerprint;
            if same
                && manifest
                    .states
                    .iter()
                    .any(|file| there.contains(&file.path))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes through both sorted lists at once. Gives whose records are to be looked for: one for each
    /// difference that is told.
    fn compare(
        &mut self,
        partition: &TopicPartition,
        states: &States,
        computed: &States,
    ) -> Vec<Wanted> {
        let (mut at, mut next) = (0, 0);
        let mut wanted = Vec::new();
        loop {
            let stored = (at < states.keys.len()).then(|| states.keys.get(at));
            let other = (next < computed.keys.len()).then(|| computed.keys.get(next));
            let order = match (stored, other) {
                (None, None) => return wanted,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(stored), Some(other)) => self.view.order(stored, other),
            };
            let (mut own, mut other) = (None, None);
            if order.is_le() {
                own = Some((states.keys.get(at), states.states.get(at)));
                at += 1;
            }
            if order.is_ge() {
                other = Some((computed.keys.get(next), computed.states.get(next)));
                next += 1;
            }
            let name = own.or(other).map(|(key, _)| key);
            let name = name.unwrap_or_default();
            if !self.keys.contains(name) {
                self.keys.insert(name.to_vec());
            }
            if own.map(|(_, state)| state) == other.map(|(_, state)| state) {
                continue;
            }
            self.different.insert(name.to_vec());
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
                more_records: 0,
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
