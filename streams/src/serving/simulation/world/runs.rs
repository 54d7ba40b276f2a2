//! Batch runs, and nodes that read with what they have made.

use std::collections::{BTreeMap, BTreeSet};

use super::super::log::TOPIC;
use super::World;
use crate::serving::Coverage;
use crate::serving::batch::{BatchConfig, BatchError, BatchOutcome, Job, PlanError};
use crate::serving::snapshot::Loaded;

impl World {
    /// A batch run, which may die at any step.
    pub(super) async fn batch(&mut self) {
        let mut cut = Coverage::new();
        for (partition, durable) in self.durable.iter().enumerate() {
            // Mostly the last cut; a run that was slow has an older one.
            let back = self.chance.below(3) as usize;
            let cuts = &durable.cuts;
            let at = cuts.len().saturating_sub(1 + back.min(1));
            cut.set(TOPIC, partition as i32, cuts.get(at).copied().unwrap_or(0));
        }
        let cut = (!self.chance.one_in(8)).then_some(cut);
        let scratch = self.chance.one_in(6);
        let limit = self.chance.one_in(3).then(|| self.chance.below(14));
        let twice = self.chance.one_in(4);
        self.store.live(limit);
        let result = self.batch_of(cut.as_ref(), scratch).await;
        match result {
            Ok(BatchOutcome::Published(_)) => self.seen.published += 1,
            Ok(BatchOutcome::NothingNew { .. }) => {}
            Err(BatchError::Plan(PlanError::Hole { .. } | PlanError::Unsaved { .. })) => {
                assert!(!scratch);
                self.seen.holes += 1;
            }
            Err(error) => {
                assert!(limit.is_some(), "{error}");
                self.seen.died += 1;
            }
        }
        self.store.live(None);
        if limit.is_some() && self.chance.one_in(2) {
            let before = self.store.unfinished().await;
            match self.batch_of(cut.as_ref(), scratch).await {
                Ok(_) => self.seen.resumed += u64::from(before),
                Err(BatchError::Plan(PlanError::Hole { .. } | PlanError::Unsaved { .. })) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if twice {
            self.race().await;
        }
        self.check_files().await;
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
        let config = BatchConfig::new()
            .workers(workers)
            .checkpoint(1 + self.chance.below(20))
            .keep(2)
            .from_scratch(from_scratch);
        let mut origins = Coverage::new();
        for (partition, durable) in (0..).zip(&self.durable) {
            if let Some(origin) = durable.origin {
                origins.set(TOPIC, partition, origin);
            }
        }
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
        // A run that dies may be taken up by another one, and begins where it was to begin.
        for (partition, begins) in (0..).zip(&mut self.begins) {
            let origins = job.origins.as_ref();
            if from_scratch || origins.is_some_and(|all| all.find(TOPIC, partition).is_none()) {
                begins.insert(self.log.start(partition));
            }
        }
        job.run(&self.log, cut).await
    }

    /// Two runs at once: another one publishes while this one is at work.
    async fn race(&mut self) {
        (0..4).for_each(|_| self.append());
        let numbers = self.snapshots.numbers().await.unwrap();
        let next = numbers.last().map_or(1, |last| last + 1);
        let Some(last) = numbers.last() else {
            return;
        };
        let mut other = self.snapshots.manifest(*last).await.unwrap();
        other.parent = Some(*last);
        (other.snapshot, other.run, other.events) = (next, "other".to_owned(), Vec::new());
        for source in &mut other.sources {
            source
                .partitions
                .iter_mut()
                .for_each(|own| own.from = own.to);
        }
        self.store.before_manifest(next, other.to_json());
        match self.batch_of(None, false).await {
            Err(BatchError::Snapshot(error)) => {
                assert!(error.to_string().contains("is there already"), "{error}");
                self.seen.lost_races += 1;
            }
            Ok(BatchOutcome::NothingNew { .. }) | Err(BatchError::Plan(_)) => {}
            other => panic!("{other:?}"),
        }
        self.store.calm();
    }

    /// Each snapshot's files of raw events have every record once that those before it have not; and no file
    /// is there that nobody knows, unless a run that died has left something to go on with.
    async fn check_files(&mut self) {
        let numbers = self.snapshots.numbers().await.unwrap();
        let mut archived: BTreeMap<i32, i64> = BTreeMap::new();
        let mut named = BTreeSet::new();
        let mut newest = None;
        for number in &numbers {
            let manifest = self.snapshots.manifest(*number).await.unwrap();
            for own in &manifest.sources[0].partitions {
                let before = archived.insert(own.partition, own.archived);
                let from = before.unwrap_or(own.from).max(own.from);
                let records = self.log.records(own.partition, from, own.to).len() as u64;
                let files = manifest.events.iter();
                let files = files.filter(|file| file.partition == own.partition);
                let rows: u64 = files.map(|file| file.rows).sum();
                assert_eq!(rows, records, "{self}: {manifest:?}");
                let all = self.log.records(own.partition, own.begin, own.to);
                assert_eq!(own.tally.records, all.len() as u64, "{self}: {manifest:?}");
            }
            named.extend(manifest.events.iter().map(|file| file.path.clone()));
            newest = Some(manifest);
        }
        let there = self.snapshots.list("events").await.unwrap();
        let there: BTreeSet<String> = there.into_iter().map(|(path, _)| path).collect();
        assert!(there.is_superset(&named), "{self}");
        let states = self.snapshots.list("state").await.unwrap();
        let states: BTreeSet<String> = states.into_iter().map(|(path, _)| path).collect();
        let needed = newest.iter().flat_map(|newest| &newest.states);
        assert!(
            needed.into_iter().all(|file| states.contains(&file.path)),
            "{self}"
        );
        if !self.store.unfinished().await {
            assert_eq!(there, named, "{self}");
        }
    }

    /// A node reads with a snapshot, mostly the newest.
    pub(super) async fn load(&mut self) {
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        let back = if self.chance.one_in(4) { 1 } else { 0 };
        self.load_on(node, back).await;
    }

    pub(super) async fn load_on(&mut self, node: usize, back: usize) {
        let numbers = self.snapshots.numbers().await.unwrap();
        let Some(at) = numbers.len().checked_sub(1 + back) else {
            return;
        };
        let manifest = self.snapshots.manifest(numbers[at]).await.unwrap();
        let floor = match at.checked_sub(1) {
            Some(before) => Some(self.snapshots.manifest(numbers[before]).await.unwrap()),
            None => None,
        };
        let floor = floor.map(|floor| floor.coverage());
        let loaded = match Loaded::read(&self.view, &self.snapshots, manifest).await {
            Ok(loaded) => loaded,
            Err(error) => {
                // Its states have gone: two newer ones are kept.
                assert!(at + 2 < numbers.len(), "{error}");
                return;
            }
        };
        let ahead = self.nodes[node]
            .parts()
            .iter()
            .any(|((_, partition), live)| {
                let applied = live.segments.read().applied();
                loaded.end((0, *partition)).is_some_and(|end| end > applied)
            });
        match self.nodes[node].switch(loaded, floor, 0) {
            Ok(_) => {
                self.seen.switches += 1;
                self.seen.ahead += u64::from(ahead);
            }
            Err(_) => self.seen.unfit += 1,
        }
    }

    /// The log loses its beginning: as far as all have saved what they have read of it, and mostly not what
    /// the newest snapshot has not.
    pub(super) async fn truncate(&mut self) {
        let partition = self.partition();
        let saved = self.durable[partition].position;
        let start = self.log.start(partition as i32);
        let to = self.chance.within(start..saved + 1);
        let mut log = self.log.0.lock();
        log[partition].start = log[partition].start.max(to.min(log[partition].stable));
    }
}
