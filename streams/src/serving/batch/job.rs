//! A run from its plan to its manifest.

mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::task::JoinSet;

use super::leftovers::Parts;
use super::partition::{Listed, Run};
use super::plan::{Plan, Range, plan};
use super::progress::{Done, Unfinished, note};
use super::{BatchConfig, BatchError, BatchOutcome, Log, Published, leftovers, retention};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::snapshot::{
    Manifest, SnapshotError, Snapshots, Source, SourcePartition, paths,
};
use crate::serving::view::View;
use crate::serving::{Coverage, Tally};
use history::{History, Unreadable};

/// One run, on whatever log.
pub(crate) struct Job<'a, K, A: Aggregate> {
    pub(crate) view: &'a Arc<View<K, A>>,
    pub(crate) snapshots: &'a Snapshots,
    pub(crate) config: &'a BatchConfig,
    /// What the run is called: no other one has this name.
    pub(crate) name: String,
    pub(crate) created: i64,
    /// Chance for the hashes of keys.
    pub(crate) seed: u64,
    /// Where the view's speed layer began, if it has one.
    pub(crate) origins: Option<Coverage>,
    /// No other run is at work: what is left is of runs that have died.
    pub(crate) alone: bool,
}

/// How an attempt has ended.
enum Attempt {
    /// With a snapshot; of a run that was taken up again with how many offsets that one had read.
    Published {
        manifest: Box<Manifest>,
        taken_up: Option<u64>,
        changed_since: Option<u64>,
    },
    /// There is nothing to be read behind the snapshot that there is.
    NothingNew { snapshot: Option<u64> },
}

/// What a run has tried.
#[derive(Default)]
struct Tried {
    unreadable: Unreadable,
    attempts: u32,
    /// What runs have left has been cleared away.
    forgotten: bool,
}

/// A run that is at work.
struct Begun {
    name: String,
    plan: Plan,
    /// What it has done already.
    done: Parts,
    /// It was not done when it ended before.
    again: bool,
}

impl<K: Data, A: Aggregate> Job<'_, K, A> {
    /// Makes a snapshot.
    pub(crate) async fn run<L: Log>(
        &self,
        log: &Arc<L>,
        cut: Option<&Coverage>,
    ) -> Result<BatchOutcome, BatchError> {
        let mut tried = Tried::default();
        let scratch = self.config.from_scratch;
        let first = self.make(log, cut, scratch, &mut tried).await?;
        let (manifest, taken_up, changed_since) = match first {
            Attempt::Published {
                manifest,
                taken_up,
                changed_since,
            } => (manifest, taken_up, changed_since),
            Attempt::NothingNew { snapshot } => {
                let left_out = tried.unreadable.left_out();
                return Ok(BatchOutcome::NothingNew { snapshot, left_out });
            }
        };
        let mut own = Published {
            manifest: *manifest,
            left_out: Vec::new(),
            changed_since,
            taken_up,
            held_up: None,
        };
        // A run that was taken up again ends where it was to end, which may not be far enough. If it was to begin
        // from scratch it has.
        let covers = cut.is_some_and(|cut| own.manifest.coverage().includes(cut));
        if taken_up.is_some() && !covers {
            match self.make(log, cut, false, &mut tried).await {
                Ok(Attempt::Published { manifest, .. }) => own.manifest = *manifest,
                Ok(Attempt::NothingNew { .. }) => {}
                // The first one is there, and whoever serves is to go over to it.
                Err(error) => {
                    let snapshot = own.manifest.snapshot;
                    tracing::warn!(snapshot, %error, "published, but it cannot be gone on from");
                    own.held_up = Some(error.to_string());
                }
            }
        }
        own.left_out = tried.unreadable.left_out();
        Ok(BatchOutcome::Published(Box::new(own)))
    }

    /// Tries until there is a snapshot: what cannot be read is left out the next time.
    async fn make<L: Log>(
        &self,
        log: &Arc<L>,
        cut: Option<&Coverage>,
        from_scratch: bool,
        tried: &mut Tried,
    ) -> Result<Attempt, BatchError> {
        loop {
            let unreadable = &mut tried.unreadable;
            let history =
                History::find(self.snapshots, self.view, from_scratch, unreadable).await?;
            tried.attempts += 1;
            let failed = match self.attempt(log, cut, &history, tried.attempts > 1).await {
                Err(BatchError::Snapshot(error)) => error,
                ended => return ended,
            };
            let path = match &failed {
                SnapshotError::Corrupt { path, .. } | SnapshotError::Missing { path } => path,
                _ => return Err(failed.into()),
            };
            let work = self.snapshots.shown(paths::UNFINISHED);
            if path.starts_with(&format!("{work}/")) && self.alone && !tried.forgotten {
                tracing::warn!(%failed, "what a run has left cannot be read: it is done anew");
                tried.forgotten = true;
                leftovers::forget_all(self.snapshots).await?;
                continue;
            }
            let parent = history.parent.as_ref();
            let mut states = parent.iter().flat_map(|parent| &parent.states);
            let Some(parent) =
                parent.filter(|_| states.any(|file| self.snapshots.shown(&file.path) == *path))
            else {
                return Err(failed.into());
            };
            let snapshot = parent.snapshot;
            tracing::warn!(snapshot, %failed, "going on from the snapshot in front of it");
            tried.unreadable.note(snapshot, &failed);
        }
    }

    /// Tries once. `before` says that this run has tried before, and that files of it may be left.
    async fn attempt<L: Log>(
        &self,
        log: &Arc<L>,
        cut: Option<&Coverage>,
        history: &History,
        before: bool,
    ) -> Result<Attempt, BatchError> {
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = log.bounds(&topics).await?;
        let mut planned = plan(
            &bounds,
            history.parent.as_ref(),
            history.newest.as_ref(),
            &self.view.fingerprint(),
            cut,
        )?;
        planned.snapshot = history.next;
        if !planned.is_empty() {
            history.find_archived(self.snapshots, &mut planned).await?;
            self.check_parent(history).await?;
        }
        let Some(mut begun) = self.begin(planned, history).await? else {
            let snapshot = history.parent.as_ref().map(|own| own.snapshot);
            return Ok(Attempt::NothingNew { snapshot });
        };
        let done = std::mem::take(&mut begun.done);
        let taken_up = begun.again.then(|| already_read(&begun.plan, &done));
        let parts = self
            .partitions(log, &begun, history, done, taken_up)
            .await?;
        let manifest = self.manifest(&begun, history, &parts);
        if let Some(winner) = self.snapshots.publish(&manifest).await? {
            self.give_up(&manifest, &winner).await?;
            let taken = SnapshotError::Taken {
                view: manifest.view,
                snapshot: manifest.snapshot,
            };
            return Err(taken.into());
        }
        // The snapshot is there, whatever becomes of what is not needed any more: the next run sees to it.
        if let Err(error) = self.tidy(&begun, &manifest, before).await {
            let snapshot = manifest.snapshot;
            tracing::warn!(snapshot, %error, "published, but what is not needed any more is still there");
        }
        Ok(Attempt::Published {
            manifest: Box::new(manifest),
            taken_up,
            changed_since: history.changed_since,
        })
    }

    /// Makes sure that the states that are gone on from are those that were written, before anything is read: a run
    /// that finds out later has done its work in vain, and cannot be taken up. Files of partitions that have
    /// nothing new are taken over as they are: what is damaged would be so in all snapshots from here on.
    async fn check_parent(&self, history: &History) -> Result<(), BatchError> {
        let states = history.parent.iter().flat_map(|parent| &parent.states);
        for file in states {
            self.snapshots.check_states(file).await?;
        }
        Ok(())
    }

    /// What is carried out: what is planned now, or a run that was not done. `None` if nothing is to be read.
    async fn begin(&self, planned: Plan, history: &History) -> Result<Option<Begun>, BatchError> {
        let fingerprint = self.view.fingerprint();
        let archive = self.config.archive;
        // If another run may be at work, it may be its.
        if self.alone
            && let Some((left, done)) =
                leftovers::take(self.snapshots, &fingerprint, archive, &planned).await?
        {
            tracing::info!(run = %left.run, "a run that was not done is taken up again");
            return Ok(Some(Begun {
                name: left.run,
                plan: left.plan,
                done,
                again: true,
            }));
        }
        if !self.config.from_scratch
            && let Some(origins) = &self.origins
        {
            planned.check_origins(origins, history.parent.as_ref())?;
        }
        if planned.is_empty() {
            return Ok(None);
        }
        let unfinished = Unfinished {
            run: self.name.clone(),
            fingerprint,
            archive,
            plan: planned,
        };
        let path = paths::plan(&self.name);
        let json = note(&unfinished).map_err(|error| BatchError::write(&path, &error))?;
        self.snapshots.create(&path, json).await?;
        Ok(Some(Begun {
            name: unfinished.run,
            plan: unfinished.plan,
            done: Parts::new(),
            again: false,
        }))
    }

    /// Clears away what a new snapshot has made superfluous.
    async fn tidy(&self, begun: &Begun, own: &Manifest, before: bool) -> Result<(), BatchError> {
        if before {
            let events = own.events.iter().map(|file| file.path.clone());
            let kept = events.collect();
            leftovers::sweep(self.snapshots, &begun.name, Some(&begun.plan), &kept).await?;
        }
        leftovers::clear(self.snapshots, &own.run).await?;
        retention::apply(self.snapshots, self.config.keep, own).await
    }

    /// Another run has published the snapshot: this one's files go, but for those that the other one has,
    /// too.
    async fn give_up(&self, own: &Manifest, winner: &Manifest) -> Result<(), BatchError> {
        let kept = winner.events.iter().map(|file| &file.path);
        let kept = kept.chain(winner.states.iter().map(|file| &file.path));
        let kept: BTreeSet<&String> = kept.collect();
        let folder = paths::states_folder(own.snapshot, &own.run);
        let states = own.states.iter().map(|file| &file.path);
        let states = states.filter(|path| path.starts_with(&folder));
        let events = own.events.iter().map(|file| &file.path);
        for path in states.chain(events).filter(|path| !kept.contains(path)) {
            self.snapshots.delete(path).await?;
        }
        leftovers::clear(self.snapshots, &own.run).await
    }

    /// All partitions of a run.
    async fn partitions<L: Log>(
        &self,
        log: &Arc<L>,
        begun: &Begun,
        history: &History,
        mut done: Parts,
        taken_up: Option<u64>,
    ) -> Result<Parts, BatchError> {
        let planned = &begun.plan;
        let total = planned.ranges().map(|(_, range)| range.to - range.from);
        let listed = Listed::new(self.config.manifest);
        for file in done.values().flat_map(|part| &part.events) {
            if let Some(files) = listed.add(file) {
                let snapshot = planned.snapshot;
                return Err(self.snapshots.too_many_events(snapshot, files).into());
            }
        }
        let run = Arc::new(Run {
            view: Arc::clone(self.view),
            snapshots: self.snapshots.clone(),
            config: self.config.clone(),
            name: begun.name.clone(),
            snapshot: planned.snapshot,
            parent: history.parent.clone(),
            seed: self.seed,
            read: AtomicU64::new(0),
            total: u64::try_from(total.sum::<i64>()).unwrap_or(0),
            states: AtomicU64::new(0),
            taken_up,
            listed,
        });
        run.tell(0, 0);
        let mut waiting = Vec::new();
        for (number, topic) in planned.topics.iter().enumerate() {
            for range in &topic.ranges {
                let key = (topic.topic.clone(), range.partition);
                let part = done.remove(&key).unwrap_or_else(|| Done {
                    run: begun.name.clone(),
                    position: range.from,
                    ..Done::default()
                });
                waiting.push((number, topic.topic.clone(), *range, part));
            }
        }
        waiting.reverse();
        let mut working = JoinSet::new();
        let mut finished = BTreeMap::new();
        loop {
            while working.len() < self.config.workers
                && let Some((number, topic, range, part)) = waiting.pop()
            {
                let (run, log) = (Arc::clone(&run), Arc::clone(log));
                working.spawn(async move {
                    let done = run.partition(&*log, number, &topic, &range, part).await;
                    done.map(|done| ((topic, range.partition), done))
                });
            }
            match working.join_next().await {
                None => return Ok(finished),
                Some(Ok(done)) => {
                    let (key, done) = done?;
                    finished.insert(key, done);
                }
                Some(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }

    fn manifest(&self, begun: &Begun, history: &History, parts: &Parts) -> Manifest {
        let planned = &begun.plan;
        let parent = history.parent.iter().flat_map(|parent| &parent.sources);
        let parent = parent.flat_map(|source| {
            let own = source.partitions.iter();
            own.map(|own| ((source.topic.clone(), own.partition), own))
        });
        let parent: BTreeMap<(String, i32), &SourcePartition> = parent.collect();
        let sources = planned.topics.iter().map(|topic| {
            let partitions = topic.ranges.iter().map(|range: &Range| {
                let key = (topic.topic.clone(), range.partition);
                let before = parent.get(&key);
                let mut tally = before.map_or(Tally::default(), |before| before.tally);
                let part = parts.get(&key);
                if let Some(part) = part {
                    tally.add(&part.tally);
                }
                let epoch = part.and_then(|part| part.epoch);
                SourcePartition {
                    partition: range.partition,
                    begin: range.begin,
                    from: range.from,
                    to: range.to,
                    archived: match self.config.archive {
                        true => range.archived.max(range.to),
                        false => range.archived,
                    },
                    log_start: range.log_start,
                    leader_epoch: epoch
                        .or(before.map(|before| before.leader_epoch))
                        .unwrap_or(-1),
                    tally,
                }
            });
            Source {
                topic: topic.topic.clone(),
                id: topic.id.clone(),
                partitions: partitions.collect(),
            }
        });
        let all = || parts.values();
        let states = all().flat_map(|part| part.states.iter().flatten().cloned());
        Manifest {
            format: Manifest::FORMAT,
            view: self.view.name().to_owned(),
            fingerprint: self.view.fingerprint(),
            definition: self.view.definition(),
            snapshot: planned.snapshot,
            parent: planned.parent,
            run: begun.name.clone(),
            created: self.created,
            isolation: "read_committed".to_owned(),
            sources: sources.collect(),
            states: states.collect(),
            events: all().flat_map(|part| part.events.iter().cloned()).collect(),
            crc32: 0,
        }
    }
}

/// How many offsets of a plan have been read.
fn already_read(planned: &Plan, done: &Parts) -> u64 {
    let read = planned.ranges().filter_map(|(topic, range)| {
        let part = done.get(&(topic.to_owned(), range.partition))?;
        u64::try_from(part.position - range.from).ok()
    });
    read.sum()
}

#[cfg(test)]
mod tests;
