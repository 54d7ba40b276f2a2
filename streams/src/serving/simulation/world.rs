//! What happens, step by step, and what has to be so after each.

mod answers;
mod runs;
mod seen;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::chance::Chance;
use super::log::{MemoryLog, Partition, TOPIC};
use super::mortal::Mortal;
use crate::record::Record;
use crate::serving::Keyed;
use crate::serving::aggregate::{PlaceCounts, Places};
use crate::serving::lambda::SourceTopic;
use crate::serving::merged::{Live, Site};
use crate::serving::snapshot::Snapshots;
use crate::serving::speed::segments::Segments;
use crate::serving::view::View;
use crate::state::Entry;

pub(super) use seen::Seen;

const KEYS: u8 = 4;

type Key = Bytes;
type Free = Places<()>;

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
    live: Arc<Live<PlaceCounts>>,
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
        let mut chance = Chance::new(start);
        let partitions = 1 + chance.below(3) as usize;
        let log = Arc::new(MemoryLog::default());
        *log.0.lock() = vec![Partition::default(); partitions];
        let view = View::new("places", 1, Free::new()).source(TOPIC, |record: Record<Key, Key>| {
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
