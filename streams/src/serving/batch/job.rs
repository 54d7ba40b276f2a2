//! A run from its plan to its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tidemark_client::{Client, Clock};
use tokio::task::JoinSet;

use super::partition::Run;
use super::plan::{Plan, Range, plan};
use super::progress::{Done, Unfinished};
use super::{BatchConfig, BatchError, BatchOutcome, KafkaLog, Log, cut, leftovers, retention};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::lambda::announcements;
use crate::serving::snapshot::folder::Lock;
use crate::serving::snapshot::{Manifest, SnapshotError, Snapshots, Source, SourcePartition};
use crate::serving::view::View;
use crate::serving::{Coverage, Tally};

/// Makes snapshots of a view.
pub struct Batch<K, A: Aggregate> {
    view: Arc<View<K, A>>,
    client: Arc<Client>,
    clock: Clock,
    snapshots: Snapshots,
    /// The folder, if it is on the local disk: of several runs at once one is let in.
    folder: Option<PathBuf>,
    config: BatchConfig,
}

/// So many snapshots in a row may be unreadable before a run gives up.
const MOST_CORRUPT: usize = 8;

impl<K: Data, A: Aggregate> Batch<K, A> {
    /// With snapshots on the local disk, in a folder below `snapshots` that has the view's name.
    ///
    /// # Errors
    ///
    /// If the view cannot be used, or the folder cannot be made.
    pub fn local(
        view: Arc<View<K, A>>,
        client: Arc<Client>,
        clock: Clock,
        snapshots: &Path,
        config: BatchConfig,
    ) -> Result<Self, BatchError> {
        view.check()?;
        let store = Snapshots::local(snapshots, view.name())?;
        let folder = Some(snapshots.join(view.name()));
        Ok(Self {
            view,
            client,
            clock,
            snapshots: store,
            folder,
            config,
        })
    }

    /// With snapshots in any object store. If two runs are at work at once, the one that is done first has
    /// made the snapshot, and the other one fails. What a killed run has left is taken up only if no other
    /// one can be at work ([`BatchConfig::alone`]): a store cannot tell.
    ///
    /// # Errors
    ///
    /// If the view cannot be used.
    pub fn new(
        view: Arc<View<K, A>>,
        client: Arc<Client>,
        clock: Clock,
        snapshots: Snapshots,
        config: BatchConfig,
    ) -> Result<Self, BatchError> {
        view.check()?;
        Ok(Self {
            view,
            client,
            clock,
            snapshots,
            folder: None,
            config,
        })
    }

    /// Where its snapshots are.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Makes sure that a snapshot that ends at `cut` can be made and, if the view has a speed layer, be used.
    /// Partitions that are not named stay where the last snapshot ends.
    ///
    /// # Errors
    ///
    /// [`BatchError::Cut`] with the reason; others if the cluster cannot be asked.
    pub async fn check(&self, cut: &Coverage) -> Result<(), BatchError> {
        let log = KafkaLog {
            client: Arc::clone(&self.client),
            clock: self.clock.clone(),
        };
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = log.bounds(&topics).await?;
        let announced = announcements(&self.client, &self.clock, &self.view).await?;
        let cuts = announced.map(|own| own.cuts);
        Ok(cut::check(cut, &bounds, cuts.as_ref())?)
    }

    /// Makes a snapshot that ends at `cut`, which has to be one that [`Self::check`] lets pass.
    /// Without one it ends at the newest cuts that are announced; or at the end of the log, if the view has
    /// no speed layer yet.
    ///
    /// # Errors
    ///
    /// [`BatchError`]; the next run takes up what this one has done.
    pub async fn run(&self, cut: Option<&Coverage>) -> Result<BatchOutcome, BatchError> {
        let announced = announcements(&self.client, &self.clock, &self.view).await?;
        let (cuts, origins) = announced.map(|own| (own.newest(), own.origins)).unzip();
        self.run_at(cut.or(cuts.as_ref()), origins, self.config.from_scratch)
            .await
    }

    /// As [`Self::run`]; `origins` is where the speed layer began, if there is one.
    pub(crate) async fn run_at(
        &self,
        cut: Option<&Coverage>,
        origins: Option<Coverage>,
        from_scratch: bool,
    ) -> Result<BatchOutcome, BatchError> {
        let config = self.config.clone().from_scratch(from_scratch);
        let _lock = match &self.folder {
            Some(folder) => Some(lock(folder)?),
            None => None,
        };
        let log = Arc::new(KafkaLog {
            client: Arc::clone(&self.client),
            clock: self.clock.clone(),
        });
        let name = format!("{:08x}", self.clock.random() as u32);
        let job = Job {
            view: &self.view,
            snapshots: &self.snapshots,
            config: &config,
            name,
            created: self.clock.now().wall,
            seed: self.clock.random(),
            origins,
            alone: self.folder.is_some() || self.config.alone,
        };
        job.run(&log, cut).await
    }
}

fn lock(folder: &Path) -> Result<Lock, BatchError> {
    match Lock::take(folder) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(BatchError::Locked {
            folder: folder.display().to_string(),
        }),
        Err(error) => Err(BatchError::write(&folder.display().to_string(), &error)),
    }
}

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

impl<K: Data, A: Aggregate> Job<'_, K, A> {
    /// Makes a snapshot.
    pub(crate) async fn run<L: Log>(
        &self,
        log: &Arc<L>,
        cut: Option<&Coverage>,
    ) -> Result<BatchOutcome, BatchError> {
        let (mut corrupt, mut again) = (BTreeSet::new(), 1);
        let mut published = None;
        loop {
            let history = self.history(&mut corrupt).await?;
            let parent = history.parent.as_ref().map(|parent| parent.snapshot);
            let states = history.parent.iter().flat_map(|parent| &parent.states);
            let states: BTreeSet<String> = states
                .map(|file| self.snapshots.shown(&file.path))
                .collect();
            let failed = match self.attempt(log, cut, history).await {
                // A run that was taken up again ends where it was to end, which may not be far enough.
                Ok((BatchOutcome::Published(manifest), true))
                    if cut.is_none_or(|cut| !manifest.coverage().includes(cut)) =>
                {
                    published = Some(manifest);
                    continue;
                }
                Ok((BatchOutcome::NothingNew { snapshot }, _)) => {
                    let own = published.take().map(BatchOutcome::Published);
                    return Ok(own.unwrap_or(BatchOutcome::NothingNew { snapshot }));
                }
                Ok((outcome, _)) => return Ok(outcome),
                Err(BatchError::Snapshot(error)) => error,
                Err(other) => return Err(other),
            };
            let path = match &failed {
                SnapshotError::Corrupt { path, .. } | SnapshotError::Missing { path } => path,
                _ => return Err(failed.into()),
            };
            let work = self.snapshots.shown("unfinished/");
            if path.starts_with(&work) && self.alone && again > 0 {
                tracing::warn!(%failed, "what a run has left cannot be read: it is done anew");
                again -= 1;
                leftovers::clear_all(self.snapshots).await?;
                continue;
            }
            let Some(parent) = parent.filter(|_| states.contains(path)) else {
                return Err(failed.into());
            };
            tracing::warn!(snapshot = parent, %failed, "going on from the snapshot in front of it");
            corrupt.insert(parent);
            if corrupt.len() > MOST_CORRUPT {
                return Err(failed.into());
            }
        }
    }

    /// The snapshots that a run goes on from.
    async fn history(&self, corrupt: &mut BTreeSet<u64>) -> Result<History, BatchError> {
        let numbers = self.snapshots.numbers().await?;
        let mut history = History {
            last: numbers.last().copied().unwrap_or(0),
            newest: None,
            parent: None,
        };
        let fingerprint = self.view.fingerprint();
        for number in numbers.into_iter().rev() {
            let manifest = match self.snapshots.manifest(number).await {
                Ok(manifest) => manifest,
                Err(SnapshotError::Store { path, reason }) => {
                    return Err(SnapshotError::Store { path, reason }.into());
                }
                Err(error) => {
                    tracing::warn!(snapshot = number, %error, "it is left out");
                    if corrupt.insert(number) && corrupt.len() > MOST_CORRUPT {
                        return Err(error.into());
                    }
                    continue;
                }
            };
            history.newest.get_or_insert_with(|| manifest.clone());
            if self.config.from_scratch {
                break;
            }
            if manifest.fingerprint != fingerprint {
                // Another version's, which may run beside this one.
                continue;
            }
            if !corrupt.contains(&number) {
                history.parent = Some(manifest);
                break;
            }
        }
        if history.parent.is_none() && !self.config.from_scratch {
            // To begin anew, unasked, would lose what the log has not got any more.
            if let Some(snapshot) = corrupt.iter().max() {
                return Err(BatchError::NothingToGoOnFrom {
                    snapshot: *snapshot,
                });
            }
            if let Some(newest) = &history.newest {
                tracing::info!(
                    snapshot = newest.snapshot,
                    was = %newest.definition,
                    is = %self.view.definition(),
                    "the view has changed: it is computed from the beginning"
                );
            }
        }
        Ok(history)
    }

    /// Tries once; says whether it has taken up a run that was not done.
    async fn attempt<L: Log>(
        &self,
        log: &Arc<L>,
        cut: Option<&Coverage>,
        history: History,
    ) -> Result<(BatchOutcome, bool), BatchError> {
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = log.bounds(&topics).await?;
        let mut planned = plan(
            &bounds,
            history.parent.as_ref(),
            history.newest.as_ref(),
            &self.view.fingerprint(),
            cut,
        )?;
        planned.snapshot = history.last + 1;
        let mut name = self.name.clone();
        let (mut done, mut again) = (BTreeMap::new(), false);
        let left = match self.alone {
            true => {
                let (fingerprint, archive) = (self.view.fingerprint(), self.config.archive);
                leftovers::take(self.snapshots, &fingerprint, archive, &planned).await?
            }
            // Whoever has left it may still be at work.
            false => None,
        };
        if left.is_none()
            && !self.config.from_scratch
            && let Some(origins) = &self.origins
        {
            planned.check_origins(origins, history.parent.as_ref())?;
        }
        match left {
            Some((unfinished, parts)) => {
                tracing::info!(run = %unfinished.run, "a run that was not done is taken up again");
                (name, planned, done) = (unfinished.run, unfinished.plan, parts);
                again = true;
            }
            None if planned.is_empty() => {
                let snapshot = history.last;
                return Ok((BatchOutcome::NothingNew { snapshot }, false));
            }
            None => {
                let unfinished = Unfinished {
                    run: name.clone(),
                    fingerprint: self.view.fingerprint(),
                    archive: self.config.archive,
                    plan: planned.clone(),
                };
                let json = serde_json::to_vec(&unfinished);
                let path = Unfinished::path(&name);
                let json = json.map_err(|error| BatchError::write(&path, &error))?;
                self.snapshots.put(&path, json).await?;
            }
        }
        let parts = self
            .partitions(log, &planned, &name, &history, done)
            .await?;
        let manifest = self.manifest(&planned, name, &history, &parts);
        match self.snapshots.publish(&manifest).await {
            Ok(()) => {}
            Err(error @ SnapshotError::Taken { .. }) => {
                self.give_up(&manifest).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
        leftovers::clear(self.snapshots, &manifest.run).await?;
        retention::apply(self.snapshots, self.config.keep, &manifest).await?;
        Ok((BatchOutcome::Published(Box::new(manifest)), again))
    }

    /// Another run has published the snapshot: this one's files go, but for those that the other one has,
    /// too.
    async fn give_up(&self, own: &Manifest) -> Result<(), BatchError> {
        let winner = self.snapshots.manifest(own.snapshot).await?;
        let kept = winner.events.iter().map(|file| &file.path);
        let kept = kept.chain(winner.states.iter().map(|file| &file.path));
        let kept: BTreeSet<&String> = kept.collect();
        let prefix = format!("state/{:020}-{}/", own.snapshot, own.run);
        let states = own.states.iter().map(|file| &file.path);
        let states = states.filter(|path| path.starts_with(&prefix));
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
        planned: &Plan,
        name: &str,
        history: &History,
        mut done: BTreeMap<(String, i32), Done>,
    ) -> Result<BTreeMap<(String, i32), Done>, BatchError> {
        let total = planned.ranges().map(|(_, range)| range.to - range.from);
        let taken_up = (name != self.name).then(|| already_read(planned, &done));
        let run = Arc::new(Run {
            view: Arc::clone(self.view),
            snapshots: self.snapshots.clone(),
            config: self.config.clone(),
            name: name.to_owned(),
            snapshot: planned.snapshot,
            parent: history.parent.clone(),
            seed: self.seed,
            read: AtomicU64::new(0),
            total: u64::try_from(total.sum::<i64>()).unwrap_or(0),
            states: AtomicU64::new(0),
            taken_up,
        });
        run.tell(0, 0);
        let mut waiting = Vec::new();
        for (number, topic) in planned.topics.iter().enumerate() {
            for range in &topic.ranges {
                let key = (topic.topic.clone(), range.partition);
                let part = done.remove(&key).unwrap_or_else(|| Done {
                    run: name.to_owned(),
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

    fn manifest(
        &self,
        planned: &Plan,
        run: String,
        history: &History,
        parts: &BTreeMap<(String, i32), Done>,
    ) -> Manifest {
        let parent = history.parent.as_ref();
        let sources = planned.topics.iter().map(|topic| {
            let partitions = topic.ranges.iter().map(|range: &Range| {
                let key = (topic.topic.clone(), range.partition);
                let before = parent.and_then(|it| it.partition(&topic.topic, range.partition));
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
            run,
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
fn already_read(planned: &Plan, done: &BTreeMap<(String, i32), Done>) -> u64 {
    let read = planned.ranges().filter_map(|(topic, range)| {
        let part = done.get(&(topic.to_owned(), range.partition))?;
        u64::try_from(part.position - range.from).ok()
    });
    read.sum()
}

/// What there is already.
struct History {
    /// The largest number of a snapshot, readable or not.
    last: u64,
    /// The newest snapshot.
    newest: Option<Manifest>,
    /// The one to go on from.
    parent: Option<Manifest>,
}
