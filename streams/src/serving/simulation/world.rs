//! What happens, step by step, and what has to be so after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use tidemark_client::TopicPartition;

use super::log::{MemoryLog, Partition, TOPIC};
use super::mortal::Mortal;
use super::places::{Free, Places};
use crate::data::Payload;
use crate::record::{Headers, Record};
use crate::serving::SourcePartition;
use crate::serving::VerifyError;
use crate::serving::aggregate::laws;
use crate::serving::batch::{BatchConfig, BatchError, BatchOutcome, Job, PlanError};
use crate::serving::kept::Kept;
use crate::serving::lambda::SourceTopic;
use crate::serving::merged::{Ask, Keys, Live, QueryError, Site};
use crate::serving::snapshot::Loaded;
use crate::serving::snapshot::Snapshots;
use crate::serving::speed::cut_rule::CutRule;
use crate::serving::speed::segments::Segments;
use crate::serving::verify::compare;
use crate::serving::view::{Raw, Scratch, View};
use crate::serving::{Coverage, Keyed};
use crate::state::Entry;

const KEYS: u8 = 4;
const CUT: CutRule = CutRule {
    every: 0,
    records: 0,
};

type Key = Bytes;

/// How often what has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    answers: u64,
    with_both: u64,
    gaps: u64,
    pages: u64,
    switches: u64,
    unfit: u64,
    ahead: u64,
    published: u64,
    died: u64,
    resumed: u64,
    holes: u64,
    crashes: u64,
    lost_races: u64,
    verified: u64,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.with_both += other.with_both;
        self.gaps += other.gaps;
        self.pages += other.pages;
        self.switches += other.switches;
        self.unfit += other.unfit;
        self.ahead += other.ahead;
        self.published += other.published;
        self.died += other.died;
        self.resumed += other.resumed;
        self.holes += other.holes;
        self.crashes += other.crashes;
        self.lost_races += other.lost_races;
        self.verified += other.verified;
    }

    /// Each of it has happened, and often enough.
    pub(super) fn check(&self, schedules: u64) {
        assert!(self.answers > schedules * 50, "{self:?}");
        assert!(self.with_both > schedules * 10, "{self:?}");
        assert!(self.answers > self.gaps * 10, "{self:?}");
        assert!(self.pages > schedules, "{self:?}");
        let each = [
            self.switches,
            self.unfit,
            self.ahead,
            self.published,
            self.died,
            self.resumed,
            self.holes,
            self.crashes,
            self.lost_races,
            self.verified,
        ];
        assert!(each.iter().all(|count| *count > schedules / 10), "{self:?}");
    }
}

struct Chance(laws::Chance);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.next() % limit.max(1)
    }

    fn within(&mut self, range: Range<i64>) -> i64 {
        range.start + self.below((range.end - range.start).max(1) as u64) as i64
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What of a partition has been committed: its changelog and its position.
#[derive(Clone, Default)]
struct Durable {
    told: BTreeMap<Vec<u8>, Vec<u8>>,
    position: i64,
    /// The cuts that have been announced.
    cuts: Vec<i64>,
    /// Where the speed layer began, once that has been announced.
    origin: Option<i64>,
}

/// A partition's task.
struct Task {
    live: Arc<Live<Places>>,
    position: i64,
    node: usize,
}

pub(super) struct World {
    seed: u64,
    chance: Chance,
    log: Arc<MemoryLog>,
    view: Arc<View<Key, Free>>,
    nodes: Vec<Arc<Site<Key, Free>>>,
    durable: Vec<Durable>,
    tasks: Vec<Task>,
    store: Arc<Mortal>,
    snapshots: Snapshots,
    runs: u64,
    /// Where coverage of each partition may begin: where its first task did, or a run that was to begin anew.
    begins: Vec<BTreeSet<i64>>,
    seen: Seen,
    /// What has been done, for whoever reads a failure.
    story: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let start = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x1234_5678;
        let mut chance = Chance(laws::Chance(start));
        let partitions = 1 + chance.below(3) as usize;
        let log = Arc::new(MemoryLog::default());
        *log.0.lock() = vec![Partition::default(); partitions];
        let view = View::new("places", 1, Free).source(TOPIC, |record: Record<Key, Key>| {
            [Keyed::new(record.key, ())]
        });
        let view = Arc::new(view);
        let nodes = (0..1 + chance.below(2)).map(|_| site(&view, partitions));
        let nodes = nodes.collect();
        let store = Arc::new(Mortal::default());
        let snapshots = Snapshots::new(Arc::<Mortal>::clone(&store), Path::default(), "places");
        let mut world = Self {
            seed,
            chance,
            log,
            view,
            nodes,
            durable: vec![Durable::default(); partitions],
            tasks: Vec::new(),
            store,
            snapshots: snapshots.unwrap(),
            runs: 0,
            begins: vec![BTreeSet::new(); partitions],
            seen: Seen::default(),
            story: Vec::new(),
        };
        for partition in 0..partitions {
            let task = world.restored(partition, 0);
            world.tasks.push(task);
        }
        world.enter_all();
        world
    }

    /// A task as it is after a start, on that node.
    fn restored(&mut self, partition: usize, node: usize) -> Task {
        let durable = &self.durable[partition];
        let mut segments = Segments::new(0, self.seed, 0);
        for (key, value) in &durable.told {
            let value = Some(&value[..]);
            segments.restore(Entry { key, value }).unwrap();
        }
        segments.restored();
        // Where it has never been it begins with what is there.
        let start = self.log.start(partition as i32);
        if durable.told.is_empty() {
            segments.begin_at(start, 0);
            self.begins[partition].insert(start);
        }
        assert!(durable.position >= start || durable.told.is_empty());
        Task {
            position: durable.position.max(start),
            live: Arc::new(Live::new(segments, Arc::default())),
            node,
        }
    }

    fn enter_all(&mut self) {
        for partition in 0..self.tasks.len() {
            self.enter(partition);
        }
    }

    fn enter(&mut self, partition: usize) {
        let task = &self.tasks[partition];
        let live = Arc::clone(&task.live);
        if self.nodes[task.node]
            .enter((0, partition as i32), live, 0)
            .is_err()
        {
            self.seen.unfit += 1;
        }
    }

    /// Does so many things, and looks at the answers after each.
    pub(super) async fn run(mut self, steps: usize) -> Seen {
        for step in 0..steps {
            let what = self.chance.below(100);
            self.story.push(format!("{step}: {what}"));
            match what {
                0..22 => self.append(),
                22..30 => self.settle_transactions(),
                30..58 => self.read(),
                58..68 => self.commit(),
                68..74 => self.cut(),
                74..79 => self.crash().await,
                79..83 => self.rebalance(),
                83..90 => self.batch().await,
                90..97 => self.load().await,
                97..98 => self.truncate().await,
                _ => self.nodes.iter().for_each(|node| node.sweep()),
            }
            self.look();
        }
        self.settle().await;
        self.seen
    }

    fn partition(&mut self) -> usize {
        self.chance.below(self.tasks.len() as u64) as usize
    }

    fn append(&mut self) {
        let partition = self.partition();
        for _ in 0..1 + self.chance.below(6) {
            let nothing = self.chance.one_in(6);
            let key = self.chance.below(u64::from(KEYS)) as u8;
            let mut log = self.log.0.lock();
            log[partition].entries.push((!nothing).then_some(key));
        }
        if !self.chance.one_in(4) {
            let mut log = self.log.0.lock();
            log[partition].stable = log[partition].entries.len() as i64;
        }
    }

    fn settle_transactions(&mut self) {
        let partition = self.partition();
        let abort = self.chance.one_in(3);
        let mut log = self.log.0.lock();
        let own = &mut log[partition];
        if abort {
            let stable = own.stable as usize;
            own.entries[stable..]
                .iter_mut()
                .for_each(|entry| *entry = None);
        }
        own.stable = own.entries.len() as i64;
    }

    fn read(&mut self) {
        let partition = self.partition();
        self.read_of(partition);
    }

    /// A task reads on.
    fn read_of(&mut self, partition: usize) {
        let task = &mut self.tasks[partition];
        let stable = self.log.stable(partition as i32);
        let to = stable.min(task.position + 1 + self.chance.below(8) as i64);
        let mut scratch = Scratch::default();
        let mut segments = task.live.segments.write();
        for (offset, key) in self.log.records(partition as i32, task.position, to) {
            let key = [key];
            let raw = Raw {
                partition: partition as i32,
                offset,
                timestamp: offset * 1_000,
                key: Payload::new(Some(&key)),
                value: Payload::new(Some(b"v")),
                headers: Headers::default(),
            };
            segments.record(offset, |adding| {
                let read = self.view.read(0, &raw, &mut scratch, |key, place, event| {
                    use crate::serving::aggregate::Aggregate;
                    adding.add(key, place.time, |state| {
                        let state = state.get_or_insert_with(|| Kept(Free.empty()));
                        Free.add(event, place, &mut state.0);
                    });
                });
                read.unwrap();
            });
        }
        task.position = task.position.max(to);
        segments.pass(task.position);
    }

    fn cut(&mut self) {
        let partition = self.partition();
        let mut segments = self.tasks[partition].live.segments.write();
        segments.cut_if_due(&CUT, 0);
    }

    /// What has changed and the position are saved together; then the cuts are announced.
    fn commit(&mut self) {
        let partition = self.partition();
        self.commit_of(partition);
    }

    fn commit_of(&mut self, partition: usize) {
        let task = &self.tasks[partition];
        let durable = &mut self.durable[partition];
        let mut segments = task.live.segments.write();
        segments
            .take_changes(&mut |entry| {
                let value = entry.value.unwrap().to_vec();
                durable.told.insert(entry.key.to_vec(), value);
                true
            })
            .unwrap();
        durable.position = task.position;
        durable.cuts = segments.cuts();
        durable.origin = Some(segments.origin());
    }

    /// A node is gone with all that it had not saved; another one takes its tasks, or it comes back.
    async fn crash(&mut self) {
        self.seen.crashes += 1;
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        if self.chance.one_in(2) {
            // The process itself: it begins with the newest snapshot.
            self.nodes[node] = site(&self.view, self.tasks.len());
            let back = usize::from(self.chance.one_in(4));
            self.load_on(node, back).await;
        }
        for partition in 0..self.tasks.len() {
            if self.tasks[partition].node != node {
                continue;
            }
            let old = Arc::clone(&self.tasks[partition].live);
            self.nodes[node].leave((0, partition as i32), &old);
            let other = self.chance.below(self.nodes.len() as u64) as usize;
            self.tasks[partition] = self.restored(partition, other);
            self.enter(partition);
        }
    }

    /// A task moves, saved.
    fn rebalance(&mut self) {
        let partition = self.partition();
        self.commit_of(partition);
        let old = &self.tasks[partition];
        self.nodes[old.node].leave((0, partition as i32), &old.live);
        let other = self.chance.below(self.nodes.len() as u64) as usize;
        self.tasks[partition] = self.restored(partition, other);
        self.enter(partition);
    }

    /// A batch run, which may die at any step.
    async fn batch(&mut self) {
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

    async fn batch_of(
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
    async fn load(&mut self) {
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        let back = if self.chance.one_in(4) { 1 } else { 0 };
        self.load_on(node, back).await;
    }

    async fn load_on(&mut self, node: usize, back: usize) {
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
    async fn truncate(&mut self) {
        let partition = self.partition();
        let saved = self.durable[partition].position;
        let start = self.log.start(partition as i32);
        let to = self.chance.within(start..saved + 1);
        let mut log = self.log.0.lock();
        log[partition].start = log[partition].start.max(to.min(log[partition].stable));
    }

    /// Every answer has exactly the records of its coverage, each once.
    fn look(&mut self) {
        for node in 0..self.nodes.len() {
            for key in 0..KEYS {
                self.look_at(node, key);
            }
            self.look_through(node);
        }
    }

    /// Pages have what the keys have one by one.
    fn look_through(&mut self, node: usize) {
        let limit = 1 + self.chance.below(5) as usize;
        let site = &self.nodes[node];
        let ask = Ask::default();
        let (mut rows, mut last) = (Vec::new(), None);
        loop {
            let keys = Keys::all().after(last.take());
            let Ok(page) = site.range(&keys, limit, &ask) else {
                // So has every key, which is looked at elsewhere.
                assert!(site.get(&[0], &ask).is_err());
                return;
            };
            assert!(page.rows.len() == limit || !page.more, "{self}");
            rows.extend(page.rows.into_iter().map(|(name, merged)| {
                last = Some(name.clone());
                (name, merged.whole(&Free))
            }));
            if !page.more {
                break;
            }
        }
        let keys = (0..KEYS).map(|key| vec![key]);
        let each = keys.map(|key| {
            let state = site.get(&key, &ask).ok().and_then(|own| own.whole(&Free));
            (key, state)
        });
        let each: Vec<_> = each.filter(|(_, state)| state.is_some()).collect();
        assert_eq!(rows, each, "{self} node {node}");
        self.seen.pages += 1;
    }

    fn look_at(&mut self, node: usize, key: u8) {
        let site = &self.nodes[node];
        let held = site.held();
        let pinned = self.chance.one_in(4);
        let ask = Ask {
            snapshot: held.first().copied().filter(|_| pinned),
            at_least: None,
        };
        let merged = match site.get(&[key], &ask) {
            Ok(merged) => merged,
            Err(QueryError::Elsewhere(partition)) => {
                let task = &self.tasks[partition.partition as usize];
                assert_ne!(task.node, node, "{partition} is here");
                return;
            }
            Err(QueryError::Gap { .. }) => {
                self.seen.gaps += 1;
                return;
            }
            Err(QueryError::Unread { .. }) => {
                assert_eq!(site.current().map(|own| own.manifest.snapshot), None);
                self.seen.gaps += 1;
                return;
            }
            Err(error) => panic!("{error}"),
        };
        self.seen.answers += 1;
        self.seen.with_both +=
            u64::from(merged.halves.batch.is_some() && merged.halves.speed.is_some());
        let mut expected = BTreeMap::new();
        for partition in 0..self.tasks.len() as i32 {
            let (begin, to) = (
                merged.begin.get(TOPIC, partition),
                merged.coverage.get(TOPIC, partition),
            );
            assert!(begin <= to && to <= self.log.stable(partition));
            assert!(
                self.begins[partition as usize].contains(&begin),
                "{self} {begin}"
            );
            for (offset, own) in self.log.records(partition, begin, to) {
                if own == key {
                    expected.insert((0, partition, offset), 1);
                }
            }
        }
        let found = merged.whole(&Free).unwrap_or_default().0;
        assert_eq!(found, expected, "{self} node {node} key {key} {merged:?}");
    }

    /// When all is quiet and a run has been made at a cut, every node that has all partitions answers with
    /// everything up to the end.
    async fn settle(&mut self) {
        let node = site(&self.view, self.tasks.len());
        self.nodes = vec![Arc::clone(&node)];
        {
            let mut log = self.log.0.lock();
            log.iter_mut()
                .for_each(|own| own.stable = own.entries.len() as i64);
        }
        for partition in 0..self.tasks.len() {
            self.tasks[partition] = self.restored(partition, 0);
            while self.tasks[partition].position < self.log.stable(partition as i32) {
                self.read_of(partition);
            }
            self.tasks[partition]
                .live
                .segments
                .write()
                .cut_if_due(&CUT, 0);
            self.commit_of(partition);
        }
        let mut cut = Coverage::new();
        for (partition, durable) in self.durable.iter().enumerate() {
            let last = durable.cuts.last().copied().unwrap_or(0);
            cut.set(TOPIC, partition as i32, last);
        }
        self.store.live(None);
        if let Err(error) = self.batch_of(Some(&cut), false).await {
            assert!(
                matches!(
                    error,
                    BatchError::Plan(PlanError::Hole { .. } | PlanError::Unsaved { .. })
                ),
                "{error}"
            );
            self.batch_of(Some(&cut), true).await.unwrap();
        }
        self.load_on(0, 0).await;
        self.enter_all();
        for key in 0..KEYS {
            let merged = node.get(&[key], &Ask::default());
            let shapes = node.parts().into_iter().map(|(part, live)| {
                let segments = live.segments.read();
                (part, segments.shape(), segments.applied())
            });
            let shapes: Vec<_> = shapes.collect();
            let merged =
                merged.unwrap_or_else(|error| panic!("{self}: {error}; cut {cut}; {shapes:?}"));
            assert_eq!(
                merged.snapshot,
                self.snapshots.numbers().await.unwrap().last().copied()
            );
            for partition in 0..self.tasks.len() as i32 {
                let stable = self.log.stable(partition);
                assert_eq!(merged.coverage.get(TOPIC, partition), stable);
            }
            self.look_at(0, key);
        }
        self.verify().await;
    }

    /// The newest snapshot is what the log says, as long as that has all of it; and a record that goes from
    /// the log is found.
    async fn verify(&mut self) {
        let newest = self.snapshots.numbers().await.unwrap().pop().unwrap();
        let manifest = self.snapshots.manifest(newest).await.unwrap();
        let compared = compare(&self.view, &*self.log, &self.snapshots, &manifest).await;
        let own = &manifest.sources[0].partitions;
        let gone =
            |own: &SourcePartition| self.log.start(own.partition) > own.begin && own.to > own.begin;
        if own.iter().any(gone) {
            assert!(
                matches!(compared, Err(VerifyError::Gone { .. })),
                "{compared:?}"
            );
            return;
        }
        let verdict = compared.unwrap();
        assert!(verdict.is_good(), "{self}: {verdict:?}");
        self.seen.verified += 1;
        let one = &own[self.chance.below(own.len() as u64) as usize];
        let records = self.log.records(one.partition, one.begin, one.to);
        if records.is_empty() {
            return;
        }
        let (offset, key) = records[self.chance.below(records.len() as u64) as usize];
        self.log.0.lock()[one.partition as usize].entries[offset as usize] = None;
        let verdict = compare(&self.view, &*self.log, &self.snapshots, &manifest)
            .await
            .unwrap();
        let [difference] = &verdict.differences[..] else {
            panic!("{self}: {verdict:?}");
        };
        let partition = TopicPartition::new(TOPIC, one.partition);
        assert_eq!(difference.partition, Some(partition));
        let found: Vec<i64> = difference.records.iter().map(|own| own.offset).collect();
        assert!(!found.contains(&offset));
        let others = records
            .iter()
            .filter(|(other, own)| *own == key && *other != offset);
        let others: Vec<i64> = others.map(|(offset, _)| *offset).collect();
        assert_eq!(found, others);
        assert_eq!(verdict.tallies.len(), 1);
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.story.join(", "))
    }
}

fn site(view: &Arc<View<Key, Free>>, partitions: usize) -> Arc<Site<Key, Free>> {
    let site = Site::new(Arc::clone(view), 2);
    site.set_sources(vec![SourceTopic {
        id: "1".to_owned(),
        partitions: partitions as i32,
    }]);
    Arc::new(site)
}
