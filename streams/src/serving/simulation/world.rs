//! What happens, step by step, and what has to be so after each.

mod answers;
mod loads;
mod runs;
mod seen;
mod settled;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::chance::Chance;
use super::log::{MemoryLog, Partition, TOPICS};
use super::mortal::Mortal;
use crate::record::Record;
use crate::serving::aggregate::{PlaceCounts, Places};
use crate::serving::lambda::SourceTopic;
use crate::serving::merged::{Live, Site};
use crate::serving::snapshot::{Part, Snapshots};
use crate::serving::speed::segments::Segments;
use crate::serving::view::View;
use crate::serving::{Coverage, Keyed};
use crate::state::Entry;

pub(super) use answers::{exact, expected};
pub(super) use seen::Seen;

pub(super) const KEYS: u8 = 4;

type Key = Bytes;
pub(super) type Free = Places<()>;
pub(super) type Instance = Arc<Site<Key, Free>>;

/// What of a partition has been committed: its changelog and its position.
#[derive(Clone, Default)]
struct Durable {
    told: BTreeMap<Vec<u8>, Vec<u8>>,
    position: i64,
    /// What has been announced of it, if anything has: that comes later than it is saved.
    announced: Option<Announced>,
}

/// Where snapshots may end, and where the speed layer began.
#[derive(Clone)]
struct Announced {
    cuts: Vec<i64>,
    origin: i64,
}

/// A partition's task.
struct Task {
    live: Arc<Live<PlaceCounts>>,
    position: i64,
    node: usize,
}

/// An instance, and what somebody knows who asks it all the time.
struct Node {
    site: Instance,
    /// What the last answer with the newest snapshot covered: the next one covers no less, as long as nothing
    /// that had not been saved is lost.
    covered: Coverage,
    /// For each snapshot the partitions that were here when it was taken up, and have been since: they have
    /// all that answers with it need.
    whole: BTreeMap<u64, BTreeSet<usize>>,
}

pub(super) struct World {
    seed: u64,
    chance: Chance,
    pub(super) log: Arc<MemoryLog>,
    /// The partitions of the log, in its order.
    pub(super) parts: Arc<[Part]>,
    view: Arc<View<Key, Free>>,
    nodes: Vec<Node>,
    durable: Vec<Durable>,
    tasks: Vec<Task>,
    store: Arc<Mortal>,
    snapshots: Snapshots,
    runs: u64,
    /// Where coverage of each partition may begin: where its first task did, or a run that was to begin anew.
    begins: Vec<BTreeSet<i64>>,
    /// Where the snapshot in front of the newest ends: segments behind it stay, for whoever has to go back to
    /// that one.
    floors: Vec<i64>,
    seen: Seen,
    /// What has been done, for whoever reads a failure.
    story: Vec<String>,
    /// Stands for all answers.
    digest: DefaultHasher,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let start = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x1234_5678;
        let mut chance = Chance::new(start);
        let parts: Arc<[Part]> = match chance.below(3) {
            0 => {
                let first = (0..1 + chance.below(2) as i32).map(|partition| (0, partition));
                let second = (0..1 + chance.below(2) as i32).map(|partition| (1, partition));
                first.chain(second).collect()
            }
            _ => (0..1 + chance.below(3) as i32)
                .map(|partition| (0, partition))
                .collect(),
        };
        let topics = parts.iter().map(|(topic, _)| *topic).collect();
        let log = Arc::new(MemoryLog(Arc::default(), topics));
        log.0.lock().resize(parts.len(), Partition::default());
        let mut view = View::new("places", 1, Free::new());
        for topic in &TOPICS[..=parts.last().unwrap().0] {
            view = view.source(topic, |record: Record<Key, Key>| {
                [Keyed::new(record.key, ())]
            });
        }
        let view = Arc::new(view);
        let nodes = (0..1 + chance.below(2)).map(|_| Node::new(&view, &parts));
        let nodes = nodes.collect();
        let store = Arc::new(Mortal::default());
        let snapshots = Snapshots::new(Arc::<Mortal>::clone(&store), Path::default(), "places");
        let mut world = Self {
            seed,
            chance,
            log,
            view,
            nodes,
            durable: vec![Durable::default(); parts.len()],
            tasks: Vec::new(),
            store,
            snapshots: snapshots.unwrap(),
            runs: 0,
            begins: vec![BTreeSet::new(); parts.len()],
            floors: vec![0; parts.len()],
            seen: Seen::default(),
            story: Vec::new(),
            digest: DefaultHasher::new(),
            parts,
        };
        for at in 0..world.parts.len() {
            let task = world.restored(at, 0);
            world.tasks.push(task);
        }
        world.enter_all();
        world
    }

    /// A task as it is after a start, on that node.
    fn restored(&mut self, at: usize, node: usize) -> Task {
        let durable = &self.durable[at];
        let mut segments = Segments::new(0, self.seed, 0);
        for (key, value) in &durable.told {
            let value = Some(&value[..]);
            segments.restore(Entry { key, value }).unwrap();
        }
        segments.restored();
        // Where it has never been it begins with what is there.
        let start = self.log.start(at);
        if durable.told.is_empty() {
            segments.begin_at(start, 0);
            self.begins[at].insert(start);
        }
        assert!(durable.position >= start || durable.told.is_empty());
        Task {
            position: durable.position.max(start),
            live: Arc::new(Live::new(segments, Arc::default())),
            node,
        }
    }

    /// Does so many things, and looks at the answers after each. What has been seen, and what was done.
    pub(super) async fn run(mut self, steps: usize) -> (Seen, Vec<String>) {
        for step in 0..steps {
            self.story.push(format!("{step}:"));
            match self.chance.below(100) {
                0..22 => self.append(),
                22..30 => self.settle_transactions(),
                30..58 => self.read(),
                58..68 => self.commit(),
                68..74 => self.cut(),
                74..79 => self.crash().await,
                79..83 => self.rebalance(),
                83..90 => self.batch().await,
                90..97 => self.load().await,
                97..98 => self.truncate(),
                _ => self.sweep(),
            }
            self.look();
        }
        self.settle().await;
        self.tell(format_args!("answers {:x}", self.digest.finish()));
        (self.seen, self.story)
    }

    /// Does so many things of those that take nothing back, for whoever asks the first node meanwhile.
    pub(super) async fn go_on(&mut self, steps: usize) {
        self.story.push("while others ask:".to_owned());
        for _ in 0..steps {
            match self.chance.below(100) {
                0..22 => self.append(),
                22..30 => self.settle_transactions(),
                30..58 => self.read(),
                58..68 => self.commit(),
                68..78 => self.cut(),
                78..86 => self.batch().await,
                86..96 => self.load_on(0, 0).await,
                _ => self.sweep(),
            }
        }
    }

    /// The first node: it has all partitions as long as nothing crashes or moves.
    pub(super) fn first(&self) -> Instance {
        Arc::clone(&self.nodes[0].site)
    }

    /// Adds to the last line of the story.
    fn tell(&mut self, what: fmt::Arguments<'_>) {
        use fmt::Write;

        let line = self.story.last_mut().expect("a step has been begun");
        // Writing to text does not fail.
        let _ = write!(line, " {what}");
    }

    /// The place of any partition.
    fn partition(&mut self) -> usize {
        self.chance.below(self.parts.len() as u64) as usize
    }

    /// Of any node.
    fn node(&mut self) -> usize {
        self.chance.below(self.nodes.len() as u64) as usize
    }

    fn topic(&self, at: usize) -> &'static str {
        TOPICS[self.parts[at].0]
    }

    /// What a vector has of a partition.
    fn offset(&self, coverage: &Coverage, at: usize) -> i64 {
        coverage.get(self.topic(at), self.parts[at].1)
    }

    fn set(&self, coverage: &mut Coverage, at: usize, offset: i64) {
        coverage.set(self.topic(at), self.parts[at].1, offset);
    }
}

impl Node {
    fn new(view: &Arc<View<Key, Free>>, parts: &[Part]) -> Self {
        let site = Site::new(Arc::clone(view), 2);
        let topics = 0..=parts.last().unwrap().0;
        let sources = topics.map(|topic| SourceTopic {
            id: "1".to_owned(),
            partitions: parts.iter().filter(|part| part.0 == topic).count() as i32,
        });
        site.set_sources(sources.collect());
        Self {
            site: Arc::new(site),
            covered: Coverage::new(),
            whole: BTreeMap::new(),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        self.story.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
