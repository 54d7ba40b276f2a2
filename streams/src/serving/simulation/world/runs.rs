//! Batch runs, some of which die or lose, and what they leave.

use std::collections::{BTreeMap, BTreeSet};

use super::super::mortal::DEAD;
use super::World;
use crate::serving::batch::{BatchConfig, BatchError, BatchOutcome, Job, PlanError};
use crate::serving::snapshot::Manifest;
use crate::serving::{Coverage, SourcePartition};

/// So many snapshots keep their states.
const KEEP: usize = 2;

impl World {
    /// A batch run, which may die at any step.
    pub(super) async fn batch(&mut self) {
        let cut = self.cut_for_a_run();
        let scratch = self.chance.one_in(6);
        let limit = self.chance.one_in(3).then(|| self.chance.below(24));
        let twice = self.chance.one_in(4);
        let open = self
            .log
            .0
            .lock()
            .iter()
            .any(|own| own.stable < own.entries.len() as i64);
        self.seen.note("a run amid transactions", u64::from(open));
        let before = self.snapshots.numbers().await.unwrap().len();
        self.store.live(limit);
        let result = self.batch_of(cut.as_ref(), scratch).await;
        let died = self.store.has_died();
        self.store.live(None);
        let after = self.snapshots.numbers().await.unwrap().len();
        let mut clean = false;
        if died {
            // What comes behind publication is left to the next run, and fails nobody.
            let told = matches!(&result, Err(error) if error.to_string().contains(DEAD));
            let what = match after > before {
                true => "a run dies behind publication",
                false => "a run dies in front of publication",
            };
            let published = matches!(&result, Ok(BatchOutcome::Published(_)));
            assert!(told || (published && after > before), "{self} {result:?}");
            self.seen.note(what, 1);
            self.tell(format_args!("{what}"));
        } else {
            clean = self.note_run(result, scratch).await;
        }
        if died && self.chance.one_in(2) {
            let result = self.batch_of(cut.as_ref(), scratch).await;
            let name = format!("{:08x}", self.runs);
            if let Ok(BatchOutcome::Published(own)) = &result {
                let other = own.manifest.run != name;
                self.seen.note("a run is taken up again", u64::from(other));
            }
            clean = self.note_run(result, scratch).await;
        }
        self.check_files(clean).await;
        if twice {
            self.race().await;
            self.check_files(false).await;
        }
    }

    /// Mostly the last cuts; a run that was slow has older ones, and some do not ask for any. What has not
    /// been announced is in no cut.
    fn cut_for_a_run(&mut self) -> Option<Coverage> {
        let mut cut = Coverage::new();
        for at in 0..self.parts.len() {
            let back = usize::from(self.chance.below(3) > 0);
            if let Some(announced) = &self.durable[at].announced {
                let cuts = &announced.cuts;
                let chosen = cuts.len().saturating_sub(1 + back);
                self.set(&mut cut, at, cuts[chosen]);
            }
        }
        let all = cut.len() == self.parts.len();
        (!all || !self.chance.one_in(8)).then_some(cut)
    }

    /// What has come of a run that has not died; whether it has published a snapshot.
    async fn note_run(&mut self, result: Result<BatchOutcome, BatchError>, scratch: bool) -> bool {
        let what = match result {
            Ok(BatchOutcome::Published(_)) => "published",
            Ok(BatchOutcome::NothingNew { .. }) => "nothing new",
            Err(BatchError::Plan(error)) => {
                assert!(!scratch, "{self} {error}");
                self.check_refused(&error).await
            }
            Err(error) => panic!("{self} {error}"),
        };
        self.seen.note(what, 1);
        let run = self.runs;
        self.tell(format_args!("run {run}: {what}"));
        what == "published"
    }

    /// A run is refused only where the log has lost what it would need.
    pub(super) async fn check_refused(&self, error: &PlanError) -> &'static str {
        let newest = self.newest().await;
        let of = |at: usize| {
            let newest = newest.as_ref()?;
            newest.partition(self.topic(at), self.parts[at].1)
        };
        let mut all = 0..self.parts.len();
        let (due, what) = match error {
            PlanError::Hole { .. } => (
                all.any(|at| of(at).is_some_and(|own| own.to < self.log.start(at))),
                "refused: a hole",
            ),
            PlanError::Unsaved { .. } => {
                let origin = |at: usize| Some(self.durable[at].announced.as_ref()?.origin);
                let lost = |at| origin(at).is_some_and(|origin| origin < self.log.start(at));
                (
                    all.any(|at| of(at).is_none() && lost(at)),
                    "refused: what the speed layer has",
                )
            }
            other => panic!("{self} {other}"),
        };
        assert!(due, "{self} {error}");
        what
    }

    async fn newest(&self) -> Option<Manifest> {
        let number = self.snapshots.numbers().await.unwrap().pop()?;
        Some(self.snapshots.manifest(number).await.unwrap())
    }

    pub(super) async fn batch_of(
        &mut self,
        cut: Option<&Coverage>,
        from_scratch: bool,
    ) -> Result<BatchOutcome, BatchError> {
        self.runs += 1;
        // Which change is the last one of a run that dies must not be a matter of threads.
        let workers = match self.store.is_mortal() {
            true => 1,
            false => 2,
        };
        let little = self.chance.one_in(4);
        self.seen
            .note("a run with little memory", u64::from(little));
        let config = BatchConfig::new()
            .workers(workers)
            .checkpoint(1 + self.chance.below(20))
            .keep(KEEP)
            .from_scratch(from_scratch);
        let config = if little { config.memory(1) } else { config };
        let mut origins = Coverage::new();
        for at in 0..self.parts.len() {
            if let Some(announced) = &self.durable[at].announced {
                let origin = announced.origin;
                self.set(&mut origins, at, origin);
            }
            // A run that dies may be taken up by another one, and begins where it was to begin.
            if from_scratch {
                self.begins[at].insert(self.log.start(at));
            }
        }
        let shown = cut.map_or("the end".to_owned(), Coverage::to_string);
        let run = self.runs;
        self.tell(format_args!(
            "run {run} to {shown}, from scratch: {from_scratch};"
        ));
        let job = Job {
            view: &self.view,
            snapshots: &self.snapshots,
            config: &config,
            name: format!("{:08x}", self.runs),
            created: self.runs as i64,
            seed: self.seed,
            origins: Some(origins),
            alone: true,
        };
        job.run(&self.log, cut).await
    }

    /// Two runs at once: another one publishes while this one is at work.
    async fn race(&mut self) {
        (0..4).for_each(|_| self.append());
        let Some(mut other) = self.newest().await else {
            return;
        };
        if self.durable.iter().any(|own| own.announced.is_none()) {
            return;
        }
        let next = other.snapshot + 1;
        other.parent = Some(other.snapshot);
        (other.snapshot, other.run, other.events) = (next, "other".to_owned(), Vec::new());
        let partitions = other.sources.iter_mut().flat_map(|own| &mut own.partitions);
        partitions.for_each(|own| own.from = own.to);
        self.store.before_manifest(next, other.to_json());
        match self.batch_of(None, false).await {
            Err(BatchError::Snapshot(error)) => {
                assert!(error.to_string().contains("is there already"), "{error}");
                self.seen.note("a lost race", 1);
            }
            Err(BatchError::Plan(error)) => {
                self.check_refused(&error).await;
            }
            Ok(BatchOutcome::NothingNew { .. }) => {}
            other => panic!("{self} {other:?}"),
        }
        self.store.calm();
    }

    /// Each snapshot's files of raw events have every record once that those before it have not; and no file
    /// is there that nobody knows, unless a run that died has left something to go on with. After a `clean`
    /// run no states are there but those of the last snapshots.
    async fn check_files(&mut self, clean: bool) {
        let numbers = self.snapshots.numbers().await.unwrap();
        let mut archived: BTreeMap<usize, i64> = BTreeMap::new();
        let (mut events, mut states) = (BTreeSet::new(), Vec::new());
        self.floors = vec![0; self.parts.len()];
        for (number, newer) in numbers.iter().zip((0..numbers.len()).rev()) {
            let manifest = self.snapshots.manifest(*number).await.unwrap();
            for at in 0..self.parts.len() {
                let Some(own) = manifest.partition(self.topic(at), self.parts[at].1) else {
                    continue;
                };
                self.check_partition(at, own, &manifest, &mut archived);
                if newer == 1 {
                    self.floors[at] = own.to;
                }
            }
            events.extend(manifest.events.iter().map(|file| file.path.clone()));
            if newer < KEEP {
                states.extend(manifest.states.iter().map(|file| file.path.clone()));
            }
        }
        let events_there = self.paths("events").await;
        assert!(events_there.is_superset(&events), "{self}");
        let states = BTreeSet::from_iter(states);
        let states_there = self.paths("state").await;
        assert!(states_there.is_superset(&states), "{self}");
        if !self.store.unfinished().await {
            assert_eq!(events_there, events, "{self}");
            assert!(
                !clean || states_there == states,
                "{self} {states_there:?} {states:?}"
            );
            self.seen.note("all files are known", u64::from(clean));
        }
    }

    fn check_partition(
        &self,
        at: usize,
        own: &SourcePartition,
        manifest: &Manifest,
        archived: &mut BTreeMap<usize, i64>,
    ) {
        let before = archived.insert(at, own.archived);
        let from = before.unwrap_or(own.from).max(own.from);
        let records = self.log.records(at, from, own.to).len() as u64;
        let (topic, partition) = (self.topic(at), self.parts[at].1);
        let files = manifest.events.iter();
        let files = files.filter(|file| file.topic == topic && file.partition == partition);
        let rows: u64 = files.map(|file| file.rows).sum();
        assert_eq!(rows, records, "{self}: {manifest:?}");
        let all = self.log.records(at, own.begin, own.to);
        assert_eq!(own.tally.records, all.len() as u64, "{self}: {manifest:?}");
    }

    async fn paths(&self, folder: &str) -> BTreeSet<String> {
        let files = self.snapshots.list(folder).await.unwrap();
        files.into_iter().map(|(path, _)| path).collect()
    }
}
